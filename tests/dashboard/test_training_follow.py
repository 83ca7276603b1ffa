"""A run that is followed while it trains: each look costs what is new, and shows the same as one look at the whole."""

import os

import numpy as np
import pytest
import xarray as xr

from gradlab.plots import training_course
from gradlab.training import TrainConfig, TrainingRun, dataset, results
from gradlab.training.jobs import TrainingJobs
from gradlab.training.network import build_task
from gradlab.training.worker import CHECKPOINT

SMALL = TrainConfig(
    task="adding", steps=12, hidden_size=6, batch_size=4, iterations=60, snapshot_every=10, evaluate_every=20
)


@pytest.fixture
def summarised(monkeypatch):
    """How many snapshots were summarised, at each time."""
    counts = []
    whole = results._summary

    def counted(snapshots, layer, states):
        counts.append(len(snapshots))
        return whole(snapshots, layer, states)

    monkeypatch.setattr(results, "_summary", counted)
    return counts


@pytest.mark.parametrize(
    "fields", [{}, {"cell": "lstm", "layers": 2}, {"task": "adding_hs97", "steps": 24}, {"activation": "relu"}], ids=str
)
def test_looks_that_build_on_one_another_show_the_whole(fields, summarised):
    run, seen = TrainingRun(SMALL.replace(**fields)), None
    for upto in (0, 1, 5, 11, 12, 45, 60):
        while run.iteration < upto:
            run.advance()
        seen = dataset(run, seen)
        xr.testing.assert_identical(seen, dataset(run))
    each = summarised[:: run.config.layers]
    assert each == [1, 1, 1, 1, 2, 2, 3, 5, 2, 7], "that of 5 and of 12 iterations found nothing new"


def test_the_app_summarises_what_is_new_alone(tmp_path, monkeypatch, summarised):
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path))
    jobs, run = TrainingJobs(), TrainingRun(SMALL)
    path = jobs.folder("0000aaaa") / CHECKPOINT
    path.parent.mkdir(parents=True)
    for upto in (25, 25, 60):
        while run.iteration < upto:
            run.advance()
        run.save(path)
        record = jobs.read("0000aaaa")
        assert record is jobs.read("0000aaaa")
        xr.testing.assert_identical(record.ds, dataset(record.run))
    assert summarised == [3, 3, 3, 4, 7]


def test_a_checkpoint_of_another_size_is_read_though_its_clock_stands(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path))
    jobs, run = TrainingJobs(), TrainingRun(SMALL)
    path = jobs.folder("0000aaaa") / CHECKPOINT
    path.parent.mkdir(parents=True)
    for upto in (1, 30):
        while run.iteration < upto:
            run.advance()
        run.save(path)
        os.utime(path, (1e9, 1e9))
        assert jobs.read("0000aaaa").run.iteration == upto


def test_a_file_is_parsed_again_only_when_it_has_changed(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("a\n" + "".join(f"{x:.3f}\n" for x in np.sin(np.arange(200))))
    config = SMALL.replace(input=str(path))
    first = build_task(config)
    assert build_task(config.replace(seed=3)) is first
    assert build_task(config.replace(steps=20)) is not first
    path.write_text("a\n" + "".join(f"{x:.3f}\n" for x in np.cos(np.arange(300))))
    again = build_task(config)
    assert again is not first and len(again.sequence) == 299


def test_a_long_run_is_drawn_from_few_points_that_keep_every_peak():
    ds = dataset(TrainingRun(SMALL.replace(iterations=10_000)))
    rng = np.random.default_rng(5)
    loss, norm = (np.exp(rng.normal(size=10_000)) for _ in range(2))
    loss[7321], norm[4567] = 1e6, 1e-6
    rows = {"loss": loss, "log_grad_norm_before": np.log(norm), "log_grad_norm_after": np.log(norm)}
    flags = {name: ("iteration", np.zeros(10_000)) for name in ("clipped", "skipped")}
    long = xr.Dataset(
        {name: ("iteration", values) for name, values in rows.items()} | flags,
        {"iteration": np.arange(1, 10_001), "evaluation": []},
        ds.attrs,
    ).assign(held_out_loss=("evaluation", []), held_out_score=("evaluation", []))
    drawn = training_course(long).data
    assert max(len(trace.x) for trace in drawn) <= 2000
    faint = [trace for trace in drawn if trace.line.width == 1]
    assert (faint[0].x[faint[0].y.argmax()], faint[0].y.max()) == (7322, pytest.approx(6))
    assert (faint[1].x[faint[1].y.argmin()], faint[1].y.min()) == (4568, pytest.approx(-6))
