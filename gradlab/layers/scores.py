"""How well a key answers a query: the registered scores of attention.

Queries and keys are (*M, B, h, Q, n) and (*M, B, h, K, n) here, as in `attending`; `own` holds parameters by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, namespace
from ..engine.scaled import Scaled, sum_rows
from ..engine.threads import few_threads
from ..registry import Registry
from .attending import by_key, onto_keys, product_size, scaled_from_heads
from .base import ScaledParams
from .dense import Dense

Forward = Callable[[Mapping[str, Array], Array, Array], tuple[Array, Any]]
Backward = Callable[[Mapping[str, Array], Any, Scaled], tuple[Scaled, Scaled, ScaledParams]]


@dataclass(frozen=True)
class Score:
    """What maps queries and keys to scores, and back.

    layers: the maps that it has, by name, from the sizes of queries, of keys and its own; "query" and "key" project
    these. forward: projected queries and keys -> scores (*M, B, h, Q, K) and a tape. backward: dL/dscores ->
    dL/dqueries, dL/dkeys and the gradients of its own parameters.
    """

    layers: Callable[[int, int, int], dict[str, Dense]]
    forward: Forward
    backward: Backward


SCORES: Registry[Score] = Registry("score")


def dot(own: Mapping[str, Array], queries: Array, keys: Array) -> tuple[Array, tuple[Array, Array]]:
    """q . k / sqrt(n) (Vaswani et al. 2017)."""
    xp, transposed = namespace(queries), namespace(keys).swapaxes(keys, -1, -2)
    with few_threads(product_size(queries, transposed)):
        return xp.matmul(queries, transposed) / math.sqrt(queries.shape[-1]), (queries, keys)


def dot_back(own: Mapping[str, Array], tape: tuple[Array, Array], ds: Scaled) -> tuple[Scaled, Scaled, ScaledParams]:
    """Both factors of the product."""
    (queries, keys), xp = tape, ds.xp
    ds = ds.map(lambda m: m / math.sqrt(queries.shape[-1]))
    with few_threads(product_size(ds.mantissas, keys)):
        return ds.map(lambda m: xp.matmul(m, keys)), onto_keys(ds.mantissas, Scaled(queries, ds.exponents)), {}


def additive(own: Mapping[str, Array], queries: Array, keys: Array) -> tuple[Array, Array]:
    """v . tanh(q + k) (Bahdanau et al. 2015)."""
    xp = namespace(queries)
    t = xp.tanh(queries[..., :, None, :] + keys[..., None, :, :])
    return (t * _vector(own)).sum(axis=-1), t


def additive_back(own: Mapping[str, Array], t: Array, ds: Scaled) -> tuple[Scaled, Scaled, ScaledParams]:
    """Through the slopes 1 - tanh^2; dL/dv sums over queries and keys."""
    xp, slopes = ds.xp, (1 - t * t) * _vector(own)
    dq, dv = (ds.map(lambda m, a=a: xp.matmul(m[..., None, :], a)[..., 0, :]) for a in (slopes, t))
    dk = by_key(ds).map(lambda m: xp.matmul(m[..., None, :], xp.swapaxes(slopes, -3, -2))[..., 0, :])
    total = sum_rows(scaled_from_heads(dv))
    return dq, dk, {"score.W_hy": Scaled(total.mantissas[..., None, :], total.exponents[..., None, :])}


def _vector(own: Mapping[str, Array]) -> Array:
    """v (*M, 1, n) as (*M, 1, 1, 1, 1, n)."""
    v = own["score.W_hy"]
    return v[..., None, None, None, :]


SCORES.add("dot", Score(lambda q, k, n: {"query": Dense(q, k, bias=False)}, dot, dot_back))
SCORES.add(
    "additive",
    Score(
        lambda q, k, n: {
            "query": Dense(q, n, bias=False),
            "key": Dense(k, n),
            "score": Dense(n, 1, bias=False),
        },
        additive,
        additive_back,
    ),
)
