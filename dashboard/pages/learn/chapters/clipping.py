"""What clipping does: it tames a step over the error wall, and leaves the gradient's way back as it is."""

import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from gradlab.config import RunConfig
from gradlab.learning import clip_update, descend
from gradlab.plots.learn import Curve, Scene, arrange, lag_area, wall_area
from gradlab.theory import error_wall
from gradlab.wording import number_text, value_text

from .. import runs
from ..chapter import Chapter, Choice, Guess, Slider, Values, share_text

LAG = 20
DECADES = (-10.0, 2.0)
START, RATE, UPDATES = (6.0, -2.6), 1.0, 60
MODES = {"norm": "by norm", "value": "by value"}
TEXT = r"""
Where a long product explodes, the error has a *wall*: one unit $h_t = \sigma(w h_{t-1} + b)$ over 50 steps settles
high on one side and low on the other. A step of plain descent that touches the wall is thrown far away.

Clipping by norm shortens the update and keeps its direction:

$$
g \leftarrow g \cdot \min\!\left(1, \frac{\theta}{\lVert g \rVert}\right)
$$

Clipping by value cuts every entry to $\pm\theta$ and turns it.

Both act on the *update*, after the gradient has come back through time. What has vanished on the way is not brought
back.
"""


@dataclass(frozen=True)
class Found:
    """The curves with and without clipping; ways (points, 2) on the wall; the largest gradient, ln, that was met.

    before, after: ln of its norm before and after clipping; angle: by which it was turned, in degrees.
    """

    curves: list[Curve]
    ways: dict[str, np.ndarray]
    before: float
    after: float
    angle: float


def config(values: Values) -> RunConfig:
    """A net whose gradient vanishes, under the clipping."""
    return RunConfig(clip=values["clip"], clip_threshold=values["threshold"])


def measure(values: Values) -> Found:
    """The curve twice, and both ways down the wall from one start."""
    nets = {"unclipped": RunConfig(), "clipped": config(values)}
    clip, threshold = values["clip"], values["threshold"]
    ways = {"unclipped": way("off", None), "clipped": way(clip, threshold)}
    steepest = max((slopes(*point) for point in ways["unclipped"]), key=lambda slope: math.hypot(*slope))
    update = clip_update({"point": np.array(steepest)}, clip, threshold)
    angle = math.degrees(update.angle)
    return Found(runs.curves(nets, "clipped"), ways, update.log_norm_before, update.log_norm_after, angle)


def slopes(w: float, b: float) -> tuple[float, float]:
    """Of the error of one unit."""
    wall = error_wall(w, b)
    return float(wall.by_weight), float(wall.by_bias)


def way(clip: str, threshold: float | None) -> np.ndarray:
    """Of plain descent from the start."""
    return descend(slopes, START, RATE, UPDATES, clip, threshold)


def draw(found: Found, scene: Scene) -> go.Figure:
    """The curve, which does not move, and the wall."""
    return arrange([lag_area(found.curves, DECADES, scene), wall_area(found.ways, scene)], scene)


def say(found: Found) -> str:
    """What happened to the curve, to the largest update, and where both ways end."""
    plain, clipped = (error_wall(*found.ways[name][-1]).error for name in ("unclipped", "clipped"))
    turned = f" and turned by {found.angle:.0f}°" if found.angle > 0.5 else ""
    left = share_text(runs.bold(found.curves).logs[LAG])
    before, after = (number_text(norm, 2) for norm in (found.before, found.after))
    return (
        f"The curve has not moved: {left} at {LAG} steps. On the wall the steepest update, of norm {before}, is cut to "
        f"{after}{turned}; after {UPDATES} updates the error is {value_text(float(clipped), 2)}, without clipping "
        f"{value_text(float(plain), 2)}."
    )


CHAPTER = Chapter(
    slug="clipping",
    title="What does clipping do?",
    text=TEXT,
    controls=(
        Choice("clip", "Clipping of the update", MODES, "norm"),
        Slider("threshold", "Threshold θ", 0.05, 2, 0.05, 0.5),
    ),
    guess=Guess(
        "A tanh net lets 10^-4 of the gradient through to 20 steps back. Its update is now clipped to a norm of 0.5. "
        "What is left 20 steps back?",
        at=LAG,
        low=DECADES[0],
        high=DECADES[1],
        step=0.25,
        start=-2.0,
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: runs.tens(runs.bold(found.curves), LAG),
    say=say,
    config=config,
    rows=lambda found: runs.rows(found.curves),
)
