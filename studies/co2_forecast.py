"""A net forecasts the carbon dioxide of the air far better than "as this month", on years that it has never seen.

Claim: trained on the first four fifths of the monthly means of Mauna Loa (to 2012), the mean squared error of a small
LSTM's forecast of the next month is at most a quarter of persistence's on the last fifth, whatever the seed. The net
sees and forecasts changes, and runs once through the held-out years; no month of them is left out.
Run it with `python3 -m studies.co2_forecast`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from gradlab.training import TrainConfig, TrainingRun, train

from .report import Row, main

SERIES = Path(__file__).parent / "data" / "co2_mauna_loa.csv"
SEEDS = range(3)
WANTED = 0.25  # of persistence's error
YEAR = 12


def trained(seed: int) -> TrainingRun:
    """The forecaster."""
    config = TrainConfig(
        input=str(SERIES),
        column="co2_ppm",
        cell="lstm",
        hidden_size=16,
        recurrent_init="uniform",
        forget_bias=1.0,
        steps=36,
        learning_rate=0.01,
        clip="norm",
        iterations=500,
        evaluate_every=500,
        snapshot_every=500,
        seed=seed,
    )
    return train(config)


def held_out(run: TrainingRun) -> tuple[np.ndarray, np.ndarray]:
    """The changes of the held-out months and their forecasts, (N,), from the second month on."""
    _, months = run.task.parts  # type: ignore[attr-defined]
    outputs, _ = run.network.forward(run.params, months[:-1, None])
    return months[1:, 0], outputs[:, 0, 0]


def study(seeds: Sequence[int] = SEEDS) -> tuple[list[Row], go.Figure]:
    """The error over persistence's for each seed, and the figure."""
    found = {seed: held_out(trained(seed)) for seed in seeds}
    rows = [
        Row(f"error over persistence's, seed {seed}", 0.0, float(((y - found_y) ** 2).mean() / (y**2).mean()), WANTED)
        for seed, (y, found_y) in found.items()
    ]
    return rows, figure(*next(iter(found.values())))


def figure(changes: np.ndarray, forecast: np.ndarray) -> go.Figure:
    """Changes from month to month and their forecasts; the errors' size beside that of two simple rules."""
    months = np.arange(len(changes))
    fig = go.Figure()
    fig.add_scatter(x=months, y=changes, name="measured", line_color="#909090")
    fig.add_scatter(x=months, y=forecast, name="forecast", line_color="#0072B2")
    errors = {"net": changes - forecast, "as this month": changes, "as a year ago": changes[YEAR:] - changes[:-YEAR]}
    text = ", ".join(f"{name} {np.sqrt((error**2).mean()):.2f}" for name, error in errors.items())
    layout = {"xaxis_title": "held-out month", "yaxis_title": "change, in units of its size in the years before"}
    return fig.update_layout(template="plotly_white", title=f"root mean squared error: {text}", **layout)


if __name__ == "__main__":
    main("co2_forecast", __doc__, study)
