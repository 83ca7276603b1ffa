"""Where numbers that are not finite come from: the weights' update, the input, the forward pass, the loss, or BPTT."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.backward import Gradients
from ..errors import InputError
from ..wording import power_text, value_text
from .capture import Call
from .loops import CellCalls
from .models import replay

JUMP = 2.0  # times as large after one update: weights that learn do not do that
RECENT = 100  # updates that may be to blame
NEAR = math.log(100)  # below the largest number of a precision: products of what is so large may overflow
Calls = Sequence[Call | CellCalls]
Scales = Mapping[str, Sequence[float]]  # the norm of a module's weights at each iteration


@dataclass(frozen=True)
class Finding:
    """Numbers that are not finite, of kind "nan" or "overflow".

    source: "update", "input", "forward pass", "loss", "backward pass" or "elsewhere", outside of what is watched;
    "unknown" where that cannot be told. layer: such as "encoder.l0_reverse". gate: or state. step: 1 ... T in the order
    of the sequence. None is what is not known.
    """

    kind: str
    source: str
    text: str
    layer: str | None = None
    gate: str | None = None
    step: int | None = None
    sample: int | None = None


class Alarm(InputError):
    """What `Row.raise_if` raises. finding: the numbers that are not finite, None for a verdict."""

    def __init__(self, message: str, finding: Finding | None = None) -> None:
        super().__init__(message, "loss")
        self.finding = finding


def find(loss: float, calls: Calls, scales: Scales, model: nn.Module) -> Finding:
    """The first cause of what is not finite, and which update went before. loss: of this iteration."""
    found = _in_weights(calls, scales) or _in_forward(calls) or _on_the_way_back(calls) or _elsewhere(loss, model)
    name = None if found.layer is None else found.layer.rpartition(".l")[0]
    said = _jump(scales, name) if found.source != "update" else ""
    return replace(found, text=f"{found.text}{said}")


def _elsewhere(loss: float, model: nn.Module) -> Finding:
    """The loss itself, or a parameter of what is not watched."""
    text = f"the loss is {loss}, though what it is made of is finite in every watched module"
    if not math.isfinite(loss):
        return Finding(_kind(loss), "loss", text)
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if gradient is not None and (bad := _first(gradient.to_dense() if gradient.is_sparse else gradient)):
            text = f"the gradient of {name} holds {bad[0]}, which no watched module made"
            return Finding(_kind(bad[0]), "elsewhere", text)
    return Finding("overflow", "unknown", "the norm of all gradients together is not finite")


# the weights


def _in_weights(calls: Calls, scales: Scales) -> Finding | None:
    for call in calls:
        for name, held in call.weights.items():
            if bad := _first(held.value):
                text = f"{name} of {call.name} holds {bad[0]}, {_since(scales[call.name])}"
                return Finding(_kind(bad[0]), "update", text, f"{call.name}.l{name.partition('_l')[2] or 0}")
    return None


def _since(own: Sequence[float]) -> str:
    """Which update the weights are not finite after."""
    finite = [i for i, scale in enumerate(own) if math.isfinite(scale)]
    return f"since iteration {finite[-1]}'s update" if finite else "since before the first iteration"


def _jump(scales: Scales, name: str | None) -> str:
    """The update that multiplied the scale of a module's weights, or of any's, by most, if that is much."""
    ratios = [
        (later / before, i, module)
        for module, own in scales.items()
        if name in (None, module)
        for i, (before, later) in list(enumerate(pairwise(own)))[-RECENT:]
        if before > 0
    ]
    factor, i, module = max(ratios, default=(0.0, 0, ""))
    if not factor >= JUMP:
        return ""
    return f"; iteration {i}'s update multiplied the scale of {module}'s weights by {value_text(factor, 2)}"


# the forward pass


def _in_forward(calls: Calls) -> Finding | None:
    """The first call whose input or output is not finite."""
    for call in calls:
        inputs, outputs = call.sequences
        if bad := _first(inputs):
            value, (t, sample, _) = bad
            text = f"the input of {call.name} holds {value} at step {t + 1}, sample {sample}: it comes from before it"
            return Finding(_kind(value), "input", text, f"{call.name}.l0", None, t + 1, sample)
        if bad := _first(outputs):
            return _overflow(call, outputs.dtype, *bad)
    return None


def _overflow(call: Call | CellCalls, dtype: torch.dtype, value: float, place: tuple[int, ...]) -> Finding:
    """Which layer, gate, step and sample left the finite numbers, by the forward pass in the module's precision."""
    t, sample, _ = place
    precision = dtype if dtype == torch.float64 else torch.float32
    found = [(run, o) for runs in replay(call, [sample], precision).runs for run in runs for o in run.traj.overflow]
    if not found:
        text = f"the output of {call.name} holds {value} at step {t + 1}, sample {sample}; beyond {dtype} it is finite"
        return Finding(_kind(value), "forward pass", text, f"{call.name}.l0", None, t + 1, sample)
    run, overflow = found[0]
    layer, step = f"{call.name}.l{run.number}", run.place(overflow.step, 0)
    where = f"at step {step}, {'gate' if overflow.gate in run.traj.cell.gates else 'state'} {overflow.gate}"
    text = f"the forward pass of {layer} left the finite numbers {where}, sample {sample}"
    return Finding(_kind(value), "forward pass", text, layer, overflow.gate, step, sample)


# the loss, and the way back


def _on_the_way_back(calls: Calls) -> Finding | None:
    """The last call that gets a gradient which is not finite, or makes one."""
    for call in reversed(calls):
        if found := _in_loss(call) or _in_backward(call):
            return found
    return None


def _in_loss(call: Call | CellCalls) -> Finding | None:
    """What comes to a call's output."""
    for name, gradient in call.loss_gradients.items():
        if bad := _first(gradient):
            return _of_loss(call, name, *bad)
    return None


def _of_loss(call: Call | CellCalls, name: str, value: float, place: tuple[int, ...]) -> Finding:
    first, sample, unit = place
    layer, end = f"{call.name}.l{call.number_of(name, first, unit)}", "the loss, not the recurrence"
    if name != "output":
        text = f"dL/d{name} of the last state of {layer} holds {value} at sample {sample}: {end}"
        return Finding(_kind(value), "loss", text, layer, name, None, sample)
    text = f"dL/dh of {layer} holds {value} at step {first + 1}, sample {sample}: {end}"
    return Finding(_kind(value), "loss", text, layer, None, first + 1, sample)


def _in_backward(call: Call | CellCalls) -> Finding | None:
    """Where the gradient is largest, if that or what it makes of the weights leaves their precision."""
    bad = [b for p in call.module.parameters() if p.grad is not None and (b := _first(p.grad))]
    if not bad:
        return None
    stack = replay(call, range(call.batch))
    found = stack.backward()
    run = max((run for runs in stack.runs for run in runs), key=lambda run: _largest(found[run.number]))
    if _largest(found[run.number]) < math.log(torch.finfo(call.sequences[1].dtype).max) - NEAR:
        return None
    norms = found[run.number].log_norms[1:]
    step, _, sample = (int(i) for i in np.unravel_index(np.nanargmax(norms), norms.shape))
    layer, place = f"{call.name}.l{run.number}", run.place(step + 1, sample)
    size = power_text(float(norms[step].max(axis=0)[sample]))
    text = f"the gradient of {layer} grows to {size} at step {place}, sample {sample}, on its way back"
    return Finding(_kind(bad[0][0]), "backward pass", text, layer, None, place, sample)


def _largest(gradients: Gradients) -> float:
    """ln of the largest norm, of a state's gradient or of a parameter's."""
    return max(float(np.nanmax(gradients.log_norms)), *map(float, gradients.log_param_norms.values()))


def _first(tensor: Tensor) -> tuple[float, tuple[int, ...]] | None:
    """The first value that is not finite, and its index."""
    bad = ~torch.isfinite(tensor)
    if not bool(bad.any()):
        return None
    place: Any = tuple(int(i) for i in bad.nonzero()[0])
    return float(tensor[place].detach()), place


def _kind(value: float) -> str:
    return "nan" if math.isnan(value) else "overflow"
