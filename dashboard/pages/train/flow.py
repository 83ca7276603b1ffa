"""The gradient through time at one moment of the training, and the slider that leads back to it."""

import math
from collections.abc import Sequence
from typing import Any

import xarray as xr
from dash import Output, html, no_update

import gradlab
from gradlab.config import RunConfig
from gradlab.config.architecture import is_single
from gradlab.config.links import to_query
from gradlab.config.network import NetworkConfig
from gradlab.runs.attributes import unit_of
from gradlab.runs.shares import share_left
from gradlab.runs.verdicts import BACK, verdict
from gradlab.training import snapshot_dataset
from gradlab.wording import counted, number_text

from ... import ids
from ...answers import outputs
from ...components import Component, aria, table, typeset
from ...run_card import compare_link, explore_link
from .words import Shown

NETWORK = NetworkConfig.model_fields.keys() - {"input", "column"}  # what Explore and Train have in common
EXPLORE = "The same net with weights drawn the same way, on random input: what its gradient depends on, and remedies"
AFTERWARDS = "This look shows what is left of the net; the slider goes back to the one before."
THROWN = {  # at the start, and now
    ("carried", "vanishing"): "At the start it was carried: updates that were too large made it vanish.",
    ("exploding", "vanishing"): "At the start it exploded: updates that were too large made it vanish.",
    ("exploding", "carried"): "At the start it exploded, and updates that were too large threw the net away from it.",
}
MEANINGS = {
    "vanishing": "So what lies more than {reach} hardly changes the weights, and cannot be learnt. {explore}:",
    "exploding": "So a small change of the weights changes the answer much, and updates overshoot. {explore}:",
    "carried": "So the gradient is not what keeps it from learning: train longer, or try another learning rate or more "
    "units.",
}


def slider(runs: Sequence[Shown], chosen: int, back: int) -> dict[str, Any]:
    """The slider over all snapshots, at the chosen one; it is not touched where it is there, as a hand may hold it."""
    most = last_snapshot(runs)
    return {"most": max(most, 1), "back": chosen if chosen != back else no_update, "fixed": most < 1}


def last_snapshot(runs: Sequence[Shown]) -> int:
    """Index of the latest snapshot; -1 before there is one."""
    return max((count(run) for run in runs), default=0) - 1


def count(run: Shown) -> int:
    """Snapshots so far."""
    return len(run.training.history.snapshots) if run.record else 0


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
        "flow_table": table(
            rows([ds for _, ds in chosen.values()]), f"Left of the gradient at the last step, iteration {when}"
        ),
        "flow_verdict": [
            html.P([*typeset(f"{text} {meaning(run, ds, layer)} ".replace("  ", " ")), *links(run)])
            for text, (run, (_, ds)) in zip(said, chosen.items(), strict=True)
        ],
        "when": f"at iteration {when:,}" + (", the latest" if index >= last_snapshot(runs) else ""),
    }


def rows(seen: Sequence[xr.Dataset]) -> list[dict[str, Any]]:
    """How much of the last step's gradient, taken as 1, is left 0, 1, 2, 5, 10 ... steps back, of each run."""
    unit = unit_of(seen[0])
    shares = {ds.attrs["label"]: [x for x in share_left(ds).values[::-1].tolist() if not math.isnan(x)] for ds in seen}
    back = [0, *(digit * 10**power for power in range(6) for digit in (1, 2, 5))]
    longest = max(len(share) for share in shares.values())
    return [
        {f"{unit}s {BACK[unit]}": k}
        | {name: number_text(share[k], 2) if k < len(share) else "" for name, share in shares.items()}
        for k in back
        if k < longest
    ]


def snapshot(run: Shown, index: int, layer: int) -> tuple[int, xr.Dataset] | None:
    """Iteration and Dataset of a run's snapshot of a number, or of its latest; None before there is one."""
    if not count(run):
        return None
    at = min(index, count(run) - 1)
    ds = snapshot_dataset(run.training, at, min(layer, len(run.training.tracks) - 1))
    return int(run.training.history.snapshots[at]["iteration"]), ds.assign_attrs(label=run.name)


def flow_words(run: Shown, iteration: int | None, ds: xr.Dataset) -> str:
    """The verdict, where the loss acts at the last step alone; with the iteration where it is not the others'."""
    at = f" at iteration {iteration:,}" if iteration is not None else ""
    said = "a loss at every step; the curve contains each step's own and says nothing about distance."
    return f"{run.name}{at}: {verdict(ds).headline.removeprefix('The ') if _has_verdict(ds) else said}"


def _has_verdict(ds: xr.Dataset) -> bool:
    """Whether its curve says how far the gradient goes: the loss reaches its steps by the last one alone."""
    return bool(ds.attrs.get("apart", 1))


def meaning(run: Shown, ds: xr.Dataset, layer: int = 0) -> str:
    """What the gradient says about a net that has learnt nothing, diverged or broke; nothing about others."""
    if run.outcome in ("diverged", "broke"):
        return AFTERWARDS
    if run.outcome != "nothing" or not _has_verdict(ds):
        return ""
    found, start = verdict(ds), snapshot(run, 0, layer)
    was = verdict(start[1]).word if start else found.word
    if (was, found.word) in THROWN:
        return f"{THROWN[was, found.word]} Lower the learning rate ({run.config.learning_rate:g}) first, or clip."
    if found.word == "carried" and run.state.alive:
        return ""
    explore = f"Explore {'tries remedies on this cell' if is_single(run.config) else 'shows such a net'}"
    reach = f"{counted(found.reach, found.unit)} {BACK[found.unit]}"
    return MEANINGS.get(found.word, "").format(reach=reach, explore=explore)


def links(run: Shown) -> list[Component]:
    """Explore and Compare with the network of a run."""
    query, text = to_query(as_run(run)), aria(label=f"Compare: {run.name}")
    explore = explore_link(href=f"/?{query}", title=EXPLORE, **aria(label=f"Open in Explore: {run.name}"))
    return [explore, html.Span(" "), compare_link(href=f"/compare?{query}", **text)]


def as_run(run: Shown) -> RunConfig:
    """A run of the network and the weights' distribution of a training run."""
    own = {name: value for name, value in run.config if name in NETWORK}
    return run.training.untrained if run.record else RunConfig(**own)


OUTPUTS = {
    **outputs(ids.TRAIN, children="flow_table flow_verdict when", figure="flow"),
    "flow_style": Output(ids.TRAIN.flow, "style"),
    "flow_label": Output(ids.part(ids.TRAIN.flow, "frame"), "aria-label"),
    "most": Output(ids.TRAIN.back, "max"),
    "back": Output(ids.TRAIN.back, "value"),
    "fixed": Output(ids.TRAIN.back, "disabled"),
}
