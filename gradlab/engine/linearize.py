"""The linearisation of a trajectory in chunks of steps: E and D of the state Jacobians E + D W."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..arrays import Array, Namespace, empty, exceeds, fused, quiet
from ..cells import Activation, Cell
from .steps import chunk_steps
from .trajectory import Places, Trajectory

# Closer than this to +-1, slopes come from the pre-activation, as the value has lost its digits; by bytes of a number.
# Elsewhere the value's rounding error makes a relative error of up to 2e-5 in single and 5e-12 in double precision.
SATURATED = {4: 1e-2, 8: 1e-4}
FEW = 1 / 64  # share of places up to which pre-activations are computed there alone


@dataclass(frozen=True)
class Linearization:
    """E and D of steps start+1 ... stop: the elementwise partial derivatives that every Jacobian consists of.

    every: 1, or of which of the steps, counted from the first, alone.
    carry: (new state, state) -> dF/d state, (C, *M, B, H).
    gates: new state -> (slice of the cell's gates and elementwise parameters, dF/d pre-activation (n, C, *M, B, H)).
    slopes: phi' of each gate's engine-applied nonlinearity (C, *M, B, H), None where it is 1.
    middle_carry, middle_gates: what a late gate's weights see, by state and, slopes included, by gate (C, *M, B, H).
    """

    start: int
    stop: int
    carry: Mapping[tuple[int, int], Array]
    gates: Mapping[int, tuple[slice, Array]]
    slopes: list[Array | None]
    every: int = 1
    middle_carry: Mapping[int, Array] = field(default_factory=dict)
    middle_gates: Mapping[int, Array] = field(default_factory=dict)

    @property
    def steps(self) -> slice:
        """The steps' indices."""
        return slice(self.start, self.stop, self.every)

    def __len__(self) -> int:
        return len(range(self.start, self.stop, self.every))

    def part(self, start: int, stop: int) -> Linearization:
        """Its steps start+1 ... stop alone."""
        if (start, stop) == (self.start, self.stop):
            return self
        steps = slice(start - self.start, stop - self.start)
        carry = {key: e[steps] for key, e in self.carry.items()}
        gates = {s: (span, d[:, steps]) for s, (span, d) in self.gates.items()}
        slopes = [None if s is None else s[steps] for s in self.slopes]
        middle = ({key: d[steps] for key, d in part.items()} for part in (self.middle_carry, self.middle_gates))
        return Linearization(start, stop, carry, gates, slopes, 1, *middle)


def linearizations(traj: Trajectory, chunk: int | None = None, every: int = 1) -> Iterator[Linearization]:
    """The linearisation in chunks of steps (by default as many as fit the cache), the last chunk first.

    every: of which of the steps alone, counted from the first.
    """
    reach = (chunk or chunk_steps(traj.states)) * every
    for start in reversed(range(0, traj.steps, reach)):
        yield linearize(traj, start, min(start + reach, traj.steps), every)


def linearize(traj: Trajectory, start: int, stop: int, every: int = 1) -> Linearization:
    """E and D of steps start+1 ... stop, or of every second, third ... of them."""
    steps, states = slice(start, stop, every), traj.cell.states
    shape = traj.gate_inputs[steps, 0].shape
    with quiet():
        columns: dict[str, dict[str, Any]] = {s: {} for s in states}
        carry: dict[tuple[int, int], Array] = {}
        for (row, column), value in partials(traj.cell, traj.xp, traj.arguments(steps)).items():
            if column in states:
                carry[states.index(row), states.index(column)] = _full(traj, value, shape)
            else:
                columns[row][column] = value
        slopes = [_slope(traj, g, steps) for g in range(len(traj.cell.gates))]
        inner = _with_factor(traj, slopes, steps)
        gates = {states.index(s): _stack(traj, c, inner, shape) for s, c in columns.items() if c}
        middle = _middle(traj, steps, slopes, shape) if traj.cell.late else ({}, {})
    return _of_own_steps(traj, _held(traj, Linearization(start, stop, carry, gates, slopes, every, *middle)))


def _middle(
    traj: Trajectory, steps: slice, slopes: list[Array | None], shape: tuple[int, ...]
) -> tuple[dict[int, Array], dict[int, Array]]:
    """dq / d state, and dq / d pre-activation of each gate, of what a late gate's weights see."""
    cell, xp = traj.cell, traj.xp
    by_state, by_gate = {}, {}
    for name, value in cell.middle_partials(xp, *traj.middle_arguments(steps)).items():
        if name in cell.states:
            by_state[cell.states.index(name)] = _full(traj, value, shape)
        else:
            g = cell.gates.index(name)
            slope = slopes[g]
            by_gate[g] = _full(traj, value if slope is None else value * slope, shape)
    return by_state, by_gate


def gate_slopes(traj: Trajectory, lin: Linearization) -> list[tuple[Array | None, Activation]]:
    """Each gate's phi' over a chunk of steps (C, *M, B, H), None where it is 1, and its activation."""
    slopes = list(zip(lin.slopes, traj.cell.nonlinearities, strict=True))
    for name, (a, phi) in traj.completed(lin.steps).items():
        slopes[traj.cell.gates.index(name)] = (phi.slope(traj.xp, a), phi)
    return slopes


def _stack(
    traj: Trajectory, columns: Mapping[str, Any], slopes: list[Array | None], shape: tuple[int, ...]
) -> tuple[slice, Array]:
    """One state's partials side by side, times the gates' slopes; gaps between its gates are zero."""
    cell, xp = traj.cell, traj.xp
    names = (*cell.gates, *cell.elementwise)
    used = sorted(names.index(c) for c in columns)
    span = slice(used[0], used[-1] + 1)
    if len(used) == 1 and used[0] < len(slopes) and _is_one(columns[names[used[0]]]):
        alone = slopes[used[0]]
        if alone is not None:
            return span, alone[None]
    stacked = empty(xp, (span.stop - span.start, *shape), traj.states.dtype)
    for row, name in zip(stacked, names[span], strict=True):
        slope = slopes[names.index(name)] if name in cell.gates else None
        if name not in columns:
            row[...] = 0
        elif slope is None:
            row[...] = columns[name]
        else:
            xp.multiply(slope, columns[name], out=row)
    return span, stacked


def _slope(traj: Trajectory, g: int, steps: slice) -> Array | None:
    """phi' of gate g's engine-applied nonlinearity, None where it is 1."""

    def pre(places: Places | None) -> Array:
        return traj.pre[steps, g] if places is None else traj.pre_at(g, steps, places)

    return slope_at(traj.xp, traj.cell.nonlinearities[g], traj.gate_inputs[steps, g], pre)


def slope_at(xp: Namespace, phi: Activation, y: Array, pre: Callable[[Places | None], Array]) -> Array | None:
    """phi' where phi has the values y, None where it is 1; from y, but from `pre` where that loses digits.

    pre: the pre-activations at some places of y, or everywhere for None.
    """
    if phi.name == "identity":
        return None
    if phi.slope_from_value is None:
        return phi.slope(xp, pre(None))
    level = 1 - SATURATED[y.dtype.itemsize]
    if not (phi.saturates and exceeds(y, level)):
        return phi.slope_from_value(xp, y)
    places = xp.nonzero(xp.abs(y) > level)
    if len(places[0]) > FEW * y.size:
        return phi.slope(xp, pre(None))
    slope = phi.slope_from_value(xp, y)
    slope[places] = phi.slope(xp, pre(places))
    return slope


def known(pre: Array) -> Callable[[Places | None], Array]:
    """What `slope_at` asks for where all pre-activations are at hand."""
    return lambda places: pre if places is None else pre[places]


def _with_factor(traj: Trajectory, slopes: list[Array | None], steps: slice) -> list[Array | None]:
    """d of what `step` receives by each pre-activation: the slopes, the candidate's times its factor."""
    if traj.candidate_factor is None:
        return slopes
    candidate, factor = traj.cell.gates.index(traj.cell.candidate), traj.candidate_factor[steps]
    slope = slopes[candidate]
    return [*slopes[:candidate], factor if slope is None else factor * slope, *slopes[candidate + 1 :]]


def _held(traj: Trajectory, lin: Linearization) -> Linearization:
    """hold I + (1 - hold) J, row by row, where states are held."""
    if traj.hold is None:
        return lin
    hold = traj.hold[lin.steps]
    carry = {(row, column): (1 - hold[:, row]) * e for (row, column), e in lin.carry.items()}
    for s in range(len(traj.cell.states)):
        carry[s, s] = carry[s, s] + hold[:, s] if (s, s) in carry else hold[:, s]
    gates = {s: (span, (1 - hold[:, s]) * d) for s, (span, d) in lin.gates.items()}
    return replace(lin, carry=carry, gates=gates)


def _of_own_steps(traj: Trajectory, lin: Linearization) -> Linearization:
    """The identity where a step lies beyond its sample's length."""
    lengths = traj.lengths[lin.steps]
    if not lengths.padded:
        return lin
    diagonal = {(s, s) for s in range(len(traj.cell.states))}
    nothing = traj.xp.zeros(traj.gate_inputs[lin.steps, 0].shape, dtype=traj.states.dtype)
    carry = {
        key: lengths.keep(lin.carry.get(key, nothing), 1.0 if key in diagonal else 0.0)
        for key in diagonal | set(lin.carry)
    }
    gates = {s: (span, lengths.keep(d)) for s, (span, d) in lin.gates.items()}
    return replace(lin, carry=carry, gates=gates)


def partials(cell: Cell, xp: Namespace, arguments: list[Array]) -> dict[tuple[str, str], Any]:
    """The cell's partial derivatives by (new state, argument); those that are arrays come from one kernel on CuPy."""
    one = [a[:1, ..., :1, :1] if a.ndim > 2 else a[..., :1, :1] for a in arguments]
    pattern = _joined(cell, xp, *one)
    arrays = tuple(key for key, value in pattern.items() if not _is_number(value))
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
        values = _joined(self.cell, xp, *arguments)
        return tuple(values[key] for key in self.keys)


def _full(traj: Trajectory, value: Any, shape: tuple[int, ...]) -> Array:
    """A partial derivative over all steps and samples, which a cell may give as a number or per unit alone."""
    if _is_number(value):
        return traj.xp.full(shape, value, dtype=traj.states.dtype)
    return value if value.shape == shape else traj.xp.broadcast_to(value, shape)


def _is_number(value: Any) -> bool:
    """Whether a partial derivative is one number, as NumPy's scalars are, too."""
    return getattr(value, "shape", ()) == ()


def _is_one(value: Any) -> bool:
    return _is_number(value) and bool(value == 1)
