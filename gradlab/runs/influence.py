"""How much each place of a layer's output depends on each place of its input: ||d out_t / d in_s||_F."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..arrays import Array, namespace, to_numpy
from ..layers import Layer

EXACT_STEPS = 128  # up to which every row of the Jacobian is computed
PROBES = 16
STREAM = int.from_bytes(b"influence", "big")


def influence(layer: Layer, params: Mapping[str, Array], x: Array, lengths: Array | None) -> dict[str, xr.Variable]:
    """ln ||d out_t / d in_s||_F (query t, key s) of the first sample, and its root mean square by distance t - s.

    Exact where it has at most 128 places: one row of the Jacobian for each unit of the output. Beyond, an estimate from
    random signs, E ||J^T r||^2 = ||J||_F^2, with the standard error of its logarithm. NaN where it has no such place.
    """
    own = len(x) if lengths is None else int(lengths[0])
    size, exact = x.shape[-1], own <= EXACT_STEPS
    rows = np.eye(size) if exact else np.random.default_rng(STREAM).choice([-1.0, 1.0], (PROBES, size))
    logs = _row_logs(layer, params, x[:own, :1], rows)
    top = np.maximum(logs.max(axis=-1), -1e300)  # rows of zeros have no scale
    squares = np.exp(logs - top[..., None])
    with np.errstate(divide="ignore", invalid="ignore"):
        total = squares.sum(axis=-1) if exact else squares.mean(axis=-1)
        error = 0 * total if exact else squares.std(axis=-1, ddof=1) / np.sqrt(PROBES) / (2 * total)
        found = np.log(total) + top
    return _labelled(0.5 * found, error, exact, len(x) - own)


def _row_logs(layer: Layer, params: Mapping[str, Array], x: Array, rows: np.ndarray) -> np.ndarray:
    """2 ln ||row^T d out_t / d in_s|| (query t, key s, row) of one sample x (T, 1, F), by copies of it."""
    xp = namespace(x)
    copies = xp.zeros((1, len(rows), 1), dtype=x.dtype) + x
    _, tape = layer.forward(params, copies)
    logs = np.empty((len(x), len(x), len(rows)))
    for t in range(len(x)):
        dy = xp.zeros_like(copies)
        dy[t] = xp.asarray(rows, dtype=x.dtype)
        dx, _ = layer.backward_scaled(params, tape, dy)
        logs[t] = 2 * to_numpy(dx.log_norm(-1))
    return logs


def _labelled(logs: np.ndarray, error: np.ndarray, exact: bool, beyond: int) -> dict[str, xr.Variable]:
    """With so many places of NaN beyond those of the sample."""
    diagonals = (2 * np.diagonal(logs, -k) for k in range(len(logs)))
    distances = np.array([0.5 * (np.logaddexp.reduce(d) - np.log(len(d))) for d in diagonals])
    about = {"units": "1", "scale": "log", "estimate": int(not exact)}
    arrays = {
        "log_influence": (logs, about | {"long_name": "ln ||d out_query / d in_key||_F"}),
        "log_influence_stderr": (error, {"units": "1", "long_name": "Standard error of log_influence; 0 where exact"}),
        "log_influence_by_distance": (distances, about | {"long_name": "The same, root mean square by distance"}),
    }
    return {
        name: xr.Variable(
            ("query", "key") if array.ndim == 2 else ("distance",),
            np.pad(array, (0, beyond), constant_values=np.nan),
            attrs,
        )
        for name, (array, attrs) in arrays.items()
    }
