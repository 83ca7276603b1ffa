"""The diagnosis of the run: its main cause, and up to three changes that should help, each one click away."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from dash import Dash, Input, Output, State, html, no_update
from pydantic import Field

from gradlab.config import RunConfig
from gradlab.config.architecture import is_single
from gradlab.config.links import to_query
from gradlab.data.uploads import find, original_name, store
from gradlab.diagnosis import NOTHING, Change, Diagnosis, Remedy, diagnose, is_clip
from gradlab.errors import Cancelled, InputError
from gradlab.importers import load_weights, save_layer
from gradlab.wording import factor_text

from ... import form, ids
from ...components import Component, message, table, typeset
from ...posts import Text
from ...work import lanes
from ...work.results import Results
from ...work.runs import RUNS
from .request import Request, chosen, finished


@dataclass(frozen=True)
class Tried:
    """A remedy that was tried: the query of the changed run, the change, and the ln rate that was predicted."""

    query: Text
    label: Text
    predicted: Annotated[float, Field(allow_inf_nan=False)] | None


DIAGNOSES: Results[tuple[RunConfig, str], Diagnosis] = Results()  # by run and group of samples


def content(request: Request, tried: Tried | None) -> Any:
    """The callback: the card of the settled run; empty while there is none, but for a preview's waiting."""
    config = form.read(request.raw).config
    if not is_single(config):
        return []
    if (run := finished(request)) is None:
        previewed = RUNS.previewed(config) is not None
        return [html.P("The diagnosis waits for the whole run.")] if previewed else []
    try:
        diagnosis = diagnosed(run.config, request.group, run.owner)
    except Cancelled:  # the page has another run now
        return no_update
    except InputError as error:
        return [message(str(error), "error")]
    return card(diagnosis, outcome(diagnosis, to_query(run.config), tried))


def diagnosed(config: RunConfig, group: str = "", owner: str | None = None) -> Diagnosis:
    """The diagnosis of a run, the same for the card and its buttons; remedies of a small run are run too.

    group: of the samples that it is about, as `chosen` takes it. owner: the page that wants one at a time. Raises as
    `Results.get` does.
    """
    ds = chosen(RUNS.get(config), group)
    return DIAGNOSES.get((config, group), owner, lambda: lanes.CARDS.submit(diagnose, ds))


def card(found: Diagnosis, result: str) -> list[Component]:
    """What became of the remedy that was tried, the cause with what it rests on, and what to try."""
    came = [html.P(typeset(result), className="outcome")] if result else []
    cause = [*came, html.P(typeset(found.cause)), measured(found)]
    buttons = [_button(n, remedy) for n, remedy in enumerate(found.remedies)]
    nothing = [html.P(NOTHING)] if found.nothing_carries else []
    advice = nothing + ([html.H2("Try this"), html.Ul(buttons)] if buttons else [])
    return [html.Div(cause, className="cause"), html.Div(advice, className="advice")]


def outcome(found: Diagnosis, query: str, tried: Tried | None) -> str:
    """Predicted and measured, where this run is the remedy that was tried."""
    if not tried or tried.query != query:
        return ""
    return f"{tried.label}: predicted {factor_text(tried.predicted)}, measured {factor_text(found.log_rate)}."


def measured(found: Diagnosis) -> Component:
    """The factors, and why each remedy should help."""
    rows = [{"factor": f.name, "value": f"{f.value:.3g}", "about": f.text} for f in found.factors]
    reasons = [html.P([html.B(f"{remedy.change.label}. "), remedy.reason]) for remedy in found.remedies]
    parts = [*reasons, table(rows, "Measured factors")]
    return html.Details([html.Summary("Measured factors and reasons"), *parts], className="as-table")


def _button(n: int, remedy: Remedy) -> Component:
    button = html.Button(remedy.change.label, id=ids.try_remedy(n), className="try", title=remedy.why)
    return html.Li([button, html.Span(typeset(_promise(remedy)))])


def _promise(remedy: Remedy) -> str:
    """What a remedy is expected to do, and what it did where it was run: in fresh draws, or with these weights."""
    if is_clip(remedy):
        return "a safety measure for training"
    predicted = f"predicted {factor_text(remedy.predicted_log_rate)}"
    if remedy.verified is None:
        return f"{predicted}, an estimate"
    rate = "" if remedy.draws else f"{factor_text(remedy.verified.fitted_log_rate)} "
    return f"{predicted}, {rate}{remedy.where}"


def changed(config: RunConfig, n: int, group: str = "") -> tuple[RunConfig, Tried]:
    """The run after its n-th remedy. Weights from a file are transformed and kept as a new file; InputError if not."""
    remedies = diagnosed(config, group).remedies
    if n >= len(remedies):
        raise InputError("this remedy belongs to another run; choose one of those that the card shows")
    remedy = remedies[n]
    new = remedy.change.apply(config)
    if remedy.change.transform is not None and config.weights is not None:
        path = transformed(config.weights, config.activation, remedy.change, config.prefix, config.layer)
        new = new.replace(weights=path, prefix=None, layer=None)
    return new, Tried(to_query(new), remedy.change.label, remedy.predicted_log_rate)


def transformed(path: str, activation: str, change: Change, prefix: str | None = None, layer: str | None = None) -> str:
    """The path of a new file that holds the changed weights, of one layer, and says of which cell."""
    cell, params = load_weights(path, prefix, layer, activation)
    data = save_layer(cell, change.apply_weights(cell, params))
    name = f"{Path(original_name(Path(path))).stem}, {change.label}.safetensors"
    kept = find(store(name, data), name)
    if kept is None:
        raise InputError(f"{name} could not be kept; make room in the file cache and try again")
    return str(kept)


def register(app: Dash) -> None:
    """The card follows the settled run; its buttons are steer's."""
    tried = State(ids.EXPLORE.tried, "data")
    app.callback(
        Output(ids.EXPLORE.card, "children"), Input(ids.EXPLORE.settled, "data"), tried, prevent_initial_call=True
    )(content)
