"""The figure of runs that are compared: what it draws, where its labels stand, what hovering says."""

import re

import numpy as np
import pytest

import gradlab
from gradlab import RunConfig, plots
from gradlab.plots.colours import series_style
from gradlab.plots.compare import shortened
from gradlab.runs.comparison import plan

from ..plotting import LN10, named, words_of
from ..runs.test_comparison import fading, made

SMALL = {"steps": 40, "hidden_size": 8, "batch_size": 4}
LSTM = RunConfig(cell="lstm", **SMALL)


@pytest.fixture(scope="module")
def compared():
    runs = [RunConfig(**SMALL), LSTM, LSTM.replace(steps=20, forget_bias=1.0), LSTM.replace(attention="dot")]
    return gradlab.compare(runs, seeds=3)


@pytest.fixture(scope="module")
def fig(compared):
    return plots.comparison(compared)


def test_each_line_is_the_median_over_seeds(compared, fig):
    for n, name in enumerate(compared.run.values):
        (line,) = named(fig, name)
        colour, dash = series_style(n, plots.THEMES["light"])
        assert (line.line.color, line.line.dash) == (colour, dash)
        np.testing.assert_allclose(line.x, np.arange(40))
        np.testing.assert_allclose(line.y, compared.log_input_share[n].median("seed") / LN10, rtol=1e-6, atol=1e-6)


def test_bands_hold_the_seeds_and_theory_is_thin(compared, fig):
    assert sum(trace.fill == "toself" for trace in fig.data) == 4
    (theory,) = named(fig, "theory: Elman")
    np.testing.assert_allclose(
        theory.y, float(compared.theory_log_rate[0]) * np.arange(40) / LN10, rtol=1e-6, atol=1e-6
    )
    assert (
        theory.line.width < named(fig, "Elman")[0].line.width and theory.line.color == named(fig, "Elman")[0].line.color
    )
    assert not named(fig, "theory: LSTM, dot attention")
    (shorter,) = named(fig, "theory: LSTM, steps 20, forget bias 1")
    assert np.isfinite(shorter.y[:20]).all() and np.isnan(shorter.y[20:]).all()


def test_hovering_shows_all_runs_at_a_lag(compared, fig):
    assert (fig.layout.hovermode, fig.layout.hoversubplots) == ("x", "axis")
    told = [trace for trace in fig.data if trace.hoverinfo != "skip"]
    assert [trace.name for trace in told] == list(compared.run.values)
    assert re.fullmatch(r"[\d.]+ ?%?|10<sup>.*", told[0].text[10])


def test_the_loss_is_on_the_right(fig):
    assert list(fig.layout.xaxis.range) == [39.5, -0.5]
    assert fig.layout.xaxis.title.text == "steps back from the last"


def test_of_trees_the_axis_counts_levels():
    tree = RunConfig(architecture="tree", **SMALL)
    assert plots.comparison(gradlab.compare([tree], 1)).layout.xaxis.title.text == "levels below the root"
    both = gradlab.compare([tree, LSTM], 1)
    title = plots.comparison(both).layout.xaxis.title.text
    assert title == "steps back from the last, or levels below the root"


def test_labels_stand_at_the_lines_ends_and_never_on_each_other():
    alike = made(*([fading(-0.5 - 1e-4 * n)] for n in range(6)))
    fig = plots.comparison(alike)
    labels = [a for a in fig.layout.annotations if a.xanchor == "right" and a.x == 0]
    places = sorted(a.y * (fig.layout.height - fig.layout.margin.b) for a in labels)
    assert len(labels) == 6 and min(np.diff(places)) >= 13
    by_end = sorted(labels, key=lambda a: -a.y)
    assert [a.text.partition(" <")[0] for a in by_end] == [f"gain {n}" for n in range(1, 7)]


def test_what_is_still_to_come_is_left_out():
    chosen = plan([RunConfig(**SMALL), LSTM], 3)
    nothing = plots.comparison(chosen.dataset({}))
    assert not [a for a in nothing.layout.annotations if a.xanchor == "right" and a.x == 0]
    one = {chosen.wanted[0]: gradlab.runs.comparison.one_seed(chosen.wanted[0])}
    fig = plots.comparison(chosen.dataset(one))
    assert "0 to 1 seeds so far" in words_of(fig) and not [t for t in fig.data if t.fill]


def test_exact_zeros_are_marked():
    dead = np.append(fading(-0.1, 15), [-np.inf] * 5)
    (marks,) = (t for t in plots.comparison(made([dead])).data if t.mode == "markers")
    assert list(marks.x) == [15, 16, 17, 18, 19] and marks.text[0] == "exactly zero"


def test_names_are_no_markup():
    ds = gradlab.compare({"<b>x</b>": LSTM}, seeds=1)
    fig = plots.comparison(ds)
    assert "&lt;b&gt;x&lt;/b&gt;" in words_of(fig) and fig.data[0].name == "&lt;b&gt;x&lt;/b&gt;"


@pytest.mark.parametrize(("letters", "text"), [(40, "LSTM, additive attention"), (13, "LSTM, …ention"), (4, "L…on")])
def test_long_labels_keep_their_ends(letters, text):
    assert shortened("LSTM, additive attention", letters) == text


def test_a_report_needs_no_network_and_names_every_run(compared):
    page = plots.comparison_report(compared, "The headline", ["A detail: x0.5"])
    for text in ("The headline", "×0.5", "forget bias 1", "Configuration of LSTM", "per step back", "gradlab.analyze("):
        assert text in page
    assert page.count("Plotly.newPlot") == 1 and 'src="http' not in page
