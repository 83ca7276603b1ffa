"""How far back one must look: truncated backpropagation, and how far a gradient reaches anyway."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import plotly.graph_objects as go

import gradlab
from gradlab.config import RunConfig
from gradlab.config.presets import UNIFORM
from gradlab.learning import flatten
from gradlab.plots.learn import Curve, Line, Scene, arrange, lag_area, line_area, plain_axis
from gradlab.runs.build import build
from gradlab.runs.probe import loss_at_every_step
from gradlab.runs.shares import share_left
from gradlab.wording import counted

from .. import runs
from ..chapter import Chapter, Choice, Guess, Values

STEPS, AT = 100, 20
DECADES = (-8.0, 1.0)  # of the curve
BLOCKS = (1, 2, 4, 5, 10, 20, 25, 50, 100)  # that the sequence is a multiple of
NETS: dict[str, dict[str, Any]] = {
    "tanh net": {},
    "LSTM, chrono": {"cell": "lstm", "forget_bias": "chrono", **UNIFORM},
}
TEXT = r"""
A long sequence is expensive: every state is kept until the gradient has come back. *Truncated* backpropagation cuts it
into blocks of $k$ steps. The state goes on from block to block, the gradient does not:

$$
\frac{\partial L_t}{\partial W} \approx \sum_{s \,\in\, \mathrm{block},\, s \le t}
\frac{\partial L_t}{\partial h_s}\, \frac{\partial^{+} h_s}{\partial W}
$$

The losses at a block's first steps lose their past, so every cut costs something. It costs little where a block is many
times as long as the gradient *reaches*, the steps after which 1 % is left. Where a net carries, most of the gradient
is lost, and with it what the net could have learnt from long ago.
"""


@dataclass(frozen=True)
class Found:
    """How far off the gradient of the weights is, in percent, for every length of block, by net.

    curves: what is left of the last loss in the chosen net, with and without the cut; reach: of the whole.
    """

    net: str
    off: dict[str, np.ndarray]
    curves: list[Curve]
    block: int
    reach: int


def config(values: Values) -> RunConfig:
    """The chosen net, cut into blocks, with a loss at every step."""
    return RunConfig(truncate=int(values["block"]), loss="every", steps=STEPS, batch_size=8, **NETS[values["net"]])


def measure(values: Values) -> Found:
    """The gradients of all lengths of block, and what is left of one loss with and without the cut."""
    chosen = config(values)
    ds = runs.run(chosen.replace(truncate="off", loss="last"))
    whole = np.asarray(share_left(ds).values[::-1])
    cut = np.where(np.arange(len(whole)) < (chosen.block or STEPS), whole, -np.inf)
    curves = [Curve("whole", whole), Curve("truncated", cut, True)]
    reach = gradlab.verdict(ds).reach
    return Found(values["net"], {net: off(net) for net in NETS}, curves, int(values["block"]), reach)


@lru_cache(maxsize=len(NETS))
def off(net: str) -> np.ndarray:
    """The error of the gradient of all weights, in percent of its norm, for every length of block."""
    chosen = config({"net": net, "block": 1})
    cell, params, x = build(chosen)
    traj = gradlab.unroll(cell, params, x)
    losses = loss_at_every_step(traj, chosen.seed)
    gradients = [flatten([*gradlab.bptt(traj, losses, truncate=block).params.values()]) for block in BLOCKS]
    whole = gradients[-1]
    return np.array([100 * np.linalg.norm(gradient - whole) / np.linalg.norm(whole) for gradient in gradients])


def draw(found: Found, scene: Scene) -> go.Figure:
    """The error against the length of a block, beside it where the chosen one cuts."""
    lines = [Line(net, np.array(BLOCKS, float), off, net == found.net) for net, off in found.off.items()]
    length = plain_axis(0, STEPS + 2, "steps in a block", scene.look)
    axes = length, plain_axis(0, 100, "", scene.look, ticksuffix=" %")
    area = line_area("Error of the weights' gradient", "", lines, axes, scene)
    flow = lag_area(found.curves, DECADES, replace(scene, told=True), "", STEPS, 250)
    return arrange([area, replace(flow, ends=[], letters=0, caption="of the last loss; the bold line is cut")], scene)


def say(found: Found) -> str:
    """How far off the chosen block is, beside the reach."""
    size, reach = found.off[found.net][BLOCKS.index(found.block)], found.reach
    far = "all the way" if reach >= STEPS - 1 else counted(reach, "step")
    return (
        f"{found.net[0].upper()}{found.net[1:]}, {counted(found.block, 'step')} in a block: the weights' gradient "
        f"is off by {size:.0f} %; uncut it reaches back {far}."
    )


def rows(found: Found) -> list[dict[str, str]]:
    """Every length of block."""
    return [{"steps in a block": str(k)} | _percents(found, n) for n, k in enumerate(BLOCKS)]


def _percents(found: Found, n: int) -> dict[str, str]:
    return {net: f"{off[n]:.2g} %" for net, off in found.off.items()}


CHAPTER = Chapter(
    slug="truncation",
    title="How far back must I look?",
    text=TEXT,
    controls=(
        Choice("net", "Net", {net: net for net in NETS}, "tanh net"),
        Choice("block", "Steps in a block", {str(block): str(block) for block in BLOCKS}, str(AT)),
    ),
    guess=Guess(
        "A tanh net reads 100 steps, with a loss at each, in blocks of 20. How far off is the gradient of its weights?",
        at=AT,
        low=0,
        high=100,
        step=2,
        start=50,
        powers=False,
        unit=" %",
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: float(found.off[found.net][BLOCKS.index(found.block)]),
    say=say,
    config=config,
    rows=rows,
)
