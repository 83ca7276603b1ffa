"""What Phase shows of a request: the map, the chosen point in words, its links."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import numpy as np
from dash import Dash, Input, Output, html

import gradlab
from gradlab.config import ConfigError, RunConfig, controls
from gradlab.config.links import from_query, to_query
from gradlab.errors import InputError, echo
from gradlab.runs.verdicts import FACTOR, ICONS
from gradlab.theory.phases import LARGEST_SCALE
from gradlab.wording import factor_text, power_text

from ... import components, form, ids
from ...answers import answer, outputs
from ...posts import Plain, Text, Theme

Axis = tuple[str, np.ndarray]

SIGMAS = {"sigma_w": "gain", "sigma_b": "bias_scale", "sigma_v": "input_scale"}
SYMBOLS = {"sigma_w": "σ_w", "sigma_b": "σ_b", "sigma_v": "σ_v"}
AXES = {"w-b": ("sigma_w", "sigma_b"), "w-v": ("sigma_w", "sigma_v"), "b-v": ("sigma_b", "sigma_v")}
PLAIN = {"cell": "elman", "recurrent_init": "gaussian", "leak": 1.0, "weights": None}  # what the theory is about
POINTS = 40  # of the map along an axis, about
TABLE_POINTS = 8
STEPS = gradlab.plots.PHASE_STEPS
HEIGHT, HEIGHT_NARROW = 470, 330


@dataclass(frozen=True)
class Values:
    """What the controls hold."""

    activation: Text
    axes: Literal["w-b", "w-v", "b-v"]
    sigma_w: Plain
    sigma_b: Plain
    sigma_v: Plain


@dataclass(frozen=True)
class Request:
    """What the browser wants drawn; base: the query of the run of which the controls change a part."""

    values: Values
    base: Text
    theme: Theme
    narrow: bool


@dataclass(frozen=True)
class View:
    """What the page is to show: a run, of which the map needs the activation and the three scales, and the axes.

    pins: queries of the runs that travel along.
    """

    config: RunConfig
    axes: str
    pins: tuple[RunConfig, ...] = ()

    @property
    def scales(self) -> dict[str, float]:
        """sigma_w, sigma_b and sigma_v of the chosen point."""
        return {name: getattr(self.config, field) for name, field in SIGMAS.items()}

    @property
    def third(self) -> str:
        """The scale that is not on an axis."""
        return next(name for name in SIGMAS if name not in AXES[self.axes])

    @property
    def explore(self) -> str:
        """The query that opens the point in Explore."""
        return f"?{to_query(self.config, self.pins)}"

    @property
    def address(self) -> str:
        """The query that opens this page again."""
        return f"{self.explore}&{urlencode({'axes': self.axes})}"


def read(search: str) -> tuple[View, list[str]]:
    """The view that an address means, and what of it was left out."""
    pairs = parse_qsl(search.removeprefix("?"), keep_blank_values=True)
    link = from_query(urlencode([pair for pair in pairs if pair[0] != "axes"]))
    axes, notices = dict(pairs).get("axes", "w-b"), list(link.notices)
    if axes not in AXES:
        notices.append(f"Ignored axes: expected one of {', '.join(AXES)}, got {echo(axes)}")
        axes = "w-b"
    view = View(link.config.replace(**PLAIN), axes, tuple(link.pins))
    if view.config != link.config:
        notices.append("The map is about the plain cell with gaussian weights; activation and scales are the link's.")
    return view, notices


def follow(search: Text | None) -> dict[str, Any]:
    """The callback: controls at what the address says."""
    view, notices = read(search or "")
    values = {"activation": view.config.activation, "axes": view.axes} | view.scales
    return {"values": values, "base": view.address, "notices": [components.message(text) for text in notices]}


def show(request: Request) -> dict[str, Any]:
    """The callback: the page for a request."""
    view, errors = wanted(request)
    changes: dict[str, Any] = {
        "errors": {name: errors.get(field, "") for name, field in SIGMAS.items()},
        "drawn": {"address": None},
    }
    if not errors:
        try:
            changes |= draw(view, request.theme, request.narrow)
        except InputError as error:
            changes |= nothing(error)
    return answer(OUTPUTS, changes)


def nothing(error: InputError) -> dict[str, Any]:
    """What the page says where theory has no answer; the map stays."""
    labels = {name: f"{controls()[field].label.lower()} {name}" for name, field in SIGMAS.items()}
    why = form.told(error, labels)
    return {"verdict": components.typeset(f"No prediction: {why}"), "details": [], "where": [], "failure": ""}


def wanted(request: Request) -> tuple[View, dict[str, str]]:
    """The view that the controls say, with what is wrong by RunConfig field."""
    view, _ = read(request.base)
    held = {field: getattr(request.values, name) for name, field in SIGMAS.items()}
    given = {field: value for field, value in held.items() if value not in (None, "")}
    empty = dict.fromkeys(held.keys() - given.keys(), "expected a number, got an empty field")
    try:
        config = view.config.replace(activation=request.values.activation, **given)
    except ConfigError as error:
        return view, empty | error.fields
    return View(config, request.values.axes, view.pins), empty


def draw(view: View, theme: str, narrow: bool) -> dict[str, Any]:
    """Everything that shows a view."""
    found = gradlab.theory.mean_field(view.config.activation, **view.scales)
    critical = float(gradlab.theory.critical_line(found.activation, found.sigma_b, found.sigma_v))
    x, y = ((name, grid(name, end)) for name, end in ends(view, critical).items())
    fields = phase_map(view.config.activation, (x[0], x[1][-1]), (y[0], y[1][-1]), view.scales[view.third])
    point = (view.scales[x[0]], view.scales[y[0]])
    height = HEIGHT_NARROW if narrow else HEIGHT
    fig = gradlab.plots.phase_diagram(fields, x, y, point, theme, height)
    said = headline(found)
    return {
        "figure": fig,
        "style": {"height": f"{fig.layout.height}px"},
        "verdict": components.statement(kind(found), ICONS[kind(found)], said),
        "details": components.typeset(details(found, critical)),
        "where": [html.P(components.typeset(text)) for text in (found.holds, found.fails)],
        "open": f"/{view.explore}",
        "label": f"Map of the gradient's rate over {SYMBOLS[x[0]]} and {SYMBOLS[y[0]]}. {said}",
        "table": components.table(rows(fields, x, y), f"Factor per step back, by {SYMBOLS[x[0]]} (columns)"),
        "failure": "",
        "roles": dict.fromkeys(SIGMAS, "held all over the map") | {x[0]: "across the map", y[0]: "up the map"},
        "drawn": {
            "address": view.address,
            "axes": [[field, controls()[field].step] for field in (SIGMAS[x[0]], SIGMAS[y[0]])],
        },
    }


def ends(view: View, critical: float) -> dict[str, float]:
    """Where the axes end: the controls' ends, doubled until the chosen point and its critical gain lie inside."""
    inside = {name: [view.scales[name]] for name in AXES[view.axes]}
    if "sigma_w" in inside and math.isfinite(critical):
        inside["sigma_w"].append(critical)
    return {name: _end(float(controls()[SIGMAS[name]].max or 1), max(values)) for name, values in inside.items()}


def _end(end: float, inside: float) -> float:
    while end < min(inside, LARGEST_SCALE):
        end *= 2
    return min(end, LARGEST_SCALE)


def grid(name: str, end: float) -> np.ndarray:
    """The values along an axis, in a multiple of its control's steps."""
    control = controls()[SIGMAS[name]]
    low, step = float(control.min or 0), float(control.step or 1)
    step *= max(1, round((end - low) / step / POINTS))
    return np.round(np.append(np.arange(low, end - step / 2, step), end), 6)


@lru_cache(maxsize=64)
def phase_map(activation: str, x: tuple[str, float], y: tuple[str, float], third: float) -> dict[str, np.ndarray]:
    """The theory's map over a pair of axes, each a scale and its end, the third scale held."""
    fixed = next(name for name in SIGMAS if name not in (x[0], y[0]))
    return gradlab.theory.phase_map(activation, (x[0], grid(*x)), (y[0], grid(*y)), **{fixed: third})


# words


def kind(found: Any) -> str:
    """The verdict's word that goes with the predicted rate, by the same rule as for a run of 100 steps."""
    if math.isinf(found.q):
        return "overflow"
    if abs(STEPS * found.log_rate) <= FACTOR:
        return "carried"
    return "vanishing" if found.log_rate < 0 else "exploding"


def headline(found: Any) -> str:
    """The chosen point in one sentence."""
    rate = f"{factor_text(found.log_rate)} per step back"
    if kind(found) == "overflow":
        return f"No steady state: activity grows without limit; the gradient changes by {rate}."
    if kind(found) == "carried":
        return f"Near the critical line: the gradient is carried, {rate}."
    verb = "vanishes" if found.log_rate < 0 else "explodes"
    return f"{found.phase.capitalize()} phase: the gradient {verb}, {rate}."


def details(found: Any, critical: float) -> str:
    """What the sentence rests on: chi_1, depth, and where the critical line is."""
    sentences = [f"Mean-field theory: chi_1 = {found.chi:.3g}."]
    if found.log_rate and math.isfinite(found.log_rate):
        verb = "shrinks" if found.log_rate < 0 else "grows"
        depth = f" (depth scale ξ = {found.depth:.3g})" if found.depth > 0 else ""
        sentences.append(f"The gradient {verb} by a factor e in {1 / abs(found.log_rate):.3g} steps{depth};")
        sentences.append(f"{STEPS} steps back {power_text(STEPS * found.log_rate)} is left.")
    if math.isfinite(critical):
        sentences.append(
            f"With these biases and this input the critical gain of an infinitely wide net is {critical:.3g}."
        )
    return " ".join(sentences)


def rows(fields: Mapping[str, np.ndarray], x: Axis, y: Axis) -> list[dict[str, str]]:
    """A coarse map as rows: the factor per step back at some of its points."""
    across, along = (np.linspace(0, len(values) - 1, TABLE_POINTS).round().astype(int) for _, values in (x, y))
    return [
        {SYMBOLS[y[0]]: f"{y[1][j]:g}"} | {f"{x[1][i]:g}": factor_text(float(fields["log_rate"][j, i])) for i in across}
        for j in along[::-1]
    ]


CONTROLS = {"activation": ids.PHASE.activation, "axes": ids.PHASE.axes} | {name: ids.control(name) for name in SIGMAS}
OUTPUTS = {
    **outputs(ids.PHASE, children="verdict details where table failure", figure="figure", data="drawn", href="open"),
    "style": Output(ids.PHASE.figure, "style"),
    "label": Output(ids.part(ids.PHASE.figure, "frame"), "aria-label"),
    "errors": {name: Output(ids.control(name), "error") for name in SIGMAS},
    "roles": {name: Output(ids.part(ids.PHASE.role, name), "children") for name in SIGMAS},
}


def register(app: Dash) -> None:
    """Draw whenever the browser asks; set the controls from the address."""
    app.callback(output=OUTPUTS, inputs=[Input(ids.PHASE.request, "data")], prevent_initial_call=True)(show)
    values = {"values": {name: Output(component, "value") for name, component in CONTROLS.items()}}
    followed = outputs(ids.PHASE, data="base", children="notices")
    app.callback(output=values | followed, inputs=[Input(ids.PHASE.search, "data")], prevent_initial_call=True)(follow)
