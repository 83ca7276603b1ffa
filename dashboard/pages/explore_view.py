"""Drawing: from what the browser asks for to what the page shows."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from dash import Dash, Input, Output, State, html, no_update

import gradlab
from gradlab.config import UPDATE_CLIPS, RunConfig, controls
from gradlab.diagnosis import verdict
from gradlab.errors import InputError
from gradlab.links import from_query
from gradlab.presets import PRESETS

from .. import components, form, ids
from ..runs import FIRST, LIVE, RUNS, require_memory

MAX_PINS = 5
BOXES, BOXES_NARROW = 50, 25
CLIP_NOTE = "Clipping rescales the weight update, not the gradient flow: this curve is the same. See Clipping."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What the browser wants drawn. run: whether a person asked for it, however long it takes."""

    raw: Mapping[str, Any]
    preset: str
    pins: tuple[str, ...] = ()
    theme: str = "light"
    narrow: bool = False
    run: bool = False

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Request:
        """From the browser's JSON."""
        preset = data["preset"] if data["preset"] in PRESETS else next(iter(PRESETS))
        pins = tuple(data["pins"][:MAX_PINS])
        return cls(data["raw"], preset, pins, data["theme"], bool(data["narrow"]), bool(data["run"]))

    @property
    def base(self) -> RunConfig:
        """The preset that controls are compared with."""
        return PRESETS[self.preset].config()


def draw(request: Request, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Output -> value. What is wrong with the request becomes messages, and the last good figure stays."""
    filled = form.read(request.raw)
    errors, outputs = dict(filled.errors), {}
    if not errors:
        try:
            outputs = _figure(filled.config, request, LIVE if shown else FIRST)
        except InputError as error:
            field = blame(filled.config, str(error))
            errors, outputs = ({field: str(error)}, {}) if field else ({}, _failed(str(error)))
        except Exception as error:  # a defect: the page says so and lives on
            log.exception("a run failed")
            outputs = _failed(f"gradlab failed on this run, which is its own fault ({type(error).__name__}: {error}).")
    classes = form.class_names(filled.config, request.base)
    return _blank() | _stale(bool(errors)) | outputs | _form_changes(classes, errors, shown)


def _blank() -> dict[str, Any]:
    """Everything stays but the messages of the last attempt."""
    kept = ("figure", "style", "verdict", "details", "strip", "why", "note", "realised")
    return dict.fromkeys(kept, no_update) | {"failure": "", "run_bar": "run-bar hidden", "run_text": ""}


def _stale(is_stale: bool) -> dict[str, Any]:
    return {"stage": "stage stale" if is_stale else "stage"}


def _failed(text: str) -> dict[str, Any]:
    return {"failure": components.message(f"{text} The figure shows the last good run.", "error")} | _stale(True)


def _figure(config: RunConfig, request: Request, patience: float) -> dict[str, Any]:
    """The run's view, or the question whether to start it where it takes long."""
    require_memory(config)
    pins = [from_query(query).config for query in request.pins]
    seconds = RUNS.seconds(config, *pins)
    if seconds > patience and not request.run:
        first = {} if patience == LIVE else {"verdict": "Ready when you are"}
        return first | {"run_bar": "run-bar", "run_text": f"This run takes about {duration(seconds)}."} | _stale(True)
    return view(RUNS.get(config), [pinned(pin) for pin in pins], config, request)


def duration(seconds: float) -> str:
    """A predicted time, as roughly as it is known."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def pinned(config: RunConfig) -> xr.Dataset:
    """A pinned run, labelled as in the list of pins."""
    return RUNS.get(config).assign_attrs(label=label(config))


def label(config: RunConfig) -> str:
    """A run in a few words: its preset's name, else what it has changed from the defaults."""
    for preset in PRESETS.values():
        if preset.config() == config:
            return preset.label
    parts = [_part(name, value) for name, value in config.changes().items()]
    return ", ".join(parts[:4]) + (" …" if len(parts) > 4 else "")


def _part(name: str, value: Any) -> str:
    if form.kind(name) == "file":
        return form.file_label(form.file_key(value) or "")
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if form.kind(name) == "choice" else f"{controls()[name].label.lower()} {text}"


def view(ds: xr.Dataset, pins: list[xr.Dataset], config: RunConfig, request: Request) -> dict[str, Any]:
    """Everything that shows a run."""
    found = verdict(ds)
    fig = gradlab.plots.explore(ds, pins, request.theme)
    boxes = gradlab.plots.strip(ds, BOXES_NARROW if request.narrow else BOXES, request.theme)
    return {
        "figure": fig,
        "style": {"height": f"{fig.layout.height}px"},
        "verdict": components.headline(found),
        "details": components.details(found),
        "strip": components.strip(boxes, ds.sizes["step"]),
        "why": components.typeset(f"Why: {found.why}") if found.why else "",
        "note": CLIP_NOTE if config.clip in UPDATE_CLIPS else "",
        "realised": realised(ds),
    }


def realised(ds: xr.Dataset) -> list[components.Content]:
    """What the recurrent weights really are: std * sqrt(H), spectral radius, largest singular value, over the gates."""
    singular = ds.recurrent_singular_values.transpose("recurrent_gate", "index").values
    real, imaginary = ds.recurrent_eigenvalues.transpose("part", "recurrent_gate", "index").values
    std, radius = np.sqrt((singular**2).mean(-1)), np.hypot(real, imaginary).max(-1)
    return [f"std·√H {_range(std)} · ρ {_range(radius)} · σ", html.Sub("max"), f" {_range(singular[:, 0])}"]


def _range(values: np.ndarray) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low}–{high}"


def blame(config: RunConfig, message: str) -> str | None:
    """The field whose control should show an error of the engine; None where no single one is at fault."""
    fields = controls()
    advised = [name for name in re.findall(r"\b([a-z_]+)=", message) if name in fields]
    if advised:
        return advised[0]
    first = re.match(r"(?:unknown )?([a-z_]+)\b", message)
    if first and first[1] in fields:
        return first[1]
    named = [name for name in form.FILES if form.file_label(form.file_key(getattr(config, name)) or "") in message]
    files = [name for name in named if getattr(config, name) not in (None, *gradlab.data.INPUTS)]
    return files[0] if files else None


def _form_changes(classes: dict[str, str], errors: dict[str, str], shown: Mapping[str, Any]) -> dict[str, Any]:
    """Classes and messages of those controls where they differ from what is shown."""
    before, messages = shown.get("classes", {}), shown.get("errors", {})
    texts = {name: errors.get(name, "") for name in classes}
    return {
        "classes": {name: value if before.get(name) != value else no_update for name, value in classes.items()},
        "errors": {name: value if messages.get(name, "") != value else no_update for name, value in texts.items()},
        "shown": {"classes": classes, "errors": errors},
    }


def show(request: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """The callback: draw, and say what was drawn."""
    return draw(Request.parse(request), shown) | {"drawn": request}


OUTPUTS = {
    "figure": Output(ids.FIGURE, "figure"),
    "style": Output(ids.FIGURE, "style"),
    "verdict": Output(ids.VERDICT, "children"),
    "details": Output(ids.DETAILS, "children"),
    "strip": Output(ids.STRIP, "children"),
    "why": Output(ids.WHY, "children"),
    "note": Output(ids.NOTE, "children"),
    "realised": Output(ids.REALISED, "children"),
    "failure": Output(ids.FAILURE, "children"),
    "run_bar": Output(ids.RUN_BAR, "className"),
    "run_text": Output(ids.RUN_TEXT, "children"),
    "stage": Output(ids.STAGE, "className"),
    "shown": Output(ids.SHOWN, "data"),
    "drawn": Output(ids.DRAWN, "data"),
}


def register(app: Dash) -> None:
    """Draw whenever the browser asks."""
    per_field = {
        "classes": {name: Output(ids.field(name), "className") for name in controls()},
        "errors": {name: Output(ids.control(name), "error") for name in controls()},
    }
    inputs = [Input(ids.REQUEST, "data"), State(ids.SHOWN, "data")]
    app.callback(output=OUTPUTS | per_field, inputs=inputs, prevent_initial_call=True)(show)
