"""Presets: named configurations, each of which teaches one thing; one registered block each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..registry import Registry
from . import RunConfig


@dataclass(frozen=True)
class Preset:
    """A configuration with a name, one sentence of what it shows, the class its verdict has, and a tab to open."""

    label: str
    help: str
    word: str
    fields: dict[str, Any]
    tab: str | None = None

    def config(self) -> RunConfig:
        """The preset as a RunConfig."""
        return RunConfig(**self.fields)


PRESETS: Registry[Preset] = Registry("preset")
UNIFORM: dict[str, Any] = {"recurrent_init": "uniform", "input_scale": 0.1}  # about what nn.LSTM and nn.GRU start with


def _preset(name: str, label: str, help: str, word: str, tab: str | None = None, **fields: Any) -> None:
    PRESETS.add(name, Preset(label, help, word, fields, tab))


_preset("vanishing_tanh", "Vanishing tanh", "Each step back loses about a third", "vanishing")
_preset("exploding_tanh", "Exploding tanh", "Large weights beat the saturating slope", "exploding", gain=3.0)
_preset("edge", "Edge", "The gain, measured on this net, at which tanh neither fades nor burns", "carried", gain=1.95)
_preset("sigmoid", "Sigmoid", "Slope at most 1/4: nothing survives", "vanishing", activation="sigmoid")
_preset(
    "orthogonal_linear",
    "Orthogonal linear",
    "A rotation keeps the gradient exactly",
    "carried",
    activation="identity",
    recurrent_init="orthogonal",
)
_preset("orthogonal_tanh", "Orthogonal tanh", "Saturation undoes it", "vanishing", recurrent_init="orthogonal")
_preset(
    "irnn",
    "IRNN",
    "Identity weights and ReLU: living units carry",
    "carried",
    activation="relu",
    recurrent_init="identity",
)
_preset(
    "lstm_forget_0",
    "LSTM, forget bias 0",
    "Half of the cell state is forgotten at every step",
    "vanishing",
    cell="lstm",
    **UNIFORM,
)
_preset(
    "lstm_forget_1",
    "LSTM, forget bias 1",
    "The usual advice: better, and still fading",
    "vanishing",
    cell="lstm",
    forget_bias=1.0,
    **UNIFORM,
)
_preset(
    "lstm_forget_3",
    "LSTM, forget bias 3",
    "Carry plus gates exceed 1: it grows",
    "carried",
    cell="lstm",
    forget_bias=3.0,
    **UNIFORM,
)
_preset(
    "lstm_chrono",
    "LSTM, chrono",
    "Forget biases spread over all time scales",
    "carried",
    cell="lstm",
    forget_bias="chrono",
    **UNIFORM,
)
_preset("gru", "GRU", "One update gate carries the state", "vanishing", cell="gru", **UNIFORM)
_preset(
    "clipped_explosion",
    "Clipped explosion",
    "Clipping rescales the update, not the flow",
    "exploding",
    tab="clipping",
    gain=3.0,
    clip="norm",
    clip_threshold="0.5x",
)
