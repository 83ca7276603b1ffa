"""minLSTM: an LSTM whose gates and candidate see the input alone, the two gates scaled to make 1 together.

    f, i = sigmoid(V x_t + b),  g = phi(V_g x_t + b_g)
    h_t = f / (f + i) h_{t-1} + i / (f + i) g

Shapes: V (3, H, D), b (3, H), both for i, f, g; W_hh (0, H, H) is empty; state h. J_t = diag(f / (f + i)), and what is
recorded as the gates f and i are these shares. phi is the identity in the source.
f / (f + i) is computed as sigmoid(s(-a_i) - s(-a_f)) with s = softplus, which two closed gates leave finite.
Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, "Were RNNs all we needed?"; not in its logarithmic form.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register

SIGMOID, LINEAR, SOFTPLUS = (ACTIVATIONS[name] for name in ("sigmoid", "identity", "softplus"))


@register
@dataclass(frozen=True, repr=False)
class MinLSTM(Cell):
    """LSTM whose gates and candidate see the input alone."""

    name = "min_lstm"
    title = "minLSTM"
    gates = ("i", "f", "g")
    roles = {"i": "input", "f": "forget", "g": "candidate"}
    recurrent = slice(0, 0)
    candidate = "g"
    forget_gate = "f"
    input_gate = "i"

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """i and f meet before their sigmoid, so `step` applies it."""
        return (LINEAR, LINEAR, self.activation)

    def step(self, xp: Namespace, i: Array, f: Array, g: Array, h: Array) -> tuple[Array, ...]:
        """The new h."""
        return (g + SIGMOID.value(xp, _log_odds(xp, i, f)) * (h - g),)

    def partials(self, xp: Namespace, i: Array, f: Array, g: Array, h: Array, h_new: Array) -> Partials:
        """The share of f, k, has the slope k (1 - k) by its log odds."""
        odds = _log_odds(xp, i, f)
        moved = SIGMOID.slope(xp, odds) * (h - g)
        gates = {
            ("h", "i"): -moved * SIGMOID.value(xp, -i),
            ("h", "f"): moved * SIGMOID.value(xp, -f),
            ("h", "g"): SIGMOID.value(xp, -odds),
        }
        return gates, {("h", "h"): SIGMOID.value(xp, odds)}

    def completed(
        self, xp: Namespace, i: Array, f: Array, g: Array, h: Array, h_new: Array
    ) -> Mapping[str, tuple[Array, Activation]]:
        """The two gates' shares."""
        odds = _log_odds(xp, i, f)
        return {"i": (-odds, SIGMOID), "f": (odds, SIGMOID)}


def _log_odds(xp: Namespace, i: Array, f: Array) -> Array:
    """ln(sigmoid(f) / sigmoid(i))."""
    return SOFTPLUS.value(xp, -i) - SOFTPLUS.value(xp, -f)
