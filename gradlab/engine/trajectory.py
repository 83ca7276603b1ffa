"""What the forward pass recorded, and what reads it: gate values, pre-activations, where it overflowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Array, Namespace, linear, namespace, quiet, row_dots, to_numpy
from ..cells import Activation, Cell
from ..lazy import lazy
from .lengths import Lengths

Places = tuple[Array, ...]  # whole numbers (n,) for each axis


@dataclass(frozen=True)
class Overflow:
    """Where a sample's forward pass first left the finite numbers: step (1..T), gate or state name, model index.

    brought: where known, ln of the largest that input and bias brought to a unit so far, and that the state does here.
    """

    sample: int
    step: int
    gate: str
    model: tuple[int, ...] = ()
    brought: tuple[float, float] | None = None


@dataclass(frozen=True, repr=False)
class Trajectory:
    """What `unroll` recorded; everything else is derived from it.

    states (T+1, S, *M, B, H), index 0 the initial state. gate_inputs (T, G, *M, B, H): what the cell's `step` received.
    x (T, *M, B, D) with model axes of length 1 where all models see one input. middle (T, *M, B, H): what a late gate's
    weights saw. lengths: steps beyond a sample's length are the identity. finite: whether every number is known to be
    finite. hold (T, S, *M, B, H): the share of the old state that each step kept in place of the new one.
    candidate_factor (T, *M, B, H): what the value of the cell's candidate was multiplied by before `step` received it;
    gate_inputs hold it as it was before.
    """

    cell: Cell
    params: dict[str, Array]
    x: Array
    states: Array
    gate_inputs: Array
    lengths: Lengths = Lengths()
    finite: bool = False
    middle: Array | None = None
    hold: Array | None = None
    candidate_factor: Array | None = None

    def __repr__(self) -> str:
        return f"Trajectory({self.cell!r}, T={self.steps}, B={self.states.shape[-2]})"

    @property
    def xp(self) -> Namespace:
        """The array namespace that the recording lives in."""
        return namespace(self.states)

    @property
    def steps(self) -> int:
        """T."""
        return int(self.gate_inputs.shape[0])

    @property
    def models(self) -> tuple[int, ...]:
        """The model axes."""
        return tuple(self.states.shape[2:-2])

    @lazy
    def weights(self) -> dict[str, Array]:
        """What the recurrence multiplies by: the parameters, or what the cell makes of them."""
        with quiet():
            return self.cell.weights(self.params)

    @property
    def product_size(self) -> int:
        """Multiply-adds of one step's product of a batch with a gate's recurrent weights."""
        return int(self.states.shape[-2]) * self.cell.hidden_size**2 * len(self.cell.reads)

    @property
    def valid_steps(self) -> np.ndarray:
        """How many steps each sample has (*M, B), in host memory."""
        count = to_numpy(self.lengths.values) if self.lengths.padded else self.steps
        return np.broadcast_to(count, self.states.shape[2:-1]).copy()

    def of_samples(self, samples: slice | list[int]) -> Trajectory:
        """The same for some of the samples."""
        names = ("x", "states", "gate_inputs", "middle", "hold", "candidate_factor")
        given = {name: array for name in names if (array := getattr(self, name)) is not None}
        arrays = {name: array[..., samples, :] for name, array in given.items()}
        return replace(self, lengths=self.lengths.of_samples(samples), **arrays)

    @lazy
    def pre(self) -> Array:
        """Pre-activations (T, G, *M, B, H), recomputed by one product over all steps when a slope needs them."""
        pre = self.xp.empty(self.gate_inputs.shape, dtype=self.states.dtype)
        input_projection(self.cell, self.weights, self.x)(slice(None), pre)
        early, late = self.seen(slice(None))
        for k, g in enumerate(range(len(self.cell.gates))[self.cell.recurrent]):
            seen = late if self.cell.late and g == len(self.cell.gates) - 1 else early
            pre[:, g] += linear(self.xp, seen, self.weights["W_hh"][k])
        return pre

    def pre_at(self, g: int, steps: slice, places: Places) -> Array:
        """Pre-activations of gate g at some places (C, *M, B, H) of a range of steps, (n,), without all others."""
        xp, cell, weights = self.xp, self.cell, self.weights
        models, unit = places[1:-2], (*places[1:-2], places[-1])
        gates, pre = range(len(cell.gates)), weights["b_h"][g][unit]
        if g in gates[cell.driven]:
            x = self.x[steps]
            of_x = (places[0], *(m * (n > 1) for m, n in zip(models, x.shape[1:-2], strict=True)), places[-2])
            pre = pre + row_dots(xp, x[of_x], weights["W_xh"][gates[cell.driven].index(g)][unit])
        if g in gates[cell.recurrent]:
            early, late = self.seen(steps)
            seen = late if late is not None and g == len(gates) - 1 else early
            pre = pre + row_dots(xp, seen[places[:-1]], weights["W_hh"][gates[cell.recurrent].index(g)][unit])
        return pre

    def seen(self, steps: slice) -> tuple[Array, Array | None]:
        """What the recurrent weights see at some steps: the states (C, *M, B, R*H), and what a late gate's see."""
        return read(self.cell, self.states[:-1][steps]), None if self.middle is None else self.middle[steps]

    def middle_arguments(self, steps: slice) -> list[Array]:
        """What `middle` and its partials take, for a range of steps at once."""
        old = self.states[:-1][steps]
        gates = [self.gate_inputs[steps, g] for g in range(len(self.cell.gates) - 1)]
        return gates + [old[:, s] for s in range(len(self.cell.states))]

    @lazy
    def gates(self) -> Array:
        """Gate values (T, G, *M, B, H) after each gate's nonlinearity, those that `step` applies itself included."""
        return self.xp.stack(self.gate_values(slice(None)), axis=1)

    def gate_values(self, steps: slice) -> list[Array]:
        """Each gate's values over a range of steps, (C, *M, B, H)."""
        completed = self.completed(steps)
        return [
            completed[name][1].value(self.xp, completed[name][0]) if name in completed else self.gate_inputs[steps, g]
            for g, name in enumerate(self.cell.gates)
        ]

    def completed(self, steps: slice) -> Mapping[str, tuple[Array, Activation]]:
        """The gates whose nonlinearity `step` applies: name -> (pre-activation, activation), over a range of steps."""
        if type(self.cell).completed is Cell.completed:
            return {}
        with quiet():
            return self.cell.completed(self.xp, *self.arguments(steps))

    def arguments(self, steps: slice) -> list[Array]:
        """What `partials` takes, for a range of steps at once; the new states as they are before any is held."""
        old, p = self.states[:-1][steps], elementwise(self.cell, self.weights)
        arrays = [self.gate_inputs[steps, g] for g in range(len(self.cell.gates))]
        if self.candidate_factor is not None:
            candidate = self.cell.gates.index(self.cell.candidate)
            arrays[candidate] = self.candidate_factor[steps] * arrays[candidate]
        arrays += [old[:, s] for s in range(len(self.cell.states))]
        if self.hold is not None:
            return [*arrays, *self.cell.step(self.xp, *arrays, *p), *p]
        new = self.states[1:][steps]
        return arrays + [new[:, s] for s in range(len(self.cell.states))] + p

    @lazy
    def overflow(self) -> list[Overflow]:
        """For each sample whose forward pass left the finite numbers, where it did so first."""
        xp = self.xp
        if self.finite:
            return []
        bad = ~xp.isfinite(self.states[1:]).all(axis=(1, -1)) | ~xp.isfinite(self.gate_inputs).all(axis=(1, -1))
        if not bool(bad.any()):
            return []
        first = bad.argmax(axis=0)
        return [self._overflow_at(index, int(first[index])) for index in _indices(bad.any(axis=0))]

    def _overflow_at(self, index: tuple[int, ...], t: int) -> Overflow:
        pick = (slice(None), *index)
        gate_ok = self.xp.isfinite(self.gate_inputs[t][pick]).all(axis=-1)
        state_ok = self.xp.isfinite(self.states[t + 1][pick]).all(axis=-1)
        names = [n for n, ok in zip(self.cell.gates, gate_ok, strict=True) if not ok]
        names += [n for n, ok in zip(self.cell.states, state_ok, strict=True) if not ok]
        return Overflow(sample=index[-1], step=t + 1, gate=names[0], model=index[:-1])


def _indices(mask: Array) -> list[tuple[int, ...]]:
    return [tuple(int(i) for i in index) for index in zip(*mask.nonzero(), strict=True)]


def elementwise(cell: Cell, weights: Mapping[str, Array]) -> list[Array]:
    """The cell's elementwise parameters, ready to broadcast over samples: (*M, 1, H) each."""
    return [p[..., None, :] for p in weights["p"]] if cell.elementwise else []


def read(cell: Cell, states: Array) -> Array:
    """The states that the recurrent weights see, side by side: (T, S, *M, B, H) -> (T, *M, B, R*H)."""
    xp = namespace(states)
    parts = [states[:, cell.states.index(name)] for name in cell.reads]
    return parts[0] if len(parts) == 1 else xp.concatenate(parts, axis=-1)


def input_projection(cell: Cell, weights: Mapping[str, Array], x: Array) -> Callable[[slice, Array], None]:
    """(steps, gates) -> None, writing V x + b of those steps into gates (T, G, *M, B, H).

    The bias is the weight of a constant input, so that one product per gate does it all.
    """
    xp = namespace(x)
    with_one = xp.concatenate([x, xp.ones_like(x[..., :1])], axis=-1)
    columns = []
    driven = range(len(cell.gates))[cell.driven]
    for g in range(len(cell.gates)):
        b = weights["b_h"][g][..., None]
        v = weights["W_xh"][driven.index(g)] if g in driven else xp.zeros((*b.shape[:-1], x.shape[-1]), dtype=b.dtype)
        columns.append(xp.ascontiguousarray(xp.swapaxes(xp.concatenate([v, b], axis=-1), -1, -2)))

    def project(steps: slice, gates: Array) -> None:
        for g, w in enumerate(columns):
            xp.matmul(with_one[steps], w, out=gates[steps, g])

    return project
