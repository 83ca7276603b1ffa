"""What a chapter is: a question, a text, a figure that gradlab computes, a guess, and what is seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import plotly.graph_objects as go

from gradlab.config import Config
from gradlab.errors import InputError, echo
from gradlab.plots.colours import LN10
from gradlab.plots.learn import Scene
from gradlab.wording import digits_text, number_text, power_text

Values = Mapping[str, Any]
F = TypeVar("F")
CLOSE = 2.0  # a guess within this factor is a good one, or within so many of its steps


@dataclass(frozen=True)
class Slider:
    """A number to choose. plays: a button lets it run from one end to the other."""

    name: str
    label: str
    min: float
    max: float
    step: float
    value: float
    plays: bool = False

    def read(self, value: Any) -> float:
        """The value as a number in range. Raises InputError for anything else."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.min <= value <= self.max:
            text = f"{self.name}: expected a number from {self.min:g} to {self.max:g}, got {echo(value)}"
            raise InputError(text, self.name)
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few words to choose; options: value -> what it is called."""

    name: str
    label: str
    options: Mapping[str, str]
    value: str

    def read(self, value: Any) -> str:
        """The value as one of the options. Raises InputError for anything else."""
        if not isinstance(value, str) or value not in self.options:
            raise InputError(f"{self.name}: expected one of {', '.join(self.options)}, got {echo(value)}", self.name)
        return str(value)


def share_text(log_value: float) -> str:
    """A share with two digits or more, to be compared with another: 1.2 %, 0.64, 320, 4.8×10^-16."""
    return power_text(log_value) if -4 <= log_value / LN10 < 2 else number_text(log_value, 2)


@dataclass(frozen=True)
class Guess:
    """What the reader says before the figure does: a value on the first area's vertical axis, at `at` on the other.

    powers: whether the axis counts powers of ten. low, high, step: as the axis counts. unit: what stands behind a
    plain number. share: whether small ones read as percent.
    """

    question: str
    at: float
    low: float
    high: float
    step: float
    start: float
    powers: bool = True
    unit: str = ""
    share: bool = True

    def read(self, value: float) -> float:
        """The guess, inside the axis."""
        return min(max(value, self.low), self.high)

    def text(self, value: float) -> str:
        """The value as a person writes it: 10^-6, 1 %, 0.3."""
        if not self.powers:
            return f"{digits_text(value, 2)}{self.unit}"
        return share_text(value * LN10) if self.share else number_text(value * LN10, 2)

    @property
    def texts(self) -> list[str]:
        """What each position of the marker means."""
        count = round((self.high - self.low) / self.step)
        return [self.text(self.low + n * self.step) for n in range(count + 1)]

    def judged(self, guess: float, truth: float) -> str:
        """The guess beside the truth, in a sentence."""
        both = f"You said {self.text(guess)}; it is {self.text(truth)}"
        if not self.powers:
            close = abs(guess - truth) <= CLOSE * self.step
            return f"{both}: {'well guessed' if close else 'not what it looks like'}."
        if math.isinf(truth):
            return f"{both}: nothing is left at all."
        if abs(guess - truth) * LN10 <= math.log(CLOSE):
            return f"{both}: well guessed."
        far = number_text(abs(guess - truth) * LN10, 2)
        return f"{both}: your guess is about {far} times too {'large' if guess > truth else 'small'}."


@dataclass(frozen=True)
class Chapter(Generic[F]):
    """One question. measure: values of the controls -> what gradlab computes; the others make something of that.

    text: Markdown with TeX, at most 120 words. draw: the figure. truth: what the guess is about. say: one sentence on
    what is seen. config: what Explore, or another page at `path`, opens with. rows: the figure as a table.
    """

    slug: str
    title: str
    text: str
    controls: tuple[Slider | Choice, ...]
    guess: Guess
    measure: Callable[[Values], F]
    draw: Callable[[F, Scene], go.Figure]
    truth: Callable[[F], float]
    say: Callable[[F], str]
    config: Callable[[Values], Config]
    rows: Callable[[F], Sequence[Mapping[str, Any]]]
    path: str = "/"

    @property
    def start(self) -> dict[str, Any]:
        """The controls' values at first, which the guess is about."""
        return {control.name: control.value for control in self.controls}

    def read(self, values: Values) -> dict[str, Any]:
        """The controls' values, those that are missing at their start. Raises InputError for wrong ones."""
        return {control.name: control.read(values.get(control.name, control.value)) for control in self.controls}
