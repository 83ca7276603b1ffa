"""Multi-head self-attention, as a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ..arrays import Array, namespace, require_size
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from ..errors import InputError
from .attending import (
    Reading,
    allowed,
    from_heads,
    scaled_from_heads,
    scaled_to_heads,
    to_heads,
    weights_of,
)
from .base import GivenLengths, Layer, Pass, ScaledParams, own_lengths, parts, prefixed
from .dense import Dense
from .scores import dot, dot_back

PROJECTIONS = ("query", "key", "value", "output")


@dataclass
class SelfAttentionTape:
    """The projections' tapes by name, queries and keys (*M, B, h, T, n), what was read, and the samples' lengths."""

    projections: dict[str, Any]
    products: tuple[Array, Array]
    reading: Reading
    lengths: Lengths


@dataclass(frozen=True)
class SelfAttention(Layer):
    """Every step reads all others: softmax(Q K^T / sqrt(n)) V in `heads` heads of n = size / heads features each.

    (T, *M, B, size) -> the same shape; parameters "query.W_hy", "query.b_y", and so of key, value and output, but that
    keys have no bias, which would add the same to all scores of a query. causal: a step reads none after it. Source:
    Vaswani et al. 2017.
    """

    size: int
    heads: int = 1
    causal: bool = False

    def __post_init__(self) -> None:
        require_size("size", self.size)
        require_size("heads", self.heads)
        if self.size % self.heads:
            raise InputError(f"heads: {self.heads} heads cannot share a width of {self.size} evenly", "heads")

    @property
    def _projections(self) -> dict[str, Dense]:
        return {name: Dense(self.size, self.size, bias=name != "key") for name in PROJECTIONS}

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """W from N(0, 1 / size), as Glorot & Bengio (2010) have it; no biases."""
        drawn = (prefixed(name, dense.draw(rng, models)) for name, dense in self._projections.items())
        return {key: value for found in drawn for key, value in found.items()}

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, SelfAttentionTape]:
        """What each step has read, projected."""
        own, xp = dict(zip(PROJECTIONS, parts(params, PROJECTIONS), strict=True)), namespace(x)
        *inner, outer = self._projections.values()
        made = {
            name: dense.forward(own[name], x, lengths, how) for name, dense in zip(PROJECTIONS, inner, strict=False)
        }
        q, k, v = (to_heads(y, self.heads) for y, _ in made.values())
        known = own_lengths(made["key"][0], lengths, tuple(v.shape[:-4]))
        mask = allowed(xp, q.shape[-2], known, k.shape[-2], self.causal)
        scores, products = dot({}, q, k)
        reading = Reading(weights_of(xp, scores, mask), v)
        y, output = outer.forward(own["output"], from_heads(reading.context), lengths, how)
        tapes = {name: tape for name, (_, tape) in made.items()} | {"output": output}
        return y, SelfAttentionTape(tapes, products, reading, known)

    def _backward(
        self, params: Mapping[str, Array], tape: SelfAttentionTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dx is the sum of what comes back through queries, keys and values."""
        own = dict(zip(PROJECTIONS, parts(params, PROJECTIONS), strict=True))
        dense = self._projections
        read, grads = dense["output"]._backward(own["output"], tape.projections["output"], dy, how)
        found = prefixed("output", grads)
        ds, dv = tape.reading.pull_back(scaled_to_heads(read, self.heads))
        dq, dk, _ = dot_back({}, tape.products, ds)
        reached = []
        for name, d in {"query": dq, "key": dk, "value": dv}.items():
            dx, grads = dense[name]._backward(own[name], tape.projections[name], scaled_from_heads(d), how)
            reached.append(dx)
            found |= prefixed(name, grads)
        return reduce(add, reached), found
