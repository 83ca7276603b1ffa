"""Calls that the app leaves to processes, computed in threads instead."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest


@pytest.fixture
def computed_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls are computed in threads of this process, where tests can stand in for what is called."""
    from dashboard.work import lanes
    from gradlab.errors import Cancelled
    from gradlab.runs import processes

    pool, shares, ended = ThreadPoolExecutor(16), [0.0] * processes.SHARES, Event()

    def submit(lane: processes.Processes, function: Callable[..., Any], *args: Any) -> Future[processes.Done]:
        return pool.submit(processes._timed, function, args)

    def tell(slot: int, share: float) -> None:
        if ended.is_set():
            raise Cancelled
        shares[slot] = share

    monkeypatch.setattr(processes, "_tell", tell)
    for lane in lanes.LANES:
        monkeypatch.setattr(lane, "_shares", shares)
    monkeypatch.setattr(processes.Processes, "submit", submit)
    yield
    ended.set()
    pool.shutdown(wait=False)
