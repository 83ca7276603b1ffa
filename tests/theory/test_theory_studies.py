"""The studies of theory, on seeds that no band was set on."""

import numpy as np
import plotly.graph_objects as go
import pytest

from studies import forget_bias, gaussian_products, mean_field
from studies.report import Row, main


def test_slopes_of_driven_tanh_networks():
    rows, figure = mean_field.study(range(300, 308))
    expected = (-0.5275, -0.3076, -0.0335, 0.2192)
    assert [row.expected for row in rows] == pytest.approx(expected, abs=5e-5)
    assert [row.tolerance for row in rows] == [0.03, 0.03, 0.03, 0.04]
    for row in rows:
        assert row.passed, row
    assert len(figure.data) == 4 * 3 + 3


@pytest.mark.slow
def test_gaussian_products():
    rows, figure = gaussian_products.study(seed=17)
    assert len(rows) == 2 + 20 + 1
    for row in rows:
        assert row.passed, row
    assert isinstance(figure, go.Figure)


@pytest.mark.slow
def test_forget_biases():
    rows, figure = forget_bias.study(seed=5)
    assert [row.tolerance for row in rows] == [2e-3] * 7
    for row in rows:
        assert row.passed, row
    assert len(figure.data) == 2 * len(rows)


@pytest.mark.parametrize(("measured", "code"), [(1.05, 0), (1.2, 1)])
def test_a_script_prints_its_rows_and_fails_where_a_claim_does(measured, code, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["study", "--out", str(tmp_path / "new")])
    with pytest.raises(SystemExit) as stop:
        main("claim", "A claim.\n\nMore.", lambda: ([Row("rate", 1.0, measured, 0.1)], go.Figure()))
    assert stop.value.code == code
    assert (tmp_path / "new" / "claim.html").exists()
    shown = capsys.readouterr().out
    assert shown.startswith("A claim.\n") and f"measured +{measured:.5f}" in shown
    assert ("NO  rate" in shown) == bool(code)


def test_a_number_that_is_missing_does_not_pass():
    assert not Row("rate", 1.0, np.nan, 0.1).passed
