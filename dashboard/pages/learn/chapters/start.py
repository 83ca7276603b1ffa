"""How to start: what eigenvalues of the first weights do over many steps."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from gradlab.config import RunConfig
from gradlab.plots.learn import Curve, Scene, arrange, lag_area, spectrum_area

from .. import runs
from ..chapter import Chapter, Choice, Guess, Values, share_text

LAG = 20
DECADES = (-10.0, 2.0)
INITS = {"gaussian": "gaussian", "orthogonal": "orthogonal", "identity": "identity"}
UNITS = {"identity": "linear", "tanh": "tanh", "relu": "ReLU"}
TEXT = r"""
Without activations, $T$ steps back are one power of the weights:

$$
\frac{\partial h_T}{\partial h_0} = W^T = Q\,\Lambda^T Q^{-1}
$$

An eigenvalue inside the unit circle fades, one outside grows. A gaussian $W$ of standard deviation $1/\sqrt{H}$ fills
the circle: most of its directions fade. An orthogonal $W$ is a rotation: all its eigenvalues lie *on* the circle. The
identity passes on everything as it is.

With an activation every step also multiplies by slopes, and even a rotation is no longer one.
"""


@dataclass(frozen=True)
class Found:
    """The curves of all initialisations, and the eigenvalues (H,) of the chosen one."""

    curves: list[Curve]
    eigenvalues: np.ndarray


def config(values: Values) -> RunConfig:
    """The chosen net."""
    return RunConfig(**values)


def measure(values: Values) -> Found:
    """All initialisations under the activation."""
    nets = {label: config({**values, "recurrent_init": name}) for name, label in INITS.items()}
    parts = runs.run(config(values)).recurrent_eigenvalues.isel(recurrent_gate=0).transpose("part", "index").values
    return Found(runs.curves(nets, INITS[values["recurrent_init"]]), parts[0] + 1j * parts[1])


def draw(found: Found, scene: Scene) -> go.Figure:
    """The curves, beside them the eigenvalues, which would give the answer away."""
    spectrum = spectrum_area(found.eigenvalues, scene)
    return arrange([lag_area(found.curves, DECADES, scene), spectrum], scene)


def say(found: Found) -> str:
    """Where the eigenvalues lie, and what is left all the same."""
    curve, sizes = runs.bold(found.curves), np.abs(found.eigenvalues)
    low, high = float(sizes.min()), float(sizes.max())
    where = f"all of size {high:.2g}" if high - low < 1e-3 else f"of sizes from {low:.2g} to {high:.2g}"
    return f"The eigenvalues are {where}; {LAG} steps back {share_text(curve.logs[LAG])} of the gradient is left."


CHAPTER = Chapter(
    slug="start",
    title="How to start?",
    text=TEXT,
    controls=(
        Choice("recurrent_init", "First weights", INITS, "orthogonal"),
        Choice("activation", "Units", UNITS, "tanh"),
    ),
    guess=Guess(
        "Orthogonal weights, tanh units: every eigenvalue has size 1. How much is left 20 steps back?",
        at=LAG,
        low=DECADES[0],
        high=DECADES[1],
        step=0.25,
        start=0.0,
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: runs.tens(runs.bold(found.curves), LAG),
    say=say,
    config=config,
    rows=lambda found: runs.rows(found.curves),
)
