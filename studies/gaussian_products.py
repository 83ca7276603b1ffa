"""Products of independent Gaussian matrices follow exact laws: growth of a vector, and the whole Lyapunov spectrum.

Claim: Newman 1986. (a) ln ||J_T ... J_1 v|| over 400 products of 200 matrices of size 32: mean and variance. (b) all 20
Lyapunov exponents of one product of 20,000 matrices of size 20, by QR. Everything within 4 standard errors.
Run it with `python3 -m studies.gaussian_products`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from gradlab import theory
from gradlab.products.lyapunov import lyapunov_of_map

from .report import Row, main

GROWTH = {"n": 32, "steps": 200, "repeats": 400}
SPECTRUM = {"n": 20, "steps": 20_000}
ERRORS = 4.0  # standard errors


def growth(n: int, steps: int, repeats: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """ln ||J_T ... J_1 v|| (repeats,) of unit vectors v under matrices with entries N(0, scale^2 / n)."""
    rng = np.random.default_rng(seed)
    v = np.ones((repeats, n)) / np.sqrt(n)
    logs = np.zeros(repeats)
    for _ in range(steps):
        v = np.einsum("bij,bj->bi", rng.normal(0, scale / np.sqrt(n), (repeats, n, n)), v)
        norms = np.linalg.norm(v, axis=1)
        logs += np.log(norms)
        v /= norms[:, None]
    return logs


def spectrum(n: int, steps: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """The n exponents of one long product, as the Lyapunov exponents of a map with random Jacobians."""
    rng = np.random.default_rng(seed)

    def jacobian(x: Any) -> np.ndarray:
        return rng.normal(0, scale / np.sqrt(n), (n, n))

    return lyapunov_of_map(lambda x: x, jacobian, np.zeros(n), steps=steps, warmup=100).exponents


def study(seed: int = 0) -> tuple[list[Row], go.Figure]:
    """Mean and variance of a vector's growth and every exponent beside the exact laws, and the figure."""
    n, steps, repeats = GROWTH["n"], GROWTH["steps"], GROWTH["repeats"]
    logs = growth(**GROWTH, seed=seed)
    mean, variance = theory.gaussian_growth(n, 1.0, steps)
    rows = [
        Row("mean of ln ||J..J v||", mean, float(logs.mean()), ERRORS * np.sqrt(variance / repeats)),
        Row("variance of it", variance, float(logs.var(ddof=1)), ERRORS * variance * np.sqrt(2 / (repeats - 1))),
    ]
    measured, exact = spectrum(**SPECTRUM, seed=seed), theory.newman_exponents(SPECTRUM["n"], 1.0)
    errors = theory.newman_stderr(SPECTRUM["n"], SPECTRUM["steps"])
    rows += [
        Row(f"exponent {i + 1}", float(exact[i]), float(measured[i]), ERRORS * errors[i]) for i in range(len(exact))
    ]
    total = ERRORS * float(np.sqrt((errors**2).sum()))  # in each step the diagonal of R has independent entries
    return [*rows, Row("sum of the exponents", float(exact.sum()), float(measured.sum()), total)], figure(
        measured, exact, errors
    )


def figure(measured: np.ndarray, exact: np.ndarray, errors: np.ndarray) -> go.Figure:
    """The spectrum against its index, with the exact curve and the expected standard errors."""
    index = np.arange(1, len(exact) + 1)
    fig = go.Figure()
    fig.add_scatter(x=index, y=exact, name="Newman 1986", line={"color": "gray", "dash": "dash"})
    bars = {"type": "data", "array": ERRORS * errors}
    fig.add_scatter(x=index, y=measured, error_y=bars, mode="markers", name="measured, 4 standard errors")
    title = f"Lyapunov exponents of a product of {SPECTRUM['steps']:,} Gaussian matrices"
    return fig.update_layout(template="plotly_white", title=title, xaxis_title="index", yaxis_title="exponent")


if __name__ == "__main__":
    main("gaussian_products", __doc__, study)
