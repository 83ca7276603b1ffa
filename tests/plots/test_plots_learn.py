"""Figures of Learn: what is hidden until it is told, where the guess stands, that axes stand still."""

import math

import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.plots.learn import (
    Curve,
    Scene,
    arrange,
    ellipse_area,
    factor_area,
    guess_place,
    lag_area,
    marked,
    spectrum_area,
    stream_area,
    wall_area,
)
from tests.plotting import LN10, each_theme

CURVES = [Curve("tanh", -0.5 * LN10 * np.arange(51.0), True), Curve("ReLU", 0.1 * LN10 * np.arange(101.0))]


TOLD = Scene()


def main(scene=TOLD):
    return lag_area(CURVES, (-10.0, 2.0), scene)


def drawn(fig):
    """Every finite y that is drawn in the first area."""
    values = [np.asarray(trace.y, float) for trace in fig.data if trace.yaxis in (None, "y")]
    return np.concatenate(values)[np.isfinite(np.concatenate(values))]


@each_theme
def test_before_it_is_told_only_the_last_step_is_drawn(theme):
    hidden = arrange([main(Scene(theme, told=False, at=(20, -3)))], Scene(theme, told=False, at=(20, -3)))
    assert set(drawn(hidden)) == {0.0}
    told = arrange([main(Scene(theme, at=(20, -3)))], Scene(theme, at=(20, -3)))
    assert {-10.0, 0.0} <= set(drawn(told))
    (guess,) = (trace for trace in told.data if trace.name == "your guess")
    assert (guess.x[0], guess.y[0]) == (20, -3)


def test_a_curve_is_what_is_left_in_powers_of_ten():
    tanh = arrange([main()], Scene()).data[0]
    np.testing.assert_allclose(tanh.y, -0.5 * np.arange(51), rtol=1e-6)
    assert len(arrange([main()], Scene()).data[1].x) == 51  # steps that are drawn


def test_axes_and_place_are_the_same_before_and_after():
    scenes = [Scene(told=told, at=(20, -3)) for told in (False, True)]
    figures = [arrange([main(scene), spectrum_area(np.ones(3) + 0j, scene)], scene) for scene in scenes]
    assert len({(*fig.layout.yaxis.range, fig.layout.margin.l, fig.layout.height) for fig in figures}) == 1
    assert guess_place(figures[0], 20) == guess_place(figures[1], 20)


def test_the_guess_stands_over_its_place_on_the_axis():
    fig = arrange([main()], Scene())
    margin, (start, stop) = fig.layout.margin, fig.layout.xaxis.range
    share = (20 - start) / (stop - start)
    place = guess_place(fig, 20)
    assert place["left"] == f"calc({margin.l}px + (100% - {margin.l + margin.r}px) * {share:.5f})"
    low, high = fig.layout.yaxis.domain
    assert float(place["top"].removesuffix("px")) == pytest.approx((1 - high) * fig.layout.height, abs=0.1)
    assert float(place["height"].removesuffix("px")) == pytest.approx((high - low) * fig.layout.height, abs=0.1)


def test_without_room_areas_stand_below_each_other_and_the_second_waits():
    def figure(**scene):
        scene = Scene(**scene)
        return arrange([main(scene), stream_area({"carried": np.full(50, 0.7)}, scene)], scene)

    wide, narrow = figure(), figure(narrow=True)
    assert wide.layout.xaxis2.domain[0] > wide.layout.xaxis.domain[1]
    assert narrow.layout.yaxis2.domain[1] < narrow.layout.yaxis.domain[0] and narrow.layout.height > wide.layout.height
    assert "xaxis2" not in figure(narrow=True, told=False).to_dict()["layout"]


def test_a_dead_curve_ends_on_the_floor():
    dead = Curve("dead", np.array([0.0, *[-math.inf] * 50]))
    area = lag_area([dead], (-10.0, 2.0), Scene())
    assert area.ends[0].y == -10.0
    assert any(trace.get("marker", {}).get("symbol") == "circle-open" for trace in area.traces)


def test_the_dot_waits_for_its_curve():
    assert len(marked(main(), 7, -3.5, TOLD).traces) == len(main().traces) + 1
    assert marked(main(), 7, -3.5, TOLD).traces[-1]["y"] == [-3.5]
    hidden = Scene(told=False)
    assert len(marked(main(hidden), 7, -3.5, hidden).traces) == len(main(hidden).traces)


def test_an_ellipse_is_what_the_product_makes_of_the_circle():
    products = np.stack([np.eye(2), np.diag([0.5, 0.25])])
    area = ellipse_area(products, 1, Scene())
    ring = area.traces[1]
    np.testing.assert_allclose((ring["x"] / 0.5) ** 2 + (ring["y"] / 0.25) ** 2, 1, rtol=1e-5)
    assert area.traces[-1]["x"].tolist() == [0.0, 0.5]


def test_factors_so_far_are_in_colour():
    bars = factor_area(np.array([0.9, 0.5, 0.7]), 1.0, 2, Scene()).traces[0]
    colours = bars["marker"]["color"]
    assert colours[0] == colours[1] != colours[2]


def test_streams_fill_the_whole_and_negative_shares_are_none():
    area = stream_area({"carried": np.array([0.5, 1.2]), "through the gates": np.array([0.5, -0.2])}, Scene())
    tops = [np.asarray(trace["y"])[:2] for trace in area.traces]
    np.testing.assert_allclose(tops, [[50, 100], [100, 100]])


def test_the_wall_has_its_error_and_its_ways():
    way = np.array([[6.0, -2.6], [5.0, -2.0], [4.0, -1.9]])
    ground, line = wall_area({"clipped": way}, Scene()).traces
    assert ground["z"].max() > 0.5 and ground["z"].min() < 0.05
    np.testing.assert_allclose([line["x"], line["y"]], way.T, rtol=1e-6)


def test_an_unknown_theme_is_refused():
    with pytest.raises(InputError, match="unknown theme 'sepia'"):
        arrange([main()], Scene("sepia"))
