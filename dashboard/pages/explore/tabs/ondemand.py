"""The frame of a tab whose content takes a while: an offer, then progress with Cancel, then the result or what failed.

The work is a job that is found by the run, so a page that is loaded again shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_query
from gradlab.wording import duration

from .... import components, ids
from ....work.jobs import JOBS, Job, Progress
from ....work.runs import LIVE, RUNS
from .base import Run

TICK_MS = 400
PATIENCE = 2.0  # seconds that opening a tab may wait for what should be quick


@dataclass(frozen=True)
class Offer:
    """Work that waits for a click: the button's words, what there is to know before, and its predicted time."""

    button: str
    text: str
    seconds: float


@dataclass(frozen=True)
class Work:
    """What a tab computes on demand.

    offer: from the configuration and the last result, None before there is one; None where there is nothing to compute
    (any more). compute: from the same and a progress callback. show: the result as content of the tab.
    eager: whether what is quick starts by itself.
    """

    tab: str
    label: str
    offer: Callable[[RunConfig, Any], Offer | None]
    compute: Callable[[RunConfig, Any, Progress], Any]
    show: Callable[[Any, Run], list[Component]]
    eager: bool = False

    def id(self, part: str) -> str:
        """Of a part of the frame."""
        return ids.work(self.tab, part)

    def key(self, config: RunConfig) -> str:
        """Of the job."""
        return f"{self.tab}?{to_query(config)}"

    def start(self, config: RunConfig) -> Job:
        """Start it, or find it under way."""
        last = JOBS.get(self.key(config))
        result = last.result if last else None
        return JOBS.start(self.key(config), lambda on_progress: self.compute(config, result, on_progress))


def content(work: Work, run: Run) -> list[Component]:
    """The frame, filled as the run's job stands; a quick one is started."""
    if work.eager and JOBS.get(work.key(run.config)) is None:
        offer = work.offer(run.config, None)
        if offer is not None and offer.seconds <= LIVE:
            work.start(run.config).wait(PATIENCE)
    return [frame(work, run, state(work, run))]


def frame(work: Work, run: Run, props: dict[str, Any]) -> Component:
    """Every part is always there, so that callbacks find it; what does not apply is hidden."""
    button = dmc.Button(props["button"], id=work.id("start"), size="compact-md")
    text = html.Span(props["offer"], id=work.id("offer-text"))
    cancel = dmc.Button("Cancel", id=work.id("cancel"), size="compact-md", variant="default")
    bar = html.Progress(id=work.id("share"), value=props["share"], max="1", **components.aria(label=work.label))
    pace = html.Span(props["pace"], id=work.id("pace"), className="pace")
    return html.Div(
        [
            dcc.Store(id=work.id("run"), data={"query": to_query(run.config), "theme": run.theme}),
            dcc.Interval(id=work.id("tick"), interval=TICK_MS, disabled=props["idle"]),
            html.Div(props["outcome"], id=work.id("outcome"), role="status"),
            html.Div([button, text], id=work.id("offer"), className=props["offer_class"]),
            html.Div([bar, pace, cancel], id=work.id("progress"), className=props["progress_class"]),
            html.Div(props["body"], id=work.id("body")),
        ],
        className="work",
    )


def state(work: Work, run: Run) -> dict[str, Any]:
    """What the parts of the frame show as the job stands."""
    job = JOBS.get(work.key(run.config))
    if job is not None and not job.ended:
        return _look(job, outcome="", body=[])
    result = job.result if job else None
    failed = components.message(job.error, "error") if job and job.error else ""
    shown = work.show(result, run) if result is not None else []
    return _look(None, work.offer(run.config, result), failed, shown)


def _look(job: Job | None, offer: Offer | None = None, outcome: Any = "", body: Any = ()) -> dict[str, Any]:
    again = "Try again" if outcome else offer.button if offer else ""
    return {
        "idle": job is None,
        "button": again,
        "offer": components.typeset(f"{offer.text} Takes about {duration(offer.seconds)}.") if offer else "",
        "offer_class": "run-bar" if offer else "run-bar hidden",
        "progress_class": "run-bar" if job else "run-bar hidden",
        "share": str(job.share if job else 0.0),
        "pace": _pace(job) if job else "",
        "outcome": outcome,
        "body": list(body),
    }


def _pace(job: Job) -> str:
    """How far it is, in words."""
    if job.state == "waiting":
        return "Waits for other work to end."
    left = job.seconds_left
    return f"{100 * job.share:.0f} %" + (f", about {duration(left)} left" if left is not None else "")


def register(app: Dash, work: Work) -> None:
    """Start, follow and cancel."""
    places = {
        "idle": ("tick", "disabled"),
        "button": ("start", "children"),
        "offer": ("offer-text", "children"),
        "offer_class": ("offer", "className"),
        "progress_class": ("progress", "className"),
        "share": ("share", "value"),
        "pace": ("pace", "children"),
        "outcome": ("outcome", "children"),
        "body": ("body", "children"),
    }

    def turn(_start: Any, _cancel: Any, _tick: Any, data: dict[str, str]) -> dict[str, Any]:
        return answer(work, ctx.triggered_id, data)

    outputs = {name: Output(work.id(part), prop) for name, (part, prop) in places.items()}
    clicks = [Input(work.id(part), "n_clicks") for part in ("start", "cancel")]
    inputs = [*clicks, Input(work.id("tick"), "n_intervals")]
    app.callback(output=outputs, inputs=inputs, state=[State(work.id("run"), "data")], prevent_initial_call=True)(turn)


def answer(work: Work, trigger: str, data: dict[str, str]) -> dict[str, Any]:
    """The callback: do what was clicked, and show how it stands; a tick of work under way moves its progress alone."""
    config = from_query(data["query"]).config
    if trigger == work.id("start"):
        work.start(config)
    elif trigger == work.id("cancel"):
        JOBS.cancel(work.key(config))
    shown = state(work, Run(RUNS.get(config), config, data["theme"]))
    if trigger == work.id("tick") and not shown["idle"]:
        return dict.fromkeys(shown, no_update) | {name: shown[name] for name in ("share", "pace")}
    return shown
