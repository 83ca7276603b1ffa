"""Attention to the states of a recurrent layer: a read of them by queries, and pooling over all steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, namespace, require_size
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from .attending import Reading, allowed, from_heads, scaled_from_heads, scaled_to_heads, to_heads, weights_of
from .base import PLAIN, GivenLengths, Layer, Params, Pass, ScaledParams, own_lengths, parts, prefixed, require_steps
from .dense import Dense
from .scores import SCORES


@dataclass
class AttentionTape:
    """The tapes of the projections by name, that of the score, what was read; lengths of the queries and the memory."""

    projections: dict[str, Any]
    score: Any
    reading: Reading
    queries: Lengths
    memory: Lengths


@dataclass(frozen=True)
class Attention(Layer):
    """The memory (K, *M, B, memory_size), weighed by how well each of its steps answers a query.

    As a layer it pools: (T, *M, B, F) -> (*M, B, F), the query being each sample's last step, zero of no steps. `read`
    takes queries of its own (Q, *M, B, query_size). score: "additive", v . tanh(W_q q + W_k k + b) with `size` entries,
    as many as the memory's by default (Bahdanau et al. 2015), or "dot", W_q q . k / sqrt(memory_size) (Luong et al.
    2015).
    """

    memory_size: int
    score: str = "additive"
    query_size: int | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        for name in ("memory_size", "query_size", "size"):
            if name == "memory_size" or getattr(self, name) is not None:
                require_size(name, getattr(self, name))
        SCORES[self.score]  # the name is known

    @property
    def _layers(self) -> dict[str, Dense]:
        n = self.memory_size
        return SCORES[self.score].layers(self.query_size or n, n, self.size or n)

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Each map's in turn."""
        drawn = (prefixed(name, dense.draw(rng, models)) for name, dense in self._layers.items())
        return {key: value for found in drawn for key, value in found.items()}

    def output_lengths(self, lengths: GivenLengths) -> GivenLengths:
        """None: what is pooled has no steps."""
        return None

    def read(
        self,
        params: Mapping[str, Array],
        queries: Array,
        memory: Array,
        lengths: tuple[GivenLengths, GivenLengths],
    ) -> tuple[Array, AttentionTape]:
        """What queries (Q, *M, B, n) find in a memory (K, *M, B, F): (Q, *M, B, F). lengths: of both."""
        own, xp, models = self._own(params), namespace(memory), tuple(memory.shape[1:-2])
        asking, known = own_lengths(queries, lengths[0], models), own_lengths(memory, lengths[1], models)
        memory = known.keep(memory)
        projected, tapes = {"query": queries, "key": memory}, {}
        for name in projected.keys() & self._layers.keys():
            projected[name], tapes[name] = self._layers[name].forward(own[name], projected[name])
        q, k = (to_heads(projected[name]) for name in ("query", "key"))
        scores, tape = SCORES[self.score].forward(params, q, k)
        mask = allowed(xp, q.shape[-2], known, k.shape[-2], causal=False)
        reading = Reading(weights_of(xp, scores, mask), to_heads(memory))
        return from_heads(reading.context), AttentionTape(tapes, tape, reading, asking, known)

    def read_back(
        self, params: Mapping[str, Array], tape: AttentionTape, dcontext: Scaled
    ) -> tuple[Scaled, Scaled, ScaledParams]:
        """dL/dcontext -> dL/dqueries, dL/dmemory, dL/dparams."""
        own = self._own(params)
        ds, dvalues = tape.reading.pull_back(scaled_to_heads(dcontext.map(tape.queries.keep)))
        dq, dk, found = SCORES[self.score].backward(params, tape.score, ds)
        back = {"query": scaled_from_heads(dq), "key": scaled_from_heads(dk)}
        for name, projection in tape.projections.items():
            back[name], grads = self._layers[name]._backward(own[name], projection, back[name], PLAIN)
            found |= prefixed(name, grads)
        return back["query"], (scaled_from_heads(dvalues) + back["key"]).map(tape.memory.keep), found

    def _own(self, params: Mapping[str, Array]) -> dict[str, Params]:
        return dict(zip(self._layers, parts(params, [*self._layers]), strict=True))

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, AttentionTape]:
        """What each sample's last step finds among all steps."""
        require_steps(x)
        own = own_lengths(x, lengths, tuple(x.shape[1:-2]))
        y, tape = self.read(params, own.take_last(x)[None], x, (None, own.values))
        return y[0], tape

    def _backward(
        self, params: Mapping[str, Array], tape: AttentionTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """Back through what was read, and through the query to the last step."""
        dq, dx, found = self.read_back(params, tape, dy[None])
        last = Scaled(tape.memory.put_last(dq.mantissas[0], len(dx.mantissas)), dq.exponents)
        return dx + last, found
