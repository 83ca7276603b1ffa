"""LSTM whose gates also see the cell state, through elementwise (peephole) weights.

    i = sigmoid(V_i x_t + W_i h_{t-1} + b_i + p_i c_{t-1}),  f likewise with p_f c_{t-1}
    g = phi(V_g x_t + W_g h_{t-1} + b_g)
    c_t = f c_{t-1} + i g
    o = sigmoid(V_o x_t + W_o h_{t-1} + b_o + p_o c_t)          the output gate sees the new c
    h_t = o phi(c_t)

Shapes: V (4, H, D), W (4, H, H), b (4, H), p (3, H) in the order i, f, o; states h, c.
The peepholes act within one unit, so they belong to the carry and not to a gate's recurrent path.
Source: Gers & Schmidhuber 2000, "Recurrent nets that time and count".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register

SIGMOID, LINEAR = ACTIVATIONS["sigmoid"], ACTIVATIONS["identity"]


@register
@dataclass(frozen=True, repr=False)
class PeepholeLSTM(Cell):
    """LSTM whose gates also see the cell state, elementwise."""

    name = "peephole_lstm"
    title = "Peephole LSTM"
    states = ("h", "c")
    gates = ("i", "f", "g", "o")
    roles = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}
    elementwise = ("p_i", "p_f", "p_o")
    candidate = "g"
    forget_gate = "f"
    input_gate = "i"

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """The peepholes come before the sigmoid, so `step` applies it."""
        return (LINEAR, LINEAR, self.activation, LINEAR)

    def step(
        self,
        xp: Namespace,
        i: Array,
        f: Array,
        g: Array,
        o: Array,
        h: Array,
        c: Array,
        p_i: Array,
        p_f: Array,
        p_o: Array,
    ) -> tuple[Array, ...]:
        """The new h and c; i, f and o come as pre-activations without their peephole."""
        c_new = SIGMOID.value(xp, f + p_f * c) * c + SIGMOID.value(xp, i + p_i * c) * g
        return SIGMOID.value(xp, o + p_o * c_new) * self.activation.value(xp, c_new), c_new

    def partials(self, xp: Namespace, *arrays: Array) -> Partials:
        """d_c holds dc_t by argument; dh_t is k times that, plus the output gate's own path."""
        i, f, g, o, _, c, _, c_new, p_i, p_f, p_o = arrays
        a_i, a_f, a_o = i + p_i * c, f + p_f * c, o + p_o * c_new
        in_slope, forget_slope = g * SIGMOID.slope(xp, a_i), c * SIGMOID.slope(xp, a_f)
        out_slope = SIGMOID.slope(xp, a_o) * self.activation.value(xp, c_new)
        k = SIGMOID.value(xp, a_o) * self.activation.slope(xp, c_new) + out_slope * p_o
        d_c = {"i": in_slope, "f": forget_slope, "g": SIGMOID.value(xp, a_i)}
        carry = SIGMOID.value(xp, a_f) + p_i * in_slope + p_f * forget_slope
        d_p = {"p_i": in_slope * c, "p_f": forget_slope * c}
        return (
            {("c", x): d for x, d in d_c.items()} | {("h", x): k * d for x, d in d_c.items()} | {("h", "o"): out_slope},
            {("c", "c"): carry, ("h", "c"): k * carry},
            {("c", x): d for x, d in d_p.items()}
            | {("h", x): k * d for x, d in d_p.items()}
            | {("h", "p_o"): out_slope * c_new},
        )

    def completed(self, xp: Namespace, *arrays: Array) -> Mapping[str, tuple[Array, Activation]]:
        """The three gates with their peepholes."""
        i, f, _, o, _, c, _, c_new, p_i, p_f, p_o = arrays
        return {"i": (i + p_i * c, SIGMOID), "f": (f + p_f * c, SIGMOID), "o": (o + p_o * c_new, SIGMOID)}
