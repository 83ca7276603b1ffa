"""What is recorded on the way, while a backward pass goes over the chunks of a trajectory."""

from __future__ import annotations

from ..arrays import Array, quiet
from ..engine.jacobian import FrobeniusNorms, jacobian
from ..engine.linearize import Linearization, gate_slopes
from ..engine.trajectory import Trajectory

SATURATED_SLOPE = 0.1  # a unit counts as saturated where its slope is below this share of the largest slope


class Recorder:
    """An observer of `gradlab.bptt`: Frobenius norms of the one-step Jacobians, and statistics of the gates."""

    def __init__(self, traj: Trajectory) -> None:
        self.traj, self.gates = traj, GateStatistics(traj)
        with quiet():
            self.frobenius = FrobeniusNorms(jacobian(traj))

    def __call__(self, lin: Linearization) -> None:
        """Fill in the steps of one chunk."""
        self.frobenius(lin)
        self.gates(lin)


class GateStatistics:
    """Filled chunk by chunk: `mean` and `saturation` (G, T, *M) of every gate, of the candidate `slope` (T, *M).

    dead (*M, H): whether the candidate's slope is low at every step of every sample.
    """

    def __init__(self, traj: Trajectory) -> None:
        self.traj = traj
        shape = (len(traj.cell.gates), traj.steps, *traj.models)
        self.mean, self.saturation = (traj.xp.empty(shape, dtype=traj.states.dtype) for _ in range(2))
        self.slope = traj.xp.empty(shape[1:], dtype=traj.states.dtype)
        self.dead = traj.xp.ones((*traj.models, traj.cell.hidden_size), dtype=bool)
        size = traj.states.shape[-2] * traj.states.shape[-1]
        self.shares = traj.xp.full(size, 1 / size, dtype=traj.states.dtype)  # a product with them is the fastest mean

    def __call__(self, lin: Linearization) -> None:
        """Fill in the steps of one chunk."""
        steps, cell = slice(lin.start, lin.stop), self.traj.cell
        values = self.traj.gate_values(steps)
        for g, (slopes, activation) in enumerate(gate_slopes(self.traj, lin)):
            slopes = self.traj.xp.ones_like(values[g]) if slopes is None else slopes
            self.mean[g, steps] = self._mean(values[g], steps)
            low = self._low(slopes, SATURATED_SLOPE * activation.max_slope)
            self.saturation[g, steps] = 0 if low is None else self._mean(low, steps)
            if cell.gates[g] == cell.candidate:
                self.slope[steps] = self._mean(slopes, steps)
                self.dead &= False if low is None else self._always(low, steps)

    def _low(self, slopes: Array, level: float) -> Array | None:
        """Where |slopes| < level; None where that is nowhere, which the least slope mostly tells.

        With padding always an array: the share at a step beyond every sample is unknown, not zero.
        """
        if not self.traj.lengths.padded and float(slopes.min()) >= level:
            return None
        return abs(slopes) < level

    def _always(self, low: Array, steps: slice) -> Array:
        """(C, *M, B, H) -> (*M, H): whether it holds at all steps of all samples that have them."""
        return self.traj.lengths[steps].keep(low, True).all(axis=0).all(axis=-2)

    def _mean(self, values: Array, steps: slice) -> Array:
        """(C, *M, B, H) -> (C, *M): the mean over the units of all samples that have the step."""
        dtype = self.traj.states.dtype
        if not self.traj.lengths.padded:
            return values.reshape(*values.shape[:-2], -1).astype(dtype, copy=False) @ self.shares
        return self.traj.lengths[steps].mean(values.mean(axis=-1, dtype=dtype), -1)
