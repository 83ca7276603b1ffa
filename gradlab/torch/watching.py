"""Watching a model from inside its training loop."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from ..arrays import require_whole
from ..diagnosis import Diagnosis, diagnose
from ..errors import InputError
from ..importers.pytorch import REVERSE
from ..registry import unknown
from ..training import ClipAdvice, advise
from ..wording import number_text
from .blame import Finding, find
from .capture import Call
from .loops import CellCalls
from .models import captures, replay
from .record import Record, Store
from .rows import LayerRow, Row, layer_rows

Calls = list[Call | CellCalls]
FORWARD_IS_FINITE = ("loss", "backward pass", "elsewhere")  # sources of what is not
ROUNDINGS, COARSEST = 1000, 0.05  # units in the last place that an output may be off by, and at most this share


class Watch:
    """What `watch` gives: `step` once an iteration, between backward() and optimizer.step().

    record: what was seen so far. last: the latest row with layers, None before the first.
    """

    def __init__(
        self, model: nn.Module, every: int, samples: int, path: Path | None, scaler: torch.amp.GradScaler | None
    ) -> None:
        require_whole(1, every=every, samples=samples)
        self.model, self.every, self.samples, self.scaler = model, every, samples, scaler
        self.record = Record()
        self.last: Row | None = None
        self._store = None if path is None else Store(path)
        self._calls: Calls = []
        self._captures = captures(model, self._calls)
        self._scales: dict[str, list[float]] = {capture.name: [] for capture in self._captures}

    @property
    def iteration(self) -> int:
        """How many there were; the first has the number 0."""
        return len(self.record.losses)

    def step(self, loss: Tensor | float) -> Row | None:
        """The row of this iteration; None on those in between, unless a number is not finite.

        loss: as it is before a GradScaler's factor. Raises InputError for what cannot be computed again exactly.
        """
        iteration, calls = self.iteration, [call for call in self._calls if call.gradients]
        self._require_calls(calls)
        scale = 1.0 if self.scaler is None else self.scaler.get_scale()
        self._count(float(torch.as_tensor(loss).detach()), scale)
        try:
            due = iteration % self.every == 0
            finding = self._finding(calls) if due or self._is_broken(-1) > self._is_broken(-2) else None
            return self._look(iteration, calls, finding, scale) if due or finding else None
        finally:
            self._calls.clear()
            for capture in self._captures:
                capture.copy = self.iteration % self.every == 0

    def _require_calls(self, calls: Calls) -> None:
        if self.iteration == 0 and not calls:
            names = ", ".join(self._scales)
            text = f"expected a backward pass through {names} before the first step, got none of what is watched"
            raise InputError(
                f"{text}; watch before anything is compiled, then model(x), backward(), step(loss)", "loss"
            )

    def _count(self, loss: float, scale: float) -> None:
        self.record.losses.append(loss)
        self.record.norms.append(_norm([p.grad for p in self.model.parameters() if p.grad is not None]) / scale)
        for capture in self._captures:
            self._scales[capture.name].append(_norm([p.detach() for p in capture.module.parameters()]))

    def _look(self, iteration: int, calls: Calls, finding: Finding | None, scale: float) -> Row:
        """The row, which is recorded, and written where that is due."""
        row = self._row(iteration, calls, finding, scale)
        if row.layers:
            self.last = row
            self.record.add(row)
        if self._store is not None and self._store.is_due:
            self._store.write(self.dataset())
        return row

    def _is_broken(self, iteration: int) -> bool:
        """Whether loss or gradient is not finite; a GradScaler overflows the latter on purpose, and skips that update.

        iteration: counted from the end, -1 the latest; before the first nothing is broken.
        """
        if -iteration > self.iteration:
            return False
        loss, norm = self.record.losses[iteration], self.record.norms[iteration]
        return not (math.isfinite(loss) and (math.isfinite(norm) or self.scaler is not None))

    def _finding(self, calls: Calls) -> Finding | None:
        """Where a number comes from that is not finite, if one is not."""
        if not self._is_broken(-1):
            return None
        loss = self.record.losses[-1]
        try:
            return find(loss, calls, self._scales, self.model)
        except InputError as error:
            return Finding("nan" if math.isnan(loss) else "overflow", "unknown", f"the loss is {loss}; {error}")

    def _row(self, iteration: int, calls: Calls, finding: Finding | None, scale: float) -> Row:
        layers: dict[str, LayerRow] = {}
        counts: Counter[str] = Counter()
        notes = [] if calls else ["the backward pass reached nothing that is watched"]
        if finding is None or finding.source in FORWARD_IS_FINITE:
            for call in calls:
                run = replay(call, range(min(self.samples, call.batch)))
                layers |= layer_rows(run, counts[call.name], scale)
                counts[call.name] += 1
                notes += _notes(call, run.output_error)
        return Row(iteration, self.record.losses[-1], layers, finding, tuple(notes))

    def layer(self, module: str | None = None, layer: int = 0, reverse: bool = False) -> LayerRow:
        """A layer of the latest row; without the name of a module, of the first. Raises InputError for no such one."""
        if self.last is None:
            raise InputError("expected a row to look at, got none yet: call watch.step in the loop first", "module")
        names = list(self.last)
        name = f"{names[0].rpartition('.l')[0] if module is None and names else module}.l{layer}"
        name += REVERSE if reverse else ""
        if name not in self.last:
            raise unknown("layer", name, names, "module")
        return self.last[name]

    def diagnose(self, module: str | None = None, layer: int = 0, reverse: bool = False) -> Diagnosis:
        """What a layer does, why, and which changes of its weights would carry its gradient, with these data.

        That is of the latest row, at these weights; `try_remedy` trains with one.
        """
        row = self.layer(module, layer, reverse)
        return diagnose(row.dataset, rerun=row.rerun)

    def advise(self) -> ClipAdvice:
        """Which clipping threshold the norms so far suggest, as `gradlab.training.advise` says."""
        return advise(self.record.norms)

    def dataset(self) -> xr.Dataset:
        """What was seen so far: loss and norm by `iteration`, each layer by `snapshot`; see `gradlab.plots`."""
        return self.record.dataset()

    def close(self) -> None:
        """Take the hooks off the model, and write the rest of the store."""
        for capture in self._captures:
            capture.close()
        if self._store is not None and self.record.looks:
            self._store.write(self.dataset())

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def _norm(tensors: list[Tensor]) -> float:
    """Of all together; in double precision where squares overflow in their own."""
    dense = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    found = float(get_total_norm(dense))
    return found if math.isfinite(found) else float(get_total_norm([t.double() for t in dense]))


def _notes(call: Call | CellCalls, error: float) -> list[str]:
    """What is to be known of a call: an output that is another than the module's own."""
    dtype = call.sequences[1].dtype
    if error <= min(ROUNDINGS * torch.finfo(dtype).eps, COARSEST):
        return []
    text = f"{call.name}: computed again, its output is off by {number_text(math.log(error), 2)} of its largest value"
    return [f"{text}, more than {dtype} rounds: the gradients are of the output computed again"]


def watch(
    model: nn.Module,
    every: int = 50,
    samples: int = 8,
    path: str | os.PathLike[str] | None = None,
    scaler: torch.amp.GradScaler | None = None,
) -> Watch:
    """Watch the recurrent modules and cells of a PyTorch model while it learns; nothing of it changes.

    every: iterations between two looks, the first of which is at iteration 0; the first loss or gradient that is not
    finite is looked at at once. samples: how many of each batch are looked at, the first ones. path: a new Zarr store
    that grows with what `Watch.dataset` holds; `close()`, or leaving a `with`, writes the rest. scaler: what multiplies
    the loss in mixed precision, divided out again. Raises InputError for a model without nn.RNN, nn.LSTM, nn.GRU or
    their cells, and for what is said in docs/torch.md.
    """
    return Watch(model, every, samples, None if path is None else Path(path), scaler)
