"""Several runs on one lag axis: what is left of the gradient so many steps before the last one."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..wording import counted
from .colours import LN10, THEMES, Theme, series_style
from .gradient import rules
from .marks import Trace, band, line, power_texts, zeros
from .panels import LINE, End, Panel, heading, power_axis, quiet_title, span, stack
from .series import first_known, over_samples, require

HEIGHT = 420  # px of the panel
LETTERS = 26
ABOUT = (
    "Norm of dL/dx so many steps before the last one, as a share of what reaches the last input; L = u·y with a random "
    "unit vector u. Median over samples, then over seeds."
)


@dataclass(frozen=True)
class _Curve:
    """A run as it is drawn: label and style, log10 of the share (lag,) over seeds, what theory says, how many seeds."""

    label: str
    colour: str
    dash: str
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    theory: np.ndarray
    seeds: int

    def traces(self, bottom: float) -> list[Trace]:
        """The band, the line with marks where it is exactly zero, and theory as thin dots."""
        lag, name = np.arange(len(self.middle)), escape(self.label, quote=False)
        drawn = line(lag, self.middle, name, self.colour, _texts, width=2.4, dash=self.dash)
        traces = band(lag, self.low, self.high, self.colour, bottom) if self.seeds > 1 else []
        traces += [drawn, *zeros(lag, self.middle, name, self.colour, bottom)]
        if np.isfinite(self.theory).any():
            traces.append(line(lag, self.theory, f"theory: {name}", self.colour, width=1.2, dash="2px,3px"))
        return traces

    def end(self, letters: int) -> End:
        """The label, where the line ends on the left."""
        text = escape(shortened(self.label, letters), quote=False)
        return End(first_known(self.middle[::-1]), text, self.colour, self.dash)


def comparison(ds: xr.Dataset, theme: str = "light", letters: int = LETTERS) -> go.Figure:
    """Every run's share of the gradient against the steps back: median and band over seeds, theory as thin dots.

    ds: of `gradlab.compare`. letters: of the labels beside the figure, at most. Raises InputError for another Dataset
    and for an unknown theme.
    """
    require(ds, "log_left", "log_input_share", "theory_log_rate", "unit", by="compare")
    look, last = THEMES[theme], ds.sizes["lag"] - 1
    curves = [_curve(ds.isel(run=n), n, look) for n in range(ds.sizes["run"])]
    spans = [part for curve in curves for part in (curve.low, curve.middle, curve.high)]
    axis = power_axis(*span(spans, least=2))
    panel = Panel(heading("Gradient left", _caption(curves), look), HEIGHT, axis, [], about=ABOUT)
    panel.traces = [trace for curve in curves for trace in curve.traces(axis["range"][0])]
    panel.ends = [curve.end(letters) for curve in curves if curve.seeds]
    if any(np.isfinite(curve.theory).any() for curve in curves):
        panel.notes.append("thin dots: theory")
    panel.rules = rules([part[::-1] for part in spans], axis["range"], LINE / HEIGHT)
    return stack([panel], theme, last, lag_axis(last, {*ds.unit.values.tolist()}, look))


def _curve(run: xr.Dataset, n: int, look: Theme) -> _Curve:
    """The n-th run; its line goes on below the band where seeds are exactly zero."""
    logs = run.log_input_share.transpose("lag", "seed").values / LN10
    low, middle, high = over_samples(logs)
    rate = float(run.theory_log_rate) / LN10
    theory = np.where(np.isnan(middle), np.nan, rate * np.arange(len(middle)))
    seeds = int((~np.isnan(logs)).any(axis=0).sum())
    return _Curve(str(run.run.values), *series_style(n, look), low, middle, high, theory, seeds)


def _texts(y: np.ndarray) -> list[str]:
    return power_texts(y * LN10)


def _caption(curves: Sequence[_Curve]) -> str:
    """Over how many seeds."""
    fewest, most = (pick(curve.seeds for curve in curves) for pick in (min, max))
    count = counted(most, "seed") if fewest == most else f"{fewest} to {most} seeds so far"
    return "one seed" if (fewest, most) == (1, 1) else f"median over {count}, band 10–90 %"


def lag_axis(last: int, units: set[str], look: Theme) -> dict[str, object]:
    """Steps back grow to the left, as time does in every other figure; of trees they are levels."""
    words = {"step": "steps back from the last", "level": "levels below the root"}
    title = ", or ".join(text for unit, text in words.items() if unit in units) or words["step"]
    return {
        "range": [last + 0.5, -0.5],
        "tickformat": "d",
        "dtick": 1 if last < 8 else None,
        "nticks": 8,
        "title": quiet_title(title, look),
    }


def shortened(label: str, letters: int) -> str:
    """A label that fits beside the figure: it loses its middle, as the ends are what tells settings apart."""
    half = letters // 2
    return label if len(label) <= letters else f"{label[: letters - half - 1]}…{label[-half:]}"
