"""What Train shows of its runs: how they stand, what they have learnt, their figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr
from dash import Dash, Input, Output, State, ctx, html, no_update
from dash.development.base_component import Component

import gradlab
from gradlab import training
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.verdicts import verdict

from .. import components, ids
from ..training_jobs import TRAINING, Record, RunState
from . import train_card
from .explore_view import duration
from .train_examples import labels, title

READY = "Watch a net learn, and its gradient with it"
READY_DETAILS = "Choose an example or set up a net of your own. Training runs in the background and can be paused."
LEARNT = 0.8  # of the loss without memory
RECENT = 8
SIGNS = {"carried": "✓", "vanishing": "○", "exploding": "✗"}  # look of a verdict -> sign
BOTH = {  # what one net has done -> the same of two
    "has solved the task": "Both nets have solved the task.",
    "solves the task": "Both nets solve the task.",
    "is learning": "Both nets are learning.",
    "has learnt": "Both nets have learnt.",
    "has learnt nothing yet": "Neither net has learnt anything yet.",
    "has learnt nothing": "Neither net has learnt anything.",
    "broke: its updates are not finite": "Both nets broke: their updates are not finite.",
}
STATES = {
    "starting": "starting",
    "running": "running",
    "pausing": "pausing",
    "stopping": "stopping",
    "paused": "paused",
    "stopped": "stopped",
    "done": "done",
    "halted": "ended, as a number was not finite",
    "interrupted": "interrupted",
    "failed": "failed",
    "missing": "gone",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """One run on the page: its name among those shown, and what it has recorded, None before anything is."""

    run_id: str
    config: TrainConfig
    state: RunState
    name: str
    record: Record | None = None

    @property
    def ds(self) -> xr.Dataset:
        """What it has recorded, under its name."""
        assert self.record is not None
        return self.record.ds.assign_attrs(label=self.name)

    @property
    def stamp(self) -> list[Any]:
        """What changes when there is something new to show."""
        return [self.run_id, self.state.status, self.record.written if self.record else 0]


def look_up(run_ids: Sequence[str]) -> list[Shown]:
    """The runs on the page. Raises InputError where a checkpoint cannot be read."""
    configs = {run_id: config for run_id in run_ids if (config := TRAINING.config(run_id))}
    names = labels(list(configs.values())) if configs else []
    shown = []
    for (run_id, config), name in zip(configs.items(), names, strict=True):
        state = TRAINING.state(run_id)  # before the reading: what a run shows when it has ended is all of it
        shown.append(Shown(run_id, config, state, name, TRAINING.read(run_id)))
    return shown


# words


def outcome(run: Shown) -> tuple[str, str]:
    """The look of a verdict, and what the net has done, as a clause without its subject."""
    ds = run.ds
    attrs, scores = ds.attrs, ds.held_out_score.values
    late, skipped = gradlab.plots.late_loss(ds), int(ds.skipped.sum())
    if scores.size and scores[-1] < attrs.get("solved_below", -1):
        return "carried", "has solved the task" if not run.state.alive else "solves the task"
    if not late < float("inf") or skipped > 0.5 * ds.sizes["iteration"]:
        return "exploding", "broke: its updates are not finite"
    if late < LEARNT * attrs["baseline"]:
        return "carried", "is learning" if run.state.alive else "has learnt"
    return "vanishing", "has learnt nothing yet" if run.state.alive else "has learnt nothing"


def headline(runs: Sequence[Shown]) -> list[Component] | str:
    """What has come of the runs, in one sentence."""
    seen = [run for run in runs if run.record]
    if not seen:
        return "Starting …" if any(run.state.alive for run in runs) else "Nothing was recorded"
    if len(runs) == 1:
        ds, (look, clause) = seen[0].ds, outcome(seen[0])
        numbers = f"loss {gradlab.plots.late_loss(ds):.2g}, without memory {ds.attrs['baseline']:.2g}"
        return components.statement(look, SIGNS[look], f"The net {clause}: {numbers}.")
    if len({clause for _, clause in map(outcome, seen)}) == 1 and len(seen) > 1:
        look, clause = outcome(seen[0])
        return components.statement(look, SIGNS[look], BOTH[clause])
    found = sorted((outcome(run) + (run.name,) for run in seen), key=lambda entry: entry[0] != "carried")
    clauses = "; ".join(f"the {name} {clause}" for _, clause, name in found)
    return components.statement(found[0][0], SIGNS[found[0][0]], f"T{clauses[1:]}.")


def details(runs: Sequence[Shown]) -> list[components.Content]:
    """Which task, and where each run is."""
    start = title(runs[0].config).rpartition(",")[0]
    return components.typeset(f"{start}. " + " ".join(f"{progress_text(run, len(runs) > 1)}." for run in runs))


def progress_text(run: Shown, named: bool) -> str:
    """Iterations, status, and what is left."""
    at = run.record.run.iteration if run.record else 0
    start = f"{run.name}: " if named else ""
    text = f"{start}{at:,} of {run.config.iterations:,} iterations, {STATES[run.state.status]}"
    pace = TRAINING.pace(run.run_id)
    if run.state.status == "running" and pace:
        return f"{text}, about {duration((run.config.iterations - at) / pace)} left"
    return text.replace("iterations, done", "iterations done")


def share(runs: Sequence[Shown]) -> float:
    """How much of all is done."""
    done = sum(run.record.run.iteration if run.record else 0 for run in runs)
    return done / sum(run.config.iterations for run in runs)


def troubles(runs: Sequence[Shown]) -> list[Component]:
    """What went wrong with each run."""
    found = []
    for run in runs:
        if run.state.error:
            at = f" It was last saved at iteration {run.record.run.iteration:,}." if run.record else ""
            more = f"{at} Resume goes on from there." if run.state.resumable and run.record else at
            found.append(components.message(f"{run.name}: {run.state.error}{more}", "error"))
    return found


def recent() -> list[Component]:
    """The latest runs, each a link to it."""
    rows: list[Component] = []
    for run_id in TRAINING.recent()[:RECENT]:
        if config := TRAINING.config(run_id):
            state = html.Span(STATES[TRAINING.state(run_id).status], className="pin-rate")
            name = html.Span(title(config), className="pin-label")
            rows.append(html.Li(html.A([name, state], href=f"/train?run={run_id}", className="pin-open")))
    return rows


# figures


def show(runs: Sequence[Shown], look: Mapping[str, Any], layer: int, value: int, before: int) -> dict[str, Any]:
    """Everything that changes while a run goes on. value, before: the slider's, and the latest it could have."""
    seen = [run.ds for run in runs if run.record]
    layers = max((ds.sizes.get("layer", 1) for ds in seen), default=1)
    alive = any(run.state.alive for run in runs)
    return {
        "verdict": headline(runs) if runs else READY,
        "details": details(runs) if runs else READY_DETAILS,
        "trouble": troubles(runs),
        "share": str(share(runs)) if runs else "0",
        "stage": stage_class(runs, bool(seen)),
        "idle": not alive and not any(train_card.busy(run.run_id) for run in runs),
        "layers": [{"value": str(n), "label": f"Layer {n + 1}"} for n in range(layers)],
        "layer_class": "layers" if layers > 1 else "layers hidden",
        "recent": recent(),
        **(course(seen, look["theme"], min(layer, layers - 1)) if seen else {}),
        **slider(runs, value, before),
        **train_card.content([run.record.run for run in runs if run.record], [run.run_id for run in runs]),
    }


def stage_class(runs: Sequence[Shown], seen: bool) -> str:
    """What of the page applies: offers, pause and stop, resume, figures."""
    states = [run.state for run in runs]
    flags = {
        "ready": not runs,
        "alive": any(state.alive for state in states),
        "pausable": any(state.status in ("starting", "running") for state in states),
        "resumable": any(state.resumable for state in states) and not any(state.alive for state in states),
        "seen": seen,
    }
    return " ".join(["stage", *(name for name, on in flags.items() if on)])


def course(seen: Sequence[xr.Dataset], theme: str, layer: int) -> dict[str, Any]:
    """The figure over the iterations, and the same as a table."""
    fig = gradlab.plots.training_course(seen[0], seen[1:], theme, layer)
    rows = gradlab.plots.course_table(seen)
    words = "; ".join(f"{row['run']}: loss {row['training loss']} after {row['iterations']} iterations" for row in rows)
    return {
        "figure": fig,
        "style": {"height": f"{fig.layout.height}px"},
        "label": f"Loss, gradient norm and gradient through time over the iterations. {words}.",
        "table": components.table(rows, "The runs so far"),
    }


def slider(runs: Sequence[Shown], value: int, before: int) -> dict[str, Any]:
    """The slider over all snapshots; it follows the latest unless a hand has moved it back from the one `before`."""
    most = last_snapshot(runs)
    follows = value >= before or value > most
    return {"most": max(most, 1), "back": max(most, 0) if follows else no_update, "fixed": most < 1}


def last_snapshot(runs: Sequence[Shown]) -> int:
    """Index of the latest snapshot; -1 before there is one."""
    return max((count(run) for run in runs), default=0) - 1


def count(run: Shown) -> int:
    """Snapshots so far."""
    return len(run.record.run.history.snapshots) if run.record else 0


def flow(runs: Sequence[Shown], index: int, layer: int, theme: str) -> dict[str, Any]:
    """The gradient over time as it was at one snapshot of each run, and what that means."""
    chosen = [(run, min(index, count(run) - 1)) for run in runs if count(run)]
    if not chosen:
        return {}
    seen = [
        training.snapshot_dataset(run.record.run, at, min(layer, run.config.layers - 1)).assign_attrs(label=run.name)
        for run, at in chosen
        if run.record
    ]
    fig = gradlab.plots.gradient_flow(seen[0], theme, seen[1:])
    said = [f"{run.name}: {_flow_words(run, ds)}" for (run, _), ds in zip(chosen, seen, strict=True)]
    when = max(int(run.record.run.history.snapshots[at]["iteration"]) for run, at in chosen if run.record)
    latest = index >= max(count(run) for run, _ in chosen) - 1
    return {
        "figure": fig,
        "style": {"height": f"{fig.layout.height}px"},
        "label": f"Gradient at every step at iteration {when}. {' '.join(said)}",
        "verdict": [html.P(components.typeset(text)) for text in said],
        "when": f"at iteration {when:,}" + (", the latest" if latest else ""),
    }


def _flow_words(run: Shown, ds: xr.Dataset) -> str:
    """The verdict, where the loss acts at the last step alone."""
    if run.record and run.record.run.task.output == "every":
        return "a loss at every step; the curve contains each step's own and says nothing about distance."
    return verdict(ds).headline.removeprefix("The ")


# callbacks


def follow(
    _tick: Any, run_ids: list[str], look: Mapping[str, Any], layer: str, _poke: Any, page: Mapping[str, Any]
) -> dict[str, Any]:
    """The callback: the page as its runs stand; nothing where a tick finds nothing new."""
    same = dict.fromkeys(OUTPUTS, no_update)
    if not look:
        return same
    try:
        runs = look_up(run_ids or [])
        before = page["shown"] or {"stamp": None, "last": -1, "runs": None}
        stamp = [look, layer, *(part for run in runs for part in [*run.stamp, train_card.stamp(run.run_id)])]
        if stamp == before["stamp"] and ctx.triggered_id == ids.TRAIN_TICK:
            return same
        value = page["back"] if before["runs"] == run_ids else before["last"]  # other runs are shown from their latest
        seen = show(runs, look, int(layer or 0), value or 0, before["last"])
        return same | seen | {"shown": {"stamp": stamp, "last": last_snapshot(runs), "runs": run_ids}}
    except InputError as error:
        return same | {"trouble": [components.message(str(error), "error")], "idle": True}


def look_back(index: int, run_ids: list[str], look: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """The callback: the gradient curve where the slider is."""
    same = dict.fromkeys(FLOW_OUTPUTS, no_update)
    if not look or not run_ids:
        return same
    try:
        return same | flow(look_up(run_ids), index or 0, int(layer or 0), look["theme"])
    except InputError as error:
        return same | {"verdict": [components.message(str(error), "error")]}


OUTPUTS = {
    "verdict": Output(ids.TRAIN_VERDICT, "children"),
    "details": Output(ids.TRAIN_DETAILS, "children"),
    "trouble": Output(ids.TRAIN_TROUBLE, "children"),
    "share": Output(ids.TRAIN_SHARE, "value"),
    "stage": Output(ids.TRAIN_STAGE, "className"),
    "idle": Output(ids.TRAIN_TICK, "disabled"),
    "figure": Output(ids.TRAIN_COURSE, "figure"),
    "style": Output(ids.TRAIN_COURSE, "style"),
    "label": Output(ids.TRAIN_COURSE_FRAME, "aria-label"),
    "table": Output(ids.TRAIN_TABLE, "children"),
    "layers": Output(ids.TRAIN_LAYER, "data"),
    "layer_class": Output(ids.TRAIN_LAYER, "className"),
    "most": Output(ids.TRAIN_BACK, "max"),
    "back": Output(ids.TRAIN_BACK, "value"),
    "fixed": Output(ids.TRAIN_BACK, "disabled"),
    "recent": Output(ids.TRAIN_RECENT, "children"),
    "shown": Output(ids.TRAIN_SHOWN, "data"),
    **train_card.OUTPUTS,
}
FLOW_OUTPUTS = {
    "figure": Output(ids.TRAIN_FLOW, "figure"),
    "style": Output(ids.TRAIN_FLOW, "style"),
    "label": Output(ids.TRAIN_FLOW_FRAME, "aria-label"),
    "verdict": Output(ids.TRAIN_FLOW_VERDICT, "children"),
    "when": Output(ids.TRAIN_WHEN, "children"),
}


def register(app: Dash) -> None:
    """Follow the runs while any is under way; look back where the slider is."""
    runs, look = Input(ids.TRAIN_RUNS, "data"), Input(ids.TRAIN_LOOK, "data")
    layer = Input(ids.TRAIN_LAYER, "value")
    page = {"shown": State(ids.TRAIN_SHOWN, "data"), "back": State(ids.TRAIN_BACK, "value")}
    inputs = {
        "_tick": Input(ids.TRAIN_TICK, "n_intervals"),
        "run_ids": runs,
        "look": look,
        "layer": layer,
        "_poke": Input(ids.TRAIN_POKE, "data"),
        "page": page,
    }
    app.callback(output=OUTPUTS, inputs=inputs, prevent_initial_call=True)(follow)
    slider_moved = Input(ids.TRAIN_BACK, "value")
    app.callback(output=FLOW_OUTPUTS, inputs=[slider_moved, runs, look, layer], prevent_initial_call=True)(look_back)
