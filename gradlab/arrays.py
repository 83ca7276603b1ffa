"""Array namespaces and devices: the only file that knows which array libraries exist.

Every other function works with the namespace of the arrays it was given, so one source serves NumPy and CuPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, lru_cache, partial
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from .errors import InputError

Array = Any  # a numpy.ndarray, a cupy.ndarray, or anything with their functions and semantics
Namespace = ModuleType | Any

DEVICES = ("cpu", "cuda", "auto")
CACHE_LINE = 64  # bytes


def namespace(array: Array) -> Namespace:
    """The module whose functions take `array`: numpy, cupy, or what `__array_namespace__` names."""
    if isinstance(array, np.ndarray | np.generic):
        return np
    if type(array).__module__.partition(".")[0] == "cupy":
        import cupy

        return cupy
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    raise InputError(f"expected a NumPy or CuPy array, got {type(array).__name__}; wrap it in numpy.asarray(...)")


def require_namespace(xp: Namespace, **arrays: Array | None) -> None:
    """Raise InputError, by name, where an array does not live in `xp`."""
    for name, array in arrays.items():
        if array is not None and namespace(array) is not xp:
            got, want = namespace(array).__name__, xp.__name__
            raise InputError(f"{name} is a {got} array but the parameters are {want}; move it with gradlab.to_device")


def require_shape(name: str, array: Array, expected: tuple[int | str, ...]) -> None:
    """Raise InputError unless `array.shape` equals `expected`, in which a text stands for any size."""
    shape = tuple(array.shape)
    same = len(shape) == len(expected) and all(
        isinstance(e, str) or e == n for e, n in zip(expected, shape, strict=True)
    )
    if not same:
        wanted = ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "")
        raise InputError(f"{name}: expected shape ({wanted}), got {shape}")


def require_type(name: str, array: Array, kinds: str, expected: str) -> None:
    """Raise InputError unless the array's NumPy kind is one of `kinds` and no half precision is among the floats."""
    dtype = array.dtype
    if dtype.kind not in kinds or (dtype.kind == "f" and dtype.itemsize not in (4, 8)):
        raise InputError(f"{name}: expected {expected}, got {dtype}; convert it with {name}.astype(...)")


def require_finite(name: str, array: Array, mask: Array | None = None) -> None:
    """Raise InputError that says where an array is not finite; with `mask` (T, *M, B), only there.

    With a leading time axis (x, dL_dh) the place is given as step 1..T and sample, else as an index.
    """
    xp = namespace(array)
    with quiet():
        if bool(xp.isfinite(array.sum())):
            return
    bad = ~np.isfinite(to_numpy(array))
    if mask is not None:
        bad &= to_numpy(mask)[..., None]
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        place = f"step {at[0] + 1}, sample {at[-2]}" if name in ("x", "dL_dh") else f"index {at}"
        raise InputError(f"{name} holds {to_numpy(array)[at]} at {place}; it must be finite")


@cache
def gpu_problem() -> str | None:
    """Why no GPU can be used, or None: the answer of one real operation, as CuPy imports happily without a GPU."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed; install 'gradlab[cuda12]' or 'gradlab[cuda13]', whichever fits the driver"
    try:
        if float((cupy.ones((2, 2)) @ cupy.ones((2, 2))).sum()) == 8.0:
            return None
        return "CuPy computes wrong results on this GPU; check the driver"
    except Exception as error:  # CuPy raises its own classes, which cannot be named without it
        return f"CuPy finds no usable GPU ({str(error).strip().splitlines()[0]}); check that nvidia-smi shows one"


def device_namespace(device: str) -> Namespace:
    """numpy for 'cpu', cupy for 'cuda', the best that works for 'auto'; InputError says why there is no GPU."""
    if device not in DEVICES:
        raise InputError(f"unknown device '{device}'. Valid: {', '.join(DEVICES)}")
    if device == "cpu" or (device == "auto" and gpu_problem()):
        return np
    if problem := gpu_problem():
        raise InputError(f"device 'cuda' cannot be used: {problem}. Use device='cpu' meanwhile")
    import cupy

    return cupy


def to_device(array: Array, device: str) -> Array:
    """`array` on 'cpu', 'cuda' or 'auto'."""
    xp = device_namespace(device)
    return to_numpy(array) if xp is np else xp.asarray(array)


def to_numpy(array: Array) -> np.ndarray:
    """`array` in host memory."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def quiet() -> AbstractContextManager[object]:
    """Overflow and invalid operations without warnings: the engine looks for them itself and says where."""
    return np.errstate(all="ignore")


def erf(xp: Namespace) -> Callable[[Array], Array]:
    """The error function of a namespace (float32 stays float32)."""
    if xp is np:
        return import_module("scipy.special").erf
    return import_module("cupyx.scipy.special").erf if xp.__name__ == "cupy" else xp.erf


def fused(xp: Namespace, function: Callable[..., tuple[Array, ...]]) -> Callable[..., tuple[Array, ...]]:
    """`function(xp, *arrays) -> arrays` bound to `xp`; one elementwise kernel where the library can fuse (CuPy)."""
    return _kernel(xp, function) if hasattr(xp, "fuse") else partial(function, xp)


@lru_cache(maxsize=64)
def _kernel(xp: Namespace, function: Callable[..., tuple[Array, ...]]) -> Callable[..., tuple[Array, ...]]:
    def bound(*arrays: Array) -> tuple[Array, ...]:
        return function(xp, *arrays)

    return xp.fuse(bound)


def empty(xp: Namespace, shape: tuple[int, ...], dtype: Any) -> Array:
    """`xp.empty`; on NumPy it starts at a cache line, as vectors that straddle two take up to twice as long."""
    if xp is not np:
        return xp.empty(shape, dtype=dtype)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + CACHE_LINE, dtype=np.uint8)
    start = -memory.__array_interface__["data"][0] % CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def contiguous(xp: Namespace, array: Array) -> Array:
    """A contiguous copy, placed as by `empty`."""
    copy = empty(xp, array.shape, array.dtype)
    copy[...] = array
    return copy


def linear(xp: Namespace, x: Array, w: Array) -> Array:
    """x w^T over every leading axis: x (T, *M, B, D), w (*M, H, D) -> (T, *M, B, H); one GEMM without model axes."""
    wt = xp.ascontiguousarray(xp.swapaxes(w, -1, -2))
    if w.ndim == 2:
        return (x.reshape(-1, x.shape[-1]) @ wt).reshape(*x.shape[:-1], w.shape[0])
    return xp.matmul(x, wt)


def outer_sum(xp: Namespace, a: Array, b: Array) -> Array:
    """sum over steps and samples of a b^T: a (T, *M, B, H), b (T, *M, B, D) -> (*M, H, D); one GEMM per model."""

    def rows_last(x: Array) -> Array:
        x = xp.moveaxis(x, 0, -3)
        return x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])

    return xp.matmul(xp.swapaxes(rows_last(a), -1, -2), rows_last(b))


def row_dots(xp: Namespace, a: Array, b: Array) -> Array:
    """sum_i a_i b_i along the last axis; overflows without a warning."""
    with quiet():
        return np.vecdot(a, b) if xp is np else xp.einsum("...i,...i->...", a, b)


def over_largest(xp: Namespace, x: Array, axes: int | tuple[int, ...]) -> tuple[Array, Array]:
    """x over its largest absolute value along `axes`, zeros as they are, and that value; dimensions are kept."""
    largest = xp.max(xp.abs(x), axis=axes, keepdims=True)
    return x / xp.where(largest > 0, largest, xp.ones_like(largest)), largest


def exceeds(values: Array, level: float) -> bool:
    """Whether |values| exceeds `level` or is NaN anywhere; two reductions are much faster than a comparison or abs."""
    if abs(float(values[(0,) * values.ndim])) > level:  # often the first one tells
        return True
    return not (float(values.max()) <= level and float(values.min()) >= -level)


def log_norm(xp: Namespace, x: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """ln of the Euclidean norm along `axis`, float64; exact zero gives -inf and no square under- or overflows."""
    if 0 in x.shape:
        return xp.full(xp.sum(x, axis=axis).shape, -xp.inf, dtype=xp.float64)
    with quiet():
        scaled, largest = over_largest(xp, x, axis)
        squares = xp.sum(scaled * scaled, axis=axis, dtype=xp.float64)
        return xp.log(xp.squeeze(largest, axis=axis).astype(xp.float64)) + 0.5 * xp.log(xp.maximum(squares, 1.0))


LN2 = math.log(2.0)
