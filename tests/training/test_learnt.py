"""Nets that learn, and nets that only seem to: the word is right for series whose best forecast is known."""

import numpy as np
import pytest
import xarray as xr

from gradlab.tasks.nulls import OTHER_NULLS
from gradlab.training import TrainingRun, dataset, train
from gradlab.training.rivals import CUT, compared

from ..tasks.test_nulls import autoregressive

QUICK = {
    "cell": "gru", "steps": 8, "hidden_size": 8, "batch_size": 16, "learning_rate": 0.02, "iterations": 80,
    "snapshot_every": 1000, "evaluate_every": 1000,
}  # fmt: skip
LONGER = QUICK | {"iterations": 400, "hidden_size": 16, "batch_size": 32}
SEEDS = range(7000, 7050)


@pytest.fixture(name="forecast")
def forecaster(tmp_path):
    """A net trained on a series."""

    def trained(values, **fields):
        np.save(tmp_path / "series.npy", values)
        return train(**QUICK | {"input": str(tmp_path / "series.npy")} | fields)

    return trained


def noise(count, seed):
    return np.random.default_rng(seed).standard_normal(count)


def test_white_noise_far_below_persistence_is_no_better_than_the_mean(forecast):
    run = forecast(noise(2000, 21), **LONGER)
    loss = run.history.scores[-1][1]
    assert loss < 0.75 * run.task.baseline and run.outcome == "matched"
    assert [null.name for null in run.nulls] == ["baseline", *OTHER_NULLS] and run.nulls[0].beaten
    assert run.memory_text == "" and not run.nulls[1].beaten


@pytest.mark.slow
def test_white_noise_is_hardly_ever_learnt(forecast):
    """Two of a hundred and less by chance, as the margin has it; of fifty then at most four, but for one in 1,000."""
    words = [forecast(noise(700, seed), seed=seed).outcome for seed in SEEDS]
    assert words.count("learnt") <= 4 and set(words) <= {"matched", "nothing", "learnt"}


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.9, 0.3])
def test_an_autoregression_is_not_more_than_that(forecast, phi):
    words = [forecast(autoregressive(phi, 1500, seed), **LONGER, seed=seed).outcome for seed in SEEDS[:5]]
    assert set(words) <= {"matched", "nothing"}


def test_a_random_walk_is_not_learnt(forecast):
    runs = [forecast(noise(800, seed).cumsum(), seed=seed) for seed in SEEDS[:5]]
    assert {run.outcome for run in runs} <= {"nothing", "memorised"}
    assert all(run.against in ("persistence", "a linear autoregression", "a memoryless curve") for run in runs)


@pytest.mark.slow
def test_mackey_glass_is_learnt_and_needs_memory():
    run = train(**LONGER | {"task": "mackey_glass", "iterations": 1000, "steps": 12, "seed": 5})
    assert run.outcome == "learnt" and run.cut.beaten and run.memory_text.startswith("It needs its memory: ")
    assert run.cut.loss == pytest.approx(run.nulls[-1].loss, rel=0.1)  # a net without memory is a curve


def test_mackey_glass_by_a_curve_is_not_learnt():
    """A fit without memory reaches four fifths of persistence; a net with its losses has learnt no more than that."""
    run = train(**QUICK | {"task": "mackey_glass", "iterations": 1})
    nulls, blocks = run._null_losses, run.task.blocks(run._held_out())
    own = nulls["memoryless"]
    run.history.scores[-1] = (1, float(own.mean()), float(own.mean()))
    run.history.rivals[-1] = compared(own, nulls | {CUT: own}, None, blocks)
    assert own.mean() < 0.82 * run.task.baseline and run.outcome == "matched" and run.memory_text == ""


def test_a_short_series_is_not_judged(forecast):
    assert forecast(noise(24, 22), steps=2).outcome == "untested"
    assert forecast(noise(24, 22), steps=2).memory_text == ""


@pytest.mark.parametrize(
    "fields", [{}, {"architecture": "transformer", "heads": 2}, {"layers": 2, "bidirectional": True}]
)
def test_the_cut_net_sees_each_step_alone(fields):
    run = train(**QUICK | {"task": "parity", "iterations": 2} | fields)
    batch = run._held_out()
    alone = np.stack([np.asarray(run.network.forward(run.params, step[None])[0])[0] for step in batch.x])
    assert run.cut.loss == pytest.approx(float(run.task.losses(alone, batch).mean()), rel=1e-6)


@pytest.mark.parametrize("task", ["adding", "adding_hs97"])
def test_of_one_answer_the_cut_net_sees_the_last_own_step(task):
    run = train(**QUICK | {"task": task, "steps": 24, "iterations": 2})
    batch = run._held_out()
    ends = (np.full(500, 24) if batch.lengths is None else batch.lengths) - 1
    shown = batch.x[ends, np.arange(500)][None]
    outputs = np.asarray(run.network.forward(run.params, shown)[0])
    assert run.cut.loss == pytest.approx(float(run.task.losses(outputs, batch).mean()), rel=1e-6)


@pytest.mark.parametrize(
    "fields", [{"task": "copy_attention"}, {"task": "arithmetic_trees", "architecture": "tree", "cell": "lstm"}]
)
def test_pairs_and_trees_are_not_cut(fields):
    run = train(**QUICK | {"iterations": 2} | fields)
    assert run.cut is None and run.memory_text == "" and run.nulls


def test_a_task_is_solved_as_published_where_every_sequence_is_right():
    run = train(**QUICK | {"task": "adding_hs97", "steps": 24, "iterations": 2})
    batch = run._held_out()
    outputs = batch.targets + 0.001
    outputs[17] += 0.05
    assert (score := run.task.score(0.0, outputs, batch)) == pytest.approx(0.051)
    run.history.scores[-1] = (2, 0.0001, score)
    assert run.outcome != "solved" and ((outputs - batch.targets) ** 2).mean() < 0.04**2 / 50
    run.history.scores[-1] = (2, 0.0001, 0.0399)
    assert run.outcome == "solved"


def test_the_dataset_names_what_the_net_is_compared_with(forecast):
    run = forecast(noise(600, 23), evaluate_every=40)
    ds = dataset(run)
    assert list(ds.rival.values) == ["baseline", *OTHER_NULLS, "cut"] and ds.rival_loss.dims == ("evaluation", "rival")
    assert ds.rival_loss.attrs["units"] == "1 is the mean squared change from one step to the next"
    xr.testing.assert_allclose(ds.rival_loss - ds.held_out_loss, ds.rival_gain.rename(None), rtol=1e-5, atol=1e-6)
    assert (ds.rival_blocks == 10).all() and ds.rival_blocks.attrs["units"] == "1"
    assert str(ds.rival_text.sel(rival="autoregression").values).startswith("a linear autoregression: ")
    assert np.isnan(dataset(train(**QUICK | {"task": "copy_attention", "iterations": 2})).rival_loss[-1, -1])
    assert dataset(TrainingRun(run.config)).rival_loss.shape == (0, 5)
