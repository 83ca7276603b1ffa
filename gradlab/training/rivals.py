"""What a net is compared with on held-out data: predictions that need no net, and the net itself with its state cut."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..wording import value_text

if TYPE_CHECKING:
    from ..tasks import Task
    from .history import History
    from .network import TaskFacts

CUT = "cut"
CUT_TEXT = "state cut: the net itself, begun anew at every step"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rival:
    """One of them at one evaluation. text: its name, and what it is behind a colon.

    loss: on the held-out data, in units of the task's loss. gain: how much lower the net's is. error: the standard
    error of the gain over so many blocks of held-out data; margin: half the 95 % interval, by Student's t.
    """

    name: str
    text: str
    loss: float
    gain: float
    error: float
    blocks: int

    @property
    def margin(self) -> float:
        """Infinite where less than two blocks say anything."""
        from scipy.special import stdtrit

        if self.blocks < 2:
            return math.inf
        return float(stdtrit(self.blocks - 1, (1 + CONFIDENCE) / 2)) * self.error

    @property
    def beaten(self) -> bool:
        """Whether the net is better by more than the margin."""
        return self.gain > self.margin

    @property
    def told(self) -> str:
        """Loss, and in brackets how far it lies above the net's, and the margin."""
        sign = "+" if self.gain >= 0 else ""
        return f"{value_text(self.loss)} ({sign}{value_text(self.gain, 2)} ± {value_text(self.margin, 2)})"

    @property
    def short(self) -> str:
        """The name in words."""
        return self.text.partition(":")[0]


def rival_texts(task: Task | TaskFacts) -> dict[str, str]:
    """Name -> what it is, in the order that they are recorded in."""
    return {"baseline": task.baseline_text, **task.other_nulls, CUT: CUT_TEXT}


def latest(task: Task | TaskFacts, history: History) -> list[Rival]:
    """Those of the latest evaluation; none before the first, and no cut net where it was not tried."""
    if not history.rivals:
        return []
    rows = zip(rival_texts(task).items(), history.rivals[-1].tolist(), strict=True)
    found = [Rival(name, text, loss, gain, error, int(n)) for (name, text), (loss, gain, error, n) in rows if n]
    return found


def nulls(task: Task | TaskFacts, history: History) -> list[Rival]:
    """Those that need no net."""
    return [rival for rival in latest(task, history) if rival.name != CUT]


def cut(task: Task | TaskFacts, history: History) -> Rival | None:
    """The net with its state cut, where it was tried. It is beaten where the task needs memory."""
    return next((rival for rival in latest(task, history) if rival.name == CUT), None)


def strongest(rivals: list[Rival]) -> Rival:
    """The one that is hardest to beat: not beaten if any is not, and of the lowest loss."""
    return min(rivals, key=lambda rival: (rival.beaten, rival.loss))


def memory_text(rival: Rival) -> str:
    """Whether a net needs its memory, by the same net with its state cut; empty where that cannot be told."""
    if not math.isfinite(rival.margin):
        return ""
    needs = "needs its memory" if rival.beaten else "shows no need of its memory"
    return f"It {needs}: with its state cut before every step the loss is {rival.told}."


def compared(
    own: np.ndarray, others: Mapping[str, np.ndarray | None], inside: np.ndarray | None, blocks: np.ndarray
) -> np.ndarray:
    """Loss, gain, standard error and number of blocks (K, 4) of what is compared with a net, 0 where there is none.

    own, others: the losses (T, B) or (B,) of each answer; inside: which count; blocks: from 0 on, where each belongs.
    The error is that of a ratio of sums over the blocks, which may differ in size.
    """
    counts = np.ones(own.shape) if inside is None else inside.astype(float)
    rows = [(0.0,) * 4 if other is None else _compared(own, other, counts, blocks) for other in others.values()]
    return np.array(rows)


def _compared(
    own: np.ndarray, other: np.ndarray, counts: np.ndarray, blocks: np.ndarray
) -> tuple[float, float, float, float]:
    sizes, better = (
        np.bincount(blocks.ravel(), weights.ravel()) for weights in (counts, np.where(counts > 0, other - own, 0.0))
    )
    better, sizes = better[sizes > 0], sizes[sizes > 0]
    total, number = sizes.sum(), len(sizes)
    gain = better.sum() / total
    spread = ((better - gain * sizes) ** 2).sum() * number / max(number - 1, 1)
    loss = np.where(counts > 0, other, 0.0).sum() / total
    return float(loss), float(gain), float(np.sqrt(spread) / total), float(number)
