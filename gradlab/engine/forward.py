"""Forward through time: cell, parameters and inputs -> Trajectory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from ..arrays import (
    BATCH_FIRST,
    Array,
    Namespace,
    empty,
    fused,
    namespace,
    quiet,
    require_namespace,
    require_shape,
    require_type,
)
from ..cells import Cell
from ..cells.activations import Identity
from ..errors import InputError
from .lengths import Lengths
from .step_product import StepProduct
from .steps import Plan, Views, by_step, carry_out, chunk_steps
from .threads import few_threads
from .trajectory import Trajectory, elementwise, input_projection


def unroll(
    cell: Cell,
    params: Mapping[str, Array],
    x: Array,
    initial_state: Array | None = None,
    lengths: Array | None = None,
    hold: Array | None = None,
    candidate_factor: Array | None = None,
) -> Trajectory:
    """Run the cell over x (T, *M, B, D) from initial_state (S, *M, B, H), zeros by default.

    x may lack the model axes (all models see one input) and, with shape (T, D), the sample axis (B = 1). lengths (B,)
    or (*M, B): steps beyond a sample's length leave its state as it is. hold (T, S, *M, B, H), from 0 to 1: the share
    of its old state that a unit keeps in place of the new one, as zoneout does. candidate_factor (T, *M, B, H): what
    the candidate's value is multiplied by, as recurrent dropout does; for cells that leave its nonlinearity to the
    engine. The dtype follows the parameters.
    The forward pass may overflow: `Trajectory.overflow` says where. Raises InputError for wrong shapes, by name.
    """
    models = cell.require(params)
    xp = namespace(params["W_hh"])
    require_namespace(xp, initial_state=initial_state, hold=hold, candidate_factor=candidate_factor)
    x, own = checked_inputs(cell, params, x, lengths)
    size = (*models, x.shape[-2], cell.hidden_size)
    states = empty(xp, (x.shape[0] + 1, len(cell.states), *size), params["W_hh"].dtype)
    states[0] = 0
    if initial_state is not None:
        _require_batch("initial_state", initial_state, (len(cell.states), *size), x)
        states[0] = initial_state
    drawn = _checked_factors(cell, hold, candidate_factor, x.shape[0], size, states.dtype)
    shared = cell.state_is_gate and not own.padded and not drawn
    gates = states[1:] if shared else empty(xp, (x.shape[0], len(cell.gates), *size), states.dtype)
    middle = empty(xp, (x.shape[0], *size), states.dtype) if cell.late else None
    traj = Trajectory(cell, dict(params), x, states, gates, own, middle=middle, **drawn)
    with quiet(), few_threads(traj.product_size):
        finite = _run(traj, shared)
    return replace(traj, finite=finite)


def checked_inputs(cell: Cell, params: Mapping[str, Array], x: Array, lengths: Array | None) -> tuple[Array, Lengths]:
    """x as (T, *M or 1s, B, D) in the parameters' dtype, zero beyond each sample's length, and the lengths.

    Raises InputError, by name, for what does not fit the cell.
    """
    models, like = cell.require(params), params["W_hh"]
    require_namespace(namespace(like), x=x, lengths=lengths, **params)
    require_type("x", x, "fiub", "real numbers")
    x = full_inputs(cell, x, models, like.dtype)
    own = checked_lengths(lengths, x, (*models, x.shape[-2]))
    return own.keep(x), own  # padding may hold anything, NaN too


def full_inputs(cell: Cell, x: Array, models: tuple[int, ...], dtype: Any) -> Array:
    """x as (T, *M or 1s, B, D) in `dtype`; InputError for a shape that is no input of the cell."""
    full = x[:, None] if x.ndim == 2 else x
    if full.ndim == 3:
        full = full.reshape(full.shape[0], *(1,) * len(models), *full.shape[1:])
    fits = full.ndim == 3 + len(models) and all(n in (1, m) for n, m in zip(full.shape[1:-2], models, strict=False))
    if not fits or full.shape[-1] != cell.input_size or 0 in full.shape:
        expected = ", ".join(["T", *map(str, models), "B", str(cell.input_size)])
        raise InputError(
            f"x: expected shape ({expected}), time first, the input features last; got {tuple(x.shape)}", "x"
        )
    return full.astype(dtype, copy=False)


def _checked_factors(
    cell: Cell, hold: Array | None, candidate_factor: Array | None, steps: int, size: tuple[int, ...], dtype: Any
) -> dict[str, Array]:
    """What is given of the two, in `dtype`; InputError for other shapes and values, and a cell that cannot take it."""
    found: dict[str, Array] = {}
    for name, array, shape in (
        ("hold", hold, (steps, len(cell.states), *size)),
        ("candidate_factor", candidate_factor, (steps, *size)),
    ):
        if array is not None:
            require_shape(name, array, shape)
            require_type(name, array, "f", "float32 or float64")
            found[name] = array.astype(dtype, copy=False)
    if hold is not None and not bool(((hold >= 0) & (hold <= 1)).all()):
        raise InputError("hold: expected shares from 0 to 1, of the old state that stays", "hold")
    if candidate_factor is not None:
        require_candidate(cell, "candidate_factor")
    return found


def require_candidate(cell: Cell, field: str) -> None:
    """Raise InputError, about `field`, unless the candidate's value is one gate's, as the engine hands it to `step`."""
    own = Identity()  # told from every other by being itself
    given = [
        name for name, phi in zip(cell.gates, replace(cell, activation=own).nonlinearities, strict=True) if phi is own
    ]
    if given != [cell.candidate]:
        text = f"the candidate of {cell.title} is no single gate's value that a factor could reach; use zoneout"
        raise InputError(f"{field}: {text}", field)


def _require_batch(name: str, array: Array, expected: tuple[int, ...], x: Array) -> None:
    """`require_shape`, with a hint where x looks as if its samples came first."""
    try:
        require_shape(name, array, expected)
    except InputError as error:
        axis = -2 if name == "initial_state" else -1
        batch_first = array.ndim >= -axis and array.shape[axis] == x.shape[0]
        raise InputError(f"{error}{f' ({BATCH_FIRST})' if batch_first else ''}", name) from None


def checked_lengths(lengths: Array | None, x: Array, size: tuple[int, ...]) -> Lengths:
    """The samples' lengths; InputError unless each is from 0 to T, and their shape (B,) or `size` (*M, B)."""
    if lengths is None:
        return Lengths()
    _require_batch("lengths", lengths, size if lengths.ndim > 1 else size[-1:], x)
    require_type("lengths", lengths, "iu", "whole numbers")
    if int(lengths.min()) < 0 or int(lengths.max()) > x.shape[0]:
        raise InputError(
            f"lengths: expected values from 0 to T={x.shape[0]}, got {int(lengths.min())} to {int(lengths.max())}",
            "lengths",
        )
    return Lengths.of(lengths, x.shape[0], len(size) - 1)


def _run(traj: Trajectory, shared: bool) -> bool:
    """The time loop: fills gate values (T, G, *M, B, H) and states; inputs are projected a chunk of steps ahead.

    shared: whether the gate values are the new states. Returns whether every number is finite, as far as sums of
    squares can tell.
    """
    xp, cell, states, gates = traj.xp, traj.cell, traj.states, traj.gate_inputs
    step, p = fused(xp, _Step(cell)), elementwise(cell, traj.weights)
    project, recur = input_projection(cell, traj.weights, traj.x), _recurrence(traj)
    chunk, finite = chunk_steps(states), True
    for start in range(0, traj.steps, chunk):
        steps = slice(start, min(start + chunk, traj.steps))
        project(steps, gates)
        gate, old, new = gates[steps], states[steps], states[start + 1 : steps.stop + 1]
        plan, activations = recur(old, gate), _activations(cell, gate, slice(0, len(cell.gates) - cell.late))
        arguments, targets = [*_columns(gate), *_columns(old)], _columns(new)
        late = _late_gate(traj, start, gate) if cell.late else _nothing
        candidate = cell.gates.index(cell.candidate)
        for i in range(len(gate)):
            carry_out(plan, i)
            for in_place, values in activations:
                in_place(xp, values[i])
            late(i, arguments)
            if shared:
                continue
            values = [a[i] for a in arguments]
            if traj.candidate_factor is not None:
                values[candidate] = traj.candidate_factor[start + i] * values[candidate]
            for target, value in zip(targets, step(*values, *p), strict=True):
                target[i] = value
            if traj.hold is not None:
                kept = traj.hold[start + i]
                new[i] = kept * old[i] + (1 - kept) * new[i]
            if traj.lengths.padded:
                within = traj.lengths[start + i]
                new[i], gate[i] = within.keep(new[i], old[i]), within.keep(gate[i])
        filled = [new] if shared else [gate, new]
        finite = finite and all(bool(xp.isfinite(xp.dot(flat, flat))) for flat in (a.reshape(-1) for a in filled))
    return finite


def _columns(arrays: Array) -> list[Array]:
    """(C, n, ...) -> n arrays (C, ...)."""
    return [arrays[:, n] for n in range(arrays.shape[1])]


@dataclass(frozen=True)
class _Step:
    """A cell's step as a function that compares equal for equal cells, so that its kernel is made once."""

    cell: Cell

    def __call__(self, xp: Namespace, *arrays: Array) -> tuple[Array, ...]:
        return self.cell.step(xp, *arrays)


def _recurrence(traj: Trajectory) -> Callable[[Array, Array], Plan]:
    """(old states, pre-activations) of a chunk -> what adds W r to the pre-activations of the recurrent gates."""
    xp, cell, states = traj.xp, traj.cell, traj.states
    own = traj.weights["W_hh"][: len(cell.gates[cell.early])]
    if not len(own):
        return lambda old, pre: []
    weights = xp.stack([xp.swapaxes(w, -1, -2) for w in own])
    products = empty(xp, (len(weights), *states.shape[2:]), states.dtype)
    if len(weights) == 1:
        weights, products = weights[0], products[0]
    product = StepProduct(xp, states.shape[-2], weights)
    out = product.target(products)

    def plan(old: Array, pre: Array) -> Plan:
        copies, reads = _reads(cell, old)
        steps, fed = len(old), by_step(xp.swapaxes(pre, 0, 1)[cell.early])
        rows, summand = [product.factor(r) for r in reads], [products] * steps
        multiplied = (product.multiply, rows, [product.weights] * steps, [out] * steps)
        return [*copies, multiplied, (xp.add, fed, summand, fed)]

    return plan


def _reads(cell: Cell, old: Array) -> tuple[Plan, Views]:
    """The states that the weights see at each step of a chunk, and what copies several of them side by side."""
    columns, h, steps = [cell.states.index(name) for name in cell.reads], cell.hidden_size, len(old)
    if len(columns) == 1:
        return [], list(old[:, columns[0]])
    xp = namespace(old)
    together = empty(xp, (*old.shape[2:-1], len(columns) * h), old.dtype)
    parts = [together[..., n * h : (n + 1) * h] for n in range(len(columns))]
    copies: Plan = [
        (xp.add, list(old[:, s]), [0.0] * steps, [part] * steps) for s, part in zip(columns, parts, strict=True)
    ]
    return copies, [together] * steps


def _nothing(i: int, arguments: list[Array]) -> None:
    """A cell without a late gate."""


@dataclass(frozen=True)
class _Middle:
    """A cell's `middle` as a function that compares equal for equal cells, so that its kernel is made once."""

    cell: Cell

    def __call__(self, xp: Namespace, *arrays: Array) -> tuple[Array, ...]:
        return (self.cell.middle(xp, *arrays),)


def _late_gate(traj: Trajectory, start: int, gate: Array) -> Callable[[int, list[Array]], None]:
    """(step of the chunk, gates and states of the chunk) -> None, completing the late gate from the others."""
    xp, cell, count, middle = traj.xp, traj.cell, len(traj.cell.gates), traj.middle
    assert middle is not None
    make, own = fused(xp, _Middle(cell)), middle[start : start + len(gate)]
    product = StepProduct(xp, gate.shape[-2], xp.ascontiguousarray(xp.swapaxes(traj.weights["W_hh"][-1], -1, -2)))
    out = empty(xp, gate.shape[2:], gate.dtype)
    last, activations = _columns(gate)[-1], _activations(cell, gate, slice(count - 1, count))

    def complete(i: int, arguments: list[Array]) -> None:
        others = [a[i] for a in (*arguments[: count - 1], *arguments[count:])]
        (own[i],) = make(*others)
        product.multiply(product.factor(own[i]), product.weights, out=product.target(out))
        xp.add(last[i], out, out=last[i])
        for in_place, values in activations:
            in_place(xp, values[i])

    return complete


def _activations(cell: Cell, gates: Array, chosen: slice) -> list[tuple[Callable[[Namespace, Array], None], Views]]:
    """Nonlinearities and what they act on at each step of a chunk; neighbours with the same one in a single call."""
    columns, start = namespace(gates).swapaxes(gates, 0, 1), chosen.start
    calls: list[tuple[Callable[[Namespace, Array], None], Views]] = []
    for phi, group in groupby(cell.nonlinearities[chosen]):
        stop = start + len(list(group))
        calls.append((phi.in_place, by_step(columns[start:stop])))
        start = stop
    return calls
