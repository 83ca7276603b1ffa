"""Nets under noise, whose class is that of the exponent of a long forward run."""

from typing import Any

from gradlab.cells import CELLS

from ..cases import add, add_net
from ..long_runs import from_the_start, long_run
from .nets import drawn

LONG_RUN = "long run"
SMALL: dict[str, Any] = {"hidden_size": 24, "batch_size": 8}

KIND = "tanh and its like, fading"
for gain in (1.0, 1.5):
    add(KIND, f"tanh x{gain}", LONG_RUN, long_run, gain=gain)
for seed, init in enumerate(("uniform", "glorot_uniform", "he", "sparse", "antisymmetric"), 11):
    own = SMALL | {"recurrent_init": init, "gain": 0.4, "seed": seed}
    add(KIND, f"tanh, {init} x0.4, H = 24", LONG_RUN, long_run, **own)
add(
    KIND,
    "tanh, antisymmetric x6, H = 24",
    LONG_RUN,
    long_run,
    **SMALL,
    recurrent_init="antisymmetric",
    gain=6.0,
    seed=15,
)

KIND = "chaotic"
for gain in (2.5, 4.0):
    add(KIND, f"tanh x{gain}", LONG_RUN, long_run, gain=gain)
add(KIND, "tanh x2.2, 400 steps", LONG_RUN, long_run, gain=2.2, steps=400)
for phi in ("erf", "hard_tanh", "softsign", "sin"):
    add(KIND, f"{phi} x4", LONG_RUN, long_run, activation=phi, gain=4.0)
for name in ("lstm", "gru"):
    add(KIND, f"{name} x8", LONG_RUN, long_run, cell=name, gain=8.0)
add(KIND, "leak 0.5 x5", LONG_RUN, long_run, leak=0.5, gain=5.0)
for seed, init in enumerate(("uniform", "glorot_uniform", "he", "sparse"), 11):
    own = SMALL | {"recurrent_init": init, "gain": 6.0, "seed": seed}
    add(KIND, f"tanh, {init} x6, H = 24", LONG_RUN, long_run, **own)
add(KIND, "tanh x3, H = 200", LONG_RUN, long_run, gain=3.0, hidden_size=200, batch_size=4, seed=31)
add(KIND, "sigmoid x30", LONG_RUN, long_run, activation="sigmoid", gain=30.0, seed=32)

KIND = "chaotic, own input"
for gain, size, steps in ((3.0, 64, 300), (4.0, 30, 200), (2.6, 100, 400), (6.0, 16, 300), (5.0, 48, 150)):
    add_net(KIND, f"tanh x{gain}, H = {size}, T = {steps}", LONG_RUN, long_run, drawn(gain, size, steps), seed=size)

KIND = "near the edge"
for name, gain, size, steps, seed in (
    ("tanh", 1.95, 64, 100, 0),
    ("tanh", 1.93, 128, 60, 21),
    ("tanh", 2.1, 128, 600, 3),
    ("erf", 1.75, 100, 60, 4),
    ("tanh", 1.8, 100, 400, 5),
    ("tanh", 1.9, 64, 40, 6),
):
    own = {"activation": name, "gain": gain, "hidden_size": size, "steps": steps, "seed": seed, "batch_size": 8}
    add(KIND, f"{name} x{gain}, H = {size}, T = {steps}", LONG_RUN, long_run, **own)
add(KIND, "tanh, orthogonal x1.9", LONG_RUN, long_run, recurrent_init="orthogonal", gain=1.9)

KIND = "relu and its like"
for phi in ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus"):
    add(KIND, f"{phi} x0.8", LONG_RUN, long_run, activation=phi, gain=0.8)
for phi in ("relu", "selu", "gelu", "softplus"):
    add(KIND, f"{phi} x3", LONG_RUN, long_run, activation=phi, gain=3.0)

KIND = "gated, under noise"
for name in sorted(CELLS.keys() - {"elman"}):
    add(KIND, f"{name} with noise", LONG_RUN, long_run, cell=name, steps=150)
for name, bias, more in (
    ("lstm", 2.0, {"recurrent_init": "uniform", "input_scale": 0.1}),
    ("gru", 5.0, {"recurrent_init": "uniform", "input_scale": 0.1}),
    ("lstm", 1.0, {"steps": 300, "batch_size": 8}),
    ("gru", 2.0, {"hidden_size": 20, "batch_size": 8, "steps": 200}),
    ("lstm", "chrono", {"hidden_size": 40, "batch_size": 8}),
):
    add(KIND, f"{name}, forget bias {bias}, seed 22", LONG_RUN, long_run, cell=name, forget_bias=bias, seed=22, **more)

KIND = "leaky, under noise"
for leak, gain, steps in ((0.2, 1.0, 100), (0.1, 1.5, 60), (0.05, 1.0, 100), (0.7, 1.0, 100), (0.3, 0.5, 200)):
    add(KIND, f"leak {leak} x{gain}, T = {steps}", LONG_RUN, long_run, leak=leak, gain=gain, steps=steps, seed=steps)

KIND = "no input"
for cell, gain, size, steps, seed in (
    ("elman", 1.5, 12, 150, 1),
    ("elman", 3.0, 40, 100, 2),
    ("elman", 1.2, 24, 200, 3),
    ("gru", 2.0, 20, 200, 4),
    ("lstm", 1.5, 16, 150, 5),
    ("elman", 5.0, 64, 100, 6),
):
    own = {"cell": cell, "gain": gain, "hidden_size": size, "steps": steps, "seed": seed, "batch_size": 4}
    add(KIND, f"{cell} x{gain}, H = {size}, no input", LONG_RUN, from_the_start, input_scale=0.0, bias_scale=1.0, **own)
