"""A public check of a cell: what it declares, then each derivative by value, against differences and dense matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ..arrays import require_size, require_whole
from ..cells import Cell, make_cell
from .backward import bptt
from .cell_declaration import CellCheckError, check_declaration, drawn_parameters, makes_weights
from .forward import unroll
from .jacobian import jacobian
from .trajectory import Trajectory

STEP = 1e-5  # of the central differences: their error is about its square
RELATIVE, ABSOLUTE = 1e-6, 1e-8
Arrays = dict[str, np.ndarray]
Value = Callable[[Arrays], float]
MOST = 60  # entries of one array that are checked, at random beyond that


@dataclass(frozen=True)
class _Case:
    """One random trajectory with a random loss <loss, h> + <final, last states>."""

    cell: Cell
    arrays: Arrays  # parameters, x and initial_state
    loss: np.ndarray
    final: np.ndarray

    def unroll(self, arrays: Arrays) -> Trajectory:
        params = {name: arrays[name] for name in self.cell.shapes}
        return unroll(self.cell, params, arrays["x"], arrays["initial_state"])

    def value(self, arrays: Arrays) -> float:
        states = self.unroll(arrays).states
        return float((states[1:, 0] * self.loss).sum() + (states[-1] * self.final).sum())


def check_cell(cell: Cell | str, *, steps: int = 6, batch_size: int = 2, seed: int = 0) -> dict[str, float]:
    """Check a cell's declaration, partials, gradients, Jacobian products and norms; returns each check's largest error.

    cell: a Cell, or a registered name (then with 3 inputs and 5 units). What it declares comes first: names, keys,
    shapes, types, and that `step` and `partials` do what a fused kernel can. Then every partial derivative and every
    gradient is compared with central differences of `step` in float64, `pull_back` with those of `weights`, the
    operator's products with each other (<J u, v> = <u, J^T v>), the Frobenius norm with the dense matrix, the spectral
    norm with its SVD. Raises CellCheckError that says what was expected, or names the derivative; one wrong by 0.1 % is
    caught. A nonlinearity with kinks may cross one between the two sides of a difference, which looks like an error:
    try another seed.
    """
    require_size("steps", steps)
    require_size("batch_size", batch_size)
    require_whole(0, seed=seed)
    if isinstance(cell, str):
        cell = make_cell(cell, input_size=3, hidden_size=5)
    check_declaration(cell)
    case = _case(cell, steps, batch_size, np.random.default_rng(seed))
    errors: dict[str, float] = {}
    for name, found, expected in chain(
        *(check(case, seed) for check in (_partials, _middle, _made, _gradients, _operator))
    ):
        errors[name] = _compare(f"{cell!r}: {name}", found, expected)
    return errors


def _compare(name: str, found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference; raises CellCheckError where it is too large."""
    difference = np.abs(found - expected)
    wrong = ~(difference <= ABSOLUTE + RELATIVE * np.abs(expected))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise CellCheckError(f"{name} is wrong at {at}: got {found[at]:.9g}, expected {expected[at]:.9g}")
    return float(difference.max(initial=0.0))


def _case(cell: Cell, steps: int, batch_size: int, rng: np.random.Generator) -> _Case:
    shape = (batch_size, cell.hidden_size)
    arrays = cell.init(int(rng.integers(2**31)), bias_scale=0.3)
    arrays["x"] = rng.normal(size=(steps, batch_size, cell.input_size))
    arrays["initial_state"] = 0.5 * rng.normal(size=(len(cell.states), *shape))
    return _Case(cell, arrays, rng.normal(size=(steps, *shape)), rng.normal(size=(len(cell.states), *shape)))


def _partials(case: _Case, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each dF/d argument of one step against central differences, those declared absent included."""
    cell, traj = case.cell, case.unroll(case.arrays)
    gates, old, new = list(traj.gate_inputs[0]), list(traj.states[0]), list(traj.states[1])
    p = [row[None] + 0 * old[0] for row in traj.weights["p"]] if cell.elementwise else []
    declared: dict[tuple[str, str], object] = {}
    for mapping in cell.partials(np, *gates, *old, *new, *p):
        declared |= mapping
    names, arguments = (*cell.gates, *cell.states, *cell.elementwise), [*gates, *old, *p]
    for column, name in enumerate(names):
        before, after = arguments[:column], arguments[column + 1 :]
        above, below = (cell.step(np, *before, arguments[column] + h, *after) for h in (STEP, -STEP))
        differences = [(a - b) / (2 * STEP) for a, b in zip(above, below, strict=True)]
        for state, expected in zip(cell.states, differences, strict=True):
            found = declared.get((state, name), 0.0)
            yield f"d {state} / d {name}", np.broadcast_to(np.asarray(found), expected.shape), expected


def _middle(case: _Case, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each dq/d argument of what a late gate's weights see against central differences."""
    cell, traj = case.cell, case.unroll(case.arrays)
    if not cell.late:
        return
    arguments = [a[0] for a in traj.middle_arguments(slice(0, 1))]
    declared = cell.middle_partials(np, *arguments)
    for column, name in enumerate((*cell.gates[:-1], *cell.states)):
        before, after = arguments[:column], arguments[column + 1 :]
        above, below = (cell.middle(np, *before, arguments[column] + h, *after) for h in (STEP, -STEP))
        expected = (above - below) / (2 * STEP)
        yield f"d middle / d {name}", np.broadcast_to(np.asarray(declared.get(name, 0.0)), expected.shape), expected


def _made(case: _Case, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What random gradients by `weights` are pulled back to, against central differences of `weights`."""
    cell = case.cell
    if not makes_weights(cell):
        return
    params, grads = {name: case.arrays[name] for name in cell.shapes}, drawn_parameters(cell, (), seed, float)
    pulled = cell.pull_back(params, grads)

    def value(arrays: Arrays) -> float:
        made = cell.weights(arrays)
        return sum(float((grads[name] * made[name]).sum()) for name in grads)

    rng = np.random.default_rng([seed, 3])
    for name in params:
        expected = _with_slopes(pulled[name], value, params, name, rng)
        yield f"pull_back to {name} (transposed derivative of weights)", pulled[name], expected


def _gradients(case: _Case, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """BPTT's gradient of every array against central differences of the loss."""
    grads = bptt(case.unroll(case.arrays), case.loss, case.final)
    found = grads.params | {"x": grads.inputs, "initial_state": grads.adjoints[0]}
    rng = np.random.default_rng([seed, 1])
    for name in case.arrays:
        yield f"dL / d {name}", found[name], _with_slopes(found[name], case.value, case.arrays, name, rng)


def _with_slopes(found: np.ndarray, value: Value, arrays: Arrays, name: str, rng: np.random.Generator) -> np.ndarray:
    """What was found, with central differences in the place of the entries that are checked."""
    expected = found.copy()
    for entry in rng.permutation(found.size)[:MOST]:
        expected.flat[entry] = _slope(value, arrays, name, int(entry))
    return expected


def _slope(value: Value, arrays: Arrays, name: str, entry: int) -> float:
    """Central difference of a value by one entry of one array."""

    def at(step: float) -> float:
        moved = arrays[name].copy()
        moved.ravel()[entry] += step
        return value(arrays | {name: moved})

    return (at(STEP) - at(-STEP)) / (2 * STEP)


def _operator(case: _Case, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Products and norms of the state Jacobian against the dense matrices."""
    traj, rng = case.unroll(case.arrays), np.random.default_rng([seed, 2])
    jac, shape = jacobian(traj), traj.states[1:].shape
    u, v = rng.normal(size=shape), rng.normal(size=shape)
    dense = jac.dense()
    yield "J v", _flat(jac.apply(v)), (dense @ _flat(v)[..., None])[..., 0]
    left, right = (u * jac.apply(v)).sum(axis=(1, -1)), (jac.apply_transpose(u) * v).sum(axis=(1, -1))
    yield "<J^T u, v>", right, left
    yield "Frobenius norm", jac.frobenius(), np.linalg.norm(dense, axis=(-2, -1))
    yield "spectral norm", jac.spectral(), np.linalg.svd(dense, compute_uv=False)[..., 0]


def _flat(vectors: np.ndarray) -> np.ndarray:
    """(T, S, B, H) -> (T, B, S*H)."""
    return np.moveaxis(vectors, 1, -2).reshape(vectors.shape[0], vectors.shape[2], -1)
