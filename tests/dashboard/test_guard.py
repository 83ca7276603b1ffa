"""Who may ask: names, machines, pages, tokens; and what the command says and does where others can reach the app."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from dashboard import guard, server
from dashboard.app import create_app, main

from ..commands import process

TOKEN = "t0k-n_" * 7


def client(*names: str, token: str = "") -> FlaskClient:
    return create_app(names, token).server.test_client()


# names and machines


@pytest.mark.parametrize("host", ["127.0.0.1:8050", "localhost", "LOCALHOST:1", "[::1]:8050", "box.example:99"])
def test_known_hosts_are_served(host: str) -> None:
    assert client("box.example").get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8050", "evil.example:8050@localhost", ""])
def test_foreign_hosts_are_refused_and_told_the_option(host: str) -> None:
    answer = client().get("/_dash-layout", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.mimetype == "text/plain"
    name = "evil.example" if host == "evil.example" else ""
    assert f"start it with: --allow-host {name}" in answer.text


@pytest.mark.parametrize("host", ["localhost:8050", "127.0.0.1", "[::1]:8050"])
@pytest.mark.parametrize("peer", ["192.168.1.7", "10.0.0.1", "2001:db8::7", "::ffff:192.168.1.7", "fe80::1%eth0", ""])
def test_another_machine_cannot_pass_for_this_one(host: str, peer: str) -> None:
    answer = client("box.example").get("/", headers={"Host": host}, environ_base={"REMOTE_ADDR": peer})
    assert answer.status_code == 403 and "another machine's own name" in answer.text
    served = client("box.example").get("/", headers={"Host": "box.example"}, environ_base={"REMOTE_ADDR": peer})
    assert served.status_code == 200


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("localhost", False),
        ("", False),
        (None, False),
    ],
)
def test_which_addresses_are_this_machines_alone(address: str | None, local: bool) -> None:
    assert guard.is_local(address) is local


# pages


@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({}, True),
        ({"Origin": "http://localhost:8050", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://LOCALHOST:8050"}, True),
        ({"Origin": "http://localhost:8051"}, False),
        ({"Origin": "http://127.0.0.1:8050"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_posts_come_from_the_apps_own_pages(headers: dict[str, str], served: bool) -> None:
    answer = client().post("/_dash-update-component", json={}, headers={"Host": "localhost:8050", **headers})
    assert answer.status_code == (400 if served else 403)
    assert served or answer.text == "gradlab answers to its own pages only.\n"
    assert client().get("/", headers={"Host": "localhost:8050", **headers}).status_code == 200, "a link may lead here"


# the token


def test_without_the_token_nothing_is_served() -> None:
    for given in ("", "?token=", "?token=wrong", f"?token={TOKEN}x", "?token=%ff%00", f"?Token={TOKEN}"):
        for path in ("/", "/train", "/_dash-layout", "/_dash-dependencies", "/assets/icon.svg"):
            answer = client(token=TOKEN).get(path + given)
            assert answer.status_code == 403 and "open the address with ?token=..." in answer.text
    wrong = client(token=TOKEN)
    wrong.set_cookie("gradlab-80", "wrong")
    assert wrong.post("/_dash-update-component", json={}).status_code == 403


def test_the_token_is_given_once_and_kept_as_a_cookie() -> None:
    browser = client(token=TOKEN)
    first = browser.get(f"/train?task=adding&token={TOKEN}&column=a%26b")
    assert first.status_code == 302 and first.headers["Location"] == "?task=adding&column=a%26b"
    cookie = first.headers["Set-Cookie"]
    assert all(part in cookie for part in (f"gradlab-80={TOKEN}", "HttpOnly", "SameSite=Strict", "Path=/"))
    assert browser.get("/train?task=adding").status_code == 200
    assert browser.post("/_dash-update-component", json={}).status_code == 400


def test_on_this_machine_alone_there_is_no_token() -> None:
    assert client().get("/").status_code == 200


# the command


@pytest.mark.parametrize("host", ["", " "])
def test_an_empty_host_is_refused(host: str) -> None:
    result = CliRunner().invoke(main, ["--host", host, "--no-browser"])
    assert result.exit_code == 2
    assert "expected an address such as 127.0.0.1, or 0.0.0.0 for all that this machine has" in result.output


@pytest.mark.parametrize("host", ["a" * 70, "no.such.host.invalid"])
def test_a_host_that_is_none_is_a_sentence(host: str) -> None:
    result = CliRunner().invoke(main, ["--host", host, "--no-browser"])
    assert result.exit_code == 1 and f"cannot listen on {host}" in result.output


def test_an_address_with_the_token() -> None:
    with server.listen("127.0.0.1", 0) as sock:
        start = f"http://127.0.0.1:{sock.getsockname()[1]}/"
        assert server.address(sock, token="abc") == f"{start}?token=abc"
        assert server.address(sock, "?gain=3", "abc") == f"{start}?token=abc&gain=3"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_where_others_can_reach_it_the_command_warns_and_asks_for_a_token() -> None:
    options = ("--host", "0.0.0.0", "--port", "0", "--no-browser")
    running = process("?gain=3", *options, module="dashboard", stderr=subprocess.STDOUT)
    try:
        line, warning = running.stdout.readline(), running.stdout.readline()
        found = re.search(r"(http://127\.0\.0\.1:\d+/)\?token=([\w-]{40,})&gain=3", line)
        assert found and warning.startswith("Warning: other machines reach it too")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(found[1], timeout=20)
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with browser.open(found[0], timeout=20) as answer:
            assert answer.url == f"{found[1]}?gain=3"
        with browser.open(f"{found[1]}_dash-layout", timeout=20) as answer:
            assert answer.status == 200
    finally:
        running.terminate()
        running.communicate(timeout=30)
