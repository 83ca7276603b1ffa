"""The clip advisor's card: what the norms so far suggest, and on request what a short run shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import Dash, Input, Output, State, html, no_update
from dash.development.base_component import Component

from gradlab.errors import InputError
from gradlab.training import ClipAdvice, TrainingRecord, advise
from gradlab.training.advisor import EFFECTS, judge
from gradlab.training.outcome import late_loss
from gradlab.wording import value_text

from ... import components, ids
from ...work.jobs import JOBS
from .words import Shown, look_up


def key(run_id: str) -> str:
    """Of the job that checks the advice on a run."""
    return f"clip advice {run_id}"


def busy(run_id: str) -> bool:
    """Whether the advice on a run is being checked."""
    job = JOBS.get(key(run_id))
    return job is not None and not job.ended


def stamp(run_id: str) -> Any:
    """What changes with the check."""
    job = JOBS.get(key(run_id))
    return None if job is None else [job.state, round(job.share, 2)]


def advised(runs: Sequence[Shown]) -> tuple[str, TrainingRecord] | None:
    """The run to advise on: one without clipping tells most. None before any has recorded something."""
    found = [(run.run_id, run.record.run) for run in runs if run.record]
    return min(found, key=lambda pair: pair[1].config.clip != "off") if found else None


def content(runs: Sequence[Shown]) -> dict[str, Any]:
    """The card; hidden until there is something to say."""
    nothing = {"advice": [], "card": "card hidden", "buttons": "hidden", "effect": ""}
    if (found := advised(runs)) is None:
        return nothing
    try:
        advice = advise(found[1])
    except InputError:
        return nothing
    seen = measured(runs)
    buttons = f"actions {tried(found[0])}" if advice.threshold is not None and not seen else "hidden"
    said = html.P(components.typeset(seen or whose(runs, found[0]) + advice.reason))
    return {"advice": [said, norms(advice)], "card": "card", "buttons": buttons, "effect": effect(found[0])}


def whose(runs: Sequence[Shown], run_id: str) -> str:
    """Of several runs, which one is meant."""
    return next(f"Of the {run.name}: " for run in runs if run.run_id == run_id) if len(runs) > 1 else ""


def tried(run_id: str) -> str:
    """Which button comes first: the trial until there was one, the threshold unless it did harm."""
    job = JOBS.get(key(run_id))
    found = job.result.effect if job and job.ended and not job.error else None
    return "untried" if found is None else "harm" if found.outcome == "harm" else "good"


def measured(runs: Sequence[Shown]) -> str:
    """Of two runs that differ in clipping alone, what it changed: no advice is worth as much. Empty for others."""
    by_clip = {run.config.clip != "off": run for run in runs}
    if len(by_clip) < 2 or len({run.config.replace(clip="off", clip_threshold=None) for run in runs}) > 1:
        return ""
    clipped, plain = by_clip[True], by_clip[False]
    at = f" at {value_text(clipped.ds.attrs['threshold'])}" if clipped.config.clip == "norm" else ""
    losses = [late_loss(run.ds.loss.values) for run in (clipped, plain)]
    count, of_all = int(clipped.ds.clipped.sum()), clipped.ds.sizes["iteration"]
    found = EFFECTS[judge(*losses)]
    said = [value_text(loss, 2) for loss in losses]
    start = f"Measured here: loss {said[0]} with clipping{at}, {said[1]} without: {found}."
    return f"{start} {count:,} of {of_all:,} updates were clipped."


def lines(runs: Sequence[Shown]) -> list[str]:
    """The same as plain text: what was measured, what the norms suggest, and what a check of it showed."""
    if (found := advised(runs)) is None:
        return []
    job = JOBS.get(key(found[0]))
    try:
        advice = (job.result if job else None) or advise(found[1])
    except InputError:
        return []
    return [*filter(None, [measured(runs)]), *(whose(runs, found[0]) + str(advice)).splitlines()]


def norms(advice: ClipAdvice) -> Component:
    """The percentiles that the advice rests on."""
    rows = [{"percentile": f"{rank} %", "norm": value_text(norm)} for rank, norm in advice.percentiles.items()]
    return components.table_details(rows, "Gradient norm before clipping")


def effect(run_id: str) -> Any:
    """How the check stands, or what it showed."""
    job = JOBS.get(key(run_id))
    if job is None:
        return ""
    if not job.ended:
        return f"Trying it: {100 * job.share:.0f} %"
    return components.message(job.error, "error") if job.error else str(job.result.effect or "")


def check(clicks: Any, run_ids: list[str]) -> Any:
    """The callback: try the suggestion in two short runs, from the same start and on the same data."""
    if not clicks or (found := advised(look_up(run_ids))) is None:
        return no_update
    run_id, run = found
    JOBS.start(key(run_id), lambda on_progress: advise(run, verify=True, on_progress=on_progress))
    return clicks


OUTPUTS = {
    "advice": Output(ids.TRAIN_ADVICE, "children"),
    "card": Output(ids.TRAIN_CARD, "className"),
    "buttons": Output(ids.TRAIN_ADVICE_BUTTONS, "className"),
    "effect": Output(ids.TRAIN_EFFECT, "children"),
}


def register(app: Dash) -> None:
    """The check; the suggestion is taken over by steer."""
    clicks, runs = Input(ids.TRAIN_CHECK, "n_clicks"), State(ids.TRAIN_RUNS, "data")
    poke = Output(ids.TRAIN_POKE, "data", allow_duplicate=True)
    app.callback(poke, clicks, runs, prevent_initial_call=True)(check)
