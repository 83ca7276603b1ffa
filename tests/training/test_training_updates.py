"""Updates in training: every clipping acts as configured, the regulariser, and no weight ever overflows."""

import math

import numpy as np
import pytest

import gradlab
from gradlab.learning import losses, optimizers
from gradlab.learning.clipping import CLIPPERS
from gradlab.learning.pascanu import omega
from gradlab.training import TrainConfig, TrainingRun, dataset, train

from ..grids import thinned
from .test_training import PLAIN, TINY, a_run, batch_of, copied, norm

# clipping and regularising


def taken_steps(**fields):
    """The run, and for each iteration the weights before it and what they lost, over the learning rate."""
    run, steps = a_run(iterations=20, **fields), []
    for _ in range(20):
        before = copied(run.params)
        run.advance()
        steps.append((before, {name: (before[name] - p) / 0.1 for name, p in run.params.items()}))
    return run, steps


def test_adaptive_clipping_bounds_each_unit_by_its_weights():
    run, steps = taken_steps(clip="agc", clip_threshold=0.05)
    at_bound = 0
    for before, taken in steps:
        for name, g in taken.items():
            bound = 0.05 * np.maximum(np.linalg.norm(before[name], axis=-1), 1e-3)
            size = np.linalg.norm(g, axis=-1)
            assert (size <= bound * (1 + 1e-9)).all()
            at_bound += int((size > bound * (1 - 1e-9)).sum())
    assert at_bound > 20 and sum(run.history.rows["clipped"]) == 20


def test_autoclip_bounds_the_norm_by_a_percentile_so_far():
    run, steps = taken_steps(clip="autoclip", clip_threshold=30)
    norms = np.exp(run.history.rows["log_grad_norm_before"])
    for i, (_, taken) in enumerate(steps):
        assert norm(taken) == pytest.approx(min(norms[i], np.percentile(norms[: i + 1], 30)), rel=1e-9)
    assert 0 < sum(run.history.rows["clipped"]) < 20


@pytest.mark.parametrize(("mode", "order"), [("step_norm", 2), ("step_value", np.inf)])
def test_clipping_inside_backpropagation_bounds_every_adjoint(mode, order):
    """The threshold is met exactly at some steps, and the row says that something was clipped."""
    config = TrainConfig(**PLAIN | {"clip": mode, "clip_threshold": 0.01, "gain": 1.5, "snapshot_every": 1})
    run = TrainingRun(config)
    _, tape = run.network.forward(run.params, batch_of(run, 0).x)
    row = run.advance()
    direct = np.zeros((12, 4, 5))
    h = tape.children["0"].trajectory.states[-1, 0]
    error = h @ run_start(config)["2.W_hy"].T + run_start(config)["2.b_y"] - batch_of(run, 0).targets
    direct[-1] = 2 / 4 * error @ run_start(config)["2.W_hy"]
    grads = gradlab.bptt(tape.children["0"].trajectory, direct, clip=(mode, 0.01))
    sizes = np.linalg.norm(grads.adjoints[:, 0], order, axis=-1)
    assert sizes.max() == pytest.approx(0.01)
    found = run_start(config)["0.W_hh"] - 0.1 * grads.params["W_hh"]
    np.testing.assert_allclose(run.params["0.W_hh"], found, rtol=1e-12)
    assert row["clipped"] == 1 and row["log_grad_norm_after"] == row["log_grad_norm_before"]
    rarely = train(**PLAIN | {"clip": mode, "clip_threshold": 1e3})
    assert not any(rarely.history.rows["clipped"])


def run_start(config):
    return TrainingRun(config).params


@pytest.mark.parametrize("form", ["paper", "code"])
def test_omega_changes_the_recurrent_weights_alone(form):
    plain, pulled = a_run(), a_run(omega=0.7, omega_form=form)
    _, tape = plain.network.forward(plain.params, batch_of(plain, 0).x)
    outputs, _ = plain.network.forward(plain.params, batch_of(plain, 0).x)
    _, dy = losses.LOSSES["mse"](outputs, batch_of(plain, 0).targets)
    plain.network.backward(plain.params, tape, dy)
    value, derivative = omega(tape.children["0"].trajectory, tape.children["0"].gradients, form)
    plain.advance()
    row = pulled.advance()
    assert row["omega"] == pytest.approx(float(value)) and value > 0
    for name, p in pulled.params.items():
        extra = 0.1 * 0.7 * derivative["W_hh"] if name == "0.W_hh" else 0.0
        np.testing.assert_allclose(p, plain.params[name] - extra, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("fields", "threshold"),
    [
        ({"clip": "off"}, None),
        ({"clip": "norm"}, 1.0),
        ({"clip": "agc"}, 0.01),
        ({"clip": "autoclip"}, 10.0),
        ({"clip": "step_norm"}, 1.0),
        ({"clip": "step_value", "clip_threshold": 3}, 3.0),
    ],
)
def test_thresholds(fields, threshold):
    assert a_run(**fields).threshold == threshold


# numbers that overflow


@pytest.mark.parametrize(("optimizer", "dtype"), thinned(optimizers.OPTIMIZERS, ["float32", "float64"]))
@pytest.mark.parametrize(
    "fields",
    [
        {"activation": "relu", "gain": 1e20},
        {"activation": "relu", "gain": 8.0, "steps": 20},
        {"activation": "identity", "gain": 3.0, "learning_rate": 1e6},
        {"activation": "relu", "learning_rate": 1e300},
        {"layers": 2, "activation": "relu", "gain": 1e6, "omega": 1.0},
    ],
    ids=["forward overflows", "gradient is huge", "weights run away", "update overflows", "stack"],
)
def test_no_weight_ever_overflows(optimizer, dtype, fields):
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    run = TrainingRun(TrainConfig(**TINY | {"optimizer": optimizer, "dtype": dtype, "steps": 12} | momentum | fields))
    for _ in range(6):
        before, row = copied(run.params | run.state), run.advance()
        if row["skipped"]:
            assert all(np.array_equal(p, before[name]) for name, p in (run.params | run.state).items())
        else:
            assert math.isfinite(row["loss"]) and math.isfinite(row["log_grad_norm_before"])
        for name, array in {**run.params, **run.state}.items():
            assert np.isfinite(array).all(), name
    assert len(run.history.rows["loss"]) == run.iteration == 6


def test_skipped_updates_are_counted_or_end_the_run():
    wild = TINY | {"activation": "relu", "gain": 1e20, "dtype": "float32"}
    skipping = train(**wild)
    assert sum(skipping.history.rows["skipped"]) == 6 and skipping.status == "done"
    stopping = train(**wild, nonfinite="stop")
    assert (stopping.status, stopping.iteration) == ("stopped", 1)
    assert dataset(skipping).skipped.values.tolist() == [1] * 6


def test_a_gradient_beyond_squares_is_skipped_unless_it_is_clipped():
    """A gradient of 1e25 has no square in float32, and Adam would never move again."""
    fields = TINY | {"dtype": "float32", "activation": "identity", "gain": 60.0, "steps": 9}
    assert train(**fields).history.rows["skipped"][0] == 1
    clipped = train(**fields, clip="norm", clip_threshold=1)
    assert clipped.history.rows["skipped"][0] == 0
    assert clipped.history.rows["log_grad_norm_before"][0] > 45 > clipped.history.rows["log_grad_norm_after"][0]


@pytest.mark.parametrize("clip", ["norm", "value", "agc"])
def test_clipping_brings_back_a_gradient_that_overflows(clip):
    """The state rests at 0, where the gradient grows by up to 60 per step: to 1e70, beyond float32."""
    fields = PLAIN | {"steps": 40, "gain": 60.0, "input_scale": 0.0, "iterations": 3, "clip": clip}
    single, double = (train(**fields, dtype=dtype).history.rows for dtype in ("float32", "float64"))
    assert single["log_grad_norm_before"][0] > 88.8  # ln of float32's largest number
    assert single["skipped"] == double["skipped"] == [0, 0, 0]
    for name in ("log_grad_norm_before", "log_grad_norm_after", "update_ratio", "loss"):
        assert single[name][0] == pytest.approx(double[name][0], rel=1e-5, abs=1e-6)
    skipped = train(**fields | {"clip": "off"}, dtype="float32").history.rows
    assert skipped["skipped"] == [1, 1, 1]
    assert skipped["log_grad_norm_before"][0] == pytest.approx(double["log_grad_norm_before"][0], rel=1e-5)


def exploding_stack(dtype, **fields):
    """Three layers that rest at 0, where the gradient grows by up to 60 per step and by 1e20 between two layers."""
    fields = {"layers": 3, "gain": 60.0, "input_scale": 0.0, "dtype": dtype, "steps": 24} | fields
    run = TrainingRun(TrainConfig(**PLAIN | fields))
    for name in ("1.W_xh", "2.W_xh"):
        run.params[name][:] = 1e20 * np.random.default_rng(3).normal(size=run.params[name].shape)
    return run


@pytest.mark.parametrize("omega", [0.0, 1.0])
@pytest.mark.parametrize("clip", ["norm", "value", "agc"])
def test_clipping_brings_back_a_gradient_that_overflows_between_two_layers(clip, omega):
    """It leaves the upper layers beyond float32; the step is that of float64, where nothing overflows."""
    runs = [exploding_stack(dtype, clip=clip, omega=omega) for dtype in ("float32", "float64")]
    before = copied(runs[0].params)
    single, double = (run.advance() for run in runs)
    assert single["log_grad_norm_before"] > 88.8 and single["skipped"] == double["skipped"] == 0
    for name, value in single.items():
        assert value == pytest.approx(double[name], rel=1e-5, abs=1e-6, nan_ok=True), name
    steps = [{name: p - before[name] for name, p in run.params.items()} for run in runs]
    assert len(runs[0].history.snapshots) == 1 and any(steps[0][f"{n}.b_h"].any() for n in range(3))
    for name, p in before.items():
        limit = 1e-6 * max(np.abs(p).max(), norm(steps[1]))
        np.testing.assert_allclose(steps[0][name], steps[1][name], rtol=1e-4, atol=limit)


def test_clipping_brings_back_a_gradient_beyond_double_precision():
    run = exploding_stack("float64", steps=300, clip="norm")
    before, row = copied(run.params), run.advance()
    assert row["log_grad_norm_before"] > 709.8 and row["skipped"] == 0  # ln of float64's largest number
    assert row["log_grad_norm_after"] == pytest.approx(0, abs=1e-12)
    assert norm({name: p - before[name] for name, p in run.params.items()}) == pytest.approx(0.1)


def test_a_gradient_that_overflows_between_two_layers_is_skipped_unless_it_is_clipped():
    run = exploding_stack("float32")
    before, row = copied(run.params), run.advance()
    assert row["skipped"] == 1 and math.isfinite(row["loss"])
    assert row["log_grad_norm_before"] == pytest.approx(exploding_stack("float64").advance()["log_grad_norm_before"])
    assert all(np.array_equal(p, before[name]) for name, p in run.params.items())


def test_every_clipping_mode_can_be_asked_for():
    for mode in CLIPPERS:
        assert train(**TINY | {"iterations": 2, "clip": mode}).iteration == 2
