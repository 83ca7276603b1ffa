"""Figures of the page Learn: one drawing area that asks for a guess, and one beside it that says why.

All are pure functions of numbers that gradlab has computed; `Scene` says for whom they are drawn.
"""

from .areas import Area, Scene, arrange, guess_place
from .beside import spectrum_area, stream_area, wall_area
from .lags import Curve, lag_area, marked
from .product import ellipse_area, factor_area

__all__ = [
    "Area",
    "Curve",
    "Scene",
    "arrange",
    "ellipse_area",
    "factor_area",
    "guess_place",
    "lag_area",
    "marked",
    "spectrum_area",
    "stream_area",
    "wall_area",
]
