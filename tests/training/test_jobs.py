"""Training runs in processes of their own: started, paused, resumed, stopped, killed; the folder that keeps them."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from gradlab import InputError, train
from gradlab.config.train import TrainConfig
from gradlab.training import TrainingRun
from gradlab.training import jobs as training
from gradlab.training import worker as training_worker
from gradlab.training.jobs import RunState, TrainingJobs, require_drawable
from gradlab.training.worker import CHECKPOINT, CONFIG, OUTCOME

from ..views import until

ROOT = Path(__file__).parents[2]
SHORT = TrainConfig(task="adding", steps=10, hidden_size=8, batch_size=4, iterations=40, evaluate_every=20)
LONG = SHORT.replace(iterations=100_000, snapshot_every=1000)


@pytest.fixture(autouse=True)
def folder(own_cache):
    return own_cache / "training"


@pytest.fixture
def jobs():
    made = TrainingJobs()
    yield made
    made.end()


@pytest.fixture
def unstarted(jobs, monkeypatch):
    """Jobs whose runs get a folder but no process."""
    monkeypatch.setattr(TrainingJobs, "_launch", lambda self, run_id: None)
    return jobs


def status(jobs, run_id):
    return jobs.state(run_id).status


# processes


def test_paused_and_resumed_is_bit_for_bit_undisturbed(jobs, monkeypatch):
    config = SHORT.replace(iterations=1500, snapshot_every=100, evaluate_every=500)
    run_id = jobs.start(config)
    assert status(jobs, run_id) == "starting" and jobs.read(run_id) is None
    until(lambda: (record := jobs.read(run_id)) and record.run.iteration > 5)
    jobs.pause(run_id)
    until(lambda: not jobs.state(run_id).alive)
    paused = jobs.read(run_id).run.iteration
    assert status(jobs, run_id) == "paused" and 5 < paused < 1500
    jobs.resume(run_id)
    jobs.resume(run_id)  # a second click starts no second process
    until(lambda: status(jobs, run_id) == "done")
    record = jobs.read(run_id)
    assert record.run.iteration == 1500 and record.ds.sizes["iteration"] == 1500
    whole = train(config)
    for name, value in whole.params.items():
        np.testing.assert_array_equal(TrainingRun.load(jobs.folder(run_id) / CHECKPOINT).params[name], value)
    jobs.resume(run_id)
    assert status(jobs, run_id) == "done"


@pytest.mark.slow
def test_a_killed_process_is_noticed_and_a_stopped_run_has_ended_for_good(jobs):
    run_id = jobs.start(LONG)
    until(lambda: (record := jobs.read(run_id)) and record.run.iteration > 1)
    jobs._processes[run_id].kill()
    until(lambda: not jobs.state(run_id).alive)
    state = jobs.state(run_id)
    assert state.status == "interrupted" and "ended with code" in state.error and state.resumable
    saved = jobs.read(run_id).run.iteration
    jobs.resume(run_id)
    until(lambda: jobs.read(run_id).run.iteration > saved)
    assert jobs.pace(run_id) > 0
    jobs.stop(run_id)
    assert status(jobs, run_id) in ("stopping", "stopped")
    until(lambda: status(jobs, run_id) == "stopped")
    jobs.resume(run_id)
    assert status(jobs, run_id) == "stopped" and jobs.read(run_id).run.iteration > saved


@pytest.mark.slow
def test_runs_pause_when_the_app_is_killed(folder):
    code = (
        "import sys; from gradlab.training.jobs import TRAINING; from gradlab.config.train import TrainConfig\n"
        f"print(TRAINING.start(TrainConfig(**{LONG.changes()!r})), flush=True); sys.stdin.read()"
    )
    app = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with app:
        run_id = app.stdout.readline().strip()
        until((folder / run_id / CHECKPOINT).exists)
        app.kill()
    until((folder / run_id / OUTCOME).exists)
    later = TrainingJobs()
    assert later.state(run_id) == RunState("paused") and later.read(run_id).run.iteration > 0


# limits


def test_so_many_at_once(jobs, monkeypatch):
    monkeypatch.setattr(training, "AT_ONCE", 1)
    first = jobs.start(LONG)
    with pytest.raises(InputError, match="1 runs are under way; pause or stop one of them first"):
        jobs.start(LONG)
    jobs.stop(first)


def test_the_oldest_that_have_ended_go_first(unstarted, folder, monkeypatch):
    monkeypatch.setattr(training, "KEPT", 3)
    ids = []
    for age in range(5, 0, -1):
        ids.append(unstarted.start(SHORT))
        os.utime(folder / ids[-1], (time.time() - 100 * age,) * 2)
    assert set(unstarted.recent()) == set(ids[2:]) and unstarted.recent()[0] == ids[-1]
    monkeypatch.setattr(training, "KEPT_BYTES", 10)
    last = unstarted.start(SHORT)
    assert unstarted.recent() == [last]


def test_more_snapshots_than_are_drawn_are_refused(unstarted, folder):
    with pytest.raises(InputError, match=r"snapshot_every: this run would keep 1,000 snapshots, .* use 34 or more"):
        unstarted.start(SHORT.replace(iterations=10_000, snapshot_every=10))
    require_drawable(SHORT.replace(iterations=10_000, snapshot_every=34))
    assert not folder.exists()


def test_what_cannot_be_trained_gets_no_process(unstarted, folder):
    with pytest.raises(InputError, match="the task forecast learns from a file"):
        unstarted.start(SHORT.replace(task="forecast"))
    assert not folder.exists()


def test_a_folder_that_cannot_be_written(unstarted, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot keep the run in"):
        unstarted.start(SHORT)


@pytest.mark.skipif(sys.platform == "win32", reason="no owners and permission bits")
def test_the_folders_of_runs_are_the_users_alone(unstarted, folder, monkeypatch):
    folder.mkdir(parents=True, mode=0o755)
    folder.chmod(0o755)
    run_id = unstarted.start(SHORT)
    assert [path.stat().st_mode & 0o077 for path in (folder, folder / run_id)] == [0, 0]
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(InputError, match="cannot keep the run in .*: the folder belongs to another user"):
        unstarted.start(SHORT)


def test_a_full_disk_is_said_when_a_run_begins(unstarted, folder, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="config.json cannot be written: No space left on device; make room"):
        unstarted.start(SHORT)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("run_id", ["", "../up", "0123abcd", "0123ABCD", "0123abcd/.."])
def test_ids_that_are_none(jobs, run_id, folder):
    folder.mkdir(parents=True)
    (folder.parent / "up").mkdir()
    (folder.parent / "up" / CONFIG).write_text(SHORT.model_dump_json())
    assert jobs.state(run_id) == RunState("missing") and jobs.config(run_id) is None
    jobs.pause(run_id)
    jobs.stop(run_id)
    jobs.resume(run_id)
    assert not list(folder.iterdir())


INTERRUPTED = RunState("interrupted", "The process of this run ended before it was done.")


@pytest.mark.parametrize("text", ["{", "[]", "7", "null", '{"cell": "x"}', '{"self": 1}', "[" * 100_000], ids=range(7))
def test_a_configuration_that_is_damaged(unstarted, folder, text):
    run_id = unstarted.start(SHORT)
    (folder / run_id / CONFIG).write_text(text)
    assert unstarted.config(run_id) is None


@pytest.mark.parametrize(
    "content, expected",
    [
        ('{"status": "stopped"}', RunState("halted")),
        ('{"status": "failed", "error": "disk full"}', RunState("failed", "disk full")),
        *((text, INTERRUPTED) for text in ("{", "[]", "7", '"done"', '{"status": []}', "[" * 100_000)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_how_runs_of_an_earlier_app_ended(unstarted, folder, content, expected):
    run_id = unstarted.start(SHORT)
    (folder / run_id / OUTCOME).write_text(content)
    assert unstarted.state(run_id) == expected
    assert unstarted.config(run_id) == SHORT


def test_a_run_that_is_resumed_keeps_its_outcome_until_its_process_holds_it(unstarted, folder):
    run_id = unstarted.start(SHORT)
    (folder / run_id / OUTCOME).write_text('{"status": "cancelled"}')
    unstarted.resume(run_id)
    assert TrainingJobs().state(run_id) == RunState("paused")


def test_a_process_that_holds_the_run_forgets_how_it_ended_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_worker.signal, "signal", lambda *a: None)
    monkeypatch.setattr(training_worker, "_watch", lambda closed: None)
    (tmp_path / OUTCOME).write_text('{"status": "cancelled"}')
    monkeypatch.setattr(training_worker, "work", lambda folder, closed: {"before": (folder / OUTCOME).exists()})
    training_worker.main()
    assert json.loads((tmp_path / OUTCOME).read_text()) == {"before": False}


def test_a_process_that_ended_before_it_held_the_run_is_told(jobs, folder, monkeypatch):
    with monkeypatch.context() as none:
        none.setattr(TrainingJobs, "_launch", lambda self, run_id: None)
        run_id = jobs.start(SHORT)
    (folder / run_id / OUTCOME).write_text('{"status": "cancelled"}')
    monkeypatch.setattr(training.sys, "executable", shutil.which("false"))
    jobs.resume(run_id)
    until(lambda: not jobs.state(run_id).alive)
    assert jobs.state(run_id) == RunState(
        "interrupted", "The process of this run ended with code 1 before it was done."
    )


def test_last_words_are_passed_on(unstarted, folder):
    run_id = unstarted.start(SHORT)
    (folder / run_id / training.LOG).write_text("Traceback\nMemoryError\n")
    assert unstarted.state(run_id).error.endswith("Its last words: MemoryError.")


def test_a_damaged_checkpoint_is_told(unstarted, folder):
    run_id = unstarted.start(SHORT)
    (folder / run_id / CHECKPOINT).write_bytes(b"half")
    with pytest.raises(InputError, match="not a whole checkpoint"):
        unstarted.read(run_id)


# the worker


def worked(folder, config, closed=False):
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps(config))
    event = Event()
    if closed:
        event.set()
    return training_worker.work(folder, event)


def test_the_worker_says_how_it_ended(tmp_path, monkeypatch):
    assert worked(tmp_path / "a", SHORT.model_dump()) == {"status": "done"}
    assert worked(tmp_path / "b", SHORT.model_dump(), closed=True) == {"status": "cancelled"}
    assert (tmp_path / "b" / CHECKPOINT).exists()
    wrong = worked(tmp_path / "c", {"steps": -1})
    assert wrong["status"] == "failed" and wrong["error"].startswith("steps: expected at least 1")
    monkeypatch.setattr(training_worker, "train", lambda *a, **k: 1 / 0)
    failed = worked(tmp_path / "d", SHORT.model_dump())
    assert (
        failed["error"] == "gradlab failed on this run, which is its own fault (ZeroDivisionError: division by zero)."
    )
