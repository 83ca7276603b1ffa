"""A training run over its iterations: loss, gradient norm and clipping, the gradient through time, gates."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..cells import CELLS
from ..errors import InputError
from ..runs.attributes import config_fields, number_of, text_of, unit_of
from ..tasks.base import LARGEST_ERROR
from ..training.outcome import late_loss
from ..wording import value_text
from .colours import LN10, THEMES, Theme, series_style
from .marks import SWATCHES, Trace, faint, line, plain_numbers, plot_text, power_numbers, swatch
from .overview import heat_map
from .panels import Panel, Rule, factor_axis, heading, quiet_title, span, stack
from .series import TIME_BINS, bins, decimate, largest_in, log, require

LOSS, SCORE, NORM, SURFACE, GATE = 150, 80, 110, 110, 90  # px of each panel below its heading
MAX_RUNS = 6
MANY_DOTS = 60  # which would hide the line beneath
ALWAYS = 2**53  # iterations: a look that stays where nobody knows when the next was due
SMOOTHED, LEAST = 50, 5  # the thick line averages a fiftieth of what is drawn, or so many values
SURFACE_ABOUT = (
    "Norm of dL/dstate at step t as a share of what it is at the last step, whenever the run looked: median over "
    "samples. The colours are those of every map: what is lost fades, blue is as at the last step."
)
NORM_ABOUT = "Euclidean norm of the gradient of all weights together, before and after clipping."


def training_course(
    ds: xr.Dataset, beside: Sequence[xr.Dataset] = (), theme: str = "light", layer: int = 0
) -> go.Figure:
    """Loss and held-out score against the baseline, gradient norm and clipping, gradient over t, gates, by iteration.

    ds: of `gradlab.training.dataset`; `beside`: up to 5 others, drawn along under their attribute "label". layer: the
    one whose gradient and gates are shown. Raises InputError for other Datasets, layers and themes.
    """
    runs = [ds, *beside]
    _check(runs, layer)
    look = THEMES[theme]
    last = max(_setting(run, "iterations", run.sizes["iteration"]) for run in runs)
    panels = [_loss_panel(runs, look), *_score_panels(runs, look), _norm_panel(runs, look)]
    panels += [_surface_panel(run, layer, theme, len(runs) > 1) for run in runs if "surface" in run]
    panels += [
        _gate_panel(run, layer, look, len(runs) > 1) for run in runs if "mean_gate" in run and run.sizes["gate"] > 1
    ]
    axis = {"range": [0, last], "tickformat": "d", "nticks": 8, "title": quiet_title("iteration", look)}
    return stack(panels, theme, last, axis)


def _check(runs: Sequence[xr.Dataset], layer: int) -> None:
    for run in runs:
        require(run, "loss", "log_grad_norm_before", "log_grad_norm_after", "clipped", "skipped", "held_out_loss")
        layers = run.sizes.get("layer", layer + 1)
        if not 0 <= layer < layers:
            raise InputError(f"layer: expected 0 to {layers - 1}, got {layer}", "layer")
    if len(runs) > MAX_RUNS:
        raise InputError(f"expected at most {MAX_RUNS - 1} runs beside the first, got {len(runs) - 1}", "runs")


def _setting(run: xr.Dataset, name: str, otherwise: int) -> int:
    """A whole number of the run's configuration, whatever version wrote it."""
    value = config_fields(run).get(name)
    return value if isinstance(value, int) else otherwise


def label(run: xr.Dataset) -> str:
    """What a run is called where several are drawn."""
    return escape(text_of(run, "label", text_of(run, "title", "run")), quote=False)


def _legend(runs: Sequence[xr.Dataset], look: Theme) -> str:
    if len(runs) == 1:
        return ""
    return "&nbsp; ".join(f"{swatch(*series_style(n, look))} {label(run)}" for n, run in enumerate(runs))


def smooth(y: np.ndarray) -> np.ndarray:
    """A running mean over the last fiftieth of the values, at least 5; infinite and missing ones are left out."""
    width = max(LEAST, len(y) // SMOOTHED)
    finite = np.isfinite(y)
    sums, counts = (np.cumsum(np.concatenate([[0.0], part])) for part in (np.where(finite, y, 0.0), finite))
    start = np.maximum(np.arange(1, len(y) + 1) - width, 0)
    total, count = sums[1:] - sums[start], counts[1:] - counts[start]
    return np.where(finite, total / np.maximum(count, 1), np.nan)


# loss and score


def _loss_panel(runs: Sequence[xr.Dataset], look: Theme) -> Panel:
    """Each iteration's loss faintly, its running mean, dots where held-out data were tried; the baseline dotted."""
    traces: list[Trace] = []
    seen = []
    for n, run in enumerate(runs):
        loss, held = run.loss.values, log(run.held_out_loss.values) / LN10
        traces += _noisy(run, log(loss) / LN10, log(smooth(loss)) / LN10, _name(run, runs, "training"), n, look)
        traces.append(_dots(run.evaluation.values, held, _name(run, runs, "held out"), series_style(n, look)[0], look))
        seen += [log(loss) / LN10, held]
    marks = _marks_of_loss(runs)
    rules = [Rule(float(log(np.array(value))) / LN10) for value in marks]
    named = "; ".join(f"{plot_text(value_text(value))}: {what}" for value, what in marks.items())
    notes = [f"{SWATCHES['dot']} {named}"] if marks else []
    y_range = span(seen, least=0.7, always=[rule.y for rule in rules])
    caption = _legend(runs, look) or "line: training, dots: held out"
    return Panel(heading("Loss", caption, look), LOSS, factor_axis(*y_range), traces, rules=rules, notes=notes)


def _noisy(run: xr.Dataset, y: np.ndarray, mean: np.ndarray, name: str, n: int, look: Theme) -> list[Trace]:
    """What changes at every iteration, faintly, and its running mean, of the n-th run."""
    colour, dash = series_style(n, look)
    x = run.iteration.values
    shown = decimate(mean)
    thick = line(x[shown], mean[shown], name, colour, width=2.2, dash=dash)
    return [line(x, y, name, faint(colour, 0.35), width=1), thick | _valued(mean[shown], name, colour, dash)]


def _valued(logs: np.ndarray, name: str, colour: str, dash: str) -> Trace:
    """Hover labels with the values of log10 values, written by the browser: the figure is drawn every second."""
    with np.errstate(over="ignore"):
        values = (10.0**logs).astype(np.float32)
    return {
        "customdata": values,
        "hoverinfo": None,
        "hovertemplate": f"%{{customdata:.3g}}  {swatch(colour, dash)} {name}<extra></extra>",
    }


def _marks_of_loss(runs: Sequence[xr.Dataset]) -> dict[float, str]:
    """What the loss is measured by: the task's baseline, and what counts as solved where that is a loss."""
    baselines = ((number_of(run, "baseline"), text_of(run, "baseline_text", "baseline")) for run in runs)
    marks = {value: what for value, what in baselines if value is not None}
    solved = number_of(runs[0], "solved_below")
    return marks | ({solved: "solved"} if solved is not None and _metric(runs[0]) == "mean squared error" else {})


def _metric(run: xr.Dataset) -> str:
    return text_of(run, "metric")


def _name(run: xr.Dataset, runs: Sequence[xr.Dataset], what: str) -> str:
    return what if len(runs) == 1 else f"{label(run)}, {what}"


def _dots(x: np.ndarray, y: np.ndarray, name: str, colour: str, look: Theme) -> Trace:
    size, width = (7, 2) if len(x) <= MANY_DOTS else (4, 1)
    marker = {"size": size, "color": look.page, "line": {"color": colour, "width": width}}
    return line(x, y, name, colour, power_numbers) | {"mode": "markers", "marker": marker, "cliponaxis": False}


def _score_panels(runs: Sequence[xr.Dataset], look: Theme) -> list[Panel]:
    """The held-out error rate, or the largest error; other metrics are the loss itself."""
    if _metric(runs[0]) == LARGEST_ERROR:
        return [_largest_panel(runs, look)]
    if _metric(runs[0]) != "error rate":
        return []
    traces = []
    for n, run in enumerate(runs):
        colour, dash = series_style(n, look)
        x, y = run.evaluation.values, run.held_out_score.values
        traces.append(line(x, y, _name(run, runs, "wrong"), colour, _percents, width=2, dash=dash))
        traces[-1] |= {"mode": "lines+markers", "marker": {"size": 6, "color": colour}, "cliponaxis": False}
    axis = {"range": (-0.05, 1.05), "tickformat": ".0%", "nticks": 3}
    title = heading("Wrong answers", "on held-out data", look)
    return [Panel(title, SCORE, axis, traces)]


def _largest_panel(runs: Sequence[xr.Dataset], look: Theme) -> Panel:
    """The largest held-out error, with the line below which the task is solved."""
    traces = []
    for n, run in enumerate(runs):
        y = log(run.held_out_score.values) / LN10
        name = _name(run, runs, LARGEST_ERROR)
        traces.append(_dots(run.evaluation.values, y, name, series_style(n, look)[0], look))
    solved = number_of(runs[0], "solved_below")
    rules = [] if solved is None else [Rule(float(log(np.array(solved))) / LN10)]
    axis = factor_axis(*span([trace["y"] for trace in traces], least=0.7, always=[rule.y for rule in rules]))
    notes = [f"{SWATCHES['dot']} {plot_text(value_text(solved))}: solved"] if solved is not None else []
    return Panel(heading("Largest error", "on held-out data", look), SCORE, axis, traces, rules=rules, notes=notes)


def _percents(y: np.ndarray) -> list[str]:
    return ["" if np.isnan(v) else f"{100 * v:.1f} %" for v in y]


# norm


def _norm_panel(runs: Sequence[xr.Dataset], look: Theme) -> Panel:
    """Norm before clipping faintly, after it as a running mean, the threshold, and marks where it was clipped."""
    before, after = ([run[f"log_grad_norm_{when}"].values / LN10 for run in runs] for when in ("before", "after"))
    thresholds = dict.fromkeys(t for run in runs if (t := _norm_threshold(run)) is not None)
    rules = [Rule(float(log(np.array(t))) / LN10) for t in thresholds]
    low, high = span([*before, *after], least=1, always=[rule.y for rule in rules])
    room = 0.09 * (high - low)
    traces: list[Trace] = []
    for n, run in enumerate(runs):
        colour, x = series_style(n, look)[0], run.iteration.values
        traces += _noisy(run, before[n], smooth(after[n]), _name(run, runs, _norm_name(run)), n, look)
        traces += _marks(x, run.clipped.values, high + room * (n + 0.5), "clipped", "line-ns-open", colour)
        traces += _marks(x, run.skipped.values, low + room / 2, "skipped: not finite", "x", look.above)
    clipped = any(run.clipped.values.any() for run in runs)
    notes = ["thin: before clipping; thick: after, smoothed", "marks on top: clipped"] if clipped else []
    if thresholds:
        notes.append(f"{SWATCHES['dot']} threshold {', '.join(plot_text(value_text(t)) for t in thresholds)}")
    notes = [*notes[:1], "; ".join(notes[1:])] if len(notes) > 2 else notes
    axis = factor_axis(low, high + room * len(runs) * clipped)
    title = heading("Gradient norm", _norm_caption(runs), look)
    return Panel(title, NORM, axis, traces, rules=rules, notes=notes, about=NORM_ABOUT)


def _norm_name(run: xr.Dataset) -> str:
    return "after clipping" if _is_clipped(run) else "norm"


def _is_clipped(run: xr.Dataset) -> bool:
    return text_of(run, "clip", "off") != "off"


def _norm_threshold(run: xr.Dataset) -> float | None:
    """The threshold of clipping by norm, which can be drawn among norms."""
    return number_of(run, "threshold") if config_fields(run).get("clip") == "norm" else None


def _norm_caption(runs: Sequence[xr.Dataset]) -> str:
    """How many updates were clipped and skipped, for each run where any could be."""
    texts = []
    for run in runs:
        facts = [f"{100 * clipped_share(run):.0f} % clipped"] if _is_clipped(run) else []
        facts += [f"{skipped} not finite, skipped"] if (skipped := int(run.skipped.sum())) else []
        texts += [(f"{label(run)}: " if len(runs) > 1 else "") + ", ".join(facts)] if facts else []
    return "; ".join(texts) or "of all weights; clipping is off"


def clipped_share(run: xr.Dataset) -> float:
    """Of the updates so far."""
    return float(run.clipped.mean()) if run.sizes["iteration"] else 0.0


def _marks(x: np.ndarray, flags: np.ndarray, y: float, name: str, symbol: str, colour: str) -> list[Trace]:
    """Small marks at a height where a flag is 1."""
    where = np.flatnonzero(flags == 1)
    if not where.size:
        return []
    where = where[np.unique(np.linspace(0, where.size - 1, 1000).astype(int))]
    marker = {"symbol": symbol, "size": 6, "color": colour, "line": {"color": colour, "width": 1}}
    place = {"x": x[where].astype(np.float32), "y": np.full(where.size, y, np.float32)}
    return [{"type": "scatter", "mode": "markers", "name": name, "marker": marker, "hoverinfo": "skip"} | place]


# snapshots


def _surface_panel(run: xr.Dataset, layer: int, theme: str, named: bool) -> Panel:
    """(iteration, t): what is left at step t of the gradient at the last step, on the fixed colour scale."""
    logs, first = _known_times(run.surface.isel(layer=layer).transpose("time", "snapshot").values)
    with np.errstate(invalid="ignore"):
        logs = logs - _last_known(logs)
    times = bins(len(logs), TIME_BINS)
    z = largest_in(logs, times, 0) / LN10
    z, edges = _cells(run, z)
    trace = heat_map(z, (), times, theme) | {"x": edges, "y": first + np.append(times, len(logs)) - 0.5}
    for name in ("x0", "dx"):
        trace.pop(name)
    trace["hovertemplate"] = "10<sup>%{z:.1f}</sup> at step %{y:.0f}<extra></extra>"
    unit, last = unit_of(run), first + len(logs) - 1
    title = f"Gradient at {unit} t" + _of(run, layer, named)
    axis = {"range": [first - 0.5, last + 0.5], "showticklabels": False, "showgrid": False, "fixedrange": True}
    caption = f"bottom: {unit} {first}, top: {last}"
    return Panel(heading(title, caption, THEMES[theme]), SURFACE, axis, [trace], about=SURFACE_ABOUT)


def _known_times(logs: np.ndarray) -> tuple[np.ndarray, int]:
    """The rows of (time, snapshot) from the first to the last in which anything is known, and the first one's time."""
    known = np.flatnonzero(~np.isnan(logs).all(axis=1))
    first, last = (int(known[0]), int(known[-1])) if known.size else (0, len(logs) - 1)
    return logs[first : last + 1], first


def _last_known(logs: np.ndarray) -> np.ndarray:
    """Of each column (time, snapshot), its last value that is not NaN."""
    known = ~np.isnan(logs)
    last = len(logs) - 1 - known[::-1].argmax(axis=0)
    return np.asarray(np.take_along_axis(logs, last[None], axis=0)[0])


def _cells(run: xr.Dataset, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns (time, cell) and their edges: from each look to the next due, and blank where that one was lost."""
    starts, now = run.snapshot.values, run.iteration.values[-1]
    due = starts + _setting(run, "snapshot_every", ALWAYS)
    ends = np.minimum(due, np.append(starts[1:], max(now, starts[-1] + 1)))
    lost = np.flatnonzero(ends[:-1] < starts[1:])
    return np.insert(z, lost + 1, np.nan, axis=1), np.sort(np.concatenate([starts, ends[lost], ends[-1:]]))


def _of(run: xr.Dataset, layer: int, named: bool) -> str:
    parts = ([label(run)] if named else []) + ([layer_names(run)[layer].lower()] if run.sizes["layer"] > 1 else [])
    return f" · {', '.join(parts)}" if parts else ""


def layer_names(run: xr.Dataset) -> list[str]:
    """What the layers of a run are called."""
    if "layer_name" in run:
        return [escape(str(name), quote=False) for name in run.layer_name.values]
    return [f"Layer {n + 1}" for n in range(run.sizes.get("layer", 1))]


def _gate_panel(run: xr.Dataset, layer: int, look: Theme, named: bool) -> Panel:
    """Mean value of each gate over steps, units and samples."""
    means = run.mean_gate.isel(layer=layer).transpose("gate", "snapshot").values
    names = [str(name) for name in run.gate.values]
    traces = [
        line(run.snapshot.values, y, name, colour, plain_numbers, width=2, dash=dash)
        for n, (name, y) in enumerate(zip(names, means, strict=True))
        for colour, dash in [series_style(n, look)]
    ]
    cell = str(config_fields(run).get("cell"))
    roles = CELLS[cell].roles if cell in CELLS else {}
    note = "&nbsp; ".join(
        f"{swatch(*series_style(n, look))} {name} {roles.get(name, '')}".rstrip() for n, name in enumerate(names)
    )
    axis = {"range": span(means, least=0.1, always=(0.0, 1.0)), "nticks": 4}
    title = heading("Mean gate" + _of(run, layer, named), "over steps, units and samples", look)
    return Panel(title, GATE, axis, traces, notes=[note])


# words


def course_table(runs: Sequence[xr.Dataset]) -> list[dict[str, str]]:
    """Runs as rows: how long, how well, against which baseline, and how many updates were clipped and skipped."""
    return [{"run": label(run)} | {name: say(run) for name, say in TABLE.items()} for run in runs]


def _without_a_net(run: xr.Dataset) -> str:
    """The held-out losses of what needs no net, and of the net itself with its state cut."""
    if "rival_loss" not in run or not run.sizes["evaluation"]:
        return ""
    names = [str(text).partition(":")[0] for text in run.rival_text.values]
    losses = run.rival_loss.values[-1]
    told = zip(names, losses, strict=True)
    return ", ".join(f"{name} {value_text(loss)}" for name, loss in told if not np.isnan(loss))


def _last_score(run: xr.Dataset) -> str:
    scores = run.held_out_score.values
    return f"{value_text(scores[-1])} {_metric(run)}" if scores.size else ""


TABLE: Mapping[str, Callable[[xr.Dataset], Any]] = {
    "iterations": lambda run: str(run.sizes["iteration"]),
    "training loss": lambda run: value_text(late_loss(run.loss.values)) if run.sizes["iteration"] else "",
    "baseline": lambda run: "" if (value := number_of(run, "baseline")) is None else value_text(value),
    "held out": _last_score,
    "held out, without a net": _without_a_net,
    "clipped": lambda run: f"{100 * clipped_share(run):.0f} %",
    "skipped": lambda run: str(int(run.skipped.sum())),
}
