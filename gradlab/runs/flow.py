"""A run's gradient alone: what its verdict is read from, for a small part of what `analyze` costs."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from ..arrays import Array, quiet
from ..cells import Cell
from ..config import UPDATE_CLIPS, RunConfig
from ..engine.backward import Gradients, bptt
from ..engine.trajectory import Overflow, Trajectory
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
    inside = config.clip not in ("off", *UPDATE_CLIPS)
    clip = (config.clip, threshold_of(config.clip_threshold, 0.0)) if inside else None
    return probed(*finite_trajectory(cell, params, x), config.seed, clip, config.block)


def probed(
    traj: Trajectory,
    overflow: list[Overflow],
    seed: int,
    clip: tuple[str, float] | None = None,
    truncate: int | None = None,
) -> xr.Dataset:
    """The same of what `finite_trajectory` gives."""
    with quiet():
        gradients = bptt(traj, probe_gradient(traj, seed), clip=clip, truncate=truncate)
    labels = coordinates(traj.cell, traj.steps, traj.states.shape[-2])
    coords = {name: labels[name] for name in ("state", "time", "sample")}
    return curve(gradients).assign_coords(coords).assign_attrs(overflow=overflow_json(overflow))


def curve(gradients: Gradients) -> xr.Dataset:
    """What a verdict is read from, of the gradients of a probe at the last step, without coordinates."""
    found = variable(QUANTITIES["log_grad_norm"], gradients.log_norms, len(gradients.traj.models))
    return xr.Dataset({"log_grad_norm": found, "valid_steps": valid_steps(gradients.traj)})
