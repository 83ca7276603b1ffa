"""Long short-term memory with a forget gate.

    i, f, o = sigmoid(V x_t + W h_{t-1} + b),  g = phi(V_g x_t + W_g h_{t-1} + b_g)
    c_t = f c_{t-1} + i g
    h_t = o phi(c_t)

Shapes: V (4, H, D), W (4, H, H), b (4, H); gates in PyTorch's order i, f, g, o; states h, c.
Source: Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000.
"""

from dataclasses import dataclass

from ..arrays import Array, Namespace
from .activations import ACTIVATIONS, Activation
from .base import Cell, Partials, register


@register
@dataclass(frozen=True, repr=False)
class LSTM(Cell):
    """Long short-term memory with input, forget and output gates."""

    name = "lstm"
    title = "LSTM"
    states = ("h", "c")
    gates = ("i", "f", "g", "o")
    roles = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}
    candidate = "g"
    forget_gate = "f"
    input_gate = "i"

    @property
    def nonlinearities(self) -> tuple[Activation, ...]:
        """Sigmoid gates and the candidate's phi."""
        sigmoid = ACTIVATIONS["sigmoid"]
        return (sigmoid, sigmoid, self.activation, sigmoid)

    def step(self, xp: Namespace, i: Array, f: Array, g: Array, o: Array, h: Array, c: Array) -> tuple[Array, ...]:
        """The new h and c."""
        c_new = f * c + i * g
        return o * self.activation.value(xp, c_new), c_new

    def partials(
        self, xp: Namespace, i: Array, f: Array, g: Array, o: Array, h: Array, c: Array, h_new: Array, c_new: Array
    ) -> Partials:
        """The h row is the c row times k = o phi'(c_t), plus the output gate's own path."""
        k = o * self.activation.slope(xp, c_new)
        return (
            {
                ("h", "i"): k * g,
                ("h", "f"): k * c,
                ("h", "g"): k * i,
                ("h", "o"): self.activation.value(xp, c_new),
                ("c", "i"): g,
                ("c", "f"): c,
                ("c", "g"): i,
            },
            {("h", "c"): k * f, ("c", "c"): f},
        )
