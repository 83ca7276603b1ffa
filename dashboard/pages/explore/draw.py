"""Drawing: from what the browser asks for to what the page shows."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from dash import Dash, Input, Output, html, no_update

import gradlab
from gradlab.config import UPDATE_CLIPS, RunConfig, controls
from gradlab.config.architecture import is_single
from gradlab.config.labels import setting_text
from gradlab.config.links import from_query
from gradlab.config.presets import PRESETS
from gradlab.errors import Cancelled, InputError
from gradlab.runs.group import labels, said_of_group
from gradlab.runs.rows import dataset_of, rows
from gradlab.runs.verdicts import verdict
from gradlab.wording import counted, duration

from ... import components, form, ids
from ...answers import answer, outputs
from ...form import Form
from ...work.runs import FOLLOWS, LIVE, PREVIEW, PREVIEW_SAMPLES, RUNS, require_memory
from . import theory
from .request import MAX_PINS, Request, chosen, shown_row

BOXES, BOXES_NARROW = 50, 25
CLIP_NOTE = "Clipping rescales the weight update, not the gradient flow: this curve is the same. See Clipping."
LEFT_OUT = "Pinned networks without a recurrent cell are left out here; the page Compare shows them."
log = logging.getLogger(__name__)


def draw(request: Request) -> dict[str, Any]:
    """What a request changes on the page; nothing where a newer one of the page has taken its place.

    What is wrong with it becomes messages, and the last good figure stays.
    """
    filled = form.read(request.raw)
    if filled.errors:
        return stale(request, filled)
    try:
        return attempt(filled.config, request)
    except Cancelled:
        return {}
    except InputError as error:
        fields = error.fields.items()
        errors = {name: text for name, text in fields if name in controls() and form.applies(name, filled.config)}
        return stale(request, Form(filled.config, errors), failure="" if errors else str(error))
    except Exception as error:  # a defect: the page says so and lives on
        log.exception("a run failed")
        text = f"gradlab failed on this run, which is its own fault ({type(error).__name__}: {error})."
        return stale(request, filled, failure=text)


def attempt(config: RunConfig, request: Request) -> dict[str, Any]:
    """The run; where it takes long its preview, or the question whether to start it.

    Raises InputError as `analyze` does.
    """
    require_memory(config)
    pins = [from_query(query).config for query in request.pins]
    seconds = RUNS.seconds(config, *pins)
    if request.run or (seconds <= LIVE and not (RUNS.is_crowded() and can_preview(config, LIVE))):
        return view(RUNS.get(config, request.owner), [pinned(pin) for pin in pins], config, request)
    RUNS.results.give_up(request.owner)
    if can_preview(config, LIVE if request.first else PREVIEW):
        return preview(config, pins, request, seconds)
    return stale(request, Form(config), question=f"This run takes about {duration(seconds)}.")


def can_preview(config: RunConfig, seconds: float) -> bool:
    """Whether the first samples of a run say something within `seconds` that is not known yet."""
    fewer = config.batch_size > PREVIEW_SAMPLES <= config.steps  # else the input looks as if samples came first
    return fewer and config not in RUNS and RUNS.preview_seconds(config) <= seconds


def preview(config: RunConfig, pins: list[RunConfig], request: Request, seconds: float) -> dict[str, Any]:
    """The run's first samples, and what becomes of the others; groups and new pins wait for the whole run.

    What a link shows first is followed by the whole run on a click only.
    """
    follows = seconds <= (LIVE if request.first else FOLLOWS)
    shown, kept = RUNS.preview(config, request.owner), [pinned(pin) for pin in pins if pin in RUNS]
    changes = view(shown, kept, config, replace(request, group=""))
    changes["drawn"]["props"][ids.EXPLORE.group] = {"className": "group hidden"}
    changes["details"] = [html.Span(preview_note(config), className="part-of-run"), " ", *changes["details"]]
    changes["drawn"]["follows"] = follows
    changes["drawn"]["props"] |= run_bar("" if follows else f"The whole run takes about {duration(seconds)}.")
    return changes


def preview_note(config: RunConfig) -> str:
    """What a preview shows of a run."""
    return f"Preview: {PREVIEW_SAMPLES} of {counted(config.batch_size, 'sample')}"


def stale(request: Request, filled: Form[RunConfig], failure: str = "", question: str = "") -> dict[str, Any]:
    """No new run to show: a control is wrong, the run failed, or it waits for a click on Run.

    Where the controls may be out of sight, on a narrow screen or a link's first view, their messages are shown twice.
    """
    if filled.errors and (request.narrow or request.first):
        failure = " ".join(f"{controls()[name].label}: {text}." for name, text in filled.errors.items())
    if failure and not request.first:
        failure = f"{failure} The figure shows the last good run."
    said = {"verdict": "Ready when you are" if question else "Nothing to show yet"} if request.first else {}
    message = components.message(failure, "error") if failure else ""
    return said | {"failure": message, "drawn": drawn(request, filled, "stage stale", question)}


def drawn(
    request: Request,
    filled: Form[RunConfig],
    stage: str,
    question: str = "",
    note: str = "",
    strip: Any = None,
    groups: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What the browser sets: component id -> properties, where they have changed; strip, groups unless the last stay.

    run: as in the request, which tells a late answer from the awaited one. follows: whether the whole run is to be
    asked for when the hand lets go.
    """
    props = form.looks(filled, request.base) | {
        ids.EXPLORE.preset: {"label": "Preset" if filled.config == request.base else "Preset (changed)"},
        ids.EXPLORE.stage: {"className": stage},
        ids.EXPLORE.note: {"children": note},
        **({} if groups is None else {ids.EXPLORE.group: groups}),
    }
    return {"props": props | run_bar(question), "strip": strip, "run": request.run, "follows": False}


def run_bar(question: str) -> dict[str, dict[str, str]]:
    """The Run button with its question; hidden where there is none."""
    look = {"className": "run-bar" if question else "run-bar hidden"}
    return {ids.EXPLORE.run_bar: look, ids.EXPLORE.run_text: {"children": question}}


def pinned(config: RunConfig) -> xr.Dataset | None:
    """A pinned run, labelled as in the list of pins; of a network the cell next to the loss, None without any."""
    found = RUNS.get(config)
    if isinstance(found, xr.DataTree):
        cells = [row for row in rows(found) if row.kind == "cell"]
        found = dataset_of(found, cells[0].path) if cells else None
    return None if found is None else found.assign_attrs(label=label(config))


def label(config: RunConfig) -> str:
    """A run in a few words: its preset's name, else what it has changed from the defaults."""
    for preset in PRESETS.values():
        if preset.config() == config:
            return preset.label
    parts = [setting_text(name, value) for name, value in config.changes().items()]
    return ", ".join(parts[:4]) + (" …" if len(parts) > 4 else "")


def add_pin(pins: list[str], query: str) -> Any:
    """The pins with one more, unless it is there or they are full."""
    return no_update if query in pins or len(pins) >= MAX_PINS else [*pins, query]


def view(
    found: xr.Dataset | xr.DataTree, pins: list[xr.Dataset | None], config: RunConfig, request: Request
) -> dict[str, Any]:
    """Everything that shows a run, or of it the samples that are chosen."""
    switch, found = group_switch(found, request.group), chosen(found, request.group)
    judged, drawable = verdict(found), [pin for pin in pins if pin is not None]
    own = (
        network_view(found, drawable, request)
        if isinstance(found, xr.DataTree)
        else cell_view(found, drawable, request)
    )
    clips = [CLIP_NOTE] if config.clip in UPDATE_CLIPS and is_single(config) else []
    left_out = [LEFT_OUT] if len(drawable) < len(pins) else []
    note = " ".join([*clips, *left_out, *own.notes])
    return {
        "figure": own.figure,
        "style": {"height": f"{own.figure.layout.height}px"},
        "verdict": components.statement(judged.word, judged.icon, judged.headline),
        "details": components.typeset(" ".join([*said_of_group(found), *judged.details])),
        "why": components.typeset(f"Why: {judged.why}") if judged.why else "",
        "realised": own.realised,
        "theory": own.theory,
        "failure": "",
        "drawn": drawn(request, Form(config), "stage", note=note, strip=own.strip, groups=switch),
    }


def group_switch(found: xr.Dataset | xr.DataTree, group: str) -> dict[str, Any]:
    """The choice between all samples and those of one word; hidden where all are alike, and of a network."""
    words = labels(found) if isinstance(found, xr.Dataset) else {}
    data = {"": f"all {counted(found.sizes['sample'], 'sample')}"} | words
    return {
        "data": [{"value": word, "label": text} for word, text in data.items()],
        "value": group if group in words else "",
        "className": "group" if words else "group hidden",
    }


@dataclass(frozen=True)
class View:
    """What of a view a single cell and a network differ in."""

    figure: go.Figure
    strip: dict[str, Any]
    realised: list[components.Content]
    theory: list[components.Content]
    notes: list[str]


def cell_view(ds: xr.Dataset, pins: list[xr.Dataset], request: Request) -> View:
    """Of a single cell."""
    shown = ds if request.theory else ds.drop_vars("theory_log_rate", errors="ignore")
    boxes = gradlab.plots.strip(ds, boxes_of(request), request.theme)
    notes = [text for text in [theory.miss(ds)] if text]
    fig = gradlab.plots.explore(shown, pins, request.theme)
    return View(fig, components.strip(boxes, ds.sizes["step"]), realised(ds), theory.line(ds, verdict(ds)), notes)


def network_view(found: xr.DataTree, pins: list[xr.Dataset], request: Request) -> View:
    """Of a network: the layer that is chosen, and a row of boxes for each."""
    row = shown_row(found, request.layer)
    ds = dataset_of(found, row.path)
    strips = gradlab.plots.layer_strips(found, boxes_of(request), request.theme)
    fig = gradlab.plots.network(found, row.path, request.theme, pins)
    strip = components.layer_strip(strips, row.path, len(row.logs), "level" if row.levels else "step")
    weights = realised(ds) if "recurrent_gate" in ds.sizes else []
    return View(fig, strip, weights, [theory.NOTHING], [f"Shown: {row.title}. Click a row above to see another."])


def boxes_of(request: Request) -> int:
    """How many boxes a strip has room for."""
    return BOXES_NARROW if request.narrow else BOXES


def realised(ds: xr.Dataset) -> list[components.Content]:
    """What the recurrent weights really are, over the gates."""
    if not ds.sizes["recurrent_gate"]:
        return ["no recurrent weights"]
    std, radius, largest, _ = weight_measures(ds).values()
    radii = "not computed" if np.isnan(radius).any() else _range(radius)  # left out for its cost
    return [f"std·√H {_range(std)} · ρ {radii} · σ", html.Sub("max"), f" {_range(largest)}"]


def weight_measures(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """std * sqrt(H), spectral radius, largest and smallest singular value of each gate's recurrent weights."""
    singular = ds.recurrent_singular_values.transpose("recurrent_gate", "index").values
    real, imaginary = ds.recurrent_eigenvalues.transpose("part", "recurrent_gate", "index").values
    std, radius = np.sqrt((singular**2).mean(-1)), np.hypot(real, imaginary).max(-1)
    return {"std·√H": std, "spectral radius": radius, "σ max": singular[:, 0], "σ min": singular[:, -1]}


def _range(values: np.ndarray) -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low}–{high}"


def show(request: Request) -> dict[str, Any]:
    """The callback."""
    return answer(OUTPUTS, draw(request))


OUTPUTS = {
    **outputs(ids.EXPLORE, children="verdict details why realised theory failure", figure="figure", data="drawn"),
    "style": Output(ids.EXPLORE.figure, "style"),
}


def register(app: Dash) -> None:
    """Draw whenever the browser asks.

    Only what changes with every drawing is an output. The controls' looks and the strip go through DRAWN: every output
    is marked as loading during every call, and a page of controls that is drawn anew each time slows a drag down.
    """
    app.callback(output=OUTPUTS, inputs=[Input(ids.EXPLORE.request, "data")], prevent_initial_call=True)(show)
