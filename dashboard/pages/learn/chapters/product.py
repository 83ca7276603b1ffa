"""Why a product: one unit multiplies weight by slope, several turn and shrink a circle of gradients."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

import gradlab
from gradlab.config import RunConfig
from gradlab.plots.learn import Curve, Scene, arrange, ellipse_area, factor_area, lag_area, marked
from gradlab.runs.build import build
from gradlab.wording import counted, value_text

from .. import runs
from ..chapter import Chapter, Choice, Guess, Slider, Values, share_text

LAG, STEPS = 20, 30
DECADES = (-8.0, 1.0)
UNITS = {"1": "one unit", "2": "two units"}
TEXT = r"""
One unit reads $h_t = \tanh(w\,h_{t-1} + v\,x_t)$. How much of a change of $h_{t-1}$ reaches $h_t$? Weight times slope:
$w\,\tanh'(a_t)$. The chain rule multiplies these factors, one for each step back:

$$
\frac{\partial h_T}{\partial h_t} = \prod_{s=t+1}^{T} w\,\tanh'(a_s)
$$

Twenty numbers a little below 1 make a small number.

With several units each factor is a matrix. It turns gradients and makes them longer or shorter: the circle of all
gradients of length 1 becomes an ellipse, turning and shrinking at every step.
"""


@dataclass(frozen=True)
class Found:
    """The products (lag, H, H) of transposed Jacobians, what they make of an average gradient, and the steps chosen.

    weight: of one unit. factors (lag,): of one unit, from step to step.
    """

    curve: Curve
    products: np.ndarray
    weight: float
    factors: np.ndarray
    back: int


def config(values: Values) -> RunConfig:
    """One unit of weight 1, or two whose weights are a rotation."""
    init = {"1": "identity", "2": "orthogonal"}[values["units"]]
    return RunConfig(hidden_size=int(values["units"]), recurrent_init=init, batch_size=1, steps=STEPS)


def measure(values: Values) -> Found:
    """Products of the Jacobians of a short run."""
    cell, params, x = build(config(values))
    steps = gradlab.jacobian(gradlab.unroll(cell, params, x)).dense()[:, 0]
    products = [np.eye(cell.hidden_size)]
    for jacobian in steps[::-1]:
        products.append(jacobian.T @ products[-1])
    size = np.log(np.linalg.norm(products, axis=(1, 2)) / np.sqrt(cell.hidden_size))
    factors, weight = np.abs(steps[::-1, 0, 0]), float(params["W_hh"][0, 0, 0])
    return Found(Curve(UNITS[values["units"]], size, True), np.stack(products), weight, factors, int(values["back"]))


def draw(found: Found, scene: Scene) -> go.Figure:
    """The product so far, beside it what it is made of."""
    caption = "length of an average gradient of length 1"
    main = marked(
        lag_area([found.curve], DECADES, scene, caption, STEPS), found.back, runs.tens(found.curve, found.back), scene
    )
    if found.products.shape[1] == 2:
        return arrange([main, ellipse_area(found.products, found.back, scene)], scene)
    return arrange([main, factor_area(found.factors, found.weight, found.back, scene)], scene)


def say(found: Found) -> str:
    """What the chosen number of steps leaves, and of what."""
    after, left = counted(found.back, "step"), share_text(found.curve.logs[found.back])
    if found.products.shape[1] == 2:
        axes = np.linalg.svd(found.products[found.back], compute_uv=False)
        longest, shortest = (value_text(float(axis), 2) for axis in axes)
        shape = f"After {after} the circle is an ellipse {longest} long and {shortest} wide"
        return f"{shape}: {left} of an average gradient is left."
    used = found.factors[: found.back]
    span = f"factors from {used.min():.2g} to {used.max():.2g}" if used.size else "no factors"
    return f"{after.capitalize()} back multiply {span}: {left} of the gradient is left."


CHAPTER = Chapter(
    slug="product",
    title="Why a product?",
    text=TEXT,
    controls=(
        Choice("units", "Net", UNITS, "1"),
        Slider("back", "Steps back", 0, STEPS, 1, 5, plays=True),
    ),
    guess=Guess(
        "One tanh unit of weight 1 that reads noise. How much of its gradient is left 20 steps back?",
        at=LAG,
        low=DECADES[0],
        high=DECADES[1],
        step=0.25,
        start=-1.0,
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: runs.tens(found.curve, LAG),
    say=say,
    config=config,
    rows=lambda found: runs.rows([found.curve], (0, 1, 5, 10, 20, 30)),
)
