"""What the pages post: every callback of the app, called as its page calls it."""

import json
from typing import Any

from flask.testing import FlaskClient

from dashboard import controls, form, ids, posts
from dashboard.app import create_app
from dashboard.pages.compare.slots import slot, values
from dashboard.pages.explore.tabs import chaos, travel
from gradlab.config import RunConfig
from gradlab.config.links import to_query
from gradlab.config.train import TrainConfig

from ..views import SMALL, data, upload

APP = create_app()
CALLBACKS = {output: known for output, known in APP.callback_map.items() if "callback" in known}
TRAIN = TrainConfig(steps=12, hidden_size=6, batch_size=4, iterations=60)
LOOK = {"theme": "light", "narrow": False}
ABOUT = {"query": to_query(SMALL), "theme": "light"}
SLOT = slot(SMALL)
COMPARED = {
    "rows": [SLOT.query],
    "raw": {f"0-{name}": value for name, value in SLOT.raw.items()},
    "equal": "parameters",
    "seeds": 2,
    "along": "",
    "by": "10",
    **LOOK,
}
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
    ids.COMPARE.search: "?run=gain%3D2&run=cell%3Dlstm&equal=parameters&seeds=2",
    ids.COMPARE.request: COMPARED,
    ids.COMPARE.rows: COMPARED["rows"],
    ids.COMPARE.tick: {"at": 1.5, "done": 0},
    ids.COMPARE.preset: "gru",
    ids.PHASE.search: "?gain=2&axes=w-v",
    ids.PHASE.request: {
        "values": {"activation": "tanh", "axes": "w-b", "sigma_w": 1.5, "sigma_b": 0.1, "sigma_v": 1},
        "base": "v=1",
        **LOOK,
    },
    ids.LEARN.search: "?chapter=product",
    ids.LEARN.request: {"chapter": "product", "values": {"units": "2", "back": 7}, "guess": -2.5, **LOOK},
    ids.LEARN.guesses: {"product": -2.5},
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
VALUES |= {ids.control(name): value for name, value in values([SLOT] * 6).items()}
for of, config in ((RunConfig, SMALL), (TrainConfig, TRAIN)):
    VALUES |= {ids.control(form.key(key, of)): value for key, value in form.raw(config).items()}
HELD = {"n_clicks": 1, "n_intervals": 3, "contents": upload(b"a,b\n1,2\n2,4\n3,1\n"), "filename": "a.csv"}
DEEP = "deep"  # stands for a value that json.dumps itself could not write


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


def calls(component: str, value: Any) -> list[dict[str, Any]]:
    """The posts of all callbacks that a component triggers when it holds something else."""
    posted = []
    for output, known in CALLBACKS.items():
        for n, declared in enumerate(known["inputs"]):
            if declared["id"] == component:
                body = post(output, n)
                body["inputs"][n]["value"] = value
                posted.append(body)
    return posted


def send(client: FlaskClient, body: Any) -> Any:
    text = json.dumps(body).replace(f'"{DEEP}"', "[" * 3000 + "]" * 3000)
    return client.post(posts.PATH, data=text, content_type="application/json")
