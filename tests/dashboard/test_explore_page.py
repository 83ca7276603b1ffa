"""Explore without a browser: drawing, what follows a release, tabs, files, runs kept."""

import io
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import xarray as xr
from dash import no_update

import gradlab
from dashboard import downloads, form, ids
from dashboard.app import create_app
from dashboard.pages.explore import downloads as explore_downloads
from dashboard.pages.explore import draw as explore_draw
from dashboard.pages.explore import settle as explore_settle
from dashboard.pages.explore import tabs
from dashboard.pages.explore.request import Request, Run
from dashboard.pages.explore.tabs import TABS
from dashboard.work import results, runs
from gradlab.config import RunConfig, controls
from gradlab.config.links import to_query
from gradlab.config.presets import PRESETS
from gradlab.data.uploads import find
from gradlab.errors import InputError
from gradlab.runs import cost
from gradlab.runs.curves import csv_of_curves

from ..views import SMALL, request, stored, walk, words

GOLDEN = Path(__file__).parents[1] / "golden"
pytestmark = pytest.mark.usefixtures("own_cache")


def raising(error: Exception) -> Callable[..., NoReturn]:
    """A function that raises, whatever it is called with."""

    def fail(*_: Any) -> NoReturn:
        raise error

    return fail


# drawing


def test_a_run_is_drawn() -> None:
    drawing = explore_draw.draw(request())
    assert "The gradient vanishes: ×" in words(drawing["verdict"])
    assert drawing["figure"].data
    assert drawing["style"]["height"].endswith("px")
    assert words(drawing["why"]).startswith("Why: ")
    assert re.fullmatch(r"std·√H \d\.\d\d · ρ \d\.\d\d · σmax \d\.\d\d", words(drawing["realised"]))
    assert drawing["drawn"]["strip"] and len(drawing["drawn"]["strip"]["boxes"]) == 20
    assert drawing["drawn"]["props"]["stage"] == {"className": "stage"}
    assert not any(props.get("error") for props in drawing["drawn"]["props"].values())


def test_a_wrong_value_keeps_the_figure() -> None:
    raw = dict(form.raw(SMALL)) | {"gain": -1}
    drawing = explore_draw.draw(Request(raw, "vanishing_tanh"))
    assert "figure" not in drawing and drawing["drawn"]["strip"] is None
    assert "got -1" in drawing["drawn"]["props"]["control-gain"]["error"]
    assert drawing["drawn"]["props"]["stage"] == {"className": "stage stale"}
    assert explore_draw.show(replace(request(), raw=raw))["figure"] is no_update


def test_messages_are_seen_where_controls_may_not_be() -> None:
    raw = dict(form.raw(SMALL)) | {"bias_scale": -1}
    first = explore_draw.draw(Request(raw, "vanishing_tanh", first=True))
    assert first["verdict"] == "Nothing to show yet"
    assert words(first["failure"]).startswith("Bias scale: expected at least 0")
    assert first["drawn"]["props"]["more"] == {"open": True}
    beyond = explore_draw.draw(Request(form.raw(SMALL) | {"steps": 999_999}, "vanishing_tanh", first=True))
    assert words(beyond["failure"]).startswith("Steps: at most 20,000 in the app, got 999,999;")
    narrow = explore_draw.draw(Request(raw, "vanishing_tanh", narrow=True))
    assert words(narrow["failure"]).endswith("The figure shows the last good run.")
    assert explore_draw.draw(Request(raw, "vanishing_tanh"))["failure"] == ""


@pytest.mark.parametrize(
    "fields, field, text",
    [
        ({"steps": 20}, "steps", "the data have 12 steps, fewer than the 20 asked for"),
        ({"steps": 10, "column": "b"}, "column", "unknown column 'b'"),
    ],
)
def test_an_error_of_the_engine_stands_beside_its_control(fields: dict[str, Any], field: str, text: str) -> None:
    key = stored("short.csv", b"a\n" + b"1\n2\n" * 6)
    drawing = explore_draw.draw(Request({**form.raw(SMALL), "input": key, **fields}, "vanishing_tanh"))
    assert text in drawing["drawn"]["props"][ids.control(field)]["error"] and drawing["failure"] == ""


@pytest.mark.parametrize("field, content", [("input", b"a,b\n1,2\n3\n"), ("weights", b"\x80\x02")])
def test_an_error_in_a_file_stands_beside_its_control(field: str, content: bytes) -> None:
    key = stored("bad.csv", content)
    drawing = explore_draw.draw(Request({**form.raw(SMALL), field: key}, "vanishing_tanh"))
    assert "bad.csv" in drawing["drawn"]["props"][ids.control(field)]["error"] and drawing["failure"] == ""


def test_a_defect_is_shown_and_the_page_lives_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(explore_draw, "view", lambda *_: 1 / 0)
    drawing = explore_draw.draw(request())
    text = words(drawing["failure"])
    assert "its own fault (ZeroDivisionError: division by zero). The figure shows the last good run." in text
    assert "a run failed" in caplog.text


def test_long_runs_ask_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore_draw, "LIVE", 0.0)
    config = SMALL.replace(seed=77)
    drawing = explore_draw.draw(request(config))
    assert drawing["drawn"]["props"]["run-bar"] == {"className": "run-bar"}
    assert re.fullmatch(r"This run takes about \d+ s\.", drawing["drawn"]["props"]["run-text"]["children"])
    assert "figure" in explore_draw.draw(request(config, run=True))
    assert "figure" in explore_draw.draw(request(config)), "now it is known"
    assert explore_draw.draw(request(SMALL.replace(seed=78), first=True))["verdict"] == "Ready when you are"


@pytest.mark.parametrize("seconds, text", [(0.2, "1 s"), (42, "42 s"), (200, "3 min"), (9000, "2.5 h")])
def test_duration(seconds: float, text: str) -> None:
    assert explore_draw.duration(seconds) == text


def test_runs_that_would_fill_the_memory_are_refused() -> None:
    drawing = explore_draw.draw(request(RunConfig(cell="lstm", hidden_size=1024, steps=20_000, batch_size=128)))
    text = words(drawing["failure"])
    assert re.search(r"would take about \d+ GB, the app allows 6 GB; take fewer steps, samples or units", text)


def test_the_data_tab_says_how_the_file_was_read():
    key = stored("a.csv", b"n,v\n" + b"".join(b"%d,%d\n" % (n, n * n % 7) for n in range(40)))
    config = SMALL.replace(input=str(find(key.partition("-")[0], "a.csv")), steps=20)
    shown = words(TABS["data"].content(Run(gradlab.analyze(config), config, "light")))
    assert "Read a.csv as a table (commas): 40 rows of 'v'; left out: 'n' (counter 0, 1, 2 ...)" in shown


@pytest.mark.parametrize("field", ["steps", "batch_size", "device", "column", "input", "weights"])
@pytest.mark.parametrize("text", ["use seed=9 or less", "gain: too large", "gain.csv: line 3 has 1 cells"])
def test_the_field_of_an_error_alone_says_where_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str
) -> None:
    monkeypatch.setattr(explore_draw, "attempt", raising(InputError(text, field)))
    key = stored("a.csv", b"a\n" + b"1\n2\n" * 12)
    drawing = explore_draw.draw(Request({**form.raw(SMALL), "input": key}, "vanishing_tanh"))
    told = {name: props["error"] for name, props in drawing["drawn"]["props"].items() if props.get("error")}
    assert told == {ids.control(field): text} and drawing["failure"] == ""
    assert (ids.EXPLORE.more in drawing["drawn"]["props"]) == (controls()[field].level == "more")


@pytest.mark.parametrize("field", [None, "dL_dh", "forget_bias"], ids=["none", "no control", "hidden"])
def test_an_error_about_no_control_in_sight_is_told_above_the_figure(
    monkeypatch: pytest.MonkeyPatch, field: str | None
) -> None:
    monkeypatch.setattr(explore_draw, "attempt", raising(InputError("steps: use steps=9 or less", field)))
    drawing = explore_draw.draw(request())
    assert not any(props.get("error") for props in drawing["drawn"]["props"].values())
    assert words(drawing["failure"]) == "steps: use steps=9 or less The figure shows the last good run."


def test_clipping_of_the_update_is_said_to_leave_the_curve() -> None:
    drawing = explore_draw.draw(request(SMALL.replace(clip="norm")))
    assert drawing["drawn"]["props"]["note"] == {"children": explore_draw.CLIP_NOTE}
    assert explore_draw.draw(request(SMALL.replace(clip="step_norm")))["drawn"]["props"]["note"] == {"children": ""}


def test_labels_of_runs() -> None:
    assert explore_draw.label(PRESETS["gru"].config()) == "GRU"
    assert explore_draw.label(SMALL.replace(cell="lstm", gain=2.0)) == "LSTM, gain 2, steps 20, hidden size 8 …"


def test_pins_are_drawn_with_their_labels() -> None:
    drawing = explore_draw.draw(request(pins=(to_query(SMALL.replace(gain=3.0)),)))
    assert any("gain 3" in (trace.name or "") for trace in drawing["figure"].data)


# what follows a release


def test_settling_writes_the_address_only_where_it_says_something_else() -> None:
    explore_draw.draw(request())
    changed = explore_settle.settle(request())
    assert changed["address"] == f"?{to_query(SMALL)}"
    assert "The gradient vanishes" in changed["announcement"]
    assert "import gradlab" in changed["copies"][ids.EXPLORE.copy_python]
    assert changed["copies"][ids.EXPLORE.copy_command].startswith("gradlab analyze --")
    again = explore_settle.settle(request(search="?batch_size=3&hidden_size=8&steps=20&nonsense=1"))
    assert again["address"] is no_update
    wrong = replace(request(), raw=form.raw(SMALL) | {"gain": ""})
    assert explore_settle.settle(wrong) == dict.fromkeys(changed, no_update) | {"theory_where": []}


def test_pins_have_a_limit_and_no_doubles() -> None:
    pins = [f"v=1&seed={n}" for n in range(5)]
    assert explore_settle.add_pin(pins[:2], "v=1") == [*pins[:2], "v=1"]
    assert explore_settle.add_pin(pins[:2], pins[0]) is no_update
    assert explore_settle.add_pin(pins, "v=1") is no_update
    assert explore_settle.pin_button("v=1", pins) == {"pin_disabled": True, "pin_text": "5 pins at most"}
    assert explore_settle.pin_button(pins[0], pins)["pin_text"] == "Pinned"
    assert len(explore_settle.pin_list(pins, "dark")) == 5


# tabs and files


@pytest.mark.parametrize("tab", list(TABS))
@pytest.mark.parametrize("fields", [{}, {"cell": "lstm"}, {"clip": "norm"}, {"clip": "step_norm"}], ids=str)
def test_tabs(tab: str, fields: dict[str, str]) -> None:
    config = SMALL.replace(**fields)
    explore_draw.draw(request(config))
    shown = tabs.panels(tab, request(config))
    assert [name for name, content in shown.items() if content] == [tab]
    figures = [part for part in walk(shown[tab]) if getattr(part, "role", None) == "img"]
    on_demand = tab == "chaos"
    assert (figures or on_demand) and all(figure.to_plotly_json()["props"]["aria-label"] for figure in figures)
    assert on_demand or any(type(part).__name__ == "Table" for part in walk(shown[tab]))


def test_a_tab_waits_for_its_run() -> None:
    shown = tabs.panels("why", request(SMALL.replace(seed=4321)))
    assert "Nothing to show until the whole run is drawn." in words(shown["why"])
    assert tabs.panels(None, None) == dict.fromkeys(TABS, [])


def test_downloads_hold_the_run(tmp_path: Path) -> None:
    ds = runs.RUNS.get(SMALL.replace(cell="lstm"))
    rows = csv_of_curves(ds).splitlines()
    assert rows[0] == "t,ln_share_left,ln_grad_norm_h,ln_grad_norm_c,jacobian_frobenius,jacobian_spectral"
    assert len(rows) == 22 and rows[1].endswith(",,")
    np.testing.assert_allclose(float(rows[2].split(",")[4]), ds.jacobian_frobenius.sel(step=1).median())
    made = explore_downloads.download("nc", request(SMALL.replace(cell="lstm")))[0]
    with xr.open_dataset(io.BytesIO(made)) as read:
        assert read.attrs["cell"] == ds.attrs["cell"]
    assert b"The gradient" in explore_downloads.report(ds)


@pytest.mark.parametrize("fmt", ["nc", "csv", "html"])
def test_a_download_needs_no_room_on_the_disk(fmt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    runs.RUNS.get(SMALL)
    for name in ("mkdir", "mkstemp", "NamedTemporaryFile", "mkdtemp"):
        monkeypatch.setattr(tempfile if hasattr(tempfile, name) else os, name, full)
    file, text = downloads.sent(explore_downloads.download, fmt, request())
    assert file["filename"] == f"gradlab-elman.{fmt}" and text == ""


def test_a_download_needs_a_run() -> None:
    file, text = downloads.sent(explore_downloads.download, "csv", request(SMALL.replace(seed=999)))
    assert file is no_update
    assert "no finished run" in words(text)
    runs.RUNS.get(SMALL)
    assert downloads.sent(explore_downloads.download, "csv", None)[0] is no_update
    file, text = downloads.sent(explore_downloads.download, "csv", request())
    assert file["filename"] == "gradlab-elman.csv" and text == ""


def test_a_picture_is_offered_only_where_one_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "can_draw_pictures", lambda: False)
    assert list(downloads.formats(downloads.LABELS)) == ["nc", "csv", "html"]
    assert "Picture" not in words(downloads.menu(ids.EXPLORE))
    create_app()


# runs


def test_a_run_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[RunConfig] = []
    analyze = gradlab.analyze
    monkeypatch.setattr(gradlab, "analyze", lambda config, **more: computed.append(config) or analyze(config))
    kept = runs.Runs()
    assert kept.seconds(SMALL) > 0
    assert kept.get(SMALL) is kept.get(RunConfig(**SMALL.model_dump()))
    assert computed == [SMALL] and kept.seconds(SMALL) == 0
    monkeypatch.setattr(results, "KEPT", 2)
    for seed in (1, 2):
        kept.get(SMALL.replace(seed=seed))
    assert SMALL not in kept and SMALL.replace(seed=2) in kept


def test_cost_grows_with_the_run_and_knows_files() -> None:
    assert cost.work(SMALL.replace(hidden_size=256)) > cost.work(SMALL)
    weights = SMALL.replace(weights=str(GOLDEN / "encoder_lstm.safetensors"))
    assert cost.work(weights) > 0 and cost.memory(weights) > 0
    with pytest.raises(InputError, match="the app allows 6 GB"):
        runs.require_memory(RunConfig(steps=20_000, hidden_size=1024, batch_size=1024))
