"""Every registered activation, as it is and as the kernel that CuPy makes of it, at ordinary, huge and tiny numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ..arrays import Array, Namespace, fused
from ..cells import ACTIVATIONS, Activation
from .agreement import Found, Item

ORDINARY = np.linspace(-6.03, 6.01, 301)
ODD = [sign * size for size in (0.0, 2.0**-30, 95.0, 750.0, 2.0**13, 2.0**100) for sign in (-1, 1)]  # exact in float32


def activations() -> Iterator[Item]:
    """Each activation."""
    for name, phi in ACTIVATIONS.items():
        yield Item(f"{name}: ordinary numbers", partial(_ordinary, phi))
        yield Item(f"{name}: huge and tiny numbers", partial(_odd, phi))


def _ordinary(phi: Activation, xp: Namespace, dtype: str) -> Found:
    a = xp.asarray(ORDINARY.astype(dtype))
    found = _values(phi, xp, a)
    found |= {f"{key} as a kernel": _kernel(getattr(phi, key), xp, a) for key in ("value", "slope")}
    if phi.slope_from_value is not None:
        found["slope from the value"] = phi.slope_from_value(xp, found["value"])
    return found


def _odd(phi: Activation, xp: Namespace, dtype: str) -> Found:
    """Each number by itself, so that none hides behind a larger one."""
    found = _values(phi, xp, xp.asarray(np.array(ODD, dtype)))
    return {f"{key} at {at:.3g}": values[i] for key, values in found.items() for i, at in enumerate(ODD)}


def _values(phi: Activation, xp: Namespace, a: Array) -> Found:
    phi.in_place(xp, in_place := a.copy())
    return {"value": phi.value(xp, a), "slope": phi.slope(xp, a), "value in place": in_place}


def _kernel(function: Callable[[Namespace, Array], Array], xp: Namespace, a: Array) -> Array:
    """A function's value from one fused kernel."""
    return fused(xp, _Alone(function))(a)[0]


class _Alone:
    """A function's result as a tuple, which is what a fused kernel returns in the engine."""

    def __init__(self, function: Callable[[Namespace, Array], Array]) -> None:
        self.function = function

    def __call__(self, xp: Namespace, a: Array) -> tuple[Array, ...]:
        """(function(a),)."""
        return (self.function(xp, a),)
