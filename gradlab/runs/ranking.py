"""Runs that are compared, in order, in numbers and in words."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..wording import counted, factor_text, power_text
from .comparison import AFTER
from .shares import median
from .verdicts import BACK, between, steps_back

SLOPE = "slope"
ORDERS = (SLOPE, *map(str, AFTER))  # what runs can be ranked by: the slope, or what is left after so many steps
APART = 2.0  # standard errors from which on two slopes differ


class Said(NamedTuple):
    """A comparison in words: one sentence, the verdict's word of the run that it is about, and further sentences."""

    headline: str
    word: str
    details: list[str]

    @property
    def sentences(self) -> list[str]:
        """All of them."""
        return [self.headline, *self.details]


def order(ds: xr.Dataset, by: str = SLOPE) -> list[int]:
    """The runs' places in a Dataset of `compare`, the largest first; those of which nothing is known last.

    by: one of ORDERS. Of slopes that read alike the one that keeps more to its end goes before.
    """
    values = _read(ds.slope.values) if by == SLOPE else ds.log_left.sel(after=int(by)).values
    keys = np.stack([values, ds.log_factor.values if by == SLOPE else 0 * values], axis=1)
    known = np.where(np.isnan(keys), -np.inf, keys).tolist()
    return sorted(range(len(values)), key=lambda n: (np.isnan(values[n]), *(-key for key in known[n])))


def ranking_rows(ds: xr.Dataset, by: str = SLOPE) -> list[dict[str, str]]:
    """The runs in that order as texts: verdict, slope, theory, what is left, size, what a step of training costs."""
    return [_row(ds.isel(run=n)) for n in order(ds, by)]


def _row(run: xr.Dataset) -> dict[str, str]:
    left = {f"after {after}": _text(float(run.log_left.sel(after=after))) for after in AFTER}
    end = _text(float(run.log_factor))
    return {
        "run": str(run.run.values),
        "verdict": str(run.verdict.values),
        "per step back": _slope_text(run),
        "theory": factor(float(run.theory_log_rate)),
        **left,
        "at its end": f"{end} ({int(run.span)})" if end else "",
        "parameters": "" if np.isnan(run.parameters) else f"{int(run.parameters):,}",
        "units": f"{int(run.hidden_size):,}",
        "step time": time_text(float(run.step_seconds)),
        "memory": f"≈{memory_text(float(run.step_bytes))}",
    }


def _text(log_left: float) -> str:
    return "" if math.isnan(log_left) else power_text(log_left)


def factor(log_rate: float) -> str:
    """A factor per step; empty where it is not known."""
    return "" if math.isnan(log_rate) else factor_text(log_rate)


def _slope_text(run: xr.Dataset) -> str:
    """A factor per step with its standard error, where there is one, or in how many seeds it is exactly zero."""
    slope, error, (zero, seeds) = float(run.slope), float(run.slope_stderr), _zeros(run)
    if 0 < zero < seeds:
        return f"{factor(slope)} in {zero} of {counted(seeds, 'seed')}"
    if not math.isfinite(error) or slope > 100:
        return factor(slope)
    return f"{factor(slope)} ± {math.exp(slope) * error:.1g}"


def _zeros(run: xr.Dataset) -> tuple[int, int]:
    """In how many seeds of one run exactly nothing is left somewhere, and how many there are."""
    shares = run.log_input_share.transpose("lag", "seed").values
    return int(np.isneginf(shares).any(axis=0).sum()), int((~np.isnan(shares)).any(axis=0).sum())


def time_text(seconds: float) -> str:
    """A measured time: 850 µs, 6.7 ms, 1.2 s."""
    if math.isnan(seconds):
        return ""
    size, unit = next(((s, u) for s, u in ((1.0, "s"), (1e-3, "ms")) if seconds >= 0.995 * s), (1e-6, "µs"))
    return f"{seconds / size:.2g} {unit}" if seconds < 99.5 * size else f"{seconds / size:.0f} {unit}"


def memory_text(nbytes: float) -> str:
    """Bytes in MB or GB."""
    return (
        f"{nbytes / 1e6:.2g} MB"
        if nbytes < 99.5e6
        else f"{nbytes / 1e6:.0f} MB"
        if nbytes < 1e9
        else f"{nbytes / 1e9:.1f} GB"
    )


def curve_rows(ds: xr.Dataset) -> list[dict[str, str]]:
    """The curves as texts: what is left of every run after 0, 1, 2, 5, 10, ... steps, median over seeds."""
    middle = median(ds.log_input_share.transpose("lag", "run", "seed").values)
    names = [str(name) for name in ds.run.values]
    return [
        {"steps back": str(lag)} | dict(zip(names, map(_text, middle[lag].tolist()), strict=True))
        for lag in steps_back(ds.sizes["lag"] - 1)
    ]


# words


def said(ds: xr.Dataset) -> Said | None:
    """Which run reaches farthest, from the numbers; None while nothing is known of any.

    Which keeps most to its end, where one goes over trees, whose levels are fewer than steps, or no slope is left.
    """
    known = [n for n in order(ds) if not math.isnan(ds.slope.values[n])]
    if not known:
        return None
    fading = [n for n in known if str(ds.verdict.values[n]) != "exploding"]
    by_end = "level" in ds.unit.values or (bool(fading) and _lost(ds, fading[0]))
    for runs in (known, fading) if by_end else ():
        runs.sort(key=lambda n: -float(ds.log_factor.values[n]))
    best = fading[0] if fading else known[-1]
    if ds.sizes["run"] == 1:
        headline = _alone(ds, best)
    else:
        headline = _most_left(ds, known, fading) if by_end else _farthest(ds, known, fading)
    details = [*(_deepest(ds, fading) if by_end else _faded(ds, best, fading)), *_others(ds, known, fading)]
    return Said(_capital(headline), str(ds.verdict.values[best]), [_capital(text) for text in details])


def _read(slopes: np.ndarray) -> np.ndarray:
    """Slopes as they read, to two digits."""
    return np.round(slopes, 2)


def _capital(text: str) -> str:
    """A sentence that begins with a word begins with a capital; a name such as minGRU stays as it is."""
    return text[0].upper() + text[1:] if text.split()[0].islower() else text


def _lost(ds: xr.Dataset, n: int) -> bool:
    """Whether a run has no slope but -inf, as of a seed exactly nothing is left."""
    return bool(np.isneginf(ds.slope.values[n]))


def _alone(ds: xr.Dataset, n: int) -> str:
    if _lost(ds, n):
        return f"{_name(ds, n)}: of the gradient {_end(ds, n)}."
    unit = str(ds.unit.values[n])
    verbs = {"vanishing": "vanishes", "exploding": "explodes", "carried": "is carried"}
    verb = verbs.get(str(ds.verdict.values[n]), "changes")
    return f"{_name(ds, n)}: the gradient {verb}, {_rate(ds, n)} per {unit} {BACK[unit]}."


def _farthest(ds: xr.Dataset, known: list[int], fading: list[int]) -> str:
    if not fading:
        return f"Every gradient explodes, least that of {_name(ds, known[-1])}: {_rate(ds, known[-1])} per step back."
    words = ds.verdict.values
    alike = [n for n in fading if words[n] == words[fading[0]] and not _apart(ds, fading[0], n)]
    if len(alike) == 1:
        return f"{_name(ds, alike[0])} reaches farthest: {_rate(ds, alike[0])} per step back."
    return f"{_names(ds, alike)} reach farthest: about {_rate(ds, alike[0])} per step back."


def _apart(ds: xr.Dataset, a: int, b: int) -> bool:
    """Whether two slopes differ by more than chance, or, where that is not known, at all."""
    slopes, errors = ds.slope.values, np.nan_to_num(ds.slope_stderr.values, nan=0.0)
    if slopes[a] == slopes[b]:  # both may be infinite, without a difference
        return False
    return abs(float(slopes[a] - slopes[b])) > APART * math.hypot(errors[a], errors[b])


def _faded(ds: xr.Dataset, best: int, fading: list[int]) -> list[str]:
    """What is left of the best one, where it loses more than there, and which fades most beyond chance."""
    after = [int(k) for k in ds.after.values if _left(ds, best, k)]
    details = [f"After {counted(after[-1], 'step')} {_much(ds, best, after[-1])}."] if after else []
    curve = median(ds.log_input_share.isel(run=best).transpose("lag", "seed").values)
    details += between(curve[~np.isnan(curve)])
    worst = fading[-1] if fading else best
    if _apart(ds, best, worst) and str(ds.verdict.values[worst]) == "vanishing":
        left = f", {_left(ds, worst, after[-1])} after {after[-1]}" if after and _left(ds, worst, after[-1]) else ""
        details.append(f"{_name(ds, worst)} loses most: {_rate(ds, worst)} per step back{left}.")
    return details


def _much(ds: xr.Dataset, n: int, after: int) -> str:
    left = _left(ds, n, after)
    grown = float(ds.log_left.sel(after=after).values[n]) > math.log(1.05)
    return f"its gradient is {left} times as large" if grown else f"{left} of its gradient is left"


def _most_left(ds: xr.Dataset, known: list[int], fading: list[int]) -> str:
    if not fading:
        return f"Every gradient explodes, least that of {_name(ds, known[-1])}: {_end(ds, known[-1])}."
    if np.isneginf(ds.log_factor.values[best := fading[0]]):
        return f"{_names(ds, fading)} {'keeps' if len(fading) == 1 else 'keep'} nothing of the gradient."
    return f"{_name(ds, best)} keeps most: {_end(ds, best)}."


def _deepest(ds: xr.Dataset, fading: list[int]) -> list[str]:
    ends = ds.log_factor.values[fading]
    less = bool(fading) and ends[-1] < ends[0]
    return [f"{_name(ds, fading[-1])} keeps least: {_end(ds, fading[-1])}."] if less else []


def _end(ds: xr.Dataset, n: int) -> str:
    """What is left where a run ends, and where that is."""
    unit = str(ds.unit.values[n])
    log_left = float(ds.log_factor.values[n])
    left = "nothing" if np.isneginf(log_left) else power_text(log_left)
    return f"{left} is left {counted(int(ds.span.values[n]), unit)} {BACK[unit]}"


def _others(ds: xr.Dataset, known: list[int], fading: list[int]) -> list[str]:
    """Which explode, which keep nothing in some seeds, and of how many seeds all this is."""
    exploding = [n for n in known if n not in fading] if fading else []
    details = [f"{_names(ds, exploding)} {'explodes' if len(exploding) == 1 else 'explode'}."] if exploding else []
    zeros = {n: (zero, seeds) for n in known for zero, seeds in [_zeros(ds.isel(run=n))] if 0 < zero < seeds}
    details += [f"{_name(ds, n)} keeps nothing in {zero} of {seeds} seeds." for n, (zero, seeds) in zeros.items()]
    seeds = (~np.isnan(ds.log_input_share)).any("lag").sum("seed").values
    even = seeds.min() == seeds.max()
    return [*details, *([f"{counted(int(seeds.max()), 'seed')} of each."] if even else [])]


def _left(ds: xr.Dataset, n: int, after: int) -> str:
    """What is left after so many steps; empty where a run is not so long."""
    return _text(float(ds.log_left.sel(after=after).values[n]))


def _name(ds: xr.Dataset, n: int) -> str:
    return str(ds.run.values[n])


def _names(ds: xr.Dataset, runs: list[int]) -> str:
    """Of one or several: "a, b and c"."""
    *first, last = (_name(ds, n) for n in runs)
    return f"{', '.join(first)} and {last}" if first else last


def _rate(ds: xr.Dataset, n: int) -> str:
    return factor_text(float(ds.slope.values[n]))
