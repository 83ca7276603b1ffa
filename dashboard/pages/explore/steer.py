"""What sets the controls other than a hand: link, preset, Reset, another seed, file, a pin opened again, remedy."""

import random
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from dash import ALL, Dash, Input, Output, State, ctx, no_update
from pydantic import Field

from gradlab.config import RunConfig
from gradlab.config.links import Link, from_query, to_query
from gradlab.config.presets import PRESETS
from gradlab.errors import InputError

from ... import controls, drawing, form, ids
from ...answers import answer, outputs
from ...components import message
from ...posts import Clicks, Entries, Text
from ...uploads import columns, decode, keep, stored
from ...work.runs import require_drawable
from . import diagnosis
from .draw import add_pin
from .request import MAX_PINS, Pins, Request, group_of

UPLOADS = (*form.FILES, ids.EXPLORE.missing)
CHIPS = {"vanishing_tanh": "Vanishing", "edge": "Edge", "exploding_tanh": "Exploding", "lstm_forget_1": "LSTM"}


@dataclass(frozen=True)
class Pressed:
    """A button that comes and goes, as `ids.button` names it."""

    type: Literal["try", "reopen"]
    index: Annotated[int, Field(ge=0)] = 0
    query: Text = ""


@dataclass(frozen=True)
class ExploreState:
    """What steering starts from. options: the entries of the file fields, file_names: of dropped files; by name."""

    preset: Text
    search: Text | None
    options: dict[Text, Entries]
    pins: Pins | None = None
    settled: Request | None = None
    file_names: dict[Text, Text | None] = field(default_factory=dict)


def follow_link(page: ExploreState) -> dict[str, Any]:
    """Controls, pins, group of samples and notices of the address."""
    link = from_query(page.search or "")
    pins = [to_query(pin) for pin in link.pins]
    notices = [message(text) for text in link.notices]
    if len(pins) > MAX_PINS:
        notices.append(message(f"This link has {len(pins)} pins; the first {MAX_PINS} are shown."))
    shown = {"pins": pins[:MAX_PINS], "notices": notices, "group": group_of(page.search or "")}
    return set_controls(link.config, page) | missing_file(link) | shown


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
    options = {name: controls.file_options(name, raw[name], page.options[name]) for name in form.FILES}
    return {"values": raw, "preset": named, "options": options, "loaded": random.random()}


def choose_preset(name: str, page: ExploreState) -> dict[str, Any]:
    """A preset as it is; some open the tab that they are about."""
    return set_controls(PRESETS[name].config(), page, name) | {"tabs": PRESETS[name].tab or no_update}


def take_file(slot: str, contents: str, name: str, page: ExploreState) -> dict[str, Any]:
    """A dropped file becomes the input or the weights, and if the link waits for it, completes the link.

    One that cannot be used changes nothing but the message.
    """
    missing = missing_names(page)
    try:
        data = decode(contents)
        key, summary = (stored(name, data), "") if slot == ids.EXPLORE.missing else keep(slot, name, data)
    except InputError as error:
        return {"upload_messages": {slot: message(str(error), "error")}}
    if len(missing_names(page)) < len(missing):
        return follow_link(page)
    if slot == ids.EXPLORE.missing:
        text = f"{name} has not the content that this link means. Under More another file can be chosen."
        return {"upload_messages": {slot: message(text, "error")}}
    return choose_file(slot, key, page) | {"upload_messages": {slot: summary}}


def missing_names(page: ExploreState) -> dict[str, str]:
    """The files that the link uses and that are not here, by field; their content tells which is which."""
    return from_query(page.search or "").missing


def choose_file(field: str, key: str, page: ExploreState) -> dict[str, Any]:
    """The control of a file at a new one, whose columns have other names."""
    values = {field: key, "column": None} if field == "input" else {field: key}
    options = {field: controls.file_options(field, key, page.options[field])}
    return {"values": values, "options": options, "missing": "missing hidden", "loaded": random.random()}


def try_remedy(settled: Request, n: int, page: ExploreState) -> dict[str, Any]:
    """A remedy of the settled run becomes the run; that one is pinned, where there is room."""
    old = form.read(settled.raw).config
    require_drawable(old)
    try:
        new, tried = diagnosis.changed(old, n, settled.group)
    except InputError as error:
        return {"notices": [message(str(error), "error")]}
    pins = add_pin(list(page.pins or ()), to_query(old))
    return set_controls(new, page) | {"pins": pins, "tried": asdict(tried)}


def press(button: Pressed, settled: Request | None, page: ExploreState) -> dict[str, Any]:
    """A pin opened again, or a remedy."""
    if button.type == "try":
        return try_remedy(settled, button.index, page) if settled else {}
    return set_controls(from_query(button.query).config, page)


def steer(
    pressed: Pressed | None, clicks: dict[Text, Clicks], uploads: dict[Text, str | None], page: ExploreState
) -> dict[str, Any]:
    """The callback: who asked, and what follows."""
    presets = {ids.EXPLORE.preset: page.preset, ids.EXPLORE.reset: page.preset}
    presets |= {ids.part(ids.EXPLORE.chip, name): name for name in CHIPS}
    dropped = {ids.upload(slot): (slot, contents, page.file_names[slot]) for slot, contents in uploads.items()}
    trigger, changes = ctx.triggered_id, {}
    if trigger in presets:
        changes = choose_preset(presets[trigger], page)
    elif trigger in dropped:
        slot, contents, name = dropped[trigger]
        changes = take_file(slot, contents, name or "", page) if contents else {}
    elif trigger == ids.EXPLORE.reroll:
        changes = {"values": {"seed": random.randrange(controls.SEED_LIMIT)}}
    elif trigger == ids.EXPLORE.pressed and pressed:
        changes = press(pressed, page.settled, page)
    elif trigger == ids.EXPLORE.search:
        changes = follow_link(page)
    return answer(OUTPUTS, changes)


OUTPUTS = {
    **outputs(ids.EXPLORE, value="preset tabs group", data="tried loaded", children="notices", className="missing"),
    "pins": Output(ids.EXPLORE.pins, "data", allow_duplicate=True),
    "values": controls.values(Output),
    "options": {name: Output(ids.control(name), "data") for name in form.FILES},
    "upload_messages": {slot: Output(ids.upload_message(slot), "children") for slot in UPLOADS},
}


def register(app: Dash) -> None:
    """What sets the controls, and the columns of the input that is chosen.

    The buttons that come and go have a callback of their own, in the browser: they call it as they come, too, and a
    call of a callback takes the place of one that is under way, such as an upload.
    """
    page = {
        "preset": Input(ids.EXPLORE.preset, "value"),
        "search": Input(ids.EXPLORE.search, "data"),
        "options": {name: State(ids.control(name), "data") for name in form.FILES},
        "pins": State(ids.EXPLORE.pins, "data"),
        "settled": State(ids.EXPLORE.settled, "data"),
        "file_names": {slot: State(ids.upload(slot), "filename") for slot in UPLOADS},
    }
    buttons = [ids.EXPLORE.reset, ids.EXPLORE.reroll, *(ids.part(ids.EXPLORE.chip, name) for name in CHIPS)]
    inputs = {
        "pressed": Input(ids.EXPLORE.pressed, "data"),
        "clicks": {name: Input(name, "n_clicks") for name in buttons},
        "uploads": {slot: Input(ids.upload(slot), "contents") for slot in UPLOADS},
        "page": page,
    }
    app.callback(output=OUTPUTS, inputs=inputs, prevent_initial_call="initial_duplicate")(steer)
    come_and_go = [Input(button(ALL), "n_clicks") for button in (ids.reopen, ids.try_remedy)]
    drawing.in_browser(app, "explore", pressed=[Output(ids.EXPLORE.pressed, "data"), *come_and_go])
    app.callback(Output(ids.control("column"), "data"), Input(ids.control("input"), "value"))(columns)
