"""A recurrent cell unrolled over time, as a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np

from ..arrays import Array
from ..cells import Cell
from ..engine.backward import Gradients, bptt
from ..engine.forward import unroll
from ..engine.jacobian import FrobeniusNorms, jacobian
from ..engine.trajectory import Linearization, Trajectory
from ..errors import InputError
from ..quantities import GateStatistics, Recording
from ..registry import unknown
from .base import Clip, Layer, Lengths, Params

ELSEWHERE = {"seed", "models", "dtype", "device"}  # arguments of a cell's init that those of the layer's decide


@dataclass
class RecurrentTape:
    """The trajectory, and what the last backward pass found: gradients, and with record=True norms and gates."""

    trajectory: Trajectory
    gradients: Gradients | None = None
    frobenius: FrobeniusNorms | None = None
    gates: GateStatistics | None = None
    clipped: bool = False

    @property
    def initial_gradient(self) -> Array:
        """dL/d initial state (S, *M, B, H); needs a backward pass."""
        if self.gradients is None:
            raise ValueError("there are no gradients yet: call backward first")
        return self.gradients.adjoints[0]

    @property
    def recording(self) -> Recording:
        """What every quantity of `gradlab.quantities` can be computed from; needs a backward pass with record=True."""
        if self.gradients is None or self.frobenius is None or self.gates is None:
            raise ValueError("nothing is recorded yet: call backward(..., record=True) first")
        return Recording(self.trajectory, self.gradients, self.gradients, self.clipped, self.frobenius, self.gates)


@dataclass(frozen=True, init=False)
class Recurrent(Layer):
    """h_1 ... h_T of a cell (T, *M, B, H) over x (T, *M, B, D); masked steps keep the state as it is.

    options: keywords of the cell's `init` on how to draw, such as gain or forget_bias.
    """

    cell: Cell
    options: Mapping[str, Any] = field(hash=False)

    def __init__(self, cell: Cell, **options: Any) -> None:
        if not isinstance(cell, Cell):
            raise InputError(f"Recurrent: expected a cell such as make_cell('lstm', ...), got {cell!r}")
        known = signature(cell.init).parameters.keys() - ELSEWHERE
        for name in options.keys() - known:
            raise unknown("option of a cell's init", name, sorted(known))
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "options", options)

    @property
    def stateful(self) -> bool:
        """It is what the word means."""
        return True

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The cell's parameters, drawn with a seed from rng."""
        return self.cell.init(int(rng.integers(2**63)), models=models, **self.options)

    def forward(
        self,
        params: Mapping[str, Array],
        x: Array,
        lengths: Lengths = None,
        *,
        rng: np.random.Generator | None = None,
        initial_state: Array | None = None,
    ) -> tuple[Array, RecurrentTape]:
        """h of every step, and the trajectory; starts from initial_state (S, *M, B, H), zeros by default."""
        traj = unroll(self.cell, params, x, initial_state, lengths)
        return traj.states[1:, 0], RecurrentTape(traj)

    def backward(
        self,
        params: Mapping[str, Array],
        tape: RecurrentTape,
        dy: Array,
        *,
        clip: Clip = None,
        record: bool = False,
        dL_dfinal: Array | None = None,
    ) -> tuple[Array, Params]:
        """By BPTT, dL_dfinal (S, *M, B, H) being the direct gradient of the whole last state; see `gradlab.bptt`."""
        tape.clipped = clip is not None
        tape.gradients = bptt(tape.trajectory, dy, dL_dfinal, clip, observe=_recorder(tape) if record else None)
        return tape.gradients.inputs, tape.gradients.params


def _recorder(tape: RecurrentTape) -> Callable[[Linearization], None]:
    """Fills new recordings of the tape, chunk by chunk."""
    frobenius, gates = FrobeniusNorms(jacobian(tape.trajectory)), GateStatistics(tape.trajectory)
    tape.frobenius, tape.gates = frobenius, gates

    def observe(lin: Linearization) -> None:
        frobenius(lin)
        gates(lin)

    return observe


def recurrent_tapes(tape: Any) -> dict[str, RecurrentTape]:
    """The recurrent layers' tapes within a tape, in order, by the prefix of their parameters ("" without one)."""
    if isinstance(tape, RecurrentTape):
        return {"": tape}
    inside = {name: recurrent_tapes(child) for name, child in getattr(tape, "children", {}).items()}
    return {f"{name}.{inner}".rstrip("."): t for name, found in inside.items() for inner, t in found.items()}
