"""A training run that is only looked at: what it has shown, and neither a network nor a weight."""

from functools import wraps

import pytest
import xarray as xr

from gradlab.cells import Cell
from gradlab.layers import Recurrent
from gradlab.tasks import TASKS
from gradlab.training import TrainConfig, TrainingRecord, TrainingRun, dataset, network, snapshot_dataset, train
from gradlab.training.network import TaskFacts, build_task

TINY = {"steps": 12, "hidden_size": 5, "batch_size": 4, "iterations": 6, "snapshot_every": 3, "evaluate_every": 4}
STACK = TrainConfig(**TINY, cell="lstm", layers=2, dropout=0.1, clip="step_norm", recurrent_init="orthogonal")


@pytest.fixture(name="path")
def saved(tmp_path):
    train(STACK, checkpoint=tmp_path / "run.safetensors")
    return tmp_path / "run.safetensors"


def test_looking_builds_no_network_and_draws_no_weight(path, monkeypatch):
    class Drawn(Exception):
        pass

    @wraps(Cell.init)
    def draw(*arguments, **keywords):
        raise Drawn

    monkeypatch.setattr(Cell, "init", draw)
    with pytest.raises(Drawn):
        TrainingRun.load(path)
    monkeypatch.setattr(Recurrent, "__init__", draw)
    record = TrainingRecord.load(path)
    assert dataset(record).sizes["snapshot"] == 3 and snapshot_dataset(record, layer=1).sizes["state"] == 2
    assert not {"network", "params", "optimizer"} & vars(record).keys()


def test_the_record_of_a_run_is_what_the_run_says_of_itself(path):
    record, run = TrainingRecord.load(path), train(STACK)
    assert (record.config, record.iteration, record.status) == (STACK, 6, "done")
    for name in ("cell", "threshold", "outcome", "untrained"):
        assert getattr(record, name) == getattr(run, name), name
    assert record.cell == run.network.layers[0].cell and record.threshold == run.step_clip[1]
    xr.testing.assert_identical(dataset(record), dataset(run))
    for layer in range(2):
        xr.testing.assert_identical(snapshot_dataset(record, layer=layer), snapshot_dataset(run, layer=layer))


def test_a_record_says_how_the_run_stood_and_a_run_goes_on(tmp_path):
    path = tmp_path / "run.safetensors"
    run = TrainingRun(STACK)
    run.advance()
    run.save(path)
    assert TrainingRecord.load(path).status == "running"
    run.status = "stopped"
    run.save(path)
    assert TrainingRecord.load(path).status == "stopped" and TrainingRun.load(path).status == "running"


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if not task.needs_file])
def test_the_facts_of_a_task_are_its_own(name):
    config = TrainConfig(task=name, steps=60)
    task = build_task(config)
    by_file = {field: getattr(task, field) for field in ("input_size", "output_size", "length", "baseline")}
    facts = TaskFacts.of(config, by_file)
    for field in TaskFacts.__dataclass_fields__:
        assert getattr(facts, field) == getattr(task, field), field


def test_a_file_decides_which_task_the_facts_are_of(monkeypatch):
    monkeypatch.setattr(network, "read_file", None)
    by_file = {"input_size": 9, "output_size": 9, "length": 30, "baseline": 2.0}
    facts = TaskFacts.of(TrainConfig(input="gone.txt"), by_file)
    assert (facts.title, facts.output, facts.baseline) == ("Model a text", "every", 2.0)
    assert TaskFacts.of(TrainConfig(input="gone.csv"), by_file).title == "Forecast a file"
