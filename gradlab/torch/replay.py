"""A call of a recurrent module once more: down its stack, in both directions, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..cells import Cell
from ..engine.backward import Gradients, bptt
from ..engine.forward import unroll
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from ..engine.trajectory import Trajectory
from ..errors import InputError
from ..importers.pytorch import REVERSE, found_in
from ..layers.bidirectional import flipped
from ..lazy import lazy
from .capture import Call

Samples = Sequence[int]
HOST = "cpu"  # the device whose dropout draws from the random state that PyTorch shows


@dataclass(frozen=True, eq=False)
class Run:
    """One layer in one direction. projection (P, H): what makes its output of its state, None where that is h."""

    number: str
    traj: Trajectory
    projection: np.ndarray | None

    @property
    def reverse(self) -> bool:
        """Whether it reads each sample from its end, so that its step 1 is the sample's last."""
        return self.number.endswith(REVERSE)

    def place(self, step: int, sample: int) -> int:
        """Where one of its own steps 1 ... T stands in the sequence."""
        return int(self.traj.valid_steps[sample]) + 1 - step if self.reverse else step

    @lazy
    def output(self) -> np.ndarray:
        """(T, B, P), in the order of the sequence, zero beyond a sample's length."""
        h = self.traj.lengths.keep(self.traj.states[1:, 0])
        h = self.traj.lengths.flip(h) if self.reverse else h
        return h if self.projection is None else h @ self.projection.T

    def backward(self, dy: Scaled, final: np.ndarray | None) -> Gradients:
        """BPTT from dL/d output (T, B, P) and dL/d last states (S, B, H)."""
        own, projection = self._in_order(dy), self.projection
        return bptt(self.traj, own if projection is None else own.map(lambda m: m @ projection), final)

    def input_gradient(self, found: Gradients) -> Scaled:
        """dL/d input (T, B, D), in the order of the sequence."""
        return self._in_order(found.scaled_inputs)

    def _in_order(self, x: Scaled) -> Scaled:
        """From the order of the sequence to the run's own, or back."""
        return flipped(self.traj.lengths, x) if self.reverse else x


@dataclass(frozen=True, eq=False)
class Stack:
    """All layers of a call. runs: by layer, then direction. masks: what the dropout before each layer multiplied by.

    Of `samples` of the batch. output_error: the largest difference to the module's own output, over its largest value.
    """

    call: Call
    samples: Samples
    runs: list[list[Run]]
    masks: list[np.ndarray | None]

    @property
    def output(self) -> np.ndarray:
        """(T, B, directions * P)."""
        return _beside(self.runs[-1])

    @property
    def output_error(self) -> float:
        """The largest difference to what the module gave, over its largest value."""
        return relative_error(self.output, numbers(self.call.sequences[1], self.samples))

    def backward(self, scale: float = 1.0) -> dict[str, Gradients]:
        """Layer and direction -> gradients of the loss, which the module's own were `scale` times of."""
        gradients = {name: numbers(g, self.samples) / scale for name, g in self.call.loss_gradients.items()}
        dy = Scaled.of(gradients["output"] if "output" in gradients else np.zeros_like(self.output))
        found: dict[str, Gradients] = {}
        for depth in reversed(range(len(self.runs))):
            own = self._layer_backward(depth, dy, gradients)
            found = own | found
            if depth:
                dy, mask = self._below(depth, own), self.masks[depth]
                dy = dy if mask is None else dy.map(lambda m, mask=mask: m * mask)
        return found

    def _layer_backward(self, depth: int, dy: Scaled, gradients: Mapping[str, np.ndarray]) -> dict[str, Gradients]:
        """Both directions of a layer."""
        runs, found = self.runs[depth], {}
        width = dy.shape[-1] // len(runs)
        for n, run in enumerate(runs):
            part = slice(n * width, (n + 1) * width)
            final = _final_gradient(run, len(runs) * depth + n, gradients)
            found[run.number] = run.backward(dy.map(lambda m, part=part: m[..., part]), final)
        return found

    def _below(self, depth: int, found: Mapping[str, Gradients]) -> Scaled:
        """dL/d input of a layer, from that of its directions."""
        return reduce(add, (run.input_gradient(found[run.number]) for run in self.runs[depth]))


def _final_gradient(run: Run, row: int, gradients: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """dL/d last states (S, B, H) of a layer and direction; None where nothing reads them."""
    names = run.traj.cell.states
    if not gradients.keys() & set(names):
        return None
    found = np.zeros(run.traj.states.shape[1:])
    for s, name in enumerate(names):
        if name in gradients:
            own = gradients[name][row]
            found[s] = own if run.projection is None or name == "c" else own @ run.projection
    return found


def replayed(call: Call, samples: Samples, dtype: torch.dtype) -> Stack:
    """The forward pass of a call for some samples of its batch, layer by layer.

    Raises InputError where its dropout cannot be drawn again, and for weights that are not finite.
    """
    x = numbers(call.sequence(call.x.value), samples, dtype)
    lengths = None if call.lengths is None else call.lengths[list(samples)].numpy()
    own, masks = Lengths.of(lengths, len(x), 0), _masks(call, samples, dtype)
    runs: list[list[Run]] = []
    for depth, mask in enumerate(masks):
        x = x if mask is None else x * mask
        names = [f"{depth}{end}" for end in ("", REVERSE)[: 1 + call.module.bidirectional]]
        layer: list[Run] = []
        for n, name in enumerate(names):
            initial = _initial(call, samples, len(names) * depth + n, name, dtype)
            cell, params, projection = layer_of(call, name, dtype)
            seen = np.ascontiguousarray(own.flip(x)) if name.endswith(REVERSE) else x
            layer.append(Run(name, unroll(cell, params, seen, initial, lengths), projection))
        runs.append(layer)
        x = _beside(runs[-1])
    return Stack(call, samples, runs, masks)


def layer_of(call: Call, number: str, dtype: torch.dtype) -> tuple[Cell, dict[str, np.ndarray], np.ndarray | None]:
    """Cell, parameters and projection (P, H) of a layer and direction.

    An LSTM with a projection is one without whose recurrent weights see the projected state: W_hh W_hr.
    """
    weights = {name: held.value.to("cpu", dtype) for name, held in call.weights.items()}
    projection = weights.get(f"weight_hr_l{number}")
    weights = {name: w for name, w in weights.items() if not name.startswith("weight_hr")}
    if projection is not None:
        weights[f"weight_hh_l{number}"] = weights[f"weight_hh_l{number}"] @ projection
    read = found_in(weights).entry(layer=number).read(getattr(call.module, "nonlinearity", "tanh"))
    return read.cell, read.params, None if projection is None else projection.numpy()


def _initial(call: Call, samples: Samples, row: int, number: str, dtype: torch.dtype) -> np.ndarray | None:
    """(S, B, H) of a layer and direction; None for zeros."""
    if call.states is None:
        return None
    found = [numbers(call.state(held.value), samples, dtype)[row] for held in call.states]
    name = f"weight_hr_l{number}"
    if name in call.weights:  # some state of which this is the projection
        found[0] = found[0] @ np.linalg.pinv(call.weights[name].value.to("cpu", dtype).numpy()).T
    return np.stack(found)


def _masks(call: Call, samples: Samples, dtype: torch.dtype) -> list[np.ndarray | None]:
    """What dropout multiplied the input of each layer by, drawn again from the random state of the call."""
    if call.rng is None:
        return [None] * call.module.num_layers
    output = call.output.tensor
    if output.device.type != HOST:
        text = f"{call.name}: dropout between layers is drawn by cuDNN on {output.device} and cannot be drawn again"
        raise InputError(f"{text}; set {call.name}.dropout = 0, call {call.name}.eval(), or watch on the CPU", "model")
    shape = output.shape if call.packed is not None else call.sequence(output).shape
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(call.rng)
        ones = torch.ones(shape, dtype=output.dtype)
        drawn = [nn.functional.dropout(ones, call.module.dropout) for _ in range(1, call.module.num_layers)]
    return [None, *(numbers(_as_sequence(call, mask), samples, dtype) for mask in drawn)]


def _as_sequence(call: Call, mask: Tensor) -> Tensor:
    """A mask (T, B, F); that of a PackedSequence is drawn for its data."""
    return mask if call.packed is None else call.sequence(mask)


def _beside(runs: Sequence[Run]) -> np.ndarray:
    return np.concatenate([run.output for run in runs], axis=-1)


def relative_error(found: np.ndarray, own: np.ndarray) -> float:
    """The largest difference over the largest value, 0 where all are zero."""
    return float(np.abs(found - own).max() / (np.abs(own).max() or 1.0))


def numbers(sequence: Tensor, samples: Samples, dtype: torch.dtype = torch.float64) -> Any:
    """(T, samples, F) in host memory."""
    return sequence[:, list(samples)].to("cpu", dtype).numpy()
