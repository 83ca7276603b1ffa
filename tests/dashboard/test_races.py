"""Several threads and apps at once: nothing is computed twice, and what another app forgets meanwhile is no error."""

import subprocess
import time
from pathlib import Path
from threading import Barrier, Event, Thread

import pytest
import xarray as xr
from filelock import FileLock

import gradlab
from dashboard.work import runs
from gradlab import InputError
from gradlab.config.train import TrainConfig
from gradlab.layers import Recurrent
from gradlab.runs import cost
from gradlab.training import TrainingRecord, train
from gradlab.training import jobs as training
from gradlab.training.jobs import RunState, TrainingJobs
from gradlab.training.worker import CHECKPOINT, LOCKED, is_locked

from ..views import SMALL as RUN

SMALL = TrainConfig(task="adding", steps=10, hidden_size=8, batch_size=4, iterations=5)
GONE, THREADS = "deadbeef", 4


@pytest.fixture(name="jobs")
def jobs_without_processes(own_cache, monkeypatch):
    monkeypatch.setattr(TrainingJobs, "_launch", lambda self, run_id: None)
    return TrainingJobs()


@pytest.fixture
def vanishing(monkeypatch):
    """Folders list one thing more than there is: it has gone since."""
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter([folder / GONE, *listed(folder)]))


def at_once(ask):
    """What each of several threads gets, or the error that it meets, when all ask together."""
    barrier, answers = Barrier(THREADS), []

    def thread():
        barrier.wait()
        try:
            answers.append(ask())
        except InputError as error:
            answers.append(error)

    threads = [Thread(target=thread) for _ in range(THREADS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return answers


def slowly(function, calls):
    """The function, counted, and slow enough for all threads to be in it if they may."""

    def counted(*arguments, **keywords):
        calls.append(arguments)
        time.sleep(0.1)
        return function(*arguments, **keywords)

    return counted


# threads


def test_a_run_that_several_ask_for_is_computed_once(monkeypatch):
    calls = []
    monkeypatch.setattr(gradlab, "analyze", slowly(gradlab.analyze, calls))
    kept = runs.Runs()
    answers = at_once(lambda: kept.get(RUN))
    assert len(calls) == 1 and len(answers) == THREADS and all(ds is answers[0] for ds in answers)


def test_different_runs_do_not_wait_for_one_another(monkeypatch):
    together = Barrier(THREADS, timeout=20)

    def meet(config, record):
        together.wait()
        return xr.Dataset()

    monkeypatch.setattr(gradlab, "analyze", meet)
    kept, seeds = runs.Runs(), iter(range(THREADS))
    assert len(at_once(lambda: kept.get(RUN.replace(seed=next(seeds))))) == THREADS


def test_an_error_of_a_run_reaches_all_that_ask_for_it(monkeypatch):
    def fail(*arguments, **keywords):
        raise InputError("no such file")

    monkeypatch.setattr(gradlab, "analyze", fail)
    kept = runs.Runs()
    assert [str(error) for error in at_once(lambda: kept.get(RUN))] == ["no such file"] * THREADS


def test_a_checkpoint_that_several_look_at_is_read_once(jobs, monkeypatch):
    run_id, calls = jobs.start(SMALL), []
    train(SMALL, checkpoint=jobs.folder(run_id) / CHECKPOINT)
    monkeypatch.setattr(TrainingRecord, "load", slowly(TrainingRecord.load, calls))
    answers = at_once(lambda: jobs.read(run_id))
    assert len(calls) == 1 and all(record is answers[0] and record.run.iteration == 5 for record in answers)


def test_starting_a_run_draws_no_weights(jobs, monkeypatch):
    """Its process does."""
    monkeypatch.setattr(Recurrent, "draw", None)
    assert jobs.config(jobs.start(SMALL.replace(cell="lstm"))) is not None


# other apps


def test_runs_that_vanish_while_they_are_listed_are_left_out(jobs, vanishing):
    run_id = jobs.start(SMALL)
    assert jobs.recent() == [run_id]


def test_files_that_vanish_while_they_are_counted_keep_nothing_alive(jobs, vanishing, monkeypatch):
    monkeypatch.setattr(training, "KEPT", 1)
    first, second = jobs.start(SMALL), jobs.start(SMALL)
    assert jobs.recent() == [second] and jobs.state(first) == RunState("missing")


@pytest.mark.parametrize("act", [TrainingJobs.resume, TrainingJobs.stop])
def test_a_run_that_vanishes_before_it_is_acted_on_is_told(own_cache, monkeypatch, act):
    jobs = TrainingJobs()
    monkeypatch.setattr(TrainingJobs, "_state", lambda self, run_id: RunState("paused"))
    with pytest.raises(InputError, match=f"cannot keep the run in .*{GONE}: No such file or directory"):
        act(jobs, GONE)


def test_a_process_that_cannot_be_started_is_told(own_cache, monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(InputError, match="cannot keep the run in .*: Resource temporarily unavailable"):
        TrainingJobs().start(SMALL)


def test_weights_that_vanish_while_they_are_weighed_count_for_nothing(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert cost.size(RUN.replace(weights=f"{GONE}.safetensors"))[2] == 0


def test_one_that_looks_at_a_lock_does_not_hold_it_for_another_one(tmp_path):
    held = Event()

    def look():
        with FileLock(tmp_path / LOCKED):
            held.set()
            time.sleep(0.01)

    Thread(target=look).start()
    held.wait()
    assert not is_locked(tmp_path)
    with FileLock(tmp_path / LOCKED):
        assert is_locked(tmp_path)
