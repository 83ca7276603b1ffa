"""The cases, by what their class is known from; each kind has five or more, of different sizes and seeds."""

from ..cases import CASES
from . import gates, linear, noise, samples, units

__all__ = ["CASES", "gates", "linear", "noise", "samples", "units"]
