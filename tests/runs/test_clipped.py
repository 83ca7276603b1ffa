"""analyze under clipping: of the update, which leaves the curve, and inside the backward pass, which changes it."""

import math

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.errors import InputError

from .test_analysis import DIMS, SMALL, network


@pytest.mark.parametrize("mode", ["norm", "value"])
def test_clipping_the_update_leaves_the_curve(mode):
    plain, ds = (gradlab.analyze(clip=clip, clip_threshold=0.05, **SMALL) for clip in ("off", mode))
    xr.testing.assert_equal(plain.log_grad_norm, ds.log_grad_norm)
    xr.testing.assert_equal(plain.log_weight_grad_norm, ds.log_weight_grad_norm)
    assert "log_grad_norm_before_clip" not in ds
    before, after = ds.log_update_norm.sel(stage=["before", "after"]).values
    assert before == pytest.approx(0.5 * np.logaddexp.reduce(2 * plain.log_weight_grad_norm.values), rel=1e-12)
    if mode == "norm":
        assert after == pytest.approx(math.log(0.05), abs=1e-12)
        assert float(ds.clip_angle) < 1e-7
    else:
        assert after < before and float(ds.clip_angle) > 0.01
    assert float(ds.clip_threshold) == 0.05
    assert ds.clip_angle.attrs["units"] == "rad"


def test_a_threshold_may_be_a_multiple_of_the_measured_norm():
    ds = gradlab.analyze(clip="norm", clip_threshold="0.5x", **SMALL)
    before, after = ds.log_update_norm.values
    assert after == pytest.approx(before - math.log(2), abs=1e-12)
    assert float(ds.clip_threshold) == pytest.approx(0.5 * math.exp(before), rel=1e-12)
    inside = gradlab.analyze(clip="step_norm", clip_threshold="0.5x", **SMALL)
    assert float(inside.clip_threshold) == 0.5


@pytest.mark.parametrize("mode", ["step_norm", "step_value"])
def test_clipping_inside_the_backward_pass_changes_the_curve(mode):
    ds = gradlab.analyze(gain=4.0, clip=mode, clip_threshold=0.7, **SMALL)
    plain = gradlab.analyze(gain=4.0, **SMALL)
    assert ds.log_grad_norm_before_clip.dims == DIMS["log_grad_norm"]
    assert (ds.log_grad_norm <= ds.log_grad_norm_before_clip + 1e-12).all()
    assert float(plain.log_grad_norm.max()) > 1
    if mode == "step_norm":
        assert float(ds.log_grad_norm.max()) == pytest.approx(math.log(0.7), abs=1e-12)
    assert float(ds.log_update_norm.sel(stage="after")) < float(ds.log_update_norm.sel(stage="before"))


def test_clipping_one_model_at_a_time():
    with pytest.raises(InputError, match="clip: the update is clipped for one model at a time"):
        gradlab.analyze(**network("lstm", (3,)), clip="norm")
