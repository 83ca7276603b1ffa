"""Attributes that are computed when they are first read: once, kept, and nobody waits for another instance."""

from threading import Event, Thread

import pytest

from gradlab.lazy import lazy


class Holder:
    def __init__(self) -> None:
        self.go, self.calls = Event(), 0

    @lazy
    def answer(self) -> int:
        """What is asked for."""
        assert self.go.wait(10)
        self.calls += 1
        return 42


def test_it_is_computed_once_and_kept():
    holder = Holder()
    holder.go.set()
    assert (holder.answer, holder.answer, holder.calls) == (42, 42, 1)
    assert vars(holder)["answer"] == 42
    assert Holder.answer.__doc__ == "What is asked for."


def test_one_that_takes_long_keeps_no_other_instance_waiting():
    slow, quick = Holder(), Holder()
    quick.go.set()
    thread = Thread(target=lambda: slow.answer, daemon=True)
    thread.start()
    other = Thread(target=lambda: quick.answer, daemon=True)
    other.start()
    other.join(5)
    assert quick.calls == 1 and slow.calls == 0
    slow.go.set()
    thread.join(5)
    assert slow.calls == 1


def test_what_it_raises_is_raised_again():
    class Broken:
        @lazy
        def answer(self) -> int:
            raise ValueError("not yet")

    broken = Broken()
    for _ in range(2):
        with pytest.raises(ValueError, match="not yet"):
            broken.answer  # noqa: B018
