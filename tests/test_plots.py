"""Figures: what they draw, how they stay readable, and what they say about data they cannot draw."""

import base64
import json
import math
import re
import sys
import time

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import gradlab
from gradlab import plots
from gradlab.errors import InputError
from gradlab.plots.clipped import clipping
from gradlab.plots.colours import DASHES, THEMES
from gradlab.plots.gradient import pin_label
from gradlab.plots.overview import against_one
from gradlab.plots.panels import factor_axis, number_text, span, spread
from gradlab.plots.series import by_gradient, decimate, over_samples
from gradlab.verdicts import share_left, verdict

LN10 = math.log(10)
RUNS = {
    "elman": {},
    "exploding": {"gain": 3.0},
    "carried": {"activation": "identity", "recurrent_init": "orthogonal"},
    "lstm": {"cell": "lstm", "forget_bias": 1.0},
    "every": {"cell": "lstm", "loss": "every"},
    "gru": {"cell": "gru"},
    "norm": {"gain": 3.0, "clip": "norm"},
    "step": {"gain": 3.0, "clip": "step_norm"},
    "overflow": {"activation": "relu", "gain": 1e30, "steps": 40},
    "dead": {"activation": "relu", "gain": 0.5, "bias_scale": 1.0},
    "zero": {"gain": 0.0},
    "one sample": {"batch_size": 1},
    "one step": {"steps": 1, "hidden_size": 1, "batch_size": 1},
}
each_theme = pytest.mark.parametrize("theme", THEMES)
each_figure = pytest.mark.parametrize("figure", plots.FIGURES)
each_run = pytest.mark.parametrize("run", RUNS)


@pytest.fixture(scope="module")
def runs():
    small = {"steps": 60, "hidden_size": 16, "batch_size": 8}
    return {name: gradlab.analyze(**{**small, **fields}) for name, fields in RUNS.items()}


def synthetic(logs, unit_logs=None, factors=None, valid=None) -> xr.Dataset:
    """A Dataset with the joint log norms `logs` (time, sample) in its only state, all else plain."""
    logs = np.asarray(logs, dtype=float)
    times, samples = logs.shape
    units = np.zeros((times, 4)) if unit_logs is None else np.asarray(unit_logs, dtype=float)
    factors = np.ones(times - 1) if factors is None else np.asarray(factors, dtype=float)
    one_step = np.repeat(factors[:, None], samples, axis=1)
    return xr.Dataset(
        {
            "log_grad_norm": (("state", "time", "sample"), logs[None]),
            "jacobian_frobenius": (("step", "sample"), one_step * np.sqrt(units.shape[1])),
            "jacobian_spectral": (("step", "sample"), 1.5 * one_step),
            "log_grad_unit": (("time", "unit"), units),
            "valid_steps": ("sample", np.full(samples, times - 1) if valid is None else valid),
        },
        {
            "time": range(times),
            "step": range(1, times),
            "state": ["h"],
            "index": range(units.shape[1]),
        },
        {"overflow": "[]"},
    )


def fading(steps, rate=-1.0, samples=3) -> xr.Dataset:
    """ln norms that change by `rate` at every step back."""
    return synthetic(np.repeat(rate * np.arange(steps, -1.0, -1)[:, None], samples, axis=1))


def named(fig, name, axis="y") -> list:
    return [trace for trace in fig.data if trace.name == name and trace.yaxis == axis]


def words_of(fig) -> str:
    return "\n".join(annotation.text for annotation in fig.layout.annotations)


# every figure, every kind of run, both themes


@each_theme
@each_figure
@each_run
def test_every_figure_of_every_run(runs, run, figure, theme):
    fig = plots.FIGURES[figure](runs[run], theme=theme)
    assert fig.layout.height > 0
    assert fig.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert fig.layout.font.color == THEMES[theme].text
    assert not re.search(r"\b(nan|inf)\b", words_of(fig).lower())
    for trace in fig.data:
        assert not any("nan" in text or "inf" in text for text in trace.text or ())


@each_figure
@each_run
def test_arrays_travel_as_float32(runs, run, figure):
    for trace in plots.FIGURES[figure](runs[run]).data:
        for values in (trace.x, trace.y, getattr(trace, "z", None)):
            if values is not None and not isinstance(values[0], str):
                huge = np.nanmax(np.abs(values), initial=0) > 3e38  # a gate before an overflow
                assert values.dtype == (np.float64 if huge else np.float32)


@each_run
def test_no_infinity_is_sent(runs, run):
    for trace in plots.explore(runs[run]).data:
        values = trace.z if trace.type == "heatmap" else trace.y
        assert not np.isinf(values).any()


@each_figure
def test_unknown_theme(runs, figure):
    with pytest.raises(InputError, match="unknown theme 'drak'. Did you mean 'dark'"):
        plots.FIGURES[figure](runs["elman"], theme="drak")


@each_figure
def test_what_the_dataset_lacks_is_named(figure):
    empty = xr.Dataset({"something": 1.0})
    with pytest.raises(InputError, match=r"the figure needs \w+.*gradlab.analyze.*It holds something"):
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
    assert plots.explore(runs["elman"]).layout.height == plots.explore(runs["exploding"]).layout.height == 516


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
        ({"cell": "lstm"}, "lstm"),
        ({"cell": "lstm", "forget_bias": "chrono"}, "lstm, forget bias chrono"),
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


# one-step factors


def test_typical_and_largest_factor(runs):
    ds = runs["lstm"]
    fig = plots.one_step(ds)
    typical = named(fig, "typical")[-1]
    np.testing.assert_allclose(10.0**typical.y, np.median(ds.jacobian_frobenius, axis=1) / np.sqrt(2 * 16), rtol=1e-5)
    (largest,) = named(fig, "largest possible")
    np.testing.assert_allclose(10.0**largest.y, np.median(ds.jacobian_spectral, axis=1), rtol=1e-5)
    assert largest.line.width < named(fig, "typical")[0].line.width


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
    assert "1: average at the last step" in words_of(plots.unit_map(runs["exploding"]))


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


# other tabs


def test_weights_show_eigenvalues_in_a_square_with_the_unit_circle(runs):
    ds = runs["lstm"]
    fig = plots.weights(ds)
    points = [t for t in fig.data if t.mode == "markers"]
    assert [t.name for t in points] == list("ifgo")
    np.testing.assert_allclose(points[1].y, ds.recurrent_eigenvalues.sel(recurrent_gate="f", part="imag"), rtol=1e-6)
    assert len({t.marker.symbol for t in points}) == 4
    assert fig.layout.yaxis.scaleanchor == "x" and fig.layout.xaxis.range == fig.layout.yaxis.range
    (circle,) = [s for s in fig.layout.shapes if s.type == "circle"]
    assert (circle.x0, circle.x1, circle.y0, circle.y1) == (-1, 1, -1, 1)
    assert all(f"</span> {gate}" in words_of(fig) for gate in "ifgo")


def test_gates_stay_in_view(runs):
    fig = plots.gates(runs["gru"])
    assert [t.name for t in fig.data if t.yaxis == "y"] == list(runs["gru"].gate.values)
    assert fig.layout.yaxis2.range == (-0.05, 1.05)


def test_paths_show_shares_and_factors(runs):
    ds = runs["lstm"]
    fig = plots.paths(ds)
    (carry,) = named(fig, "carry")
    np.testing.assert_allclose(carry.y, ds.path_share.sel(path="carry").median("sample"), rtol=1e-5)
    (alone,) = named(fig, "carry", "y2")
    np.testing.assert_allclose(
        10.0**alone.y, ds.jacobian_path_norm.sel(path="carry").median("sample") / np.sqrt(32), rtol=1e-5
    )


def test_a_path_that_is_closed_is_marked(runs):
    line, marks = named(plots.paths(runs["elman"]), "carry", "y2")
    assert np.isnan(line.y).all() and marks.text[0] == "exactly zero"


def test_parameters_name_the_whole_norm(runs):
    ds = runs["elman"]
    total = number_text(float(ds.log_weight_grad_norm.sel(parameter="W_hh")))
    (line,) = named(plots.parameters(ds), f"W_hh {total}")[:1]
    np.testing.assert_allclose(
        line.y[1:] * LN10, ds.log_weight_grad_step_norm.sel(parameter="W_hh")[1:], rtol=1e-5, atol=1e-5
    )


def test_clipped_update_shows_norms_threshold_and_angle(runs):
    ds = runs["norm"]
    fig = plots.clipping(ds)
    (dots,) = fig.data
    assert dots.y[:2] == ("before", "after")
    np.testing.assert_allclose(dots.x[:2] * LN10, ds.log_update_norm, rtol=1e-5)
    (threshold,) = fig.layout.shapes
    assert threshold.x0 == pytest.approx(math.log10(float(ds.clip_threshold)))
    assert "not the gradient flow" in words_of(fig) and "kept the parameter gradient's direction" in words_of(fig)


def test_clipping_inside_backprop_shows_the_flow_and_the_angle(runs):
    fig = plots.clipping(runs["step"])
    assert named(fig, "before clipping")
    assert re.search(r"threshold 0.5; turned the parameter gradient by [\d.]+°", words_of(fig))


def test_without_clipping_the_norms_for_a_threshold(runs):
    ds = runs["elman"]
    (dots,) = clipping(ds).data
    whole = 0.5 * np.log(np.exp(2 * ds.log_weight_grad_norm).sum())
    assert dots.y[0] == "all" and dots.x[0] * LN10 == pytest.approx(float(whole), rel=1e-5)
    assert "clipping is off" in words_of(clipping(ds))


def test_input():
    x = np.random.default_rng(0).normal(size=(30, 2, 7))
    fig = plots.data(x)
    assert [t.name for t in fig.data] == [f"feature {n}" for n in range(1, 6)]
    np.testing.assert_allclose(fig.data[2].y, x[:, 0, 2], rtol=1e-6)
    assert "first of 2 samples, first 5 of 7 features" in words_of(fig)


@pytest.mark.parametrize("shape", [(30, 2), (0, 2, 3)])
def test_input_of_another_shape(shape):
    with pytest.raises(InputError, match=rf"x: expected shape \(T, B, D\) .*, got {re.escape(str(shape))}"):
        plots.data(np.zeros(shape))


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


# report and files


def test_report_is_one_page_without_the_network(runs):
    ds = runs["norm"]
    page = plots.html_report(ds, "It <grows>.", ["Step 1 of 60 gets 10^5."])
    assert "<h1>It &lt;grows&gt;.</h1>" in page and "10<sup>5</sup>" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", page)
    assert len(re.findall(r"\* plotly\.js v", page)) == 1
    assert page.count('class="plotly-graph-div"') == 6
    assert '<th scope="row">clip</th><td>norm</td>' in page
    assert '<th scope="col">share left</th>' in page


def test_report_of_own_arrays_has_no_configuration(runs):
    ds = runs["elman"].copy()
    del ds.attrs["config"]
    assert "<h2>Configuration" not in plots.html_report(ds, "", [])


@pytest.mark.parametrize("name", ["fig.html", "fig.json", "FIG.HTML"])
def test_save(tmp_path, runs, name):
    plots.save(plots.gradient_flow(runs["elman"], theme="dark"), tmp_path / name)
    text = (tmp_path / name).read_text("utf-8")
    if name.endswith("json"):
        assert go.Figure(json.loads(text)).layout.height > 0
    else:
        assert '"paper_bgcolor":"#1a1b1e"' in text


def test_saved_arrays_are_binary(runs):
    (curve,) = [t for t in json.loads(plots.gradient_flow(runs["elman"]).to_json())["data"] if t.get("name") == "h"]
    assert curve["y"]["dtype"] == "f4"
    assert len(base64.b64decode(curve["y"]["bdata"])) == 4 * 61


@pytest.mark.browser
def test_save_png(tmp_path, runs):
    pytest.importorskip("kaleido")
    plots.save(plots.gradient_flow(runs["elman"]), tmp_path / "fig.png")
    assert (tmp_path / "fig.png").read_bytes().startswith(b"\x89PNG")


def test_save_with_an_unknown_suffix(tmp_path):
    with pytest.raises(InputError, match=r"fig.pdf: a figure is saved as .html, .json, .png, not '.pdf'"):
        plots.save(go.Figure(), tmp_path / "fig.pdf")


def test_save_where_nothing_can_be_written(tmp_path):
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        plots.save(go.Figure(), tmp_path / "missing" / "fig.json")


def test_png_without_kaleido(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(InputError, match=re.escape("a .png needs kaleido: pip install 'gradlab[export]'")):
        plots.save(go.Figure(), tmp_path / "fig.png")


def test_png_without_a_browser(tmp_path, monkeypatch):
    def no_browser(*args, **kwargs):
        raise RuntimeError("\n\nKaleido requires Google Chrome to be installed.\n\nEither download")

    monkeypatch.setattr(pytest.importorskip("kaleido"), "calc_fig_sync", no_browser)
    with pytest.raises(InputError, match=r"Chrome to be installed. Install Chromium or Chrome, or save .html"):
        plots.save(go.Figure(), tmp_path / "fig.png")


# in a browser


@pytest.fixture
def opened(browser, tmp_path):
    """Open HTML at a width; fails on console errors and on requests beyond the file."""
    problems = []
    pages = []

    def open_page(html: str, width: int):
        (tmp_path / "page.html").write_text(html, "utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on(
            "request", lambda r: problems.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None
        )
        page.goto(f"file://{tmp_path}/page.html")
        page.wait_for_function(
            "[...document.querySelectorAll('.plotly-graph-div')].every(d => d.querySelector('.xtick'))"
        )
        return page

    yield open_page
    for page in pages:
        page.close()
    assert problems == []


def figure_page(fig) -> str:
    return "<body style='margin:8px'>" + fig.to_html(full_html=False, config={"responsive": True}) + "</body>"


BOXES = """selector => [...document.querySelectorAll(selector)].map(e => {
    const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom, e.textContent] })"""


def overlap(a, b) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1


@pytest.mark.parametrize("width", [1100, 390])
def test_no_label_is_cut_off_or_covers_another(opened, runs, width):
    pins = [runs[name] for name in ("elman", "exploding", "carried", "gru", "step")]
    page = opened(figure_page(plots.explore(runs["every"], pins)), width)
    labels = page.evaluate(BOXES, ".annotation-text-g text.annotation-text")
    assert len(labels) >= 12
    for left, _, right, _, text in labels:
        assert left >= 0 and right <= width, text
    ends = [box for box in labels if re.search("[━╍┈┅]$", box[4])]
    assert len(ends) == 11
    assert not [(a[4], b[4]) for n, a in enumerate(ends) for b in ends[:n] if overlap(a, b)]


@pytest.mark.parametrize("width", [1100, 390])
def test_ticks_are_whole_and_readable(opened, width):
    page = opened(figure_page(plots.explore(fading(20_000, rate=-0.6931472))), width)
    ticks = page.evaluate(BOXES, ".ytick text, .cbaxis text")
    texts = [box[4].replace("\u200b", "") for box in ticks]  # without the zero-width spaces around exponents
    assert "10−4000" in texts and "100" in texts
    assert not [t for t in texts if "NaN" in t or "," in t]
    assert max(box[2] for box in ticks) <= width


def test_one_crosshair_through_all_panels(opened, runs):
    page = opened(figure_page(plots.explore(runs["lstm"])), 1100)
    box = page.locator(".plotly-graph-div").bounding_box()
    page.mouse.move(box["x"] + 500, box["y"] + 400)
    page.mouse.move(box["x"] + 520, box["y"] + 420)
    page.wait_for_selector(".hoverlayer .hovertext")
    hovered = page.evaluate(
        "document.querySelector('.plotly-graph-div')._hoverdata.map(d => [d.data.name || '', d.yaxis._id, d.x])"
    )
    assert {axis for _, axis, _ in hovered} == {"y", "y2", "y3"}
    assert {"h", "c", "typical", "largest possible"} <= {name for name, _, _ in hovered}
    assert len({x for _, _, x in hovered}) == 1
    assert not any("NaN" in text for text in page.locator(".hoverlayer .hovertext").all_text_contents())


@pytest.mark.parametrize("width", [1100, 390])
def test_report_opens(opened, runs, width):
    found = verdict(runs["every"])
    page = opened(plots.html_report(runs["every"], found.headline, found.details), width)
    assert page.locator("h1").inner_text() == found.headline
    assert page.evaluate("document.documentElement.scrollWidth") <= width
