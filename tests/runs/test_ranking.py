"""The order of the table of a comparison, and what is said of seeds in which exactly nothing is left."""

import numpy as np
import pytest

from gradlab.runs.ranking import order, ranking_rows, said

from .test_comparison import fading, made


def entered(rate, log_entry, steps=120):
    """A curve with that rate of which so little enters at the last step."""
    return np.r_[0.0, log_entry + rate * np.arange(1, steps)]


@pytest.mark.parametrize("small", [1e-4, 1e-7, 0.0])
@pytest.mark.parametrize("first", [0, 1])
def test_of_slopes_that_read_alike_the_table_begins_with_the_run_that_the_headline_names(small, first):
    """The run that keeps less has a slope that is larger by nothing that can be read."""
    curves = [[entered(-0.1, -1.0)], [entered(-0.1 + small, -6.0)]]
    ds = made(*(curves if first == 0 else curves[::-1]))
    assert order(ds)[0] == first
    assert str(ds.run.values[first]).lower() in said(ds).headline.lower().split(" reach")[0].split(" and ")[0]
    assert ranking_rows(ds)[0]["run"] == ds.run.values[first]


def test_random_runs_are_told_in_the_order_of_the_table():
    rng = np.random.default_rng(3)
    for _ in range(50):
        ds = made(*([entered(rate, entry)] for rate, entry in rng.uniform([-0.3, -8], [0.0, 0], (4, 2))))
        assert said(ds).headline.lower().startswith(str(ds.run.values[order(ds)[0]]).lower())


@pytest.mark.parametrize(("zero", "seeds"), [(1, 5), (4, 5), (2, 3)])
def test_of_seeds_with_nothing_left_it_says_how_many_they_are(zero, seeds):
    dead = np.append(fading(-0.1, 15), [-np.inf] * 105)
    ds = made([dead] * zero + [fading(-0.1)] * (seeds - zero), [fading(-0.3)] * seeds, seeds=seeds)
    rows = {row["run"]: row["per step back"] for row in ranking_rows(ds)}
    assert rows[ds.run.values[0]] == f"x0 in {zero} of {seeds} seeds"
    assert "seeds" not in rows[ds.run.values[1]]
    assert f"Gain 1 keeps nothing in {zero} of {seeds} seeds." in said(ds).details


def test_where_nothing_is_left_in_any_seed_the_slope_says_it():
    dead = np.append(fading(-0.1, 15), [-np.inf] * 105)
    ds = made([dead] * 3, seeds=3)
    assert ranking_rows(ds)[0]["per step back"] == "x0" and "in 3 of" not in " ".join(said(ds).details)
