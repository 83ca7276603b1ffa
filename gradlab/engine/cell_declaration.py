"""What a cell declares, checked in words before any derivative is compared by value.

Names and slices; `step`, `partials` and `completed` on arrays as a fused kernel sees them, for their keys, shapes and
types; `weights` and `pull_back` for theirs. Whatever is wrong raises CellCheckError: what was expected, what came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..cells import Activation, Cell
from .tracing import ELEMENTWISE, NotElementwise, Traced

STEPS, SAMPLES, UNITS = 4, 2, 5  # of the arrays that the elementwise functions are tried on
MODELS = ((), (3,))
DTYPE = np.dtype("float32")  # in which a float64 that comes from the cell itself shows


class CellCheckError(AssertionError):
    """A cell's declaration is not what the engine expects, or its derivatives do not agree with its step."""


def check_declaration(cell: Cell) -> None:
    """Raise CellCheckError for the first thing that is wrong with what a cell declares."""
    _check_names(cell)
    _check_references(cell)
    _check_slices(cell)
    _check_late_gate(cell)
    _check_nonlinearities(cell)
    for models in MODELS:
        _check_step(cell, models)
        _check_partials(cell, models)
        _check_completed(cell, models)
        _check_late(cell, models)
        _check_weights(cell, models)


def expect(cell: Cell, holds: bool, what: str, expected: str, got: Any) -> None:
    """Raise CellCheckError unless it holds."""
    if not holds:
        raise CellCheckError(f"{type(cell).__name__}: {what}: expected {expected}, got {got}")


def makes_weights(cell: Cell) -> bool:
    """Whether a cell makes the recurrence's weights from its parameters."""
    return type(cell).weights is not Cell.weights or type(cell).pull_back is not Cell.pull_back


# names


def _check_names(cell: Cell) -> None:
    """Of the cell, its states, gates and elementwise parameters."""
    for what in ("name", "title"):
        value = getattr(cell, what, None)
        expect(cell, isinstance(value, str) and bool(value), what, "a text", repr(value))
    for what, least in (("states", 1), ("gates", 1), ("elementwise", 0)):
        names = getattr(cell, what, None)
        right = isinstance(names, tuple) and len(names) >= least and all(isinstance(n, str) for n in names)
        expect(cell, right, what, f"a tuple of {'one or more ' if least else ''}names such as ('h',)", repr(names))
    every = [*cell.states, *cell.gates, *cell.elementwise, "carry"]
    twice = sorted({name for name in every if every.count(name) > 1})
    what = "states, gates and elementwise"
    expect(cell, not twice, what, "names that differ, from 'carry' too", f"{', '.join(twice)} twice")


def _check_references(cell: Cell) -> None:
    """Names that stand for a state or a gate."""
    reads = cell.reads if isinstance(cell.reads, tuple) else ()
    right = bool(reads) and set(reads) <= set(cell.states) and len(set(reads)) == len(reads)
    expect(cell, right, "reads", f"a tuple of one or more of the states {_listed(cell.states)}", repr(cell.reads))
    gates = f"one of the gates {_listed(cell.gates)}"
    candidate = getattr(cell, "candidate", None)
    expect(cell, candidate in cell.gates, "candidate", gates, repr(candidate))
    for what in ("forget_gate", "input_gate"):
        name = getattr(cell, what)
        expect(cell, name in (None, *cell.gates), what, f"None or {gates}", repr(name))
    for name in cell.roles:
        expect(cell, name in cell.gates, "roles", gates, repr(name))


def _check_slices(cell: Cell) -> None:
    """Which gates the input drives and which the recurrent weights feed."""
    count = len(cell.gates)
    for what in ("driven", "recurrent"):
        value = getattr(cell, what)
        bounds = (value.start, value.stop) if isinstance(value, slice) else ("none",)
        right = all(b is None or (isinstance(b, int) and -count <= b <= count) for b in bounds)
        expect(cell, right, what, f"a slice of the {count} gates {_listed(cell.gates)}", repr(value))


def _check_late_gate(cell: Cell) -> None:
    """That a late gate is the last one, recurrent, and sees as much as the others do."""
    expect(cell, isinstance(cell.late, bool), "late", "True or False", repr(cell.late))
    if cell.late:
        last = cell.recurrent.indices(len(cell.gates))[1] == len(cell.gates)
        expect(cell, last, "late", "a last gate that the recurrent weights feed", f"recurrent = {cell.recurrent}")
        expect(cell, len(cell.reads) == 1, "late", "weights that read one state", repr(cell.reads))


def _check_nonlinearities(cell: Cell) -> None:
    expected = f"a tuple of {len(cell.gates)} activations, one for each of the gates {_listed(cell.gates)}"
    values = _called(cell, "nonlinearities", lambda: cell.nonlinearities)
    right = isinstance(values, tuple | list) and len(values) == len(cell.gates)
    right = right and all(isinstance(phi, Activation) for phi in values)
    expect(cell, right, "nonlinearities", expected, repr(values))


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)


# elementwise functions


def _check_step(cell: Cell, models: tuple[int, ...]) -> None:
    gates, states, p = _arguments(cell, models, 1)
    names = (*cell.gates, *cell.states, *cell.elementwise)
    result = _called(cell, f"step(xp, {_listed(names)})", lambda: cell.step(ELEMENTWISE, *gates, *states, *p))
    expected = f"a tuple of {len(cell.states)} arrays, the new {_listed(cell.states)}"
    expect(cell, isinstance(result, tuple), "step", expected, _described(result))
    expect(cell, len(result) == len(cell.states), "step", expected, f"a tuple of {len(result)}")
    for name, value in zip(cell.states, result, strict=True):
        _check_array(cell, f"step, the new {name}", value, [gates[0].values.shape])
    if cell.state_is_gate:
        same = len(names) == 2 and np.array_equal(result[0].values, gates[0].values)
        what, expected = "state_is_gate", "False, or a step that returns its only gate as its only state"
        expect(cell, same, what, expected, "True, and the engine would leave step out")


def _check_partials(cell: Cell, models: tuple[int, ...]) -> None:
    """Their keys, and each value: a number, or an array of every step and sample or per unit alone."""
    (gates, states, p), new = _arguments(cell, models, STEPS), _arguments(cell, models, STEPS)[1]
    names = (*cell.gates, *cell.states, *(f"{s}_new" for s in cell.states), *cell.elementwise)
    signature = f"partials(xp, {_listed(names)})"
    result = _called(cell, signature, lambda: cell.partials(ELEMENTWISE, *gates, *states, *new, *p))
    right = isinstance(result, tuple) and all(isinstance(mapping, Mapping) for mapping in result)
    expect(cell, right, "partials", "a tuple of mappings, (by gates, by states[, by p])", _described(result))
    arguments, seen = (*cell.gates, *cell.states, *cell.elementwise), set()
    keys = f"keys (new state, argument), of {_listed(cell.states)} and of {_listed(arguments)}"
    full = gates[0].values.shape
    for key, value in ((key, value) for mapping in result for key, value in mapping.items()):
        right = isinstance(key, tuple) and len(key) == 2 and key[0] in cell.states and key[1] in arguments
        expect(cell, right, "partials", keys, repr(key))
        expect(cell, key not in seen, "partials", "each key once", f"{key!r} twice")
        seen.add(key)
        if not _is_number(value):
            what = f"partials, d {key[0]} / d {key[1]}"
            _check_array(cell, what, value, [full, (*models, 1, UNITS)], "a number, or ")


def _check_completed(cell: Cell, models: tuple[int, ...]) -> None:
    """gate -> (pre-activation, activation)."""
    (gates, states, p), new = _arguments(cell, models, STEPS), _arguments(cell, models, STEPS)[1]
    result = _called(cell, "completed", lambda: cell.completed(ELEMENTWISE, *gates, *states, *new, *p))
    expect(cell, isinstance(result, Mapping), "completed", "a mapping of gates", _described(result))
    for name, pair in result.items():
        expect(cell, name in cell.gates, "completed", f"one of the gates {_listed(cell.gates)}", repr(name))
        right = isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Activation)
        expect(cell, right, f"completed, {name}", "(pre-activation, activation)", _described(pair))
        _check_array(cell, f"completed, {name}", pair[0], [gates[0].values.shape])


def _check_late(cell: Cell, models: tuple[int, ...]) -> None:
    """What a late gate's weights see, and its derivatives: keys, shapes, types."""
    if not cell.late:
        return
    names = (*cell.gates[:-1], *cell.states)
    gates, states, _ = _arguments(cell, models, STEPS)
    given, shape = [*gates[:-1], *states], [gates[0].values.shape]
    seen = _called(cell, f"middle(xp, {_listed(names)})", lambda: cell.middle(ELEMENTWISE, *given))
    _check_array(cell, "middle", seen, shape)
    others = _called(cell, "middle_partials", lambda: cell.middle_partials(ELEMENTWISE, *given))
    expect(cell, isinstance(others, Mapping), "middle_partials", "a mapping of names", _described(others))
    for name, value in others.items():
        expect(cell, name in names, "middle_partials", f"names of {_listed(names)}", repr(name))
        if not _is_number(value):
            _check_array(cell, f"middle_partials, by {name}", value, [*shape, (*models, 1, UNITS)], "a number, or ")


def _arguments(cell: Cell, models: tuple[int, ...], steps: int) -> tuple[list[Traced], list[Traced], list[Traced]]:
    """Gates, states and elementwise parameters; one step has no axis for it."""
    rng, size = np.random.default_rng(0), (*((steps,) if steps > 1 else ()), *models, SAMPLES, UNITS)

    def drawn(count: int, shape: tuple[int, ...]) -> list[Traced]:
        return [Traced(rng.uniform(0.1, 0.9, shape).astype(DTYPE), given=True) for _ in range(count)]

    return (
        drawn(len(cell.gates), size),
        drawn(len(cell.states), size),
        drawn(len(cell.elementwise), (*models, 1, UNITS)),
    )


def _called(cell: Cell, what: str, function: Callable[[], Any]) -> Any:
    """What a function of the cell returns; CellCheckError for whatever it raises."""
    try:
        return function()
    except NotElementwise as error:
        text = "it may use operators and elementwise functions of xp only, as one kernel runs it on a GPU"
        raise CellCheckError(f"{type(cell).__name__}: {what} {error}; {text}") from None
    except Exception as error:  # a cell's own code may raise anything
        raise CellCheckError(f"{type(cell).__name__}: {what} raised {type(error).__name__}: {error}") from error


def _check_array(cell: Cell, what: str, value: Any, shapes: list[tuple[int, ...]], more: str = "") -> None:
    """Raise CellCheckError unless it is an array of one of the shapes, in the precision of the arguments."""
    expected = f"{more}an array made from the arguments, of shape {' or '.join(map(str, shapes))}"
    expect(cell, isinstance(value, Traced), what, expected, _described(value))
    expect(cell, value.values.shape in shapes, what, expected, f"shape {value.values.shape}")
    single = f"the arguments' {DTYPE} (Python's numbers keep it, NumPy's do not)"
    expect(cell, value.dtype == DTYPE, what, single, value.dtype)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _described(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Traced):
        return f"an array of shape {value.values.shape}"
    if isinstance(value, np.ndarray):
        return f"an array of its own of shape {value.shape}"
    text = repr(value)
    return text if _is_number(value) or value is None else f"{type(value).__name__} {text[:40]}"


# made weights


def _check_weights(cell: Cell, models: tuple[int, ...]) -> None:
    """What `weights` and `pull_back` return, that each model's is its own, and that the second is linear in `grads`."""
    if not makes_weights(cell):
        return
    params, grads = drawn_parameters(cell, models, 0), drawn_parameters(cell, models, 1)
    made, pulled = _made(cell, "weights", params), _made(cell, "pull_back", params, grads)
    for m in range(math.prod(models) if models else 0):
        one, own = ({name: array[:, m] for name, array in group.items()} for group in (params, grads))
        for what, whole, alone in (("weights", made, (one,)), ("pull_back", pulled, (one, own))):
            same = _agree({n: a[:, m] for n, a in whole.items()}, _made(cell, what, *alone))
            expected = "each model made from its own parameters (swapaxes(-1, -2) and not .T)"
            expect(cell, same, f"{what} with model axes", expected, f"another result for model {m} than without")
    twice = _made(cell, "pull_back", params, {name: 2 * g for name, g in grads.items()})
    linear = _agree(twice, {name: 2 * g for name, g in pulled.items()})
    expect(cell, linear, "pull_back", "a linear function of grads", "not twice the result for twice the grads")


def drawn_parameters(cell: Cell, models: tuple[int, ...], seed: int, dtype: Any = DTYPE) -> dict[str, np.ndarray]:
    """Standard normal numbers in the place of the parameters, or of their gradients."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(n, *models, *shape)).astype(dtype) for name, (n, shape) in cell.shapes.items()}


def _made(cell: Cell, what: str, *groups: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a method makes of parameters (and gradients): arrays like the parameters. It has to leave those alone."""
    copies = [{name: array.copy() for name, array in group.items()} for group in groups]
    result = _called(cell, what, lambda: getattr(cell, what)(*copies))
    names = f"a mapping of {_listed(tuple(cell.shapes))}"
    expect(cell, isinstance(result, Mapping), what, names, _described(result))
    expect(cell, set(result) == set(cell.shapes), what, names, _listed(tuple(result)) or "none")
    for name, like in groups[0].items():
        expected, got = _signature(like), _signature(result[name])
        expect(cell, got == expected, f"{what}, {name}", expected, got)
    pairs = zip(groups, copies, strict=True)
    changed = [name for group, copy in pairs for name in group if not np.array_equal(group[name], copy[name])]
    expect(cell, not changed, what, "arguments that are left as they are", f"{', '.join(changed)} changed in place")
    return dict(result)


def _signature(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return _described(value)
    return f"an array of shape {value.shape} and type {value.dtype}"


def _agree(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> bool:
    return all(np.allclose(found[name], expected[name], rtol=1e-4, atol=1e-5) for name in expected)
