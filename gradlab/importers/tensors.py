"""Tensors of other tools as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import to_numpy
from ..errors import InputError


def shape_of(value: Any) -> tuple[int, ...]:
    """Of an array or a tensor, which stays where it is; () of anything else."""
    return tuple(getattr(value, "shape", ()))


def host(value: Any) -> np.ndarray:
    """A NumPy array; a tensor is first detached and brought to the host. Raises an InputError that is in its place."""
    if isinstance(value, InputError):
        raise value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value  # which NumPy does not have
    return to_numpy(value)


def finite_array(name: str, value: Any) -> np.ndarray:
    """A finite float32 or float64 array, float32 for half precision. Raises InputError for anything else."""
    array = host(value)
    if array.dtype.kind != "f":
        raise InputError(f"{name}: expected floating-point numbers, got {array.dtype}; convert it to float32", name)
    if not np.isfinite(array).all():
        where = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise InputError(f"{name}: {array[where]} at index {where}; every weight must be finite", name)
    return array.astype(np.result_type(array, np.float32))


def parameters(
    cell: str, w_x: np.ndarray, w_h: np.ndarray, b_x: np.ndarray, b_h: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """A layer's blocks (G, H, D), (G, H, H), (G, H) with one bias or two as a cell's parameters.

    Gates stand in gradlab's order, but r, z, n of a "gru", whose recurrent block of n is a gate of its own, m, there.
    """
    b_h = np.zeros_like(b_x) if b_h is None else b_h
    if cell != "gru":
        return {"W_xh": w_x, "W_hh": w_h, "b_h": b_x + b_h}
    bias = np.stack([b_x[2], b_x[0] + b_h[0], b_x[1] + b_h[1], b_h[2]])
    return {"W_xh": w_x[[2, 0, 1]], "W_hh": w_h, "b_h": bias}
