"""Numbers that the sentences of a verdict and a diagnosis speak of, taken from the Dataset anew, and how they read."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from gradlab.quantities.course import Course, course

HUNDRED = math.log(100)


@dataclass
class Flow:
    """The curve of the largest group of samples that are alike, lag 0 first, and what follows from it."""

    ds: xr.Dataset

    @cached_property
    def curves(self) -> list[np.ndarray]:
        """ln of what is left of each sample's gradient at its last step."""
        logs = self.ds.log_grad_norm.transpose("sample", "time", "state").values
        with np.errstate(invalid="ignore"):
            joint = 0.5 * np.logaddexp.reduce(2 * logs, axis=-1)
        ends = [sample[n] for n, sample in zip(self.lengths, joint, strict=True)]
        own = [sample[1 : n + 1][::-1] for n, sample in zip(self.lengths, joint, strict=True)]
        return [curve - (end if np.isfinite(end) else 0.0) for curve, end in zip(own, ends, strict=True)]

    @property
    def lengths(self) -> list[int]:
        """Steps of each sample."""
        return [int(n) for n in self.ds.valid_steps.values]

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """Word -> samples, each judged alone; the largest first, what is too short last."""
        words = [word_of(curve) for curve in self.curves]
        found = {word: [i for i, w in enumerate(words) if w == word] for word in WORDS if word in words}
        return dict(sorted(found.items(), key=lambda item: (item[0] == "too short", -len(item[1]))))

    @property
    def word(self) -> str:
        """That of the largest group."""
        return next(iter(self.groups))

    @property
    def samples(self) -> list[int]:
        """The largest group."""
        return self.groups[self.word]

    @cached_property
    def curve(self) -> np.ndarray:
        """The median over the group; where that is unlike all of them, the sample in their middle."""
        own = [self.curves[i] for i in self.samples]
        steps = int(np.median([len(curve) for curve in own]))
        middle = np.array([middle_of([curve[lag] for curve in own if len(curve) > lag]) for lag in range(steps)])
        if word_of(middle) == self.word:
            return middle
        return sorted(own, key=lambda curve: curve[-1] / len(curve))[(len(own) - 1) // 2]

    @property
    def course(self) -> Course | None:
        """The curve as straight pieces; None where it ends in nothing, or has no step."""
        return course_of(self.curve)

    @property
    def log_rate(self) -> float:
        """ln of the factor per step on the whole."""
        return self.course.log_rate if self.course else -math.inf

    @property
    def rates(self) -> list[float]:
        """The same of each piece."""
        return [piece.log_rate for piece in self.course.pieces] if self.course else [-math.inf]

    @property
    def stderr(self) -> float:
        """Standard error of the median of the group's rates, each fitted alone."""
        rates = [way.log_rate for i in self.samples if (way := course_of(self.curves[i]))]
        return math.sqrt(0.5 * math.pi / len(rates)) * float(np.std(rates, ddof=1))

    @property
    def own(self) -> xr.Dataset:
        """The Dataset of the group alone."""
        return self.ds.isel(sample=self.samples)


WORDS = ("vanishing", "exploding", "carried", "too short")


def middle_of(logs: list[float]) -> float:
    """Median of logarithms; between ln 0 and another number, half of that."""
    low, high = sorted(logs)[(len(logs) - 1) // 2], sorted(logs)[len(logs) // 2]
    return high - math.log(2) if low == -math.inf < high else 0.5 * (low + high)


def course_of(curve: np.ndarray) -> Course | None:
    """The course of a curve that has one."""
    return course(curve) if len(curve) > 1 else None


def word_of(curve: np.ndarray) -> str:
    """The word for one curve."""
    if len(curve) < 10:
        return "too short"
    way = course_of(curve)
    levels = way.levels if way else [0.0, -math.inf]
    if max(max(levels), -min(levels)) <= HUNDRED:
        return "carried"
    return "exploding" if max(levels) > -min(levels) else "vanishing"


def near(text: str, value: float, of: float = 0.0) -> bool:
    """Whether a text is this number, rounded to the digits that are there; of: a size that errors are relative to."""
    if text.startswith("over "):
        return value == math.inf
    if not math.isfinite(value):
        return False
    digits = text.replace(",", "")
    if "^" in digits or "%" in digits:
        return value > 0 and near_log(text, math.log(value))
    return abs(float(digits) - value) <= 1.001 * half(digits) + 1e-5 * max(abs(value), of)


def half(text: str) -> float:
    """Half of the last digit that is there."""
    mantissa, _, power = text.partition("e")
    return 0.5 * 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))


def near_log(text: str, log: float) -> bool:
    """The same of a positive number of any size, by its ln."""
    if text == "0":
        return log == -math.inf or log < -700
    if log == -math.inf:
        return False
    tens = log / math.log(10)
    if text.startswith("10^"):
        return abs(int(text[3:]) - tens) <= 0.5001
    if "×10^" in text:
        mantissa, power = text.split("×10^")
        return near(mantissa, 10 ** (tens - int(power)))
    if text.endswith(" %"):
        return near(text[:-2], 100 * 10**tens)
    return near(text, 10 ** min(tens, 300))
