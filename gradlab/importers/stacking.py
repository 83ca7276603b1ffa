"""Which layer of a file stands on which, where nothing but names and sizes tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_DIGITS = re.compile(r"(\d+)")


def natural(name: str) -> list[tuple[int, str]]:
    """What sorts names as a person does: numbers in them by their size."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]


def stacks(modules: Sequence[str], takes: Mapping[str, int], gives: Mapping[str, int]) -> Iterator[list[str]]:
    """Modules, in order, as they fit on each other by the features that each takes and gives.

    A stack begins with one that fits on no other, if there is such.
    """
    left = list(modules)
    while left:
        on_others = {m for m in left if any(takes[m] == gives[other] for other in left if other != m)}
        stack = [next((m for m in left if m not in on_others), left[0])]
        left.remove(stack[0])
        while following := [m for m in left if takes[m] == gives[stack[-1]]]:
            stack.append(following[0])
            left.remove(following[0])
        yield stack
