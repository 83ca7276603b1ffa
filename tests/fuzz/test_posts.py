"""Whatever is posted to the app: never a defect, and what no page sends is refused with a sentence."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from dashboard import ids, posts, shell

from .examples import bounded, fuzzed
from .nested import changed, paths
from .posting import CALLBACKS, DEEP, post, send

pytestmark = pytest.mark.usefixtures("alone")
JUNK = [None, True, -1, 0, 0.5, 10**15, 10**400, -1e308, "", "x", "x" * 30_000, "../../etc/passwd", "a\0b", "\ud800"]
JUNK += ["v=1&steps=999999999&batch_size=999999999&pin=steps%3D999999999", "&".join(map(str, range(3000)))]
JUNK += ["?self=1&__class__=2&gain=nan&run=../../x&file=%00&sha=0123456789ab&weights=/&pin=pin"]
JUNK += [[], {}, [[]], ["x"], {"x": 1}, [None] * 50, float("nan"), float("inf"), {"type": "try", "index": -1}, DEEP]


@pytest.mark.parametrize("output", CALLBACKS)
def test_what_a_page_sends_is_answered(output: str, client: FlaskClient) -> None:
    for trigger in range(len(CALLBACKS[output]["inputs"])):
        assert send(client, post(output, trigger)).status_code == 200


def broken_posts() -> Iterator[Any]:
    """Posts that are no call of a callback."""
    real = post(next(output for output in CALLBACKS if output.startswith("..")))
    yield from (None, 3, "post", [], {}, [real], {**real, "output": "nothing.data"}, {**real, "output": "path.data"})
    for part in ("output", "outputs", "inputs", "changedPropIds"):
        yield {name: value for name, value in real.items() if name != part} | ({} if part == "output" else {part: 7})
    yield from ({**real, "outputs": real["outputs"][1:]}, {**real, "inputs": []}, {**real, "state": real["inputs"]})
    yield from ({**real, "inputs": [real["inputs"]]}, {**real, "changedPropIds": ["other.data"]})
    yield from ({**real, "changedPropIds": [name]} for name in ("{.data", '{"a":1}.data', "{" * 3000, "."))
    for other in ({}, {"x": 1}, "other", ids.unpin("v=1")):
        yield {**real, "inputs": [{**real["inputs"][0], "id": other}, *real["inputs"][1:]]}


@pytest.mark.parametrize("broken", list(broken_posts()))
def test_what_calls_no_callback_is_refused(broken: Any, client: FlaskClient) -> None:
    answer = send(client, broken)
    assert answer.status_code == 400 and answer.text.startswith("gradlab cannot use what was sent: ")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"output": ' + "9" * 5000 + "}", "\xff"])
def test_what_is_no_json_is_refused(text: str, client: FlaskClient) -> None:
    assert client.post(posts.PATH, data=text, content_type="application/json").status_code == 400
    assert client.post(posts.PATH, data=text, content_type="text/plain").status_code in (400, 415)


@pytest.mark.parametrize(
    "path", ["/_dash-component-suites/os/path", "/_dash-component-suites/dash/x.js", "/assets/%00"]
)
def test_files_that_are_none_are_not_found(path: str, client: FlaskClient) -> None:
    assert client.get(path).status_code == 404


def test_a_defect_of_the_app_is_told_apart(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("a defect")

    monkeypatch.setattr(shell, "navigation", fail)
    answer = send(client, post(next(output for output in CALLBACKS if output.startswith("..page."))))
    assert answer.status_code == 500
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and record.exc_info and "a defect" in str(record.exc_info[1])


@fuzzed("posts")
@given(st.data())
def test_what_no_page_sends_is_refused_and_logged_once(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    real = post(data.draw(st.sampled_from(list(CALLBACKS))), data.draw(st.integers(0, 30)))
    path = data.draw(st.sampled_from([*paths(real)]))
    broken = changed(real, path, data.draw(st.sampled_from(JUNK)), bool(path) and data.draw(st.booleans()))
    caplog.clear()
    with bounded(20):
        answer = send(client, broken)
    assert answer.status_code in (200, 400), (path, broken)
    refused = [record for record in caplog.records if record.name == posts.__name__]
    assert len(refused) == (answer.status_code == 400) and not [
        r for r in caplog.records if r.levelno > logging.WARNING
    ]
    assert answer.status_code == 200 or answer.text.startswith("gradlab cannot use what was sent: ")
