"""Gated cells: the rate at rest, from the actual weights, and MinimalRNN's mean field."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..arrays import Array, quiet, require_finite, to_numpy
from ..cells import Cell
from ..cells.activations import ACTIVATIONS
from ..engine.forward import unroll
from ..engine.jacobian import StateJacobian, jacobian
from ..errors import InputError
from .gaussian import average
from .phases import LARGEST_SCALE, single_scales

SIGMOID = ACTIVATIONS["sigmoid"]
SETTLE_STEPS = 256  # between two looks at whether the state rests
SETTLE_ROUNDS = 40
AT_REST = 1e-12  # relative change of a state that rests
SETTLED = 1e-12  # and of a variance
LARGEST_BIAS, LARGEST_SQUARE = 100, LARGEST_SCALE**2
HAIR, JUMP = 1e-9, 1e-2  # beside the state; share of the Jacobian by which it changes over that at a kink

Params = Mapping[str, np.ndarray]


def zero_input_rate(cell: Cell, params: Mapping[str, Array]) -> np.ndarray:
    """ln of the spectral radius of the state Jacobian at the state (*M) in which the cell rests without input.

    Where h = c = 0 rests (no bias on the candidate) this is, with gates at rest i, f, o, z, r and slope s of phi at 0,

        LSTM   ln rho(diag(f) + diag(i s) U_g diag(o s))      default biases: sigma(b_f) I + U_g / 4
        GRU    ln rho(diag(z) + diag((1 - z) s r) U_n)        default biases: z I + (1 - z) U_n / 2

    Raises InputError for parameters that are not the cell's or not finite, and where the state does not come to rest or
    rests on a kink of phi, as that of a ReLU without bias does.
    """
    return log_spectral_radius(_jacobian_at_rest(cell, host_parameters(cell, params)))


def host_parameters(cell: Cell, params: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """The parameters in host memory, float64; InputError where they are not the cell's or not finite."""
    cell.require(params)
    for name, array in params.items():
        require_finite(name, array)
    return {name: to_numpy(p).astype(float) for name, p in params.items()}


def log_spectral_radius(w: np.ndarray) -> np.ndarray:
    """ln of the largest |eigenvalue| of (*M, N, N)."""
    with quiet():
        return np.log(np.abs(np.linalg.eigvals(w)).max(axis=-1))


def _jacobian_at_rest(cell: Cell, params: Params) -> np.ndarray:
    """The dense state Jacobian (*M, SH, SH) where the state rests without input, reached from zero."""
    state = None
    for _ in range(SETTLE_ROUNDS):
        traj = unroll(cell, params, np.zeros((SETTLE_STEPS, 1, cell.input_size)), state)
        last, state = traj.states[-2], traj.states[-1]
        with quiet():
            moved = np.abs(state - last).max()
        if moved <= AT_REST * max(1.0, np.abs(state).max()):
            _require_smooth(cell, params, state)
            return _jacobian_at(cell, params, state).dense()[0, ..., 0, :, :]
        if not np.isfinite(moved):
            break
    doing = f"still moved by {moved:.2g} per step" if np.isfinite(moved) else "overflowed"
    raise InputError(
        f"zero_input_rate: expected a network that comes to rest without input; the state of {cell!r} {doing}. "
        "Its Lyapunov exponents say how its gradient grows: gradlab.lyapunov"
    )


def _jacobian_at(cell: Cell, params: Params, state: np.ndarray) -> StateJacobian:
    return jacobian(unroll(cell, params, np.zeros((1, 1, cell.input_size)), state))


def _require_smooth(cell: Cell, params: Params, state: np.ndarray) -> None:
    """InputError where the Jacobian jumps within a hair of the state."""
    nudge, vector = np.random.default_rng(0).normal(size=(2, *state.shape))
    sides = [_jacobian_at(cell, params, state + hair * nudge).apply(vector[None]) for hair in (HAIR, -HAIR)]
    jump, size = (np.abs(v).max(axis=(0, 1, -2, -1)) for v in (sides[1] - sides[0], sides[0]))
    if (jump > JUMP * size).any():
        raise InputError(
            f"zero_input_rate: expected a Jacobian where the network rests; {cell!r} rests on a kink of its "
            "activation. Give it a bias or an input"
        )


def minimal_rnn_chi(sigma_w: float, sigma_v: float, square: float, mean_b: float = 0.0, sigma_b: float = 0.0) -> float:
    """chi_1 of h' = u h + (1 - u) z, u = sigmoid(W h + V x + b): the factor of the squared gradient norm per step.

    chi = E u^2 + sigma_w^2 E[(u (1 - u))^2] (Q + R), with Q = E h^2 = R E (1 - u)^2 / (1 - E u^2) and R = `square`, the
    mean square of the embedded input z. mean_b, sigma_b: mean and standard deviation of the gate's bias.
    Raises InputError for scales outside [0, 1000], squares beyond 1e6 and means of the bias beyond 100.
    Source: Chen, Pennington & Schoenholz 2018.
    """
    sigma_w, sigma_v, sigma_b = single_scales(sigma_w=sigma_w, sigma_v=sigma_v, sigma_b=sigma_b)
    if not 0 <= square <= LARGEST_SQUARE:
        raise InputError(f"square: expected a number from 0 to {LARGEST_SQUARE:g}, got {square}", "square")
    if not abs(mean_b) <= LARGEST_BIAS:
        raise InputError(f"mean_b: expected a number from -{LARGEST_BIAS} to {LARGEST_BIAS}, got {mean_b}", "mean_b")

    def gate(q: float, f: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
        """E f(u, 1 - u); 1 - u on its own keeps its digits."""
        return float(average(lambda a: f(SIGMOID.value(np, a), SIGMOID.value(np, -a)), q, mean_b))

    state, before = square, -1.0
    while abs(state - before) > SETTLED * state:
        q = sigma_w**2 * state + sigma_v**2 + sigma_b**2
        taken = gate(q, lambda u, rest: rest * rest) / gate(q, lambda u, rest: rest * (1 + u))
        state, before = square * taken, state
    slope = gate(q, lambda u, rest: (u * rest) ** 2)
    return gate(q, lambda u, rest: u * u) + sigma_w**2 * slope * (state + square)
