"""Whatever is posted to the app: never a defect, and what no page sends is refused with a sentence."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard import controls, form, ids, posts, shell
from dashboard.app import create_app
from dashboard.pages.explore import draw
from dashboard.pages.explore.tabs import chaos, travel
from gradlab.config import RunConfig
from gradlab.config.links import to_query
from gradlab.config.train import TrainConfig
from gradlab.training.jobs import TrainingJobs

from ..views import SMALL, data, request, upload

APP = create_app()
CALLBACKS = {output: known for output, known in APP.callback_map.items() if "callback" in known}
TRAIN = TrainConfig(steps=12, hidden_size=6, batch_size=4, iterations=60)
LOOK = {"theme": "light", "narrow": False}
ABOUT = {"query": to_query(SMALL), "theme": "light"}
VALUES = {  # of components by id, as the pages send them
    ids.SHELL.path: "/",
    ids.EXPLORE.search: "?gain=2&pin=gain%3D0.5",
    ids.EXPLORE.request: data(),
    ids.EXPLORE.settled: data(),
    ids.EXPLORE.pressed: ids.reopen("v=1&gain=2"),
    ids.EXPLORE.preset: "edge",
    ids.EXPLORE.pins: ["v=1&gain=2"],
    ids.EXPLORE.tried: {"query": to_query(SMALL), "label": "More", "predicted": -0.2},
    ids.EXPLORE.tabs: "why",
    chaos.WORK.ids.run: ABOUT,
    travel.WORK.ids.run: ABOUT,
    ids.PHASE.search: "?gain=2&axes=w-v",
    ids.PHASE.request: {
        "values": {"activation": "tanh", "axes": "w-b", "sigma_w": 1.5, "sigma_b": 0.1, "sigma_v": 1},
        "base": "v=1",
        **LOOK,
    },
    ids.TRAIN.search: "?task=adding",
    ids.TRAIN.request: {"raw": form.raw(TRAIN), "runs": ["0000aaaa"], "search": "", **LOOK},
    ids.TRAIN.settled: {"raw": form.raw(TRAIN), "runs": [], "search": "", **LOOK},
    ids.TRAIN.rest: [["axes", "w-b"]],
    ids.TRAIN.runs: ["0000aaaa"],
    ids.TRAIN.look: LOOK,
    ids.TRAIN.layer: "0",
    ids.TRAIN.back: 0,
    ids.TRAIN.shown: {"stamp": ["light", False, 0], "last": 2, "runs": ["0000aaaa"], "more": True, "at": 1.5},
}
for of, config in ((RunConfig, SMALL), (TrainConfig, TRAIN)):
    VALUES |= {ids.control(form.key(key, of)): value for key, value in form.raw(config).items()}
HELD = {"n_clicks": 1, "n_intervals": 3, "contents": upload(b"a,b\n1,2\n2,4\n3,1\n"), "filename": "a.csv"}
DEEP = "deep"  # stands for a value that json.dumps itself could not write
JUNK = [None, True, -1, 0, 0.5, 10**15, 10**400, -1e308, "", "x", "x" * 30_000, "../../etc/passwd", "a\0b", "\ud800"]
JUNK += ["v=1&steps=999999999&batch_size=999999999&pin=steps%3D999999999", "&".join(map(str, range(3000)))]
JUNK += ["?self=1&__class__=2&gain=nan&run=../../x&file=%00&sha=0123456789ab&weights=/&pin=pin"]
JUNK += [[], {}, [[]], ["x"], {"x": 1}, [None] * 50, float("nan"), float("inf"), {"type": "try", "index": -1}, DEEP]


def place(declared: dict[str, str]) -> Any:
    """A component's property with what it holds, as the browser sends it."""
    component, prop = declared["id"], declared["property"]
    if component.startswith("{"):
        pattern = {key: "v=1" if value == ["ALL"] else value for key, value in json.loads(component).items()}
        return [{"id": pattern, "property": prop, "value": 1}]
    value = HELD[prop] if prop in HELD else VALUES.get(component)
    if prop == "data" and component in (ids.control("input"), ids.control("weights"), ids.control("train-input")):
        value = controls.file_options("input", None)
    return {"id": component, "property": prop, "value": value}


def post(output: str, trigger: int = 0) -> dict[str, Any]:
    """The post of a callback, as its page sends it."""
    known = CALLBACKS[output]
    places = [dict(zip(("id", "property"), name.split("."), strict=True)) for name in posts._names(output)]
    inputs = [place(declared) for declared in known["inputs"]]
    first = inputs[trigger % len(inputs)]
    changed = first[0] if isinstance(first, list) else first
    name = json.dumps(changed["id"], sort_keys=True) if isinstance(changed["id"], dict) else changed["id"]
    return {
        "output": output,
        "outputs": places if output.startswith("..") else places[0],
        "inputs": inputs,
        "state": [place(declared) for declared in known["state"]],
        "changedPropIds": [f"{name}.{changed['property']}"],
    }


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to everything in a JSON value."""
    yield path
    for key, inside in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        yield from paths(inside, (*path, key))


def changed(value: Any, path: tuple[Any, ...], junk: Any, leave_out: bool) -> Any:
    """The value with something else at a path, or with nothing there."""
    if not path:
        return junk
    copy = list(value) if isinstance(value, list) else dict(value)
    if leave_out and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(copy[path[0]], path[1:], junk, leave_out)
    return copy


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    APP.server.config["PROPAGATE_EXCEPTIONS"] = False
    return APP.server.test_client()


@pytest.fixture(autouse=True)
def alone(computed_here: None, own_cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingJobs, "_launch", lambda self, run_id: None)
    draw.draw(request())


def send(client: FlaskClient, body: Any) -> Any:
    text = json.dumps(body).replace(f'"{DEEP}"', "[" * 3000 + "]" * 3000)
    return client.post(posts.PATH, data=text, content_type="application/json")


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


@settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_what_no_page_sends_is_refused_and_logged_once(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    real = post(data.draw(st.sampled_from(list(CALLBACKS))), data.draw(st.integers(0, 30)))
    path = data.draw(st.sampled_from([*paths(real)]))
    broken = changed(real, path, data.draw(st.sampled_from(JUNK)), bool(path) and data.draw(st.booleans()))
    caplog.clear()
    answer = send(client, broken)
    assert answer.status_code in (200, 400), (path, broken)
    refused = [record for record in caplog.records if record.name == posts.__name__]
    assert len(refused) == (answer.status_code == 400) and not [
        r for r in caplog.records if r.levelno > logging.WARNING
    ]
    assert answer.status_code == 200 or answer.text.startswith("gradlab cannot use what was sent: ")
