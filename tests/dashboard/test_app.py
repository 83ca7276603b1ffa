"""The app as a whole: layout, callbacks, server, command. What a person does is in test_explore_browser."""

import errno
import importlib
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from dashboard import ids, pages, server, shell
from dashboard.app import create_app, main
from dashboard.pages.explore import draw as explore_draw
from dashboard.pages.explore import tabs

from ..commands import process
from ..views import data, parts, request, walk, words

pytestmark = pytest.mark.usefixtures("own_cache")


# the app as a whole


def test_every_id_that_a_callback_names_is_once_in_the_layout() -> None:
    app, opened = create_app(), [shell.open_page(page.PATH) for page in pages.PAGES]
    whole = [[app.layout, page["page"]] for page in opened]
    ids_of = [[part.id for part in walk(page) if isinstance(getattr(part, "id", None), str)] for page in whole]
    assert all(len(found) == len(set(found)) for found in ids_of)
    explore_draw.draw(request())
    opened_tabs = [tabs.content(tab, request()) for tab in tabs.TABS]
    found = {name for names in ids_of for name in names} | {getattr(part, "id", None) for part in walk(opened_tabs)}
    for callback in app._callback_list:
        named = re.findall(r"(?:^|\.\.)([a-z][\w-]*)\.", callback["output"].replace("...", ".."))
        named += [entry["id"] for entry in callback["inputs"] + callback["state"] if not entry["id"].startswith("{")]
        assert set(named) <= found, callback["output"]


def test_two_apps_in_one_process_have_the_same_callbacks() -> None:
    first, second = create_app(), create_app()
    assert len(first._callback_list) == len(second._callback_list) > 20


NOTES = """
from dash import Input, Output, html

PATH, LABEL, HELP, STAYS = "/notes", "Notes", {"What it is": "A page of a test."}, ("line",)


def layout():
    return html.Div([html.Button("Say", id="say"), html.P(id="said")])


def register(app):
    app.callback(Output("said", "children"), Input("say", "n_clicks"))(lambda clicks: f"{clicks} times")
"""


def test_a_page_is_one_package_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "page.py").write_text(NOTES)
    monkeypatch.setattr(pages, "__path__", [*pages.__path__, str(tmp_path)])
    notes = importlib.import_module("dashboard.pages.notes.page")
    monkeypatch.setattr(pages, "PAGES", (*pages.PAGES, notes))
    client = create_app().server.test_client()
    opened = shell.open_page("/notes")
    assert words(opened["help"]) == "What it isA page of a test."
    assert [part.id for part in opened["page"].children] == ["say", "said"]
    current = [part.children for part in opened["navigation"] if "aria-current" in part.to_plotly_json()["props"]]
    assert current == ["Notes"] and shell.open_page("/")["navigation"][-1].href == "/notes"
    (nav,) = parts(shell.layout(), "Nav")
    assert nav.to_plotly_json()["props"]["data-stays"] == "chapter run equal seeds axes run from line"
    output = {"id": "said", "property": "children"}
    body = {"output": "said.children", "outputs": output, "changedPropIds": ["say.n_clicks"]}
    body["inputs"] = [{"id": "say", "property": "n_clicks", "value": 3}]
    answer = client.post("/_dash-update-component", json=body)
    assert answer.json["response"] == {"said": {"children": "3 times"}}


def test_every_page_says_what_the_shell_asks_of_it() -> None:
    for page in pages.PAGES:
        assert page.PATH.startswith("/") and page.LABEL and all(page.HELP.values()) and isinstance(page.STAYS, tuple)
    assert len({page.PATH for page in pages.PAGES}) == len(pages.PAGES)


def test_a_callback_answers_over_http() -> None:
    app = create_app()
    client = app.server.test_client()
    output = next(
        callback["output"] for callback in app._callback_list if f".{ids.EXPLORE.figure}.figure" in callback["output"]
    )
    outputs = [dict(zip(("id", "property"), name.split("."), strict=True)) for name in output.strip(".").split("...")]
    inputs = [{"id": ids.EXPLORE.request, "property": "data", "value": data()}]
    body = {"output": output, "outputs": outputs, "inputs": inputs, "changedPropIds": [f"{ids.EXPLORE.request}.data"]}
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code == 200
    assert answer.json["response"][ids.EXPLORE.figure]["figure"]["data"]


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
@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_command_serves_and_ends_with_one_line(end: signal.Signals) -> None:
    running = process("?gain=3", "--port", "0", "--no-browser", module="dashboard", stderr=subprocess.STDOUT)
    line = running.stdout.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+/\?gain=3", line)
    assert url, line
    with urllib.request.urlopen(url[0], timeout=20) as answer:
        assert answer.status == 200
    running.send_signal(end)
    assert running.communicate(timeout=30)[0].splitlines()[-1] == "gradlab has ended."
    assert running.returncode == 0
