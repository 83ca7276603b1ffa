"""What attention is made of: scores -> weights -> what is read, and the way back at any magnitude.

Arrays are (*M, B, h, T, n) here, with h heads: the steps stand beside the features, as products need them. Q and K are
the numbers of queries and of keys. A gradient has one exponent per query or key and sample, (*M, B, 1, T, 1).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import Array, Namespace, namespace
from ..engine.lengths import Lengths
from ..engine.scaled import EMPTY, Scaled, are_exact
from ..engine.threads import few_threads


def to_heads(x: Array, heads: int = 1) -> Array:
    """(T, *M, B, h n) -> (*M, B, h, T, n)."""
    xp = namespace(x)
    return xp.ascontiguousarray(xp.moveaxis(x.reshape(*x.shape[:-1], heads, -1), 0, -2))


def from_heads(x: Array) -> Array:
    """(*M, B, h, T, n) -> (T, *M, B, h n)."""
    last = namespace(x).moveaxis(x, -2, 0)
    return last.reshape(*last.shape[:-2], -1)


def scaled_to_heads(x: Scaled, heads: int = 1) -> Scaled:
    """The same of a gradient; where it is not plain and moderate, the largest number of each row is brought near 1."""
    if not (x.is_plain and are_exact(x)):
        x = Scaled.of(x, -1)
    exponents = x.xp.broadcast_to(x.exponents, (*x.shape[:-1], 1))
    return Scaled(to_heads(x.mantissas, heads), to_heads(exponents))


def scaled_from_heads(x: Scaled) -> Scaled:
    """And back."""
    return Scaled(from_heads(x.mantissas), from_heads(x.exponents))


def product_size(weights: Array, values: Array) -> int:
    """Multiply-adds of the product of one head's weights (Q, K) with its values (K, n)."""
    return int(weights.shape[-2] * weights.shape[-1] * values.shape[-1])


def allowed(xp: Namespace, queries: int, keys: Lengths, count: int, causal: bool) -> Array | None:
    """Which keys (of `count`) a query may read, (*M or 1s, B or 1, 1, Q, K); None where that is all of them.

    keys: which belong to their sample. causal: a query reads what stands at its own place or before.
    """
    mask = None
    if keys.inside is not None:
        mask = xp.moveaxis(keys.inside, 0, -1)[..., None, None, :]
    if causal:
        before = xp.arange(count) <= xp.arange(queries)[:, None]
        mask = before if mask is None else mask & before
    return mask


def weights_of(xp: Namespace, scores: Array, mask: Array | None) -> Array:
    """softmax over the keys that are allowed; zero where none is."""
    if mask is not None:
        scores = xp.where(mask, scores, -xp.inf)
    top = xp.max(scores, axis=-1, keepdims=True)
    e = xp.exp(scores - (top if mask is None else xp.where(top > -xp.inf, top, 0.0)))
    total = e.sum(axis=-1, keepdims=True)
    return e / (total if mask is None else xp.where(total > 0, total, 1.0))


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read: weights (*M, B, h, Q, K) and the values (*M, B, h, K, n) that they weigh."""

    weights: Array
    values: Array

    @property
    def context(self) -> Array:
        """What is read at each query (*M, B, h, Q, n)."""
        with few_threads(product_size(self.weights, self.values)):
            return namespace(self.weights).matmul(self.weights, self.values)

    def pull_back(self, dcontext: Scaled) -> tuple[Scaled, Scaled]:
        """dL/dcontext -> (dL/dscores (*M, B, h, Q, K) with one exponent per query, dL/dvalues)."""
        xp, a = namespace(self.weights), self.weights
        with few_threads(product_size(a, self.values)):
            da = xp.matmul(dcontext.mantissas, xp.swapaxes(self.values, -1, -2))
            ds = a * (da - xp.einsum("...k,...k->...", a, da)[..., None])
            return Scaled(ds, dcontext.exponents), onto_keys(a, dcontext)


def onto_keys(weights: Array, x: Scaled) -> Scaled:
    """sum over queries of weights (*M, B, h, Q, K) times x (*M, B, h, Q, n) -> (*M, B, h, K, n)."""
    own = by_key(Scaled(weights, x.exponents))
    return own.map(lambda w: x.xp.matmul(w, x.mantissas))


def by_key(weights: Scaled) -> Scaled:
    """Weights (*M, B, h, Q, K) with an exponent per query, transposed, with one per key: the largest that it meets.

    So a key that only faint queries read keeps its digits beside one that loud queries read.
    """
    xp, e = weights.xp, weights.exponents
    transposed, across = (xp.swapaxes(a, -1, -2) for a in (weights.mantissas, e))
    if bool((e == e[..., :1, :]).all()):
        return Scaled(transposed, e[..., :1, :])
    own = xp.max(xp.where(transposed != 0, across, EMPTY), axis=(-3, -1), keepdims=True)
    return Scaled(xp.ldexp(transposed, across - own), own)
