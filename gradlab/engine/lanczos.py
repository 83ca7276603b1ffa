"""Largest singular values of many operators at once, by Golub-Kahan bidiagonalisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ..arrays import Array, Namespace, over_largest, quiet

Operator = Callable[[Array], Array]

MAX_STEPS = 48
NOTHING = 1e-30  # a norm that stands for zero among vectors of moderate norm
CHECK_EVERY = 4
TINY = 1e-15  # a norm beyond this or its inverse is computed again from scaled numbers


def largest_singular_values(
    xp: Namespace,
    apply: Operator,
    apply_transpose: Operator,
    start: Array,
    axes: tuple[int, ...],
    tol: float,
) -> tuple[Array, Array]:
    """sigma_max of a stack of operators A and its relative residual bound, float64, shaped as `start` without `axes`.

    apply, apply_transpose map an array shaped as `start`, whose `axes` hold the vectors and whose others number the
    operators. After k steps, A V = U B with B upper bidiagonal. The residual beta_k |last component of B's leading left
    singular vector| bounds the distance to a singular value; the loop ends when it is below tol * sigma everywhere, or
    after 48 steps. Without reorthogonalisation B gets copies of its leading value, harmless to the value itself.
    Source: Golub & Kahan 1965; the residual bound: Larsen 1998.
    """
    v, _ = unit(xp, start.copy(), axes)
    u, alpha = unit(xp, apply(v), axes)
    alphas, betas = [alpha], []
    bound = xp.full(1, xp.inf)
    for step in range(1, MAX_STEPS + 1):
        v, beta = unit(xp, _less(apply_transpose(u), alpha, v), axes)
        betas.append(beta)
        if step % CHECK_EVERY == 0:
            sigma, latest = _leading_value(xp, _flat(xp, alphas, axes), _flat(xp, betas, axes), tol)
            bound = xp.minimum(bound, latest)  # sigma only grows, so an earlier bound stays one
            if bool((bound <= tol).all()):
                break
        u, alpha = unit(xp, _less(apply(v), beta, u), axes)
        alphas.append(alpha)
    return sigma, bound


def leading_triplet(
    xp: Namespace, apply: Operator, apply_transpose: Operator, start: Array, tolerances: Mapping[int, float]
) -> tuple[Array, Array, Array]:
    """sigma, the left singular vector and the relative residual after as many Golub-Kahan steps as it takes.

    tolerances: number of steps -> residual that is small enough there; after the last of them it ends. Vectors lie
    along the last axis; sigma and the residual keep it with length 1. For operators of moderate norm.
    """
    lefts: list[Array] = []
    alphas: list[Array] = []
    betas: list[Array] = []
    v = _over_norm(xp, start.copy())[0]
    u = apply(v)
    for step in range(1, max(tolerances) + 1):
        u, alpha = _over_norm(xp, u)
        w, beta = _over_norm(xp, _less(apply_transpose(u), alpha, v))
        lefts.append(u)
        alphas.append(alpha)
        if step in tolerances:
            sigma, x = _leading_left(xp, alphas, betas)
            residual = beta * xp.abs(x[..., -1:]) / xp.maximum(sigma, NOTHING)
            if bool((residual <= tolerances[step]).all()):
                break
        betas.append(beta)
        v, u = w, _less(apply(w), beta, u)
    left = xp.matmul(x[..., None, :].astype(u.dtype), xp.stack(lefts, axis=-2))[..., 0, :]
    return sigma, left, residual


def _over_norm(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """x over its norm along the last axis, in place, and the norm; neither under- nor overflows."""
    norm = xp.sqrt(xp.einsum("...i,...i->...", x, x))[..., None]
    x /= xp.maximum(norm, NOTHING)
    return x, norm


def _leading_left(xp: Namespace, alphas: list[Array], betas: list[Array]) -> tuple[Array, Array]:
    """Largest singular value (..., 1) of small bidiagonal B, and its left singular vector, by repeated squaring."""
    k = len(alphas)
    if k == 1:
        return alphas[0].astype(xp.float64), xp.ones_like(alphas[0])
    b = xp.zeros((*alphas[0].shape[:-1], k, k), dtype=xp.float64)
    for i, alpha in enumerate(alphas):
        b[..., i, i] = alpha[..., 0]
    for i, beta in enumerate(betas):
        b[..., i, i + 1] = beta[..., 0]
    bt = xp.swapaxes(b, -1, -2)
    power = xp.matmul(b, bt)
    for squaring in range(10):  # to the 1024th power, brought near 1 on the way
        if squaring % 5 == 0:
            power = power / xp.maximum(xp.einsum("...ii->...", power), NOTHING)[..., None, None]
        power = xp.matmul(power, power)
    x = _over_norm(xp, power[..., 0].copy())[0]
    return _over_norm(xp, xp.matmul(x[..., None, :], b)[..., 0, :])[1], x


def _flat(xp: Namespace, values: list[Array], axes: tuple[int, ...]) -> Array:
    return xp.stack([xp.squeeze(value, axis=axes) for value in values]).astype(xp.float64)


def _less(x: Array, factor: Array, y: Array) -> Array:
    """x - factor * y, in place of x."""
    x -= factor * y
    return x


def unit(xp: Namespace, x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """x over its norm, in place (zero stays zero), and the norm; dimensions are kept."""
    norm = _norm(xp, x, axes)
    if not bool(((norm > TINY) & (norm < 1 / TINY)).all()):  # squares may have left the range
        scaled, largest = over_largest(xp, x, axes)
        norm = largest * _norm(xp, scaled, axes)
    x /= xp.where(norm > 0, norm, xp.ones_like(norm))
    return x, norm


def _norm(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
    squares = xp.einsum("...i,...i->...", x, x)[..., None]  # the last of `axes` is the last axis
    return xp.sqrt(xp.sum(squares, axis=axes, keepdims=True))


def _leading_value(xp: Namespace, alphas: Array, betas: Array, tol: float) -> tuple[Array, Array]:
    """Largest singular value of each bidiagonal B (k, ...), and its relative residual bound.

    B B^T is tridiagonal: diagonal alpha_i^2 + beta_i^2 (without the last beta), off-diagonal beta_i alpha_{i+1}.
    """
    scale = xp.max(xp.maximum(alphas, betas), axis=0)
    scale = xp.where(scale > 0, scale, xp.ones_like(scale))
    a, b = alphas / scale, betas / scale
    diagonal = a * a
    diagonal[:-1] += b[:-1] * b[:-1]
    off = b[:-1] * a[1:]
    with quiet():
        top, width = _largest_eigenvalue(xp, diagonal, off, tol)
        sigma = xp.sqrt(top)
        residual = b[-1] / xp.sqrt(_squared_norm(xp, diagonal, off, top))
        relative = xp.where(sigma > 0, residual / sigma + width / top, xp.zeros_like(sigma))
    return sigma * scale, xp.where(xp.isfinite(relative), relative, xp.zeros_like(relative))


def _largest_eigenvalue(xp: Namespace, diagonal: Array, off: Array, tol: float) -> tuple[Array, Array]:
    """A lower bound and its error, by bisection: T - x is negative definite exactly above the largest eigenvalue.

    Accurate to about tol^2, as an eigenvalue's error is about the square of the residual's. T is tridiagonal.
    """
    low = xp.max(diagonal, axis=0)
    radius = xp.concatenate([off, 0 * off[:1]]) + xp.concatenate([0 * off[:1], off])
    high = xp.max(diagonal + radius, axis=0)
    squares = off * off
    for _ in range(math.ceil(2 * math.log2(1 / tol)) + 8):
        middle = 0.5 * (low + high)
        pivot = diagonal[0] - middle
        above = pivot < 0
        for d, e in zip(diagonal[1:], squares, strict=True):
            pivot = d - middle - e / pivot
            above = above & (pivot < 0)
        low, high = xp.where(above, low, middle), xp.where(above, middle, high)
    return low, high - low


def _squared_norm(xp: Namespace, diagonal: Array, off: Array, value: Array) -> Array:
    """||y||^2 of the eigenvector with last component 1, by the recurrence from its small end, where it is stable."""
    after, y = xp.zeros_like(value), xp.ones_like(value)
    total = xp.ones_like(value)
    for i in range(diagonal.shape[0] - 1, 0, -1):
        coupling = xp.where(off[i - 1] > 0, off[i - 1], xp.full_like(value, 1e-300))
        beyond = off[i] * after if i < off.shape[0] else 0.0
        after, y = y, ((value - diagonal[i]) * y - beyond) / coupling
        total = total + y * y
    return total
