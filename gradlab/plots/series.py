"""From a Dataset to the numbers that figures draw: medians over samples, shares of the last step, bins.

Everything here is in natural logarithms where the Dataset is; -inf means exactly zero, NaN not measured.
"""

import numpy as np
import xarray as xr

from ..errors import InputError
from ..runs.shares import joint_log_norm, middle
from ..wording import counted

POINTS = 2000  # of a line
TIME_BINS = 400  # of a heat map
UNIT_BINS = 128


def require(ds: xr.Dataset, *names: str, by: str = "analyze") -> None:
    """InputError unless the Dataset holds all these variables, of one model. by: the function that makes such ones."""
    if missing := [name for name in names if name not in ds]:
        raise InputError(
            f"the figure needs {', '.join(missing)}, which this Dataset lacks; make it with gradlab.{by}(...). "
            f"It holds {', '.join(map(str, ds.data_vars)) or 'nothing'}",
            "ds",
        )
    if models := [str(dim) for dim in ds[names[0]].dims if str(dim).startswith("model")]:
        raise InputError(f"a figure shows one model; choose one: ds.isel({', '.join(f'{m}=0' for m in models)})", "ds")


def over_samples(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The 10 % point, median and 90 % point over the last axis, NaN left out.

    The outer points are values of samples: interpolating would turn -inf into NaN.
    """
    ordered = np.sort(values, axis=-1)  # NaN last
    count = (~np.isnan(values)).sum(axis=-1)

    def at(rank: np.ndarray) -> np.ndarray:
        index = np.maximum(rank, 0).astype(int)
        return np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0]

    last = count - 1
    return at(np.rint(0.1 * last)), middle(at(last // 2), at(count // 2)), at(np.rint(0.9 * last))


def zero_note(logs: np.ndarray) -> list[str]:
    """In how many of the samples ln (place, sample) is exactly zero somewhere; nothing where in none, or in all."""
    zero, samples = int(np.isneginf(logs).any(axis=0).sum()), logs.shape[1]
    return [f"{zero} of {samples} samples are exactly zero somewhere, and count as that"] if 0 < zero < samples else []


def short_note(logs: np.ndarray) -> list[str]:
    """How many of the samples lack the last places of ln (place, sample); nothing where none does."""
    short, samples = int(np.isnan(logs[-1]).sum()), logs.shape[1]
    return [f"{short} of {counted(samples, 'sample')} are shorter: each counts up to its last place"] if short else []


def reference(ds: xr.Dataset) -> np.ndarray:
    """ln of the joint norm that reaches each sample's last step (sample,), 0 where that is nothing.

    It is 0 of the probe of a single cell, too, but for clipping inside backprop.
    """
    joint = joint_log_norm(ds).transpose("time", "sample").values
    found = joint[ds.valid_steps.values, np.arange(joint.shape[1])]
    return np.where(np.isneginf(found), 0.0, found)


def shares(ds: xr.Dataset, name: str = "log_grad_norm") -> dict[str, np.ndarray]:
    """State -> ln of the share of the last step's gradient (time, sample); "" stands for all states together."""
    start = reference(ds)
    states = {str(s): ds[name].sel(state=s).transpose("time", "sample").values - start for s in ds.state.values}
    return states | {"": joint_log_norm(ds, name).transpose("time", "sample").values - start}


def loss_curve(ds: xr.Dataset) -> np.ndarray:
    """ln of the loss's joint gradient (time,), median, relative to its last step or, if that is zero, its largest."""
    curve = over_samples(joint_log_norm(ds, "log_loss_grad_norm").transpose("time", "sample").values)[1]
    finite = curve[np.isfinite(curve)]
    return curve - (finite[-1] if np.isfinite(curve[-1]) else finite.max()) if finite.size else curve


def typical_factor(ds: xr.Dataset) -> np.ndarray:
    """||J_t||_F / sqrt(S H), the factor of a one-step Jacobian in a random direction: median over samples (step,)."""
    size = ds.sizes["state"] * ds.sizes["index"]
    return over_samples(ds.jacobian_frobenius.transpose("step", "sample").values)[1] / np.sqrt(size)


def largest_factor(ds: xr.Dataset) -> np.ndarray:
    """||J_t||_2, the largest possible one-step factor: median over samples (step,)."""
    return over_samples(ds.jacobian_spectral.transpose("step", "sample").values)[1]


def largest_name(ds: xr.Dataset) -> str:
    """What that is called, with the part of the samples and steps that it is of: largest possible (2 of 32 samples)."""
    about, samples = ds.jacobian_spectral.attrs, ds.sizes["sample"]
    parts = [f"{about['samples']} of {samples} samples"] if about.get("samples", samples) < samples else []
    parts += [f"1 of {about['every']} steps"] if about.get("every", 1) > 1 else []
    return f"largest possible ({', '.join(parts)})" if parts else "largest possible"


def first_known(y: np.ndarray) -> float:
    """The first value that is not NaN; -inf where there is none."""
    known = y[~np.isnan(y)]
    return float(known[0]) if known.size else -np.inf


def log(values: np.ndarray) -> np.ndarray:
    """Natural logarithm; -inf for zero, without a warning."""
    with np.errstate(divide="ignore"):
        return np.log(values)


def decimate(y: np.ndarray, points: int = POINTS) -> np.ndarray:
    """Indices of at most `points` values that keep a line's look: both extremes of each bucket, and both ends."""
    if len(y) <= points:
        return np.arange(len(y))
    starts = np.arange(0, len(y), -(-2 * len(y) // (points - 2)))
    finite = np.isfinite(y)
    lowest = _bucket_argmin(np.where(finite, y, np.inf), starts)
    highest = _bucket_argmin(np.where(finite, -y, np.inf), starts)
    return np.unique(np.concatenate([[0], lowest, highest, [len(y) - 1]]))


def _bucket_argmin(y: np.ndarray, starts: np.ndarray) -> np.ndarray:
    size = starts[1] - starts[0]
    padded = np.concatenate([y, np.full(len(starts) * size - len(y), np.inf)]).reshape(len(starts), size)
    return starts + padded.argmin(axis=1)


def bins(length: int, most: int) -> np.ndarray:
    """First indices of the fewest equal bins, at most `most`, over `length` entries."""
    return np.arange(0, length, -(-length // most))


def largest_in(values: np.ndarray, starts: np.ndarray, axis: int) -> np.ndarray:
    """The largest value of each bin along an axis; NaN only where the whole bin is NaN."""
    return np.fmax.reduceat(values, starts, axis=axis)


def by_gradient(logs: np.ndarray) -> np.ndarray:
    """Units from the smallest mean log gradient to the largest: logs (time, unit) -> indices (unit,).

    Exact zeros count as the smallest gradient that occurs: the mean stays finite and dead units come first.
    """
    finite = np.isfinite(logs)
    floor = logs[finite].min() if finite.any() else 0.0
    known = np.where(np.isnan(logs), 0.0, np.maximum(logs, floor))
    return np.argsort(known.sum(axis=0), kind="stable")
