"""Many results that a page shows as they come: those that are there, those that failed, and nothing to wait for."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, NamedTuple, TypeVar

from gradlab.errors import Cancelled, InputError
from gradlab.runs.processes import Done, result

from .results import Flight, Results

AT_ONCE = 8  # calls of an owner under way: those of others come between, and a page asks every moment
log = logging.getLogger(__name__)
K = TypeVar("K")
V = TypeVar("V")


class SoFar(NamedTuple, Generic[K, V]):
    """What there is, and a sentence for each that failed."""

    found: dict[K, V]
    failed: dict[K, str]

    def missing(self, keys: Sequence[K]) -> int:
        """How many are still under way."""
        return sum(key not in self.found and key not in self.failed for key in keys)


class Gathered(Results[K, V]):
    """The latest results by key, of calls that nobody waits for. compute: starts the call of a key."""

    most = 2000

    def __init__(self, compute: Callable[[K], Future[Done]]) -> None:
        super().__init__()
        self._compute, self._failures = compute, dict[K, str]()

    def so_far(self, keys: Sequence[K], owner: str, again: bool = False) -> SoFar[K, V]:
        """What there is; calls of the others start, in the order of the keys, `AT_ONCE` of them; ask again for more.

        owner: who wants just these; other calls that it has asked for end. again: whether to try once more what failed.
        """
        with self._lock:
            self._give_up(owner, keys)
            for key in keys:
                if again:
                    self._failures.pop(key, None)
                if key not in self._kept and key not in self._failures and self._may_wait(key, owner):
                    self._flight(key).owners.add(owner)
            found = {key: self._kept[key].value for key in keys if key in self._kept}
            return SoFar(found, {key: self._failures[key] for key in keys if key in self._failures})

    def _may_wait(self, key: K, owner: str) -> bool:
        """Whether a call is under way, or its owner has so few that another one leaves room for others' work."""
        return key in self._flights or sum(owner in flight.owners for flight in self._flights.values()) < AT_ONCE

    def _flight(self, key: K) -> Flight:
        """The call of a key, started where there is none."""
        if (flight := self._flights.get(key)) is None:
            flight = self._flights[key] = Flight(self._compute(key), set())
            flight.future.add_done_callback(lambda _: self._land(key, flight))
        return flight

    def _take(self, key: K, future: Future[Done]) -> None:
        try:
            result(future)
        except Cancelled:
            return
        except InputError as error:
            self._fail(key, str(error))
        except Exception as error:  # a defect: the page says so and lives on
            log.exception("a call failed")
            self._fail(key, f"gradlab failed on this, which is its own fault ({type(error).__name__}: {error})")
        else:
            super()._take(key, future)

    def _fail(self, key: K, text: str) -> None:
        self._failures[key] = text
        while len(self._failures) > self.most:
            del self._failures[next(iter(self._failures))]
