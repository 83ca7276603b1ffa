"""A run under clipping: what reaches the states, and what happens to the update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import xarray as xr

from ..arrays import LN2, Array, quiet, to_numpy
from ..config import UPDATE_CLIPS, RunConfig
from ..engine.backward import bptt
from ..errors import InputError
from ..learning.clipping import clip_update
from ..learning.norms import angle_between
from ..quantities import Recording


def clipped(
    unclipped: Recording, passes: dict[str, Array], config: RunConfig
) -> tuple[Recording, dict[str, xr.Variable]]:
    """The recording under the configured clipping, and what clipping did to the update."""
    traj, before = unclipped.traj, unclipped.loss
    if config.clip == "off":
        return unclipped, {}
    if traj.models:
        raise InputError("clip: the update is clipped for one model at a time; analyze each model alone", "clip")
    log_norm = float(before.log_update_norm)
    if config.clip in UPDATE_CLIPS:
        threshold = threshold_of(config.clip_threshold, log_norm)
        mantissas, exponent, shift = _host(before.param_mantissas), int(before.param_exponent), 0.0
        if isinstance(config.clip_threshold, str):  # a multiple needs no plain values, which may overflow
            shift, exponent = exponent * LN2, 0
        update = clip_update(mantissas, config.clip, threshold_of(config.clip_threshold, log_norm - shift), exponent)
        return unclipped, _clip_variables(threshold, log_norm, update.log_norm_after + shift, update.angle)
    threshold = threshold_of(config.clip_threshold, 0.0)
    done = {
        name: bptt(traj, gradient, None, (config.clip, threshold), config.block) for name, gradient in passes.items()
    }
    run = replace(unclipped, probe=done["probe"], loss=done.get("loss", done["probe"]), clipped=True)
    angle = angle_between(*(list(_host(g.param_mantissas).values()) for g in (before, run.loss)))
    return run, _clip_variables(threshold, log_norm, float(run.loss.log_update_norm), angle)


def threshold_of(threshold: float | str, log_norm: float) -> float:
    """The threshold as a number: itself, or a multiple ("0.5x") of a norm given by its logarithm."""
    if not isinstance(threshold, str):
        return float(threshold)
    with quiet():
        value = float(threshold[:-1]) * float(np.exp(log_norm))
    return float(np.clip(value, np.finfo(float).tiny, np.finfo(float).max))


def _host(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    return {name: to_numpy(array) for name, array in arrays.items()}


def _clip_variables(threshold: float, before: float, after: float, angle: float) -> dict[str, xr.Variable]:
    norms = {
        "long_name": "Norm of the whole parameter gradient, before and after clipping",
        "units": "1",
        "scale": "log",
    }
    return {
        "log_update_norm": xr.Variable("stage", [before, after], norms),
        "clip_angle": xr.Variable((), angle, {"long_name": "Angle between both gradients", "units": "rad"}),
        "clip_threshold": xr.Variable((), threshold, {"long_name": "Clipping threshold", "units": "1"}),
    }
