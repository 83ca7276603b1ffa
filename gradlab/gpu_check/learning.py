"""What a network learns by: clippers, losses, optimizers, the regulariser."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array, Namespace
from ..cells import make_cell
from ..errors import InputError
from ..layers import Dense, Last, Recurrent, Sequential
from ..learning import CLIPPERS, LOSSES, OPTIMIZERS, make_clipper, omega
from ..learning.pascanu import FORMS
from .agreement import LOGARITHM, Found, Item
from .problems import MODELS, moved, random_problem

UPDATES = 50
SHAPES = {"W_hh": (3, 6, 6), "b_h": (3, 6), "W_hy": (2, 6)}
FIT = (7, 4, 3)  # steps, samples, outputs


def clippers() -> Iterator[Item]:
    """Each clipper over some updates that grow, and far beyond the range of numbers."""
    for mode in CLIPPERS:
        yield Item(f"{mode}: growing updates", partial(_clipped, mode, 0))
        yield Item(f"{mode}: updates times 2^3000", partial(_clipped, mode, 3000))


def _clipped(mode: str, exponent: int, xp: Namespace, dtype: str) -> Found:
    rng, clipper, found = np.random.default_rng(4), make_clipper(mode), Found()
    params = moved(xp, dtype, {name: rng.normal(size=shape) for name, shape in SHAPES.items()})
    for n in range(4):
        drawn = {name: 10.0**n * rng.normal(size=shape) for name, shape in SHAPES.items()}
        update = clipper.clip(params, moved(xp, dtype, drawn), exponent)
        found |= {f"{name} of update {n}": g for name, g in update.grads.items()}
        logs = {"before": update.log_norm_before, "after": update.log_norm_after}
        found |= {f"{LOGARITHM}|update {n}| {when}": log for when, log in logs.items()}
        found[f"angle of update {n}"] = update.angle
    return found


def losses() -> Iterator[Item]:
    """Each loss, with targets of each kind that it takes."""
    for name in LOSSES:
        for kind in ("numbers", "classes"):
            if _takes(name, kind):
                for models in MODELS:
                    for weighted in (False, True):
                        label = f"{name}, {kind}{' with models' if models else ''}{', weighted' if weighted else ''}"
                        yield Item(label, partial(_loss, name, kind, models, weighted))


def _takes(name: str, kind: str) -> bool:
    try:
        _loss(name, kind, (), False, np, "float64")
    except InputError:
        return False
    return True


def _loss(name: str, kind: str, models: tuple[int, ...], weighted: bool, xp: Namespace, dtype: str) -> Found:
    rng, (steps, samples, outputs) = np.random.default_rng(5), FIT
    shape = (steps, *models, samples, outputs)
    targets = {"numbers": rng.uniform(size=shape), "classes": rng.integers(0, outputs, shape[:-1])}[kind]
    y = 3 * rng.normal(size=shape)
    weights = rng.uniform(size=(steps, samples)) * (rng.uniform(size=(steps, samples)) > 0.3) if weighted else None
    arrays: Any = moved(xp, dtype, (y, targets, weights))
    value, slope = LOSSES[name](*arrays, model_axes=len(models))
    return {"value": value, "gradient": slope}


def optimizers() -> Iterator[Item]:
    """Each optimizer over a short training."""
    for name in OPTIMIZERS:
        yield Item(f"{name}: {UPDATES} updates of an Elman net", partial(_trained, name), factor=16.0)


def _trained(name: str, xp: Namespace, dtype: str) -> Found:
    """The losses on the way and the weights at the end."""
    rng, optimizer = np.random.default_rng(6), OPTIMIZERS[name]()
    net = Sequential(Recurrent(make_cell("elman", input_size=2, hidden_size=6)), Last(), Dense(6, 1))
    params = moved(xp, dtype, net.init(0))
    x, targets = moved(xp, dtype, (rng.normal(size=(5, 4, 2)), rng.normal(size=(4, 1))))
    state, curve = optimizer.init(params), list[Array]()
    for _ in range(UPDATES):
        y, tape = net.forward(params, x)
        value, slope = LOSSES["mse"](y, targets)
        curve.append(value)
        optimizer.step(params, net.backward(params, tape, slope)[1], state, 0.01)
    return params | {"loss": xp.stack(curve)}


def regularisers() -> Iterator[Item]:
    """Pascanu's Omega in each form, and its derivative."""
    for form in FORMS:
        for models in MODELS:
            label = f"Omega of an LSTM{' with models' if models else ''}, form {form}"
            yield Item(label, partial(_omega, form, models))


def _omega(form: str, models: tuple[int, ...], xp: Namespace, dtype: str) -> Found:
    problem = random_problem("lstm", models).moved(xp, dtype)
    traj = problem.unroll()
    value, derivative = omega(traj, problem.bptt(traj), form)
    return {"value": value} | {f"derivative by {name}": d for name, d in derivative.items() if name == "W_hh"}
