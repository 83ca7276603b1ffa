"""Nets that are linear where they run: matrix powers know everything."""

import math
from typing import Any

import numpy as np

from ..cases import add, add_net
from ..long_runs import from_the_start
from ..truths import at_most, cannot_tell, clipped, exactly, grows_beyond, input_beyond, linear
from .nets import Make, chain, elman, groups, levels, positive, triangle, turned

LINEAR: dict[str, Any] = {"activation": "identity"}
EXACT, POWERS, LONG_RUN = "closed form", "matrix powers", "long run"

KIND = "linear"
for gain, size in ((0.9, 64), (1.1, 64), (0.8, 5), (1.2, 33), (0.5, 128)):
    own = {"recurrent_init": "orthogonal", "gain": gain, "hidden_size": size, "seed": size}
    add(KIND, f"orthogonal linear x{gain}, H = {size}", EXACT, exactly(math.log(gain)), **LINEAR, **own)
for gain, steps in ((1.3, 100), (0.9, 150), (1.05, 300)):
    own = {"recurrent_init": "identity", "gain": gain, "steps": steps}
    add(KIND, f"identity linear x{gain}, T = {steps}", EXACT, exactly(math.log(gain)), **LINEAR, **own)
add(KIND, "IRNN x0.8", EXACT, at_most, activation="relu", recurrent_init="identity", gain=0.8)
for size, radius in ((6, 1.2), (30, 0.8), (17, 1.15)):
    net = elman(positive(size, radius, size), "relu", groups(90, (8, 1.0)))
    add_net(KIND, f"relu, all on, radius {radius}, H = {size}", POWERS, linear, net)

KIND = "linear, carried"
for init, gain, steps in (
    ("orthogonal", 1.0, 100),
    ("identity", 0.98, 100),
    ("orthogonal", 1.01, 120),
    ("identity", 1.0, 1000),
    ("orthogonal", 0.97, 50),
    ("identity", 1.02, 60),
):
    own = {"recurrent_init": init, "gain": gain, "steps": steps, "hidden_size": 16 + steps // 10}
    add(KIND, f"{init} linear x{gain}, T = {steps}", EXACT, exactly(math.log(gain)), **LINEAR, **own)

KIND = "leaky, linear"
for leak, gain, steps in ((0.2, 0.5, 100), (0.1, 1.0, 200), (0.5, 1.3, 100), (0.05, 0.9, 100), (0.3, 0.2, 60)):
    own = {"recurrent_init": "identity", "leak": leak, "gain": gain, "steps": steps, "seed": steps}
    add(KIND, f"leak {leak}, identity x{gain}", EXACT, exactly(math.log(1 - leak + leak * gain)), **LINEAR, **own)

KIND = "bounded above"
for phi, init, gain, size in (
    ("tanh", "gaussian", 0.3, 64),
    ("tanh", "orthogonal", 0.9, 64),
    ("sigmoid", "gaussian", 1.0, 64),
    ("softsign", "orthogonal", 0.9, 20),
    ("erf", "uniform", 0.6, 40),
    ("relu", "gaussian", 0.35, 96),
    ("sin", "orthogonal", 0.85, 10),
    ("sigmoid", "orthogonal", 3.0, 30),
):
    own = {"activation": phi, "recurrent_init": init, "gain": gain, "hidden_size": size, "seed": size}
    add(KIND, f"{phi}, {init} x{gain}, H = {size}", EXACT, at_most, **own)


def filed(kind: str, name: str, w: np.ndarray, steps: int, **fields: Any) -> None:
    """Linear, with its weights in a file."""
    add_net(kind, f"{name}, T = {steps}", POWERS, linear, elman(w, "identity"), steps=steps, **fields)


KIND = "non-normal, stable, short"
for size, coupling, steps, seed in ((4, 9.0, 16, 0), (3, 250.0, 12, 1), (6, 3.0, 20, 2), (12, 2.0, 40, 3)):
    filed(KIND, f"chain of {size}, x{coupling:g}", chain(size, 0.8, coupling), steps, seed=seed)
for size, coupling, steps, seed in ((10, 6.0, 24, 4), (20, 2.5, 30, 5), (40, 1.5, 50, 6)):
    filed(KIND, f"triangle of {size}", triangle(size, 0.8, coupling, seed), steps, seed=seed)
for size, coupling, steps, seed in ((4, 8.0, 18, 7), (6, 4.0, 20, 8)):
    filed(KIND, f"turned chain of {size}", turned(chain(size, 0.8, coupling), seed), steps, seed=seed)
filed(KIND, "turned triangle of 10", turned(triangle(10, 0.7, 6.0, 9), 9), 20)

KIND = "non-normal, stable, long"
for size, coupling, steps in ((4, 5.0, 200), (3, 40.0, 150), (6, 3.0, 250)):
    filed(KIND, f"chain of {size}, x{coupling:g}", chain(size, 0.8, coupling), steps)
filed(KIND, "triangle of 10", triangle(10, 0.7, 1.0, 1), 250)
filed(KIND, "turned chain of 4", turned(chain(4, 0.8, 5.0), 2), 200)
filed(KIND, "turned triangle of 8", turned(triangle(8, 0.7, 1.5, 3), 3), 150)
peak = elman(triangle(32, 0.7, 2.0, 521), "identity", levels((163, 1.0), noise=1.0))
add_net(KIND, "triangle of 32, T = 163, own input", POWERS, linear, peak)

KIND = "non-normal, unstable"
for size, own_value, steps in ((4, 1.1, 60), (6, 1.05, 100), (3, 1.3, 40)):
    filed(KIND, f"chain of {size}, own {own_value}", chain(size, own_value, 1.0), steps)
filed(KIND, "triangle of 20, own 1.1", triangle(20, 1.1, 0.5, 4), 80)
filed(KIND, "turned triangle of 12, own 1.2", turned(triangle(12, 1.2, 0.5, 5), 5), 60)
filed(KIND, "turned chain of 5, own 1.15", turned(chain(5, 1.15, 1.0), 6), 50)

KIND = "non-normal, own input"
for name, w, steps in (
    ("chain of 4", chain(4, 0.8, 9.0), 16),
    ("triangle of 10", triangle(10, 0.8, 6.0, 14), 24),
    ("turned chain of 4", turned(chain(4, 0.8, 8.0), 15), 18),
    ("chain of 5", chain(5, 0.7, 6.0), 14),
    ("chain of 6, own 1.2", chain(6, 1.2, 1.0), 40),
):
    add_net(
        KIND, f"{name}, T = {steps}, own input", POWERS, linear, elman(w, "identity", levels((steps, 1.0), noise=1.0))
    )

KIND = "too few steps to tell"
for phi, w, steps in (
    ("tanh", chain(4, 0.8, 9.0), 16),
    ("tanh", turned(chain(4, 0.8, 8.0), 15), 18),
    ("softsign", chain(5, 0.7, 6.0), 14),
    ("tanh", triangle(10, 0.8, 6.0, 14), 24),
    ("erf", chain(3, 1.4, 2.0), 30),
    ("sin", turned(triangle(6, 1.5, 1.0, 3), 3), 25),
):
    x = levels((steps, 0.0), noise=1.0)
    net = elman(w, phi, x, read=0.0)
    add_net(KIND, f"{phi} at rest, H = {len(w)}, T = {steps}", POWERS, cannot_tell, net)

KIND = "non-normal, tanh"


def quiet(w: np.ndarray) -> Make:
    """So small an input that tanh stays near its straight part in spite of the growth."""
    return elman(w, "tanh", read=1e-6)


for name, w, steps in (
    ("chain of 4", chain(4, 0.7, 12.0), 16),
    ("chain of 6", chain(6, 0.7, 5.0), 20),
    ("turned chain of 5", turned(chain(5, 0.6, 6.0), 1), 16),
    ("chain of 4", chain(4, 0.7, 5.0), 150),
    ("triangle of 10", triangle(10, 0.6, 1.5, 2), 150),
    ("turned triangle of 8", turned(triangle(8, 0.6, 8.0, 3), 3), 16),
):
    add_net(KIND, f"{name}, tanh, T = {steps}", LONG_RUN, from_the_start, quiet(w), steps=steps)

KIND = "overflow by the weights"
for phi, gain, steps, size in (("identity", 10.0, 400, 64), ("relu", 30.0, 250, 10), ("identity", 1e30, 100, 30)):
    own = {"activation": phi, "recurrent_init": "identity", "gain": gain, "steps": steps, "hidden_size": size}
    add(KIND, f"{phi}, identity x{gain:g}, {steps} steps", EXACT, grows_beyond, **own)
for phi, gain, size in (("relu", 4.0, 64), ("identity", 3.0, 7), ("leaky_relu", 5.0, 20)):
    own = {"activation": phi, "recurrent_init": "identity", "gain": gain, "hidden_size": size, "dtype": "float32"}
    add(KIND, f"{phi}, identity x{gain:g}, float32", EXACT, grows_beyond, **own)

KIND = "overflow by the input"
for phi, gain, at, size in (
    ("identity", 0.5, 30, 8),
    ("relu", 0.9, 60, 20),
    ("identity", 1.0, 15, 3),
    ("leaky_relu", 0.7, 80, 12),
    ("selu", 0.6, 40, 30),
    ("identity", 0.2, 90, 50),
):
    x = levels((at, 1.0), (1, 1e308), (99 - at, 1.0), batch=4)
    net = elman(gain * np.eye(size), phi, x, read=100.0)
    add_net(KIND, f"{phi}, weights x{gain}, input of 1e308 at step {at + 1}", EXACT, input_beyond, net)

KIND = "clipped inside"
for mode, gain, limit, size in (
    ("step_norm", 1.2, 3.0, 20),
    ("step_norm", 1.3, 5000.0, 12),
    ("step_value", 1.2, 1.0, 30),
    ("step_norm", 0.9, 3.0, 16),
    ("step_value", 1.5, 2000.0, 8),
    ("step_norm", 1.5, 2.0, 40),
):
    own = {"recurrent_init": "identity", "gain": gain, "hidden_size": size, "clip": mode, "clip_threshold": limit}
    add(KIND, f"identity x{gain}, {mode} at {limit:g}", EXACT, clipped, **LINEAR, **own)

KIND = "float32"
for phi, init, gain, size in (
    ("identity", "orthogonal", 0.9, 20),
    ("identity", "orthogonal", 1.0, 48),
    ("identity", "identity", 1.15, 30),
    ("identity", "identity", 0.3, 12),
    ("identity", "orthogonal", 1.4, 9),
):
    own = {"activation": phi, "recurrent_init": init, "gain": gain, "hidden_size": size, "dtype": "float32"}
    add(KIND, f"{init} {phi} x{gain}, float32", EXACT, exactly(math.log(gain)), **own)
