"""What costs far more than the passes that it describes, in every run within a budget: spectral norms, eigenvalues.

Costs are counted in multiply-adds of the engine's products: a factor of the weights' size or of H^3 each, as measured.
A run spends LEAST, or SHARE of what its forward and backward pass and parameter gradients cost if that is more. What is
asked for by name, `analyze(record=["jacobian_spectral"])`, is computed in full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, to_numpy
from .base import Recording, once, quantity

SPECTRAL_TOL = 1e-2  # a bound on the error; the error itself is about its square
SPECTRAL_COST = 35  # of one Jacobian's spectral norm, times the number of recurrent weights
EIGENVALUE_COST = 31  # of a gate's eigenvalues, times H^3
PASS_COST = 3  # of one step of one sample in the passes, times the number of recurrent weights
MISSING = complex(np.nan, np.nan)
SHARE, LEAST = 0.5, 1.5e9  # of the passes; multiply-adds, less than a tenth of a second


@dataclass(frozen=True)
class Plan:
    """What is affordable: some samples, every so-many-th of their steps, and the eigenvalues of the weights."""

    samples: list[int]
    every: int
    eigenvalues: bool


@once
def plan(run: Recording) -> Plan:
    """What the budget allows: the eigenvalues for up to half of it, then whole samples, at last a part of the steps.

    The longest samples, as a short one (or one that overflowed early) tells of few steps.
    """
    traj, size = run.traj, _multiplied(run)
    steps, batch = traj.steps, traj.states.shape[-2]
    left = max(LEAST, SHARE * PASS_COST * size * steps * batch)
    cost = EIGENVALUE_COST * traj.cell.hidden_size * traj.weights["W_hh"].size / len(traj.cell.reads)
    eigenvalues = cost <= left / 2
    jacobians = max(1, int((left - cost * eigenvalues) / (SPECTRAL_COST * size)))
    if "jacobian_spectral" in run.wanted:
        jacobians = steps * batch
    count = min(batch, max(1, jacobians // steps))
    longest = np.argsort(-traj.valid_steps.reshape(-1, batch).sum(axis=0), kind="stable")[:count]
    every = math.ceil(count * steps / jacobians)
    return Plan(sorted(longest.tolist()), every, eigenvalues or "recurrent_eigenvalues" in run.wanted)


def _multiplied(run: Recording) -> int:
    """What a step multiplies one sample's state by, in numbers: its recurrent weights, or the blocks of its carry."""
    carry = len(run.traj.cell.states) ** 2 * run.traj.cell.hidden_size
    return max(run.traj.weights["W_hh"].size, carry)


@once
def spectral(run: Recording) -> tuple[Array, float]:
    """Spectral norms (T, *M, B), NaN where they were left out for their cost, and the largest bound on their error."""
    chosen, traj, xp = plan(run), run.traj, run.xp
    values = xp.full((traj.steps, *traj.states.shape[2:-1]), xp.nan, dtype=traj.states.dtype)
    norms, bounds = run.jacobian.of_samples(chosen.samples).spectral_with_bound(SPECTRAL_TOL, chosen.every)
    values[:: chosen.every, ..., chosen.samples] = norms
    return values, float(bounds.max())


def how_many(run: Recording) -> dict[str, Any]:
    """samples, every: that the norms are of so many samples, and of every so-many-th step from the first."""
    return {"samples": len(plan(run).samples), "every": plan(run).every, "residual": spectral(run)[1]}


@quantity(("step", "*", "sample"), "||J_t||_2", about=how_many, costly=True)
def jacobian_spectral(run: Recording) -> Array:
    """Spectral norm of the one-step Jacobian, the largest possible factor of one step."""
    return run.masked(spectral(run)[0])


@quantity(("recurrent_gate", "*", "index", "part"), "lambda_i(W)", costly=True)
def recurrent_eigenvalues(run: Recording) -> Array:
    """Eigenvalues of each gate's recurrent weights; missing where they were left out for their cost."""
    values = eigenvalues(run)
    return np.stack([values.real, values.imag], axis=-1)


@quantity(("recurrent_gate", "*"), "rho(W)", snapshot=True)
def spectral_radius(run: Recording) -> Array:
    """Largest absolute eigenvalue of each gate's recurrent weights; missing where those are."""
    return np.abs(eigenvalues(run)).max(axis=-1)


@quantity(("recurrent_gate", "*", "index"), "sigma_i(W)")
def recurrent_singular_values(run: Recording) -> Array:
    """Singular values of each gate's recurrent weights, largest first."""
    if run.traj.cell.diagonal:
        return -np.sort(-np.abs(_multipliers(run)))
    return np.linalg.svd(square_weights(run), compute_uv=False)


@once
def eigenvalues(run: Recording) -> np.ndarray:
    """(G_h, *M, H), complex where any is; NaN where they are too costly. Of a diagonal cell the diagonal."""
    if run.traj.cell.diagonal:
        return _multipliers(run)
    weights = square_weights(run)
    values: np.ndarray = np.linalg.eigvals(weights) if plan(run).eigenvalues else np.full(weights.shape[:-1], MISSING)
    return values


def _multipliers(run: Recording) -> np.ndarray:
    """What the units of a diagonal cell multiply their states by (1, *M, H), in host memory."""
    found: np.ndarray = to_numpy(run.traj.cell.multipliers(run.traj.weights))[None]
    return found


def square_weights(run: Recording) -> np.ndarray:
    """The recurrent weights of the first state that the cell reads (G_h, *M, H, H), in host memory."""
    weights: np.ndarray = to_numpy(run.traj.weights["W_hh"])[..., : run.traj.cell.hidden_size]
    return weights
