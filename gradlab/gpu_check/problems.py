"""Networks and data with random numbers, drawn by NumPy in float64 and moved to a namespace and a precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array, Namespace
from ..cells import Cell, make_cell
from ..engine.backward import Gradients, bptt
from ..engine.forward import unroll
from ..engine.trajectory import Trajectory
from ..layers import Trees

Sizes = tuple[int, int, int, int]
SIZES: Sizes = (12, 3, 2, 5)  # T, B, D, H
LONG: Sizes = (70, 3, 2, 5)  # more steps than the engine treats together
MODELS = ((), (2,))


@dataclass(frozen=True)
class Problem:
    """A cell with parameters, input, initial state, and the loss gradients of every step and of the last state."""

    cell: Cell
    params: dict[str, Array]
    x: Array
    initial: Array
    dL_dh: Array
    dL_dfinal: Array

    def unroll(self, **options: Any) -> Trajectory:
        """Forward."""
        return unroll(self.cell, self.params, self.x, self.initial, **options)

    def bptt(self, traj: Trajectory | None = None, **options: Any) -> Gradients:
        """Backward."""
        return bptt(self.unroll() if traj is None else traj, self.dL_dh, self.dL_dfinal, **options)

    def moved(self, xp: Namespace, dtype: str) -> Problem:
        """The same in a namespace and a precision."""
        names = ("params", "x", "initial", "dL_dh", "dL_dfinal")
        return replace(self, **{name: moved(xp, dtype, getattr(self, name)) for name in names})


def random_problem(name: str, models: tuple[int, ...] = (), sizes: Sizes = SIZES, scale: float = 0.4) -> Problem:
    """A problem of a registered cell, in float64; weights of a scale at which a long trajectory stays tame."""
    t, b, d, h = sizes
    cell, rng = make_cell(name, input_size=d, hidden_size=h), np.random.default_rng([t, b, d, h])
    params = {key: scale * rng.normal(size=(n, *models, *shape)) for key, (n, shape) in cell.shapes.items()}
    states = (len(cell.states), *models, b, h)
    x, initial, dL_dh = (rng.normal(size=shape) for shape in ((t, *models, b, d), states, (t, *models, b, h)))
    return Problem(cell, params, x, initial, dL_dh, rng.normal(size=states))


def moved(xp: Namespace, dtype: str, value: Any) -> Any:
    """NumPy arrays, alone or in tuples and dicts, in a namespace, real numbers in a precision; trees as they are."""
    if isinstance(value, tuple):
        return tuple(moved(xp, dtype, v) for v in value)
    if isinstance(value, dict):
        return {name: moved(xp, dtype, v) for name, v in value.items()}
    if value is None or isinstance(value, Trees):
        return value
    return xp.asarray(value.astype(dtype) if value.dtype.kind == "f" else value)
