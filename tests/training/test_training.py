"""Training: one step by hand, what is recorded against what is computed apart, tasks, messages."""

import json
import math
from functools import partial

import numpy as np
import pytest

import gradlab
from gradlab import arrays
from gradlab.errors import Cancelled, InputError
from gradlab.layers import Pass, recurrent_tapes
from gradlab.layers import base as layers_base
from gradlab.learning import losses
from gradlab.quantities import Recorder
from gradlab.training import TrainConfig, TrainingRun, dataset, loop, snapshot_dataset, train
from gradlab.training.network import require_trainable
from gradlab.training.tracks import SAMPLES, recording_of

from ..strict import strict

TINY = {"steps": 12, "hidden_size": 5, "batch_size": 4, "iterations": 6, "snapshot_every": 3, "evaluate_every": 4}
PLAIN = TINY | {"optimizer": "sgd", "learning_rate": 0.1}


def a_run(**fields):
    return TrainingRun(TrainConfig(**{**PLAIN, **fields}))


def batch_of(run, iteration):
    return run.task.batch(np.random.default_rng([run.config.seed, iteration]), run.config.batch_size)


def copied(arrays):
    return {name: np.array(a) for name, a in arrays.items()}


def norm(arrays):
    return math.sqrt(sum(float((np.asarray(a, float) ** 2).sum()) for a in arrays.values()))


def by_hand(params, batch):
    """Loss and gradients of a tanh net with a linear output at the last step, by loops over steps and samples."""
    w_xh, w_hh, b = params["0.W_xh"][0], params["0.W_hh"][0], params["0.b_h"][0]
    w_hy, b_y = params["2.W_hy"], params["2.b_y"]
    grads, loss, count = {name: np.zeros_like(p) for name, p in params.items()}, 0.0, batch.x.shape[1]
    for s in range(count):
        h = [np.zeros(len(b))]
        for x in batch.x[:, s]:
            h.append(np.tanh(w_xh @ x + w_hh @ h[-1] + b))
        error = w_hy @ h[-1] + b_y - batch.targets[s]
        loss += float(error @ error) / count
        dy = 2 * error / count
        grads["2.W_hy"] += np.outer(dy, h[-1])
        grads["2.b_y"] += dy
        back = w_hy.T @ dy
        for t in reversed(range(len(batch.x))):
            delta = (1 - h[t + 1] ** 2) * back
            grads["0.W_xh"][0] += np.outer(delta, batch.x[t, s])
            grads["0.W_hh"][0] += np.outer(delta, h[t])
            grads["0.b_h"][0] += delta
            back = w_hh.T @ delta
    return loss, grads


# one step


@pytest.mark.parametrize("threshold", [None, 0.05])
def test_one_step_by_hand(threshold):
    run = a_run(clip="norm" if threshold else "off", clip_threshold=threshold)
    before = copied(run.params)
    loss, grads = by_hand(before, batch_of(run, 0))
    length = norm(grads)
    factor = threshold / length if threshold else 1.0
    row = run.advance()
    for name, p in run.params.items():
        np.testing.assert_allclose(p, before[name] - 0.1 * factor * grads[name], rtol=1e-12, atol=1e-14)
    expected = {
        "loss": loss,
        "log_grad_norm_before": math.log(length),
        "log_grad_norm_after": math.log(factor * length),
        "clip_angle": 0.0,
        "clipped": float(threshold is not None),
        "skipped": 0.0,
        "update_ratio": 0.1 * factor * length / norm(before),
        "learning_rate": 0.1,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-11, abs=1e-11)
    assert math.isnan(row["omega"])


def test_clipping_by_value_turns_the_gradient():
    run = a_run(clip="value", clip_threshold=0.02)
    before = copied(run.params)
    _, grads = by_hand(before, batch_of(run, 0))
    cut = {name: np.clip(g, -0.02, 0.02) for name, g in grads.items()}
    row = run.advance()
    for name, p in run.params.items():
        np.testing.assert_allclose(p, before[name] - 0.1 * cut[name], rtol=1e-12, atol=1e-14)
    cosine = sum(float((grads[n] * cut[n]).sum()) for n in grads) / norm(grads) / norm(cut)
    assert row["clip_angle"] == pytest.approx(math.acos(cosine), rel=1e-9)
    assert row["log_grad_norm_after"] == pytest.approx(math.log(norm(cut)))
    assert row["clipped"] == 1


def test_the_rate_follows_its_schedule():
    run = a_run(schedule="cosine", iterations=6)
    rates = [run.advance()["learning_rate"] for _ in range(6)]
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * i / 6)) for i in range(6)])


# what a run is


def test_a_seed_fixes_a_run_and_everything_is_drawn_apart():
    one, two, other = (train(**TINY, seed=seed, dropout=0.3) for seed in (5, 5, 6))
    for name, p in one.params.items():
        assert p.tobytes() == two.params[name].tobytes()
        assert name.endswith("b_y") or not np.array_equal(p, other.params[name])
    assert one.history.rows["loss"] == two.history.rows["loss"]


def test_weights_and_batches_have_streams_of_their_own():
    """A seed alone and the same seed followed by zero start one and the same stream."""
    run = a_run(seed=5)
    drawn = run.network.init(np.random.default_rng([5, 0]))
    assert not np.array_equal(run.params["2.W_hy"], drawn["2.W_hy"])


def test_dropout_acts_in_training_only():
    plain, dropped = a_run(), a_run(dropout=0.5)
    assert plain.evaluate() == dropped.evaluate() == dropped.evaluate()
    assert plain.advance()["loss"] != dropped.advance()["loss"]


@pytest.mark.parametrize("task", ["adding", "adding_hs97", "parity", "copy_memory"])
def test_held_out_scores_are_those_of_all_samples_at_once(task):
    run = a_run(task=task, steps=24, batch_size=7)
    batch = run.task.batch(np.random.default_rng([0, loop.HELD_OUT_STREAM]), loop.HELD_OUT_SAMPLES, held_out=True)
    outputs, _ = run.network.forward(run.params, batch.x, batch.lengths)
    value, _ = losses.LOSSES[run.task.loss](outputs, batch.targets)
    assert run.evaluate() == pytest.approx((float(value), run.task.score(float(value), outputs, batch)), rel=1e-12)


def test_each_step_is_told_and_may_be_the_last():
    seen = []

    def on_step(step):
        seen.append((step.iteration, step.row["loss"], len(step.history.rows["loss"])))
        if step.iteration == 4:
            raise Cancelled

    run = train(**TINY, on_step=on_step)
    assert [(i, count) for i, _, count in seen] == [(n, n) for n in (1, 2, 3, 4)]
    assert [loss for _, loss, _ in seen] == run.history.rows["loss"]
    assert (run.status, run.iteration) == ("cancelled", 4)
    assert [i for i, *_ in run.history.scores] == [4]
    assert [int(s["iteration"]) for s in run.history.snapshots] == [0, 3]


def test_the_last_iteration_is_scored():
    run = train(**TINY)
    assert run.status == "done"
    assert [i for i, *_ in run.history.scores] == [4, 6]
    assert run.history.scores[-1][1:] == run.evaluate()


@pytest.mark.parametrize("task", ["delayed_recall", "parity", "sine"])
def test_nets_learn(task):
    short = {"steps": 6, "hidden_size": 16, "batch_size": 16, "iterations": 250, "learning_rate": 0.01}
    run = train(task=task, **short, snapshot_every=250, evaluate_every=250)
    assert run.history.scores[-1][1] < 0.6 * run.task.baseline


# snapshots


def test_snapshots_are_what_the_engine_finds_at_the_same_weights():
    """A residual stack: the second layer's gradient from the loss, the first one's through both ways."""
    config = TrainConfig(**TINY | {"cell": "lstm", "layers": 2, "residual": True, "batch_size": 20})
    run, at = TrainingRun(config), {}
    for i in range(config.iterations):
        at[i] = copied(run.params)
        run.advance()
    ds = dataset(run)
    assert ds.snapshot.values.tolist() == [0, 3, 5]
    for place, i in enumerate((0, 3, 5)):
        batch = batch_of(run, i)
        first, second = (layer_params(at[i], n) for n in "01")
        cells = run.cell, gradlab.make_cell("lstm", input_size=5, hidden_size=5)
        lower = gradlab.unroll(cells[0], first, batch.x)
        upper = gradlab.unroll(cells[1], second, lower.states[1:, 0])
        out = lower.states[-1, 0] + upper.states[-1, 0]
        error = out @ at[i]["3.W_hy"].T + at[i]["3.b_y"] - batch.targets
        direct = np.zeros((12, 20, 5))
        direct[-1] = 2 / 20 * error @ at[i]["3.W_hy"]
        above = gradlab.bptt(upper, direct)
        below = gradlab.bptt(lower, direct + above.inputs)
        for n, (traj, grads) in enumerate(((lower, below), (upper, above))):
            assert_snapshot(snapshot_dataset(run, place, n), traj, grads)
            joint = np.log(
                np.linalg.norm(np.moveaxis(grads.adjoints, 1, 2)[:, :SAMPLES].reshape(13, SAMPLES, -1), axis=-1)
            )
            found = ds.sel(snapshot=i, layer=n)
            np.testing.assert_allclose(found.surface, np.median(joint, axis=1), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(found.mean_gate, traj.gates.mean(axis=(0, 2, 3)), rtol=1e-5)
            frobenius = np.linalg.norm(gradlab.jacobian(traj).dense(), axis=(-2, -1))[:, :SAMPLES]
            typical = np.exp(np.median(np.log(frobenius), axis=1)) / math.sqrt(10)
            np.testing.assert_allclose(found.typical_factor, typical, rtol=1e-5)


def layer_params(params, prefix):
    return {name.removeprefix(f"{prefix}."): p for name, p in params.items() if name.startswith(f"{prefix}.")}


def assert_snapshot(ds, traj, grads):
    near = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    assert ds.sizes["sample"] == SAMPLES
    with np.errstate(divide="ignore"):
        logs = np.log(np.linalg.norm(grads.adjoints, axis=-1))[..., :SAMPLES]
    near(ds.log_grad_norm.transpose("time", "state", "sample"), logs)
    near(ds.jacobian_frobenius, np.linalg.norm(gradlab.jacobian(traj).dense(), axis=(-2, -1))[:, :SAMPLES])
    near(ds.gate_mean, traj.gates.mean(axis=(2, 3)).T)
    radius = [max(abs(np.linalg.eigvals(w))) for w in traj.params["W_hh"]]
    near(ds.spectral_radius, radius)
    assert (ds.valid_steps == 12).all()


def test_a_recording_needs_a_pass_that_was_observed():
    run = a_run()
    batch = batch_of(run, 0)
    outputs, tape = run.network.forward(run.params, batch.x)
    recurrent = recurrent_tapes(tape)["0"]
    for how in (None, Pass(), Pass(observe=lambda traj: lambda lin: None)):
        if how is not None:
            run.network.backward(run.params, tape, np.ones_like(outputs), how)
        with pytest.raises(ValueError, match=r"nothing is recorded yet: call backward\(.*Pass\(observe=Recorder"):
            recording_of(recurrent)
    run.network.backward(run.params, tape, np.ones_like(outputs), Pass(observe=Recorder))
    assert recording_of(recurrent).recorder.traj is recurrent.trajectory


def test_a_snapshot_is_a_figure_and_of_shorter_samples_their_own_steps():
    run = train(**TINY | {"task": "adding_hs97", "steps": 24})
    lengths = batch_of(run, 5).lengths
    ds = snapshot_dataset(run, -1)
    np.testing.assert_array_equal(ds.valid_steps, lengths)
    assert np.isnan(ds.log_grad_norm.values[np.arange(27) > lengths.min()]).any()
    assert len(gradlab.plots.gradient_flow(ds).data) > 0
    surface = dataset(run).surface.values
    assert np.isfinite(surface[..., 1 : 24 + 1]).all()


def test_a_whole_run_as_labelled_arrays(tmp_path):
    run = train(**TINY | {"clip": "norm", "clip_threshold": 0.5})
    ds = dataset(run)
    sizes = {"iteration": 6, "evaluation": 2, "snapshot": 3, "layer": 1, "time": 13, "step": 12}
    assert {name: ds.sizes[name] for name in sizes} == sizes
    assert ds.iteration.values.tolist() == [1, 2, 3, 4, 5, 6] and ds.evaluation.values.tolist() == [4, 6]
    np.testing.assert_array_equal(ds.loss, run.history.rows["loss"])
    assert ds.attrs["threshold"] == 0.5 and ds.attrs["baseline"] == 1 / 6 and ds.attrs["solved_below"] == 0.02
    assert TrainConfig(**json.loads(ds.attrs["config"])) == run.config
    ds.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    assert (tmp_path / "run.nc").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((3,), "snapshot: expected one of 3, got number 3"), ((0, 1), "layer: expected 0 to 0, got 1")],
)
def test_what_was_not_recorded(arguments, message):
    run = train(**TINY)
    with pytest.raises(InputError, match=message):
        snapshot_dataset(run, *arguments)


# tasks, devices, messages


def placed_on_the_device(drawn, dtype, device):
    return {name: strict.asarray(values.astype(dtype)) for name, values in drawn.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"task": "adding_hs97", "steps": 24, "cell": "lstm", "clip": "autoclip", "layers": 2, "dropout": 0.2},
        {"task": "parity", "cell": "gru", "clip": "agc", "optimizer": "rmsprop", "residual": True, "layers": 2},
        {"task": "temporal_order", "clip": "step_norm", "clip_threshold": 1e-3, "omega": 0.5, "omega_form": "code"},
        {"task": "copy_memory", "cell": "peephole_lstm", "clip": "value", "optimizer": "adamw"},
    ],
    ids=lambda fields: fields["task"],
)
@pytest.mark.slow
def test_the_device_gets_the_same_numbers(fields, monkeypatch):
    """On the stand-in for CuPy: nothing comes to the host unasked, and the weights are those of the host."""
    config = TrainConfig(**TINY | fields)
    on_host = train(config)
    monkeypatch.setattr(loop, "device_namespace", lambda device: strict)
    monkeypatch.setattr(layers_base, "placed", placed_on_the_device)
    run = train(config)
    for name, p in run.params.items():
        np.testing.assert_allclose(gradlab.to_numpy(p), on_host.params[name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.array(run.history.scores), np.array(on_host.history.scores), rtol=1e-9)
    surface, expected = (dataset(one).surface for one in (run, on_host))
    np.testing.assert_allclose(surface, expected, rtol=1e-5)


def test_a_text_and_a_labelled_file_are_learnt_from(tmp_path):
    text, table = tmp_path / "a.txt", tmp_path / "b.csv"
    text.write_text("to be or not to be " * 40)
    ways = {"up": "1,2,3", "down": "3,2,1", "up ": "1,2,", "down ": "3,2,"}
    rows = "".join(f"{way.strip()},{values}\n" for way, values in ways.items()) * 8
    table.write_text("label,t0,t1,t2\n" + rows)
    fields = TINY | {"iterations": 120, "hidden_size": 24, "learning_rate": 0.01, "batch_size": 16, "cell": "gru"}
    model = train(input=str(text), **fields)
    assert model.task.name == "language_model" and model.history.scores[-1][1] < 0.5 * model.task.baseline
    classes = train(input=str(table), task="classification", **fields)
    assert classes.history.scores[-1][1] < 0.7 * classes.task.baseline


@pytest.mark.parametrize(
    ("name", "content", "fields", "message"),
    [
        ("a.txt", "", {}, "a.txt: the file is empty"),
        ("a.csv", "u,v\n" + "1,2\n2,1\n" * 40, {"column": "w"}, "unknown column 'w'. .*Valid: u, v"),
        ("a.txt", "many words " * 90, {"column": "w"}, "column: 'w' was asked for, but a text has no columns"),
        ("a.csv", "u\n1\n2\n4\n", {}, "held-out end of the series has 0 values"),
        (None, None, {"task": "forecast"}, "input: the task forecast learns from a file; name one"),
        (None, None, {"steps": 1}, "steps: adding needs at least 2, got 1"),
        (None, None, {"clip": "autoclip", "clip_threshold": 101}, "expected a percentile from 0 to 100 for autoclip"),
        (None, None, {"clip": "agc", "clip_threshold": 0}, "clip_threshold: expected more than 0"),
        (None, None, {"optimizer": "adan"}, "unknown optimizer 'adan'. Did you mean 'adam'"),
        (None, None, {"learning_rate": math.nan}, "learning_rate: expected"),
        (None, None, {"momentum": 1.0, "optimizer": "sgd"}, "momentum: expected at most 0.999"),
    ],
)
def test_what_cannot_be_trained(tmp_path, name, content, fields, message):
    if name:
        (tmp_path / name).write_text(content)
        fields = fields | {"input": str(tmp_path / name)}
    for refused in (train, lambda **known: require_trainable(TrainConfig(**known))):
        with pytest.raises(InputError, match=message):
            refused(**TINY | fields)


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(arrays, "gpu_problem", lambda: "there is none")
    config = TrainConfig(**TINY, device="cuda")
    for refused in (train, require_trainable):
        with pytest.raises(InputError, match="device 'cuda' cannot be used: there is none"):
            refused(config)


def test_a_config_or_fields():
    with pytest.raises(InputError, match="give a TrainConfig or its fields, not both"):
        train(TrainConfig(**TINY), steps=3)
