"""Figures of the tabs, the report and files; figures in a browser."""

import base64
import json
import math
import re
import sys

import numpy as np
import plotly.graph_objects as go
import pytest

from gradlab import plots
from gradlab.errors import InputError
from gradlab.plots.clipped import clipping
from gradlab.plots.panels import number_text
from gradlab.runs.verdicts import verdict

from ..plotting import LN10, fading, named, words_of

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
@pytest.mark.slow
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


def figure_page(fig) -> str:
    return "<body style='margin:8px'>" + fig.to_html(full_html=False, config={"responsive": True}) + "</body>"


BOXES = """selector => [...document.querySelectorAll(selector)].map(e => {
    const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom, e.textContent] })"""


def overlap(a, b) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1


@pytest.mark.parametrize("width", [1100, 390])
@pytest.mark.slow
def test_no_label_is_cut_off_or_covers_another(opened, runs, width):
    pins = [runs[name] for name in ("elman", "exploding", "carried", "gru", "step")]
    page = opened(figure_page(plots.explore(runs["every"], pins)), width)
    labels = page.evaluate(BOXES, ".annotation-text-g text.annotation-text")
    assert len(labels) >= 12
    for left, _, right, _, text in labels:
        assert left >= 0 and right <= width, text
    ends = [box for box in labels if re.search("[━╍┈┅]$", box[4])]
    assert len(ends) == 12
    assert not [(a[4], b[4]) for n, a in enumerate(ends) for b in ends[:n] if overlap(a, b)]


@pytest.mark.parametrize("width", [1100, 390])
@pytest.mark.slow
def test_ticks_are_whole_and_readable(opened, width):
    page = opened(figure_page(plots.explore(fading(20_000, rate=-0.6931472))), width)
    ticks = page.evaluate(BOXES, ".ytick text, .cbaxis text")
    texts = [box[4].replace("\u200b", "") for box in ticks]  # without the zero-width spaces around exponents
    assert "10−4000" in texts and "100" in texts
    assert not [t for t in texts if "NaN" in t or "," in t]
    assert max(box[2] for box in ticks) <= width


@pytest.mark.slow
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
@pytest.mark.slow
def test_report_opens(opened, runs, width):
    found = verdict(runs["every"])
    page = opened(plots.html_report(runs["every"], found.headline, found.details), width)
    assert page.locator("h1").inner_text() == found.headline.replace(" x", " ×")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
