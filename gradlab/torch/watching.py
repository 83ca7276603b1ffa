"""Watching a model from inside its training loop."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from ..arrays import require_whole
from .capture import Call
from .loops import CellCalls
from .models import captures, replay
from .rows import LayerRow, Row, layer_rows


class Watch:
    """What `watch` gives: `step` once an iteration, between backward() and optimizer.step()."""

    def __init__(self, model: nn.Module, every: int, samples: int) -> None:
        require_whole(1, every=every, samples=samples)
        self.every, self.samples, self.iteration = every, samples, 0
        self.calls: list[Call | CellCalls] = []
        self._captures = captures(model, self.calls)

    def step(self, loss: Tensor | float) -> Row | None:
        """The row of this iteration, None on those in between. loss: as it is before any scaling.

        Raises InputError for what cannot be computed again exactly, such as dropout by cuDNN.
        """
        value, calls = float(torch.as_tensor(loss).detach()), [call for call in self.calls if call.gradients]
        row = self._row(value, calls) if self.iteration % self.every == 0 else None
        self.calls.clear()
        self.iteration += 1
        for capture in self._captures:
            capture.copy = self.iteration % self.every == 0
        return row

    def _row(self, loss: float, calls: list[Call | CellCalls]) -> Row:
        layers: dict[str, LayerRow] = {}
        counts: Counter[str] = Counter()
        for call in calls:
            first = range(min(self.samples, call.batch))
            layers |= layer_rows(replay(call, first), counts[call.name], 1.0)
            counts[call.name] += 1
        return Row(self.iteration, loss, layers)

    def close(self) -> None:
        """Take the hooks off the model."""
        for capture in self._captures:
            capture.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def watch(model: nn.Module, every: int = 50, samples: int = 8) -> Watch:
    """Watch the nn.RNN, nn.LSTM and nn.GRU modules of a model while it learns; nothing of it changes.

    every: iterations between two looks, the first of which is at iteration 0. samples: how many of each batch are
    looked at, the first ones. Raises InputError for a model without such a module.
    """
    return Watch(model, every, samples)
