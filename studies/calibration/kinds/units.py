"""Units that are saturated, dead, switched over time, or in a cycle; runs that are too short."""

import numpy as np

import gradlab

from ..cases import Given, add, add_net
from ..long_runs import never_on
from ..truths import by_definition, diagonal, flat_under_input, turning
from .nets import Make, elman, levels

EXACT, LOOP, COUNT = "closed form", "plain loop", "count"

KIND = "saturated by the input"
for phi, scale, size in (
    ("tanh", 10.0, 64),
    ("sigmoid", 20.0, 64),
    ("hard_tanh", 8.0, 64),
    ("erf", 8.0, 64),
    ("tanh", 15.0, 12),
    ("sigmoid", 30.0, 30),
):
    own = {"activation": phi, "input_scale": scale, "hidden_size": size, "seed": size}
    add(KIND, f"{phi}, input x{scale:g}, H = {size}", EXACT, flat_under_input, **own)

KIND = "saturated by the bias"
for phi, scale, size in (
    ("tanh", 12.0, 64),
    ("sigmoid", 25.0, 40),
    ("erf", 10.0, 50),
    ("hard_tanh", 9.0, 32),
    ("tanh", 20.0, 128),
):
    own = {"activation": phi, "bias_scale": scale, "input_scale": 0.5, "hidden_size": size, "seed": size}
    add(KIND, f"{phi}, biases of {scale:g}, H = {size}", EXACT, flat_under_input, **own)


def held_off(phi: str, bias: float, size: int, seed: int) -> Make:
    """Three quarters of the units get a bias that keeps them off."""

    def network() -> Given:
        cell = gradlab.make_cell("elman", input_size=3, hidden_size=size, activation=phi)
        params = cell.init(seed, recurrent_init="glorot_uniform")
        params["b_h"][:, : size * 3 // 4] += bias
        return Given(cell, params, np.random.default_rng(seed).normal(size=(80, 16, 3)))

    return network


KIND = "dead units"
for phi, bias, size in (
    ("relu", -9.0, 48),
    ("gelu", -40.0, 48),
    ("relu", -12.0, 16),
    ("relu", -8.0, 80),
    ("gelu", -30.0, 24),
):
    add_net(KIND, f"{phi}, biases {bias:g}, H = {size}", COUNT, never_on, held_off(phi, bias, size, 5 + size))

KIND = "regimes"
ON, OFF = 1e-6, -1e9
for (n, first), (m, then), gain, leak in (
    ((50, ON), (50, OFF), 2.0, 0.2),
    ((60, OFF), (60, ON), 2.0, 0.2),
    ((30, OFF), (90, ON), 1.5, 0.25),
    ((100, ON), (40, OFF), 1.6, 0.3),
    ((80, OFF), (40, ON), 3.0, 0.1),
    ((45, ON), (90, OFF), 2.5, 0.15),
):
    net = elman(gain * np.eye(12), "relu", levels((n, first), (m, then)), leak=leak)
    title = f"relu x{gain}, leak {leak}: {n} steps {'on' if first > 0 else 'off'}, {m} {'on' if then > 0 else 'off'}"
    add_net(KIND, title, LOOP, turning(diagonal, m), net)
for n, m, gain in ((40, 40, 1.3), (70, 50, 1.0)):
    net = elman(gain * np.eye(9), "leaky_relu", levels((n, ON), (m, OFF)))
    add_net(KIND, f"leaky relu x{gain}: {n} steps on, {m} off", LOOP, turning(diagonal, m), net)
for (n, first), (m, then), (k, last) in (
    ((40, ON), (40, OFF), (40, ON)),
    ((30, OFF), (60, ON), (50, OFF)),
    ((60, OFF), (30, ON), (60, OFF)),
):
    net = elman(2.0 * np.eye(8), "relu", levels((n, first), (m, then), (k, last)), leak=0.2)
    title = f"relu x2, leak 0.2: {n}, {m} and {k} steps, {'on, off, on' if first > 0 else 'off, on, off'}"
    add_net(KIND, title, LOOP, turning(diagonal, k, k + m), net)

KIND = "cycles"
for phi, weight, steps, bias in (
    ("tanh", -1.5, 100, 0.0),
    ("tanh", -1.2, 200, 0.1),
    ("sin", -1.8, 100, 0.0),
    ("sin", 1.5, 120, 0.3),
    ("sin", -2.0, 150, 0.1),
    ("tanh", -3.0, 80, 0.2),
):
    net = elman(weight * np.eye(10), phi, levels((steps, 0.1)), bias=bias)
    add_net(KIND, f"{phi} x{weight:g}, bias {bias:g}, T = {steps}", LOOP, diagonal, net)

KIND = "too short"
for name, steps in (("elman", 8), ("gru", 9), ("lstm", 2), ("min_gru", 5), ("elman", 1), ("lru", 9)):
    add(KIND, f"{name}, {steps} steps", "definition", by_definition("too short"), cell=name, steps=steps)
