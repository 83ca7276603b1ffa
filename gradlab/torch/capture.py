"""What a module was called with and gave, held as references: its hooks change nothing and copy only what is asked for.

A forward pass leaves its weights, input and states untouched until the optimizer's step, so that references do; each
remembers the version of its tensor, and says so where somebody wrote into it meanwhile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..errors import InputError
from ..importers.pytorch import REVERSE

Gradients = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Held:
    """A tensor as it was at a moment; name: what it is called in messages."""

    name: str
    tensor: Tensor
    version: int

    @classmethod
    def of(cls, name: str, tensor: Tensor, copy: bool = False) -> Held:
        """The tensor, without its graph; a copy where it may be written into before it is looked at."""
        held = tensor.detach().clone() if copy else tensor.detach()
        return cls(name, held, held._version)

    @property
    def value(self) -> Tensor:
        """The tensor. Raises InputError where it was written into since."""
        if self.tensor._version != self.version:
            text = f"{self.name}: expected it as the forward pass left it, but it was written into since"
            raise InputError(f"{text}; call watch.step after backward() and before optimizer.step()", "loss")
        return self.tensor


@dataclass(eq=False)
class Call:
    """One call of a recurrent module. x: data of a PackedSequence, else as given, with `packed` to unpack it.

    weights: the effective ones by PyTorch's names. states: the initial (h,) or (h, c) as given, None for zeros.
    output: what it gave, as x. rng: PyTorch's random state before the call, where dropout drew from it.
    gradients: dL/d of "output" and of the last states, "h" and "c", filled by the backward pass.
    """

    name: str
    module: nn.RNNBase
    x: Held
    packed: PackedSequence | None
    weights: dict[str, Held]
    states: tuple[Held, ...] | None
    output: Held
    rng: Tensor | None = None
    gradients: Gradients = field(default_factory=dict)

    def sequence(self, data: Tensor) -> Tensor:
        """Input or output as (T, B, F), from what a module takes and gives."""
        if self.packed is not None:
            return nn.utils.rnn.pad_packed_sequence(self.packed._replace(data=data))[0]
        if data.dim() == 2:
            return data[:, None]
        return data.transpose(0, 1) if self.module.batch_first else data

    def state(self, data: Tensor) -> Tensor:
        """An initial or last state as (layers * directions, B, H)."""
        return data[:, None] if data.dim() == 2 else data

    @property
    def batch(self) -> int:
        """B."""
        return self.sequence(self.x.tensor).shape[1]

    @property
    def sequences(self) -> tuple[Tensor, Tensor]:
        """Input and output, (T, B, F) each."""
        return self.sequence(self.x.value), self.sequence(self.output.value)

    @property
    def loss_gradients(self) -> Gradients:
        """What the loss adds: of "output" (T, B, F), and of the last states (layers * directions, B, H)."""
        return {name: self.sequence(g) if name == "output" else self.state(g) for name, g in self.gradients.items()}

    def number_of(self, gradient: str, row: int, unit: int) -> str:
        """The layer and direction, as PyTorch numbers them, that a place in one of `loss_gradients` belongs to."""
        directions = 1 + self.module.bidirectional
        if gradient == "output":
            width = self.module.proj_size or self.module.hidden_size
            row = (self.module.num_layers - 1) * directions + unit // width
        return f"{row // directions}{REVERSE if row % directions else ''}"

    @property
    def lengths(self) -> Tensor | None:
        """Of the samples of a PackedSequence, in their own order."""
        if self.packed is None:
            return None
        return nn.utils.rnn.pad_packed_sequence(self.packed._replace(data=self.x.value))[1]


class Capture(ABC):
    """Hooks on a module that append its calls, made while gradients are recorded, to `calls`.

    copy: whether the calls to come are to hold copies.
    """

    def __init__(self, name: str, module: nn.Module, calls: list[Any]) -> None:
        self.name, self.module, self.calls, self.copy = name, module, calls, True
        self._handles = self._hook(module)

    @abstractmethod
    def _hook(self, module: nn.Module) -> list[Any]:
        """Put the hooks on."""

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def sees(self, module: nn.Module, output: Tensor) -> bool:
        """Whether a call counts: of this module, not of a copy of it, with gradients."""
        return module is self.module and torch.is_grad_enabled() and output.requires_grad

    def held(self, what: str, tensor: Tensor) -> Held:
        """A tensor of this module."""
        return Held.of(f"the {what} of {self.name}", tensor, self.copy)


class ModuleCapture(Capture):
    """Of an nn.RNN, nn.LSTM or nn.GRU."""

    _rng: Tensor | None = None

    def _hook(self, module: nn.Module) -> list[Any]:
        after = module.register_forward_hook(apart(self._after), with_kwargs=True)
        return [module.register_forward_pre_hook(apart(self._before)), after]

    def _before(self, module: Any, given: Any) -> None:
        draws = module.training and module.dropout > 0 and module.num_layers > 1
        self._rng = torch.get_rng_state() if draws and torch.is_grad_enabled() else None

    def _after(self, module: Any, given: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
        y, final = result
        data = y.data if isinstance(y, PackedSequence) else y
        if self.sees(module, data):
            x, hx = arguments(given, named)
            self.calls.append(self._call(module, x, hx, data, as_tuple(final)))

    def _call(self, module: nn.RNNBase, x: Any, hx: Any, y: Tensor, final: tuple[Tensor, ...]) -> Call:
        packed = x if isinstance(x, PackedSequence) else None
        weights = zip(module._flat_weights_names, module._flat_weights, strict=True)
        call = Call(
            self.name,
            module,
            self.held("input", x if packed is None else x.data),
            packed,
            {name: Held.of(f"{name} of {self.name}", weight) for name, weight in weights if weight is not None},
            None if hx is None else tuple(self.held("initial state", h) for h in as_tuple(hx)),
            self.held("output", y),
            self._rng,
        )
        for key, tensor in zip(("output", "h", "c"), (y, *final), strict=False):
            if tensor.requires_grad:
                tensor.register_hook(adding(call.gradients, key))
        return call


def apart(hook: Callable[..., None]) -> Callable[..., None]:
    """A hook that torch.compile leaves alone, rather than make it a part of what it compiles."""
    kept: Callable[..., None] = torch.compiler.disable(hook)
    return kept


def arguments(given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
    """Input and initial state that a module was called with, the latter None where there was none."""
    found = dict(zip(("input", "hx"), given, strict=False)) | named
    return found["input"], found.get("hx")


def as_tuple(states: Any) -> tuple[Tensor, ...]:
    """The states of a module, of which it gives a single one as it is."""
    return states if isinstance(states, tuple) else (states,)


def adding(gradients: Gradients, key: str) -> Callable[[Tensor], None]:
    """A hook that keeps what a backward pass brings, summed over passes."""

    def hook(gradient: Tensor) -> None:
        gradients[key] = gradient if key not in gradients else gradients[key] + gradient

    return hook
