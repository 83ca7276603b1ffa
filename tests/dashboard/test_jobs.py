"""Background work: one job per key, progress, cancel, failure, and how many are kept."""

import re
import time
from threading import Event, active_count

import pytest

from dashboard.work import jobs
from dashboard.work.jobs import Jobs
from gradlab import Cancelled, InputError

from ..views import PATIENCE, until


class Gate:
    """Work that tells its progress and goes on when it is let."""

    def __init__(self, result="result"):
        self.result, self.open, self.begun, self.ended = result, Event(), Event(), Event()

    def __call__(self, on_progress):
        self.begun.set()
        try:
            on_progress(0.25)
            while not self.open.wait(0.002):
                on_progress(0.5)
            return self.result
        finally:
            self.ended.set()


@pytest.fixture
def gates():
    """Gates that end with the test, whatever it did."""
    made = []

    def make(*args):
        made.append(Gate(*args))
        return made[-1]

    yield make
    for gate in made:
        gate.open.set()


def test_a_job_tells_its_progress_and_keeps_its_result(gates):
    all_jobs, gate = Jobs(), gates({"answer": 42})
    job = all_jobs.start("a", gate)
    until(lambda: job.share == 0.5)
    assert (job.state, job.result, job.ended) == ("running", None, False)
    assert job.seconds_left >= 0
    gate.open.set()
    until(lambda: job.ended)
    assert (job.state, job.share, job.result, job.error) == ("done", 1.0, {"answer": 42}, "")
    assert job.seconds_left is None
    assert all_jobs.get("a") is job
    assert all_jobs.get("b") is None


def test_the_remaining_time_follows_the_pace(monkeypatch, gates):
    clock = [100.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock[0])
    gate = gates()
    job = Jobs().start("a", gate)
    gate.begun.wait(PATIENCE)
    while job.share != 0.5:
        time.sleep(0.002)
    clock[0] = 103.0
    assert job.seconds_left == pytest.approx(3.0)


def test_a_key_is_computed_once_at_a_time(gates):
    all_jobs, gate, other = Jobs(), gates("first"), gates("second")
    job = all_jobs.start("a", gate)
    assert all_jobs.start("a", other) is job
    gate.open.set()
    job.wait(PATIENCE)
    assert (job.result, other.begun.is_set()) == ("first", False)
    other.open.set()
    again = all_jobs.start("a", other)
    again.wait(PATIENCE)
    assert all_jobs.get("a").result == "second"


def test_waiting_ends_when_patience_does(gates):
    job = Jobs().start("a", gates())
    job.wait(0.01)
    assert not job.ended


def test_cancel_ends_the_work_and_forgets_it(gates):
    all_jobs, gate = Jobs(), gates()
    job = all_jobs.start("a", gate)
    gate.begun.wait(PATIENCE)
    all_jobs.cancel("a")
    assert all_jobs.get("a") is None
    assert gate.ended.wait(PATIENCE)
    until(lambda: job.ended)
    assert job.state == "failed"
    all_jobs.cancel("a")  # a second click finds nothing to do


def test_a_cancelled_job_can_be_started_anew_at_once(gates):
    all_jobs, second = Jobs(), gates("second")
    first = all_jobs.start("a", gates("first"))
    all_jobs.cancel("a")
    job = all_jobs.start("a", second)
    assert job is not first
    second.open.set()
    until(lambda: job.ended)
    assert job.result == "second"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("give more steps"), "give more steps"),
        (ZeroDivisionError("by zero"), r"gradlab failed on this, .* \(ZeroDivisionError: by zero\)"),
        (MemoryError(), r"MemoryError"),
        (Cancelled(), "Cancelled"),
    ],
)
def test_failures_become_sentences_and_can_be_tried_again(error, text, caplog):
    def work(on_progress):
        raise error

    all_jobs = Jobs()
    job = all_jobs.start("a", work)
    until(lambda: job.ended)
    assert job.state == "failed"
    assert re.search(text, job.error)
    again = all_jobs.start("a", lambda on_progress: 7)
    until(lambda: again.ended)
    assert (again.state, again.result) == ("done", 7)
    assert bool(caplog.records) == isinstance(error, ZeroDivisionError | MemoryError)


def test_more_jobs_than_slots_wait_and_can_be_cancelled_while_they_do(gates):
    all_jobs, running = Jobs(), [gates() for _ in range(jobs.AT_ONCE)]
    for n, gate in enumerate(running):
        all_jobs.start(f"{n}", gate)
        assert gate.begun.wait(PATIENCE)
    patient, given_up = gates(), gates()
    waiting, gone = all_jobs.start("patient", patient), all_jobs.start("given up", given_up)
    assert waiting.state == gone.state == "waiting"
    assert waiting.seconds_left is None
    all_jobs.cancel("given up")
    for gate in (*running, patient):
        gate.open.set()
    until(lambda: waiting.state == "done" and gone.ended)
    assert not given_up.begun.is_set()


def test_only_the_latest_are_kept_and_what_has_ended_goes_first(gates):
    all_jobs, long = Jobs(), gates()
    all_jobs.start("long", long)
    for n in range(jobs.KEPT):
        job = all_jobs.start(f"{n}", lambda on_progress: 0)
        until(lambda job=job: job.ended)
    assert all_jobs.get("long") is not None
    assert all_jobs.get("0") is None
    assert all_jobs.get("1") is not None


def test_where_none_has_ended_the_oldest_is_given_up(gates):
    all_jobs, first = Jobs(), gates()
    oldest = all_jobs.start("oldest", first)
    others = [gates() for _ in range(jobs.KEPT)]
    for n, gate in enumerate(others):
        all_jobs.start(f"{n}", gate)
    assert all_jobs.get("oldest") is None
    until(lambda: oldest.ended)
    for gate in others:
        gate.open.set()


def test_threads_end_with_their_work():
    before, all_jobs = active_count(), Jobs()
    for n in range(6):
        all_jobs.start(f"{n}", lambda on_progress: None)
    until(lambda: active_count() <= before)


def test_a_newer_job_of_a_page_takes_the_place_of_the_one_before(gates):
    all_jobs, (first, second, shared) = Jobs(), (gates(), gates(), gates())
    old = all_jobs.start("old", first, "page")
    assert first.begun.wait(PATIENCE)
    new = all_jobs.start("new", second, "page")
    second.open.set()
    until(lambda: old.ended and new.state == "done")
    assert all_jobs.get("old") is None
    wanted = all_jobs.start("wanted by two", shared, "page")
    assert all_jobs.start("wanted by two", shared, "another page") is wanted
    until(lambda: all_jobs.start("last", lambda on_progress: 0, "page").ended)
    shared.open.set()
    until(lambda: wanted.state == "done")


def test_a_page_that_has_gone_keeps_no_job(gates):
    all_jobs, gate = Jobs(), gates()
    job = all_jobs.start("shared", gate, "gone")
    all_jobs.start("shared", gate, "page")
    all_jobs.leave("gone")
    assert all_jobs.get("shared") is job
    all_jobs.start("next", lambda on_progress: 0, "page")
    until(lambda: job.ended)
    assert all_jobs.get("shared") is None
