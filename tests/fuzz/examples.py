"""How many examples each fuzzer tries, and the bounds within which an example has to end, in a result or a sentence."""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from gradlab.errors import InputError

LONG = settings.default is settings.get_profile("fuzz")
EXAMPLES = {  # fuzzer -> examples among the ordinary tests, and of the profile `fuzz`
    "files": (60, 2600),
    "weights": (40, 1000),
    "commands": (30, 1000),
    "training commands": (8, 200),
    "configurations": (60, 1300),
    "files of fields": (40, 700),
    "analyses": (6, 200),
    "links": (40, 800),
    "pages": (15, 400),
    "checkpoints": (25, 800),
    "posts": (100, 1000),
}
SECONDS, WAIT = 5.0, 300  # that an example may take of a processor, and of the clock
MEMORY = 1500 * 1000**2  # bytes that it may take
LONGEST = 1000  # characters of a sentence


def fuzzed(fuzzer: str) -> settings:
    """The settings of a fuzzer, by its name in `EXAMPLES`."""
    few, many = EXAMPLES[fuzzer]
    return settings(
        max_examples=many if LONG else few,
        derandomize=not LONG,
        deadline=None,  # of the clock; `bounded` counts the processor's time
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def bounded(seconds: float = SECONDS) -> Iterator[None]:
    """Fail where what is inside takes too long or too much memory; end the process, and say where, if it only waits."""
    faulthandler.dump_traceback_later(WAIT, exit=True)
    try:
        with _processor_time(seconds), _memory():
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    if not hasattr(signal, "setitimer"):
        yield
        return

    def end(*_: Any) -> None:
        pytest.fail(f"it took more than {seconds} s of a processor")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _memory() -> Iterator[None]:
    """Beyond `MEMORY` more than now, Linux gives none: a MemoryError fails the example."""
    if sys.platform != "linux":
        yield
        return
    import resource

    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def answer(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """What a function returns, or the InputError that it raises, with a sentence; anything else is a defect."""
    with bounded():
        try:
            return function(*args, **named)
        except InputError as error:
            assert is_sentence(str(error)), str(error)
            return error


def is_sentence(text: str) -> bool:
    """Whether a person can read it."""
    return 0 < len(text) < LONGEST and text.isprintable()
