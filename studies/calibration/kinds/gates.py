"""Gated nets at rest, and those whose gates are constructed."""

from itertools import product
from typing import Any

from ..cases import add, add_net
from ..long_runs import shut
from ..truths import at_rest, input_gates, through_the_cell, turning
from .nets import gated, levels

UNIFORM: dict[str, Any] = {"recurrent_init": "uniform", "input_scale": 0.0}
REST, LOOP, BOUND = "law at rest", "plain loop", "bound, long run"

KIND = "gated, at rest"
for bias in (0.0, 1.0, 1.8, 3.5):
    add(KIND, f"LSTM at rest, bias {bias:g}", REST, at_rest, cell="lstm", **UNIFORM, forget_bias=bias)
for bias in (0.0, 4.0):
    add(KIND, f"GRU at rest, bias {bias:g}", REST, at_rest, cell="gru", **UNIFORM, forget_bias=bias)
    add(
        KIND, f"MinimalRNN at rest, bias {bias:g}", REST, at_rest, cell="minimal_rnn", input_scale=0.0, forget_bias=bias
    )
for name, bias in (*product(("min_gru", "min_lstm"), (0.0, 6.0)), ("min_gru", 4.0), ("janet", -2.0), ("gru_v1", 0.0)):
    add(KIND, f"{name} at rest, bias {bias:g}", REST, at_rest, cell=name, input_scale=0.0, forget_bias=bias)
for name, bias, size, steps in (("lstm", 1.0, 20, 200), ("gru", 0.0, 9, 60), ("janet", 0.0, 24, 100)):
    own = {"cell": name, "hidden_size": size, "steps": steps, "forget_bias": bias, "seed": size}
    add(KIND, f"{name} at rest, bias {bias:g}, H = {size}", REST, at_rest, **UNIFORM, **own)

KIND = "forget gate shut"
for name, bias, size in (
    ("lstm", -10.0, 64),
    ("gru", -10.0, 64),
    ("lstm", -8.0, 20),
    ("gru", -9.0, 30),
    ("janet", -12.0, 40),
    ("gru_v1", -10.0, 24),
):
    own = {"cell": name, "forget_bias": bias, "hidden_size": size, "seed": size}
    add(KIND, f"{name}, forget bias {bias:g}, H = {size}", BOUND, shut, **own)

KIND = "held in c"
for name, out, steps, units in (
    ("lstm", -5.8, 100, 12),
    ("lstm", 0.0, 60, 30),
    ("lstm", -3.0, 200, 8),
    ("lstm", -9.0, 100, 20),
    ("lstm", 4.0, 100, 5),
    ("peephole_lstm", -5.0, 120, 10),
    ("lstm", -7.0, 30, 16),
):
    x = levels((steps, 1.0), noise=1.0) if units % 4 else None
    net = gated(name, x, units, f=14.0, o=out)
    title = f"{name}, f = 1, output bias {out:g}, T = {steps}" + ("" if units % 4 else ", from a file")
    add_net(KIND, title, LOOP, through_the_cell, net, **({} if x is not None else {"steps": steps}))

KIND = "fades in c"
for name, forget, out, steps in (
    ("lstm", 2.0, -6.0, 100),
    ("lstm", 1.0, 3.0, 60),
    ("lstm", 0.0, -4.0, 40),
    ("peephole_lstm", 2.5, -5.0, 120),
    ("lstm", 3.0, -8.0, 250),
    ("lstm", 1.5, 0.0, 80),
):
    net = gated(name, levels((steps, 1.0), noise=1.0), 10, f=forget, o=out)
    add_net(KIND, f"{name}, forget bias {forget:g}, output bias {out:g}", LOOP, through_the_cell, net)

KIND = "gates that change"
for name, (n, first), (m, then), gate in (
    ("min_gru", (50, 8.0), (50, 0.5), "z"),
    ("gru", (60, 0.5), (40, 9.0), "z"),
    ("janet", (30, 1.0), (70, 8.0), "f"),
    ("min_gru", (120, 9.0), (80, 1.0), "z"),
    ("gru", (25, 8.0), (25, 0.0), "z"),
    ("janet", (100, 0.8), (100, 9.0), "f"),
):
    x = levels((n, first), (m, then), noise=0.0)
    title = f"{name}, {n} steps of {first:g}, {m} of {then:g} at the {gate} gate"
    add_net(KIND, title, LOOP, turning(input_gates, m), gated(name, x, 14, see=1.0))
