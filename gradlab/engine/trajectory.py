"""What the forward pass recorded, and its linearisation in chunks of steps: E and D of the state Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..arrays import Array, Namespace, empty, fused, linear, namespace, quiet
from ..cells import Cell
from ..cells.activations import Activation

Views = list[Array]  # one array per step of a chunk
Plan = list[tuple[Callable[..., Array], Views, Views, Views]]  # function(left, right, out=out), in this order each step
CHUNK_BYTES = 2**19  # of one array over a chunk of steps; its dozen arrays stay near the cache
# closer than this to +-1, a slope computed from the value has lost digits; by bytes of a number
SATURATED = {4: 1e-3, 8: 1e-8}


@dataclass(frozen=True)
class Linearization:
    """E and D of steps start+1 ... stop: the elementwise partial derivatives that every Jacobian consists of.

    carry: (new state, state) -> dF/d state, (C, *M, B, H).
    gates: new state -> (slice of the cell's gates and elementwise parameters, dF/d pre-activation (n, C, *M, B, H)).
    slopes: phi' of each gate's engine-applied nonlinearity (C, *M, B, H), None where it is 1.
    """

    start: int
    stop: int
    carry: Mapping[tuple[int, int], Array]
    gates: Mapping[int, tuple[slice, Array]]
    slopes: list[Array | None]

    def part(self, start: int, stop: int) -> Linearization:
        """Its steps start+1 ... stop alone."""
        if (start, stop) == (self.start, self.stop):
            return self
        steps = slice(start - self.start, stop - self.start)
        carry = {key: e[steps] for key, e in self.carry.items()}
        gates = {s: (span, d[:, steps]) for s, (span, d) in self.gates.items()}
        return Linearization(start, stop, carry, gates, [None if s is None else s[steps] for s in self.slopes])


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
    beyond a sample's length are the identity. finite: whether every number is known to be finite.
    """

    cell: Cell
    params: dict[str, Array]
    x: Array
    states: Array
    gate_inputs: Array
    lengths: Array | None = None
    finite: bool = False

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
        pre = self.xp.empty(self.gate_inputs.shape, dtype=self.states.dtype)
        input_projection(self.cell, self.params, self.x, [1.0] * len(self.cell.gates))(slice(None), pre)
        r = read(self.cell, self.states[:-1])
        for k, g in enumerate(range(len(self.cell.gates))[self.cell.recurrent]):
            pre[:, g] += linear(self.xp, r, self.params["W_hh"][k])
        return pre

    @cached_property
    def gates(self) -> Array:
        """Gate values (T, G, *M, B, H) after each gate's nonlinearity, those that `step` applies itself included."""
        return self.xp.stack(self.gate_values(slice(None)), axis=1)

    def gate_values(self, steps: slice) -> list[Array]:
        """Each gate's values over a range of steps, (C, *M, B, H)."""
        completed = self._completed(steps)
        return [
            completed[name][1].value(self.xp, completed[name][0]) if name in completed else self.gate_inputs[steps, g]
            for g, name in enumerate(self.cell.gates)
        ]

    def gate_slopes(self, lin: Linearization) -> list[tuple[Array | None, Activation]]:
        """Each gate's phi' over a chunk of steps (C, *M, B, H), None where it is 1, and its activation."""
        completed = self._completed(slice(lin.start, lin.stop))
        found = list(zip(lin.slopes, self.cell.nonlinearities, strict=True))
        for name, (a, phi) in completed.items():
            found[self.cell.gates.index(name)] = (phi.slope(self.xp, a), phi)
        return found

    def _completed(self, steps: slice) -> Mapping[str, tuple[Array, Activation]]:
        if type(self.cell).completed is Cell.completed:
            return {}
        with quiet():
            return self.cell.completed(self.xp, *self._arguments(steps))

    @cached_property
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

    def linearizations(self, chunk: int | None = None) -> Iterator[Linearization]:
        """The linearisation in chunks of steps (by default as many as fit the cache), the last chunk first."""
        chunk = chunk or chunk_steps(self.states)
        for start in reversed(range(0, self.steps, chunk)):
            yield self.linearize(start, min(start + chunk, self.steps))

    def linearize(self, start: int, stop: int) -> Linearization:
        """E and D of steps start+1 ... stop."""
        steps, states = slice(start, stop), self.cell.states
        with quiet():
            found = partials(self.cell, self.xp, self._arguments(steps))
            columns: dict[str, dict[str, Any]] = {s: {} for s in states}
            carries: dict[tuple[int, int], Any] = {}
            for (row, column), value in found.items():
                if column in states:
                    carries[states.index(row), states.index(column)] = value
                else:
                    columns[row][column] = value
            slopes = [self._slope(g, steps) for g in range(len(self.cell.gates))]
            gates = {states.index(s): self._stack(c, slopes, steps) for s, c in columns.items() if c}
            shape = self.gate_inputs[steps, 0].shape
            carry = {key: _full(self.states, value, shape) for key, value in carries.items()}
        return self._masked(Linearization(start, stop, carry, gates, slopes))

    def _stack(self, columns: Mapping[str, Any], slopes: list[Array | None], steps: slice) -> tuple[slice, Array]:
        """One state's partials side by side, times the gates' slopes; gaps between its gates are zero."""
        names = (*self.cell.gates, *self.cell.elementwise)
        used = sorted(names.index(c) for c in columns)
        span = slice(used[0], used[-1] + 1)
        if len(used) == 1 and used[0] < len(slopes) and _is_one(columns[names[used[0]]]):
            alone = slopes[used[0]]
            if alone is not None:
                return span, alone[None]
        shape = self.gate_inputs[steps, 0].shape
        stacked = empty(self.xp, (span.stop - span.start, *shape), self.states.dtype)
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
        lost = activation.saturates and exceeds(y, 1 - SATURATED[y.dtype.itemsize])
        if activation.slope_from_value is None or lost:
            return activation.slope(self.xp, self.pre[steps, g])
        return activation.slope_from_value(self.xp, y)

    def _arguments(self, steps: slice) -> list[Array]:
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
        nothing = xp.zeros(self.gate_inputs[lin.start : lin.stop, 0].shape, dtype=self.states.dtype)
        carry = {
            key: xp.where(alive, lin.carry.get(key, nothing), one if key in diagonal else zero)
            for key in diagonal | set(lin.carry)
        }
        gates = {s: (span, xp.where(alive, d, zero)) for s, (span, d) in lin.gates.items()}
        return Linearization(lin.start, lin.stop, carry, gates, lin.slopes)


def partials(cell: Cell, xp: Namespace, arguments: list[Array]) -> dict[tuple[str, str], Any]:
    """The cell's partial derivatives by (new state, argument); those that are arrays come from one kernel on CuPy."""
    one = [a[:1, ..., :1, :1] if a.ndim > 2 else a[..., :1, :1] for a in arguments]
    pattern = _joined(cell, xp, *one)
    arrays = tuple(key for key, value in pattern.items() if hasattr(value, "shape"))
    values = fused(xp, _Selected(cell, arrays))(*arguments) if arrays else ()
    return pattern | dict(zip(arrays, values, strict=True))


def _joined(cell: Cell, xp: Namespace, *arguments: Array) -> dict[tuple[str, str], Any]:
    return {key: value for mapping in cell.partials(xp, *arguments) for key, value in mapping.items()}


@dataclass(frozen=True)
class _Selected:
    """Some partial derivatives of a cell as a tuple, which is what a fused kernel can return."""

    cell: Cell
    keys: tuple[tuple[str, str], ...]

    def __call__(self, xp: Namespace, *arguments: Array) -> tuple[Array, ...]:
        found = _joined(self.cell, xp, *arguments)
        return tuple(found[key] for key in self.keys)


def _full(like: Array, value: Any, shape: tuple[int, ...]) -> Array:
    """A partial derivative as an array, which a cell may give as a number."""
    return value if hasattr(value, "shape") else namespace(like).full(shape, value, dtype=like.dtype)


def _is_one(value: Any) -> bool:
    return not hasattr(value, "shape") and value == 1


def exceeds(values: Array, level: float) -> bool:
    """Whether |values| exceeds `level` or is NaN anywhere; two reductions are much faster than a comparison or abs."""
    if abs(float(values[(0,) * values.ndim])) > level:  # often the first one tells
        return True
    return not (float(values.max()) <= level and float(values.min()) >= -level)


def chunk_steps(states: Array) -> int:
    """How many steps the loops treat together: 8 to 64, as many as fit the cache."""
    return int(min(64, max(8, CHUNK_BYTES // (states[0, 0].size * states.dtype.itemsize))))


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


def input_projection(
    cell: Cell, params: Mapping[str, Array], x: Array, factors: list[float]
) -> Callable[[slice, Array], None]:
    """(steps, gates) -> None, writing factor * (V x + b) of those steps into gates (T, G, *M, B, H).

    The bias is the weight of a constant input, so that one product per gate does it all.
    """
    xp = namespace(x)
    with_one = xp.concatenate([x, xp.ones_like(x[..., :1])], axis=-1)
    weights = []
    driven = range(len(cell.gates))[cell.driven]
    for g, factor in enumerate(factors):
        b = params["b_h"][g][..., None]
        v = params["W_xh"][driven.index(g)] if g in driven else xp.zeros((*b.shape[:-1], x.shape[-1]), dtype=b.dtype)
        weights.append(xp.ascontiguousarray(xp.swapaxes(factor * xp.concatenate([v, b], axis=-1), -1, -2)))

    def project(steps: slice, gates: Array) -> None:
        for g, w in enumerate(weights):
            xp.matmul(with_one[steps], w, out=gates[steps, g])

    return project


def by_step(columns: Array) -> Views:
    """(n, C, *M, B, H) -> C views, each (n, *M, B, H), or (*M, B, H) for a single column."""
    return list(columns[0]) if len(columns) == 1 else [columns[:, i] for i in range(columns.shape[1])]
