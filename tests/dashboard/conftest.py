"""What tests of the app share."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from dashboard.work import workers


@pytest.fixture(autouse=True)
def computed_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls are computed in threads of this process, where tests can stand in for what is called.

    Tests that are marked `processes` have the processes.
    """
    if request.node.get_closest_marker("processes"):
        yield
        return
    pool, shares = ThreadPoolExecutor(16), [0.0] * workers.SHARES

    def submit(lane: workers.Workers, function: Callable[..., Any], *args: Any) -> Future[workers.Done]:
        return pool.submit(workers._timed, function, args)

    monkeypatch.setattr(workers, "_shares", shares)
    for lane in workers.LANES:
        monkeypatch.setattr(lane, "_shares", shares)
    monkeypatch.setattr(workers.Workers, "submit", submit)
    yield
    pool.shutdown(wait=False)
