"""What a loss blames: the terms of the sum over earlier steps, for the loss at every step."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

import gradlab
from gradlab.config import RunConfig
from gradlab.plots.learn import Line, Scene, arrange, line_area, marked, plain_axis, triangle_area
from gradlab.products.credit import triangle
from gradlab.runs.build import build
from gradlab.runs.probe import loss_at_every_step

from ..chapter import Chapter, Guess, Slider, Values

STEPS, LAG = 40, 5
TEXT = r"""
The same weights act at every step, so the loss at step $t$ blames all of their uses:

$$
\frac{\partial L_t}{\partial W} = \sum_{k=1}^{t} \frac{\partial L_t}{\partial h_t}\,
\frac{\partial h_t}{\partial h_k}\, \frac{\partial^{+} h_k}{\partial W}
$$

The last factor is the *explicit* path: what $W$ does at step $k$ if $h_{k-1}$ is taken as given. The middle one is the
*implicit* path from there to the loss, a product of one Jacobian for each step between.

Every row of the triangle is one loss, every cell one term of its sum. Where the product fades, the loss blames only
what has just happened.
"""


@dataclass(frozen=True)
class Found:
    """ln of the terms (t, k), and how much of the blame of one loss (lag,) lies within so many steps, in percent."""

    logs: np.ndarray
    share: np.ndarray
    loss_step: int


def config(values: Values) -> RunConfig:
    """A net with a loss at every step."""
    return RunConfig(gain=values["gain"], steps=STEPS, loss="every")


def measure(values: Values) -> Found:
    """The triangle of the first sample."""
    cell, params, x = build(config(values))
    traj = gradlab.unroll(cell, params, x[:, :1])
    logs = triangle(traj, loss_at_every_step(traj, 0))[..., 0]
    step = int(values["step"])
    terms = np.exp(logs[step, step:0:-1] - logs[step, 1 : step + 1].max())
    return Found(logs, 100 * np.cumsum(terms) / terms.sum(), step)


def draw(found: Found, scene: Scene) -> go.Figure:
    """How the blame adds up on the way back, beside it the triangle."""
    lag = np.arange(1, len(found.share) + 1)
    axes = (
        plain_axis(STEPS + 0.5, 0.5, "number of the latest steps", scene.look),
        plain_axis(0, 104, "", scene.look, ticksuffix=" %"),
    )
    area = line_area(
        "Blame within the latest steps",
        f"of the loss at step {found.loss_step}",
        [Line("share", lag, found.share)],
        axes,
        scene,
    )
    area = marked(area, min(LAG, len(lag)), found.share[min(LAG, len(lag)) - 1], scene)
    return arrange([area, triangle_area(found.logs, found.loss_step, scene)], scene)


def say(found: Found) -> str:
    """How much the latest steps get, and how many get nearly all."""
    latest = min(LAG, len(found.share))
    enough = int(np.flatnonzero(found.share >= 99)[0]) + 1
    return (
        f"Of the blame of the loss at step {found.loss_step}, the latest {latest} of {len(found.share)} steps get "
        f"{found.share[latest - 1]:.0f} %; 99 % need {enough}."
    )


def rows(found: Found) -> list[dict[str, str]]:
    """Some numbers of steps."""
    return [
        {"latest steps": str(n), "share": f"{found.share[n - 1]:.3g} %"}
        for n in (1, 2, 5, 10, 20, 40)
        if n <= len(found.share)
    ]


CHAPTER = Chapter(
    slug="blame",
    title="What does the loss blame?",
    text=TEXT,
    controls=(
        Slider("step", "Loss at step", 1, STEPS, 1, STEPS, plays=True),
        Slider("gain", "Gain of the weights", 0.5, 3, 0.1, 1.0),
    ),
    guess=Guess(
        "A tanh net, gain 1, with its loss at step 40. How much of the blame falls on the latest 5 steps?",
        at=LAG,
        low=0,
        high=100,
        step=2,
        start=20,
        powers=False,
        unit=" %",
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: float(found.share[min(LAG, len(found.share)) - 1]),
    say=say,
    config=config,
    rows=rows,
)
