"""What sets the controls other than a hand: link, preset, Reset, another seed, file, a pin opened again, remedy."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, no_update

from gradlab.config import RunConfig
from gradlab.config.links import Link, from_query, to_query
from gradlab.config.presets import PRESETS
from gradlab.errors import InputError

from ... import controls, form, ids
from ...answers import answer
from ...components import message
from ...uploads import columns, decode, keep
from . import diagnosis
from .draw import add_pin
from .request import MAX_PINS

UPLOADS = (*form.FILES, ids.EXPLORE.missing)
CHIPS = {"vanishing_tanh": "Vanishing", "edge": "Edge", "exploding_tanh": "Exploding", "lstm_forget_1": "LSTM"}


@dataclass(frozen=True)
class ExploreState:
    """What steering starts from. options: the entries of the file fields, by name."""

    preset: str
    search: str
    options: Mapping[str, Sequence[Mapping[str, str]]]
    pins: Sequence[str] = ()


def follow_link(page: ExploreState) -> dict[str, Any]:
    """Controls, pins and notices of the address."""
    link = from_query(page.search)
    pins = [to_query(pin) for pin in link.pins]
    notices = [message(text) for text in link.notices]
    if len(pins) > MAX_PINS:
        notices.append(message(f"This link has {len(pins)} pins; the first {MAX_PINS} are shown."))
    return set_controls(link.config, page) | missing_file(link) | {"pins": pins[:MAX_PINS], "notices": notices}


def missing_file(link: Link) -> dict[str, Any]:
    """The place to drop a file that the link uses and this machine lacks."""
    names = " and ".join(link.missing.values())
    text = f"This link uses {names}." if names else ""
    messages = dict.fromkeys(form.FILES, "") | {ids.EXPLORE.missing: text}
    return {"missing": "missing" if names else "missing hidden", "upload_messages": messages}


def set_controls(config: RunConfig, page: ExploreState, preset: str | None = None) -> dict[str, Any]:
    """All controls at a configuration, and the preset that it is, if it is one."""
    raw = form.raw(config)
    named = preset or next((name for name, p in PRESETS.items() if p.config() == config), page.preset)
    options = {name: with_file(name, raw[name], page) for name in form.FILES}
    return {"values": raw, "preset": named, "options": options, "loaded": random.random()}


def with_file(name: str, key: str | None, page: ExploreState) -> list[dict[str, str]]:
    """The entries of a file field, with those that were dropped before and this one."""
    return controls.file_options(name, *(entry["value"] for entry in page.options[name]), key)


def choose_preset(name: str, page: ExploreState) -> dict[str, Any]:
    """A preset as it is; some open the tab that they are about."""
    return set_controls(PRESETS[name].config(), page, name) | {"tab": PRESETS[name].tab or no_update}


def reroll(page: ExploreState) -> dict[str, Any]:
    """Another seed."""
    return {"values": {"seed": random.randrange(controls.SEED_LIMIT)}}


def take_file(slot: str, contents: str, name: str, page: ExploreState) -> dict[str, Any]:
    """A dropped file becomes the input or the weights, and if the link waits for it, completes the link.

    One that cannot be used changes nothing but the message.
    """
    field, missing = slot_field(slot, name), from_query(page.search).missing
    try:
        key, summary = keep(field, name, decode(contents))
    except InputError as error:
        return {"upload_messages": {slot: message(str(error), "error")}}
    if len(from_query(page.search).missing) < len(missing):
        return follow_link(page)
    if slot == ids.EXPLORE.missing:
        text = f"{name} has not the content that this link means. Under More it can be used all the same."
        return {"upload_messages": {slot: message(text, "error")}}
    return choose_file(field, key, page) | {"upload_messages": {slot: summary}}


def choose_file(field: str, key: str, page: ExploreState) -> dict[str, Any]:
    """The control of a file at a new one, whose columns have other names."""
    values = {field: key, "column": None} if field == "input" else {field: key}
    options = {field: with_file(field, key, page)}
    return {"values": values, "options": options, "missing": "missing hidden", "loaded": random.random()}


def slot_field(slot: str, name: str) -> str:
    """Which field a file is for; where both are missing its name tells."""
    if slot != ids.EXPLORE.missing:
        return slot
    return "weights" if name.lower().endswith(".safetensors") else "input"


def try_remedy(settled: Mapping[str, Any], n: int, page: ExploreState) -> dict[str, Any]:
    """A remedy of the settled run becomes the run; that one is pinned, where there is room."""
    old = form.read(settled["raw"]).config
    try:
        new, tried = diagnosis.changed(old, n)
    except InputError as error:
        return {"notices": [message(str(error), "error")]}
    pins = add_pin(list(page.pins), to_query(old))
    return set_controls(new, page) | {"pins": pins, "tried": tried}


def steer(search: str, clicks: dict[str, Any], uploads: dict[str, Any], page: dict[str, Any]) -> dict[str, Any]:
    """The callback: who asked, and what follows."""
    here = ExploreState(page["preset"], search or "", page["options"], page["pins"] or ())
    trigger = ctx.triggered_id
    if trigger in (ids.EXPLORE.preset, ids.EXPLORE.reset):
        return answer(TARGETS, choose_preset(here.preset, here))
    if trigger == ids.EXPLORE.reroll:
        return answer(TARGETS, reroll(here))
    for name in clicks["chips"]:
        if trigger == ids.part(ids.EXPLORE.chip, name):
            return answer(TARGETS, choose_preset(name, here))
    for slot in UPLOADS:
        if trigger == ids.upload(slot) and uploads[slot]:
            return answer(TARGETS, take_file(slot, uploads[slot], page["file_names"][slot], here))
    return answer(TARGETS, follow_link(here) if trigger == ids.EXPLORE.search else {})


def pressed(clicks: dict[str, Any], settled: Mapping[str, Any] | None, page: dict[str, Any]) -> dict[str, Any]:
    """The callback of the buttons that come and go, which also call it as they come."""
    here = ExploreState(page["preset"], "", page["options"], page["pins"] or ())
    changes = press(ctx.triggered_id, settled, here) if ctx.triggered[0]["value"] else {}
    if changes.get("preset") == here.preset:  # set again, it would be chosen again
        del changes["preset"]
    return answer(TARGETS, changes)


def press(button: Mapping[str, Any], settled: Mapping[str, Any] | None, page: ExploreState) -> dict[str, Any]:
    """A pin opened again, or a remedy."""
    if button["type"] == "try":
        return try_remedy(settled, button["index"], page) if settled else {}
    return set_controls(from_query(button["query"]).config, page)


def targets(kind: Any = Output) -> dict[str, Any]:
    """What steering may set."""
    plain = {
        "preset": kind(ids.EXPLORE.preset, "value"),
        "pins": Output(ids.EXPLORE.pins, "data", allow_duplicate=True),
        "notices": kind(ids.EXPLORE.notices, "children"),
        "missing": kind(ids.EXPLORE.missing, "className"),
        "tab": kind(ids.EXPLORE.tabs, "value"),
        "tried": kind(ids.EXPLORE.tried, "data"),
        "loaded": kind(ids.EXPLORE.loaded, "data"),
    }
    return plain | {
        "values": controls.values(kind),
        "options": {name: kind(ids.control(name), "data") for name in form.FILES},
        "upload_messages": {slot: kind(ids.upload_message(slot), "children") for slot in UPLOADS},
    }


TARGETS = targets()


def register(app: Dash) -> None:
    """What sets the controls, and the columns of the input that is chosen.

    The buttons that come and go have a callback of their own: as they come they call it, and a call of a callback takes
    the place of one that is under way, such as an upload.
    """
    buttons = {"reset": Input(ids.EXPLORE.reset, "n_clicks"), "reroll": Input(ids.EXPLORE.reroll, "n_clicks")}
    chips = {name: Input(ids.part(ids.EXPLORE.chip, name), "n_clicks") for name in CHIPS}
    page = {
        "options": {name: State(ids.control(name), "data") for name in form.FILES},
        "pins": State(ids.EXPLORE.pins, "data"),
    }
    file_names = {"file_names": {slot: State(ids.upload(slot), "filename") for slot in UPLOADS}}
    app.callback(
        output=TARGETS,
        inputs={
            "search": Input(ids.EXPLORE.search, "data"),
            "clicks": buttons | {"chips": chips},
            "uploads": {slot: Input(ids.upload(slot), "contents") for slot in UPLOADS},
            "page": page | {"preset": Input(ids.EXPLORE.preset, "value")} | file_names,
        },
        prevent_initial_call="initial_duplicate",
    )(steer)
    app.callback(
        output=targets(partial(Output, allow_duplicate=True)),
        inputs={
            "clicks": {"reopen": Input(ids.reopen(ALL), "n_clicks"), "tries": Input(ids.try_remedy(ALL), "n_clicks")},
            "settled": State(ids.EXPLORE.settled, "data"),
            "page": page | {"preset": State(ids.EXPLORE.preset, "value")},
        },
        prevent_initial_call=True,
    )(pressed)
    app.callback(Output(ids.control("column"), "data"), Input(ids.control("input"), "value"))(columns)
