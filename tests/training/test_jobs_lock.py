"""One run, two apps: the one that did not start it sees it, and leaves it alone."""

import os
import signal
import subprocess
import sys

import pytest

from gradlab import InputError
from gradlab.training import jobs as training
from gradlab.training.jobs import TrainingJobs
from gradlab.training.worker import LOCKED, is_locked

from ..views import until
from .test_jobs import LONG, ROOT, SHORT, status


@pytest.fixture(name="apps")
def two_apps(own_cache):
    made = TrainingJobs(), TrainingJobs()
    yield made
    for jobs in made:
        jobs.end()


def test_a_run_belongs_to_the_app_that_trains_it(apps):
    ours, other = apps
    run_id = ours.start(LONG)
    until(lambda: status(ours, run_id) == "running")
    assert status(other, run_id) == "elsewhere" and other.state(run_id).alive and not other.state(run_id).resumable
    for forbidden in (other.pause, other.stop):
        with pytest.raises(InputError, match="trained by another gradlab app; pause or stop it there, or close that"):
            forbidden(run_id)
    other.resume(run_id)
    assert not other._processes and status(ours, run_id) == "running"
    ours.pause(run_id)
    until(lambda: status(ours, run_id) == "paused")
    assert status(other, run_id) == "paused"
    other.resume(run_id)
    until(lambda: status(ours, run_id) == "elsewhere")
    assert status(other, run_id) == "running"


def test_a_run_that_another_app_trains_is_not_evicted(apps, monkeypatch):
    ours, other = apps
    run_id = ours.start(LONG)
    until(lambda: status(ours, run_id) == "running")
    monkeypatch.setattr(training, "KEPT", 1)
    other.start(SHORT)
    assert status(ours, run_id) == "running"


@pytest.mark.slow
def test_a_second_process_ends_at_once_and_changes_nothing(apps):
    ours, _ = apps
    run_id = ours.start(LONG)
    until(lambda: status(ours, run_id) == "running")
    folder = ours.folder(run_id)
    command, env = [sys.executable, "-m", "gradlab.training.worker"], os.environ | {"PYTHONPATH": str(ROOT)}
    second = subprocess.run(command, cwd=folder, env=env, input=b"", capture_output=True, timeout=60)
    assert (second.returncode, second.stderr.decode().strip()) == (1, "another process trains this run")
    assert status(ours, run_id) == "running"


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
@pytest.mark.slow
def test_a_process_that_was_killed_holds_nothing(apps):
    ours, other = apps
    run_id = ours.start(LONG)
    until(lambda: status(ours, run_id) == "running")
    ours._processes[run_id].send_signal(signal.SIGKILL)
    until(lambda: status(other, run_id) == "interrupted")
    assert not is_locked(ours.folder(run_id)) and (ours.folder(run_id) / LOCKED).exists()
