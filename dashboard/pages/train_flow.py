"""The gradient through time at one moment of the training, and the slider that leads back to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from dash import Output, html, no_update

import gradlab
from gradlab import training
from gradlab.verdicts import power_text, share_left, verdict

from .. import components, ids
from .train_words import Shown


def slider(runs: Sequence[Shown], chosen: int, back: int) -> dict[str, Any]:
    """The slider over all snapshots, at the chosen one; it is not touched where it is there, as a hand may hold it."""
    most = last_snapshot(runs)
    return {"most": max(most, 1), "back": chosen if chosen != back else no_update, "fixed": most < 1}


def last_snapshot(runs: Sequence[Shown]) -> int:
    """Index of the latest snapshot; -1 before there is one."""
    return max((count(run) for run in runs), default=0) - 1


def count(run: Shown) -> int:
    """Snapshots so far."""
    return len(run.record.run.history.snapshots) if run.record else 0


def flow(runs: Sequence[Shown], index: int, layer: int, theme: str) -> dict[str, Any]:
    """The gradient over time as it was at one snapshot of each run, and what that means."""
    chosen = {run: moment for run in runs if (moment := snapshot(run, index, layer)) is not None}
    if not chosen:
        return {}
    first, *others = (ds for _, ds in chosen.values())
    fig = gradlab.plots.gradient_flow(first, theme, others)
    when = max(iteration for iteration, _ in chosen.values())
    said = [flow_words(run, at if at != when else None, ds) for run, (at, ds) in chosen.items()]
    return {
        "flow": fig,
        "flow_style": {"height": f"{fig.layout.height}px"},
        "flow_label": f"Gradient at every step at iteration {when}. {' '.join(said)}",
        "flow_table": components.table(rows([ds for _, ds in chosen.values()]), f"Share left at iteration {when}"),
        "flow_verdict": [html.P(components.typeset(text)) for text in said],
        "when": f"at iteration {when:,}" + (", the latest" if index >= last_snapshot(runs) else ""),
    }


def rows(seen: Sequence[xr.Dataset]) -> list[dict[str, Any]]:
    """How much of the last step's gradient is left 0, 1, 2, 5, 10 ... steps back, of each run."""
    shares = {ds.attrs["label"]: share_left(ds).values[::-1].tolist() for ds in seen}
    back = [0, *(digit * 10**power for power in range(6) for digit in (1, 2, 5))]
    longest = max(len(share) for share in shares.values())
    return [
        {"steps back": k} | {name: power_text(share[k]) if k < len(share) else "" for name, share in shares.items()}
        for k in back
        if k < longest
    ]


def snapshot(run: Shown, index: int, layer: int) -> tuple[int, xr.Dataset] | None:
    """Iteration and Dataset of a run's snapshot of a number, or of its latest; None before there is one."""
    if not count(run) or run.record is None:
        return None
    at = min(index, count(run) - 1)
    ds = training.snapshot_dataset(run.record.run, at, min(layer, run.config.layers - 1))
    return int(run.record.run.history.snapshots[at]["iteration"]), ds.assign_attrs(label=run.name)


def flow_words(run: Shown, iteration: int | None, ds: xr.Dataset) -> str:
    """The verdict, where the loss acts at the last step alone; with the iteration where it is not the others'."""
    at = f" at iteration {iteration:,}" if iteration is not None else ""
    return f"{run.name}{at}: {_verdict_words(run, ds)}"


def _verdict_words(run: Shown, ds: xr.Dataset) -> str:
    if run.record and run.record.run.task.output == "every":
        return "a loss at every step; the curve contains each step's own and says nothing about distance."
    return verdict(ds).headline.removeprefix("The ")


OUTPUTS = {
    "flow": Output(ids.TRAIN_FLOW, "figure"),
    "flow_style": Output(ids.TRAIN_FLOW, "style"),
    "flow_label": Output(ids.TRAIN_FLOW_FRAME, "aria-label"),
    "flow_table": Output(ids.TRAIN_FLOW_TABLE, "children"),
    "flow_verdict": Output(ids.TRAIN_FLOW_VERDICT, "children"),
    "when": Output(ids.TRAIN_WHEN, "children"),
    "most": Output(ids.TRAIN_BACK, "max"),
    "back": Output(ids.TRAIN_BACK, "value"),
    "fixed": Output(ids.TRAIN_BACK, "disabled"),
}
