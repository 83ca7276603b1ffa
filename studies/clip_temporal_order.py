"""Clipping the gradient rescues long sequences: with it a tanh RNN learns temporal order, without it not at 30 steps.

Claim: Pascanu, Mikolov & Bengio 2013, figures 7 and 8. Their net (50 tanh units) from their start called smart_tanh:
15 recurrent weights per unit, scaled to a spectral radius of 0.95; input and output weights N(0, 0.01^2), no biases;
SGD on batches of 20. Not theirs, so that it takes minutes: a learning rate of 0.1 instead of 0.01, at most 3000
updates, and sequences of at most 30 steps. Solved: an error rate below 1 % on held-out sequences. Six seeds each.
Run it with `python3 -m studies.clip_temporal_order`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from gradlab.runs.build import cell_of
from gradlab.training import TrainConfig, TrainingRun

from .report import Row, main

LENGTHS = (10, 20, 30)
CLIPS = ("norm", "off")
SEEDS = range(6)
SMALL = 0.01  # standard deviation of input and output weights
Results = dict[tuple[str, int], list[TrainingRun]]


def trained(clip: str, steps: int, seed: int) -> TrainingRun:
    """A run until the task is solved, at most 3000 updates."""
    run = TrainingRun(
        TrainConfig(
            task="temporal_order",
            steps=steps,
            hidden_size=50,
            batch_size=20,
            optimizer="sgd",
            learning_rate=0.1,
            clip=clip,
            clip_threshold=1.0,
            iterations=3000,
            evaluate_every=50,
            snapshot_every=3000,
            seed=seed,
        )
    )
    start_as_published(run, seed)
    while run.iteration < run.config.iterations and not solved(run):
        run.advance()
    return run


def start_as_published(run: TrainingRun, seed: int) -> None:
    """The start called smart_tanh."""
    cell = cell_of(run.config, run.task.input_size)
    scale = SMALL * math.sqrt(cell.input_size)
    drawn = cell.init(seed, recurrent_init="sparse", spectral_radius=0.95, input_scale=scale)
    run.params |= {f"0.{name}": p for name, p in drawn.items()}
    output = run.params["2.W_hy"]
    run.params["2.W_hy"] = np.random.default_rng([seed, 1]).normal(0, SMALL, output.shape)


def solved(run: TrainingRun) -> bool:
    """Whether the last score is as good as it has to be."""
    below = run.task.solved_below or 0.0
    return bool(run.history.scores) and run.history.scores[-1][2] < below


def study(seeds: Sequence[int] = SEEDS, lengths: Sequence[int] = LENGTHS) -> tuple[list[Row], go.Figure]:
    """Solved runs of each length with clipping, of the longest without, and the figure."""
    found = {(clip, steps): [trained(clip, steps, seed) for seed in seeds] for clip in CLIPS for steps in lengths}
    counts = {key: sum(map(solved, runs)) for key, runs in found.items()}
    n, longest = len(seeds), lengths[-1]
    rows = [Row(f"solved of {n}, {steps} steps, clipped", n, counts["norm", steps], 1) for steps in lengths]
    rows.append(Row(f"solved of {n}, {longest} steps, not clipped", 0, counts["off", longest], n // 3))
    return rows, figure(found, lengths)


def figure(found: Results, lengths: Sequence[int]) -> go.Figure:
    """Share of solved runs against length, and the gradient norm of one seed at the longest."""
    fig = make_subplots(1, 2, subplot_titles=("share of runs that solve it", f"gradient norm, {lengths[-1]} steps"))
    for clip, label, colour in (("norm", "clipped at 1", "#0072B2"), ("off", "not clipped", "#D55E00")):
        shares = [float(np.mean(list(map(solved, found[clip, steps])))) for steps in lengths]
        fig.add_scatter(x=list(lengths), y=shares, name=label, line_color=colour, row=1, col=1)
        rows = found[clip, lengths[-1]][0].history.rows
        norms = np.exp(rows["log_grad_norm_before"])
        line = {"x": np.arange(1, len(norms) + 1), "y": norms, "line": {"color": colour, "width": 1}}
        fig.add_scatter(**line, showlegend=False, row=1, col=2)
    fig.update_yaxes(type="log", exponentformat="power", row=1, col=2)
    fig.update_xaxes(title_text="steps", row=1, col=1).update_xaxes(title_text="iteration", row=1, col=2)
    return fig.update_layout(template="plotly_white", legend={"orientation": "h", "y": -0.2})


if __name__ == "__main__":
    main("clip_temporal_order", __doc__, study)
