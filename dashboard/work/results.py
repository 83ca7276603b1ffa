"""Results by what they are of: computed at most once while they are kept, and given up when nobody wants them."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import RLock
from typing import Generic, NamedTuple, TypeVar

from gradlab.runs.processes import Done, result

KEPT = 24  # results
KEPT_BYTES = 500 * 1000**2

K = TypeVar("K")
V = TypeVar("V")


@dataclass(eq=False)
class Flight:
    """A call under way, and who wants it."""

    future: Future[Done]
    owners: set[object]


class Kept(NamedTuple, Generic[V]):
    """A result and its size in bytes."""

    value: V
    nbytes: int


class Results(Generic[K, V]):
    """The latest results by key. learn: told of each new one's key, and the seconds that it took."""

    most: int | None = None  # of them, KEPT by default

    def __init__(self, learn: Callable[[K, float], None] = lambda key, seconds: None) -> None:
        self._kept: OrderedDict[K, Kept[V]] = OrderedDict()
        self._flights: dict[K, Flight] = {}
        self._lock, self._learn = RLock(), learn  # a call that is cancelled lands at once

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def peek(self, key: K) -> V | None:
        """A result if it is kept."""
        kept = self._kept.get(key)
        return kept.value if kept else None

    def under_way(self) -> list[K]:
        """Keys of the calls that somebody waits for."""
        return [*self._flights]

    def get(self, key: K, owner: str | None, submit: Callable[[], Future[Done]]) -> V:
        """A result: kept, or that of a call under way, or that of the call which `submit` starts.

        owner: who wants one result at a time, None for whoever wants any number. A call ends, and raises Cancelled,
        where all its owners have asked for another one meanwhile. Raises what the call raises.
        """
        with self._lock:
            self._give_up(owner, [key])
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key].value
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = Flight(submit(), set())
            flight.owners.add(owner)
        try:
            value: V = result(flight.future).value
            return value
        finally:
            self._land(key, flight)

    def give_up(self, owner: str) -> None:
        """End what an owner has asked for, unless others want it too."""
        with self._lock:
            self._give_up(owner)

    def _give_up(self, owner: str | None, but: Sequence[K] = ()) -> None:
        wanted = {*but}
        for key, flight in [*self._flights.items()]:
            if owner is not None and key not in wanted and owner in flight.owners:
                flight.owners.remove(owner)
                if not flight.owners:
                    del self._flights[key]
                    flight.future.cancel()

    def _land(self, key: K, flight: Flight) -> None:
        """The first of those who waited keeps what came of it."""
        with self._lock:
            if self._flights.get(key) is not flight:
                return
            del self._flights[key]
            if not flight.future.cancelled():
                self._take(key, flight.future)

    def _take(self, key: K, future: Future[Done]) -> None:
        """What came of a call."""
        if future.exception() is None:
            value, seconds = future.result()
            self._learn(key, seconds)
            self._keep(key, value)

    def _keep(self, key: K, value: V) -> None:
        self._kept[key] = Kept(value, getattr(value, "nbytes", 0))
        while len(self._kept) > 1 and (len(self._kept) > (self.most or KEPT) or self._bytes() > KEPT_BYTES):
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(kept.nbytes for kept in self._kept.values())
