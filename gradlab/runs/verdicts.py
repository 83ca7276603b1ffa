"""Dataset -> verdict: does the gradient vanish, explode or carry, how fast, how far, and from which factors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..quantities.course import Course, course, courses
from ..wording import counted, factor_text, length_text, power_text
from .attributes import overflow, unit_of
from .behind import layers_text, why
from .shares import aligned, joint_log_norm, median, require_curve

BACK = {"step": "back", "position": "back", "level": "down"}  # what is counted from where the loss is, and which way
LEAST = {"step": 10, "level": 3}  # of these for a verdict
FACTOR = math.log(100)  # beyond this factor over the whole sequence the gradient vanishes or explodes
REACH = math.log(0.01)
ENTERS = math.log(4)  # what the first and the last step do beside the rate is said where it is that far from 1
PIECES = 2  # of a way that changes that a headline names, beyond the first
ICONS = {"vanishing": "▼", "exploding": "▲", "carried": "■", "too short": "·", "overflow": "!"}
HEADLINES = {
    "vanishing": "The gradient vanishes",
    "exploding": "The gradient explodes",
    "carried": "The gradient is carried",
    "too short": "Too short to say",
    "overflow": "The forward pass overflowed",
}


WORDS = {
    "vanishing": "vanishes",
    "exploding": "explodes",
    "carried": "is carried",
    "too short": "is too short to say",
    "overflow": "overflowed",
}


@dataclass(frozen=True)
class Verdict:
    """What one run shows, from the unit cotangent at the last step, on the joint state, as the median over samples.

    word: "vanishing", "exploding", "carried", "too short" (T < 10) or "overflow" (nothing left to analyse).
    log_factor: ln R, R = ||dL/dstate_1|| / ||dL/dstate_T||. log_rate: ln R / (T - 1). fitted_log_rate: ln of the factor
    per step back on the way between the ends, from which the word, the rate in words and half_life are; entry: ln of
    what enters that way at the last step beside it; pieces: where the rate changes, {"start", "stop", "log_rate"} by
    lag. All are None where nothing at all is left, whose rate is 0: every field is one that JSON knows.
    half_life: steps over which it halves (vanishing) or doubles (exploding), else None.
    reach: how many steps back at least 1 % is left throughout. steps: T.
    unit: "step", or "level" of trees, where all this counts levels below the root. of_inputs: whether it is about what
    reaches the inputs of a network, in place of the states. samples: word -> of how many samples it is the verdict,
    each alone; all else is about the first of these groups, the largest one.
    """

    word: str
    steps: int
    log_factor: float | None
    log_rate: float | None
    fitted_log_rate: float | None
    half_life: float | None
    reach: int
    details: list[str] = field(default_factory=list)
    why: str = ""
    unit: str = "step"
    of_inputs: bool = False
    samples: dict[str, int] = field(default_factory=dict)
    entry: float = 0.0
    pieces: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Factor per step back, as fitted."""
        if self.fitted_log_rate is None:
            return 0.0
        return math.exp(self.fitted_log_rate) if self.fitted_log_rate < 700 else math.inf

    @property
    def rate_text(self) -> str:
        """Factor per step back, as a person writes it: x0.64."""
        return factor_text(self.fitted_log_rate)

    @property
    def icon(self) -> str:
        """A sign beside the word, so that colour is never alone."""
        return ICONS[self.word]

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        if self.word in ("too short", "overflow"):
            return f"{HEADLINES[self.word]}."
        first, *others = self.pieces or [{"log_rate": self.fitted_log_rate}]
        then = "".join(f", from {piece['start']:.0f} on {factor_text(piece['log_rate'])}" for piece in others[:PIECES])
        more = ", and so on" if len(others) > PIECES else ""
        rate = f"{factor_text(first['log_rate'], apart=self.word != 'carried')} per {self.unit} {BACK[self.unit]}"
        return f"{HEADLINES[self.word]}: {rate}{then}{more}."

    def __str__(self) -> str:
        return "\n".join([self.headline, *self.details, *([self.why] if self.why else [])])


def verdict(found: xr.Dataset | xr.DataTree) -> Verdict:
    """The verdict on what `analyze` gives, or on a snapshot of a training. Raises InputError for anything else."""
    if isinstance(found, xr.DataTree):
        return _of_network(found)
    require_curve(found, "verdict")
    overflowed, unit = _overflow_text(found), _unit(found)
    alike, lags = _representative(found)
    if len(lags) < 2 and overflowed:
        return Verdict("overflow", len(lags), 0.0, 0.0, 0.0, None, 0, overflowed)
    judged = _judge(lags, unit)
    counts = {word: len(samples) for word, samples in alike.items()}
    reason = "" if len(lags) < 2 else why(alike_of(found, alike), judged.fitted_log_rate, len(judged.pieces) > 1)
    return replace(judged, details=[*overflowed, *judged.details, *_others(counts)], why=reason, samples=counts)


def alike_of(ds: xr.Dataset, alike: Mapping[str, np.ndarray]) -> xr.Dataset:
    """The samples of the largest of its groups alone; of several models, where groups go across them, all."""
    own = next(iter(alike.values()), np.empty(0, int))
    whole = ds.valid_steps.ndim != 1 or not 0 < len(own) < ds.valid_steps.size
    return ds if whole else ds.isel(sample=own)


def groups(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """Word -> the samples (of all models) that it is the verdict on alone, the largest group first.

    Those that are too short are last. Every sample is judged over its own length.
    """
    return _most(ds)[0]


def largest_group(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """ln shares (lag, N) of the samples of the largest group, lag 0 first, and how many lags each has."""
    return _most(ds)[1:]


def _most(ds: xr.Dataset) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    curves, lengths = _curves(ds)
    alike = _groups(curves, lengths, _unit(ds))
    own = next(iter(alike.values()), np.arange(len(lengths)))
    return alike, curves[:, own], lengths[own]


def _unit(ds: xr.Dataset) -> str:
    """What lags of a Dataset count, as a verdict says it."""
    return "level" if unit_of(ds) == "level" else "step"


def _representative(ds: xr.Dataset) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The groups, and a curve (lag,) for the largest: its median, or its middle one where the median is unlike them."""
    alike, curves, lengths = _most(ds)
    lags = median(curves)[: int(np.median(lengths)) if lengths.size else 0]
    if not alike or word_of(_levels(course(lags)), len(lags), _unit(ds)) == next(iter(alike)):
        return alike, lags
    ends = curves[lengths - 1, np.arange(len(lengths))] / lengths
    one = int(np.argsort(ends, kind="stable")[(len(ends) - 1) // 2])
    return alike, curves[: lengths[one], one]


def _curves(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """ln shares (lag, N) of every sample, lag 0 first and NaN beyond its step 1, and how many lags each has."""
    logs = joint_log_norm(ds)
    lengths = np.broadcast_to(ds.valid_steps.values, logs.transpose("time", ...).shape[1:]).reshape(-1)
    curves = aligned(ds, logs)[::-1]
    return np.where(np.arange(len(curves))[:, None] < lengths, curves, np.nan), lengths


def _groups(curves: np.ndarray, lengths: np.ndarray, unit: str) -> dict[str, np.ndarray]:
    words = np.full(len(lengths), "too short", dtype=object)
    for steps in np.unique(lengths).tolist():
        own = lengths == steps
        words[own] = [word_of(_levels(way), steps, unit) for way in courses(curves[:steps, own])]
    found = {word: np.flatnonzero(words == word) for word in HEADLINES if (words == word).any()}
    return dict(sorted(found.items(), key=lambda item: (item[0] == "too short", -len(item[1]))))


def _levels(way: Course | None) -> list[float]:
    """ln of what is left wherever a way changes; of one that ends in exactly zero that alone."""
    return way.levels if way else [-math.inf]


def _others(counts: Mapping[str, int]) -> list[str]:
    """The samples that are not as most are."""
    if len(counts) < 2:
        return []
    (first, n), *others = counts.items()
    total = counted(sum(counts.values()), "sample")
    rest = ", ".join(f"{WORDS[word]} in {m}" for word, m in others)
    return [f"This is of {n} of {total}, in which it {WORDS[first]}; it {rest}."]


def _of_network(found: xr.DataTree) -> Verdict:
    """On a network: from what reaches its inputs, by how far they stand from where the loss is."""
    lags, unit = lag_shares(found), "level" if "lag" in found.log_input_share.attrs else "step"
    return replace(_judge(lags, unit), why=layers_text(found), of_inputs=True)


def lag_shares(found: xr.DataTree) -> np.ndarray:
    """ln of the share that the inputs of a network get by how far they stand from where the loss is: (lag,).

    Medians over samples, up to the median length. Raises InputError for another DataTree.
    """
    if "log_input_share" not in found:
        raise InputError("expected a DataTree of gradlab.analyze, which has log_input_share", "ds")
    share = found.log_input_share.transpose("lag", "sample").values
    return median(share)[: int(np.median((~np.isnan(share)).sum(axis=0)))]


def between(lags: np.ndarray) -> list[str]:
    """What is lost on the way though both ends have it, as of a net of both directions."""
    if not lags.size or lags.min() >= min(REACH, lags[-1] - FACTOR):
        return []
    at = int(lags.argmin())
    return [f"In between it is lost: {power_text(float(lags[at]))} is left {counted(at, 'step')} back."]


def _judge(lags: np.ndarray, unit: str = "step") -> Verdict:
    """From ln of the share that is left, lag 0 first."""
    steps = len(lags)
    if steps < 2:
        details = _details("too short", lags, None, None, 0, unit)
        return Verdict("too short", steps, 0.0, 0.0, 0.0, None, 0, details, unit=unit)
    log_factor, way = float(lags[-1]), course(lags)
    rate = way.log_rate if way else -math.inf
    word, reach = word_of(_levels(way), steps, unit), _reach(lags)
    half_life = math.log(2) / abs(rate) if word in ("vanishing", "exploding") and rate else None
    logs = (log_factor, log_factor / (steps - 1), rate)
    factor, end_to_end, fitted = (log if math.isfinite(log) else None for log in logs)
    details = _details(word, lags, way, half_life, reach, unit)
    entry, pieces = (way.entry, [asdict(piece) for piece in way.pieces]) if way else (0.0, [])
    found = Verdict(word, steps, factor, end_to_end, fitted, half_life, reach, details, unit=unit)
    return replace(found, entry=entry, pieces=pieces)


def log_rate_per_step(ds: xr.Dataset) -> float:
    """ln of the factor per step back as fitted, of the largest group of samples; NaN for less than two steps."""
    lags = _representative(ds)[1]
    if len(lags) < 2:
        return math.nan
    way = course(lags)
    return way.log_rate if way else -math.inf


def standard_error(ds: xr.Dataset) -> float:
    """Standard error of `log_rate_per_step` over samples: sqrt(pi / 2) sd / sqrt(B), that of a normal sample's median.

    Over those of the largest group, each fitted alone. The weights are held: it says how far the input moves the rate.
    NaN for less than two samples, and where exactly nothing is left.
    """
    curves, lengths = largest_group(ds)
    ways = [course(curve[:length]) for curve, length in zip(curves.T, lengths, strict=True)]
    rates = np.array([way.log_rate for way in ways if way is not None])
    if len(rates) < max(2, len(ways)):
        return math.nan
    return math.sqrt(0.5 * math.pi / rates.size) * float(rates.std(ddof=1))


def steps_back(last: int) -> list[int]:
    """Lags for a table: 0, then 1, 2, 5 times the powers of ten, then the last one."""
    series = {digit * 10**power for power in range(len(str(last))) for digit in (1, 2, 5)}
    return sorted({0, last} | {back for back in series if back < last})


def word_of(levels: Sequence[float], steps: int, unit: str = "step") -> str:
    """The verdict's word for ln of what is left, wherever the way of so many steps, or levels of a tree, changes."""
    if steps < LEAST[unit]:
        return "too short"
    top, bottom = max(0.0, *levels), min(0.0, *levels)
    if max(top, -bottom) <= FACTOR:
        return "carried"
    return "exploding" if top > -bottom else "vanishing"


def _reach(lags: np.ndarray) -> int:
    """The largest lag up to which at least 1 % is left throughout."""
    below = np.flatnonzero(lags < REACH)
    return max(int(below[0]) - 1, 0) if below.size else len(lags) - 1


def _details(
    word: str, lags: np.ndarray, way: Course | None, half_life: float | None, reach: int, unit: str
) -> list[str]:
    steps, back, all_of_them = len(lags), BACK[unit], counted(len(lags), unit)
    if word == "too short":
        what = "sequence has" if unit == "step" else "tree has"
        return [f"The {what} {all_of_them}; a verdict needs at least {LEAST[unit]}."]
    reached = f"Reach (1 % left): {reach if reach < steps - 1 else 'all'} of {all_of_them}."
    if word == "carried":
        return [f"Factor {power_text(float(lags[-1]))} over {all_of_them}.", *_entered(way, unit), reached]
    if np.isneginf(lags[-1]):
        dead = int(np.flatnonzero(np.isneginf(lags))[0])
        return [f"It is exactly zero from {counted(dead, unit)} {back} on.", reached]
    left = f"10 {unit}s {back} {power_text(lags[10])} is left; " if steps > 10 and word == "vanishing" else ""
    last = f"step 1 of {steps}" if unit == "step" else f"the lowest of {steps} levels"
    text = f"{left}{last} gets {power_text(lags[-1])}."
    pace = f"It {'halves' if word == 'vanishing' else 'doubles'} every {length_text(half_life or 0.0, unit)}."
    return [
        *(_turns(lags, way, unit) if way and len(way.pieces) > 1 else [pace]),
        *_entered(way, unit),
        text[0].upper() + text[1:],
        *([reached] if word == "vanishing" else []),
    ]


def _entered(way: Course | None, unit: str) -> list[str]:
    """What the two ends of the way do beside the rate, where that is much."""
    if way is None:
        return []
    last = "step 1" if unit == "step" else "the lowest level"
    ends = {f"enters at the last {unit}": way.entry, f"passes on to {last}": way.exit}
    return [f"{power_text(log)} {what}, beside that rate." for what, log in ends.items() if abs(log) >= ENTERS]


def _turns(lags: np.ndarray, way: Course, unit: str) -> list[str]:
    """The highest and the lowest point of a way that changes, and where they are."""
    inside = [piece.stop for piece in way.pieces[:-1]]
    top, low = max(inside, key=lambda lag: lags[lag]), min(inside, key=lambda lag: lags[lag])
    texts = (
        [f"It peaks with {power_text(float(lags[top]))} {counted(top, unit)} {BACK[unit]}."]
        if lags[top] > max(lags[0], lags[-1])
        else []
    )
    if lags[low] < min(lags[0], lags[-1]):
        texts.append(f"It is lowest with {power_text(float(lags[low]))} {counted(low, unit)} {BACK[unit]}.")
    rates = "; ".join(f"{factor_text(p.log_rate)} from {p.start} to {p.stop}" for p in way.pieces)
    return [*texts, *([f"Per {unit}, by {unit}s {BACK[unit]}: {rates}."] if len(way.pieces) > 2 else [])]


def _overflow_text(ds: xr.Dataset) -> list[str]:
    """Where the forward pass first left the finite numbers."""
    places = overflow(ds)
    if not places:
        return []
    first = min(places, key=lambda place: place["step"])
    more = f" {len(places)} samples overflowed; each is analysed up to its last finite step." if len(places) > 1 else ""
    return [
        f"The forward pass overflowed at step {first['step']} (gate {first['gate']}, sample {first['sample']}).{more}"
    ]
