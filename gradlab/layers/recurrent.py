"""A recurrent cell unrolled over time, as a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np

from ..arrays import Array, namespace, require_number
from ..cells import Cell
from ..engine.backward import Gradients, bptt
from ..engine.forward import require_candidate, unroll
from ..engine.scaled import Scaled
from ..engine.trajectory import Trajectory
from ..errors import InputError
from ..registry import unknown
from .base import GivenLengths, Layer, Observer, Pass, ScaledParams, tapes_within

PROBABILITY = "a probability in [0, 1)", lambda rate: 0 <= rate < 1
ELSEWHERE = {"seed", "models", "dtype", "device"}  # arguments of a cell's init that those of the layer's decide


@dataclass
class RecurrentTape:
    """The trajectory; of the last backward pass the gradients, who observed it, and whether it was clipped."""

    trajectory: Trajectory
    gradients: Gradients | None = None
    observer: Observer | None = None
    clipped: bool = False

    @property
    def initial_gradient(self) -> Array:
        """dL/d initial state (S, *M, B, H); needs a backward pass."""
        return self.scaled_initial_gradient.plain()

    @property
    def scaled_initial_gradient(self) -> Scaled:
        """The same at any magnitude, with one exponent per sample."""
        if self.gradients is None:
            raise ValueError("there are no gradients yet: call backward first")
        return self.gradients.scaled[0]


@dataclass(frozen=True, init=False)
class Recurrent(Layer):
    """h_1 ... h_T of a cell (T, *M, B, H) over x (T, *M, B, D); masked steps keep the state as it is.

    options: keywords of the cell's `init` on how to draw, such as gain or forget_bias. zoneout: the probability with
    which a unit keeps its old state at a step of training, as one number or by the state's name; outside training each
    state keeps that share (Krueger et al. 2017). dropout: the probability with which the candidate of a unit is zero at
    a step of training, else divided by 1 - dropout: what is kept is never lost (Semeniuta, Severyn & Barth 2016).
    """

    cell: Cell
    options: Mapping[str, Any] = field(hash=False)
    zoneout: Mapping[str, float] = field(hash=False)
    dropout: float

    def __init__(
        self, cell: Cell, *, zoneout: float | Mapping[str, float] = 0.0, dropout: float = 0.0, **options: Any
    ) -> None:
        if not isinstance(cell, Cell):
            raise InputError(f"Recurrent: expected a cell such as make_cell('lstm', ...), got {cell!r}", "cell")
        known = signature(cell.init).parameters.keys() - ELSEWHERE
        for name in options.keys() - known:
            raise unknown("option of a cell's init", name, sorted(known), name)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "zoneout", _rates(cell, zoneout))
        object.__setattr__(self, "dropout", require_number("dropout", dropout, *PROBABILITY))
        if dropout:
            require_candidate(cell, "dropout")

    @property
    def stateful(self) -> bool:
        """It is what the word means."""
        return True

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The cell's parameters, drawn with a seed from rng."""
        return self.cell.init(int(rng.integers(2**63)), models=models, **self.options)

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, RecurrentTape]:
        """h of every step, and the trajectory."""
        return self.unrolled(params, x, lengths, how.initial_state, drawn=self.drawn(params, x, how))

    def drawn(self, params: Mapping[str, Array], x: Array, how: Pass) -> tuple[Array | None, Array | None]:
        """What `unroll` takes as hold and candidate_factor."""
        return self._hold(params, x, how), self._factor(params, x, how)

    def unrolled(
        self,
        params: Mapping[str, Array],
        x: Array,
        lengths: GivenLengths,
        initial_state: Array | None = None,
        *,
        drawn: tuple[Array | None, Array | None],
    ) -> tuple[Array, RecurrentTape]:
        """The forward pass with what was `drawn` for it."""
        traj = unroll(self.cell, params, x, initial_state, lengths, *drawn)
        return traj.states[1:, 0], RecurrentTape(traj)

    def _hold(self, params: Mapping[str, Array], x: Array, how: Pass) -> Array | None:
        """What `unroll` holds (T, S, *M, B, H): drawn by NumPy from how.rng, then moved; the rates outside training."""
        if not any(self.zoneout.values()):
            return None
        xp, models = namespace(params["b_h"]), self.cell.require(params)
        shape = (x.shape[0], len(self.cell.states), *self._size(models, x))
        rates = np.reshape([self.zoneout[name] for name in self.cell.states], (-1, *(1,) * (len(models) + 2)))
        if how.rng is None:
            return xp.broadcast_to(xp.asarray(rates.astype(params["b_h"].dtype)), shape)
        return xp.asarray((how.rng.random(shape, dtype=np.float32) < rates).astype(params["b_h"].dtype))

    def _factor(self, params: Mapping[str, Array], x: Array, how: Pass) -> Array | None:
        """The candidate's factor (T, *M, B, H), 0 or 1 / (1 - dropout), drawn likewise; None outside training."""
        if not self.dropout or how.rng is None:
            return None
        shape = (x.shape[0], *self._size(self.cell.require(params), x))
        kept = (how.rng.random(shape, dtype=np.float32) >= self.dropout) / (1 - self.dropout)
        return namespace(params["b_h"]).asarray(kept.astype(params["b_h"].dtype))

    def _size(self, models: tuple[int, ...], x: Array) -> tuple[int, ...]:
        """(*M, B, H)."""
        return (*models, x.shape[-2] if x.ndim > 2 else 1, self.cell.hidden_size)

    def _backward(
        self, params: Mapping[str, Array], tape: RecurrentTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """By BPTT."""
        tape.clipped = how.clip is not None
        tape.observer = None if how.observe is None else how.observe(tape.trajectory)
        tape.gradients = bptt(tape.trajectory, dy, how.dL_dfinal, how.clip, observe=tape.observer)
        return tape.gradients.scaled_inputs, tape.gradients.scaled_params


def _rates(cell: Cell, zoneout: float | Mapping[str, float]) -> dict[str, float]:
    """The probability of each state of the cell, 0 where none is given."""
    given = zoneout if isinstance(zoneout, Mapping) else dict.fromkeys(cell.states, zoneout)
    for name, rate in given.items():
        if name not in cell.states:
            raise unknown("state", name, list(cell.states), "zoneout")
        require_number("zoneout", rate, *PROBABILITY)
    return dict.fromkeys(cell.states, 0.0) | dict(given)


def recurrent_tapes(tape: Any) -> dict[str, RecurrentTape]:
    """The recurrent layers' tapes within a tape, in order, by the prefix of their parameters ("" without one)."""
    return tapes_within(tape, RecurrentTape)
