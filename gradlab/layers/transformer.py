"""The transformer: positions, blocks of self-attention and a feed-forward net, and a stack of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, namespace, require_shape, require_size, require_type
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from ..errors import InputError
from ..registry import unknown
from .base import (
    GivenLengths,
    Layer,
    Pass,
    ScaledParams,
    own_lengths,
    require_gradient,
    require_input,
    require_params,
    require_steps,
)
from .dense import Dense
from .dropout import Dropout
from .layer_norm import LayerNorm
from .residual import Residual
from .self_attention import SelfAttention
from .sequential import Sequential

NORMS = ("pre", "post")
BASE = 10_000.0  # of the sinusoids' wavelengths


def sinusoids(steps: int, size: int) -> np.ndarray:
    """sin and cos of t / 10000^(2 i / size) in entries 2 i and 2 i + 1, t = 0, 1, ...: (steps, size).

    Source: Vaswani et al. 2017.
    """
    rates = BASE ** (-(np.arange(size) // 2 * 2) / size)
    angles = np.arange(steps)[:, None] * rates
    return np.where(np.arange(size) % 2 == 0, np.sin(angles), np.cos(angles))


@dataclass
class PositionsTape:
    """The output, and the samples' lengths."""

    y: Array
    lengths: Lengths


@dataclass(frozen=True)
class Positions(Layer):
    """x (T, *M, B, size) plus a vector for each position: sinusoids, or W_pos (*M, steps, size) that is learned.

    steps: how many positions are learned; None for sinusoids, which have no end.
    """

    size: int
    steps: int | None = None

    def __post_init__(self) -> None:
        require_size("size", self.size)
        if self.steps is not None:
            require_size("steps", self.steps)

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """W_pos from N(0, 0.02^2), as BERT and GPT have it (Devlin et al. 2019)."""
        return {} if self.steps is None else {"W_pos": rng.normal(0, 0.02, (*models, self.steps, self.size))}

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, PositionsTape]:
        """x + position."""
        require_steps(x)
        require_type("x", x, "f", "float32 or float64")
        xp = namespace(x)
        if self.steps is None:
            require_shape("x", x, (*map(str, x.shape[:-1]), self.size))
            place = xp.asarray(sinusoids(len(x), self.size), dtype=x.dtype)
            place = place.reshape(len(x), *(1,) * (x.ndim - 2), self.size)
            models = tuple(x.shape[1:-2])
        else:
            models = require_params(self, params, {"W_pos": (self.steps, self.size)})
            x = require_input(x, models, self.size, params["W_pos"])
            if len(x) > self.steps:
                raise InputError(f"x: {len(x)} steps, but only {self.steps} positions are learned", "x")
            place = xp.moveaxis(params["W_pos"][..., : len(x), :], -2, 0)[..., None, :]
        y = x + place
        return y, PositionsTape(y, own_lengths(x, lengths, models))

    def _backward(
        self, params: Mapping[str, Array], tape: PositionsTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dy; each position's vector gets the sum over samples."""
        dy = dy.map(tape.lengths.keep)
        if self.steps is None:
            return dy, {}
        xp = require_gradient(dy, tape.y)
        own = Scaled.of(dy, (0, -2, -1))
        summed = xp.zeros_like(params["W_pos"])
        summed[..., : len(tape.y), :] = xp.moveaxis(own.mantissas.sum(axis=-2), 0, -2)
        return dy, {"W_pos": Scaled(summed, own.exponents[0])}


class TransformerBlock(Sequential):
    """Self-attention, then a feed-forward net of each step alone, a skip connection around each (T, *M, B, size).

    norm: "pre" normalises what a branch takes, x + f(LN(x)) (Xiong et al. 2020), "post" the sum, LN(x + f(x)) (Vaswani
    et al. 2017). hidden: units of the feed-forward net, 4 size by default; activation: any of cells. dropout: rate
    before each sum, and inside the feed-forward net.
    """

    def __init__(
        self,
        size: int,
        heads: int = 1,
        hidden: int | None = None,
        activation: str = "relu",
        norm: str = "pre",
        causal: bool = False,
        dropout: float = 0.0,
    ) -> None:
        if norm not in NORMS:
            raise unknown("norm", norm, list(NORMS))
        n, drop = 4 * size if hidden is None else hidden, Dropout(dropout)
        attend: dict[str, Layer] = {"attention": SelfAttention(size, heads, causal), "dropout": drop}
        feed: dict[str, Layer] = {"first": Dense(size, n, activation), "inner": drop, "second": Dense(n, size)}
        feed["dropout"] = drop
        if norm == "pre":
            attend, feed = ({"norm": LayerNorm(size), **branch} for branch in (attend, feed))
        layers: dict[str, Layer] = {}
        for name, branch in {"attend": attend, "feed": feed}.items():
            layers[name] = Residual(Sequential(**branch))
            if norm == "post":
                layers[f"{name}_norm"] = LayerNorm(size)
        super().__init__(**layers)


class Transformer(Sequential):
    """Positions, so many blocks, and where they normalise first a last normalisation: (T, *M, B, size) -> the same.

    positions: how many are learned, None for sinusoids. options: of `TransformerBlock`. What is not as wide as `size`,
    or symbols, go through a Dense or an Embedding before.
    """

    def __init__(
        self, size: int, blocks: int, heads: int = 1, positions: int | None = None, norm: str = "pre", **options: Any
    ) -> None:
        require_size("blocks", blocks)
        layers: dict[str, Layer] = {"positions": Positions(size, positions)}
        layers |= {f"block{n}": TransformerBlock(size, heads, norm=norm, **options) for n in range(1, blocks + 1)}
        if norm == "pre":
            layers["norm"] = LayerNorm(size)
        super().__init__(**layers)
