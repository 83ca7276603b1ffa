"""The frame of a tab whose content takes a while: an offer, progress with Cancel, then the result or what failed."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, State, ctx, dcc, html

from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_query
from gradlab.runs.attributes import text_of
from gradlab.wording import duration

from .... import ids
from ....answers import answer, outputs
from ....components import Component, aria, message, typeset
from ....ondemand import Work
from ....posts import Clicks, Text, Theme
from ....work.jobs import Job
from ....work.runs import LIVE, RUNS, require_drawable
from ..request import Run, chosen

TICK_MS = 400
PATIENCE = 2.0  # seconds that opening a tab may wait for what should be quick


@dataclass(frozen=True)
class Offer:
    """Work that waits for a click: the button's words, what there is to know before, and its predicted time."""

    button: str
    text: str
    seconds: float


@dataclass(frozen=True)
class About:
    """The run that a frame is about, its samples that are shown, and the page it is on, as the browser keeps them."""

    query: Text
    theme: Theme
    owner: Text = ""
    group: Text = ""


@dataclass(frozen=True)
class TabWork(Work[RunConfig]):
    """What a tab computes on demand.

    text: what it is about. label: of the progress. offer: from the configuration and the last result, None before there
    is one; None where there is nothing to compute (any more). show: the result as content of the tab. eager: whether
    what is quick starts by itself.
    """

    text: str
    label: str
    offer: Callable[[RunConfig, Any], Offer | None]
    show: Callable[[Any, Run], list[Component]]
    eager: bool = False

    @property
    def ids(self) -> ids.Ids:
        """Of the parts of the frame."""
        return ids.work(self.name)


def content(work: TabWork, run: Run) -> list[Component]:
    """The frame, filled as the run's job stands; a quick one is started."""
    if work.eager and work.job(run.config) is None:
        offer = work.offer(run.config, None)
        if offer is not None and offer.seconds <= LIVE:
            work.start(run.config).wait(PATIENCE)
    return [html.P(work.text), frame(work, run, state(work, run))]


def frame(work: TabWork, run: Run, props: dict[str, Any]) -> Component:
    """Every part is always there, so that callbacks find it; what does not apply is hidden."""
    part = work.ids
    button = dmc.Button(props["start"], id=part.start, size="compact-md")
    text = html.Span(props["offer_text"], id=part.offer_text)
    cancel = dmc.Button("Cancel", id=part.cancel, size="compact-md", variant="default")
    bar = html.Progress(id=part.share, value=props["share"], max="1", **aria(label=work.label))
    pace = html.Span(props["pace"], id=part.pace, className="pace")
    return html.Div(
        [
            dcc.Store(id=part.run, data=asdict(_about(run))),
            dcc.Interval(id=part.tick, interval=TICK_MS, disabled=props["tick"]),
            html.Div(props["outcome"], id=part.outcome, role="status"),
            html.Div([button, text], id=part.offer, className=props["offer"]),
            html.Div([bar, pace, cancel], id=part.progress, className=props["progress"]),
            html.Div(props["body"], id=part.body),
        ],
        className="work",
    )


def _about(run: Run) -> About:
    return About(to_query(run.config), run.theme, run.owner, text_of(run.found, "group"))


def state(work: TabWork, run: Run) -> dict[str, Any]:
    """What the parts of the frame show as the job stands: property of each, by its name among the ids."""
    job = work.job(run.config)
    going = work.going(run.config)
    result, error = (job.result, job.error) if job and not going else (None, "")
    offer = None if going else work.offer(run.config, result)
    return {
        "tick": going is None,
        "start": "Try again" if error else offer.button if offer else "",
        "offer_text": typeset(f"{offer.text} Takes about {duration(offer.seconds)}.") if offer else "",
        "offer": "run-bar" if offer else "run-bar hidden",
        "progress": "run-bar" if going else "run-bar hidden",
        "share": str(going.share if going else 0.0),
        "pace": _pace(going) if going else "",
        "outcome": message(error, "error") if error else "",
        "body": work.show(result, run) if result is not None else [],
    }


def _pace(job: Job) -> str:
    """How far it is, in words."""
    if job.state == "waiting":
        return "Waits for other work to end."
    left = job.seconds_left
    return f"{100 * job.share:.0f} %" + (f", about {duration(left)} left" if left is not None else "")


def register(app: Dash, work: TabWork) -> None:
    """Start, follow and cancel."""
    part = work.ids
    places = {
        **outputs(part, disabled="tick", value="share", className="offer progress"),
        **outputs(part, children="start offer_text pace outcome body"),
    }

    def turn(_start: Clicks, _cancel: Clicks, _tick: Clicks, about: About) -> dict[str, Any]:
        return answer(places, act(work, ctx.triggered_id, about))

    inputs = [Input(part.start, "n_clicks"), Input(part.cancel, "n_clicks"), Input(part.tick, "n_intervals")]
    state = [State(part.run, "data")]
    app.callback(output=places, inputs=inputs, state=state, prevent_initial_call=True)(turn)


def act(work: TabWork, trigger: str, about: About) -> dict[str, Any]:
    """Do what was clicked, and show how it stands; a tick of work under way moves its progress alone."""
    config = from_query(about.query).config
    require_drawable(config)
    if trigger == work.ids.start:
        work.start(config, about.owner)
    elif trigger == work.ids.cancel:
        work.cancel(config)
    shown = state(work, Run(chosen(RUNS.get(config), about.group), config, about.theme))
    if trigger == work.ids.tick and not shown["tick"]:
        return {name: shown[name] for name in ("share", "pace")}
    return shown
