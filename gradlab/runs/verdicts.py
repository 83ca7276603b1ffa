"""Dataset -> verdict: does the gradient vanish, explode or carry, how fast, how far, and from which factors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from ..errors import InputError
from ..wording import counted, factor_text, layer_title, power_text
from .attributes import activation_name, overflow, unit_of

BACK = {"step": "back", "position": "back", "level": "down"}  # what is counted from where the loss is, and which way
LEAST = {"step": 10, "level": 3}  # of these for a verdict
FACTOR = math.log(100)  # beyond this factor over the whole sequence the gradient vanishes or explodes
REACH = math.log(0.01)
BEHIND = {"jacobian_path_norm", "path_share", "jacobian_frobenius", "recurrent_singular_values", "activation_slope"}
ICONS = {"vanishing": "▼", "exploding": "▲", "carried": "■", "too short": "·", "overflow": "!"}
HEADLINES = {
    "vanishing": "The gradient vanishes",
    "exploding": "The gradient explodes",
    "carried": "The gradient is carried",
    "too short": "Too short to say",
    "overflow": "The forward pass overflowed",
}


@dataclass(frozen=True)
class Verdict:
    """What one run shows, from the unit cotangent at the last step, on the joint state, as the median over samples.

    word: "vanishing", "exploding", "carried", "too short" (T < 10) or "overflow" (nothing left to analyse).
    log_factor: ln R, R = ||dL/dstate_1|| / ||dL/dstate_T||. log_rate: ln of the factor per step back. Both are None
    where nothing at all is left, whose rate is 0: every field is one that JSON knows.
    half_life: steps over which it halves (vanishing) or doubles (exploding), else None.
    reach: how many steps back at least 1 % is left throughout. steps: T.
    unit: "step", or "level" of trees, where all this counts levels below the root. of_inputs: whether it is about what
    reaches the inputs of a network, in place of the states; then it need not fade at one rate.
    """

    word: str
    steps: int
    log_factor: float | None
    log_rate: float | None
    half_life: float | None
    reach: int
    details: list[str] = field(default_factory=list)
    why: str = ""
    unit: str = "step"
    of_inputs: bool = False

    @property
    def rate(self) -> float:
        """Factor per step back."""
        if self.log_rate is None:
            return 0.0
        return math.exp(self.log_rate) if self.log_rate < 700 else math.inf

    @property
    def rate_text(self) -> str:
        """Factor per step back, as a person writes it: x0.64."""
        return factor_text(self.log_rate)

    @property
    def icon(self) -> str:
        """A sign beside the word, so that colour is never alone."""
        return ICONS[self.word]

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        if self.word in ("too short", "overflow"):
            return f"{HEADLINES[self.word]}."
        if self.of_inputs and self.word == "carried":
            return (
                f"{HEADLINES[self.word]}: {power_text(self.log_factor or 0.0)} after {counted(self.steps, self.unit)}."
            )
        return f"{HEADLINES[self.word]}: {self.rate_text} per {self.unit} {BACK[self.unit]}."

    def __str__(self) -> str:
        return "\n".join([self.headline, *self.details, *([self.why] if self.why else [])])


def verdict(found: xr.Dataset | xr.DataTree) -> Verdict:
    """The verdict on what `analyze` gives, or on a snapshot of a training. Raises InputError for anything else."""
    if isinstance(found, xr.DataTree):
        return _of_network(found)
    require_curve(found, "verdict")
    steps = int(found.valid_steps.median()) if found.valid_steps.size else 0
    overflowed = _overflow_text(found)
    if steps < 2 and overflowed:
        return Verdict("overflow", steps, 0.0, 0.0, None, 0, overflowed)
    judged = _judge(share_left(found).values[::-1][:steps], "level" if unit_of(found) == "level" else "step")
    why = "" if steps < 2 else _why(found, judged.log_rate)
    return replace(judged, details=overflowed + judged.details, why=why)


def _of_network(found: xr.DataTree) -> Verdict:
    """On a network: from what reaches its inputs, by how far they stand from where the loss is."""
    lags, unit = lag_shares(found), "level" if "lag" in found.log_input_share.attrs else "step"
    judged = _judge(lags, unit)
    first = int(judged.word == "carried")  # the headline has the factor
    details = judged.details[first:] + between(judged.word, lags, unit)
    return replace(judged, details=details, why=_layers_text(found), of_inputs=True)


def lag_shares(found: xr.DataTree) -> np.ndarray:
    """ln of the share that the inputs of a network get by how far they stand from where the loss is: (lag,).

    Medians over samples, up to the median length. Raises InputError for another DataTree.
    """
    if "log_input_share" not in found:
        raise InputError("expected a DataTree of gradlab.analyze, which has log_input_share", "ds")
    share = found.log_input_share.transpose("lag", "sample").values
    return median(share)[: int(np.median((~np.isnan(share)).sum(axis=0)))]


def between(word: str, lags: np.ndarray, unit: str) -> list[str]:
    """What is lost on the way though both ends have it, as of a net of both directions."""
    if word != "carried" or not lags.size or lags.min() >= min(REACH, lags[-1] - FACTOR):
        return []
    at = int(lags.argmin())
    return [f"In between it is lost: {power_text(float(lags[at]))} is left {counted(at, unit)} {BACK[unit]}."]


def _judge(lags: np.ndarray, unit: str = "step") -> Verdict:
    """From ln of the share that is left, lag 0 first."""
    steps = len(lags)
    if steps < 2:
        return Verdict("too short", steps, 0.0, 0.0, None, 0, _details("too short", lags, None, 0, unit), unit=unit)
    log_factor = float(lags[-1])
    log_rate = log_factor / (steps - 1)
    word, reach = word_of(log_factor, steps, unit), _reach(lags)
    half_life = math.log(2) / abs(log_rate) if word in ("vanishing", "exploding") and log_rate else None
    factor, rate = (log if math.isfinite(log) else None for log in (log_factor, log_rate))
    details = _details(word, lags, half_life, reach, unit)
    return Verdict(word, steps, factor, rate, half_life, reach, details, unit=unit)


def require_curve(ds: xr.Dataset, who: str) -> None:
    """Raise InputError, on behalf of `who`, unless a Dataset holds the curve that verdicts are read from."""
    if not isinstance(ds, xr.Dataset) or not {"log_grad_norm", "valid_steps"} <= set(ds.data_vars):
        raise InputError(f"{who}: expected a Dataset of gradlab.analyze, got {type(ds).__name__}", "ds")


def joint_log_norm(ds: xr.Dataset, name: str = "log_grad_norm") -> xr.DataArray:
    """ln of the norm over all states together (time, *model, sample)."""
    return xr.apply_ufunc(joint, ds[name], input_core_dims=[["state"]], keep_attrs=True)


def joint(logs: np.ndarray) -> np.ndarray:
    """ln of the norm over the last axis, given its parts' ln."""
    with np.errstate(invalid="ignore"):  # -inf beside NaN
        return 0.5 * np.logaddexp.reduce(2 * logs, axis=-1)


def share_left(ds: xr.Dataset, name: str = "log_grad_norm") -> xr.DataArray:
    """ln of the share of the last step's gradient that is left (time,), median over samples (and models).

    Every sample is read from its own last step: lag k stands at index T - k, whatever the sample's length.
    """
    return xr.DataArray(
        median(aligned(ds, joint_log_norm(ds, name))),
        {"time": ds.time},
        ["time"],
        attrs={"long_name": "ln of the share left", "units": "1"},
    )


def aligned(ds: xr.Dataset, logs: xr.DataArray) -> np.ndarray:
    """Logarithms (time, *model, sample) relative to each sample's last step, which stands at index T: (T+1, N)."""
    logs = logs.transpose("time", ...)
    flat = logs.values.reshape(logs.sizes["time"], -1)
    lengths = np.broadcast_to(ds.valid_steps.values, logs.shape[1:]).reshape(-1)
    shares = np.full_like(flat, np.nan)
    for length in np.unique(lengths[lengths > 0]):
        columns = lengths == length
        own = flat[: length + 1, columns]
        shares[-length - 1 :, columns] = own - np.where(np.isneginf(own[-1]), 0.0, own[-1])  # clipped to nothing
    return shares


def to_end(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(time, sample) with each sample's time of that number last, NaN before its first one."""
    found = np.full_like(values, np.nan)
    for n, length in enumerate(lengths):
        found[len(values) - 1 - length :, n] = values[: length + 1, n]
    return found


def median(values: np.ndarray) -> np.ndarray:
    """Median of logarithms over the last axis without NaN; NaN where nothing is left."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = (~np.isnan(values)).sum(axis=-1)
    low, high = (
        np.take_along_axis(ordered, np.maximum(k, 0)[..., None], -1)[..., 0] for k in ((count - 1) // 2, count // 2)
    )
    return middle(low, high)


def middle(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Between the two middle values of an even number: their mean, or half of the higher where the lower is ln 0."""
    return np.where(np.isneginf(low) & ~np.isneginf(high), high - math.log(2), 0.5 * (low + high))


def log_rate_per_step(ds: xr.Dataset) -> float:
    """ln of the factor per step back, over the median length of the samples; NaN for less than two steps."""
    steps = int(ds.valid_steps.median())
    return float(share_left(ds)[-steps]) / (steps - 1) if steps > 1 else math.nan


def standard_error(ds: xr.Dataset) -> float:
    """Standard error of `log_rate_per_step` over samples: sqrt(pi / 2) sd / sqrt(B), that of a normal sample's median.

    The weights are held: it says how far the input moves the rate. NaN where less than two samples have a finite rate.
    """
    steps = int(ds.valid_steps.median())
    if steps < 2:
        return math.nan
    ends = aligned(ds, joint_log_norm(ds))[-steps]
    ends = ends[np.isfinite(ends)]
    return math.sqrt(0.5 * math.pi / ends.size) * float(ends.std(ddof=1)) / (steps - 1) if ends.size > 1 else math.nan


def steps_back(last: int) -> list[int]:
    """Lags for a table: 0, then 1, 2, 5 times the powers of ten, then the last one."""
    series = {digit * 10**power for power in range(len(str(last))) for digit in (1, 2, 5)}
    return sorted({0, last} | {back for back in series if back < last})


def word_of(log_factor: float, steps: int, unit: str = "step") -> str:
    """The verdict's word for ln of the factor over all of so many steps, or levels of a tree."""
    if steps < LEAST[unit]:
        return "too short"
    if abs(log_factor) <= FACTOR:
        return "carried"
    return "vanishing" if log_factor < 0 else "exploding"


def _reach(lags: np.ndarray) -> int:
    """The largest lag up to which at least 1 % is left throughout."""
    below = np.flatnonzero(lags < REACH)
    return max(int(below[0]) - 1, 0) if below.size else len(lags) - 1


def _details(word: str, lags: np.ndarray, half_life: float | None, reach: int, unit: str) -> list[str]:
    steps, back, all_of_them = len(lags), BACK[unit], counted(len(lags), unit)
    if word == "too short":
        what = "sequence has" if unit == "step" else "tree has"
        return [f"The {what} {all_of_them}; a verdict needs at least {LEAST[unit]}."]
    reached = f"Reach (1 % left): {reach if reach < steps - 1 else 'all'} of {all_of_them}."
    if word == "carried":
        return [f"Factor {math.exp(lags[-1]):.2g} over {all_of_them}.", reached]
    if np.isneginf(lags[-1]):
        dead = int(np.flatnonzero(np.isneginf(lags))[0])
        return [f"It is exactly zero from {counted(dead, unit)} {back} on.", reached]
    left = f"10 {unit}s {back} {power_text(lags[10])} is left; " if steps > 10 and word == "vanishing" else ""
    last = f"step 1 of {steps}" if unit == "step" else f"the lowest of {steps} levels"
    text = f"{left}{last} gets {power_text(lags[-1])}."
    return [
        f"It {'halves' if word == 'vanishing' else 'doubles'} every {_steps_text(half_life or 0.0, unit)}.",
        text[0].upper() + text[1:],
        *([reached] if word == "vanishing" else []),
    ]


def _steps_text(steps: float, unit: str) -> str:
    text = f"{steps:.2g}" if steps < 10 else f"{steps:.0f}"
    return f"{text} {unit}" if text == "1" else f"{text} {unit}s"


def _layers_text(found: xr.DataTree) -> str:
    """The typical factor of one step in each recurrent layer; empty without any."""
    factors = {
        node.path.strip("/"): _log_typical(node.dataset) for node in found.subtree if "jacobian_frobenius" in node
    }
    texts = [f"{factor_text(log)} in {layer_title(name)}" for name, log in factors.items()]
    return f"one step back in a random direction: {'; '.join(texts)}" if texts else ""


def path_factors(ds: xr.Dataset, log_rate: float | None) -> dict[str, float]:
    """The rate split by path: share of each path in what a step passes back, times the rate; they sum to the rate.

    log_rate: None, as of a verdict, for a rate of 0.
    """
    rate = 0.0 if log_rate is None else math.exp(min(log_rate, 700))
    dims = [d for d in ds.path_share.dims if d != "path"]
    shares = ds.path_share.mean(dims, skipna=True).fillna(0.0)  # no share where nothing is passed back
    return {str(p): float(shares.sel(path=p)) * rate for p in ds.path.values}


def slope_and_weights(ds: xr.Dataset) -> tuple[float, float]:
    """A step's typical factor ||J||_F / sqrt(H) without a carry: quadratic mean of the slopes, times weights' scale.

    With a carry, and where the weights are zero or no gate has any, the slope is the mean over units.
    """
    weights = root_mean_square(ds.recurrent_singular_values.values)
    if weights == 0 or carries(ds):
        return float(ds.activation_slope.mean(skipna=True)), weights
    return math.exp(_log_typical(ds)) / weights, weights


def root_mean_square(values: np.ndarray) -> float:
    """Of any finite values, however large; 0 for none at all."""
    largest = float(np.abs(values).max(initial=0.0))
    return largest * math.sqrt(float(np.mean((values.astype(float) / largest) ** 2))) if largest else 0.0


def _log_typical(ds: xr.Dataset) -> float:
    """By the mean of logarithms, or, where a step passes nothing on, the logarithm of the mean."""
    norms, size = ds.jacobian_frobenius, 0.5 * math.log(ds.sizes["state"] * ds.sizes["index"])
    with np.errstate(divide="ignore"):
        logs = float(np.log(norms).mean(skipna=True))
        return (float(np.log(norms.mean(skipna=True))) if np.isneginf(logs) else logs) - size


def carries(ds: xr.Dataset) -> bool:
    """Whether units keep part of their state by themselves: gates, or a leak."""
    return bool((ds.jacobian_path_norm.sel(path="carry") > 0).any())


def _why(ds: xr.Dataset, log_rate: float | None) -> str:
    """The factors of the measured rate in one line; where the rate is another, as directions matter, it says so.

    Empty where they were not recorded, as in a snapshot of a training run.
    """
    if not set(ds.data_vars) >= BEHIND:
        return ""
    if carries(ds):
        split = path_factors(ds, log_rate)
        carry = split.pop("carry")
        return f"carry {carry:.2f}, through the gates {sum(split.values()):.2f}"
    (slope, weights), logs = slope_and_weights(ds), (_log_typical(ds), log_rate)
    typical, rate = (factor_text(log).removeprefix("x") for log in logs)
    result = rate if typical == rate else f"{typical}, measured {rate}"
    slope_text, weights_text = (f"{x:.2f}" if 0.1 <= x < 1000 else f"{x:.2g}" for x in (slope, weights))
    return f"{slope_text} (mean slope of {activation_name(ds)}) x {weights_text} (weights) = {result}"


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
