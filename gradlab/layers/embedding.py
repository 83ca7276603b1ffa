"""A vector for each symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np

from ..arrays import Array, namespace, outer_sum, require_namespace, require_size, require_type
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled, sum_products
from ..errors import InputError
from .base import GivenLengths, Layer, Pass, ScaledParams, as_steps, own_lengths, require_gradient, require_params

TOGETHER = 2**22  # one-hot numbers that are made at once


@dataclass
class EmbeddingTape:
    """Symbols, output, and the samples' lengths; of the last backward pass dL/dy."""

    x: Array
    y: Array
    lengths: Lengths
    gradient: Scaled | None = None


@dataclass(frozen=True)
class Embedding(Layer):
    """Row x of W_emb (*M, V, F), for whole numbers x (T, *M, B) or (*M, B) from 0 to V - 1; no gradient of x."""

    vocabulary: int
    size: int

    def __post_init__(self) -> None:
        require_size("vocabulary", self.vocabulary)
        require_size("size", self.size)

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """W_emb from N(0, 1)."""
        return {"W_emb": rng.normal(size=(*models, self.vocabulary, self.size))}

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, EmbeddingTape]:
        """(..., B) -> (..., B, F)."""
        models = require_params(self, params, {"W_emb": (self.vocabulary, self.size)})
        table, xp = params["W_emb"], namespace(params["W_emb"])
        require_namespace(xp, x=x)
        require_type("x", x, "iu", "whole numbers")
        fits = tuple(x.shape[-1 - len(models) : -1]) == models and x.ndim - len(models) in (1, 2)
        if not fits or 0 in x.shape:
            symbols = ", ".join([*map(str, models), "B"])
            raise InputError(f"x: expected shape (T, {symbols}), time first, or ({symbols}); got {tuple(x.shape)}", "x")
        own = own_lengths(x[..., None], lengths, models)
        x = own.keep(x, 0, units=0)
        least, most = int(x.min()), int(x.max())
        if least < 0 or most >= self.vocabulary:
            raise InputError(f"x: expected symbols from 0 to {self.vocabulary - 1}, got {least} to {most}", "x")
        first_rows = self.vocabulary * xp.arange(prod(models)).reshape(*models, 1)
        y = table.reshape(-1, self.size)[first_rows + x]
        return y, EmbeddingTape(x, y, own)

    def _backward(
        self, params: Mapping[str, Array], tape: EmbeddingTape, dy: Scaled, how: Pass
    ) -> tuple[None, ScaledParams]:
        """The sum of dL/dy over the places of each symbol, by products with some of the one-hot symbols at a time."""
        xp = require_gradient(dy, tape.y)
        tape.gradient = dy
        dy, x = as_steps(params["W_emb"].ndim - 2, dy.map(tape.lengths.keep), tape.x[..., None])
        width = max(TOGETHER // x.size, 1)

        def summed(first: int) -> Scaled:
            one_hot = x == xp.arange(first, min(first + width, self.vocabulary))
            return sum_products(lambda m, places: outer_sum(xp, places, m), dy, one_hot.astype(dy.mantissas.dtype))

        return None, {"W_emb": _above(*map(summed, range(0, self.vocabulary, width)))}


def _above(*blocks: Scaled) -> Scaled:
    """Rows of a matrix (*M, V, F), block by block, at the largest of their exponents."""
    xp = blocks[0].xp
    e = reduce(xp.maximum, [block.exponents for block in blocks])
    return blocks[0] if len(blocks) == 1 else Scaled(xp.concatenate([block.over(e) for block in blocks], axis=-2), e)
