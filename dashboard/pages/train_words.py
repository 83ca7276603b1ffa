"""The runs on Train: how each stands, and what it has come to, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr
from dash.development.base_component import Component

from gradlab.config.train import TrainConfig
from gradlab.plots import late_loss
from gradlab.verdicts import value_text

from .. import components
from ..training_jobs import TRAINING, Record, RunState
from .explore_view import duration
from .train_examples import labels, title

LEARNT = 0.8  # of the loss without memory


@dataclass(frozen=True)
class Word:
    """An outcome in words, of one net and of two, while it goes on and afterwards; the look and sign of its verdict."""

    look: tuple[str, str]
    going: str
    ended: str
    both_going: str
    both_ended: str

    def one(self, alive: bool) -> str:
        """Of one net, without its subject."""
        return self.going if alive else self.ended

    def both(self, alive: bool) -> str:
        """Of two."""
        return self.both_going if alive else self.both_ended


WORDS = {  # best first
    "solved": Word(
        ("carried", "✓"),
        "has solved the task",
        "has solved the task",
        "Both nets have solved the task",
        "Both nets have solved the task",
    ),
    "learnt": Word(("carried", "✓"), "is learning", "has learnt", "Both nets are learning", "Both nets have learnt"),
    "nothing": Word(
        ("vanishing", "○"),
        "has learnt nothing yet",
        "has learnt nothing",
        "Neither net has learnt anything yet",
        "Neither net has learnt anything",
    ),
    "broke": Word(
        ("exploding", "✗"),
        "breaks: its numbers are not finite",
        "broke: its numbers were not finite",
        "Both nets break: their numbers are not finite",
        "Both nets broke: their numbers were not finite",
    ),
}
STATES = {
    "starting": "starting",
    "running": "running",
    "pausing": "pausing",
    "stopping": "stopping",
    "paused": "paused",
    "stopped": "stopped",
    "done": "done",
    "halted": "ended, as a number was not finite",
    "interrupted": "interrupted",
    "failed": "failed",
    "missing": "gone",
}


@dataclass(frozen=True, eq=False)
class Shown:
    """One run on the page: its name among those shown, and what it has recorded, None before anything is."""

    run_id: str
    config: TrainConfig
    state: RunState
    name: str
    record: Record | None = None

    @property
    def ds(self) -> xr.Dataset:
        """What it has recorded, under its name."""
        assert self.record is not None
        return self.record.ds.assign_attrs(label=self.name)

    @property
    def stamp(self) -> list[Any]:
        """What changes when there is something new to show."""
        return [self.run_id, self.state.status, self.record.written if self.record else 0]


def look_up(run_ids: Sequence[str]) -> list[Shown]:
    """The runs on the page. Raises InputError where a checkpoint cannot be read."""
    configs = {run_id: config for run_id in run_ids if (config := TRAINING.config(run_id))}
    names = labels(list(configs.values())) if configs else []
    shown = []
    for (run_id, config), name in zip(configs.items(), names, strict=True):
        state = TRAINING.state(run_id)  # before the reading: what a run shows when it has ended is all of it
        shown.append(Shown(run_id, config, state, name, TRAINING.read(run_id)))
    return shown


# words


def outcome(run: Shown) -> str:
    """What the net has done: "solved", "learnt", "nothing" or "broke"."""
    ds = run.ds
    scores, late = ds.held_out_score.values, late_loss(ds)
    if scores.size and scores[-1] < ds.attrs.get("solved_below", -math.inf):
        return "solved"
    if not math.isfinite(late) or int(ds.skipped.sum()) > ds.sizes["iteration"] / 2:
        return "broke"
    return "learnt" if late < LEARNT * ds.attrs["baseline"] else "nothing"


def headline(runs: Sequence[Shown]) -> list[Component] | str:
    """What has come of the runs, in the look of a verdict once there is one."""
    look, text = sentence(runs)
    return components.statement(*look, text) if look else text


def sentence(runs: Sequence[Shown]) -> tuple[tuple[str, str] | None, str]:
    """What has come of the runs: the look of the verdict, None before anything is recorded, and the words."""
    seen = [run for run in runs if run.record]
    alive = any(run.state.alive for run in runs)
    if not seen:
        return None, "Starting …" if alive else "Nothing was recorded"
    found = sorted(((outcome(run), run.name) for run in seen), key=lambda entry: list(WORDS).index(entry[0]))
    best = found[0][0]
    if len(runs) == 1:
        ds = seen[0].ds
        numbers = f": loss {value_text(late_loss(ds), 2)}, without memory {value_text(ds.attrs['baseline'], 2)}"
        clause = WORDS[best].one(alive) + (numbers if best != "broke" else "")
        return WORDS[best].look, f"The net {clause}."
    if len({word for word, _ in found}) == 1:
        return WORDS[best].look, f"{WORDS[best].both(alive)}."
    clauses = "; ".join(f"the {name} {WORDS[word].one(alive)}" for word, name in found)
    return WORDS[best].look, f"T{clauses[1:]}."


def summary(runs: Sequence[Shown]) -> str:
    """Which task, and where each run is."""
    start = title(runs[0].config).rpartition(",")[0]
    if len(runs) == 1:
        return f"{start}. {progress_text(runs[0])}."
    return f"{start}. " + " ".join(f"{run.name}: {progress_text(run)}." for run in runs)


def progress_text(run: Shown) -> str:
    """Iterations, status, and what is left."""
    at, wanted, pace = run.record.run.iteration if run.record else 0, run.config.iterations, TRAINING.pace(run.run_id)
    if run.state.status == "done":
        return f"{at:,} iterations done"
    if run.state.status == "running" and pace and at < wanted:
        return f"{at:,} of {wanted:,} iterations, about {duration((wanted - at) / pace)} left"
    return f"{at:,} of {wanted:,} iterations, {STATES[run.state.status]}"


def share(runs: Sequence[Shown]) -> float:
    """How much of all is done."""
    done = sum(run.record.run.iteration if run.record else 0 for run in runs)
    return done / sum(run.config.iterations for run in runs)


def troubles(runs: Sequence[Shown]) -> list[str]:
    """What went wrong with each run."""
    found = []
    for run in runs:
        if run.state.error:
            at = f" It was last saved at iteration {run.record.run.iteration:,}." if run.record else ""
            more = f"{at} Resume goes on from there." if run.state.resumable and run.record else at
            found.append(f"{run.name}: {run.state.error}{more}")
    return found
