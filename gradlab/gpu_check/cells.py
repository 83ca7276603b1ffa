"""Every registered cell: forward, backward, Jacobians and recordings; padded samples; gradients of any magnitude."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ..arrays import Namespace
from ..cells import CELLS
from ..engine.backward import Gradients
from ..engine.cell_declaration import makes_weights
from ..engine.jacobian import jacobian
from ..engine.scaled import Scaled
from ..engine.step_clipping import STEP_MODES
from ..quantities import Recorder
from .agreement import LOGARITHM, Found, Item
from .problems import LONG, MODELS, SIZES, Problem, Sizes, random_problem

Look = Callable[[Namespace, Problem], Found]


def cells() -> Iterator[Item]:
    """Each cell, alone and with a model axis."""
    through_time = {"forward": forward, "backward": backward, "recordings": recordings}
    each_step = {"Jacobians": jacobians, "spectral norms": spectral, "paths": paths}
    for name in CELLS:
        for models in MODELS:
            for what, look in through_time.items():
                yield _item(name, what, look, models, LONG)
        for what, look in each_step.items():
            yield _item(name, what, look, MODELS[-1])


def masks() -> Iterator[Item]:
    """Each cell on samples of different lengths, clipped at every step in each way there is, and truncated."""
    for name in CELLS:
        for models in MODELS:
            yield _item(name, "padded", padded, models)
            for mode in STEP_MODES:
                yield _item(name, f"padded, clipped by {mode}", partial(padded, clip=(mode, 0.5)), models)
            yield _item(name, "padded, truncated", partial(padded, truncate=3), models)


def extremes() -> Iterator[Item]:
    """Gradients far beyond the range of floating-point numbers, on both sides."""
    for name in CELLS:
        for models in MODELS:
            yield replace(_item(name, "huge and tiny loss gradients", scaled, models), factor=32.0)
            yield _item(name, "explodes", partial(grown, by=1e20), models)
            yield _item(name, "vanishes", partial(grown, by=1e-20), models)


def _item(name: str, what: str, look: Look, models: tuple[int, ...], sizes: Sizes = SIZES) -> Item:
    problem = partial(random_problem, name, models, sizes)
    label = f"{name}{' with models' if models else ''}: {what}"
    return Item(label, lambda xp, dtype: look(xp, problem().moved(xp, dtype)))


def forward(xp: Namespace, problem: Problem) -> Found:
    """States and gates."""
    traj = problem.unroll()
    return {"states": traj.states, "gates": traj.gates, "pre-activations": traj.pre}


def backward(xp: Namespace, problem: Problem) -> Found:
    """Gradients by parameters, inputs and states."""
    return _gradients(problem.bptt())


def _gradients(grads: Gradients) -> Found:
    found = {f"dL/d{name}": g for name, g in grads.params.items()}
    found |= {"dL/dx": grads.inputs, "dL/dstate": grads.adjoints, "dL/dinitial": grads.adjoints[0]}
    return found | {LOGARITHM + "|dL/dstate|": grads.log_norms, LOGARITHM + "|update|": grads.log_update_norm}


def recordings(xp: Namespace, problem: Problem) -> Found:
    """What a run records on its way back."""
    traj = problem.unroll()
    recorder = Recorder(traj)
    problem.bptt(traj, observe=recorder)
    gates = recorder.gates
    return {
        "Frobenius norms": recorder.frobenius.values,
        "gate means": gates.mean,
        "saturation": gates.saturation,
        "slope": gates.slope,
        "dead units": gates.dead,
    }


def jacobians(xp: Namespace, problem: Problem) -> Found:
    """The one-step Jacobians as matrices and as operators."""
    traj = problem.unroll()
    matrices, vectors = jacobian(traj), problem.bptt(traj).adjoints[1:]
    return {
        "matrices": matrices.dense(),
        "Frobenius norms": matrices.frobenius(),
        "J v": matrices.apply(vectors),
        "J^T u": matrices.apply_transpose(vectors),
    }


def spectral(xp: Namespace, problem: Problem) -> Found:
    """||J_t||_2."""
    return {"spectral norms": jacobian(problem.unroll()).spectral()}


def paths(xp: Namespace, problem: Problem) -> Found:
    """The split of every step by path."""
    traj = problem.unroll()
    norms, shares = jacobian(traj).split(problem.bptt(traj).adjoints[1:])
    return {"norms": norms, "shares": shares}


def padded(xp: Namespace, problem: Problem, **options: object) -> Found:
    """Samples of different lengths, one of them empty."""
    traj = problem.unroll(lengths=xp.asarray(np.array([0, 7, len(problem.x)])))
    found = _gradients(problem.bptt(traj, **options)) | {"states": traj.states}
    return found | {"Frobenius norms": jacobian(traj).frobenius(), "matrices": jacobian(traj).dense()}


def scaled(xp: Namespace, problem: Problem) -> Found:
    """Loss gradients that are scaled numbers, with exponents from -1500 to 1500.

    States share an exponent. Steps of 300 leave what is below another state by that much at zero or in full precision,
    never among the denormal numbers between, which have few digits.
    """
    shape = (*problem.dL_dh.shape[:-1], 1)
    powers = xp.asarray((300 * np.random.default_rng(3).integers(-5, 6, shape)).astype(np.int32))
    return _logarithms(replace(problem, dL_dh=Scaled(problem.dL_dh, powers)))


def grown(xp: Namespace, problem: Problem, by: float) -> Found:
    """Recurrent weights times a factor, over states that stay at rest, so that the gradient leaves every range.

    A diagonal cell whose weights its parameters are has them in p; elsewhere p stays as it is.
    """
    nothing = {name: 0 * getattr(problem, name) for name in ("x", "initial", "dL_dh")}
    name = "p" if problem.cell.diagonal and not makes_weights(problem.cell) else "W_hh"
    weights = {name: by * problem.params[name], "b_h": 0 * problem.params["b_h"]}
    return _logarithms(replace(problem, params=problem.params | weights, **nothing))


def _logarithms(problem: Problem) -> Found:
    """Norms of what no plain number can hold, and its mantissas against those of float64."""
    grads = problem.bptt()
    found = {f"|dL/d{name}|": log for name, log in grads.log_param_norms.items()}
    found |= {"|dL/dstate|": grads.log_norms, "|dL/dx|": grads.scaled_inputs.log_norm(-1)}
    return {LOGARITHM + name: log for name, log in found.items()}
