"""Gradients of a chaotic net explode at its largest Lyapunov exponent; the QR method is calibrated on known systems.

Claim: Mikhaeil, Monfared & Durstewitz 2022. In a tanh net of 200 units at gain 2, ln ||dL/dh_{T-k}|| grows by lambda_1
of the same trajectory, within 0.003 over 1000 steps. The logistic and Henon maps and the Lorenz flow have their
published exponents within 3 standard errors, and the exact sums. Run it with `python3 -m studies.chaos_gradients`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

import gradlab

from .report import Row, main

UNITS, GAIN, STEPS, SETTLING = 200, 2.0, 1000, 500
SEEDS = range(3)
SLOPE, ERRORS = 0.003, 3.0  # allowed difference of the slopes; standard errors from published values
DT = 0.01  # of the Lorenz flow's integrator


@dataclass(frozen=True)
class System:
    """A map with known exponents, per `unit` of time, and their exact sum; start (B, n)."""

    step: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray
    known: tuple[float, ...]
    total: float
    unit: float = 1.0
    rounding: float = 1e-4  # of the published values
    exactness: float = 1e-12  # of the sum


def henon(x: np.ndarray) -> np.ndarray:
    """x' = 1 - 1.4 x^2 + y, y' = 0.3 x."""
    return np.stack([1 - 1.4 * x[..., 0] ** 2 + x[..., 1], 0.3 * x[..., 0]], axis=-1)


def henon_jacobian(x: np.ndarray) -> np.ndarray:
    """Its derivative."""
    jacobian = np.zeros((*x.shape, 2))
    jacobian[..., 0, 0], jacobian[..., 0, 1], jacobian[..., 1, 0] = -2.8 * x[..., 0], 1, 0.3
    return jacobian


def lorenz(x: np.ndarray) -> np.ndarray:
    """dx/dt at sigma = 10, rho = 28, beta = 8/3."""
    a, b, c = (x[..., i] for i in range(3))
    return np.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], axis=-1)


def lorenz_jacobian(x: np.ndarray) -> np.ndarray:
    """Its derivative."""
    jacobian = np.zeros((*x.shape, 3)) + np.array([[-10, 10, 0], [28, -1, 0], [0, 0, -8 / 3]])
    jacobian[..., 1, 0] -= x[..., 2]
    jacobian[..., 1, 2] = -x[..., 0]
    jacobian[..., 2, 0], jacobian[..., 2, 1] = x[..., 1], x[..., 0]
    return jacobian


def runge_kutta(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of the Lorenz flow by the classical fourth-order scheme, and its Jacobian by the chain rule."""
    change, slope = np.zeros_like(x), np.zeros_like(x)
    tangents, tangent = np.zeros((*x.shape, 3)), np.zeros((*x.shape, 3))
    for weight, share in ((1, 0.0), (2, 0.5), (2, 0.5), (1, 1.0)):
        at = x + share * DT * slope
        tangent = lorenz_jacobian(at) @ (np.eye(3) + share * DT * tangent)
        slope = lorenz(at)
        change, tangents = change + weight * slope, tangents + weight * tangent
    return x + DT / 6 * change, np.eye(3) + DT / 6 * tangents


def systems(samples: int = 32, seed: int = 0) -> dict[str, System]:
    """The maps with published exponents (Sprott 2003), from `samples` random starts each."""
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0.1, 0.9, (samples, 1)), rng.uniform(-0.1, 0.1, (samples, 2))
    sum_of_flow = -(10 + 1 + 8 / 3)
    return {
        "logistic map": System(
            lambda x: 4 * x * (1 - x), lambda x: (4 - 8 * x)[..., None], starts[0], (np.log(2),), np.nan
        ),
        "Henon map": System(henon, henon_jacobian, starts[1], (0.41922, np.log(0.3) - 0.41922), np.log(0.3)),
        "Lorenz flow": System(
            lambda x: runge_kutta(x)[0],
            lambda x: runge_kutta(x)[1],
            rng.uniform(-8, 8, (samples, 3)) + [0, 0, 25],
            (0.9056, 0.0, -14.5723),
            sum_of_flow,
            unit=DT,
            rounding=1e-3,  # the published values, and what an integrator with this step makes of them
            exactness=1e-3,
        ),
    }


def calibration(name: str, system: System, steps: int = 12_000, warmup: int = 1000) -> list[Row]:
    """A system's exponents beside the published ones, and their sum beside the exact one."""
    found = gradlab.lyapunov_of_map(system.step, system.jacobian, system.start, steps=steps, warmup=warmup, every=None)
    measured, error = found.exponents / system.unit, found.stderr / system.unit
    rows = [
        Row(f"{name}, exponent {i + 1}", known, float(measured[i]), ERRORS * float(error[i]) + system.rounding)
        for i, known in enumerate(system.known)
    ]
    if np.isfinite(system.total):
        rows.append(Row(f"{name}, sum", system.total, float(measured.sum()), system.exactness))
    return rows


def backward_and_forward(seed: int) -> tuple[np.ndarray, float]:
    """ln ||dL/dh_{T-k}|| over k = 0..T of a loss at the last step, and the largest exponent of that trajectory."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=UNITS)
    params, rng = cell.init(seed, gain=GAIN), np.random.default_rng([seed, 1])
    start = rng.normal(size=(1, 1, UNITS))
    settled = gradlab.unroll(cell, params, np.zeros((SETTLING, 1, 1)), start).states[-1]
    x, loss = np.zeros((STEPS, 1, 1)), np.zeros((STEPS, 1, UNITS))
    loss[-1] = rng.normal(size=UNITS)
    logs = gradlab.bptt(gradlab.unroll(cell, params, x, settled), loss).log_norms[:, 0, 0]
    found = gradlab.lyapunov(cell, params, x, k=1, warmup=0, initial_state=settled)
    return (logs - logs[-1])[::-1], float(found.exponents[0])


def study() -> tuple[list[Row], go.Figure]:
    """The slopes of three nets, the calibration, and the figure."""
    runs = [backward_and_forward(seed) for seed in SEEDS]
    rows = [Row(f"net {i}: slope of ln ||g||", rate, logs[-1] / STEPS, SLOPE) for i, (logs, rate) in enumerate(runs)]
    for name, system in systems().items():
        rows += calibration(name, system)
    return rows, figure(*runs[0])


def figure(logs: np.ndarray, rate: float) -> go.Figure:
    """Norm against steps back with the line of the exponent, and the time in which a difference doubles."""
    steps, doubling = np.arange(len(logs)), np.log(2) / rate
    fig = go.Figure()
    fig.add_scatter(x=steps, y=logs, name="ln ||dL/dh<sub>T-k</sub>||")
    fig.add_scatter(x=steps, y=rate * steps, name=f"λ<sub>1</sub> k, λ<sub>1</sub> = {rate:.3f}", line_dash="dash")
    fig.add_vline(x=doubling, line_dash="dot", annotation_text=f"a difference doubles in {doubling:.1f} steps")
    title = f"Gradient of a chaotic tanh net, {UNITS} units, gain {GAIN:g}"
    return fig.update_layout(template="plotly_white", title=title, xaxis_title="steps back k", yaxis_title="ln norm")


if __name__ == "__main__":
    main("chaos_gradients", __doc__, study)
