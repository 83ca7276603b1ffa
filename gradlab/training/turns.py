"""One thread at a time for each key: what several want at once is computed by the first, and found by the others."""

from collections.abc import Hashable
from threading import Lock
from weakref import WeakValueDictionary


class Turns:
    """A lock for each key, kept for as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Hashable, Lock] = WeakValueDictionary()
        self._guard = Lock()

    def of(self, key: Hashable) -> Lock:
        """The lock of a key, for a `with` statement."""
        with self._guard:
            return self._locks.setdefault(key, Lock())
