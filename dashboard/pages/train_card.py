"""The clip advisor's card: what the norms so far suggest, and on request what a short run shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import Dash, Input, Output, State, html, no_update
from dash.development.base_component import Component

from gradlab.errors import InputError
from gradlab.training import ClipAdvice, TrainingRun, advise

from .. import components, ids
from ..jobs import JOBS


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


def chosen(runs: Sequence[TrainingRun], run_ids: Sequence[str]) -> tuple[TrainingRun, str] | None:
    """The run to advise on: one without clipping tells most."""
    both = list(zip(runs, run_ids, strict=False))
    return min(both, key=lambda pair: pair[0].config.clip != "off") if both else None


def content(runs: Sequence[TrainingRun], run_ids: Sequence[str]) -> dict[str, Any]:
    """The card; hidden until there is something to say."""
    nothing = {"advice": [], "card": "card hidden", "use": "hidden", "check": "hidden", "effect": ""}
    if (found := chosen(runs, run_ids)) is None:
        return nothing
    try:
        advice = advise(found[0])
    except InputError:
        return nothing
    wanted = "" if advice.threshold is not None else "hidden"
    under_way = busy(found[1])
    return {
        "advice": words(advice),
        "card": "card",
        "use": wanted,
        "check": wanted if not under_way else "hidden",
        "effect": effect(found[1]),
    }


def words(advice: ClipAdvice) -> list[Component]:
    """The reason, and the percentiles it rests on."""
    rows = [{"percentile": f"{rank} %", "norm": f"{norm:.3g}"} for rank, norm in advice.percentiles.items()]
    table = components.table_details(rows, "Gradient norm before clipping")
    return [html.P(components.typeset(advice.reason)), table]


def effect(run_id: str) -> Any:
    """How the check stands, or what it showed."""
    job = JOBS.get(key(run_id))
    if job is None:
        return ""
    if not job.ended:
        return f"Trying it: {100 * job.share:.0f} %"
    return components.message(job.error, "error") if job.error else str(job.result.effect or "")


def check(_clicks: Any, run_ids: list[str], records: Any = None) -> Any:
    """The callback: try the suggestion in two short runs, from the same start and on the same data."""
    from ..training_jobs import TRAINING

    if not _clicks:
        return no_update
    kept = {run_id: record.run for run_id in run_ids if (record := TRAINING.read(run_id))}
    if found := chosen(list(kept.values()), list(kept)):
        run, run_id = found
        JOBS.start(key(run_id), lambda on_progress: advise(run, verify=True, on_progress=on_progress))
    return _clicks


OUTPUTS = {
    "advice": Output(ids.TRAIN_ADVICE, "children"),
    "card": Output(f"{ids.TRAIN_ADVICE}-card", "className"),
    "use": Output(ids.TRAIN_USE, "className"),
    "check": Output(ids.TRAIN_CHECK, "className"),
    "effect": Output(ids.TRAIN_EFFECT, "children"),
}


def register(app: Dash) -> None:
    """The check; the suggestion is taken over by train_steer."""
    clicks, runs = Input(ids.TRAIN_CHECK, "n_clicks"), State(ids.TRAIN_RUNS, "data")
    poke = Output(ids.TRAIN_POKE, "data", allow_duplicate=True)
    app.callback(poke, clicks, runs, prevent_initial_call=True)(check)
