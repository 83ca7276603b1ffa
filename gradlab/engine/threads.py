"""How many threads BLAS takes, as in small products several only wait for each other; and work of two threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, wraps
from inspect import signature
from threading import Lock
from typing import Any, ParamSpec, TypeVar

ONE_THREAD = 64 * 512 * 512  # multiply-adds of a step's product up to which BLAS has one thread
TWO_PASSES = 64 * 64 * 64  # and from which two passes are faster in threads of their own than one after the other

P = ParamSpec("P")
T = TypeVar("T")


@cache
def blas_libraries() -> list[Any]:
    """The BLAS libraries that are loaded, as threadpoolctl controls them; none without it."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # the engine runs without it
        return []
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


class _OneThread:
    """Holds BLAS to one thread while anybody wants that; nested and simultaneous uses count as one."""

    def __init__(self) -> None:
        self.lock, self.users, self.before = Lock(), 0, list[int]()

    def enter(self) -> None:
        """One thread from now on."""
        with self.lock:
            if not self.users:
                self.before = [blas.num_threads for blas in blas_libraries()]
                self._set([1] * len(self.before))
            self.users += 1

    def leave(self) -> None:
        """As many as before, once nobody wants one any more."""
        with self.lock:
            self.users -= 1
            if not self.users:
                self._set(self.before)

    def _set(self, numbers: list[int]) -> None:
        for blas, number in zip(blas_libraries(), numbers, strict=True):
            if blas.num_threads != number:
                _free(blas)
                blas.set_num_threads(number)
                _free(blas)


def _free(blas: Any) -> None:
    """Let every thread set the number: threadpoolctl lets only the first that did, and says nothing to others."""
    if hasattr(blas, "clear_controlling_thread"):
        blas.clear_controlling_thread(force=True)


_ONE_THREAD = _OneThread()


@contextmanager
def few_threads(size: float) -> Iterator[None]:
    """BLAS on one thread where the products of a step have at most ONE_THREAD multiply-adds."""
    if size > ONE_THREAD:
        yield
        return
    _ONE_THREAD.enter()
    try:
        yield
    finally:
        _ONE_THREAD.leave()


def spare_threads(function: Callable[P, T]) -> Callable[P, T]:
    """Decorates a function of a trajectory, or of what has its `product_size`: its work runs in `few_threads`."""
    name = next(iter(signature(function).parameters))

    @wraps(function)
    def sparing(*args: P.args, **kwargs: P.kwargs) -> T:
        first = args[0] if args else kwargs.get(name)
        with few_threads(getattr(first, "product_size", 0)):
            return function(*args, **kwargs)

    return sparing


def both(first: Callable[[], T], second: Callable[[], T], together: bool) -> tuple[T, T]:
    """What two functions return, which know nothing of each other: at the same time where `together`.

    Their errors come as if one had run after the other.
    """
    if not together:
        return first(), second()
    with ThreadPoolExecutor(1) as other:
        found = other.submit(copy_context().run, second)  # NumPy's handling of errors belongs to the context
        return first(), found.result()


def two_passes_gain(size: int) -> bool:
    """Whether two passes with such products of a step are best run `both` together: BLAS leaves a core to the other."""
    return TWO_PASSES <= size <= ONE_THREAD and (os.cpu_count() or 1) > 1
