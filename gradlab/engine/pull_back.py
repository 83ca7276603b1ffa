"""One step back after the other, as plans: D^T, W^T and E^T on adjoints, and what is left for the parameters."""

from __future__ import annotations

from ..arrays import Array, empty
from .linearize import Linearization
from .step_product import StepProduct
from .steps import Plan, Views, by_step
from .trajectory import Trajectory


class PullBack:
    """lambda_t -> delta_t = D_t^T lambda_t -> E_t^T lambda_t + [reads] W^T delta_t, one step after the other.

    deltas (G + P, T, *M, B, H): what each step leaves for the gradients of the parameters.
    """

    def __init__(self, traj: Trajectory) -> None:
        xp, cell, shape, weights = traj.xp, traj.cell, traj.states.shape, traj.weights["W_hh"]
        self.xp, self.cell, self.reads = xp, cell, [traj.cell.states.index(name) for name in cell.reads]
        columns = len(cell.gates) + len(cell.elementwise)
        self.deltas = empty(xp, (columns, traj.steps, *shape[2:]), traj.states.dtype)
        self.scratch = empty(xp, (columns, *shape[2:]), traj.states.dtype)
        self.products = empty(
            xp, (len(cell.gates[cell.early]), *weights.shape[1:-2], shape[-2], weights.shape[-1]), traj.states.dtype
        )
        early = weights[: len(cell.gates[cell.early])]
        self.alone = len(early) == len(cell.reads) == 1  # then the product is the new adjoint
        self.product = StepProduct(xp, shape[-2], early[0] if self.alone else early)
        self.late = StepProduct(xp, shape[-2], weights[-1]) if cell.late else None
        self.seen = empty(xp, shape[2:], traj.states.dtype) if cell.late else None

    def plans(self, lin: Linearization, adjoints: Array) -> tuple[Plan, Plan]:
        """The plans of a chunk on adjoints (T+1, S, *M, B, H): into the deltas, and on to the adjoints below."""
        times = [list(adjoints[lin.start : lin.stop + 1, s]) for s in range(len(self.cell.states))]
        above, below = [at[1:] for at in times], [at[:-1] for at in times]
        into_states = self._through_weights(lin, adjoints, below)
        written = set(self.reads if into_states else [])
        into_states += self._carry(lin, above, below, written)
        for s in set(range(len(below))) - written:
            adjoints[lin.steps, s] = 0
        return self._into_deltas(lin, above) + self._from_late(lin), into_states

    def _into_deltas(self, lin: Linearization, above: list[Views]) -> Plan:
        """delta = D^T lambda."""
        xp, steps, deltas = self.xp, lin.stop - lin.start, self.deltas[:, lin.steps]
        gates = sorted(lin.gates.items(), key=lambda item: -item[1][1].shape[0])
        plan: Plan = []
        if gates and gates[0][1][1].shape[0] == deltas.shape[0]:
            s, (_, d) = gates.pop(0)
            plan.append((xp.multiply, by_step(d), above[s], by_step(deltas)))
        else:
            deltas[...] = 0
        for s, (span, d) in gates:
            target, product = by_step(deltas[span]), by_step(self.scratch[span, None]) * steps
            plan += [(xp.multiply, by_step(d), above[s], product), (xp.add, target, product, target)]
        return plan

    def _from_late(self, lin: Linearization) -> Plan:
        """seen = W_l^T delta_l; the other gates' delta += D_q^T seen."""
        if self.late is None:
            return []
        xp, steps, gates = self.xp, lin.stop - lin.start, len(self.cell.gates)
        delta, scratch = self.deltas[gates - 1, lin.steps], [self.scratch[0]] * steps
        target = [self.late.target(self.seen)] * steps
        plan: Plan = [(self.late.multiply, list(self.late.factor(delta)), [self.late.weights] * steps, target)]
        for k, d in lin.middle_gates.items():
            own = list(self.deltas[k, lin.steps])
            plan += [(xp.multiply, list(d), [self.seen] * steps, scratch), (xp.add, own, scratch, own)]
        return plan

    def _through_weights(self, lin: Linearization, adjoints: Array, below: list[Views]) -> Plan:
        """lambda of the states that the weights read = W^T delta, summed over the recurrent gates."""
        add, h, steps = self.xp.add, self.cell.hidden_size, lin.stop - lin.start
        deltas = self.deltas[: len(self.cell.gates), lin.steps][self.cell.early]
        if not len(deltas):
            return []
        out = [self.product.target(self.products)] * steps
        if self.alone:
            out = list(self.product.target(adjoints[lin.steps, self.reads[0]]))
        factors = by_step(self.product.factor(deltas))
        plan: Plan = [(self.product.multiply, factors, [self.product.weights] * steps, out)]
        if self.alone:
            return plan
        for n, s in enumerate(self.reads):
            first, *rest = self.products[..., n * h : (n + 1) * h]
            plan.append((add, [first] * steps, [rest.pop(0) if rest else 0.0] * steps, below[s]))
            plan += [(add, below[s], [gate] * steps, below[s]) for gate in rest]
        return plan

    def _carry(self, lin: Linearization, above: list[Views], below: list[Views], written: set[int]) -> Plan:
        """lambda += E^T lambda; what it writes first joins `written`."""
        multiply, add, product = self.xp.multiply, self.xp.add, [self.scratch[0]] * (lin.stop - lin.start)
        plan: Plan = []
        for (row, column), e in lin.carry.items():
            if column in written:
                plan += [(multiply, list(e), above[row], product), (add, below[column], product, below[column])]
            else:
                plan.append((multiply, list(e), above[row], below[column]))
                written.add(column)
        for column, e in lin.middle_carry.items():
            seen = [self.seen] * (lin.stop - lin.start)
            if column in written:
                plan += [(multiply, list(e), seen, product), (add, below[column], product, below[column])]
            else:
                plan.append((multiply, list(e), seen, below[column]))
                written.add(column)
        return plan
