"""A recurrent cell unrolled in both directions, as a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array, namespace
from ..cells import Cell
from ..engine.forward import checked_inputs
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from ..engine.threads import both, two_passes_gain
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
        directions, layer = parts(params, DIRECTIONS), self.layer
        x, own = checked_inputs(layer.cell, directions[0], x, lengths)
        onward, back = (partial(layer.unrolled, p, drawn=layer.drawn(p, x, how)) for p in directions)
        (y, ahead), (z, behind) = both(
            lambda: onward(x, lengths), lambda: back(own.flip(x), lengths), self._at_once(x, how)
        )
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
        (dx, ahead), (dz, behind) = both(
            lambda: self.layer._backward(onward, tape.forward, first, how),
            lambda: self.layer._backward(back, tape.backward, flipped(own, second), how),
            self._at_once(tape.forward.trajectory.x, how),
        )
        return dx + flipped(own, dz), prefixed("forward", ahead) | prefixed("backward", behind)

    def _at_once(self, x: Array, how: Pass) -> bool:
        """Whether both directions over x (T, *M, B, D) run at the same time, as two threads of the processor.

        Not where they may be observed by one thing, which would see steps of both in no order.
        """
        apart = how.observe is None or isinstance(how.observe, type)  # a class has an object for each
        return apart and namespace(x) is np and two_passes_gain(x.shape[-2] * self.layer.cell.hidden_size**2)


def flipped(own: Lengths, x: Scaled) -> Scaled:
    """Scaled numbers (T, *M, B, F) with each sample's own steps in reverse order."""
    exponents = x.xp.broadcast_to(x.exponents, (*x.shape[:-1], 1))
    return Scaled(own.flip(x.mantissas), own.flip(exponents))
