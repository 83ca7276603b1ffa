"""The runs on Train: how each stands, and what it has come to, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.training import TrainingRecord
from gradlab.training.jobs import TRAINING, Record, RunState
from gradlab.training.outcome import latest_loss
from gradlab.wording import counted, duration, value_text

from ...components import Component, statement
from .examples import labels, subject


@dataclass(frozen=True)
class Word:
    """An outcome in words, each while it goes on and afterwards; the look and sign of its verdict.

    one: of one net, without its subject. both: of two.
    """

    look: tuple[str, str]
    one: tuple[str, str]
    both: tuple[str, str]


WORDS = {  # best first
    "solved": Word(("carried", "✓"), ("has solved the task",) * 2, ("Both nets have solved the task",) * 2),
    "learnt": Word(
        ("carried", "✓"), ("is learning", "has learnt"), ("Both nets are learning", "Both nets have learnt")
    ),
    "matched": Word(
        ("vanishing", "○"),
        ("is no better than {against} yet", "is no better than {against}"),
        ("Neither net beats what needs no net yet", "Neither net beats what needs no net"),
    ),
    "untested": Word(
        ("neutral", "○"),
        ("is not tried on enough held-out data yet to tell", "was not tried on enough held-out data to tell"),
        ("Neither net is tried on held-out data yet", "Neither net was tried on enough held-out data to tell"),
    ),
    "memorised": Word(
        ("vanishing", "○"),
        (
            "memorises: it does well on its training data alone",
            "has memorised its training data, which does not help with new data",
        ),
        (
            "Both nets memorise: they do well on their training data alone",
            "Both nets have memorised their training data, which does not help with new data",
        ),
    ),
    "nothing": Word(
        ("vanishing", "○"),
        ("has learnt nothing yet", "has learnt nothing"),
        ("Neither net has learnt anything yet", "Neither net has learnt anything"),
    ),
    "diverged": Word(
        ("exploding", "✗"),
        ("diverges: lower the learning rate", "diverged: lower the learning rate"),
        ("Both nets diverge: lower the learning rate", "Both nets diverged: lower the learning rate"),
    ),
    "broke": Word(
        ("exploding", "✗"),
        ("breaks: its numbers are not finite", "broke: its numbers were not finite"),
        ("Both nets break: their numbers are not finite", "Both nets broke: their numbers were not finite"),
    ),
}
STATES = {"elsewhere": "trained by another app", "halted": "broken off", "missing": "gone"}  # the others are words


@dataclass(frozen=True, eq=False)
class Shown:
    """One run on the page: its name among those shown, and what it has recorded.

    record: None before anything is, and where what was recorded cannot be read, then `unreadable` says why.
    """

    run_id: str
    config: TrainConfig
    state: RunState
    name: str
    record: Record | None = None
    unreadable: str = ""

    @property
    def training(self) -> TrainingRecord:
        """As it was saved last, where it was."""
        assert self.record is not None
        return self.record.run

    @property
    def iteration(self) -> int:
        """How far it is."""
        return self.training.iteration if self.record else 0

    @property
    def ds(self) -> xr.Dataset:
        """What it has recorded, under its name."""
        assert self.record is not None
        return self.record.ds.assign_attrs(label=self.name)

    @property
    def outcome(self) -> str:
        """What the net has come to, one of `WORDS`."""
        return self.training.outcome

    def clause(self, ended: bool) -> str:
        """The outcome in words, without its subject."""
        return WORDS[self.outcome].one[ended].format(against=self.training.against)

    @property
    def stamp(self) -> list[Any]:
        """What changes when there is something new to show."""
        return [self.run_id, self.state.status, self.record.written if self.record else self.unreadable]


def look_up(run_ids: Sequence[str]) -> list[Shown]:
    """The runs on the page."""
    configs = {run_id: config for run_id in run_ids if (config := TRAINING.config(run_id))}
    names = labels(list(configs.values())) if configs else []
    shown = []
    for (run_id, config), name in zip(configs.items(), names, strict=True):
        state = TRAINING.state(run_id)  # before the reading: what a run shows when it has ended is all of it
        shown.append(Shown(run_id, config, state, name, *_recorded(run_id)))
    return shown


def _recorded(run_id: str) -> tuple[Record | None, str]:
    """What a run has recorded, and why it cannot be read."""
    try:
        return TRAINING.read(run_id), ""
    except InputError as error:
        return None, str(error)


# words


def headline(runs: Sequence[Shown]) -> list[Component] | str:
    """What has come of the runs, in the look of a verdict once there is one."""
    look, text = sentence(runs)
    return statement(*look, text) if look else text


def sentence(runs: Sequence[Shown]) -> tuple[tuple[str, str] | None, str]:
    """What has come of the runs: the look of the verdict, None before anything is recorded, and the words."""
    seen = [run for run in runs if run.record]
    if not seen:
        return None, _before_all(runs)
    ended = not any(run.state.alive or run.state.status == "paused" for run in runs)
    found = sorted(seen, key=lambda run: list(WORDS).index(run.outcome))
    best = found[0].outcome
    if len(runs) == 1:
        clause = found[0].clause(ended) + (f": {_losses(found[0])}" if best != "broke" else "")
        return WORDS[best].look, " ".join([f"The net {clause}.", *filter(None, [found[0].training.memory_text])])
    if sum(not run.unreadable for run in runs) > 1 and len({run.outcome for run in found}) == 1:
        return WORDS[best].look, f"{WORDS[best].both[ended]}."
    clauses = "; ".join(f"the {run.name} {run.clause(ended)}" for run in found)
    return WORDS[best].look, f"T{clauses[1:]}."


def _before_all(runs: Sequence[Shown]) -> str:
    """What there is to say where no run has anything to show."""
    if any(run.unreadable for run in runs):
        return "What was recorded cannot be read"
    return "Starting …" if any(run.state.alive for run in runs) else "Nothing was recorded"


def _losses(run: Shown) -> str:
    """The loss that counts, and the one that is hardest to beat, under its name."""
    task, history = run.training.task, run.training.history
    null = run.training.strongest
    if null is None:
        baseline = task.baseline_text.partition(":")[0]
        return f"loss {value_text(latest_loss(history), 2)}, {baseline} {value_text(task.baseline, 2)}"
    return f"held-out loss {value_text(latest_loss(history))}, {null.short} {null.told}"


def summary(runs: Sequence[Shown]) -> str:
    """Which task, and where each run is."""
    start = subject(runs[0].config)
    if len(runs) == 1:
        return f"{start}. {progress_text(runs[0])}."
    return f"{start}. " + " ".join(f"{run.name}: {progress_text(run)}." for run in runs)


def progress_text(run: Shown) -> str:
    """Iterations, status, and what is left."""
    at, wanted, pace = run.iteration, run.config.iterations, TRAINING.pace(run.run_id)
    if run.unreadable:
        return f"{status_text(run.state)}, cannot be read"
    if run.state.status == "done":
        return f"{counted(at, 'iteration')} done"
    if run.state.status == "running" and pace and at < wanted:
        return f"{at:,} of {counted(wanted, 'iteration')}, about {duration((wanted - at) / pace)} left"
    return f"{at:,} of {counted(wanted, 'iteration')}, {status_text(run.state)}"


def status_text(state: RunState) -> str:
    """How a run stands, in words."""
    return STATES.get(state.status, state.status)


def share(runs: Sequence[Shown]) -> float:
    """How much of all is done."""
    return sum(run.iteration for run in runs) / sum(run.config.iterations for run in runs)


def troubles(runs: Sequence[Shown]) -> list[str]:
    """What went wrong with each run, and what may help."""
    return [f"{run.name}: {text}" for run in runs for text in (_failure(run), run.unreadable, _breakage(run)) if text]


def _failure(run: Shown) -> str:
    """How its process failed."""
    if not run.state.error:
        return ""
    at = f" It was last saved at iteration {run.iteration:,}." if run.record else ""
    return run.state.error + at + (" Resume goes on from there." if run.state.resumable and run.record else "")


def _breakage(run: Shown) -> str:
    """How it went astray, where it diverged, broke or ended early, and what to do first."""
    if not run.record or (run.outcome not in ("diverged", "broke") and run.state.status != "halted"):
        return ""
    remedy = f"First lower the learning rate ({run.config.learning_rate:g}) or the gain ({run.config.gain:g})"
    lost = np.flatnonzero(run.ds.skipped.values)
    if run.outcome == "diverged" and not lost.size:
        return f"the updates were too large for this net. {remedy}; shorter ones by clipping come after that."
    if not lost.size:
        return f"the loss is not finite. {remedy}; clipping may help as well."
    count = f"{lost.size:,} of {counted(run.ds.sizes['iteration'], 'update')}"
    first = f"{count} could not be made, the first at iteration {lost[0] + 1:,}: numbers were not finite."
    return f"{first} {remedy}; clipping may help as well."
