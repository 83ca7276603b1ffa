"""What is left of the last step's gradient, as logarithms: each sample from its own end, and medians of samples."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from ..errors import InputError
from ..quantities.rates import joint


def require_curve(ds: xr.Dataset, who: str) -> None:
    """Raise InputError, on behalf of `who`, unless a Dataset holds the curve that verdicts are read from."""
    if not isinstance(ds, xr.Dataset) or not {"log_grad_norm", "valid_steps"} <= set(ds.data_vars):
        raise InputError(f"{who}: expected a Dataset of gradlab.analyze, got {type(ds).__name__}", "ds")


def joint_log_norm(ds: xr.Dataset, name: str = "log_grad_norm") -> xr.DataArray:
    """ln of the norm over all states together (time, *model, sample)."""
    return xr.apply_ufunc(joint, ds[name], input_core_dims=[["state"]], keep_attrs=True)


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
    """(time, ..., sample) with each sample's time of that number last, NaN before its first one."""
    found = np.full_like(values, np.nan)
    for n, length in enumerate(lengths):
        found[len(values) - 1 - length :, ..., n] = values[: length + 1, ..., n]
    return found


def ended(ds: xr.Dataset) -> xr.Dataset:
    """A run of one model with every sample's last step at the end, that of the longest; NaN before its first one."""
    lengths = ds.valid_steps.values
    most = int(lengths.max())
    whole = ds.isel(time=slice(most + 1), step=slice(most), missing_dims="ignore")
    moved = {
        name: _moved(quantity, lengths - (along == "step"))
        for along in ("time", "step")
        for name, quantity in whole.data_vars.items()
        if {along, "sample"} <= {*quantity.dims} and (lengths < most).any()
    }
    return whole.assign(moved | {"valid_steps": ("sample", np.full_like(lengths, most))})


def _moved(quantity: xr.DataArray, lengths: np.ndarray) -> xr.DataArray:
    along = "time" if "time" in quantity.dims else "step"
    ordered = quantity.transpose(along, ..., "sample")
    return ordered.copy(data=to_end(ordered.values, lengths)).transpose(*quantity.dims)


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
