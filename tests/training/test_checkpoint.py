"""Checkpoints: whatever happens, a whole one stays, and going on from it is bit for bit a run without a break."""

import errno
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from gradlab.cells.initializers import INITIALIZERS
from gradlab.data import disk
from gradlab.errors import Cancelled, InputError
from gradlab.training import TrainConfig, TrainingRun, checkpoint, train

ROOT = Path(__file__).parents[2]
TINY = {"steps": 8, "hidden_size": 5, "batch_size": 4, "iterations": 12, "snapshot_every": 3, "evaluate_every": 4}


def cut(config, path, *breaks, **options):
    """A run that is broken off after these iterations, and resumed each time."""
    for n in (*breaks, config.iterations):

        def on_step(step, last=n):
            if step.iteration == last:
                raise Cancelled

        run = train(config, on_step=on_step, checkpoint=path, resume=path.exists(), **options)
    return run


def no_room(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def assert_same_bits(found, expected):
    for name in ("params", "state"):
        for key, array in getattr(expected, name).items():
            assert np.asarray(getattr(found, name)[key]).tobytes() == np.asarray(array).tobytes(), key
    for key, array in expected.clipper.state.items():
        assert found.clipper.state[key].tobytes() == array.tobytes()
    ours, theirs = found.history.arrays(), expected.history.arrays()
    assert ours.keys() == theirs.keys()
    for key, array in theirs.items():
        assert ours[key].tobytes() == array.tobytes(), key


# going on


@pytest.mark.parametrize(
    "fields",
    [
        {"clip": "autoclip", "optimizer": "adam", "dropout": 0.3, "cell": "lstm"},
        {"clip": "agc", "optimizer": "rmsprop", "layers": 3, "residual": True, "cell": "gru", "dropout": 0.1},
        {"clip": "norm", "optimizer": "sgd", "momentum": 0.9, "dtype": "float32", "omega": 1.0},
        {"clip": "step_norm", "optimizer": "adamw", "schedule": "cosine", "task": "adding_hs97", "steps": 24},
        {"activation": "relu", "gain": 1e30, "dtype": "float32"},
    ],
    ids=lambda fields: "-".join(str(value) for value in fields.values()),
)
def test_going_on_is_bit_for_bit_a_run_without_a_break(fields, tmp_path):
    config = TrainConfig(**TINY | fields)
    path, whole = tmp_path / "run.safetensors", train(config)
    assert_same_bits(cut(config, path, 1, 5, 6), whole)
    assert_same_bits(TrainingRun.load(path), whole)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_layout_of_drawn_weights_makes_no_difference(name, tmp_path):
    config = TrainConfig(**TINY | {"recurrent_init": name, "hidden_size": 33, "batch_size": 9, "cell": "lstm"})
    assert_same_bits(cut(config, tmp_path / "run.safetensors", 4), train(config))


def test_more_iterations_are_the_same_training(tmp_path):
    path, long = tmp_path / "run.safetensors", train(**TINY | {"iterations": 20})
    train(**TINY, checkpoint=path)
    run = train(checkpoint=path, resume=True, iterations=20)
    assert (run.iteration, run.status) == (20, "done")
    for name, p in long.params.items():
        assert run.params[name].tobytes() == p.tobytes()
    again = train(checkpoint=path, resume=True)  # there is nothing left to do
    assert_same_bits(again, run)


# the file


def test_a_checkpoint_is_one_safetensors_file_with_its_facts(tmp_path):
    path = tmp_path / "run.safetensors"
    run = train(**TINY, checkpoint=path)
    with safe_open(path, "numpy") as file:
        facts = json.loads(file.metadata()["gradlab.training"])
    assert TrainConfig(**facts["config"]) == run.config
    assert (facts["iteration"], facts["status"]) == (12, "done")
    assert {"gradlab", "numpy", "python", "machine", "threads"} <= facts["versions"].keys()
    arrays = load_file(path)
    np.testing.assert_array_equal(arrays["params.0.W_hh"], run.params["0.W_hh"])
    np.testing.assert_array_equal(arrays["history.rows.loss"], run.history.rows["loss"])
    assert list(tmp_path.iterdir()) == [path]


def test_the_threads_of_other_libraries_than_blas_change_no_bit(monkeypatch):
    pools = [{"user_api": "openmp", "num_threads": 8}, {"user_api": "blas", "num_threads": 2}]
    monkeypatch.setattr(checkpoint, "threadpool_info", lambda: pools)
    assert checkpoint.versions()["threads"] == "2"
    monkeypatch.setattr(checkpoint, "threadpool_info", lambda: pools[:1])
    assert checkpoint.versions()["threads"] == "1"


def test_it_is_written_at_once_then_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    saved, path = [], tmp_path / "run.safetensors"
    monkeypatch.setattr(TrainingRun, "save", lambda run, where: saved.append(run.iteration))
    train(**TINY, checkpoint=path, save_seconds=1e9)
    assert saved == [1, 12]
    saved.clear()
    train(**TINY, checkpoint=path, save_seconds=0)
    assert saved == [*range(1, 13), 12]


def test_the_content_is_on_the_disk_before_the_name(tmp_path, monkeypatch):
    path, order = tmp_path / "run.safetensors", []
    run = TrainingRun(TrainConfig(**TINY))

    def noted(function, *arguments):
        order.append(function.__name__)
        return function(*arguments)

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, partial(noted, getattr(os, name)))
    run.save(path)
    assert order == ["fsync", "replace"] + ["fsync"] * (os.name != "nt")  # then the name itself, where a folder opens


def test_a_full_disk_leaves_the_last_one(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    train(**TINY, checkpoint=path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        with pytest.raises(InputError, match="the checkpoint .* cannot be written: No space left on device; the last"):
            train(checkpoint=path, resume=True, iterations=20)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    assert train(checkpoint=path, resume=True, iterations=20).iteration == 20


def test_a_full_disk_is_found_before_the_first_iteration_and_nothing_is_promised(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(InputError, match="No space left on device; make room, or name a file elsewhere$"):
        train(**TINY, checkpoint=tmp_path / "run.safetensors", on_step=seen.append)
    assert not seen and list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_removed_by_the_next_training(tmp_path):
    path, other = tmp_path / "run.safetensors", tmp_path / "other.safetensors"
    for file in (path, other):
        disk._partial(file).write_bytes(b"half")
    train(**TINY, checkpoint=path)
    assert len(list(tmp_path.iterdir())) == 2, "the checkpoint, and what is another one's"
    train(**TINY, checkpoint=other)
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_a_place_that_cannot_be_written_is_found_before_the_first_iteration(tmp_path):
    seen = []
    with pytest.raises(InputError, match="the checkpoint .* cannot be written: No such file or directory"):
        train(**TINY, checkpoint=tmp_path / "nowhere" / "run.safetensors", on_step=lambda step: seen.append(step))
    assert not seen and list(tmp_path.iterdir()) == []


# two at once


def test_a_second_training_on_one_checkpoint_is_refused(tmp_path):
    path, link, refusals = tmp_path / "run.safetensors", tmp_path / "link.safetensors", []
    link.symlink_to(path)

    def second(step):
        for name, resume in ((path, False), (path, True), (link, False)):
            with pytest.raises(InputError, match="another training writes this checkpoint; wait for its end") as error:
                train(**TINY, checkpoint=name, resume=resume)
            refusals.append(error.value.field)

    run = train(**TINY | {"iterations": 2}, checkpoint=path, on_step=second)
    assert refusals == ["checkpoint"] * 6
    assert_same_bits(TrainingRun.load(path), run)
    assert sorted(tmp_path.iterdir()) == [link, path]
    train(checkpoint=path, resume=True, iterations=3)  # the lock is open again


WRITERS = """
import sys
from gradlab.training import TrainConfig, train
train(TrainConfig(**eval(sys.argv[2])), checkpoint=sys.argv[1], save_seconds=0)
"""


@pytest.mark.slow
def test_of_two_processes_one_trains_and_no_reader_sees_a_torn_file(tmp_path):
    path = tmp_path / "run.safetensors"
    fields = [TINY | {"iterations": 60, "seed": seed} for seed in (1, 2)]
    command = [sys.executable, "-c", WRITERS, str(path)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    both = [subprocess.Popen([*command, repr(f)], env=env, stderr=subprocess.PIPE, text=True) for f in fields]
    read = []
    while any(process.poll() is None for process in both):
        if path.exists():
            read.append(TrainingRun.load(path).iteration)
    said = [process.communicate()[1] for process in both]
    assert TrainingRun.load(path).iteration == 60 and len(read) > 3
    codes = [process.returncode for process in both]
    late = codes == [0, 0]  # one had ended before the other began
    assert late or (sorted(codes) == [0, 1] and "another training writes this checkpoint" in "".join(said))


def test_a_reader_survives_the_replacement_of_what_it_reads(tmp_path):
    path = tmp_path / "run.safetensors"
    run = train(**TINY, checkpoint=path)
    with safe_open(path, "numpy") as file:
        train(**TINY | {"seed": 5, "hidden_size": 2}, checkpoint=path)
        np.testing.assert_array_equal(file.get_tensor("params.0.W_hh"), run.params["0.W_hh"])


# the wrong file


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.safetensors"
    train(**TINY, checkpoint=path)
    return path


def test_a_checkpoint_of_another_configuration_names_the_fields(saved):
    other = TrainConfig(**TINY | {"hidden_size": 6, "task": "parity"})
    message = r"is of another training run: .*task is 'adding' there, 'parity' here.*Resume with the same fields"
    with pytest.raises(InputError, match=message) as error:
        train(other, checkpoint=saved, resume=True)
    assert "hidden_size is 5 there, 6 here" in str(error.value)
    with pytest.raises(InputError, match="learning_rate is 0.001 there, 0.1 here"):
        train(checkpoint=saved, resume=True, learning_rate=0.1)


def test_where_the_iterations_set_the_rate_they_are_part_of_the_training(tmp_path):
    path = tmp_path / "run.safetensors"
    train(**TINY, schedule="cosine", checkpoint=path)
    with pytest.raises(InputError, match="iterations is 12 there, 20 here"):
        train(checkpoint=path, resume=True, iterations=20)
    assert train(checkpoint=path, resume=True, evaluate_every=2, snapshot_every=6).iteration == 12


def test_files_that_are_no_checkpoints(saved, tmp_path):
    whole = saved.read_bytes()
    for length in (0, 5, 1000, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(InputError, match="run.safetensors: not a whole checkpoint"):
            TrainingRun.load(saved)
    save_file({"weight": np.zeros(3)}, saved)
    with pytest.raises(InputError, match="these are weights, not a training run"):
        TrainingRun.load(saved)
    with pytest.raises(InputError, match="none.safetensors: cannot be read: No such file"):
        TrainingRun.load(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="resume: name the checkpoint to go on from"):
        train(resume=True)


def test_the_lock_goes_with_the_training(tmp_path, monkeypatch):
    """It is not kept until somebody collects it, and leaves no file."""
    locks, made = [], checkpoint.FileLock
    monkeypatch.setattr(checkpoint, "FileLock", lambda *args, **how: locks.append(made(*args, **how)) or locks[-1])
    with checkpoint.held(tmp_path / "run.safetensors"):
        assert locks[0].is_locked
    assert not locks[0].is_locked and not list(tmp_path.iterdir())
