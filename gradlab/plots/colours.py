"""Colours of all figures: one fixed scale for the size of a gradient, and series that colour-blind readers tell apart.

The scale is never fitted to the data: 10^-12 is the page's background (a lost gradient fades away), 1 is blue, 10^12
crimson, and lightness is monotone, so that print in grey keeps the order. Beyond both ends it is clipped.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from ..registry import Registry

LN10 = math.log(10)
DECADES = 12  # the scale runs from 10^-12 to 10^12


@dataclass(frozen=True)
class Theme:
    """What light and dark figures differ in.

    `second`: the run's second state; `below`, `above`: factors against 1; `stops`: position in [0, 1] and colour.
    """

    text: str
    muted: str
    grid: str
    card: str
    run: str
    second: str
    pins: tuple[str, ...]
    below: str
    above: str
    stops: tuple[tuple[float, str], ...]

    @property
    def page(self) -> str:
        """The page's background, which is the colour of a gradient of 10^-12."""
        return self.stops[0][1]

    @property
    def series(self) -> tuple[str, ...]:
        """Colours of lines that stand side by side, the run's own first."""
        return (self.run, *self.pins)


THEMES: Registry[Theme] = Registry("theme")
# Series: M. Okabe and K. Ito, Color Universal Design (2008), without those that the page's background swallows.
THEMES.add(
    "light",
    Theme(
        text="#212529",
        muted="#5c636a",
        grid="#e3e6ea",
        card="#ffffff",
        run="#0072B2",
        second="#003a5c",
        pins=("#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"),
        below="#0072B2",
        above="#D55E00",
        stops=((0.0, "#f8f9fa"), (0.5, "#4dabf7"), (0.68, "#7048e8"), (1.0, "#8c1545")),
    ),
)
THEMES.add(
    "dark",
    Theme(
        text="#e9ecef",
        muted="#a6adb4",
        grid="#34373c",
        card="#25262b",
        run="#56B4E9",
        second="#cfeaff",
        pins=("#E69F00", "#009E73", "#F0E442", "#CC79A7", "#D55E00"),
        below="#56B4E9",
        above="#E69F00",
        stops=((0.0, "#1a1b1e"), (0.5, "#1c7ed6"), (0.68, "#da77f2"), (1.0, "#ffd43b")),
    ),
)

# Beside colour, every line of a figure has a dash of its own; the first is the run's.
DASHES = ("solid", "dot", "dashdot", "longdash", "longdashdot", "8px,3px,2px,3px")


def series_style(n: int, look: Theme) -> tuple[str, str]:
    """Colour and dash of the n-th of several lines, counted from 0; from the seventh on they repeat."""
    return look.series[n % len(look.series)], DASHES[n % len(DASHES)]


def colour_scale(theme: str = "light") -> list[list[float | str]]:
    """The colour scale as plotly wants it, for log10 values from -12 to 12; InputError for an unknown theme."""
    return [[position, colour] for position, colour in THEMES[theme].stops]


def colour_of(log_value: float, theme: str = "light") -> str:
    """The colour "#rrggbb" of exp(log_value) on the fixed scale; of zero (-inf) and NaN it is the background's."""
    stops = THEMES[theme].stops
    if math.isnan(log_value):
        return stops[0][1]
    position = min(max(0.5 + log_value / LN10 / (2 * DECADES), 0.0), 1.0)
    (start, first), (end, second) = next(pair for pair in pairwise(stops) if position <= pair[1][0])
    share = (position - start) / (end - start)
    mixed = (round((1 - share) * a + share * b) for a, b in zip(_rgb(first), _rgb(second), strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
