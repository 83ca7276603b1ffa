"""Figures: every one of every run, the overview and its pins."""

import json
import re
from functools import cache

import numpy as np
import pytest
import xarray as xr

from gradlab import plots
from gradlab.errors import InputError
from gradlab.plots.colours import THEMES
from gradlab.plots.gradient import pin_label
from gradlab.runs.shares import share_left

from ..plotting import LN10, each_figure, each_run, fading, named, synthetic, words_of

# every figure, every kind of run; the theme sets colours alone


@pytest.fixture(scope="module")
def drawn(shown):
    """(run, figure) -> the figure; none of the tests changes it."""
    return cache(lambda run, figure: plots.FIGURES[figure](shown(run, figure)))


def assert_in_colours(fig, theme):
    assert fig.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert fig.layout.font.color == THEMES[theme].text


@each_figure
@each_run
def test_every_figure_of_every_run(drawn, run, figure):
    fig = drawn(run, figure)
    assert fig.layout.height > 0
    assert_in_colours(fig, "light")
    assert not re.search(r"\b(nan|inf)\b", words_of(fig).lower())
    for trace in fig.data:
        assert not any("nan" in text or "inf" in text for text in trace.text or ())


@pytest.mark.parametrize("run", ["every", "step"])
@each_figure
def test_every_figure_in_the_dark(shown, run, figure):
    assert_in_colours(plots.FIGURES[figure](shown(run, figure), theme="dark"), "dark")


@each_figure
@each_run
def test_arrays_travel_as_float32(drawn, run, figure):
    for trace in drawn(run, figure).data:
        for values in (trace.x, trace.y, getattr(trace, "z", None)):
            if values is not None and not isinstance(values[0], str):
                huge = np.nanmax(np.abs(values), initial=0) > 3e38  # a gate before an overflow
                assert values.dtype == (np.float64 if huge else np.float32)


@each_run
def test_no_infinity_is_sent(drawn, run):
    for trace in drawn(run, "explore").data:
        values = trace.z if trace.type == "heatmap" else trace.y
        assert not np.isinf(values).any()


@each_figure
def test_unknown_theme(shown, figure):
    with pytest.raises(InputError, match="unknown theme 'drak'. Did you mean 'dark'"):
        plots.FIGURES[figure](shown("elman", figure), theme="drak")


@each_figure
def test_what_the_dataset_lacks_is_named(figure):
    empty = xr.Dataset({"something": 1.0})
    with pytest.raises(InputError, match=r"the figure needs \w+.*gradlab.(analyze|compare).*It holds something"):
        plots.FIGURES[figure](empty)


def test_one_model_at_a_time(runs):
    with pytest.raises(InputError, match=r"a figure shows one model; choose one: ds.isel\(model=0\)"):
        plots.explore(runs["elman"].expand_dims(model=3))


def test_figures_are_described():
    assert all(text.endswith(".") for text in plots.FIGURES.describe().values())


# the overview


def test_one_time_axis_for_all_panels(runs):
    fig = plots.explore(runs["lstm"])
    layout = fig.layout.to_plotly_json()
    assert [name for name in layout if name.startswith("xaxis")] == ["xaxis"]
    assert {trace.xaxis for trace in fig.data} == {"x"}
    domains = [layout[name]["domain"] for name in ("yaxis", "yaxis2", "yaxis3")]
    assert domains[0][0] > domains[1][1] and domains[1][0] > domains[2][1] >= domains[2][0] == pytest.approx(0)
    assert (fig.layout.hovermode, fig.layout.hoversubplots) == ("x", "axis")


def test_overview_height_is_fixed(runs):
    assert plots.explore(runs["elman"]).layout.height == plots.explore(runs["exploding"]).layout.height == 486


@pytest.mark.parametrize("run", ["elman", "exploding", "one sample", "gru"])
def test_curve_is_the_share_of_the_last_step(runs, run):
    (curve,) = named(plots.explore(runs[run]), "h")
    np.testing.assert_allclose(curve.y, share_left(runs[run]) / LN10, rtol=1e-6, atol=1e-6)
    assert curve.y[-1] == 0


def test_states_are_told_apart_by_dash(runs):
    fig = plots.explore(runs["lstm"])
    (h,), c = named(fig, "h"), named(fig, "c")
    assert (h.line.dash, c[0].line.dash) == ("solid", "dash")
    assert {"h ", "c "} <= {a.text[:2] for a in fig.layout.annotations}


def test_band_holds_the_middle_four_fifths():
    logs = np.arange(11.0)[None, :] * np.array([[2.0], [1.0], [0.0]])
    (band,) = [t for t in plots.gradient_flow(synthetic(logs)).data if t.fill == "toself"]
    edges = np.sort(band.y[np.asarray(band.x) == 0]) * LN10
    np.testing.assert_allclose(edges, [2, 18], rtol=1e-6)


def test_no_band_for_one_sample(runs):
    fig = plots.gradient_flow(runs["one sample"])
    assert not [t for t in fig.data if t.fill]
    assert "one sample" in words_of(fig) and "band" not in words_of(fig)


def test_exact_zeros_leave_a_marked_gap():
    logs = np.zeros((21, 3))
    logs[5:10] = -np.inf
    line, marks = named(plots.explore(synthetic(logs)), "h")
    assert np.isnan(line.y[5:10]).all() and np.isfinite(line.y[:5]).all()
    assert set(marks.x) == set(range(5, 10)) and set(marks.text) == {"exactly zero"}
    assert (marks.y >= plots.explore(synthetic(logs)).layout.yaxis.range[0]).all()
    assert set(line.text[5:10]) == {"0"}


def test_zero_cell_gradient_at_the_last_step_is_marked(runs):
    marks = named(plots.explore(runs["lstm"]), "c")[1]
    assert list(marks.x) == [60] and marks.marker.symbol == "circle-open"


def test_a_point_between_gaps_is_visible():
    logs = np.full((6, 1), -np.inf)
    logs[-1] = 0
    line = named(plots.explore(synthetic(logs)), "h")[0]
    assert line.mode == "lines+markers" and list(np.flatnonzero(line.marker.size)) == [5]


def test_ten_thousand_decades_are_labelled():
    fig = plots.explore(fading(20_000, rate=-0.6931472))
    axis = fig.layout.yaxis
    assert axis.range[0] < -6020 and axis.type != "log"
    assert (axis.tickprefix, axis.ticksuffix, axis.exponentformat) == ("10<sup>", "</sup>", "none")
    assert fig.layout.separators == "."  # 10^-20000, not 10^-20,000


def test_lines_are_decimated():
    (curve,) = named(plots.explore(fading(20_000)), "h")
    assert 1000 < len(curve.y) <= 2000
    assert (curve.x[0], curve.x[-1]) == (0, 20_000)


@pytest.mark.parametrize(("rate", "present"), [(-1.0, True), (-0.1, False), (0.5, False)])
def test_precision_line_where_a_curve_falls_below_it(rate, present):
    fig = plots.explore(fading(30, rate))
    assert ("below float32 precision" in words_of(fig)) == present
    assert "1: as at the last step" in words_of(fig)


@pytest.mark.parametrize(("spread", "anchor"), [([-0.1, -0.05], "bottom"), ([0.1, 0.05], "top"), ([-0.1, 0.1], None)])
def test_the_words_of_the_line_at_1_cover_no_curve(spread, anchor):
    logs = np.repeat(np.array(spread)[None], 31, axis=0)
    logs[-1] = 0.0
    found = [a for a in plots.gradient_flow(synthetic(logs)).layout.annotations if "as at the last" in a.text]
    assert [a.yanchor for a in found] == ([anchor] if anchor else [])


def test_loss_at_every_step_comes_with_its_note(runs):
    fig = plots.explore(runs["every"])
    (curve,) = named(fig, "loss at every step")
    assert curve.y[-1] == 0
    assert "contains each step's own loss; says nothing about distance" in words_of(fig)
    assert "own loss" not in words_of(plots.explore(runs["lstm"]))


def test_loss_without_a_last_step_is_relative_to_its_largest():
    ds = fading(5)
    logs = np.array([0.0, 3.0, 1.0, -np.inf, -np.inf, -np.inf])
    ds["log_loss_grad_norm"] = ds.log_grad_norm.copy(data=np.repeat(logs[:, None], 3, 1)[None])
    curve = named(plots.explore(ds), "loss at every step")[0]
    np.testing.assert_allclose(curve.y[:3] * LN10, [-3, 0, -2], rtol=1e-6)


def test_clipping_inside_backprop_shows_both_curves(runs):
    ds = runs["step"]
    (before,), (after,) = (named(plots.explore(ds), name) for name in ("before clipping", "h"))
    assert after.y[-1] == 0
    assert (before.y >= after.y - 1e-6).all()


def test_overflow_is_said(runs):
    fig = plots.explore(runs["overflow"])
    ended = int((runs["overflow"].valid_steps < 40).sum())
    assert ended > 0
    assert f"{ended} of 8 samples overflowed: each is drawn up to its last step" in words_of(fig)


def test_shorter_samples_are_said():
    logs = np.zeros((6, 2))
    logs[4:, 1] = np.nan
    fig = plots.explore(synthetic(logs, valid=[5, 3]))
    assert "1 of 2 samples are shorter" in words_of(fig)


# pins


def test_pins_are_thin_labelled_and_aligned_at_the_last_step():
    short, long = fading(10).assign_attrs(label="short"), fading(40, 0.1).assign_attrs(label="long")
    fig = plots.explore(fading(20), [short, long])
    (one,), (other,), (own,) = (named(fig, name) for name in ("short", "long", "this run"))
    assert np.isnan(one.y[:10]).all() and one.y[10] * LN10 == pytest.approx(-10)
    assert other.y[0] * LN10 == pytest.approx(2)
    assert one.line.width < own.line.width
    assert len({t.line.dash for t in (one, other, own)}) == len({t.line.color for t in (one, other, own)}) == 3
    assert "short <span" in words_of(fig)


def test_at_most_five_pins():
    with pytest.raises(InputError, match="expected at most 5 pins, got 6"):
        plots.explore(fading(5), [fading(5)] * 6)


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        ({"gain": 3.0}, "gain 3"),
        ({"cell": "lstm"}, "LSTM"),
        ({"cell": "lstm", "forget_bias": "chrono"}, "LSTM, forget bias chrono"),
        ({"steps": 50, "recurrent_init": "orthogonal"}, "orthogonal, steps 50"),
        ({}, "Elman"),
    ],
)
def test_pin_is_named_by_what_sets_it_apart(changed, label):
    config = {"cell": "elman", "gain": 1.0, "recurrent_init": "gaussian", "steps": 100, "forget_bias": 1.0}
    theirs = config | {"forget_bias": 0.0} | changed if "cell" in changed else config | changed
    run, pin = (xr.Dataset(attrs={"config": json.dumps(c), "cell": "Elman"}) for c in (config, theirs))
    assert pin_label(pin, run) == label


def test_long_labels_are_shortened_and_whole_on_hover():
    pin = fading(5).assign_attrs(label="a name that is much too long for a margin")
    fig = plots.explore(fading(5), [pin])
    assert "a name that is …" in words_of(fig)
    assert named(fig, "a name that is much too long for a margin")
