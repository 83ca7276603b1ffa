"""The product with the recurrent weights, which every step of both time loops takes: by the call that is fastest."""

from __future__ import annotations

import numpy as np

from ..arrays import CACHE_LINE, Array, Namespace, contiguous
from .threads import blas_libraries

SMALL = 100**3  # rows * inner * columns up to which OpenBLAS multiplies without packing its factors first
AVX512 = ("SkylakeX", "Cooperlake", "SapphireRapids")  # the kernels of OpenBLAS that do so
NARROW = 2 * CACHE_LINE  # bytes of a row; blocks of fewer columns are slow again


class StepProduct:
    """r (*M, B, n) -> r W (K, *M, B, m) for weights W (K, *M, n, m), K the gates, which may be absent.

    `multiply(factor(r), weights, out=target(out))` is one such product; factors and targets are views, of one step or
    of many. Large weights are cut into blocks of columns where blocks are multiplied faster than the whole.
    """

    def __init__(self, xp: Namespace, rows: int, weights: Array) -> None:
        self.xp, self.blocks = xp, column_blocks(xp, rows, weights)
        self.weights = contiguous(xp, self.target(weights))
        self.multiply = xp.dot if self.weights.ndim == 2 else xp.matmul  # dot starts sooner

    def factor(self, array: Array) -> Array:
        """The view of (..., B, n) that `multiply` takes."""
        return array[..., None, :, :] if self.blocks > 1 else array

    def target(self, array: Array) -> Array:
        """The view of (..., B, m) that `multiply` writes to: (..., blocks, B, m / blocks)."""
        if self.blocks == 1:
            return array
        parts = array.reshape(*array.shape[:-1], self.blocks, array.shape[-1] // self.blocks)
        return self.xp.swapaxes(parts, -3, -2)


def column_blocks(xp: Namespace, rows: int, weights: Array) -> int:
    """The number of blocks of columns that `weights` (..., n, m) are best cut into: mostly 1."""
    n, m = weights.shape[-2:]
    if xp is not np or rows * n * m <= SMALL or not _small_products_are_fast():
        return 1
    widest, narrowest = min(m, SMALL // (rows * n)), NARROW // weights.dtype.itemsize
    return next((m // width for width in range(widest, narrowest - 1, -1) if m % width == 0), 1)


def _small_products_are_fast() -> bool:
    """Whether OpenBLAS runs its kernels for AVX-512 on one thread; more threads share a large product better."""
    openblas = [blas for blas in blas_libraries() if blas.internal_api == "openblas"]
    return any(blas.architecture in AVX512 and blas.num_threads == 1 for blas in openblas)
