"""From a Dataset to numbers against the lag, steps back from the loss: medians over samples, natural logarithms.

-inf means exactly zero, NaN not measured or lost in rounding.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..runs.attributes import precision
from .series import over_samples, require, shares

DIGITS = 10  # rounding errors: what is smaller than so many, relative to the largest, is noise
ESTIMATE = "log_product_norm_estimate"


def product_logs(ds: xr.Dataset) -> np.ndarray:
    """ln of the factor in a random direction, ||d state_T/d state_t||_F / sqrt(states x units): (lag, sample)."""
    name = ESTIMATE if ESTIMATE in ds else "log_product_norm"
    require(ds, name, "log_grad_norm", "valid_steps")
    return _by_lag(ds[name]) - 0.5 * np.log(ds.sizes["state"] * ds.sizes["index"])


def product_curves(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """ln of factors over the lag: "typical" and "largest" for any gradient, and that of this run's "gradient"."""
    curves = {"typical": over_samples(product_logs(ds))[1]}
    if "log_product_spectral" in ds:
        curves["largest"] = over_samples(_by_lag(ds.log_product_spectral))[1]
    return curves | {"gradient": over_samples(shares(ds)[""][::-1])[1]}


def _by_lag(quantity: xr.DataArray) -> np.ndarray:
    """(lag, sample) of a quantity over time, lag 0 first."""
    return quantity.transpose("time", "sample").values[::-1]


def fan_logs(ds: xr.Dataset) -> np.ndarray:
    """ln of the recorded singular values (lag, rank, sample)."""
    require(ds, "log_singular_values", "singular_alignment")
    return ds.log_singular_values.transpose("span", "index_sv", "sample").values


def fan_curves(ds: xr.Dataset) -> dict[int, np.ndarray]:
    """Rank 1, 2, 4, 8 ... and the last recorded one -> ln of that singular value over the recorded lags."""
    middle = over_samples(fan_logs(ds))[1]
    return {rank: middle[:, rank - 1] for rank in _ranks(middle.shape[1])}


def _ranks(count: int) -> list[int]:
    return sorted({*(2**n for n in range(count.bit_length()) if 2**n <= count), count})


def leading_shares(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """Share of the gradient along the leading direction over the recorded lags: where it "starts", where it "arrives".

    It arrives with sigma_1 cos_1 of the norm that it had at the loss; not known where backprop itself was clipped.
    """
    logs, lag = fan_logs(ds)[:, 0], ds.span.values
    along = ds.singular_alignment.transpose("span", "index_sv", "sample").values[:, 0]
    starts = {"starts": over_samples(along)[1]}
    if "log_grad_norm_before_clip" in ds:
        return starts
    with np.errstate(invalid="ignore", divide="ignore"):
        arrives = np.exp(2 * logs + np.log(along) - 2 * shares(ds)[""][::-1][lag])
    return {"arrives": over_samples(arrives)[1]} | starts


def taken_paths(ds: xr.Dataset) -> list[str]:
    """The paths over a span along which anything comes."""
    require(ds, "span_path_share", "span_path_log_norm")
    taken = np.isfinite(ds.span_path_log_norm).any([dim for dim in ds.span_path_log_norm.dims if dim != "span_path"])
    return [str(name) for name in ds.span_path.values[taken.values]]


def path_curves(ds: xr.Dataset) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Path -> its share of what arrives, and ln of its part's norm, over the recorded lags.

    A part that is a difference of larger ones is NaN where rounding is all that is left; the carry is none.
    """
    names = taken_paths(ds)
    share, norm = (_by_path(ds[name], names) for name in ("span_path_share", "span_path_log_norm"))
    lowest = np.fmax.reduce(list(norm.values())) - _depth(ds) if names else 0.0
    known = {name: np.where((name == "carry") | (y >= lowest), y, np.nan) for name, y in norm.items()}
    return share, known


def _depth(ds: xr.Dataset) -> float:
    """ln of how far below the largest a difference may be before rounding is all that it is."""
    return float(-np.log(DIGITS * ds.sizes["index"] * np.finfo(precision(ds)).eps))


def _by_path(quantity: xr.DataArray, names: Sequence[str]) -> dict[str, np.ndarray]:
    values = quantity.sel(span_path=list(names)).transpose("span_path", "span", "sample").values
    return dict(zip(names, over_samples(values)[1], strict=True))


def credit_logs(ds: xr.Dataset) -> np.ndarray:
    """ln of what arrives (loss_time, time) for the first recorded sample."""
    require(ds, "log_credit")
    return ds.log_credit.transpose("loss_time", "time", "credit_sample").values[..., 0]
