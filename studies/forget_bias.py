"""Gates set the rate at which a gradient fades: ln rho(sigma(b_f) I + U_g / 4) for an LSTM at rest; a GRU likewise.

Claim: Gers et al. 2000, Jozefowicz et al. 2015, Tallec & Ollivier 2018. Without input, h = c = 0 is an exact fixed
point of an LSTM or a GRU with PyTorch's uniform weights and no other biases; over 3000 steps ln ||dL/ds_t|| has the
slope ln rho(J) of the Jacobian there. Note that forget bias 3 makes it grow.
Run it with `python3 -m studies.forget_bias`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

import gradlab
from gradlab import theory

from .report import Row, main

UNITS, STEPS = 128, 3000
TOLERANCE = 2e-3
BIASES: dict[str, tuple[Any, ...]] = {"lstm": (0.0, 1.0, 3.0, "chrono"), "gru": (0.0, 2.0, 4.0)}
Found = dict[str, tuple[np.ndarray, float]]  # label -> ln ||dL/ds_{T-k}|| at lags k = 0..T, predicted slope


def measure(cell_name: str, seed: int = 0) -> Found:
    """One net at rest per forget bias, all in one run; norms of the joint state."""
    cell = gradlab.make_cell(cell_name, input_size=1, hidden_size=UNITS)
    biases = BIASES[cell_name]
    drawn = [cell.init(seed, recurrent_init="uniform", forget_bias=bias, t_max=STEPS) for bias in biases]
    params = {name: np.stack([p[name] for p in drawn], axis=1) for name in drawn[0]}
    loss = np.zeros((STEPS, len(biases), 1, UNITS))
    loss[-1] = np.random.default_rng([seed, 1]).normal(size=UNITS)
    grads = gradlab.bptt(gradlab.unroll(cell, params, np.zeros((STEPS, 1, 1))), loss)
    joint = 0.5 * np.logaddexp.reduce(2 * grads.log_norms[..., 0], axis=1)
    curves, rates = (joint - joint[-1])[::-1].T, theory.zero_input_rate(cell, params)
    return {
        f"{cell.title}, {bias}": (curve, float(rate)) for bias, curve, rate in zip(biases, curves, rates, strict=True)
    }


def slope(logs: np.ndarray) -> float:
    """Slope per lag over the second half, where the largest eigenvalue is all that is left."""
    half = len(logs) // 2
    return float(np.polyfit(np.arange(half, len(logs)), logs[half:], 1)[0])


def study(seed: int = 0) -> tuple[list[Row], go.Figure]:
    """Every net's slope beside the predicted one, and the figure."""
    found = measure("lstm", seed) | measure("gru", seed)
    return [Row(label, rate, slope(logs), TOLERANCE) for label, (logs, rate) in found.items()], figure(found)


def figure(found: Found) -> go.Figure:
    """The gradient against the lag, in powers of ten, with the predicted lines."""
    fig = go.Figure()
    colours = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#999999")
    for colour, (label, (logs, rate)) in zip(colours, found.items(), strict=True):
        k = np.arange(0, len(logs), 10)
        fig.add_scatter(x=k, y=logs[::10] / np.log(10), name=label, line_color=colour)
        line = {"color": colour, "dash": "dash"}
        fig.add_scatter(x=k, y=rate * k / np.log(10), line=line, name=f"{label}: theory", showlegend=False)
    title = "Gradient of gated cells at rest, by forget bias; dashed: ln of the spectral radius"
    axes = {"xaxis_title": "steps back from the loss", "yaxis_title": "log10 of ||dL/ds_t||"}
    return fig.update_layout(template="plotly_white", title=title, **axes)


if __name__ == "__main__":
    main("forget_bias", __doc__, study)
