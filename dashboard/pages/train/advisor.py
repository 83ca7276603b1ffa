"""The clip advisor's card: what the norms so far suggest, and on request what a short run shows of it."""

from collections.abc import Sequence
from typing import Any

from dash import Dash, Input, Output, State, html, no_update

from gradlab.errors import InputError
from gradlab.training import ClipAdvice, advise
from gradlab.training.advisor import EFFECTS, judge
from gradlab.training.outcome import late_loss
from gradlab.wording import counted, value_text

from ... import ids
from ...answers import outputs
from ...components import Component, message, table_details, typeset
from ...ondemand import Work
from ...posts import Clicks, Text
from ...work.jobs import Progress
from .words import Shown, look_up


def checked(run: Shown, last: Any, on_progress: Progress) -> ClipAdvice:
    """The suggestion tried in two short runs, from the same start and on the same data."""
    return advise(run.training, verify=True, on_progress=on_progress)


CHECK: Work[Shown] = Work("clip advice", lambda run: run.run_id, checked)


def stamp(run: Shown) -> Any:
    """What changes with the check."""
    job = CHECK.job(run)
    return None if job is None else [job.state, round(job.share, 2)]


def advised(runs: Sequence[Shown]) -> Shown | None:
    """The run to advise on: one without clipping tells most. None before any has recorded something."""
    recorded = [run for run in runs if run.record]
    return min(recorded, key=lambda run: run.config.clip != "off", default=None)


def content(runs: Sequence[Shown]) -> dict[str, Any]:
    """The card; hidden until there is something to say."""
    nothing = {"advice": [], "card": "card hidden", "advice_buttons": "hidden", "effect": ""}
    if (run := advised(runs)) is None:
        return nothing
    try:
        advice = advise(run.training)
    except InputError:
        return nothing
    seen = measured(runs)
    buttons = f"actions {tried(run)}" if advice.threshold is not None and not seen else "hidden"
    said = html.P(typeset(seen or whose(runs, run) + advice.reason))
    return {"advice": [said, norms(advice)], "card": "card", "advice_buttons": buttons, "effect": effect(run)}


def whose(runs: Sequence[Shown], run: Shown) -> str:
    """Of several runs, which one is meant."""
    return f"Of the {run.name}: " if len(runs) > 1 else ""


def tried(run: Shown) -> str:
    """Which button comes first: the trial until there was one, the threshold unless it did harm."""
    result = CHECK.result(run)
    if result is None or result.effect is None:
        return "untried"
    return "harm" if result.effect.outcome == "harm" else "good"


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
    return f"{start} {count:,} of {counted(of_all, 'update')} were clipped."


def lines(runs: Sequence[Shown]) -> list[str]:
    """The same as plain text: what was measured, what the norms suggest, and what a check of it showed."""
    if (run := advised(runs)) is None:
        return []
    try:
        advice = CHECK.result(run) or advise(run.training)
    except InputError:
        return []
    return [*filter(None, [measured(runs)]), *(whose(runs, run) + str(advice)).splitlines()]


def norms(advice: ClipAdvice) -> Component:
    """The percentiles that the advice rests on."""
    rows = [{"percentile": f"{rank} %", "norm": value_text(norm)} for rank, norm in advice.percentiles.items()]
    return table_details(rows, "Gradient norm before clipping")


def effect(run: Shown) -> Any:
    """How the check stands, or what it showed."""
    job = CHECK.job(run)
    if job is None:
        return ""
    if not job.ended:
        return f"Trying it: {100 * job.share:.0f} %"
    return message(job.error, "error") if job.error else str(job.result.effect or "")


def check(clicks: Clicks, run_ids: list[Text] | None) -> Any:
    """The callback: try the suggestion."""
    if not clicks or (run := advised(look_up(run_ids or []))) is None:
        return no_update
    CHECK.start(run)
    return clicks


OUTPUTS = outputs(ids.TRAIN, children="advice effect", className="card advice_buttons")


def register(app: Dash) -> None:
    """The check; the suggestion is taken over by steer."""
    clicks, runs = Input(ids.TRAIN.check, "n_clicks"), State(ids.TRAIN.runs, "data")
    poke = Output(ids.TRAIN.poke, "data", allow_duplicate=True)
    app.callback(poke, clicks, runs, prevent_initial_call=True)(check)
