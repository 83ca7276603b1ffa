"""How numbers read: powers of ten, factors per step, digits as a person writes them."""

from __future__ import annotations

import math
import re

import numpy as np


def power_text(log_value: float) -> str:
    """exp(log_value) as a person writes it: 1 %, 0.64, 14, 10^-19."""
    if np.isneginf(log_value):
        return "0"
    tens = log_value / math.log(10)
    if -4 <= tens < -0.99:
        return f"{100 * 10**tens:.2g} %"
    return f"{10**tens:.2g}" if -1 <= tens < 2 else f"10^{tens:.0f}"


def number_text(log_value: float, digits: int = 3) -> str:
    """exp(log_value) with so many digits, or as 4.6×10^12 where that is too long."""
    if np.isneginf(log_value):
        return "0"
    tens = log_value / math.log(10)
    if -3 <= tens < 4:
        return digits_text(10**tens, digits)
    power = math.floor(tens + 0.005)  # 9.9 and more is the next power
    mantissa = f"{10 ** (tens - power):.2g}"
    return f"10^{power}" if mantissa in ("1", "0.99") else f"{mantissa}×10^{power}"


def digits_text(value: float, digits: int = 3) -> str:
    """So many digits, without an exponent up to 100000."""
    return f"{value:.0f}" if 10 ** (digits - 1) <= abs(value) < 1e5 else f"{value:.{digits}g}"


def exact_text(value: float) -> str:
    """The digits that mean exactly this number, and no more: 0.012345678901234567, 3, 1e+20."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def layer_title(path: str) -> str:
    """Where a layer is, in words: "layer2/backward" is "layer 2, backward"."""
    return ", ".join(re.sub(r"(?<=[a-z])(?=\d)", " ", part) for part in path.split("/"))


def value_text(value: float, digits: int = 3) -> str:
    """A number as a person writes it: 0.0123, 930, 4.6×10^12."""
    if not math.isfinite(value):
        return "not finite"
    size = number_text(math.log(abs(value)) if value else -math.inf, digits)
    return f"-{size}" if value < 0 else size


def factor_text(log_rate: float | None, apart: bool = False) -> str:
    """A factor per step: x0.64; x0 where everything is lost, of which the logarithm is -inf or, in a verdict, None.

    apart: whether one that is not 1 may not read as x1.00.
    """
    if log_rate is None or np.isneginf(log_rate):
        return "x0"
    rate = math.exp(min(log_rate, 700))
    if 9.995 <= rate < 1000:
        return f"x{rate:.0f}"
    if apart and abs(rate - 1) < 0.005:
        return f"x{beside_one(rate)[0]}"
    return f"x{rate:.2f}" if 0.095 <= rate < 9.995 else f"x{rate:.2g}"


def plain(x: float) -> str:
    """A number within a sentence: two decimals, or two digits where those would say too little or too much."""
    if x == math.inf:
        return "over 10^308"
    if x == 0 or 0.1 <= abs(x) < 1000:
        return f"{x + 0.0:.2f}"
    return f"{x:.2g}"


def beside_one(*parts: float) -> list[str]:
    """Numbers, then their sum, with the decimals that show on which side of 1 it is: at least two, at most nine."""
    total = sum(parts)
    shown = [*parts, total] if len(parts) > 1 else [*parts]
    if not 0.1 <= total < 1000 or max(map(abs, parts)) >= 1000:
        return [plain(x) for x in shown]
    off = abs(total - 1) / len(parts)
    decimals = min(max(2, math.ceil(-math.log10(off))), 9) if off else 2
    return [f"{round(x, decimals) + 0.0:.{decimals}f}" for x in shown]


def length_text(steps: float, unit: str) -> str:
    """A measured length in steps, or another unit, as roughly as a person says it: 0.35 steps, 1 step, 12 steps."""
    text = f"{steps:.2g}" if steps < 10 else f"{steps:.0f}"
    return f"{text} {unit}" if text == "1" else f"{text} {unit}s"


def counted(count: int, noun: str) -> str:
    """A count before a noun: 1 step, 2,000 steps."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def times(text: str) -> str:
    """Text with real multiplication signs: x0.64 as ×0.64. A name in quotes, such as 'x0', stays as it is."""
    return re.sub(r"(?<![\w.'])x(?=\s?\d)", "×", text)


def duration(seconds: float) -> str:
    """A predicted time, as roughly as it is known."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
