"""A model on a batch of a loader, and what has to be put back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..errors import InputError, echo
from .rows import Row
from .watching import Watch

LossFunction = Callable[[Any, Any], Tensor]


def loss_on(model: nn.Module, batch: Any, loss_fn: LossFunction) -> Tensor:
    """loss_fn(model(x), y) of a batch (x, y); a tuple x, unless packed, is several arguments. InputError for others."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise InputError(f"batch: expected a pair (x, y), as a loader gives it, got {echo(type(batch))}", "batch")
    x, y = batch
    several = isinstance(x, tuple | list) and not isinstance(x, PackedSequence)
    loss = loss_fn(model(*x) if several else model(x), y)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise InputError(f"loss_fn: expected a tensor with one number, got {echo(type(loss))}", "loss_fn")
    return loss


def analyze(model: nn.Module, batch: Any, loss_fn: LossFunction, samples: int = 8) -> Row:
    """What `watch` shows of one batch (x, y) and loss_fn(model(x), y): name of a layer -> its row, with `.dataset`.

    x may be a tuple of arguments. The model is in the mode that it is in, and left as it was: its gradients, buffers
    and PyTorch's random state too. samples: of the batch, the first ones. Raises InputError as `watch` and its `step`.
    """
    watch = Watch(model, 1, samples, None, None)
    with watch, torch.random.fork_rng(), untouched(model), torch.enable_grad():
        loss = loss_on(model, batch, loss_fn)
        loss.backward()
        row = watch.step(loss)
    assert row is not None
    return row


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put a model's gradients and buffers back as they were; inside it has no gradients yet."""
    gradients = [(p, p.grad) for p in model.parameters()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    try:
        for parameter, _ in gradients:
            parameter.grad = None
        yield
    finally:
        for parameter, gradient in gradients:
            parameter.grad = gradient
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
