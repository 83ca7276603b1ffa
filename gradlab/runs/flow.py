"""A run's gradient alone: what its verdict is read from, for a small part of what `analyze` costs."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from ..arrays import Array, quiet
from ..cells import Cell
from ..config import UPDATE_CLIPS, RunConfig
from ..engine.backward import bptt
from ..quantities import QUANTITIES
from .clipped import threshold_of
from .labels import coordinates, valid_steps, variable
from .overflows import overflow_json
from .probe import finite_trajectory, probe_gradient


def flow(cell: Cell, params: Mapping[str, Array], x: Array, config: RunConfig) -> xr.Dataset:
    """The curve `log_grad_norm` with `valid_steps`, coordinates and overflow, as `analyze` records them.

    Of `config` its seed, its truncation and its clipping inside backpropagation count. Raises InputError as `analyze`
    does.
    """
    traj, overflow = finite_trajectory(cell, params, x)
    inside = config.clip not in ("off", *UPDATE_CLIPS)
    clip = (config.clip, threshold_of(config.clip_threshold, 0.0)) if inside else None
    with quiet():
        gradients = bptt(traj, probe_gradient(traj, config.seed), clip=clip, truncate=config.block)
        curve = variable(QUANTITIES["log_grad_norm"], gradients.log_norms, len(traj.models))
    labels = coordinates(cell, traj.steps, traj.states.shape[-2])
    coords = {name: labels[name] for name in ("state", "time", "sample")}
    attrs = {"overflow": overflow_json(overflow)}
    return xr.Dataset({"log_grad_norm": curve, "valid_steps": valid_steps(traj)}, coords, attrs)
