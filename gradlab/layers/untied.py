"""A recurrent net whose steps share no weights: a deep feed-forward net that hears an input at every layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array, namespace, require_size
from ..cells import Cell
from ..engine.forward import checked_lengths, full_inputs
from ..engine.scaled import Scaled
from ..errors import InputError
from .base import GivenLengths, Layer, Pass, ScaledParams, parts, prefixed, require_gradient
from .recurrent import Recurrent, RecurrentTape


@dataclass
class UntiedTape:
    """The output, and a tape of one step for every step, by the prefix of its parameters."""

    y: Array
    children: dict[str, RecurrentTape]


@dataclass(frozen=True, init=False)
class Untied(Layer):
    """`Recurrent` with parameters of its own at each of T steps: "0.W_hh" of the first ... over x (T, *M, B, D).

    The texts' comparison: x_t enters at step t as in the recurrent net, but no factor of the gradient is repeated.
    steps: T, which x must have. options: as of `Recurrent`; every step is drawn anew. Clipping inside backpropagation
    is refused, as it belongs to a net whose steps are one loop.
    """

    layer: Recurrent
    steps: int

    def __init__(self, cell: Cell, steps: int, **options: Any) -> None:
        require_size("steps", steps)
        object.__setattr__(self, "layer", Recurrent(cell, **options))
        object.__setattr__(self, "steps", steps)

    @property
    def names(self) -> list[str]:
        """The prefixes of the steps' parameters."""
        return [str(t) for t in range(self.steps)]

    @property
    def stateful(self) -> bool:
        """It starts from a state and ends in one."""
        return True

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Each step's, the first one's first."""
        drawn: dict[str, np.ndarray] = {}
        for name in self.names:
            drawn |= prefixed(name, self.layer.draw(rng, models))
        return drawn

    @property
    def children(self) -> dict[str, Layer]:
        """The cell's layer at each step."""
        return dict.fromkeys(self.names, self.layer)

    def lengths_within(self, lengths: GivenLengths) -> dict[str, GivenLengths]:
        """1 where a sample has the step, else 0."""
        return {
            name: None if lengths is None else (lengths > t).astype(lengths.dtype) for t, name in enumerate(self.names)
        }

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, UntiedTape]:
        """h of every step; each starts from the state in which the one before ended."""
        own, tapes, rows = parts(params, self.names), dict[str, RecurrentTape](), list[Array]()
        models = self.layer.cell.require(own[0])
        full = full_inputs(self.layer.cell, x, models, x.dtype)
        if len(full) != self.steps:
            raise InputError(f"x: expected {self.steps} steps, one for each set of weights, got {len(full)}", "x")
        checked_lengths(lengths, full, (*models, full.shape[-2]))
        for (t, name), inside in zip(enumerate(self.names), self.lengths_within(lengths).values(), strict=True):
            y, tapes[name] = self.layer.forward(own[t], full[t : t + 1], inside, how)
            how = replace(how, initial_state=tapes[name].trajectory.states[-1])
            rows.append(y)
        y = namespace(rows[0]).concatenate(rows)
        return y, UntiedTape(y, tapes)

    def _backward(
        self, params: Mapping[str, Array], tape: UntiedTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dy back through one step after the other, the last one first."""
        if how.clip is not None:
            raise InputError("clip: Untied has no loop to clip inside; clip the update instead", "clip")
        xp, own = require_gradient(dy, tape.y), parts(params, self.names)
        grads, rows = ScaledParams(), list[Scaled]()
        for t, name in reversed(list(enumerate(self.names))):
            dx, found = self.layer.backward_scaled(own[t], tape.children[name], dy[t : t + 1], how)
            how = replace(how, dL_dfinal=tape.children[name].scaled_initial_gradient)
            grads |= prefixed(name, found)
            rows.insert(0, dx)
        return Scaled(
            *(xp.concatenate([getattr(row, part) for row in rows]) for part in ("mantissas", "exponents"))
        ), grads
