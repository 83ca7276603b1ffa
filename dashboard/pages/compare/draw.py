"""What Compare shows of a request: the curves of what has been computed so far, the ranking, what is still to come."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import numpy as np
import xarray as xr
from dash import Dash, Input, Output, ctx, html, no_update
from pydantic import Field

import gradlab
from gradlab.config import RunConfig, controls
from gradlab.config.links import to_python_compared
from gradlab.errors import InputError, echo
from gradlab.lazy import lazy
from gradlab.plots import THEMES
from gradlab.runs.comparison import MOST, Plan, Seed, plan
from gradlab.runs.ranking import ORDERS, SLOPE, Said, curve_rows, order, ranking_rows, said
from gradlab.runs.verdicts import ICONS
from gradlab.wording import counted

from ... import components, form, ids
from ...addresses import ARRIVAL
from ...answers import answer, outputs
from ...posts import Plain, Raw, Text, Theme
from ...work.gathered import SoFar
from ...work.runs import require_drawable
from ...work.seeds import SEEDS
from .address import MOST_SEEDS, View
from .slots import FIELDS, PLACES, Slot, key, parts, slots

LEFT = {f"after {k}": k for k in ORDERS[1:]}
COLUMNS = {"per step back": SLOPE} | LEFT  # of the ranking that it can be ordered by, and what that is called
HEADS = (
    *("run", "verdict", "per step back", "theory"),
    *LEFT,
    *("at its end", "parameters", "units", "step time", "memory"),
)
LETTERS, LETTERS_NARROW = 26, 16  # of the labels beside the figure
KINDS = {name: "text" if name == "forget_bias" else form.kind(name) for name in FIELDS}


@dataclass(frozen=True)
class Request:
    """What the browser wants shown. raw: values of the slots' fields; along: the query that travels between pages."""

    raw: Raw
    rows: Annotated[tuple[Text, ...], Field(max_length=MOST)]
    seeds: Plain
    equal: Literal["hidden size", "parameters"]
    along: Text = ""
    by: Literal["slope", "10", "50", "100", "300"] = "slope"
    owner: Text = ""
    theme: Theme = "light"
    narrow: bool = False

    @property
    def slots(self) -> list[Slot]:
        """Those in use."""
        return slots(self.rows, self.raw)

    @property
    def seed_count(self) -> int:
        """Raises InputError for what is no number of seeds."""
        if isinstance(self.seeds, int) and not isinstance(self.seeds, bool) and 1 <= self.seeds <= MOST_SEEDS:
            return self.seeds
        raise InputError(f"Seeds: expected a whole number from 1 to {MOST_SEEDS}, got {echo(self.seeds)}", "seeds")


@dataclass(frozen=True)
class Tick:
    """A question for what has come since. done: how many seeds the page shows."""

    at: float = 0.0
    done: int = -1


@dataclass(frozen=True)
class Shown:
    """A request as far as it has been computed. problems: label of a run -> why it is not."""

    view: View
    plan: Plan
    so_far: SoFar[RunConfig, Seed]
    problems: dict[str, str]
    missing: int

    @lazy
    def ds(self) -> xr.Dataset:
        """What is there so far."""
        return self.plan.dataset(self.so_far.found)


def look(request: Request, again: bool = False) -> Shown:
    """Start what is missing, and take what is there. again: whether what has failed is tried once more.

    Raises InputError where nothing can be compared.
    """
    filled = [slot.form for slot in request.slots]
    view = View(tuple(run.config for run in filled), request.seed_count, request.equal, request.along)
    chosen = plan(view.runs, view.seeds, view.equal)
    problems = {name: text for name, run in zip(chosen.runs, filled, strict=True) if (text := _problem(run))}
    problems |= {name: text for name, run in chosen.runs.items() if name not in problems and (text := _too_large(run))}
    problems |= {name: _told(error) for name, error in chosen.unreadable.items() if name not in problems}
    usable = [seed for n, seed in enumerate(chosen.wanted) if [*chosen.runs][n % len(chosen.runs)] not in problems]
    wanted = [*dict.fromkeys(usable)]  # equal runs share their seeds
    so_far = SEEDS.so_far(wanted, request.owner, again)
    for n, name in enumerate(chosen.runs):
        failed = [so_far.failed[seed] for seed in chosen.of_run(n) if seed in so_far.failed]
        problems |= {name: failed[0]} if failed else {}
    return Shown(view, chosen, so_far, problems, so_far.missing(wanted))


def _problem(run: form.Form[RunConfig]) -> str:
    """What is wrong with the settings of a run, in words."""
    return " ".join(f"{controls()[name].label}: {text}." for name, text in run.errors.items())


def _too_large(run: RunConfig) -> str:
    try:
        require_drawable(run)
    except InputError as error:
        return _told(error)
    return ""


def _told(error: InputError) -> str:
    return form.told(error, {name: control.label for name, control in controls().items()})


# what the page shows


def show(request: Request, tick: Tick | None) -> dict[str, Any]:
    """The callback: asked by a request, or by a tick for what has come since."""
    ticked = ctx.triggered_id == ids.COMPARE.tick
    try:
        shown = look(request, again=not ticked)
        if ticked and tick and tick.done == len(shown.so_far.found) and shown.missing:
            return answer(OUTPUTS, {"drawn": standing(request, shown)})
        return answer(OUTPUTS, draw(request, shown))
    except InputError as error:
        failed = {"failure": components.message(str(error), "error"), "drawn": {"more": False, "done": -1}}
        return answer(OUTPUTS, failed)


def draw(request: Request, shown: Shown) -> dict[str, Any]:
    """Everything that shows a comparison."""
    ds, total = shown.ds, len(shown.so_far.found) + shown.missing
    letters = LETTERS_NARROW if request.narrow else LETTERS
    fig = gradlab.plots.comparison(ds, request.theme, letters)
    found = said(ds)
    share = len(shown.so_far.found) / total if total else 1.0
    return {
        "figure": fig,
        "style": {"height": f"{fig.layout.height}px"},
        "label": " ".join(["What is left of the gradient, by steps back.", *(found.sentences if found else [])]),
        "verdict": headline(found),
        "details": components.typeset(" ".join(found.details)) if found else "",
        "announcement": " ".join(found.sentences) if found and not shown.missing else no_update,
        "ranking": ranking(ds, request.by, request.theme, shown.problems),
        "columns": table_class(ds),
        "sorted": {column: "descending" if by == request.by else "none" for column, by in COLUMNS.items()},
        "table": components.table(curve_rows(ds), "What is left so many steps back"),
        "failure": [components.message(f"{name}: {text}", "error") for name, text in shown.problems.items()],
        "share": str(share),
        "progress": f"{len(shown.so_far.found)} of {counted(total, 'seed')}" if shown.missing else "",
        "copies": copies(shown),
        "drawn": standing(request, shown) | {"props": looks(request, shown)},
    }


def headline(found: Said | None) -> Any:
    """Which run reaches farthest."""
    return components.statement(found.word, ICONS.get(found.word, ""), found.headline) if found else "Computing …"


def ranking(ds: xr.Dataset, by: str, theme: str, problems: Mapping[str, str]) -> list[components.Component]:
    """The rows of the table, each under the colour of its line."""
    texts = ranking_rows(ds, by)
    return [_row(text, n, theme, problems) for n, text in zip(order(ds, by), texts, strict=True)]


def _row(texts: Mapping[str, str], n: int, theme: str, problems: Mapping[str, str]) -> components.Component:
    name = texts["run"]
    head = html.Th([swatch(n, theme), html.Span(name)], scope="row")
    word = "not computed" if name in problems else texts["verdict"]
    sign = html.Span(ICONS.get(word, ""), className="sign", **components.aria(hidden="true"))
    verdict = html.Td(html.Span([sign, word], className=f"word {word.replace(' ', '-')}"))
    others = [column for column in HEADS if column not in ("run", "verdict")]
    cells = [html.Td(components.typeset(texts[column]), className=cell_class(column)) for column in others]
    return html.Tr([head, verdict, *cells])


def cell_class(column: str) -> str:
    """The class of a column's cells, where it can be hidden: "after-300"."""
    return column.replace(" ", "-") if column in LEFT else ""


def table_class(ds: xr.Dataset) -> str:
    """The class of the table, which hides the columns of lags that no run has."""
    empty = [f"without-after-{k}" for k in ds.after.values if np.isnan(ds.log_left.sel(after=k)).all()]
    return " ".join(["data-table", *empty])


def swatch(n: int, theme: str) -> components.Component:
    """The colour of the n-th line."""
    return html.Span(className="swatch", style={"background": THEMES[theme].series[n]})


def copies(shown: Shown) -> dict[str, str]:
    """The texts behind the copy buttons."""
    given = dict(zip(shown.plan.runs, shown.view.runs, strict=True))
    python = to_python_compared(given, shown.view.seeds, shown.view.equal)
    return {ids.COMPARE.copy_link: shown.view.address, ids.COMPARE.copy_python: python}


def standing(request: Request, shown: Shown) -> dict[str, Any]:
    """What the browser knows of what is drawn. address: of what is shown, None while a setting is wrong."""
    wrong = any(slot.form.errors for slot in request.slots)
    address = None if wrong else shown.view.address
    return {"more": bool(shown.missing), "done": len(shown.so_far.found), "address": address}


def looks(request: Request, shown: Shown) -> dict[str, dict[str, Any]]:
    """Component id -> properties of every slot and its parts."""
    props: dict[str, dict[str, Any]] = {parts(n)["slot"]: {"className": "slot hidden"} for n in PLACES}
    for n, (slot, name) in enumerate(zip(request.slots, shown.plan.runs, strict=True)):
        place, query = parts(n), shown.view.opened(n)
        props[place["slot"]] = {"className": "slot", "style": {"--series": THEMES[request.theme].series[n]}}
        props[place["name"]] = {"children": name}
        props[place["explore"]] = {"href": f"/?{query}"}
        props[place["train"]] = {"href": f"/train?{query}&{urlencode([ARRIVAL])}"}
        props |= _field_looks(n, slot.form)
    return props


def _field_looks(n: int, filled: form.Form[RunConfig]) -> dict[str, dict[str, Any]]:
    """Which fields of a slot apply, and what is wrong with them."""
    props: dict[str, dict[str, Any]] = {}
    for name in FIELDS:
        hidden = "" if form.applies(name, filled.config) else " hidden"
        props[ids.field(key(n, name))] = {"className": f"field {KINDS[name]}{hidden}"}
        props[ids.control(key(n, name))] = {"error": filled.errors.get(name, "")}
    return props


OUTPUTS = {
    **outputs(ids.COMPARE, children="verdict details announcement ranking table failure progress", figure="figure"),
    **outputs(ids.COMPARE, data="copies drawn", value="share"),
    **outputs(ids.COMPARE, className="columns"),
    "style": Output(ids.COMPARE.figure, "style"),
    "label": Output(ids.part(ids.COMPARE.figure, "frame"), "aria-label"),
    "sorted": {column: Output(ids.part(ids.COMPARE.by, by), "aria-sort") for column, by in COLUMNS.items()},
}


def register(app: Dash) -> None:
    """Draw whenever the browser asks, and when it asks what has come."""
    asked = [Input(ids.COMPARE.request, "data"), Input(ids.COMPARE.tick, "data")]
    app.callback(output=OUTPUTS, inputs=asked, prevent_initial_call=True)(show)
