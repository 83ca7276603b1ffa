"""What the forward pass recorded, and its linearisation in chunks of steps: E and D of the state Jacobians."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .activations import Activation
from .arrays import Array, Namespace, fused, linear, namespace, quiet
from .cells import Cell

if TYPE_CHECKING:
    from .jacobian import StateJacobian

CHUNK = 16  # steps whose partial derivatives still fit the cache
SATURATED = 1e-3  # float32: closer than this to +-1, a slope computed from the value has lost its digits


@dataclass(frozen=True)
class Linearization:
    """E and D of steps start+1 ... stop: the elementwise partial derivatives that every Jacobian consists of.

    carry: (new state, state) -> dF/d state, (C, *M, B, H).
    gates: new state -> (slice of the cell's gates and elementwise parameters, dF/d pre-activation (n, C, *M, B, H)).
    """

    start: int
    stop: int
    carry: Mapping[tuple[int, int], Array]
    gates: Mapping[int, tuple[slice, Array]]


@dataclass(frozen=True)
class Overflow:
    """Where a sample's forward pass first left the finite numbers: step (1..T), gate or state name, model index."""

    sample: int
    step: int
    gate: str
    model: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class Trajectory:
    """What `unroll` recorded; everything else is derived from it.

    states (T+1, S, *M, B, H), index 0 the initial state. gate_inputs (T, G, *M, B, H): what the cell's `step` received.
    x (T, *M, B, D) with model axes of length 1 where all models see one input. lengths: None, (B,) or (*M, B); steps
    beyond a sample's length are the identity.
    """

    cell: Cell
    params: dict[str, Array]
    x: Array
    states: Array
    gate_inputs: Array
    lengths: Array | None = None

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

    @cached_property
    def mask(self) -> Array | None:
        """(T, *M or 1s, B): True where a step belongs to its sample; None without lengths."""
        return None if self.lengths is None else length_mask(self.lengths, self.steps, len(self.models))

    @cached_property
    def pre(self) -> Array:
        """Pre-activations (T, G, *M, B, H), recomputed by one product over all steps when a slope needs them."""
        pre = project_inputs(self.cell, self.params, self.x, self.models)
        r = read(self.cell, self.states[:-1])
        for k, g in enumerate(range(len(self.cell.gates))[self.cell.recurrent]):
            pre[:, g] += linear(self.xp, r, self.params["W_hh"][k])
        return pre

    @cached_property
    def gates(self) -> Array:
        """Gate values (T, G, *M, B, H) after each gate's nonlinearity, those that `step` applies itself included."""
        if not self._completed:
            return self.gate_inputs
        gates = self.gate_inputs.copy()
        for name, (a, activation) in self._completed.items():
            gates[:, self.cell.gates.index(name)] = activation.value(self.xp, a)
        return gates

    def gate_slopes(self, name: str) -> tuple[Array, Activation]:
        """phi' of one gate at every step (T, *M, B, H), and its activation."""
        if name in self._completed:
            a, activation = self._completed[name]
            return activation.slope(self.xp, a), activation
        g = self.cell.gates.index(name)
        return self._slope(g, slice(None)), self.cell.nonlinearities[g]

    @cached_property
    def _completed(self) -> dict[str, tuple[Array, Activation]]:
        with quiet():
            return dict(self.cell.completed(self.xp, *self._arguments(slice(None), new_states=True)))

    @cached_property
    def overflow(self) -> list[Overflow]:
        """For each sample whose forward pass left the finite numbers, where it did so first."""
        xp = self.xp
        with quiet():
            if bool(xp.isfinite(self.states.sum() + self.gate_inputs.sum())):
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

    def jacobian(self) -> StateJacobian:
        """The one-step Jacobians of all T steps as one operator."""
        from .jacobian import StateJacobian

        return StateJacobian(self)

    def linearizations(self, chunk: int = CHUNK) -> Iterator[Linearization]:
        """The linearisation in chunks of steps, the last chunk first."""
        for start in reversed(range(0, self.steps, chunk)):
            yield self.linearize(start, min(start + chunk, self.steps))

    def linearize(self, start: int, stop: int) -> Linearization:
        """E and D of steps start+1 ... stop."""
        steps, states = slice(start, stop), self.cell.states
        with quiet():
            d_gate, d_state, *rest = fused(self.xp, self.cell.partials)(*self._arguments(steps, new_states=True))
            columns: dict[str, Mapping[str, Any]] = {s: {} for s in states}
            for (row, column), value in (*d_gate.items(), *(rest[0].items() if rest else ())):
                columns[row] = {**columns[row], column: value}
            slopes = [self._slope(g, steps) for g in range(len(self.cell.gates))]
            gates = {states.index(s): self._stack(c, slopes, steps) for s, c in columns.items() if c}
            like = self.gate_inputs[steps, 0]
            carry = {(states.index(r), states.index(c)): like * 0 + v for (r, c), v in d_state.items()}
        return self._masked(Linearization(start, stop, carry, gates))

    def _stack(self, columns: Mapping[str, Any], slopes: list[Array | None], steps: slice) -> tuple[slice, Array]:
        """One state's partials side by side, times the gates' slopes; gaps between its gates are zero."""
        names = (*self.cell.gates, *self.cell.elementwise)
        used = sorted(names.index(c) for c in columns)
        span = slice(used[0], used[-1] + 1)
        shape = self.gate_inputs[steps, 0].shape
        stacked = self.xp.empty((span.stop - span.start, *shape), dtype=self.states.dtype)
        for row, name in zip(stacked, names[span], strict=True):
            slope = slopes[names.index(name)] if name in self.cell.gates else None
            if name not in columns:
                row[...] = 0
            elif slope is None:
                row[...] = columns[name]
            else:
                self.xp.multiply(slope, columns[name], out=row)
        return span, stacked

    def _slope(self, g: int, steps: slice) -> Array | None:
        """phi' of gate g's engine-applied nonlinearity, None where it is 1; from the value unless that loses digits."""
        activation, y = self.cell.nonlinearities[g], self.gate_inputs[steps, g]
        if activation.name == "identity":
            return None
        if activation.slope_from_value is None or g in self._saturated:
            return activation.slope(self.xp, self.pre[steps, g])
        return activation.slope_from_value(self.xp, y)

    @cached_property
    def _saturated(self) -> frozenset[int]:
        """Gates whose values in float32 come so close to +-1 somewhere that slopes are taken from pre-activations."""
        if self.gate_inputs.dtype == self.xp.float64:
            return frozenset()
        candidates = [g for g, phi in enumerate(self.cell.nonlinearities) if phi.saturates]
        return frozenset(g for g in candidates if float(self.xp.abs(self.gate_inputs[:, g]).max()) > 1 - SATURATED)

    def _arguments(self, steps: slice, new_states: bool) -> list[Array]:
        """What `partials` takes, for a range of steps at once."""
        old = self.states[:-1][steps]
        new = self.states[1:][steps]
        arrays = [self.gate_inputs[steps, g] for g in range(len(self.cell.gates))]
        arrays += [old[:, s] for s in range(len(self.cell.states))]
        arrays += [new[:, s] for s in range(len(self.cell.states))]
        return arrays + elementwise(self.cell, self.params)

    def _masked(self, lin: Linearization) -> Linearization:
        """The identity where a step lies beyond its sample's length."""
        if self.mask is None:
            return lin
        xp, alive = self.xp, self.mask[lin.start : lin.stop, ..., None]
        zero = xp.zeros((), dtype=self.states.dtype)
        one = xp.ones((), dtype=self.states.dtype)
        diagonal = {(s, s) for s in range(len(self.cell.states))}
        carry = {
            key: xp.where(alive, lin.carry.get(key, zero), one if key in diagonal else zero)
            for key in diagonal | set(lin.carry)
        }
        gates = {s: (span, xp.where(alive, d, zero)) for s, (span, d) in lin.gates.items()}
        return Linearization(lin.start, lin.stop, carry, gates)


def length_mask(lengths: Array, steps: int, model_axes: int) -> Array:
    """(T, *M or 1s, B): True where step 1..T lies within the sample's length; lengths (B,) or (*M, B)."""
    xp = namespace(lengths)
    numbers = xp.arange(1, steps + 1).reshape(-1, *(1,) * (model_axes + 1))
    return numbers <= lengths.reshape(*(1,) * (model_axes + 1 - lengths.ndim), *lengths.shape)


def _indices(mask: Array) -> list[tuple[int, ...]]:
    return [tuple(int(i) for i in index) for index in zip(*mask.nonzero(), strict=True)]


def elementwise(cell: Cell, params: Mapping[str, Array]) -> list[Array]:
    """The cell's elementwise parameters, ready to broadcast over samples: (*M, 1, H) each."""
    return [p[..., None, :] for p in params["p"]] if cell.elementwise else []


def read(cell: Cell, states: Array) -> Array:
    """The states that the recurrent weights see, side by side: (T, S, *M, B, H) -> (T, *M, B, R*H)."""
    xp = namespace(states)
    parts = [states[:, cell.states.index(name)] for name in cell.reads]
    return parts[0] if len(parts) == 1 else xp.concatenate(parts, axis=-1)


def project_inputs(cell: Cell, params: Mapping[str, Array], x: Array, models: tuple[int, ...]) -> Array:
    """V x + b at every step (T, G, *M, B, H): one product per gate, outside the time loop."""
    xp = namespace(x)
    shape = (x.shape[0], len(cell.gates), *models, x.shape[-2], cell.hidden_size)
    pre = xp.empty(shape, dtype=params["W_hh"].dtype)
    for g, b in enumerate(params["b_h"]):
        pre[:, g] = b[..., None, :]
    for k, g in enumerate(range(len(cell.gates))[cell.driven]):
        pre[:, g] += linear(xp, x, params["W_xh"][k])
    return pre


