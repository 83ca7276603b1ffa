"""Mean-field theory predicts how fast the gradient of a driven tanh RNN fades or grows: E ||g_k||^2 = chi_1^k.

Claim: Poole et al. 2016, Schoenholz et al. 2017, Chen, Pennington & Schoenholz 2018. The slope of ln ||dL/dh_{T-k}||^2
over k = 5..40, as the mean of 8 networks of 256 units (one network alone misses by up to 0.1), against ln chi_1.
Run it with `python3 -m studies.mean_field`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

import gradlab
from gradlab import theory

from .report import Row, main

UNITS, SAMPLES, STEPS = 256, 4, 60
LAGS = np.arange(5, 41)
SEEDS = range(8)
SETTINGS = {  # sigma_w, sigma_b, sigma_v -> tolerance
    (0.9, 0.1, 0.3): 0.03,
    (1.05, 0.1, 0.3): 0.03,
    (1.5, 0.0, 0.5): 0.03,
    (2.0, 0.5, 0.3): 0.04,
}
Setting = tuple[float, float, float]


def log_norms(setting: Setting, seeds: Sequence[int] = SEEDS) -> np.ndarray:
    """ln ||dL/dh_{T-k}|| (lags 0..T, seeds), mean over samples; one network per seed, all in one run."""
    sigma_w, sigma_b, sigma_v = setting
    cell = gradlab.make_cell("elman", input_size=UNITS, hidden_size=UNITS)
    drawn = [cell.init(s, gain=sigma_w, bias_scale=sigma_b, input_scale=sigma_v) for s in seeds]
    params = {name: np.stack([p[name] for p in drawn], axis=1) for name in drawn[0]}
    rngs = [np.random.default_rng([s, 1]) for s in seeds]
    x = np.stack([rng.normal(size=(STEPS, SAMPLES, UNITS)) for rng in rngs], axis=1)
    loss = np.zeros((STEPS, len(seeds), SAMPLES, UNITS))
    loss[-1] = [rng.normal(size=(SAMPLES, UNITS)) for rng in rngs]
    logs = gradlab.bptt(gradlab.unroll(cell, params, x), loss).log_norms[:, 0]
    return (logs - logs[-1])[::-1].mean(axis=-1)


def slopes(logs: np.ndarray) -> np.ndarray:
    """Slope of the squared norm's logarithm per lag (seeds,)."""
    return 2 * np.polyfit(LAGS, logs[LAGS], 1)[0]


def study(seeds: Sequence[int] = SEEDS) -> tuple[list[Row], go.Figure]:
    """Every setting's mean slope beside ln chi_1, and the figure."""
    curves = {setting: log_norms(setting, seeds) for setting in SETTINGS}
    rates = {setting: 2 * theory.mean_field("tanh", *setting).log_rate for setting in SETTINGS}
    rows = [
        Row(_label(setting), rates[setting], float(slopes(curves[setting]).mean()), tolerance)
        for setting, tolerance in SETTINGS.items()
    ]
    return rows, figure(curves, rates)


def _label(setting: Setting) -> str:
    return "sigma_w={:g} sigma_b={:g} sigma_v={:g}".format(*setting)


def figure(curves: dict[Setting, np.ndarray], rates: dict[Setting, float]) -> go.Figure:
    """Norm against lag with the predicted lines; measured against predicted slopes; chi_1 with the critical line."""
    titles = ("ln ||gradient|| against lag, dashed: theory", "slope of each net against ln chi_1", "ln chi_1 of tanh")
    fig = make_subplots(1, 3, subplot_titles=titles)
    colours = ("#0072B2", "#E69F00", "#009E73", "#D55E00")
    for colour, (setting, logs) in zip(colours, curves.items(), strict=True):
        k, label = np.arange(len(logs)), _label(setting)
        fig.add_scatter(x=k, y=logs.mean(axis=1), name=label, line_color=colour, row=1, col=1)
        predicted = {"x": k, "y": 0.5 * rates[setting] * k, "line": {"color": colour, "dash": "dash"}}
        fig.add_scatter(**predicted, showlegend=False, row=1, col=1)
        points = {"x": np.full(logs.shape[1], rates[setting]), "y": slopes(logs), "mode": "markers"}
        fig.add_scatter(**points, marker_color=colour, showlegend=False, row=1, col=2)
    ends = [min(rates.values()), max(rates.values())]
    fig.add_scatter(x=ends, y=ends, line={"color": "gray", "dash": "dash"}, showlegend=False, row=1, col=2)
    _add_map(fig)
    for column, (x, y) in enumerate((("lag k", "ln norm"), ("ln chi_1", "slope"), ("sigma_w", "sigma_b")), 1):
        fig.update_xaxes(title_text=x, row=1, col=column)
        fig.update_yaxes(title_text=y, row=1, col=column)
    return fig.update_layout(template="plotly_white", legend={"orientation": "h", "y": -0.2})


def _add_map(fig: go.Figure) -> None:
    w, b = np.linspace(0.5, 3, 61), np.linspace(0, 2, 61)
    rate = 2 * theory.phase_map("tanh", ("sigma_w", w), ("sigma_b", b))["log_rate"]
    fig.add_heatmap(x=w, y=b, z=rate, zmin=-1, zmax=1, colorscale="RdBu_r", colorbar_title="ln chi_1", row=1, col=3)
    line = {"x": theory.critical_line("tanh", b), "y": b, "line": {"color": "black", "dash": "dash"}}
    fig.add_scatter(**line, name="chi_1 = 1", row=1, col=3)


if __name__ == "__main__":
    main("mean_field", __doc__, study)
