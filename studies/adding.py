"""What it takes to add over 100 steps: an identity ReLU net learns it soon, an LSTM with chrono biases later.

Claim: Le, Jaitly & Hinton 2015; Tallec & Ollivier 2018. The task of Arjovsky, Shah & Bengio 2016, 64 units, batches of
32, Adam at 0.001, gradients clipped at 1, at most 2600 updates, three seeds. Solved: a held-out mean squared error
below 0.02; always answering 1 has 1/6. Every IRNN solves it by update 2000, most LSTMs with chrono biases by 2600; an
LSTM without a forget bias and a tanh RNN are then still where no memory gets, and a forget bias of 1 is not enough.
Not the papers': the IRNN's input weights are N(0, 1/2), not N(0, 0.001^2), from which it takes far longer.
Run it with `python3 -m studies.adding`; it takes five to ten minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gradlab.training import TrainConfig, TrainingRun

from .report import Row, main

SEEDS = range(3)
LSTM: dict[str, Any] = {"cell": "lstm", "recurrent_init": "uniform", "input_scale": 0.1}
NETS: dict[str, dict[str, Any]] = {
    "IRNN": {"activation": "relu", "recurrent_init": "identity"},
    "LSTM chrono": LSTM | {"forget_bias": "chrono"},
    "LSTM bias 1": LSTM | {"forget_bias": 1.0},
    "LSTM bias 0": LSTM,
    "tanh": {"gain": 0.5, "input_scale": 0.1},
}
UPDATES, IRNN_UPDATES = 2600, 2000
UNLEARNT = 0.15  # error of what has hardly left the baseline
COLOURS = ("#0072B2", "#009E73", "#E69F00", "#D55E00", "#909090")
Results = Mapping[str, Sequence[TrainingRun]]


def trained(net: str, seed: int) -> TrainingRun:
    """A run until the task is solved, at most 2600 updates."""
    training: dict[str, Any] = {"iterations": UPDATES, "evaluate_every": 200, "snapshot_every": UPDATES}
    run = TrainingRun(TrainConfig(task="adding", dtype="float32", clip="norm", seed=seed, **training, **NETS[net]))
    while run.iteration < UPDATES and not solved(run):
        run.advance()
    return run


def solved(run: TrainingRun) -> bool:
    """Whether the last score is as good as it has to be."""
    return bool(run.history.scores) and error(run) < (run.task.solved_below or 0.0)


def error(run: TrainingRun) -> float:
    """The last held-out mean squared error."""
    return run.history.scores[-1][2]


def study(seeds: Sequence[int] = SEEDS) -> tuple[list[Row], go.Figure]:
    """How many runs solve it in time, and how many have learnt nothing; the figure."""
    found = {net: [trained(net, seed) for seed in seeds] for net in NETS}
    n, median = len(seeds), {net: float(np.median([run.iteration for run in runs])) for net, runs in found.items()}
    soon = sum(solved(run) and run.iteration <= IRNN_UPDATES for run in found["IRNN"])
    rows = [
        Row(f"IRNN: solved of {n}", n, soon, 0),
        Row(f"LSTM chrono: solved of {n}", n, sum(map(solved, found["LSTM chrono"])), n // 3),
        Row("updates, IRNN over LSTM chrono", 0, median["IRNN"] / median["LSTM chrono"], 0.99),
        Row(f"LSTM bias 1: solved of {n}", 0, sum(map(solved, found["LSTM bias 1"])), n // 3),
    ]
    rows += [
        Row(f"{net}: unlearnt of {n}", n, sum(error(run) > UNLEARNT for run in found[net]), 0)
        for net in ("LSTM bias 0", "tanh")
    ]
    return rows, figure(found)


def figure(found: Results) -> go.Figure:
    """Held-out error of every run by iteration, with the baseline."""
    fig = go.Figure()
    for colour, (net, runs) in zip(COLOURS, found.items(), strict=True):
        for run in runs:
            iterations, _, errors = np.array(run.history.scores).T
            style = {"name": net, "legendgroup": net, "showlegend": run is runs[0], "line_color": colour}
            fig.add_scatter(x=iterations, y=errors, **style)
    fig.add_hline(1 / 6, line_dash="dash", annotation_text="without memory: 1/6")
    fig.update_yaxes(type="log", title_text="held-out mean squared error")
    return fig.update_layout(template="plotly_white", xaxis_title="iteration")


if __name__ == "__main__":
    main("adding", __doc__, study)
