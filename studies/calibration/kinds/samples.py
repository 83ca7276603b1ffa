"""Batches whose samples differ, by construction."""

import numpy as np

import gradlab

from ..cases import Given, add_net
from ..long_runs import by_loudness
from ..truths import diagonal, input_gates
from .nets import Make, elman, gated, groups

LOOP = "plain loop"
ON, OFF = 1e-6, -1e6  # inputs under which the units of the nets below stay on, and off

KIND = "mixed batch"
for (grow, fade), gain, steps in (((16, 16), 1.2, 100), ((20, 12), 1.3, 80), ((3, 13), 1.15, 120), ((1, 7), 1.4, 60)):
    if grow == fade:
        grow += 1  # of equal groups the first would be a matter of chance
    net = elman(gain * np.eye(8 + grow), "leaky_relu", groups(steps, (grow, ON), (fade, -1.0)))
    add_net(KIND, f"leaky relu x{gain}: {grow} grow, {fade} fade", LOOP, diagonal, net)
for (grow, fade), gain, leak in (((10, 22), 1.5, 0.2), ((9, 4), 2.0, 0.1)):
    net = elman(gain * np.eye(10), "relu", groups(120, (grow, ON), (fade, OFF)), leak=leak)
    add_net(KIND, f"relu, leak {leak}: {grow} grow, {fade} fade", LOOP, diagonal, net)
for name, (keep, fade) in (("min_gru", (20, 12)), ("gru", (5, 11)), ("janet", (2, 6)), ("min_gru", (9, 8))):
    x = groups(90, (keep, 8.0), (fade, 1.0), noise=1.0)
    add_net(KIND, f"{name}: {keep} keep, {fade} fade", LOOP, input_gates, gated(name, x, 10, see=1.0))
x = np.concatenate([groups(100, (9, ON)), groups(100, (5, -1.0)), groups(100, (3, 0.0))], axis=1)
add_net(KIND, "leaky relu x1.2: three inputs", LOOP, diagonal, elman(1.2 * np.eye(6), "leaky_relu", x))

KIND = "mixed batch, tanh"


def two_scales(gain: float, size: int, quiet: int, loud: int, seed: int) -> Make:
    """Random tanh nets, some of whose samples get faint noise and the others so loud a one that they saturate."""

    def network() -> Given:
        cell = gradlab.make_cell("elman", input_size=4, hidden_size=size)
        scale = np.repeat([0.1, 10.0], [quiet, loud])[:, None]
        x = np.random.default_rng(seed).normal(size=(100, quiet + loud, 4)) * scale
        return Given(cell, cell.init(seed, gain=gain), x)

    return network


for gain, size, quiet, loud in (
    (3.0, 64, 6, 26),
    (2.5, 40, 4, 12),
    (4.0, 100, 3, 10),
    (3.5, 20, 2, 9),
    (2.8, 128, 2, 8),
):
    net = two_scales(gain, size, quiet, loud, size)
    title = f"tanh x{gain}, H = {size}: {quiet} grow, {loud} saturate"
    add_net(KIND, title, "long run", by_loudness, net, seed=size)

KIND = "exactly zero in some"
for (alive, dead), gain, steps in (
    ((11, 9), 1.0, 100),
    ((9, 11), 1.0, 80),
    ((12, 4), 1.2, 60),
    ((5, 3), 0.8, 90),
    ((2, 14), 1.3, 50),
    ((25, 7), 0.99, 120),
):
    x = groups(steps, (alive, ON), (dead, ON))
    x[steps // 3, alive:, 0] = OFF  # one step at which every unit is off
    net = elman(gain * np.eye(6 + alive), "relu", x)
    add_net(KIND, f"relu x{gain}: {alive} alive, {dead} cut at one step", LOOP, diagonal, net)

KIND = "unequal lengths"
for gain, lengths in (
    (1.0, [200] * 9 + [6] * 11),
    (0.9, [150] * 5 + [20] * 3),
    (1.1, [100] * 6 + [15] * 9),
    (1.05, [300] * 3 + [30] * 2 + [4] * 6),
    (0.8, [90, 80, 70, 60, 50, 9, 8]),
    (1.0, [50, 40, 30, 20, 10]),
    (1.2, [60] * 4 + [1] * 4 + [12] * 3),
):
    x = groups(max(lengths), (len(lengths), 1.0), noise=1.0)
    net = elman(gain * np.eye(7), "identity", x, lengths=np.array(lengths))
    add_net(KIND, f"identity x{gain}, lengths {min(lengths)} to {max(lengths)}", LOOP, diagonal, net)
