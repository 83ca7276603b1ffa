"""A recurrent cell unrolled in both directions, as a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, namespace
from ..cells import Cell
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from ..registry import unknown
from .base import GivenLengths, Layer, Pass, ScaledParams, parts, prefixed
from .recurrent import Recurrent, RecurrentTape

DIRECTIONS = ("forward", "backward")
MERGES = ("concat", "sum")


@dataclass
class BidirectionalTape:
    """One tape per direction; the backward one's step 1 is each sample's own last step."""

    forward: RecurrentTape
    backward: RecurrentTape

    @property
    def children(self) -> dict[str, RecurrentTape]:
        """The tapes by the prefix of their direction's parameters."""
        return {name: getattr(self, name) for name in DIRECTIONS}


@dataclass(frozen=True, init=False)
class Bidirectional(Layer):
    """A cell over x (T, *M, B, D) from both ends, each sample's own; parameters "forward.W_hh", "backward.W_hh" ...

    merge: "concat" gives (T, *M, B, 2 H), what came forward first; "sum" gives (T, *M, B, H). options: as of
    `Recurrent`. It starts from zeros and hands no last state on. Source: Schuster & Paliwal 1997.
    """

    layer: Recurrent
    merge: str

    def __init__(self, cell: Cell, merge: str = "concat", **options: Any) -> None:
        if merge not in MERGES:
            raise unknown("merge", merge, list(MERGES))
        object.__setattr__(self, "layer", Recurrent(cell, **options))
        object.__setattr__(self, "merge", merge)

    @property
    def children(self) -> dict[str, Layer]:
        """The cell's layer in each direction."""
        return dict.fromkeys(DIRECTIONS, self.layer)

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Each direction's, the forward one's first."""
        onward, back = (prefixed(name, self.layer.draw(rng, models)) for name in DIRECTIONS)
        return onward | back

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, BidirectionalTape]:
        """Both directions' h, side by side or summed."""
        onward, back = parts(params, DIRECTIONS)
        y, ahead = self.layer.forward(onward, x, lengths, how)
        own = ahead.trajectory.lengths
        z, behind = self.layer.forward(back, own.flip(ahead.trajectory.x), lengths, how)
        z = own.flip(z)
        merged = y + z if self.merge == "sum" else namespace(y).concatenate([y, z], axis=-1)
        return merged, BidirectionalTape(ahead, behind)

    def _backward(
        self, params: Mapping[str, Array], tape: BidirectionalTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dy back through each direction by BPTT."""
        onward, back = parts(params, DIRECTIONS)
        own, h = tape.forward.trajectory.lengths, self.layer.cell.hidden_size
        first = second = dy
        if self.merge == "concat":
            first, second = dy.map(lambda m: m[..., :h]), dy.map(lambda m: m[..., h:])
        dx, ahead = self.layer._backward(onward, tape.forward, first, how)
        dz, behind = self.layer._backward(back, tape.backward, _flip(own, second), how)
        return dx + _flip(own, dz), prefixed("forward", ahead) | prefixed("backward", behind)


def _flip(own: Lengths, x: Scaled) -> Scaled:
    """Scaled numbers with each sample's steps in reverse order."""
    exponents = x.xp.broadcast_to(x.exponents, (*x.shape[:-1], 1))
    return Scaled(own.flip(x.mantissas), own.flip(exponents))
