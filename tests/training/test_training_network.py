"""From a configuration to the net, and from the net to its held-out score: nothing that was asked for is left out."""

import math

import numpy as np
import pytest

from gradlab.learning import losses
from gradlab.training import TrainConfig, TrainingRun, dataset, loop, train

TINY = {"steps": 24, "hidden_size": 6, "batch_size": 4, "iterations": 3, "snapshot_every": 1, "evaluate_every": 3}


def a_run(**fields):
    return TrainingRun(TrainConfig(**TINY | fields))


def test_the_leak_reaches_the_cells_that_have_one():
    assert a_run(leak=0.3).cell.leak == 0.3
    a_run(cell="gru", leak=0.3)  # which has none
    slow, plain = (a_run(leak=leak) for leak in (0.3, 1.0))
    assert slow.advance()["loss"] != plain.advance()["loss"]


def test_chrono_spreads_the_forget_bias_over_the_longest_sequence():
    """Of copy memory, 20 steps beyond `steps`."""
    run = a_run(task="copy_memory", cell="lstm", forget_bias="chrono", hidden_size=200)
    lags = np.exp(run.params["0.b_h"][list(run.cell.gates).index("f")])
    assert run.task.length == 44 and 40 < lags.max() <= 43


@pytest.mark.parametrize(("task", "content"), [("mackey_glass", None), ("language_model", "to be or not " * 60)])
def test_what_is_held_out_is_scored_and_never_learnt_from(tmp_path, task, content):
    fields = {"task": task}
    if content:
        (tmp_path / "a.txt").write_text(content)
        fields["input"] = str(tmp_path / "a.txt")
    run = a_run(**fields)

    def loss(held_out, size, *stream):
        batch = run.task.batch(np.random.default_rng([0, *stream]), size, held_out=held_out)
        outputs, _ = run.network.forward(run.params, batch.x)
        return float(losses.LOSSES[run.task.loss](outputs, batch.targets)[0])

    stream = (loop.HELD_OUT_SAMPLES, loop.HELD_OUT_STREAM)
    expected = loss(True, *stream)
    assert run.evaluate() == pytest.approx((expected, expected), rel=1e-12)
    assert loss(False, *stream) != pytest.approx(expected, rel=1e-4)
    learnt = loss(False, run.config.batch_size, 0)
    assert run.advance()["loss"] == pytest.approx(learnt, rel=1e-12)


@pytest.mark.parametrize(("share", "clipped"), [(0.99, 1.0), (1.01, 0.0)])
def test_clipping_inside_backpropagation_is_told_from_one_part_in_a_hundred(share, clipped):
    """Against the largest adjoint of the same backward pass without clipping."""
    free = a_run()
    batch = free.task.batch(np.random.default_rng([0, 0]), free.config.batch_size)
    outputs, tape = free.network.forward(free.params, batch.x)
    free.network.backward(free.params, tape, losses.LOSSES["mse"](outputs, batch.targets)[1])
    most = math.exp(tape.children["0"].gradients.log_norms.max())
    assert a_run(clip="step_norm", clip_threshold=share * most).advance()["clipped"] == clipped


def test_the_mean_gate_leaves_out_steps_that_no_sample_has():
    run = train(**TINY | {"task": "adding_hs97", "cell": "lstm", "batch_size": 1, "iterations": 6})
    found = dataset(run).mean_gate.values[:, 0]
    gates = np.stack([snapshot["0.gate_mean"] for snapshot in run.history.snapshots]).astype(float)
    assert run.task.length == gates.shape[-1] and np.isnan(gates).any()
    np.testing.assert_allclose(found, np.nanmean(gates, axis=-1), rtol=1e-12)
