"""A remedy judged in training: a copy of the model learns with it, another without, on the same batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ..arrays import require_whole
from ..diagnosis import Change, Remedy
from ..errors import InputError, echo
from ..importers.pytorch import REVERSE, from_state_dict, to_state_dict
from ..training.advisor import judge
from ..training.outcome import late_loss
from ..wording import counted, value_text
from .batches import LossFunction, loss_on
from .loops import WEIGHTS
from .models import MODULES, recurrent
from .record import Record
from .watching import Watch

LOOKS = 20  # at each training
OUTCOMES = {"helped": "it helped", "no difference": "it made no difference", "harm": "it did harm"}
THRESHOLD = 1.0  # of clipping by norm, where the remedy names none
MakeOptimizer = Callable[[Iterable[Tensor]], torch.optim.Optimizer]


@dataclass(frozen=True, eq=False)
class Trial:
    """Two trainings, `without` a remedy and `with_it`, as their records; label: of the remedy."""

    label: str
    without: Record
    with_it: Record

    @property
    def outcome(self) -> str:
        """What it did to the loss of the last tenth: "helped", "no difference" or "harm", by a fifth or more."""
        return judge(late_loss(self.with_it.losses), late_loss(self.without.losses))

    def __str__(self) -> str:
        before, after = (value_text(late_loss(record.losses)) for record in (self.without, self.with_it))
        lines = [
            f"{self.label}: over {counted(len(self.without.losses), 'iteration')} the loss came to {after} with it and "
            f"{before} without: {OUTCOMES[self.outcome]}."
        ]
        return "\n".join([*lines, *map(self._reach_text, self._layers)])

    @property
    def _layers(self) -> list[str]:
        return list(self.without.looks[-1][1])

    def _reach_text(self, layer: str) -> str:
        """How far the gradient of a layer reached at the start and at the end, with it and without."""
        ends = [
            [look[1][layer]["reach"] for look in (record.looks[0], record.looks[-1])]
            for record in (self.with_it, self.without)
        ]
        with_it, without = (f"from {first:.0f} to {last:.0f}" for first, last in ends)
        return f"Reach of {layer} in steps: {with_it} with it, {without} without."


def try_remedy(
    model: nn.Module,
    loader: Iterable[Any],
    loss_fn: LossFunction,
    remedy: Remedy | Change,
    iterations: int = 100,
    optimizer: MakeOptimizer = torch.optim.Adam,
) -> Trial:
    """Train two copies of a model on the same batches (x, y), one of them changed as a remedy says, and watch both.

    The remedy, of `Watch.diagnose`, changes every recurrent module, or clips the update; the loader begins anew at its
    end. optimizer: makes one of the parameters. Raises InputError for a remedy that trained weights cannot take.
    """
    require_whole(1, iterations=iterations)
    change = remedy.change if isinstance(remedy, Remedy) else remedy
    if not isinstance(change, Change):
        raise InputError(f"remedy: expected one of Watch.diagnose(...).remedies, got {echo(remedy)}", "remedy")
    changed = copy.deepcopy(model)
    threshold = _threshold(change)
    if threshold is None:
        _apply(change, changed)
    batches = list(islice(cycle(loader), iterations))
    if not batches:
        raise InputError("loader: expected batches (x, y), got none", "loader")
    plain = _trained(copy.deepcopy(model), batches, loss_fn, optimizer, None)
    return Trial(change.label, plain, _trained(changed, batches, loss_fn, optimizer, threshold))


def _threshold(change: Change) -> float | None:
    """Of a change that clips the update by norm; None of another."""
    if change.fields.get("clip", "off") != "norm":
        return None
    threshold = change.fields.get("clip_threshold")
    return THRESHOLD if threshold is None else float(threshold)


def _apply(change: Change, model: nn.Module) -> None:
    """Change the weights of every recurrent module and cell, in place."""
    if change.transform is None:
        text = f"remedy: {change.label!r} draws weights anew or takes another cell, which a trained model cannot take"
        raise InputError(f"{text}; try it where the model is made", "remedy")
    for name, module in recurrent(model).items():
        if isinstance(module, MODULES):
            ends = ("", REVERSE)[: 1 + module.bidirectional]
            numbers = [f"_l{layer}{end}" for layer in range(module.num_layers) for end in ends]
        else:
            numbers = [""]
        for number in numbers:
            _apply_to_layer(change, name, module, number)


def _apply_to_layer(change: Change, name: str, module: nn.Module, end: str) -> None:
    """Add to each tensor what the change makes of it; end: behind the names of the layer's tensors."""
    own = {part: module._parameters.get(f"{part}{end}") for part in WEIGHTS}
    if own["weight_ih"] is None or own["weight_hh"] is None or f"weight_hr{end}" in module._parameters:
        text = f"remedy: expected plain weights in {name}, got some that a parametrization or a projection makes"
        raise InputError(f"{text}; change it where the model is made", "remedy")
    given = {f"{part}_l0": p.detach().double().cpu() for part, p in own.items() if p is not None}
    cell, params = from_state_dict(given, activation=getattr(module, "nonlinearity", "tanh"))
    before = to_state_dict(cell, params)
    after = to_state_dict(cell, change.apply_weights(cell, params))
    for part, parameter in own.items():
        step = after[f"{part}_l0"] - before[f"{part}_l0"]
        if parameter is None and step.any():
            raise InputError(
                f"remedy: {change.label!r} needs a bias, which {name} lacks; make it with bias=True", "remedy"
            )
        if parameter is not None:
            with torch.no_grad():
                parameter += torch.from_numpy(step).to(parameter)


def _trained(
    model: nn.Module, batches: list[Any], loss_fn: LossFunction, make: MakeOptimizer, threshold: float | None
) -> Record:
    parameters = list(model.parameters())
    optimizer = make(parameters)
    with Watch(model, max(1, len(batches) // LOOKS), 8, None, None) as watch, torch.random.fork_rng():
        for batch in batches:
            optimizer.zero_grad()
            loss = loss_on(model, batch, loss_fn)
            loss.backward()
            watch.step(loss)
            if threshold is not None:
                clip_grad_norm_(parameters, threshold)
            optimizer.step()
    return watch.record
