"""Where a forward pass left the finite numbers: by how much the input and the biases alone do that, and since when."""

from __future__ import annotations

import math

import numpy as np

from .factors import Factors

FILLED = math.log(1e4)  # an input that comes nearer than that to the largest number leaves no room for a state


def log_excess(f: Factors) -> float:
    """ln of what input and biases bring to a unit, over what leaves a state its room; -inf as far as is known."""
    first = min(f.overflow, key=lambda place: place["step"], default={})
    drive = first.get("drive")
    return -math.inf if drive is None else float(drive) + FILLED - math.log(float(np.finfo(f.dtype).max))


def driven_out(f: Factors) -> bool:
    """Whether the input and the biases alone drive the units out of range, whatever the recurrent weights are."""
    return log_excess(f) >= 0


def at_once(f: Factors) -> bool:
    """Whether a sample left the finite numbers at the first step, so that biases may be what brought it there."""
    return any(place["step"] == 1 for place in f.overflow)
