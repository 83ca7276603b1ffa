"""Which activation: the slope that every step back multiplies by."""

import plotly.graph_objects as go

from gradlab.config import RunConfig
from gradlab.plots.learn import Curve, Scene, arrange, lag_area
from gradlab.wording import factor_text

from .. import runs
from ..chapter import Chapter, Choice, Guess, Slider, Values, share_text

LAG = 20
DECADES = (-16.0, 8.0)
NAMES = {"tanh": "tanh", "sigmoid": "sigmoid", "relu": "ReLU"}
TEXT = r"""
A unit hands its gradient back through the slope of its activation:

$$
\frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}\,\varphi'(a_t)\; W
$$

The slope of a sigmoid is at most $1/4$. That of tanh is 1 in the middle and falls to 0 on both sides. That of ReLU is 1
or 0. Every step back multiplies by it once more, so that $1/4$ becomes $4^{-20}$ in twenty steps unless the weights
make up for it.

Larger weights do, on average; but they also push units to where tanh and sigmoid are flat, and nothing holds a ReLU
back.
"""


def config(values: Values) -> RunConfig:
    """The chosen net."""
    return RunConfig(**values)


def measure(values: Values) -> list[Curve]:
    """All activations at the gain."""
    nets = {label: config({**values, "activation": name}) for name, label in NAMES.items()}
    return runs.curves(nets, NAMES[values["activation"]])


def draw(found: list[Curve], scene: Scene) -> go.Figure:
    """The three curves."""
    return arrange([lag_area(found, DECADES, scene, height=420)], scene)


def say(found: list[Curve]) -> str:
    """What the chosen one leaves, and which stays nearest to 1."""
    asked, steady = runs.bold(found), min(found, key=lambda curve: abs(curve.logs[LAG]))
    left, rate = share_text(asked.logs[LAG]), factor_text(asked.logs[LAG] / LAG)
    best = "none of the three" if steady is asked else f"{steady.name} with {share_text(steady.logs[LAG])}"
    text = f"{asked.name} leaves {left} after {LAG} steps, {rate} each; nearer to 1 stays {best}."
    return text[0].upper() + text[1:]


CHAPTER = Chapter(
    slug="activation",
    title="Which activation?",
    text=TEXT,
    controls=(
        Choice("activation", "Activation", NAMES, "sigmoid"),
        Slider("gain", "Gain of the weights", 0.5, 4, 0.1, 1.0),
    ),
    guess=Guess(
        "64 sigmoid units, weights of gain 1. How much of the last step's gradient is left 20 steps back?",
        at=LAG,
        low=DECADES[0],
        high=DECADES[1],
        step=0.5,
        start=-2.0,
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: runs.tens(runs.bold(found), LAG),
    say=say,
    config=config,
    rows=runs.rows,
)
