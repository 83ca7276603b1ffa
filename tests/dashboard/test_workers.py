"""Work in processes: results, errors, progress, an end at once, a limit on memory, and lanes that do not wait."""

import os
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from dashboard.work import runs, workers
from gradlab.config import RunConfig
from gradlab.errors import Cancelled, InputError

from ..views import PATIENCE, SMALL, until

pytestmark = pytest.mark.processes
TINY = SMALL.replace(seed=1)


@pytest.fixture(scope="module")
def lane() -> Iterator[workers.Workers]:
    one = workers.Workers(1)
    yield one
    one.stop()


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    workers.stop()


def fail(words: str) -> None:
    raise InputError(words, "gain")


def fill(size: int) -> int:
    return int(np.ones(size).sum())


def count(steps: int, on_progress: Callable[[float], None]) -> int:
    for n in range(steps):
        on_progress(n / steps)
        time.sleep(0.02)
    return os.getpid()


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def test_a_result_comes_from_another_process(lane: workers.Workers) -> None:
    assert lane.call(os.getpid) != os.getpid()
    assert lane.call(pow, 2, 10) == 1024


def test_an_error_keeps_its_words_and_its_field(lane: workers.Workers) -> None:
    with pytest.raises(InputError, match="a sentence") as caught:
        lane.call(fail, "a sentence")
    assert caught.value.field == "gain"


def test_what_takes_too_much_memory_ends_and_the_next_call_works(
    lane: workers.Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="more than the 6 GB of memory that the app allows; take fewer steps"):
        lane.call(fill, workers.MEMORY // 8)
    assert lane.call(fill, 10) == 10


def test_a_process_that_dies_is_a_sentence_and_replaced(lane: workers.Workers) -> None:
    with pytest.raises(InputError, match="has died; try again"):
        lane.call(os._exit, 3)
    assert lane.call(fill, 10) == 10


def test_progress_is_told_and_what_it_raises_ends_the_process(lane: workers.Workers) -> None:
    shares: list[float] = []
    lane.call(count, 30, on_progress=shares.append)
    assert shares == sorted(shares) and 0 < shares[-1] < 1

    def enough(share: float) -> None:
        if share > 0:
            raise Cancelled

    start = time.monotonic()
    with pytest.raises(Cancelled):
        lane.call(count, 10**5, on_progress=enough)
    assert lane.call(fill, 10) == 10
    assert time.monotonic() - start < PATIENCE


def test_time_of_the_processor_counts_where_the_clock_went_on_for_others(lane: workers.Workers) -> None:
    assert workers.result(lane.submit(sleep, 0.3)).seconds < 0.2


# runs


def test_runs_are_those_of_this_process() -> None:
    kept = runs.Runs()
    assert kept.get(TINY).identical(runs.analyzed(TINY, TINY.batch_size))
    assert TINY in kept


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


LARGE = RunConfig(hidden_size=256, steps=20_000)


def test_a_newer_run_of_a_page_ends_the_one_before() -> None:
    kept = runs.Runs()
    thread, answers = in_thread(lambda: kept.get(LARGE, "a"))
    until(lambda: bool(kept._flights))
    assert kept.get(TINY, "a").sizes["step"] == TINY.steps
    thread.join(PATIENCE)
    assert isinstance(answers[0], Cancelled) and LARGE not in kept


def test_a_run_that_another_page_wants_too_goes_on() -> None:
    kept, quick = runs.Runs(), RunConfig(hidden_size=64, steps=400)
    threads = [in_thread(lambda owner=owner: kept.get(quick, owner)) for owner in ("a", "b", None)]  # type: ignore[misc]
    until(lambda: any(len(flight.owners) == 3 for flight in kept._flights.values()) or quick in kept)
    kept.give_up("a")
    kept.give_up("b")
    for thread, answers in threads:
        thread.join(PATIENCE)
        assert answers[0] is kept.get(quick)


def test_a_large_run_keeps_no_small_one_waiting() -> None:
    kept = runs.Runs()
    kept.get(TINY)  # the processes have started
    large = in_thread(lambda: kept.get(LARGE, "a"))[0]
    until(lambda: bool(kept._flights))
    for seed in range(5):
        kept.get(TINY.replace(seed=10 + seed), "b")
    assert large.is_alive()
    kept.give_up("a")
    large.join(PATIENCE)
    assert not large.is_alive() and LARGE not in kept


def test_lanes_do_not_wait_for_one_another() -> None:
    go = Event()
    waiting = [in_thread(lambda: workers.LONG.call(count, 10**5, on_progress=_until(go))) for _ in range(3)]
    assert workers.LIVE.call(fill, 10) == workers.CARDS.call(fill, 10) == 10
    go.set()
    for thread, answers in waiting:
        thread.join(PATIENCE)
        assert isinstance(answers[0], Cancelled)


def _until(go: Event) -> Callable[[float], None]:
    def tell(share: float) -> None:
        if go.is_set():
            raise Cancelled

    return tell
