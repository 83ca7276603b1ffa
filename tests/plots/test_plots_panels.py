"""Panels of the overview: one-step factors, units, extreme sizes; the strip; colours and building blocks."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradlab
from gradlab import plots
from gradlab.errors import InputError
from gradlab.plots.colours import DASHES, THEMES
from gradlab.plots.overview import against_one
from gradlab.plots.panels import factor_axis, number_text, span, spread
from gradlab.plots.series import by_gradient, decimate, over_samples
from gradlab.runs.verdicts import verdict

from ..plotting import LN10, each_run, each_theme, fading, named, synthetic, words_of

# one-step factors


def test_typical_and_largest_factor(runs):
    ds = runs["lstm"]
    fig = plots.one_step(ds)
    typical = named(fig, "typical")[-1]
    np.testing.assert_allclose(10.0**typical.y, np.median(ds.jacobian_frobenius, axis=1) / np.sqrt(2 * 16), rtol=1e-5)
    (largest,) = named(fig, "largest possible")
    np.testing.assert_allclose(10.0**largest.y, np.median(ds.jacobian_spectral, axis=1), rtol=1e-5)
    assert largest.line.width < named(fig, "typical")[0].line.width


@pytest.mark.parametrize(
    "about, name",
    [
        ({"samples": 4, "every": 1}, "largest possible"),
        ({"samples": 2, "every": 1}, "largest possible (2 of 4 samples)"),
        ({"samples": 1, "every": 3}, "largest possible (1 of 4 samples, 1 of 3 steps)"),
    ],
)
def test_the_largest_factor_says_of_how_much_it_is(about, name):
    ds = fading(30, samples=4)
    ds.jacobian_spectral.attrs |= about
    assert named(plots.one_step(ds), name)
    assert name in plots.table(ds)[0]


@each_run
def test_rate_is_the_verdicts(runs, run):
    found = verdict(runs[run])
    drawn = [10.0 ** dash.y[0] for dash in named(plots.one_step(runs[run]), "measured rate")]
    assert drawn == pytest.approx([found.rate] if found.steps > 1 and found.rate > 0 else [], rel=1e-5)


def test_typical_factor_is_coloured_against_one():
    look = THEMES["light"]
    below, above, hover = against_one(np.arange(1, 4), np.array([-1.0, 1.0, 0.5]), look)
    assert (below.get("line")["color"], above["line"]["color"]) == (look.below, look.above)
    np.testing.assert_allclose(below["x"][np.isfinite(below["y"])], [1, 1.5])
    np.testing.assert_allclose(above["x"][np.isfinite(above["y"])], [1.5, 2, 3])
    assert hover["text"] == ["0.1", "10", "3.16"] and below["hoverinfo"] == "skip"


def test_factor_of_one_is_neither_below_nor_above(runs):
    colours = {t.line.color for t in named(plots.one_step(runs["carried"]), "typical")}
    assert colours == {THEMES["light"].text}


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (-0.4, 0.4, ["0.5", "1", "2"]),
        (-2.1, 2.1, ["0.01", "0.1", "1", "10", "100"]),
        (11.6, 12.6, ["5×10<sup>11</sup>", "10<sup>12</sup>", "2×10<sup>12</sup>"]),
    ],
)
def test_factor_axis_has_plain_numbers(low, high, texts):
    axis = factor_axis(low, high)
    assert axis["ticktext"] == texts
    assert len(axis["tickvals"]) == len(texts)


def test_factor_axis_over_many_decades_has_powers():
    assert factor_axis(-30, 5)["tickprefix"] == "10<sup>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.64, "0.64"),
        (0.0012345, "0.00123"),
        (1234.4, "1234"),
        (99.96, "100"),
        (4.6e12, "4.6×10^12"),
        (9.96e12, "10^13"),
        (1e-9, "10^-9"),
        (3.14e-200, "3.1×10^-200"),
    ],
)
def test_number_text(value, text):
    with np.errstate(divide="ignore"):
        assert number_text(float(np.log(value))) == text


# units


def test_average_unit_reads_one_at_the_last_step(runs):
    (heat,) = plots.unit_map(runs["elman"]).data
    assert np.sqrt(np.mean(10.0 ** (2 * heat.z[:, -1]))) == pytest.approx(1, rel=1e-5)


def test_units_are_on_the_fixed_scale(runs):
    (heat,) = plots.unit_map(runs["exploding"], theme="dark").data
    assert (heat.zmin, heat.zmax) == (-12, 12)
    assert [list(stop) for stop in heat.colorscale] == plots.colour_scale("dark")
    assert heat.colorbar.ticktext == ("≤10<sup>−12</sup>", "1", "≥10<sup>12</sup>")
    said = words_of(plots.unit_map(runs["exploding"]))
    assert f"rms over all {runs['exploding'].sizes['sample']} samples, by mean gradient" in said


def test_units_are_sorted_by_gradient_or_index():
    logs = np.zeros((3, 3)) + np.array([1.0, -np.inf, 0.5])
    ds = synthetic(np.zeros((3, 1)), unit_logs=logs)
    assert list(by_gradient(logs)) == [1, 2, 0]
    assert list(plots.unit_map(ds).data[0].y) == ["unit 1", "unit 2", "unit 0"]
    (heat,) = plots.unit_map(ds, sort="index").data
    assert list(heat.y) == ["unit 0", "unit 1", "unit 2"]
    assert np.isnan(heat.z[1]).all() and heat.hoverongaps is False


def test_unknown_order_of_units(runs):
    with pytest.raises(InputError, match="unknown order of units 'size'. Valid: gradient, index"):
        plots.unit_map(runs["elman"], sort="size")


def test_heat_map_bins_show_the_largest():
    logs = np.full((1001, 300), -5.0)
    logs[500, 7] = 5.0
    fig = plots.unit_map(synthetic(np.zeros((1001, 1)), unit_logs=logs), sort="index")
    (heat,) = fig.data
    assert heat.z.shape == (100, 334)
    row, column = np.unravel_index(heat.z.argmax(), heat.z.shape)
    assert (row, column) == (7 // 3, 500 // 3)
    assert heat.x0 + column * heat.dx == 499  # the bin 498..500 is drawn around its middle
    assert "each cell shows the largest of 3 steps x 3 units" in words_of(fig)


# sizes


@pytest.mark.parametrize(("steps", "units"), [(1, 1), (2, 1), (1, 300), (20_000, 4)])
def test_extreme_sizes(steps, units):
    ds = synthetic(np.zeros((steps + 1, 2)), unit_logs=np.zeros((steps + 1, units)))
    fig = plots.explore(ds)
    assert list(fig.layout.xaxis.range) == [-0.5, steps + 0.5]
    assert len(fig.to_json()) < 400_000


def test_overview_is_small_and_fast():
    ds = gradlab.analyze(steps=100, hidden_size=64)
    assert len(plots.explore(ds).to_json()) < 200_000
    durations = []
    for _ in range(10):
        start = time.perf_counter()
        plots.explore(ds)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.06  # about 0.015 s; twice the 0.03 s that dragging allows, for a busy machine


# the strip and the table


def test_strip_has_at_most_fifty_boxes(runs):
    boxes = plots.strip(fading(100))
    assert len(boxes) == 50
    assert (boxes[0]["label"], boxes[-1]["label"]) == ("x1-2", "x99-100")
    assert boxes[-1]["log10"] == 0 and boxes[-1]["colour"] == plots.colour_of(0.0)
    assert boxes[0]["log10"] == pytest.approx(-98 / LN10)
    assert boxes[0]["text"] == "x1-2: 10^-43 of the last step's gradient"


@pytest.mark.parametrize(
    ("steps", "most", "labels"), [(3, 50, ["x1", "x2", "x3"]), (5, 2, ["x1-3", "x4-5"]), (1, 1, ["x1"])]
)
def test_strip_labels(steps, most, labels):
    assert [box["label"] for box in plots.strip(fading(steps), most)] == labels


def test_strip_of_an_overflow(runs):
    last = plots.strip(runs["overflow"])[-1]
    assert last["text"] == "x40: not analysed" and math.isnan(last["log10"])


def test_strip_needs_a_box():
    with pytest.raises(InputError, match="expected at least 1 box, got 0"):
        plots.strip(fading(3), 0)


def test_table_rows():
    rows = plots.table(fading(100))
    assert [row["steps back"] for row in rows] == [0, 1, 2, 5, 10, 20, 50, 99, 100]
    assert rows[4] == {
        "steps back": 10,
        "step": 90,
        "share left": "10^-4",
        "typical factor": "1",
        "largest possible": "1.5",
    }
    assert (rows[-1]["step"], rows[-1]["typical factor"]) == (0, "")


def test_table_of_one_step(runs):
    assert [row["step"] for row in plots.table(runs["one step"])] == [1, 0]


# colours


def lightness(colour: str) -> float:
    """CIE L* of "#rrggbb"."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (v / 255 for v in bytes.fromhex(colour[1:]))
    ]
    y = np.dot(linear, [0.2126, 0.7152, 0.0722])
    return 116 * np.cbrt(y) - 16


@each_theme
def test_lightness_is_monotone(theme):
    levels = [lightness(plots.colour_of(decade * LN10, theme)) for decade in np.linspace(-12, 12, 97)]
    steps = np.diff(levels)
    assert (steps < 0.2).all() if theme == "light" else (steps > -0.2).all()
    assert abs(levels[-1] - levels[0]) > 60


@each_theme
def test_colour_of_marks(theme):
    scale = plots.colour_scale(theme)
    assert plots.colour_of(0.0, theme) == scale[1][1]
    assert plots.colour_of(-12 * LN10, theme) == plots.colour_of(-1e6, theme) == scale[0][1]
    assert plots.colour_of(-np.inf, theme) == plots.colour_of(np.nan, theme) == THEMES[theme].page
    assert plots.colour_of(12 * LN10, theme) == plots.colour_of(1e6, theme) == scale[-1][1]


def test_lines_differ_in_dash_as_well_as_in_colour():
    for look in THEMES.values():
        assert len(set(look.series)) == len(look.series) == len(set(DASHES)) == len(DASHES)


@each_theme
def test_words_are_readable(theme):
    look = THEMES[theme]
    for colour in (look.text, look.muted):
        a, b = sorted((((lightness(c) + 16) / 116) ** 3 for c in (colour, look.page)), reverse=True)
        assert (a + 0.05) / (b + 0.05) > 4.5  # WCAG 2 AA


# building blocks


@given(st.lists(st.floats(-50, 400), min_size=1, max_size=9))
def test_spread_labels(wanted):
    placed = spread(wanted, 14, 7, 233)
    assert np.diff(np.sort(placed)).min(initial=99) >= 14 - 1e-9
    assert min(placed) >= 7 - 1e-9 and max(placed) <= 233 + 1e-9
    assert (np.diff(np.array(placed)[np.argsort(wanted, kind="stable")]) > 0).all()


def test_labels_stay_where_they_fit():
    assert spread([100.0, 20.0, 60.0], 14, 7, 233) == [100, 20, 60]
    assert spread([50.0, 50.0], 14, 7, 233) == [43, 57]


@given(st.lists(st.floats(-1e6, 1e6), max_size=5), st.floats(0.1, 3))
def test_span_holds_everything(values, least):
    low, high = span([np.array(values), np.array([np.nan, -np.inf])], least)
    assert low <= min([0, *values]) and high >= max([0, *values])
    assert high - low >= least * 0.999


def test_decimation_keeps_the_extremes():
    y = np.random.default_rng(0).normal(size=20_001)
    y[1234], y[17_000] = 50, -50
    y[5000:5100] = np.nan
    kept = decimate(y)
    assert len(kept) <= 2000 and (np.diff(kept) > 0).all()
    assert {0, 1234, 17_000, 20_000} <= set(kept)
    assert np.isnan(y[kept]).any()


def test_quantiles_without_nan():
    values = np.random.default_rng(0).normal(size=(5, 21))
    low, median, high = over_samples(values)
    np.testing.assert_allclose(median, np.median(values, axis=1))
    np.testing.assert_allclose(low, np.sort(values)[:, 2])
    np.testing.assert_allclose(high, np.sort(values)[:, 18])


def test_quantiles_of_zeros_and_gaps():
    inf, nan = np.inf, np.nan
    _, median, _ = over_samples(np.array([[-inf, -inf, 0.0, 1.0], [nan, 2.0, 4.0, nan], [nan] * 4, [-inf] * 4]))
    np.testing.assert_array_equal(median, [-np.log(2), 3, nan, -inf])
