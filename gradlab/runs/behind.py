"""What is behind a rate: its parts by path, the slope and the weights of a step, and how a person reads them."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from ..wording import factor_text, layer_title, plain
from .attributes import activation_name

BEHIND = {"jacobian_path_norm", "path_share", "jacobian_frobenius", "recurrent_singular_values", "activation_slope"}


def layers_text(found: xr.DataTree) -> str:
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


def why(ds: xr.Dataset, log_rate: float | None, changing: bool = False) -> str:
    """The factors of the measured rate in one line; where the rate is another, as directions matter, it says so.

    changing: whether the rate changes on the way, so that it is one on the whole. Empty where the factors were not
    recorded, as in a snapshot of a training run.
    """
    if not set(ds.data_vars) >= BEHIND:
        return ""
    whole = " on the whole" if changing else ""
    if carries(ds):
        split = path_factors(ds, log_rate)
        carry = split.pop("carry")
        return f"carry {plain(carry)}, through the gates {plain(sum(split.values()))}{whole}"
    (slope, weights), logs = slope_and_weights(ds), (_log_typical(ds), log_rate)
    typical, rate = (factor_text(log).removeprefix("x") for log in logs)
    result = rate if typical == rate else f"{typical}, measured {rate}"
    return f"{plain(slope)} (mean slope of {activation_name(ds)}) x {plain(weights)} (weights) = {result}{whole}"
