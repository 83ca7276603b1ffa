"""Array namespaces and devices: the only file that knows which array libraries exist.

Every other function works with the namespace of the arrays it was given, so one source serves NumPy and CuPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import cache, lru_cache, partial
from importlib import import_module
from numbers import Integral, Real
from types import ModuleType
from typing import Any

import numpy as np

from .errors import InputError, echo

Array = Any  # a numpy.ndarray, a cupy.ndarray, or anything with their functions and semantics
Namespace = ModuleType | Any

DEVICES = ("cpu", "cuda", "auto")
CACHE_LINE = 64  # bytes
BATCH_FIRST = "batch first? use np.swapaxes(x, 0, 1)"


def namespace(array: Array, name: str | None = None) -> Namespace:
    """The module whose functions take `array`: numpy, cupy, or what `__array_namespace__` names.

    Raises InputError for what is no array; `name` is what the caller calls it.
    """
    if isinstance(array, np.ndarray | np.generic):
        return np
    if type(array).__module__.partition(".")[0] == "cupy":
        import cupy

        return cupy
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    text = f"expected a NumPy or CuPy array, got {type(array).__name__}; wrap it in numpy.asarray(...)"
    raise InputError(f"{name}: {text}" if name else text, name)


def require_namespace(xp: Namespace, **arrays: Array | None) -> None:
    """Raise InputError, by name, where an array does not live in `xp`, or is none."""
    for name, array in arrays.items():
        if array is not None and (place := namespace(array, name)) is not xp:
            text = f"{name} is a {place.__name__} array but the parameters are {xp.__name__}"
            raise InputError(f"{text}; move it with gradlab.to_device", name)


def require_shape(name: str, array: Array, expected: tuple[int | str, ...]) -> None:
    """Raise InputError unless `array.shape` equals `expected`, in which a text stands for any size."""
    shape = tuple(array.shape)
    same = len(shape) == len(expected) and all(
        isinstance(e, str) or e == n for e, n in zip(expected, shape, strict=True)
    )
    if not same:
        wanted = ", ".join(map(str, expected)) + ("," if len(expected) == 1 else "")
        raise InputError(f"{name}: expected shape ({wanted}), got {shape}", name)


def require_type(name: str, array: Array, kinds: str, expected: str) -> None:
    """Raise InputError unless the array's NumPy kind is one of `kinds` and no half precision is among the floats."""
    namespace(array, name)
    dtype = array.dtype
    if dtype.kind not in kinds or (dtype.kind == "f" and dtype.itemsize not in (4, 8)):
        raise InputError(f"{name}: expected {expected}, got {dtype}; convert it with {name}.astype(...)", name)


def require_finite(name: str, array: Array, *mask: Array | None) -> None:
    """Raise InputError that says where an array is not finite.

    mask: of an array over time (T, *M, B, n), where it counts (T, *M, B), None for everywhere; the place is then given
    as step 1..T and sample, and as an index where there is no such argument.
    """
    xp = namespace(array)
    with quiet():
        if bool(xp.isfinite(array.sum())):
            return
    bad = ~np.isfinite(to_numpy(array))
    for inside in mask:
        bad &= True if inside is None else to_numpy(inside)[..., None]
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        place = f"step {at[0] + 1}, sample {at[-2]}" if mask else f"index {at}"
        raise InputError(f"{name} holds {to_numpy(array)[at]} at {place}; it must be finite", name)


def require_number(name: str, value: Any, expected: str, accepts: Callable[[float], bool]) -> float:
    """`value`; InputError unless it is one real number that `accepts` takes; a text or a truth value is none.

    accepts: is asked about NaN where there is no number, and has to refuse it.
    """
    number = _as_float(value)
    if not accepts(number):
        raise InputError(f"{name}: expected {expected}, got {echo(value)}", name)
    return number


def _as_float(value: Any) -> float:
    """A real number as a float; NaN for anything else, and for a whole number that no float can hold."""
    with suppress(OverflowError):
        if not isinstance(value, bool) and isinstance(value, Real):
            return float(value)
    return math.nan


def not_negative(number: float) -> bool:
    """Whether a number is finite and from 0 on; -0.0 is not, which NumPy takes for a negative standard deviation."""
    return 0 <= number < math.inf and math.copysign(1, number) > 0


def is_whole(value: Any) -> bool:
    """Whether `value` is one whole number; a truth value is none."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def require_whole(low: int, **counts: Any) -> None:
    """Raise InputError, by name, for what is no whole number from `low` on."""
    for name, value in counts.items():
        if not is_whole(value) or value < low:
            raise InputError(f"{name}: expected a whole number from {low} on, got {echo(value)}", name)


def require_size(name: str, size: Any) -> None:
    """Raise InputError unless `size` is a positive integer."""
    if not is_whole(size) or size < 1:
        raise InputError(f"{name}: expected a positive integer, got {echo(size)}", name)


def require_drawable(seed: Any, dtype: Any, models: Any = (), **scales: Any) -> np.dtype:
    """The dtype that parameters are drawn in; InputError for a seed, dtype, model axes or scale that cannot be used."""
    require_whole(0, seed=seed)
    if not isinstance(models, tuple | list) or not all(is_whole(n) and n > 0 for n in models):
        raise InputError(f"models: expected a tuple of positive integers such as (3,), got {echo(models)}", "models")
    for name, scale in scales.items():
        require_number(name, scale, "a number from 0 on", not_negative)
    try:
        known = np.dtype(dtype)
    except (TypeError, ValueError):
        known = None
    if known not in (np.float32, np.float64):
        raise InputError(f"dtype: expected float32 or float64, got {echo(dtype)}", "dtype")
    return known


def placed(params: Mapping[str, np.ndarray], dtype: np.dtype, device: str) -> dict[str, Array]:
    """Parameters in a dtype and on a device. Raises InputError for those beyond the dtype's range."""
    xp, found = device_namespace(device), {}
    for name, values in params.items():
        with quiet():
            found[name] = values.astype(dtype)
        if not np.isfinite(found[name]).all():
            raise InputError(f"{name}: a weight is beyond the range of {dtype}; take smaller scales or weights", name)
    return {name: xp.asarray(values) for name, values in found.items()}


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
    if not isinstance(device, str) or device not in DEVICES:
        raise InputError(f"unknown device '{device}'. Valid: {', '.join(DEVICES)}", "device")
    if device == "cpu" or (device == "auto" and gpu_problem()):
        return np
    if problem := gpu_problem():
        raise InputError(f"device 'cuda' cannot be used: {problem}. Use 'cpu' meanwhile", "device")
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
