"""What Train shows of its runs: how they stand, what they have learnt, their figures."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import xarray as xr
from dash import Dash, Input, Output, State, ctx, html
from pydantic import Field

import gradlab
from gradlab.config.links import to_command
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.training.jobs import TRAINING

from ... import ids
from ...answers import answer, outputs
from ...components import Component, message, table, typeset
from ...posts import Text, Theme
from . import advisor, flow
from .examples import title
from .words import Shown, headline, look_up, share, status_text, summary, troubles

Count = Annotated[int, Field(ge=0, le=10**6)]


@dataclass(frozen=True)
class Look:
    """What figures are drawn for."""

    theme: Theme
    narrow: bool


@dataclass(frozen=True)
class Seen:
    """What the page shows: the stamp of the last answer, the last snapshot in it, the runs it was about."""

    stamp: Any = None
    last: Annotated[int, Field(ge=-1)] = -1
    runs: list[Text] | None = None


READY = "Watch a net learn, and its gradient with it"
READY_DETAILS = "Choose an example or set up a net of your own. Training runs in the background and can be paused."
RECENT = 8


def recent() -> list[Component]:
    """The latest runs, each a link to it."""
    found = {run_id: config for run_id in TRAINING.recent()[:RECENT] if (config := TRAINING.config(run_id))}
    return [_recent(run_id, config) for run_id, config in found.items()]


def _recent(run_id: str, config: TrainConfig) -> Component:
    """What it is, how it stands and when it began; on hover its command, which tells all runs apart."""
    began = time.strftime("%d %b, %H:%M", time.localtime(TRAINING.began(run_id))).lstrip("0")
    state = html.Span(f"{status_text(TRAINING.state(run_id))} · {began}", className="pin-rate")
    name = html.Span(title(config), className="pin-label")
    link = html.A([name, state], href=f"/train?run={run_id}", className="pin-open", title=to_command(config))
    return html.Li(link)


# figures


def show(runs: Sequence[Shown], theme: str, layer: int) -> dict[str, Any]:
    """Everything that changes while a run goes on, but for the gradient at one moment."""
    seen = [run.ds for run in runs if run.record]
    names = max(map(gradlab.plots.layer_names, seen), key=len, default=["Layer 1"])
    return {
        "verdict": headline(runs) if runs else READY,
        "details": typeset(summary(runs)) if runs else READY_DETAILS,
        "trouble": [message(text, "error") for text in troubles(runs)],
        "share": str(share(runs)) if runs else "0",
        "stage": stage_class(runs, bool(seen)),
        "layers": [{"value": str(n), "label": name} for n, name in enumerate(names)],
        "layer_class": "tracks" if len(names) > 1 else "tracks hidden",
        "recent": recent(),
        **(course(seen, theme, min(layer, len(names) - 1)) if seen else {}),
        **advisor.content([run for run in runs if run.record]),
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
        "course": fig,
        "style": {"height": f"{fig.layout.height}px"},
        "label": f"Loss, gradient norm and gradient through time over the iterations. {words}.",
        "table": table(rows, "The runs so far"),
    }


# callback


def follow(
    run_ids: list[Text] | None,
    look: Look | None,
    layer: Count | None,
    back: Count | None,
    shown: Seen | None,
    **_causes: Any,
) -> dict[str, Any]:
    """The callback."""
    return answer(OUTPUTS, update(ctx.triggered_id, run_ids or [], look, layer or 0, back or 0, shown or Seen()))


def update(trigger: Any, run_ids: list[str], look: Look | None, layer: int, back: int, before: Seen) -> dict[str, Any]:
    """The page as its runs stand. A tick that finds nothing new, or the slider, changes little.

    What is shown is always said, so that the browser knows when to ask again (assets/train.js).
    """
    if not look:
        return {}
    changes: dict[str, Any] = {}
    try:
        runs = look_up(run_ids)
        stamp = [look.theme, look.narrow, layer, *(part for run in runs for part in [*run.stamp, advisor.stamp(run)])]
        chosen = moment(runs, back, before.last if before.runs == run_ids else -1)
        new = stamp != before.stamp or trigger not in (ids.TRAIN.tick, ids.TRAIN.back)
        if new:
            changes |= show(runs, look.theme, layer) | flow.slider(runs, chosen, back)
        if new or trigger == ids.TRAIN.back:
            changes |= flow.flow(runs, chosen, layer, look.theme)
    except InputError as error:
        failed = {"stamp": None, "last": -1, "runs": run_ids, "more": False}
        return changes | {"trouble": [message(str(error), "error")], "shown": failed}
    more = any(run.state.alive or advisor.CHECK.going(run) for run in runs)
    now = {"stamp": stamp, "last": flow.last_snapshot(runs), "runs": run_ids, "more": more}
    return changes | {"shown": now | {"at": time.monotonic()}}


def moment(runs: Sequence[Shown], back: int, before: int) -> int:
    """The snapshot to show: the latest, unless a hand has moved the slider back from the one `before`."""
    last = max(flow.last_snapshot(runs), 0)
    return last if back >= before else min(back, last)


OUTPUTS = {
    **outputs(ids.TRAIN, children="verdict details trouble table recent", figure="course"),
    **outputs(ids.TRAIN, data="shown", value="share", className="stage"),
    "style": Output(ids.TRAIN.course, "style"),
    "label": Output(ids.part(ids.TRAIN.course, "frame"), "aria-label"),
    "layers": Output(ids.TRAIN.layer, "data"),
    "layer_class": Output(ids.TRAIN.layer, "className"),
    **flow.OUTPUTS,
    **advisor.OUTPUTS,
}


def register(app: Dash) -> None:
    """One callback for everything that shows the runs: no answer of another one can be waited for in vain."""
    inputs = {
        "tick": Input(ids.TRAIN.tick, "data"),
        "run_ids": Input(ids.TRAIN.runs, "data"),
        "look": Input(ids.TRAIN.look, "data"),
        "layer": Input(ids.TRAIN.layer, "value"),
        "back": Input(ids.TRAIN.back, "value"),
        "poke": Input(ids.TRAIN.poke, "data"),
        "shown": State(ids.TRAIN.shown, "data"),
    }
    app.callback(output=OUTPUTS, inputs=inputs, prevent_initial_call=True)(follow)
