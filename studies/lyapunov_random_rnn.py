"""Random tanh nets turn chaotic at gain 1: the largest exponent follows mean field, the dimension rises and falls.

Claim: Sompolinsky, Crisanti & Sommers 1988; Molgedey, Schuchhardt & Schuster 1992; Engelken, Wolf & Abbott 2023, here
in discrete time. With 800 units every net's lambda_1 lies in [-.015, +.005] around 1/2 ln chi_1, noise lowers it, and
below gain 1 it is ln of the spectral radius. With 200 units the share of dimensions that the attractor fills rises with
the gain, then falls. Run it with `python3 -m studies.lyapunov_random_rnn`.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

import gradlab
from gradlab import theory

from .report import Row, main

LARGE, SMALL = 800, 200  # units: for the largest exponent, for whole spectra
STEPS, SETTLING = 1500, 500
GAINS, SEEDS = (1.5, 2.0, 3.0), range(3)
DRIVEN = ((1.5, 0.5), (1.5, 1.0), (2.0, 1.0))  # gain, sigma_v
DIMENSIONS = {1.5: (0.14, 0.04), 2.0: (0.24, 0.03), 3.0: (0.27, 0.02), 5.0: (0.24, 0.02), 10.0: (0.16, 0.01)}
BIAS, BAND = -0.005, 0.01  # of finite nets against theory: they lie a little below
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7")


def spectrum(
    gain: float, sigma_v: float = 0.0, seed: int = 0, units: int = LARGE, k: int | None = 1
) -> gradlab.LyapunovSpectrum:
    """Exponents of one random net, free or driven by noise that is independent for each unit."""
    cell = gradlab.make_cell("elman", input_size=units if sigma_v else 1, hidden_size=units)
    params = cell.init(seed, gain=gain, input_scale=sigma_v)
    if not sigma_v:
        return gradlab.lyapunov(cell, params, steps=STEPS, warmup=SETTLING, k=k)
    x = np.random.default_rng([seed, 1]).normal(size=(STEPS, 1, units))
    return gradlab.lyapunov(cell, params, x, warmup=SETTLING, k=k)


def largest(gain: float, sigma_v: float = 0.0, seed: int = 0) -> float:
    """lambda_1 of one large net."""
    return float(spectrum(gain, sigma_v, seed).exponents[0])


def log_radius(gain: float, seed: int = 0) -> float:
    """ln of the spectral radius of a large net's weights, which rules at the fixed point h = 0."""
    weights = gradlab.make_cell("elman", input_size=1, hidden_size=LARGE).init(seed, gain=gain)["W_hh"][0]
    return float(np.log(np.abs(np.linalg.eigvals(weights)).max()))


def predicted(gain: float, sigma_v: float = 0.0) -> float:
    """1/2 ln chi_1."""
    return float(theory.mean_field("tanh", gain, 0.0, sigma_v).log_rate)


def study() -> tuple[list[Row], go.Figure]:
    """Every net's exponent and dimension beside what is expected, and the figure."""
    free = {(gain, seed): largest(gain, seed=seed) for gain in GAINS for seed in SEEDS}
    driven = {setting: largest(*setting) for setting in DRIVEN}
    spectra = {gain: spectrum(gain, units=SMALL, k=None) for gain in DIMENSIONS}
    rows = [Row("gain 0.9: ln of the radius", log_radius(0.9), largest(0.9), 5 / STEPS)]
    rows += [Row(f"gain {g:g}, seed {s}", predicted(g) + BIAS, value, BAND) for (g, s), value in free.items()]
    rows += [Row(f"gain {g:g}, sigma_v {v:g}", predicted(g, v) + BIAS, value, BAND) for (g, v), value in driven.items()]
    rows += [
        Row(f"gain {gain:g}: dimension / N", expected, float(spectra[gain].kaplan_yorke) / SMALL, tolerance)
        for gain, (expected, tolerance) in DIMENSIONS.items()
    ]
    return rows, figure(free, driven, spectra)


def figure(
    free: dict[tuple[float, int], float],
    driven: dict[tuple[float, float], float],
    spectra: dict[float, gradlab.LyapunovSpectrum],
) -> go.Figure:
    """lambda_1 against gain with theory; whole spectra; the dimension against gain."""
    titles = (f"largest exponent, {LARGE} units", f"spectrum, {SMALL} units", "Kaplan-Yorke dimension / N")
    fig = make_subplots(1, 3, subplot_titles=titles)
    gains = np.linspace(1.02, 3.2, 60)
    for colour, sigma_v in zip(COLOURS, (0.0, 0.5, 1.0), strict=False):
        points = [(g, y) for (g, _), y in free.items()] if not sigma_v else []
        points += [(g, y) for (g, v), y in driven.items() if v == sigma_v]
        curve = [predicted(float(g), sigma_v) for g in gains]
        line = {"color": colour, "dash": "dash"}
        fig.add_scatter(x=gains, y=curve, line=line, name=f"theory, sigma_v {sigma_v:g}", row=1, col=1)
        x, y = zip(*points, strict=True)
        fig.add_scatter(x=x, y=y, mode="markers", marker_color=colour, showlegend=False, row=1, col=1)
    for colour, (gain, found) in zip(COLOURS, spectra.items(), strict=True):
        share = (np.arange(SMALL) + 0.5) / SMALL
        fig.add_scatter(x=share, y=found.exponents, line_color=colour, name=f"gain {gain:g}", row=1, col=2)
    fig.update_yaxes(range=[-6, 1], row=1, col=2)
    dimensions = [float(found.kaplan_yorke) / SMALL for found in spectra.values()]
    fig.add_scatter(x=list(spectra), y=dimensions, mode="lines+markers", showlegend=False, row=1, col=3)
    for column, title in enumerate(("gain", "index / N", "gain"), 1):
        fig.update_xaxes(title_text=title, row=1, col=column)
    return fig.update_layout(template="plotly_white", title="Chaos in random tanh nets")


if __name__ == "__main__":
    main("lyapunov_random_rnn", __doc__, study)
