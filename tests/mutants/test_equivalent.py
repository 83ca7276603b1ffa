"""What is declared to make no difference can be drawn but for that, wherever its line has moved."""

from itertools import groupby
from operator import attrgetter

import pytest

from .__main__ import ROOT, cases
from .equivalent import Equivalent, declared
from .mutate import mutants

SOURCE = "def half(x):\n    return x / 2\n"


def test_every_declared_mutant_is_there():
    drawn = {case.path for case in cases([])}
    for path, known in groupby(declared(), attrgetter("path")):
        found = [*mutants((ROOT / path).read_text("utf-8"))]
        assert path in drawn
        for one in known:
            assert any(one.covers(path, m) for m in found), one
            assert one.why


def test_none_is_declared_twice():
    known = declared()
    assert len({(one.path, one.line, one.change) for one in known}) == len(known)


@pytest.mark.parametrize("change", ["x / 2  ->  x * 2", "x / 2  ->  x / 3"])
def test_a_line_that_has_moved_is_the_same_line(change):
    known = Equivalent("a.py", "return x / 2", change, "it is only an example")
    for source in (SOURCE, "X = 1\n\n\n" + SOURCE, f"class A:\n    {SOURCE.replace(chr(10), chr(10) + '    ')}"):
        (covered,) = (m for m in mutants(source) if known.covers("a.py", m))
        assert covered.text == change
    assert not any(known.covers("a.py", m) for m in mutants(SOURCE.replace("x / 2", "x / 4")))
    assert not any(known.covers("b.py", m) for m in mutants(SOURCE))


def test_what_cannot_be_seen_is_not_drawn():
    source = '"""Words."""\nx = np.random.default_rng([seed, 3]).normal(size=5)\ny = x.reshape(-1, x.shape[-1])'
    assert [m.text for m in mutants(source)] == ["size=5  ->  size=6", "-1  ->  -2"]


def test_a_mutant_is_the_module_with_one_change():
    found = [*mutants(SOURCE)]
    assert [m.text for m in found] == ["x / 2  ->  x * 2", "x / 2  ->  x / 3"]
    assert [m.source for m in found] == [SOURCE.strip().replace("x / 2", m.text.split("  ->  ")[1]) for m in found]
