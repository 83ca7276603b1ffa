"""Runs with truncated backpropagation: what is cut, what stays, in every front door."""

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import gradlab
from dashboard import form
from gradlab.cli import cli
from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_query
from gradlab.runs.build import build
from gradlab.runs.flow import flow
from gradlab.runs.probe import loss_at_every_step

SMALL = {"steps": 42, "hidden_size": 12, "batch_size": 3}
CELLS = ("elman", "lstm", "gru")
each_cell = pytest.mark.parametrize("cell", CELLS)


@each_cell
@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("truncate", [42, 43, 10_000])
def test_a_block_as_long_as_the_sequence_cuts_nothing(cell, loss, truncate):
    full = gradlab.analyze(cell=cell, loss=loss, **SMALL)
    cut = gradlab.analyze(cell=cell, loss=loss, truncate=truncate, **SMALL)
    xr.testing.assert_identical(full.drop_attrs(), cut.drop_attrs())


@each_cell
@pytest.mark.parametrize("truncate", [1, 7, 10, 41])
def test_blocks_are_nets_of_their_own_that_start_from_the_last_ones_state(cell, truncate):
    """The gradient of the weights is the sum of those of the blocks, each of which ends where the next begins."""
    config = RunConfig(cell=cell, loss="every", truncate=truncate, **SMALL)
    net, params, x = build(config)
    traj = gradlab.unroll(net, params, x)
    losses, total = loss_at_every_step(traj, config.seed), dict.fromkeys(params, 0.0)
    for start in range(0, config.steps, truncate):
        inside = slice(start, start + truncate)
        block = gradlab.unroll(net, params, x[inside], initial_state=traj.states[start])
        for name, gradient in gradlab.bptt(block, losses[inside]).params.items():
            total[name] = total[name] + gradient
    found = gradlab.analyze(config).log_weight_grad_norm
    for name, gradient in total.items():
        assert float(found.sel(parameter=name)) == pytest.approx(np.log(np.linalg.norm(gradient)), rel=1e-10)


@pytest.mark.parametrize("truncate", [5, 7, 40])
def test_the_curve_is_that_of_a_plain_loop_that_stops(truncate):
    config = RunConfig(truncate=truncate, **SMALL)
    net, params, x = build(config)
    steps = gradlab.jacobian(gradlab.unroll(net, params, x)).dense()
    found = gradlab.analyze(config).log_grad_norm.sel(state="h").transpose("time", "sample").values
    full = (
        gradlab.analyze(config.replace(truncate="off")).log_grad_norm.sel(state="h").transpose("time", "sample").values
    )
    first = (config.steps - 1) // truncate * truncate
    np.testing.assert_allclose(found[first + 1 :], full[first + 1 :], rtol=1e-12)
    assert np.isneginf(found[: first + 1]).all() and np.isfinite(steps).all()


@pytest.mark.parametrize("clip", ["step_norm", "step_value"])
def test_clipping_inside_backpropagation_is_cut_too(clip):
    fields = {"gain": 3.0, "clip": clip, "clip_threshold": 0.5, **SMALL}
    runs = (gradlab.analyze(truncate=n, **fields).log_grad_norm for n in ("off", 14))
    full, cut = (curve.transpose("time", "state", "sample").values for curve in runs)
    np.testing.assert_array_equal(cut[29:], full[29:])
    assert np.isneginf(cut[:29]).all() and np.isfinite(full[:29]).all()


def test_credit_is_cut_where_the_gradient_is():
    logs = gradlab.analyze(truncate=10, record=["credit"], steps=30, hidden_size=8, batch_size=2).log_credit
    logs = logs.transpose("loss_time", "time", ...).values[..., 0]
    for t in range(1, 31):
        start = (t - 1) // 10 * 10
        reached = np.arange(31) > start if start else np.arange(31) >= 0  # the first state is cut from nothing
        np.testing.assert_array_equal(np.isfinite(logs[t - 1]), reached & (np.arange(31) <= t))


def test_a_run_by_its_arrays_and_its_curve_alone_are_cut_as_well():
    config = RunConfig(truncate=10, **SMALL)
    cell, params, x = build(config)
    whole = gradlab.analyze(config).log_grad_norm
    xr.testing.assert_equal(gradlab.analyze(cell=cell, params=params, x=x, truncate=10).log_grad_norm, whole)
    np.testing.assert_array_equal(
        flow(cell, params, x, config).log_grad_norm.transpose(*whole.dims).values, whole.values
    )


def test_the_verdict_says_where_the_gradient_ends():
    verdict = gradlab.verdict(gradlab.analyze(truncate=20, steps=100, hidden_size=12, batch_size=3))
    assert "It is exactly zero from 20 steps back on." in verdict.details


# front doors


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "expected 1 to 1,000,000,000 steps or 'off', got 0"),
        (-3, "expected 1 to 1,000,000,000 steps or 'off', got -3"),
        (10**12, "expected 1 to 1,000,000,000 steps or 'off', got 1000000000000"),
        (2.5, "expected a whole number or 'off', got 2.5"),
        ("on", "expected a whole number or 'off', got 'on'"),
    ],
)
def test_what_is_no_number_of_steps_is_refused(value, text):
    with pytest.raises(gradlab.InputError, match=f"truncate: {text}"):
        RunConfig(truncate=value)


def test_it_travels_in_a_link_and_in_the_form():
    config = RunConfig(truncate=20)
    assert to_query(config) == "v=1&truncate=20" and from_query(to_query(config)).config == config
    for config in (RunConfig(truncate=20), RunConfig()):
        assert form.read(form.raw(config)).config == config
    assert form.whole("truncate") and not form.whole("forget_bias")


def test_the_command_has_an_option():
    arguments = ["analyze", "--truncate", "20", "--hidden-size", "8", "--batch-size", "2"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0 and "exactly zero from 20 steps back on" in result.output
    assert "INTEGER|off" in CliRunner().invoke(cli, ["analyze", "--help"]).output
