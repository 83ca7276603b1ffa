"""Processes that compute for this one: with a limit on their memory, progress, and an end as soon as it is wanted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from itertools import count
from multiprocessing.sharedctypes import RawArray
from threading import Lock
from typing import Any, NamedTuple

from pebble import ProcessExpired, ProcessPool

from ..errors import Cancelled, InputError

MEMORY = 6 * 1000**3  # bytes of data that a process may hold
ADVICE = "take fewer steps, samples or units, or run it from Python, where nothing is limited"
SHARES = 256  # calls whose progress can be told apart at once
TICK = 0.1  # s between two looks at the progress of a call
CONTEXT = "spawn" if sys.platform == "win32" else "forkserver"  # a fork of the server's threads could hang
_shares: Any = None  # in a process: how far each call is


class Done(NamedTuple):
    """What a call gave, and the seconds that it took with a processor of its own."""

    value: Any
    seconds: float


class Processes:
    """So many processes, started when they are first needed, for calls in the order in which they come.

    nice: how far they give way to others. preload: modules that new processes find imported.
    """

    def __init__(self, number: int, nice: int = 0, preload: Sequence[str] = ("gradlab",)) -> None:
        self._number, self._nice, self._preload = number, nice, list(preload)
        self._pool: ProcessPool | None = None
        self._lock, self._calls = Lock(), count()
        self._shares = RawArray("d", SHARES)

    def call(self, function: Callable[..., Any], *args: Any, on_progress: Callable[[float], None] | None = None) -> Any:
        """`function(*args)`, or `function(*args, on_progress)`, computed in a process.

        Raises what the function raises, Cancelled if the call was given up, InputError where memory does not suffice or
        the process died. What `on_progress` raises here ends the process.
        """
        if on_progress is None:
            return result(self.submit(function, *args)).value
        slot = next(self._calls) % SHARES
        self._shares[slot] = 0.0
        future = self.submit(function, *args, partial(_tell, slot))
        while not _finished(future):
            try:
                on_progress(self._shares[slot])
            except BaseException:
                future.cancel()
                raise
        return result(future).value

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Done]:
        """The same without waiting; cancelling the future ends the process. `result` reads it."""
        return self._running().schedule(_timed, args=(function, args))

    def start(self) -> None:
        """Start the processes before anybody needs them."""
        for _ in range(self._number):
            self.submit(time.time)

    def stop(self) -> None:
        """End all processes; a later call starts new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
            pool.join()

    def _running(self) -> ProcessPool:
        with self._lock:
            if self._pool is None:
                context = multiprocessing.get_context(CONTEXT)
                if CONTEXT == "forkserver":
                    context.set_forkserver_preload(self._preload)
                self._pool = ProcessPool(
                    self._number, context=context, initializer=_prepare, initargs=(self._shares, self._nice)
                )
            return self._pool


def result(future: Future[Done]) -> Done:
    """What a call gave. Raises as `Processes.call` does."""
    try:
        return future.result()
    except CancelledError:
        raise Cancelled from None
    except MemoryError:
        raise InputError(
            f"this takes more than the {MEMORY / 1e9:.0f} GB of memory that the app allows; {ADVICE}"
        ) from None
    except ProcessExpired:
        raise InputError("the process that computed this has died; try again, with fewer steps or units") from None


def _finished(future: Future[Done]) -> bool:
    """Whether there is a result, after waiting a tick for it."""
    with suppress(Exception):  # it did not come in time, or is an error, which `result` raises
        future.exception(TICK)
    return future.done()


def _prepare(shares: Any, nice: int) -> None:
    """A process's first step. Ctrl-C is the business of who started it."""
    global _shares
    _shares = shares
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY if hard < 0 else min(MEMORY, hard), hard))
        os.nice(nice)


def _timed(function: Callable[..., Any], args: tuple[Any, ...]) -> Done:
    """In a process: beside busy others the clock goes on while the processor's time does not."""
    clock, processor = time.perf_counter(), time.process_time()
    value = function(*args)
    return Done(value, min(time.perf_counter() - clock, time.process_time() - processor))


def _tell(slot: int, share: float) -> None:
    """In a process: how far its call is."""
    _shares[slot] = share
