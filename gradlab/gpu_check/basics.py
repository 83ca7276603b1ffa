"""What all the rest is made of, so that a fault of the array library is found where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..arrays import Array, Namespace, linear, log_norm, outer_sum, over_largest, row_dots
from ..engine.scaled import Scaled, bring_near_one, map_rows
from .agreement import LOGARITHM, Found, Item
from .problems import moved

MANY = 70_000  # more than a dimension of a CUDA grid may have, 65,535
Use = Callable[[Namespace, str], Found]


def basics() -> Iterator[Item]:
    """Each use of the library that a GPU may answer differently."""
    uses: dict[str, Use] = {"many dot products": dots, "many small products": small, "products into views": views}
    uses |= {"sums over steps": sums, "powers of two": powers, "masks and lists as indices": indices}
    uses |= {"types of results": types, "decompositions": decompositions}
    for name, use in uses.items():
        yield Item(name, use)


def _drawn(xp: Namespace, dtype: str, *shape: int) -> Array:
    return moved(xp, dtype, np.random.default_rng(shape).normal(size=shape))


def dots(xp: Namespace, dtype: str) -> Found:
    """One dot product for each of many rows."""
    a, b = _drawn(xp, dtype, MANY, 3), _drawn(xp, dtype, 3, MANY).T
    return {"dots": row_dots(xp, a, b), LOGARITHM + "norm": log_norm(xp, a)}


def small(xp: Namespace, dtype: str) -> Found:
    """Many products of small matrices at once, each with its own factor and all with one."""
    a, b = _drawn(xp, dtype, MANY, 2, 3), _drawn(xp, dtype, MANY, 3, 2)
    return {"each its own": xp.matmul(a, b), "all the same": xp.matmul(a, b[0])}


def views(xp: Namespace, dtype: str) -> Found:
    """Results written to every second place of an array."""
    a, b, out = _drawn(xp, dtype, 4, 3, 5), _drawn(xp, dtype, 5, 2), xp.zeros((4, 2, 3, 2), dtype=dtype)
    xp.matmul(a, b, out=out[:, 1])
    xp.add(out[:, 1], 1.0, out=out[:, 0])
    flat = xp.zeros((3, 2), dtype=dtype)
    xp.dot(a[0], b, out=flat)
    return {"matmul and add": out, "dot": flat}


def sums(xp: Namespace, dtype: str) -> Found:
    """Products over all steps and samples, with model axes and without."""
    x, w, y = _drawn(xp, dtype, 9, 2, 4, 3), _drawn(xp, dtype, 2, 5, 3), _drawn(xp, dtype, 9, 2, 4, 6)
    found = {"x w^T": linear(xp, x, w), "sum of x y^T": outer_sum(xp, x, y)}
    return found | {"alone, x w^T": linear(xp, x[:, 0], w[0]), "alone, sum of x y^T": outer_sum(xp, x[:, 0], y[:, 0])}


def powers(xp: Namespace, dtype: str) -> Found:
    """Mantissas and exponents at every size that a number can have, subnormal ones too."""
    shared = xp.asarray(np.arange(-140, 120, 5).astype(np.int32))
    plain = xp.ldexp(0.75 * xp.ones(shared.shape, dtype=dtype), shared)
    near = xp.stack([plain, -plain, 0 * plain], axis=-1)
    moved_by = bring_near_one(xp, near, -1)
    rows = map_rows(lambda m: 3 * m, Scaled.of(plain[:, None], -1))
    found = {"numbers": plain, "near one": near, "exponents": moved_by, "tripled": rows.mantissas}
    return found | {"over the largest": over_largest(xp, plain[None], -1)[0]}


def indices(xp: Namespace, dtype: str) -> Found:
    """Parts taken and assigned by masks, lists and arrays of indices."""
    a, rows = _drawn(xp, dtype, 6, 2, 3), xp.asarray(np.array([True, False, True, True, False, False]))
    filled, chosen = xp.zeros_like(a), a[:, :, 0] > 0
    filled[rows] = 2 * a[rows]
    filled[..., [2, 0]] += 1
    order = xp.argsort(a, axis=0)
    taken = xp.take_along_axis(a, order[:, :1], axis=0)
    return {"assigned": filled, "masked": a[chosen], "list": a[:, [1, 0]], "sorted": taken, "rows": a[order[:, 0, 0]]}


def types(xp: Namespace, dtype: str) -> Found:
    """Python's numbers keep an array's type, and whole numbers become float64 where NumPy says so."""
    a, whole, truth = _drawn(xp, dtype, 5), xp.arange(5, dtype=xp.int32), _drawn(xp, dtype, 5) > 0
    found = {"minimum": xp.minimum(a, 0.0), "where": xp.where(truth, a, 0.5), "choice": xp.where(truth, 1.0, -0.01)}
    found |= {"times whole": 0.5 * whole, "whole": xp.where(truth, whole, -(2**30)), "share": truth / 5}
    return found | {"count": truth.sum(), "total": whole.sum(), "mean": a.mean(), "sign": xp.sign(xp.maximum(a, 0.0))}


def decompositions(xp: Namespace, dtype: str) -> Found:
    """QR and singular values of stacks of matrices, as far as they are unique."""
    tall, square = _drawn(xp, dtype, 4, 7, 3), _drawn(xp, dtype, 3, 5, 5)
    q, r = xp.linalg.qr(tall)
    sizes = xp.abs(xp.diagonal(r, axis1=-2, axis2=-1))
    singular = xp.linalg.svd(square, compute_uv=False)
    return {"q r": xp.matmul(q, r), "|r_ii|": sizes, "singular values": singular}
