"""Figures of the page Learn: one drawing area that asks for a guess, and one beside it that says why.

All are pure functions of numbers that gradlab has computed; `Scene` says for whom they are drawn.
"""

from .areas import Area, Scene, arrange, guess_place
from .beside import spectrum_area, stream_area, wall_area
from .lags import Curve, lag_area
from .lines import Line, line_area, marked, plain_axis
from .maps import course_area, phase_area, triangle_area
from .product import ellipse_area, factor_area
from .unrolled import unrolled_area

__all__ = [
    "Area",
    "Curve",
    "Line",
    "Scene",
    "arrange",
    "course_area",
    "ellipse_area",
    "factor_area",
    "guess_place",
    "lag_area",
    "line_area",
    "marked",
    "phase_area",
    "plain_axis",
    "spectrum_area",
    "stream_area",
    "triangle_area",
    "unrolled_area",
    "wall_area",
]
