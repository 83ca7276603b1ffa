"""Tables count back from each sample's own last step, and what is exactly zero counts as zero."""

import csv
import io

import numpy as np
import pytest

import gradlab
from gradlab.cli.analyze import table as cli_table
from gradlab.runs.curves import csv_of_curves
from gradlab.runs.shares import ended, share_left
from gradlab.wording import number_text, power_text

T = 24
LENGTHS = {"equal": [T] * 5, "all short": [7] * 5, "mostly short": [4, 4, 4, 4, T], "any": [12, 3, 24, 7, 1]}
each_length = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)


def run(lengths, cell="lstm"):
    made = gradlab.make_cell(cell, input_size=2, hidden_size=4)
    x = np.random.default_rng(0).normal(size=(T, len(lengths), 2))
    return gradlab.analyze(cell=made, params=made.init(1), x=x, lengths=np.array(lengths))


def dying(dead, alive):
    """A relu that some samples switch off for good, and that others keep on."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1, activation="relu")
    params = {"W_xh": np.ones((1, 1, 1)), "W_hh": 0.9 * np.ones((1, 1, 1)), "b_h": np.zeros((1, 1))}
    x = np.ones((T, dead + alive, 1))
    x[:10, :dead] = -100.0
    return gradlab.analyze(cell=cell, params=params, x=x)


def by_lag(values, lasts):
    """Medians (lag,) of numbers (place, sample) from each sample's own last place on."""
    return np.array([np.median(beside) for beside in at_lags(values, lasts)])


def at_lags(values, lasts):
    """For each lag the numbers of the samples that have it."""
    return [[values[n - lag, s] for s, n in enumerate(lasts) if n >= lag] for lag in range(max(lasts) + 1)]


def csv_columns(ds):
    """Name -> the numbers of the CSV, NaN where there is none."""
    lines = list(csv.DictReader(io.StringIO(csv_of_curves(ds))))
    return {name: [float(line[name] or "nan") for line in lines] for name in lines[0]}


@each_length
def test_the_csv_is_by_lag(lengths):
    ds, most = run(lengths), max(lengths)
    columns = csv_columns(ds)
    assert columns["t"] == [*range(most + 1)]
    for state in "hc":
        norms = ds.log_grad_norm.sel(state=state).transpose("time", "sample").values
        found, expected = np.array(columns[f"ln_grad_norm_{state}"][::-1]), by_lag(norms, lengths)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    factors = ds.jacobian_frobenius.transpose("step", "sample").values
    expected = by_lag(factors, np.array(lengths) - 1)
    np.testing.assert_allclose(columns["jacobian_frobenius"][:0:-1], expected, rtol=1e-12)


@each_length
def test_both_tables_are_by_lag(lengths):
    ds, most = run(lengths), max(lengths)
    factors = ds.jacobian_frobenius.transpose("step", "sample").values / np.sqrt(8)
    own = by_lag(factors, np.array(lengths) - 1)
    share = share_left(ended(ds)).values[::-1]
    for row in gradlab.plots.table(ds):
        lag = row["steps back"]
        assert row["step"] == most - lag and row["share left"] == power_text(share[lag])
        assert row["typical factor"] == (number_text(float(np.log(own[lag]))) if lag < most else "")


@pytest.mark.parametrize(("dead", "alive"), [(3, 2), (2, 3), (1, 4), (2, 2), (4, 0)])
def test_zeros_count_in_medians(dead, alive):
    ds = dying(dead, alive)
    logs = np.exp(ds.log_grad_norm.values.reshape(T + 1, -1))
    with np.errstate(divide="ignore"):
        expected = np.log(np.median(logs, axis=1))
    columns = csv_columns(ds)
    if (dead + alive) % 2:
        np.testing.assert_allclose(columns["ln_grad_norm_h"], expected, atol=1e-12)
        np.testing.assert_allclose(columns["ln_share_left"], expected - expected[-1], atol=1e-12)
    assert np.isneginf(columns["ln_grad_norm_h"][0]) == (2 * dead > dead + alive)


def test_the_table_of_the_command_line_is_of_the_samples_of_its_verdict():
    ds = dying(2, 5)
    found = gradlab.verdict(ds)
    rows = {row["steps_back"]: row for row in cli_table(ds, found.steps)}
    assert found.samples == {"carried": 5, "vanishing": 2} or len(found.samples) > 1
    assert rows[10]["typical_factor"] == pytest.approx(0.9)
    assert rows[10]["log_share"] == pytest.approx(10 * np.log(0.9))
