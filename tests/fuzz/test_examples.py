"""The fuzzers keep to their numbers, and notice what hangs, what takes too much, and what is no sentence."""

import re
import sys
from pathlib import Path

import pytest

from gradlab.errors import InputError

from .examples import EXAMPLES, MEMORY, answer, bounded, fuzzed, is_sentence

HERE = Path(__file__).parent


def test_ten_thousand_examples_in_all() -> None:
    used = [
        name
        for path in HERE.glob("test_*.py")
        for name in re.findall(r'^@fuzzed\("(.+)"\)', path.read_text("utf-8"), re.M)
    ]
    assert sorted(used) == sorted(EXAMPLES)
    assert sum(many for _, many in EXAMPLES.values()) == 10_000


def test_the_ordinary_examples_are_the_same_each_time() -> None:
    assert fuzzed("links").derandomize != (fuzzed("links").max_examples == EXAMPLES["links"][1])


@pytest.mark.skipif(sys.platform != "linux", reason="time and memory are limited as Linux can")
def test_what_takes_too_long_or_too_much_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"it took more than 0\.05 s of a processor"), bounded(0.05):
        while True:
            pass
    with pytest.raises(MemoryError), bounded():
        bytes(2 * MEMORY)


def test_an_error_is_a_sentence() -> None:
    def fail(text: str) -> None:
        raise InputError(text)

    assert isinstance(answer(fail, "steps: expected 1"), InputError)
    with pytest.raises(AssertionError):
        answer(fail, "")
    assert not is_sentence("a\nb") and not is_sentence("x" * 1000)
