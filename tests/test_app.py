"""The app without a browser: server, form, drawing, links, files. What a person does is in test_explore_browser."""

import base64
import errno
import io
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from dash.development.base_component import Component

import gradlab
from dashboard import components, controls, form, ids, runs, server, shell
from dashboard.app import create_app, main
from dashboard.pages import PAGES, explore_files, explore_settle, explore_steer, explore_tabs, explore_view
from dashboard.pages.tabs import TABS
from gradlab.config import RunConfig
from gradlab.config import controls as config_controls
from gradlab.errors import InputError
from gradlab.filecache import store
from gradlab.links import to_query
from gradlab.presets import PRESETS

SMALL = RunConfig(hidden_size=8, batch_size=3, steps=20)
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "cache"))


def request(config: RunConfig = SMALL, **more: Any) -> explore_view.Request:
    return explore_view.Request(form.raw(config), "vanishing_tanh", **more)


def data(config: RunConfig = SMALL, **more: Any) -> dict[str, Any]:
    """A request as the browser sends it."""
    state = {"pins": [], "theme": "light", "narrow": False, "theory": True, "first": False, "run": False, "search": ""}
    return {"raw": form.raw(config), "preset": "vanishing_tanh"} | state | more


def page(config: RunConfig = SMALL, search: str = "") -> explore_steer.Page:
    options = {name: controls.file_options(name) for name in form.FILES}
    return explore_steer.Page(form.raw(config), "vanishing_tanh", search, options)


def words(part: Any) -> str:
    """All text in a component tree."""
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list | tuple):
        return "".join(map(words, part))
    return words(getattr(part, "children", "")) if isinstance(part, Component) else str(part or "")


def walk(part: Any) -> Iterator[Component]:
    if isinstance(part, list | tuple):
        for child in part:
            yield from walk(child)
    elif isinstance(part, Component):
        yield part
        for prop in ("children", "rightSection"):
            yield from walk(getattr(part, prop, None))


def upload(content: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode()


# the app as a whole


def test_every_id_that_a_callback_names_is_once_in_the_layout() -> None:
    app, opened = create_app(), [shell.open_page(page.PATH) for page in PAGES]
    pages = [[app.layout, page["page"]] for page in opened]
    ids_of = [[part.id for part in walk(page) if isinstance(getattr(part, "id", None), str)] for page in pages]
    assert all(len(found) == len(set(found)) for found in ids_of)
    explore_view.draw(request())
    tabs = [explore_tabs.content(tab, data()) for tab in TABS]
    found = {name for names in ids_of for name in names} | {getattr(part, "id", None) for part in walk(tabs)}
    for callback in app._callback_list:
        named = re.findall(r"(?:^|\.\.)([a-z][\w-]*)\.", callback["output"].replace("...", ".."))
        named += [entry["id"] for entry in callback["inputs"] + callback["state"] if not entry["id"].startswith("{")]
        assert set(named) <= found, callback["output"]


def test_two_apps_in_one_process_have_the_same_callbacks() -> None:
    first, second = create_app(), create_app()
    assert len(first._callback_list) == len(second._callback_list) > 20


def test_a_callback_answers_over_http() -> None:
    app = create_app()
    client = app.server.test_client()
    output = next(callback["output"] for callback in app._callback_list if f"{ids.FIGURE}.figure" in callback["output"])
    outputs = [dict(zip(("id", "property"), name.split("."), strict=True)) for name in output.strip(".").split("...")]
    inputs = [{"id": ids.REQUEST, "property": "data", "value": data()}]
    body = {"output": output, "outputs": outputs, "inputs": inputs, "changedPropIds": [f"{ids.REQUEST}.data"]}
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code == 200
    assert answer.json["response"][ids.FIGURE]["figure"]["data"]


@pytest.mark.parametrize("host", ["127.0.0.1:8050", "localhost", "LOCALHOST:1", "[::1]:8050", "box.example:99"])
def test_known_hosts_are_served(host: str) -> None:
    client = create_app(("box.example",)).server.test_client()
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8050", "evil.example:8050@localhost", ""])
def test_foreign_hosts_are_refused_and_told_the_option(host: str) -> None:
    answer = create_app().server.test_client().get("/_dash-layout", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.mimetype == "text/plain"
    name = "evil.example" if host == "evil.example" else ""
    assert f"start it with: --allow-host {name}" in answer.text


def test_security_headers_and_the_size_limit() -> None:
    client = create_app().server.test_client()
    headers = client.get("/").headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'; script-src 'self' 'sha256-")
    assert "'unsafe-eval'" not in policy
    for part in ("object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "img-src 'self' data: blob:"):
        assert part in policy
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    huge = {"output": "x", "inputs": "1" * (server.REQUEST_LIMIT + 1)}
    assert client.post("/_dash-update-component", json=huge).status_code == 413


def test_the_page_names_no_other_machine() -> None:
    html = create_app().server.test_client().get("/").text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)


# server and command


def test_a_taken_default_port_moves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(server, "DEFAULT_PORT", taken.getsockname()[1])
        with server.listen("127.0.0.1") as sock:
            assert taken.getsockname()[1] < sock.getsockname()[1] < taken.getsockname()[1] + server.PORTS_TRIED


def test_a_taken_port_that_was_asked_for_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError) as caught:
            server.listen("127.0.0.1", port)
        assert caught.value.errno == errno.EADDRINUSE
        result = CliRunner().invoke(main, ["--port", str(port), "--no-browser"])
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1, port {port}" in result.output
    assert "try another --port" in result.output


@pytest.mark.parametrize("query, tail", [("", "/"), ("?v=1&cell=lstm", "/?v=1&cell=lstm"), ("gain=3", "/?gain=3")])
def test_address(query: str, tail: str) -> None:
    with server.listen("127.0.0.1", 0) as sock:
        assert server.address(sock, query) == f"http://127.0.0.1:{sock.getsockname()[1]}{tail}"
    with server.listen("0.0.0.0", 0) as sock:
        assert server.address(sock).startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "env, platform, near",
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "a b"}, "linux", False),
        ({"DISPLAY": ":0", "CI": "1"}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
        ({"SSH_TTY": "/dev/pts/0"}, "darwin", False),
    ],
)
def test_a_browser_opens_only_where_it_is_seen(env: dict[str, str], platform: str, near: bool) -> None:
    assert server.browser_is_near(env, platform) is near


def test_over_ssh_the_tunnel_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []
    monkeypatch.setattr(server.webbrowser, "open", opened.append)
    server.announce("http://127.0.0.1:8051/", 8051, True, {"SSH_CLIENT": "a", "DISPLAY": ":0"})
    assert "ssh -L 8051:127.0.0.1:8051 " in capsys.readouterr().out
    server.announce("http://127.0.0.1:8051/", 8051, False, {"DISPLAY": ":0"})
    assert not opened
    server.announce("http://127.0.0.1:8051/", 8051, True, {"DISPLAY": ":0"})
    assert opened == ["http://127.0.0.1:8051/"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_the_command_serves_and_ends_with_one_line() -> None:
    command = [sys.executable, "-m", "dashboard", "?gain=3", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/\?gain=3", line)
        assert url, line
        with urllib.request.urlopen(url[0], timeout=20) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().splitlines()[-1] == "gradlab has ended."
        assert process.wait(20) == 0


# the form


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_survives_the_form(name: str) -> None:
    config = PRESETS[name].config()
    assert form.read(json.loads(json.dumps(form.raw(config)))) == form.Form(config)


def test_every_field_has_a_control_that_holds_its_value() -> None:
    found = {
        part.id for part in walk([*controls.basic(), *controls.more()]) if isinstance(getattr(part, "id", None), str)
    }
    assert {ids.control(key) for key in form.properties()} <= found
    assert {ids.field(name) for name in config_controls()} <= found


def test_all_wrong_fields_are_told_at_once() -> None:
    raw = form.raw(SMALL) | {"gain": -1, "steps": "", "hidden_size": 5000, "clip": "norm", "clip_threshold": "half"}
    errors = form.read(raw).errors
    assert "at least 0" in errors["gain"]
    assert errors["steps"] == "expected a value, got an empty field"
    assert "at most 1,024 in the app, got 5,000" in errors["hidden_size"]
    assert "a multiple such as 0.5x, got 'half'" in errors["clip_threshold"]


def test_a_wrong_value_in_a_hidden_control_is_no_error() -> None:
    filled = form.read(form.raw(SMALL) | {"forget_bias": "", "leak": 0.5})
    assert filled == form.Form(SMALL.replace(leak=0.5))
    assert "forget_bias" in form.read(form.raw(SMALL) | {"forget_bias": "", "cell": "lstm"}).errors


def test_the_word_stands_for_the_number() -> None:
    filled = form.read(form.raw(SMALL) | {"cell": "lstm", "forget_bias": 2.0, "forget_bias-word": True})
    assert filled.config.forget_bias == "chrono"
    assert form.class_names(filled.config, SMALL)["forget_bias"] == "field number changed is-word"


def test_a_threshold_is_text_in_its_field() -> None:
    config = SMALL.replace(clip="norm", clip_threshold=2.5)
    assert form.raw(config)["clip_threshold"] == "2.5"
    assert form.read(form.raw(config)).config == config


def test_the_page_cannot_name_a_path(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    for key in (str(secret), "../secret.txt", "0123456789ab-secret.txt"):
        errors = form.read(form.raw(SMALL) | {"input": key, "weights": key}).errors
        assert set(errors) == {"input", "weights"}
        assert "is no longer kept; drop the file again" in errors["input"]


def test_controls_that_do_not_apply_are_hidden() -> None:
    classes = form.class_names(SMALL, RunConfig())
    assert "hidden" in classes["forget_bias"] and "hidden" not in classes["gain"]
    assert "changed" in classes["steps"] and "changed" not in classes["gain"]
    assert "hidden" in form.class_names(RunConfig(cell="lstm"), SMALL)["leak"]


def test_the_gpu_is_offered_with_the_reason_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "gpu_problem", lambda: "no driver")
    assert [entry["value"] for entry in controls.options("device") if entry.get("disabled")] == ["cuda"]
    assert "No GPU: no driver." in words(controls.more())
    monkeypatch.setattr(controls, "gpu_problem", lambda: None)
    assert not any(entry.get("disabled") for entry in controls.options("device"))
    assert "No GPU" not in words(controls.more())


# drawing


def test_a_run_is_drawn() -> None:
    drawing = explore_view.draw(request())
    assert "The gradient vanishes: ×" in words(drawing.outputs["verdict"])
    assert drawing.outputs["figure"].data
    assert drawing.outputs["style"]["height"].endswith("px")
    assert words(drawing.outputs["why"]).startswith("Why: ")
    assert re.fullmatch(r"std·√H \d\.\d\d · ρ \d\.\d\d · σmax \d\.\d\d", words(drawing.outputs["realised"]))
    assert drawing.strip and len(drawing.strip["boxes"]) == 20
    assert drawing.props["stage"] == {"className": "stage"}
    assert not any(props.get("error") for props in drawing.props.values())


def test_a_wrong_value_keeps_the_figure() -> None:
    raw = dict(form.raw(SMALL)) | {"gain": -1}
    drawing = explore_view.draw(explore_view.Request(raw, "vanishing_tanh"))
    assert "figure" not in drawing.outputs and drawing.strip is None
    assert "got -1" in drawing.props["control-gain"]["error"]
    assert drawing.props["stage"] == {"className": "stage stale"}
    shown = explore_view.show(data() | {"raw": raw})
    assert shown["drawn"]["request"]["raw"]["gain"] == -1


def test_messages_are_seen_where_controls_may_not_be() -> None:
    raw = dict(form.raw(SMALL)) | {"bias_scale": -1}
    first = explore_view.draw(explore_view.Request(raw, "vanishing_tanh", first=True))
    assert first.outputs["verdict"] == "Nothing to show yet"
    assert words(first.outputs["failure"]).startswith("Bias scale: expected at least 0")
    assert first.props["more"] == {"open": True}
    narrow = explore_view.draw(explore_view.Request(raw, "vanishing_tanh", narrow=True))
    assert words(narrow.outputs["failure"]).endswith("The figure shows the last good run.")
    assert explore_view.draw(explore_view.Request(raw, "vanishing_tanh")).outputs["failure"] == ""


def test_an_error_of_the_engine_stands_beside_its_control() -> None:
    key = stored("short.csv", b"a\n" + b"1\n2\n" * 6)
    raw = dict(form.raw(SMALL)) | {"input": key}
    drawing = explore_view.draw(explore_view.Request(raw, "vanishing_tanh"))
    assert "the data have 12 steps, fewer than the 20 asked for" in drawing.props["control-steps"]["error"]


def stored(name: str, content: bytes) -> str:
    return f"{store(name, content)}-{name}"


def test_a_defect_is_shown_and_the_page_lives_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(explore_view, "view", lambda *_: 1 / 0)
    drawing = explore_view.draw(request())
    text = words(drawing.outputs["failure"])
    assert "its own fault (ZeroDivisionError: division by zero). The figure shows the last good run." in text
    assert "a run failed" in caplog.text


def test_long_runs_ask_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore_view, "LIVE", 0.0)
    config = SMALL.replace(seed=77)
    drawing = explore_view.draw(request(config))
    assert drawing.props["run-bar"] == {"className": "run-bar"}
    assert re.fullmatch(r"This run takes about \d+ s\.", drawing.props["run-text"]["children"])
    assert "figure" in explore_view.draw(request(config, run=True)).outputs
    assert "figure" in explore_view.draw(request(config)).outputs, "now it is known"
    monkeypatch.setattr(explore_view, "FIRST", 0.0)
    assert explore_view.draw(request(SMALL.replace(seed=78), first=True)).outputs["verdict"] == "Ready when you are"


@pytest.mark.parametrize("seconds, text", [(0.2, "1 s"), (42, "42 s"), (200, "3 min"), (9000, "2.5 h")])
def test_duration(seconds: float, text: str) -> None:
    assert explore_view.duration(seconds) == text


def test_runs_that_would_fill_the_memory_are_refused() -> None:
    drawing = explore_view.draw(request(RunConfig(cell="lstm", hidden_size=1024, steps=20_000, batch_size=128)))
    text = words(drawing.outputs["failure"])
    assert re.search(r"would take about \d+ GB, the app allows 6 GB; take fewer steps, samples or units", text)


@pytest.mark.parametrize(
    "fields, message, field",
    [
        ({}, "the data have 9 steps, fewer than the 20 asked for; use steps=9 or less", "steps"),
        ({}, "the data have 2 samples, fewer than the 3 asked for; use batch_size=2 or less", "batch_size"),
        ({}, "device 'cuda' cannot be used: CuPy is not installed", "device"),
        ({}, "unknown column 'x'. Valid: a, b", "column"),
        ({"input": "/c/0123456789ab-a.csv"}, "a.csv: line 3 has 1 cells", "input"),
        ({"weights": "/c/0123456789ab-w.safetensors"}, "w.safetensors is a pickle", "weights"),
        ({}, "something else entirely", None),
    ],
)
def test_blame(fields: dict[str, str], message: str, field: str | None) -> None:
    assert explore_view.blame(SMALL.replace(**fields), message) == field


def test_clipping_of_the_update_is_said_to_leave_the_curve() -> None:
    drawing = explore_view.draw(request(SMALL.replace(clip="norm")))
    assert drawing.props["note"] == {"children": explore_view.CLIP_NOTE}
    assert explore_view.draw(request(SMALL.replace(clip="step_norm"))).props["note"] == {"children": ""}


def test_labels_of_runs() -> None:
    assert explore_view.label(PRESETS["gru"].config()) == "GRU"
    assert explore_view.label(SMALL.replace(cell="lstm", gain=2.0)) == "lstm, gain 2, steps 20, hidden size 8 …"


def test_pins_are_drawn_with_their_labels() -> None:
    drawing = explore_view.draw(request(pins=(to_query(SMALL.replace(gain=3.0)),)))
    assert any("gain 3" in (trace.name or "") for trace in drawing.outputs["figure"].data)


# parts


def test_typeset_powers_and_signs() -> None:
    assert (
        words(components.typeset("x0.64 of 10^-20. 0.57 (tanh) x 1.00, x1-4"))
        == "×0.64 of 10−20. 0.57 (tanh) × 1.00, ×1-4"
    )
    parts = components.typeset("step 1 of 100 gets 10^-20.")
    assert isinstance(parts[1], Component) and parts[1].children == "−20"
    assert [getattr(part, "children", part) for part in components.typeset("sigma_w, x10")] == ["σ", "w", ", ×10"]


def test_strip_says_how_many_steps_a_box_is() -> None:
    boxes = [{"label": "x1-4", "colour": "#fff", "text": "x1-4: 0"}, {"label": "x5-7", "colour": "#000", "text": "t"}]
    assert components.strip(boxes, 7)["scale"] == "each box = 4 steps"
    assert components.strip(boxes, 2)["scale"] == "each box = 1 step"


# what follows a release


def test_settling_writes_the_address_only_where_it_says_something_else() -> None:
    explore_view.draw(request())
    changed = explore_settle.settle(data())
    assert changed["address"] == f"?{to_query(SMALL)}"
    assert "The gradient vanishes" in changed["announcement"]
    assert "import gradlab" in changed["copies"][ids.COPY_PYTHON]
    assert changed["copies"][ids.COPY_COMMAND].startswith("gradlab analyze --")
    again = explore_settle.settle(data(search="?batch_size=3&hidden_size=8&steps=20&nonsense=1"))
    assert again["address"] is explore_settle.no_update
    wrong = data() | {"raw": dict(form.raw(SMALL)) | {"gain": ""}}
    assert set(explore_settle.settle(wrong).values()) == {explore_settle.no_update}


def test_pins_have_a_limit_and_no_doubles() -> None:
    pins = [f"v=1&seed={n}" for n in range(5)]
    assert explore_settle.add_pin(pins[:2], "v=1") == [*pins[:2], "v=1"]
    assert explore_settle.add_pin(pins[:2], pins[0]) is explore_settle.no_update
    assert explore_settle.add_pin(pins, "v=1") is explore_settle.no_update
    assert explore_settle.pin_button("v=1", pins) == {"pin_disabled": True, "pin_text": "5 pins at most"}
    assert explore_settle.pin_button(pins[0], pins)["pin_text"] == "Pinned"
    assert len(explore_settle.pin_list(pins, "dark")) == 5


# what sets the controls


def test_a_link_sets_everything_and_says_what_it_ignores() -> None:
    changes = explore_steer.follow_link(
        page(search="?v=1&gain=3&gian=2&" + "&".join(f"pin=seed%3D{n}" for n in range(7)))
    )
    assert changes["values"]["gain"] == 3 and changes["preset"] == "exploding_tanh"
    assert len(changes["pins"]) == 5
    text = words(changes["notices"])
    assert "unknown field 'gian'. Did you mean 'gain'?" in text
    assert "This link has 7 pins; the first 5 are shown." in text


def test_a_link_to_a_file_that_is_not_here_asks_for_it() -> None:
    content = b"rain\n" + b"1\n2\n" * 40
    sha = store("weather.csv", content)
    (next((Path(runs.os.environ["GRADLAB_CACHE"]) / "uploads").iterdir())).unlink()
    here = page(search=f"?file=weather.csv&sha={sha}&steps=30&column=rain")
    changes = explore_steer.follow_link(here)
    assert changes["missing"] == "missing"
    assert "This link uses weather.csv." in changes["upload_messages"][ids.MISSING]
    found = explore_steer.take_file(ids.MISSING, upload(content), "weather.csv", here)
    assert found["missing"] == "missing hidden"
    assert found["values"]["input"] == f"{sha}-weather.csv" and found["values"]["column"] == "rain"
    assert explore_steer.columns(found["values"]["input"]) == ["rain"]
    other = explore_steer.take_file(
        ids.MISSING, upload(content + b"3\n"), "weather.csv", page(search="?file=x.csv&sha=0")
    )
    assert list(other) == ["upload_messages"]
    assert "has not the content that this link means" in words(other["upload_messages"])


def test_files_become_input_or_weights() -> None:
    taken = explore_steer.take_file("input", upload(b"a,b\n" + b"1,2\n3,5\n" * 20), "two.csv", page())
    assert taken["values"]["input"].endswith("-two.csv") and taken["values"]["column"] is None
    assert explore_steer.columns(taken["values"]["input"]) == ["a", "b"]
    assert explore_steer.columns("noise") == explore_steer.columns(None) == []
    assert taken["upload_messages"]["input"] == "40 steps, 2 features"
    assert taken["missing"] == "missing hidden", "another file than the link's may be used instead"
    assert [entry["label"] for entry in taken["options"]["input"]] == ["noise", "sine", "two.csv"]
    weights = (GOLDEN / "encoder_lstm.safetensors").read_bytes()
    taken = explore_steer.take_file("weights", upload(weights), "encoder.safetensors", page())
    assert taken["values"]["weights"].endswith("-encoder.safetensors")
    assert taken["upload_messages"]["weights"].startswith("LSTM(")
    plain = (GOLDEN / "rnn_relu_no_bias.safetensors").read_bytes()
    taken = explore_steer.take_file("weights", upload(plain), "plain.safetensors", page())
    assert "The file does not say tanh or ReLU" in taken["upload_messages"]["weights"]
    own = SMALL.replace(weights=form.file_path(taken["values"]["weights"]))
    assert form.applies("activation", own), "there it is chosen"
    array = io.BytesIO()
    np.save(array, np.ones((30, 2, 3)))
    taken = explore_steer.take_file("input", upload(array.getvalue()), "cut.npy", page())
    assert taken["upload_messages"]["input"] == "30 steps, 2 samples, 3 features"


@pytest.mark.parametrize(
    "slot, content, name, text",
    [
        ("input", b"a,b\n1,2\n3\n", "ragged.csv", r"ragged\.csv: line 3 has 1 cells, line 1 has 2"),
        ("input", b"", "empty.csv", r"empty\.csv: the file is empty"),
        ("input", b"\xff\xfe\x00", "a.txt", "not UTF-8 text"),
        ("weights", b"\x80\x02", "net.safetensors", "is a pickle"),
        ("weights", b"PK\x03\x04", "net.pt", r"save_file\(torch\.load"),
        ("input", b"1\n" * 8_000_001, "huge.csv", r"16\.0 MB; the app takes 16 MB\. Cut the file"),
    ],
)
def test_files_that_cannot_be_used_change_only_the_message(slot: str, content: bytes, name: str, text: str) -> None:
    changes = explore_steer.take_file(slot, upload(content), name, page())
    assert list(changes) == ["upload_messages"]
    assert re.search(text, words(changes["upload_messages"][slot]))


def test_no_file_is_shut_out_without_a_word() -> None:
    zones = [part for part in walk([controls.block(name) for name in form.FILES]) if type(part).__name__ == "Upload"]
    assert len(zones) == 2 and not any(getattr(zone, "accept", None) for zone in zones)


def test_an_upload_that_breaks_off_is_an_error() -> None:
    with pytest.raises(InputError, match="did not arrive whole"):
        explore_steer.decode("data:;base64,AAA")


def test_presets_set_controls_and_some_open_a_tab() -> None:
    assert explore_steer.choose_preset("clipped_explosion", page())["tab"] == "clipping"
    assert explore_steer.choose_preset("gru", page())["tab"] is explore_steer.no_update
    assert set(explore_steer.CHIPS) <= set(PRESETS)
    assert 0 <= explore_steer.reroll(page())["values"]["seed"] < controls.SEED_LIMIT


# tabs and files


@pytest.mark.parametrize("tab", list(TABS))
@pytest.mark.parametrize("fields", [{}, {"cell": "lstm"}, {"clip": "norm"}, {"clip": "step_norm"}], ids=str)
def test_tabs(tab: str, fields: dict[str, str]) -> None:
    config = SMALL.replace(**fields)
    explore_view.draw(request(config))
    shown = explore_tabs.panels(tab, data(config))
    assert [name for name, content in shown.items() if content] == [tab]
    figures = [part for part in walk(shown[tab]) if getattr(part, "role", None) == "img"]
    on_demand = tab == "chaos"
    assert (figures or on_demand) and all(figure.to_plotly_json()["props"]["aria-label"] for figure in figures)
    assert on_demand or any(type(part).__name__ == "Table" for part in walk(shown[tab]))


def test_a_tab_waits_for_its_run() -> None:
    shown = explore_tabs.panels("why", data(SMALL.replace(seed=4321)))
    assert "Nothing to show until the run is drawn." in words(shown["why"])
    assert explore_tabs.panels(None, None) == dict.fromkeys(TABS, [])


def test_downloads_hold_the_run(tmp_path: Path) -> None:
    ds = runs.RUNS.get(SMALL.replace(cell="lstm"))
    rows = explore_files.curves(ds, "light").decode().splitlines()
    assert rows[0] == "t,ln_share_left,ln_grad_norm_h,ln_grad_norm_c,jacobian_frobenius,jacobian_spectral"
    assert len(rows) == 22 and rows[1].endswith(",,")
    np.testing.assert_allclose(float(rows[2].split(",")[4]), ds.jacobian_frobenius.sel(step=1).median())
    with xr.open_dataset(io.BytesIO(explore_files.netcdf(ds, "light"))) as read:
        assert read.attrs["cell"] == ds.attrs["cell"]
    assert b"The gradient" in explore_files.report(ds, "light")


def test_a_download_needs_a_run() -> None:
    file, text = explore_files.download("csv", request(SMALL.replace(seed=999)))
    assert file is explore_files.no_update
    assert "no finished run" in words(text)
    runs.RUNS.get(SMALL)
    file, text = explore_files.download("csv", request())
    assert file["filename"] == "gradlab-elman.csv" and text == ""


def test_a_picture_is_offered_only_where_one_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore_files, "can_draw_pictures", lambda: False)
    assert explore_files.formats() == ["nc", "csv", "html"]
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
    monkeypatch.setattr(runs, "KEPT", 2)
    for seed in (1, 2):
        kept.get(SMALL.replace(seed=seed))
    assert SMALL not in kept and SMALL.replace(seed=2) in kept


def test_cost_grows_with_the_run_and_knows_files() -> None:
    assert runs.work(SMALL.replace(hidden_size=256)) > runs.work(SMALL)
    weights = SMALL.replace(weights=str(GOLDEN / "encoder_lstm.safetensors"))
    assert runs.work(weights) > 0 and runs.memory(weights) > 0
    with pytest.raises(InputError, match="the app allows 6 GB"):
        runs.require_memory(RunConfig(steps=20_000, hidden_size=1024, batch_size=1024))
