"""The others on the same axis: both directions, attention, a transformer, a tree."""

from functools import lru_cache
from typing import Any

import numpy as np
import plotly.graph_objects as go

import gradlab
from gradlab.config import RunConfig
from gradlab.config.presets import UNIFORM
from gradlab.plots.learn import Curve, Scene, arrange, lag_area

from ....work import lanes
from .. import runs
from ..chapter import Chapter, Choice, Guess, Values, share_text

LAG, STEPS = 60, 100
DECADES = (-8.0, 2.0)
LSTM: dict[str, Any] = {"cell": "lstm", "forget_bias": 1.0, **UNIFORM}
NETS: dict[str, dict[str, Any]] = {
    "LSTM": LSTM,
    "both ways": LSTM | {"bidirectional": True},
    "attention": LSTM | {"attention": "additive"},
    "transformer": {"architecture": "transformer", "layers": 2, "causal": True},
    "tree": {"architecture": "tree", **LSTM, "steps": 127},
}
TEXT = r"""
A recurrent net passes everything through one state, step by step; sixty steps are sixty factors. Others take shortcuts.

*Both ways*: a second net reads from the end. *Attention* looks at all states at once,

$$
c = \sum_t \alpha_t h_t, \qquad \alpha = \mathrm{softmax}(e),
$$

so that one step leads from the answer to every state. A *transformer* has nothing but that: no distance at all. In a
*tree* 127 inputs are six levels deep, and a lag is a level.

The price: attention keeps every state and compares all pairs.
"""


def config(values: Values) -> RunConfig:
    """The chosen net."""
    return RunConfig(**{"steps": STEPS, "batch_size": 8, "hidden_size": 32, **NETS[values["net"]]})


@lru_cache(maxsize=len(NETS))
def logs(net: str) -> np.ndarray:
    """ln of the share of the gradient that reaches an input (lag,), lag 0 first."""
    ds = lanes.LONG.call(gradlab.compare, [config({"net": net})], 1)
    return np.asarray(ds.log_input_share.isel(run=0, seed=0).values)


def measure(values: Values) -> list[Curve]:
    """All nets, the chosen one bold."""
    return [Curve(net, logs(net), net == values["net"]) for net in NETS]


def draw(found: list[Curve], scene: Scene) -> go.Figure:
    """All curves on one axis."""
    caption = "at an input; a tree's steps are its levels"
    return arrange([lag_area(found, DECADES, scene, caption, STEPS - 1, height=420)], scene)


def say(found: list[Curve]) -> str:
    """What the chosen net leaves of its farthest input, beside the plain LSTM."""
    asked, plain = runs.bold(found), found[0]
    lag = min(LAG, len(asked.logs) - 1)
    unit = "levels down" if asked.name == "tree" else "steps back"
    text = f"{asked.name[0].upper()}{asked.name[1:]}: {share_text(asked.logs[lag])} is left {lag} {unit}"
    return (
        f"{text}."
        if asked is plain
        else f"{text}; of the LSTM alone {share_text(plain.logs[LAG])} is left {LAG} steps back."
    )


CHAPTER = Chapter(
    slug="others",
    title="And the others?",
    text=TEXT,
    controls=(Choice("net", "Net", {net: net for net in NETS}, "attention"),),
    guess=Guess(
        "An LSTM alone lets about 10^-4 of the gradient through to an input 60 steps back. How much arrives with "
        "attention over its states?",
        at=LAG,
        low=DECADES[0],
        high=DECADES[1],
        step=0.25,
        start=-4.0,
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: runs.tens(runs.bold(found), min(LAG, len(runs.bold(found).logs) - 1)),
    say=say,
    config=config,
    rows=lambda found: runs.rows(found, (0, 1, 5, 10, 20, 60, 99)),
)
