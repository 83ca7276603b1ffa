"""Runs in processes: the same numbers, ended when nobody wants them, and lanes that do not wait for one another."""

import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pytest

from dashboard.app import create_app
from dashboard.work import lanes, results, runs
from gradlab.config import RunConfig
from gradlab.errors import Cancelled, InputError

from ..views import PATIENCE, SMALL, until

pytestmark = pytest.mark.processes
TINY = SMALL.replace(seed=1)
LARGE = RunConfig(hidden_size=256, steps=20_000)


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    lanes.stop()


def forever(on_progress: Callable[[float], None]) -> None:
    while True:
        on_progress(0.5)


def test_runs_are_those_of_this_process() -> None:
    kept = runs.Runs()
    assert kept.get(TINY).identical(runs.analyzed(TINY, TINY.batch_size))
    assert TINY in kept


def test_a_diagnosis_is_given_up_for_the_next_one() -> None:
    diagnoses: results.Results[str, int] = results.Results()
    thread, answers = in_thread(lambda: diagnoses.get("long", "a", lambda: lanes.CARDS.submit(time.sleep, 600)))
    until(lambda: bool(diagnoses._flights))
    assert diagnoses.get("short", "a", lambda: lanes.CARDS.submit(pow, 2, 5)) == diagnoses.peek("short") == 32
    thread.join(PATIENCE)
    assert isinstance(answers[0], Cancelled) and "long" not in diagnoses


def test_a_page_that_has_gone_ends_its_run() -> None:
    client = create_app().server.test_client()
    thread, answers = in_thread(lambda: runs.RUNS.get(LARGE, "gone"))
    until(lambda: bool(runs.RUNS.results._flights))
    assert client.post("/leave", data="somebody else").status_code == 204 and thread.is_alive()
    assert client.post("/leave", data="gone").status_code == 204
    thread.join(PATIENCE)
    assert isinstance(answers[0], Cancelled) and LARGE not in runs.RUNS


def in_thread(ask: Callable[[], Any]) -> tuple[Thread, list[Any]]:
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(ask())
        except (Cancelled, InputError) as error:
            answers.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    return thread, answers


def test_a_newer_run_of_a_page_ends_the_one_before() -> None:
    kept = runs.Runs()
    thread, answers = in_thread(lambda: kept.get(LARGE, "a"))
    until(lambda: bool(kept.results._flights))
    assert kept.get(TINY, "a").sizes["step"] == TINY.steps
    thread.join(PATIENCE)
    assert isinstance(answers[0], Cancelled) and LARGE not in kept


def test_a_run_that_another_page_wants_too_goes_on() -> None:
    kept, quick = runs.Runs(), RunConfig(hidden_size=64, steps=400)
    threads = [in_thread(lambda owner=owner: kept.get(quick, owner)) for owner in ("a", "b", None)]  # type: ignore[misc]
    until(lambda: any(len(flight.owners) == 3 for flight in kept.results._flights.values()) or quick in kept)
    kept.results.give_up("a")
    kept.results.give_up("b")
    for thread, answers in threads:
        thread.join(PATIENCE)
        assert answers[0] is kept.get(quick)


def test_a_large_run_keeps_no_small_one_waiting() -> None:
    kept = runs.Runs()
    kept.get(TINY)  # the processes have started
    large = in_thread(lambda: kept.get(LARGE, "a"))[0]
    until(lambda: bool(kept.results._flights))
    for seed in range(5):
        kept.get(TINY.replace(seed=10 + seed), "b")
    assert large.is_alive()
    kept.results.give_up("a")
    large.join(PATIENCE)
    assert not large.is_alive() and LARGE not in kept


def test_lanes_do_not_wait_for_one_another() -> None:
    go = Event()
    waiting = [in_thread(lambda: lanes.LONG.call(forever, on_progress=_until(go))) for _ in range(3)]
    assert lanes.LIVE.call(pow, 2, 5) == lanes.CARDS.call(pow, 2, 5) == 32
    go.set()
    for thread, answers in waiting:
        thread.join(PATIENCE)
        assert isinstance(answers[0], Cancelled)


def _until(go: Event) -> Callable[[float], None]:
    def tell(share: float) -> None:
        if go.is_set():
            raise Cancelled

    return tell
