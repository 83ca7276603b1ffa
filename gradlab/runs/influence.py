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

    Exact where there are at most 128 steps: one row of the Jacobian for each unit of the output. Beyond, an estimate
    from random signs, E ||J^T r||^2 = ||J||_F^2, with the standard error of its logarithm.
    """
    xp, steps, size = namespace(x), len(x), x.shape[-1]
    exact = steps <= EXACT_STEPS
    count = size if exact else PROBES
    rng = np.random.default_rng(STREAM)
    rows = np.eye(size) if exact else rng.choice([-1.0, 1.0], (count, size))
    own = None if lengths is None else xp.broadcast_to(lengths[:1], (count,))
    copies = xp.zeros((1, count, 1), dtype=x.dtype) + x[:, :1]
    _, tape = layer.forward(params, copies, own)
    squares = np.empty((steps, steps, count))
    for t in range(steps):
        dy = xp.zeros_like(copies)
        dy[t] = xp.asarray(rows, dtype=x.dtype)
        dx, _ = layer.backward_scaled(params, tape, dy)
        squares[t] = np.exp(2 * to_numpy(dx.log_norm(-1)))
    return _labelled(squares, exact)


def _labelled(squares: np.ndarray, exact: bool) -> dict[str, xr.Variable]:
    """From the squares of rows (query, key, row): their sum if they are all there, else the mean over probes."""
    steps, count = len(squares), squares.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = squares.sum(axis=-1) if exact else squares.mean(axis=-1)
        error = 0 * total if exact else squares.std(axis=-1, ddof=1) / np.sqrt(count) / (2 * total)
        by_distance = [np.diagonal(total, -k).mean() for k in range(steps)]
        about = {"units": "1", "scale": "log", "estimate": int(not exact)}
        return {
            "log_influence": xr.Variable(
                ("query", "key"), 0.5 * np.log(total), about | {"long_name": "ln ||d out_query / d in_key||_F"}
            ),
            "log_influence_stderr": xr.Variable(
                ("query", "key"), error, {"units": "1", "long_name": "Standard error of log_influence; 0 where exact"}
            ),
            "log_influence_by_distance": xr.Variable(
                "distance", 0.5 * np.log(by_distance), about | {"long_name": "The same, root mean square by distance"}
            ),
        }
