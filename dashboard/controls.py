"""The controls, one per field of a configuration, made from the field's metadata: a new field needs no code here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, dcc, html

from gradlab.arrays import gpu_problem
from gradlab.config import Config, Control, RunConfig, controls

from . import form, ids
from .components import Component, icon_button
from .drawing import in_browser
from .server import UPLOAD_LIMIT

SEED_LIMIT = 10_000  # of a reroll; a field takes any seed
ALL_COLUMNS = "all numeric ones"
UPLOAD_TEXT = {
    "input": "your own: a table, array, sound or text",
    "weights": "your own: a model of PyTorch, Keras, ONNX",
}


def block(name: str, of: type[Config] = RunConfig) -> Component:
    """Label, control and room for a message of one field."""
    control, config = controls(of)[name], of()
    parts = BUILDERS[form.kind(name, of)](name, control, getattr(config, name), of)
    return html.Div(parts, id=ids.field(form.key(name, of)), className=form.class_names(config, config)[name])


def _common(key: str, control: Control) -> dict[str, Any]:
    return {"id": ids.control(key), "label": control.label, "labelProps": {"title": control.help}, "size": "xs"}


def _number_input(key: str, control: Control, value: Any, **more: Any) -> Component:
    more |= {"step": control.step or 1, "clampBehavior": "none"}
    return dmc.NumberInput(**_common(key, control), value=value, **more)


def number(key: str, control: Control, value: Any, **more: Any) -> list[Component]:
    """A slider and a field that goes beyond it; `pair` keeps both at one value."""
    span = {"min": control.min, "max": control.max, "step": control.step}
    return [_number_input(key, control, value, **more), slider(ids.slider(key), control.label, value, **span)]


def slider(component_id: Any, label: str, value: Any, **span: Any) -> Component:
    """A slider that is followed while it moves; span: min, max, step."""
    look = {"label": None, "thumbLabel": label, "size": "sm", "updatemode": "drag"}
    return html.Div(dmc.Slider(id=component_id, value=value, **span, **look), className="slider")


def _number(name: str, control: Control, value: Any, of: type[Config]) -> list[Component]:
    """With a switch for the word that may stand instead."""
    key = form.key(name, of)
    parts = number(key, control, value, allowDecimal=not form.whole(name, of))
    if word := form.word(name, of):
        switch = dmc.Switch(id=ids.control(ids.word(key)), label=word, checked=False, size="xs")
        parts.append(html.Div(switch, className="word", title=control.help))
    return parts


def _choice(name: str, control: Control, value: Any, of: type[Config]) -> list[Component]:
    return [_select(form.key(name, of), control, value=value, data=options(name, of), allowDeselect=False)]


def _select(key: str, control: Control, **props: Any) -> Component:
    return dmc.Select(**_common(key, control), comboboxProps={"shadow": "md"}, **props)


def _switch(name: str, control: Control, value: Any, of: type[Config]) -> list[Component]:
    switch = dmc.Switch(id=ids.control(form.key(name, of)), label=control.label, checked=value, size="xs")
    return [html.Div(switch, className="word", title=control.help)]


def options(name: str, of: type[Config] = RunConfig) -> list[dict[str, Any]]:
    """What a choice offers; the GPU is there but disabled, with the reason, where it cannot be used."""
    control = controls(of)[name]
    labels = control.labels or {}
    names = control.choices() if control.choices else []
    entries: list[dict[str, Any]] = [{"value": choice, "label": labels.get(choice, choice)} for choice in names]
    if name == "device" and gpu_problem():
        entries = [entry | {"disabled": entry["value"] == "cuda"} for entry in entries]
    return entries


def _file(name: str, control: Control, value: Any, of: type[Config]) -> list[Component]:
    """A choice among what is generated and what was dropped, and a place to drop more."""
    key, placeholder = form.key(name, of), "drawn at random" if name == "weights" else "none"
    optional = {"clearable": True, "placeholder": placeholder} if value is None else {}
    select = _select(key, control, value=value, data=file_options(name, None, of=of), allowDeselect=False, **optional)
    return [select, upload(key, UPLOAD_TEXT[name])]


def upload(key: str, text: str) -> Component:
    """A place to drop or choose a file, with room for a message; of any kind, as one that is shut out gets no word."""
    zone = dcc.Upload(html.Span(text), id=ids.upload(key), className="upload")
    result = html.Div(id=ids.upload_message(key), className="message", role="status")
    limit: dict[str, Any] = {"data-limit": UPLOAD_LIMIT}  # for assets/uploads.js
    return html.Div([zone, result], className="dropzone", **limit)


def file_options(
    name: str, key: str | None, before: Sequence[Mapping[str, str]] | None = None, of: type[Config] = RunConfig
) -> list[dict[str, str]]:
    """Entries of a file field's choice: what is generated, the files of the entries `before`, and the one of a key."""
    choices = controls(of)[name].choices
    keys = [*(choices() if choices else []), *(entry.get("value") for entry in before or ()), key]
    return [{"value": key, "label": form.file_label(key)} for key in dict.fromkeys(keys) if key]


def _column(name: str, control: Control, value: Any, of: type[Config]) -> list[Component]:
    look = {"clearable": True, "placeholder": ALL_COLUMNS}
    return [_select(form.key(name, of), control, value=value, data=[], **look)]


def _seed(name: str, control: Control, value: Any, of: type[Config]) -> list[Component]:
    reroll = icon_button(form.PAGES[of].reroll, "reroll", "Another seed")
    look = {"rightSection": reroll, "hideControls": True, "allowDecimal": False}
    return [_number_input(form.key(name, of), control, value, **look)]


def _text(name: str, control: Control, value: Any, of: type[Config]) -> list[Component]:
    look = {"placeholder": "default"} if value is None else {}
    return [dmc.TextInput(**_common(form.key(name, of), control), value="" if value is None else f"{value}", **look)]


BUILDERS = {
    "number": _number,
    "choice": _choice,
    "file": _file,
    "column": _column,
    "seed": _seed,
    "text": _text,
    "switch": _switch,
}


def basic(of: type[Config] = RunConfig) -> list[Component]:
    """The controls that are always visible."""
    return [block(name, of) for name, control in controls(of).items() if control.level == "basic"]


def more(of: type[Config] = RunConfig) -> list[Component]:
    """The others, by group; what the GPU lacks stands below the device."""
    groups: dict[str, list[Component]] = {}
    for name, control in controls(of).items():
        if control.level == "more":
            groups.setdefault(control.group, []).append(block(name, of))
    problem = gpu_problem()
    note = [html.P(f"No GPU: {problem}.", className="message")] if problem else []
    headed = [part for group, blocks in groups.items() for part in (html.H3(group.capitalize()), *blocks)]
    return headed + note


def values(prop: Callable[[str, str], Any], of: type[Config] = RunConfig) -> dict[str, Any]:
    """Key -> dependency on the value of every control."""
    return {name: prop(ids.control(form.key(name, of)), held) for name, held in form.properties(of).items()}


def pair(app: Dash, key: str) -> None:
    """Keep a slider and its field at the same value, in the browser."""
    both = [kind(component, "value") for kind in (Output, Input) for component in (ids.slider(key), ids.control(key))]
    in_browser(app, "drawing", pair=both)


def register(app: Dash, of: type[Config] = RunConfig) -> None:
    """Pair sliders with their fields."""
    for name in controls(of):
        if form.kind(name, of) == "number":
            pair(app, form.key(name, of))
