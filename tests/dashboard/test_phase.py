"""Phase without a browser: the map's figure, the chosen point in words, links that say the same again."""

import math
import re
import time
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from dash import no_update

import gradlab
from dashboard import shell
from dashboard.pages.phase import draw as phase_draw
from gradlab import theory
from gradlab.config import RunConfig
from gradlab.config.links import from_query
from gradlab.errors import InputError
from gradlab.plots import PHASE_STEPS, phase_diagram
from gradlab.plots.colours import LN10, THEMES
from tests.plotting import each_theme, words_of
from tests.views import words

X, Y = ("sigma_w", np.array([0.5, 1.0, 1.5, 2.0])), ("sigma_b", np.array([0.0, 0.5, 1.0]))
CHI = np.outer([1.0, 0.8, 0.6], [0.25, 0.9, 1.5, 2.5])
FIELDS = {"chi": CHI, "log_rate": 0.5 * np.log(CHI)}


def request(base: str = "v=1", axes: str = "w-b", activation: str = "tanh", **sigmas: Any) -> phase_draw.Request:
    values = {"activation": activation, "axes": axes, "sigma_w": 1.0, "sigma_b": 0.1, "sigma_v": 1.0} | sigmas
    return phase_draw.Request(phase_draw.Values(**values), base, "light", narrow=False)


# the figure


def test_the_colour_is_what_is_left_after_the_steps_it_names():
    fig = phase_diagram(FIELDS, X, Y)
    heat = fig.data[0]
    np.testing.assert_allclose(heat.z, np.clip(PHASE_STEPS * 0.5 * np.log(CHI) / LN10, -12, 12), rtol=1e-6)
    assert (heat.zmin, heat.zmax) == (-12, 12)
    assert f"after {PHASE_STEPS} steps" in words_of(fig)
    np.testing.assert_allclose(heat.customdata[..., 0], np.sqrt(CHI), rtol=1e-6)
    np.testing.assert_allclose(heat.customdata[..., 2], 1 / np.abs(0.5 * np.log(CHI))[:, :], rtol=1e-5)


def test_lines_of_equal_chi_are_those_within_the_map_and_the_critical_one_is_thick():
    lines = {trace.contours.start: trace.line.width for trace in phase_diagram(FIELDS, X, Y).data[1:]}
    assert set(lines) == {0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0}
    assert lines.pop(1.0) > max(lines.values())


def test_a_map_without_a_critical_line_does_not_name_one():
    low = {name: values - 2 for name, values in FIELDS.items()} | {"chi": CHI / 10}
    assert "critical" in words_of(phase_diagram(FIELDS, X, Y))
    assert "critical" not in words_of(phase_diagram(low, X, Y))


@each_theme
def test_the_point_is_marked(theme):
    fig = phase_diagram(FIELDS, X, Y, (1.2, 0.3), theme)
    assert (fig.data[-1].x, fig.data[-1].y) == ((1.2,), (0.3,))
    assert {(s.x0, s.x1) for s in fig.layout.shapes} == {(0, 1), (1.2, 1.2)}
    assert fig.layout.font.color == THEMES[theme].text
    assert len(phase_diagram(FIELDS, X, Y, None, theme).data) == len(fig.data) - 1


def test_chi_of_zero_and_of_infinite_rate_draw():
    chi = np.array([[0.0, 1.0], [1.0, 4.0]])
    with np.errstate(divide="ignore"):
        fig = phase_diagram({"chi": chi, "log_rate": 0.5 * np.log(chi)}, ("sigma_w", [0, 1]), ("sigma_v", [0, 1]))
    assert fig.data[0].z[0, 0] == -12 and np.isfinite(fig.data[0].z).all()


@pytest.mark.parametrize(
    "fields, text",
    [
        ({"chi": CHI}, "a phase map needs chi and log_rate, got chi; use theory.phase_map"),
        (FIELDS | {"chi": CHI.T}, r"chi: expected the shape \(len\(y\), len\(x\)\) = \(3, 4\), got \(4, 3\)"),
    ],
)
def test_other_fields_are_refused(fields, text):
    with pytest.raises(InputError, match=text):
        phase_diagram(fields, X, Y)
    with pytest.raises(InputError, match="unknown theme 'sepia'"):
        phase_diagram(FIELDS, X, Y, theme="sepia")


# the point in words


def test_the_words_say_what_the_theory_says():
    drawn = phase_draw.draw(phase_draw.read("?gain=1.5&input_scale=0")[0], "light", False)
    assert words(drawn["verdict"]) == "▲Chaotic phase: the gradient explodes, ×1.07 per step back."
    assert words(drawn["details"]).startswith("Mean-field theory: χ1 = 1.14.")
    assert "grows by a factor e in 15.3 steps; 100 steps back 10" in words(drawn["details"])  # 1 / 0.06521721
    assert words(drawn["details"]).endswith("the critical gain of an infinitely wide net is 1.")


@pytest.mark.parametrize(
    "query, kind, text",
    [
        ("gain=1", "vanishing", "Ordered phase: the gradient vanishes"),
        ("gain=1.86", "carried", "Near the critical line: the gradient is carried"),
        ("gain=3", "exploding", "Chaotic phase: the gradient explodes"),
        ("gain=2&activation=relu", "overflow", "No steady state: activity grows without limit"),
    ],
)
def test_each_phase_has_its_look(query, kind, text):
    view, notices = phase_draw.read(f"?{query}")
    found = theory.mean_field(view.config.activation, **view.scales)
    assert phase_draw.kind(found) == kind and not notices
    assert phase_draw.headline(found).startswith(text)


def test_the_class_is_that_of_a_run_of_a_hundred_steps():
    config = RunConfig(gain=1.6)
    found = theory.mean_field("tanh", 1.6, 0.0, 1.0)
    assert phase_draw.kind(found) == gradlab.verdict(gradlab.analyze(config)).word == "vanishing"


def test_a_dead_net_has_words_too():
    found = theory.mean_field("tanh", 0.0, 0.0, 1.0)
    assert phase_draw.headline(found) == "Ordered phase: the gradient vanishes, x0 per step back."
    assert "Mean-field theory: chi_1 = 0." in phase_draw.details(found, math.nan)


# the table


def test_the_table_holds_the_rates_at_points_of_the_map():
    x, y = (("sigma_w", phase_draw.grid("sigma_w", 4.0)), ("sigma_b", phase_draw.grid("sigma_b", 2.0)))
    rows = phase_draw.rows(phase_draw.phase_map("tanh", ("sigma_w", 4.0), ("sigma_b", 2.0), 1.0), x, y)
    assert [row["σ_b"] for row in rows][0] == "2" and [row["σ_b"] for row in rows][-1] == "0"
    gain = list(rows[0])[-1]
    assert gain == "4"
    rate = math.exp(theory.mean_field("tanh", 4.0, 2.0, 1.0).log_rate)
    assert rows[0][gain] == f"x{rate:.2f}"


# state


@pytest.mark.parametrize("axes", phase_draw.AXES)
def test_a_link_reproduces_the_page(axes):
    query = "gain=2.5&bias_scale=0.3&input_scale=0.7&activation=relu&steps=40&pin=gain%3D3"
    view, _ = phase_draw.read(f"?{query}&axes={axes}")
    again, notices = phase_draw.read(view.address)
    assert again == view and not notices
    assert view.scales == {"sigma_w": 2.5, "sigma_b": 0.3, "sigma_v": 0.7}
    drawn = phase_draw.show(request(view.address, axes, "relu", **view.scales))
    assert drawn["drawn"]["address"] == view.address


def test_the_link_to_explore_is_a_plain_net_at_the_point():
    view, notices = phase_draw.read("?cell=lstm&forget_bias=1&recurrent_init=orthogonal&leak=0.5&gain=2&axes=b-v")
    assert "The map is about the plain cell with gaussian weights" in notices[0]
    drawn = phase_draw.show(request(view.address, "b-v", sigma_w=2.2, sigma_b=0.4, sigma_v=0.6))
    assert drawn["open"].startswith("/?v=1&")
    link = from_query(drawn["open"].partition("?")[2])
    assert not link.notices
    config = link.config
    assert (config.cell, config.recurrent_init, config.leak, config.weights) == ("elman", "gaussian", 1.0, None)
    assert (config.gain, config.bias_scale, config.input_scale) == (2.2, 0.4, 0.6)
    assert parse_qs(drawn["drawn"]["address"])["axes"] == ["b-v"]


def test_what_a_link_says_wrong_is_named():
    view, notices = phase_draw.read("?axes=q-z&gian=2&activation=tahn")
    assert view.axes == "w-b" and view.config.activation == "tanh"
    text = " ".join(notices)
    assert "expected one of w-b, w-v, b-v, got 'q-z'" in text
    assert "unknown field 'gian'" in text and "unknown activation 'tahn'" in text
    assert phase_draw.read("?axes=%00" + "x" * 5000)[1][0].endswith(r"got '\x00xxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxx'")
    followed = phase_draw.follow("?axes=w-v&bias_scale=0.4")
    assert followed["values"] | {"activation": "tanh", "axes": "w-v", "sigma_b": 0.4} == followed["values"]
    assert followed["base"] == "?v=1&bias_scale=0.4&axes=w-v"
    assert phase_draw.follow(None)["notices"] == []


@pytest.mark.parametrize("value, text", [(None, "empty field"), ("", "empty field"), (-1, "at least 0"), (1e4, "1000")])
def test_a_wrong_value_stands_beside_its_control_and_the_map_stays(value, text):
    drawn = phase_draw.show(request(sigma_b=value))
    said = drawn["errors"]["sigma_b"] or words(drawn["verdict"])
    assert text in said
    assert drawn["figure"] is no_update and drawn["drawn"]["address"] is None


def test_the_axes_say_what_each_scale_is():
    drawn = phase_draw.show(request(axes="w-v"))
    assert drawn["roles"] == {
        "sigma_w": "across the map",
        "sigma_b": "held all over the map",
        "sigma_v": "up the map",
    }
    assert drawn["drawn"]["axes"] == [["gain", 0.05], ["input_scale", 0.05]]
    assert re.match(r"Map of the gradient's rate over σ_w and σ_v\. .*vanishes", drawn["label"])


def test_the_grid_is_of_values_that_the_controls_have():
    for name, field in phase_draw.SIGMAS.items():
        control = gradlab.config.controls()[field]
        values = phase_draw.grid(name, control.max)
        assert (values[0], values[-1]) == (control.min, control.max)
        np.testing.assert_allclose(np.round(values / control.step), values / control.step, atol=1e-9)
        assert 20 < len(values) < 90


@pytest.mark.parametrize(
    "query, ends",
    [
        ("", (4, 2)),
        ("activation=sigmoid", (16, 2)),  # critical at 10.3
        ("activation=sigmoid&gain=40&bias_scale=3", (64, 4)),
        ("gain=1000&axes=w-v&input_scale=700", (1000, 1000)),  # the theory's range
    ],
)
def test_the_axes_reach_the_point_and_the_critical_gain(query, ends):
    view = phase_draw.read(f"?{query}")[0]
    fig = phase_draw.draw(view, "light", False)["figure"]
    assert (fig.layout.xaxis.range[1], fig.layout.yaxis.range[1]) == ends
    assert (fig.data[-1].x[0], fig.data[-1].y[0]) == tuple(view.scales[name] for name in phase_draw.AXES[view.axes])
    assert len(fig.data[0].x) < 90 and fig.data[0].x[-1] == ends[0]


def test_beyond_the_theory_the_headline_says_so():
    drawn = phase_draw.show(request(sigma_w=1e9))
    assert words(drawn["verdict"]) == (
        "No prediction: gain σw: expected a standard deviation (not a variance) from 0 to 1000, got 1e+09"
    )
    assert drawn["figure"] is no_update and words(drawn["details"]) == ""


@pytest.mark.parametrize(
    "field, text, said",
    [
        ("sigma_w", "sigma_w: at most 1000, got 1e9", "gain σw: at most 1000, got 1e9"),
        ("sigma_w", "at most 1000, got 1e9", "gain σw: at most 1000, got 1e9"),
        ("sigma_b", "sigma_b: sigma_w is too small for it", "bias scale σb: σw is too small for it"),
        ("activation", "sigma_w is no name", "σw is no name"),
        (None, "sigma_w and sigma_b are both 0", "σw and σb are both 0"),
    ],
)
def test_the_scale_that_an_error_is_about_has_the_name_of_its_control(field, text, said):
    assert words(phase_draw.nothing(InputError(text, field))["verdict"]) == f"No prediction: {said}"


# speed and shell


def test_a_change_is_drawn_quickly():
    phase_draw.show(request())
    took = []
    for n in range(5):
        start = time.thread_time()
        phase_draw.show(request(sigma_w=1.0 + 0.05 * n))
        took.append(time.thread_time() - start)
    assert min(took) < 0.15


def test_the_shell_knows_its_pages():
    page = shell.open_page("/phase/")
    current = [part.children for part in page["navigation"] if "aria-current" in part.to_plotly_json()["props"]]
    assert current == ["Phase"]
    assert "χ₁" in words(page["help"])
    assert "no such page" in words(shell.open_page("/nowhere")["page"])
    assert [link.href for link in shell.open_page("/")["navigation"]] == [
        "/learn",
        "/",
        "/compare",
        "/phase",
        "/train",
    ]
