"""Calls in processes: results, errors, progress, an end at once, and a limit on memory."""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gradlab.errors import Cancelled, InputError
from gradlab.runs.processes import MEMORY, Processes, result

PATIENCE = 30.0  # s


@pytest.fixture(scope="module")
def lane() -> Iterator[Processes]:
    one = Processes(1)
    yield one
    one.stop()


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


def test_a_result_comes_from_another_process(lane: Processes) -> None:
    assert lane.call(os.getpid) != os.getpid()
    assert lane.call(pow, 2, 10) == 1024


def test_an_error_keeps_its_words_and_its_field(lane: Processes) -> None:
    with pytest.raises(InputError, match="a sentence") as caught:
        lane.call(fail, "a sentence")
    assert caught.value.field == "gain"


def test_what_takes_too_much_memory_ends_and_the_next_call_works(lane: Processes) -> None:
    with pytest.raises(InputError, match="more than the 6 GB of memory that the app allows; take fewer steps"):
        lane.call(fill, MEMORY // 8)
    assert lane.call(fill, 10) == 10


def test_a_process_that_dies_is_a_sentence_and_replaced(lane: Processes) -> None:
    with pytest.raises(InputError, match="has died; try again"):
        lane.call(os._exit, 3)
    assert lane.call(fill, 10) == 10


def test_progress_is_told_and_what_it_raises_ends_the_process(lane: Processes) -> None:
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


def test_time_of_the_processor_counts_where_the_clock_went_on_for_others(lane: Processes) -> None:
    assert result(lane.submit(sleep, 0.3)).seconds < 0.2
