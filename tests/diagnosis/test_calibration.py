"""The diagnosis on runs whose class is known otherwise, and the tables of docs/diagnosis.md."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradlab.cells import CELLS
from gradlab.diagnosis import diagnose
from studies.calibration import tables
from studies.calibration.cases import HALVES, Given, Known, half
from studies.calibration.kinds import CASES
from studies.calibration.kinds.nets import chain, elman
from studies.calibration.long_runs import growth
from studies.calibration.truths import linear, own_curve, powers, word, word_of, word_with_ends

DOCS = Path(__file__).parents[2] / "docs"
FAST = (
    "orthogonal linear x0.9, H = 64",
    "orthogonal linear x1.0, T = 100",
    "orthogonal linear x1.1, H = 64",
    "sigmoid, gaussian x1.0, H = 64",
    "GRU at rest, bias 4",
    "MinimalRNN at rest, bias 0",
    "relu, identity x4, float32",
    "elman, 8 steps",
    "tanh, input x10, H = 64",
    "gru, forget bias -10, H = 64",
    "tanh x1.95, H = 64, T = 100",
    "tanh x4.0",
    "relu x3",
    "leak 0.2 x1.0, T = 100",
    "tanh, antisymmetric x6, H = 24",
    "relu, biases -9, H = 48",
    "chain of 4, x5, T = 200",
    "leaky relu x1.3: 20 grow, 12 fade",
    "relu x1.0: 9 alive, 11 cut at one step",
    "identity x1.0, lengths 6 to 200",
    "lstm, f = 1, output bias -5.8, T = 100, from a file",
    "relu x2.0, leak 0.2: 60 steps off, 60 on",
    "identity, weights x0.5, input of 1e308 at step 31",
)


def named(name):
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("name", FAST)
def test_a_class_that_is_known_otherwise(name):
    """A part of docs/diagnosis.md."""
    case = named(name)
    assert case.truth(case).misses(diagnose(case.run(), rerun=False)) == []


@pytest.mark.parametrize("name", ["tanh x4.0", "leak 0.2 x1.0, T = 100"])
def test_the_rate_is_the_exponent_of_a_long_forward_run(name):
    """On nets that did not set the tolerance: those of other seeds came within 0.03."""
    case = named(name)
    case = replace(case, fields=case.fields | {"seed": 6})
    assert diagnose(case.run(), rerun=False).log_rate == pytest.approx(growth(case).log_rate, abs=0.04)


def test_there_is_enough_of_each_kind_in_both_halves():
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.config.cell for case in CASES if case.network is None} == set(CELLS)
    kinds = Counter(case.kind for case in CASES)
    assert len(kinds) >= 20
    assert min(kinds.values()) >= 5
    both = Counter((CASES[index].kind, half(index)) for index in range(len(CASES)))
    assert {(kind, name) for kind in kinds for name in HALVES} == set(both)
    assert min(both.values()) >= 2


def test_a_run_near_the_border_of_a_class_is_refused():
    with pytest.raises(ValueError, match="too near to the border"):
        word(math.log(100) / 99, 100)
    with pytest.raises(ValueError, match="too near to the border"):
        word_of(np.array([0.0, *[9.0] * 10, -9.5]))
    with pytest.raises(ValueError, match="as the ends count or not"):
        word_with_ends(np.array([0.0, *[7.0] * 12]))


def test_what_the_labels_are_computed_from():
    assert powers(np.diag([0.5, 0.5]), 4) == pytest.approx(np.arange(4) * math.log(0.5))
    assert own_curve(np.full((3, 2), 2.0)) == pytest.approx([0, math.log(2), math.log(4)])
    jordan = elman(chain(4, 0.8, 5.0), "identity")
    case = replace(named("chain of 4, x5, T = 200"), network=jordan)
    assert linear(replace(case, fields={"steps": 400})).word == "vanishing"
    assert linear(replace(case, network=elman(chain(6, 0.8, 3.0), "identity"), fields={"steps": 20})).word == (
        "transient growth"
    )


def test_whatever_is_known_and_diagnosed_otherwise_is_a_miss():
    case = named("leaky relu x1.3: 20 grow, 12 fade")
    found = diagnose(case.run(), rerun=False)
    wrong = Known("carried", {"carried": 32}, entry=3.0, turns=(40,), says="nothing").misses(found)
    assert wrong == [
        "exploding for carried",
        "groups 20 exploding, 12 vanishing for 32 carried",
        "entry 0.00 for 3.00",
        "no turn at lag 40",
        "does not say: nothing",
    ]


def test_weights_of_a_file_are_run_as_they_are():
    case = named("chain of 4, x5, T = 200")
    cell, params, x = case.parts()
    assert (cell.name, cell.activation.name, x.shape[0]) == ("elman", "identity", 200)
    assert params["W_hh"][0].tolist() == chain(4, 0.8, 5.0).tolist()
    assert isinstance(case.given, Given)


def test_the_tables():
    rows = [
        tables.Row(0, "vanishing", "vanishing", "-1.0"),
        tables.Row(1, "vanishing", "carried", "-0.1", ["carried for vanishing"], [("leak", 0.2), ("leak", -0.4)], True),
    ]
    text = "\n".join(tables.tables(rows))
    assert "| **vanishing** |  |  |  | 1 |" in text
    assert "0 of 1 configurations of the report half are diagnosed as what they are; of the tuning half 1 of 1." in text
    assert f"| {CASES[1].name} | report | carried for vanishing | -0.1 |" in text
    assert f"| {CASES[0].kind} | {CASES[0].source} | 2 vanishing | 1 of 2 |" in text
    assert "| leak | 2 | 0.300 | 0.380 |" in text
    assert "Of 1 nets whose gradient is not carried, 1 have a remedy" in text
    assert tables.errors_table(rows[:1]) == ["None."]


@pytest.mark.slow
def test_the_documented_tables():
    rows = tables.assess_all()
    document, cases = ((DOCS / name).read_text("utf-8") for name in ("diagnosis.md", "diagnosis-cases.md"))
    report = [row for row in rows if half(row.index) == "report"]
    for table in (tables.confusion_table(report), [tables.accuracy(rows)], tables.kinds_table(rows)):
        assert "\n".join(table) in document
    for row in rows:
        if row.misses:
            assert f"| {CASES[row.index].name} | {half(row.index)} | {'; '.join(row.misses)} |" in document
        assert f"| {CASES[row.index].name} | {half(row.index)} | {row.known} | {row.found} |" in cases
    assert {row.known for row in rows} == set(tables.WORDS)
