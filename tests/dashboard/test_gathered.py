"""Results that a page shows as they come: none is waited for, none is computed twice, none for nobody."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from dashboard.work.gathered import AT_ONCE, Gathered
from gradlab.errors import InputError
from gradlab.runs.processes import Done


class Desk:
    """Calls that end when the test says so."""

    def __init__(self) -> None:
        self.calls: dict[str, list[Future[Done]]] = {}

    def __call__(self, key: str) -> Future[Done]:
        self.calls.setdefault(key, []).append(Future())
        return self.calls[key][-1]

    def finish(self, key: str, value: Any = None) -> None:
        self.calls[key][-1].set_result(Done(value or f"{key}!", 0.1))


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def gathered(desk: Desk) -> Gathered[str, str]:
    return Gathered(desk)


def test_what_is_there_is_shown_and_the_rest_is_started_once(gathered: Gathered[str, str], desk: Desk) -> None:
    assert gathered.so_far(["a", "b"], "page") == ({}, {}) and [*desk.calls] == ["a", "b"]
    desk.finish("b")
    for _ in range(3):
        so_far = gathered.so_far(["a", "b"], "page")
        assert so_far.found == {"b": "b!"} and not so_far.failed and so_far.missing(["a", "b"]) == 1
    assert {key: len(calls) for key, calls in desk.calls.items()} == {"a": 1, "b": 1}


def test_what_is_known_at_once_is_shown_at_once() -> None:
    done: Future[Done] = Future()
    done.set_result(Done(7, 0.1))
    at_once: Gathered[str, int] = Gathered(lambda key: done)
    assert at_once.so_far(["a"], "page").found == {"a": 7}


def test_the_newest_wish_of_a_page_ends_the_one_before(gathered: Gathered[str, str], desk: Desk) -> None:
    gathered.so_far(["a", "b"], "page")
    gathered.so_far(["b", "c"], "page")
    assert desk.calls["a"][0].cancelled() and not desk.calls["b"][0].cancelled()
    assert gathered.under_way() == ["b", "c"]
    gathered.so_far(["a"], "page")
    assert len(desk.calls["a"]) == 2


def test_what_another_page_wants_too_goes_on(gathered: Gathered[str, str], desk: Desk) -> None:
    gathered.so_far(["a"], "page")
    gathered.so_far(["a"], "other")
    gathered.give_up("page")
    assert not desk.calls["a"][0].cancelled()
    gathered.give_up("other")
    assert desk.calls["a"][0].cancelled() and not gathered.under_way()
    assert gathered.so_far(["a"], "third") == ({}, {})


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("too many units"), "too many units"),
        (MemoryError(), "more than the 6 GB of memory that the app allows"),
        (KeyError("x"), r"gradlab failed on this, which is its own fault \(KeyError: 'x'\)"),
    ],
    ids=repr,
)
def test_a_failure_is_a_sentence_and_tried_again_on_request(
    gathered: Gathered[str, str], desk: Desk, error: Exception, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    gathered.so_far(["a", "b"], "page")
    with caplog.at_level(logging.CRITICAL):
        desk.calls["a"][0].set_exception(error)
    found = gathered.so_far(["a", "b"], "page")
    assert found.missing(["a", "b"]) == 1
    with pytest.raises(InputError, match=text):
        raise InputError(found.failed["a"])
    assert len(desk.calls["a"]) == 1
    assert gathered.so_far(["a"], "page", again=True).failed == {} and len(desk.calls["a"]) == 2


def test_failures_are_not_kept_forever(gathered: Gathered[str, str], desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.setattr(Gathered, "most", 2)
    keys = ["a", "b", "c"]
    gathered.so_far(keys, "page")
    for key in keys:
        desk.calls[key][0].set_exception(InputError(key))
    assert [*gathered._failures] == ["b", "c"]


def test_results_are_not_kept_forever(gathered: Gathered[str, str], desk: Desk, monkeypatch: Any) -> None:
    monkeypatch.setattr(Gathered, "most", 2)
    finish: Callable[[str], None] = desk.finish
    gathered.so_far(["a", "b", "c"], "page")
    for key in ("a", "b", "c"):
        finish(key)
    assert "a" not in gathered and "c" in gathered


def test_an_owner_leaves_room_for_others(gathered: Gathered[str, str], desk: Desk) -> None:
    keys = [f"k{n}" for n in range(3 * AT_ONCE)]
    gathered.so_far(keys, "page")
    assert [*desk.calls] == keys[:AT_ONCE]
    gathered.so_far(["mine"], "other")
    assert [*desk.calls] == [*keys[:AT_ONCE], "mine"]
    desk.finish(keys[0])
    assert gathered.so_far(keys, "page").found == {keys[0]: "k0!"}
    assert [*desk.calls] == [*keys[:AT_ONCE], "mine", keys[AT_ONCE]]
