"""A change of a run: as it is made, as it is proposed, and as a remedy, tried or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..arrays import Array
from ..cells import Cell
from ..config import RunConfig
from ..errors import InputError
from ..runs.verdicts import FACTOR, Verdict
from ..wording import counted, factor_text
from .edges import parameter_factor

FRESH = 8  # draws of weights and input that a remedy for drawn weights is verified on
HOLDS = 6  # of these in which the gradient is carried, for one that holds
Retry = Callable[[float, float], "Proposal | None"]


@dataclass(frozen=True)
class Change:
    """One change of a run: fields of its RunConfig, a transformation of weights that are given, or both.

    transform: ("scale_recurrent", factor) multiplies W_hh, or the p that stands in its place, ("scale_input", factor)
    W_xh, ("scale_bias", factor) b_h, and the delta of ("shift_forget_bias", delta) is added to the forget gate's bias.
    Where a cell makes its weights from these parameters, they become `factor` times as large, if a multiple does that.
    Given weights are never drawn anew.
    """

    label: str
    fields: dict[str, Any] = field(default_factory=dict)
    transform: tuple[str, float] | None = None

    def changes(self, config: RunConfig | None) -> bool:
        """Whether a run of this configuration, None where it has none, flows otherwise after it, clipping apart."""
        if self.transform is not None:
            kind, amount = self.transform
            return amount != (0.0 if kind == "shift_forget_bias" else 1.0)
        new = {name: value for name, value in self.fields.items() if (name, value) != ("clip", "off")}
        return config is None or any(getattr(config, name) != value for name, value in new.items())

    def apply(self, config: RunConfig) -> RunConfig:
        """The RunConfig with the change's fields; a transformation needs `apply_weights` as well."""
        return config.replace(**self.fields)

    def apply_weights(self, cell: Cell, params: Mapping[str, Array]) -> dict[str, Array]:
        """New parameters after the transformation; InputError for a forget bias of a cell without a forget gate."""
        changed = dict(params)
        if self.transform is None:
            return changed
        kind, amount = self.transform
        if kind != "shift_forget_bias":
            name = {"scale_recurrent": _recurrent(cell), "scale_input": "W_xh", "scale_bias": "b_h"}[kind]
            return changed | {name: params[name] * parameter_factor(cell, params, name, amount)}
        if cell.forget_gate is None:
            raise InputError(
                f"shift_forget_bias: {cell.title} has no forget gate; scale the recurrent weights instead", "cell"
            )
        bias = params["b_h"] * 1
        bias[cell.gates.index(cell.forget_gate)] += amount
        return changed | {"b_h": bias}


def _recurrent(cell: Cell) -> str:
    """The parameter that holds the recurrent weights, a matrix or one number per unit; InputError where none does."""
    if cell.recurrent_gates:
        return "W_hh"
    if scales_multipliers(type(cell)):
        return "p"
    raise InputError(f"scale_recurrent: {cell.title} has no recurrent weights that a factor scales", "cell")


def scales_multipliers(cell: type[Cell]) -> bool:
    """Whether a gain scales what each unit multiplies its own state by, in place of a matrix."""
    return not cell.gates[cell.recurrent] and "gain" in cell.drawn_by()


@dataclass(frozen=True)
class Remedy:
    """A change that would help, why, the ln of the factor per step it is predicted to have, and what a run of it shows.

    verified: the verdict on the changed run, None where it was not run. corrections: how often the prediction was
    corrected by what runs missed it by. draws: how many fresh draws of weights and input it was run in, 0 where the
    weights are given; held: in how many of them the gradient was carried.
    """

    change: Change
    why: str
    predicted_log_rate: float
    verified: Verdict | None = None
    corrections: int = 0
    held: int = 0
    draws: int = 0

    @property
    def holds(self) -> bool:
        """Whether the gradient is carried in the run of it, and in enough fresh draws where weights are drawn."""
        carried = self.verified is not None and most_carried(self.verified)
        return carried and (not self.draws or self.held >= HOLDS)

    def carries(self, steps: int, straight: bool = True) -> bool:
        """Whether the gradient is carried over `steps` steps: when run, else as predicted. Clipping carries nothing.

        straight: whether the diagnosed run has one rate throughout; else its rate on the whole predicts no course.
        """
        if is_clip(self):
            return False
        if self.verified is not None:
            return self.holds
        return straight and abs(self.predicted_log_rate) * max(steps - 1, 1) <= FACTOR

    @property
    def basis(self) -> str:
        """What the prediction rests on besides the diagnosed run, as words that follow on "predicted"."""
        return f" after {counted(self.corrections, 'correction')}" if self.corrections else ""

    @property
    def where(self) -> str:
        """What it was run with: these weights, or so many fresh draws; empty where it was not run."""
        if self.verified is None:
            return ""
        if not self.draws:
            return "with these weights"
        doubt = ": depends on the draw" if self.held < HOLDS else ", not in this one"
        return f"carried in {self.held} of {self.draws} fresh draws{'' if self.holds else doubt}"

    @property
    def reason(self) -> str:
        """Why it should help, and whether runs of it corrected what was predicted."""
        return f"{self.why} Predicted{self.basis}." if self.basis else self.why

    @property
    def text(self) -> str:
        """Change, predicted and measured rate in one line."""
        if is_clip(self):
            return f"{self.change.label}: a safety measure for training"
        predicted = f"{self.change.label}: {factor_text(self.predicted_log_rate)} per step back"
        if self.verified is None:
            return f"{predicted} (predicted from this run, not verified)"
        measured = f"{predicted} predicted{self.basis}, {self.verified.rate_text} when run"
        if not self.draws:
            return f"{measured} {self.where}: {self.verified.word}"
        return f"{measured}: {self.where}"


@dataclass(frozen=True)
class Proposal:
    """A change to be tried, why, and the ln of the factor per step it is predicted to have.

    retry: takes by how much runs missed the prediction, and by how much a rounder number may move the rate, and returns
    the proposal with a number for these; None where it has no number, or none is found. blind: whether nothing that was
    measured speaks for it, so that only a run can tell.
    """

    change: Change
    why: str
    predicted_log_rate: float
    retry: Retry | None = None
    blind: bool = False

    def remedy(self, verified: Verdict | None = None, corrections: int = 0) -> Remedy:
        """What it comes to, run or not."""
        return Remedy(self.change, self.why, self.predicted_log_rate, verified, corrections)


def is_clip(remedy: Remedy | Proposal) -> bool:
    """Whether a remedy clips the update, which leaves the flow as it is."""
    return remedy.change.fields.get("clip", "off") != "off"


def most_carried(found: Verdict) -> bool:
    """Whether the gradient is carried in more than half of a verdict's samples, each judged alone."""
    return found.word == "carried" and 2 * found.samples.get("carried", 0) > sum(found.samples.values())
