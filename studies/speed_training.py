"""One training step of the adding task, ours and PyTorch's, for `studies.speed`.

Both sides draw the same batches, clip nothing, and step with Adam; ours keeps a row of the loss, the gradient's norm
and the size of the update besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from gradlab.tasks import make_task
from gradlab.training import TrainConfig, TrainingRun

Size = tuple[int, int, int]  # B, H, T
NEVER = 10**9


def plain(cell_name: str, size: Size, dtype: str) -> Callable[[], Any]:
    """One iteration, recordings off."""
    run = _run(cell_name, size, dtype, snapshot_every=NEVER)
    run.advance()  # the first one takes a snapshot
    return run.advance


def closed_forms(cell_name: str, size: Size, dtype: str) -> Callable[[], Any]:
    """One iteration with all closed-form recordings: a snapshot without the eigenvalues of the recurrent weights."""
    advance = snapshot(cell_name, size, dtype)

    def without_eigenvalues() -> None:
        with patch("numpy.linalg.eigvals", lambda w: w[..., 0]):
            advance()

    return without_eigenvalues


def snapshot(cell_name: str, size: Size, dtype: str) -> Callable[[], Any]:
    """One iteration with a whole snapshot."""
    run = _run(cell_name, size, dtype, snapshot_every=1)

    def advance() -> None:
        run.advance()
        run.history.snapshots.clear()

    return advance


def _run(cell_name: str, size: Size, dtype: str, snapshot_every: int) -> TrainingRun:
    b, h, t = size
    sizes: dict[str, Any] = {"batch_size": b, "hidden_size": h, "steps": t, "dtype": dtype}
    rare: dict[str, Any] = {"iterations": NEVER, "evaluate_every": NEVER, "snapshot_every": snapshot_every}
    return TrainingRun(TrainConfig(task="adding", cell=cell_name, recurrent_init="uniform", **sizes, **rare))


def fused(cell_name: str, size: Size, dtype: str) -> Callable[[], Any]:
    """nn.RNN, a linear layer on its last output, mean squared error, Adam."""
    layer = {"elman": torch.nn.RNN, "lstm": torch.nn.LSTM}[cell_name](2, size[1])
    return _peer(layer, lambda x: layer(x)[0][-1], size, dtype)


def cell_loop(cell_name: str, size: Size, dtype: str) -> Callable[[], Any]:
    """The same by a loop over nn.LSTMCell."""
    cell = torch.nn.LSTMCell(2, size[1])

    def last(x: torch.Tensor) -> torch.Tensor:
        h = c = torch.zeros(size[0], size[1], dtype=x.dtype)
        for x_t in x:
            h, c = cell(x_t, (h, c))
        return h

    return _peer(cell, last, size, dtype)


def _peer(
    net: torch.nn.Module, last: Callable[[torch.Tensor], torch.Tensor], size: Size, dtype: str
) -> Callable[[], Any]:
    output = torch.nn.Linear(size[1], 1)
    both = torch.nn.ModuleList([net, output]).to(getattr(torch, dtype))
    adam, batches = torch.optim.Adam(both.parameters(), 1e-3), _batches(size, dtype)

    def step() -> float:
        x, targets = next(batches)
        adam.zero_grad()
        loss = torch.nn.functional.mse_loss(output(last(x)), targets)
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step


def _batches(size: Size, dtype: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    task, i = make_task("adding", steps=size[2]), 0
    while True:
        batch = task.batch(np.random.default_rng([0, i]), size[0])
        yield torch.from_numpy(batch.x.astype(dtype)), torch.from_numpy(batch.targets.astype(dtype))
        i += 1
