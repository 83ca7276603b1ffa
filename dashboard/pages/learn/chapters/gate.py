"""What a gate carries: two streams, through the cell state and through the gates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from gradlab.config import RunConfig
from gradlab.config.presets import UNIFORM
from gradlab.plots.learn import Curve, Scene, arrange, lag_area, stream_area
from gradlab.plots.series import over_samples
from gradlab.wording import factor_text

from .. import runs
from ..chapter import Chapter, Choice, Guess, Slider, Values

LAG = 20
DECADES = (-12.0, 2.0)
NETS: dict[str, dict[str, Any]] = {
    "LSTM": {"cell": "lstm"},
    "LSTM, chrono": {"cell": "lstm", "forget_bias": "chrono"},
    "GRU": {"cell": "gru"},
    "minimal LSTM": {"cell": "min_lstm"},
}
TEXT = r"""
An LSTM adds to its cell state instead of overwriting it:

$$
c_t = f_t\, c_{t-1} + i_t\, g_t, \qquad h_t = o_t \tanh c_t
$$

So there is a way back that meets no weights: $\partial c_t / \partial c_{t-1} = f_t + \dots$ The gate $f$ is the share
that is *carried*; everything else goes *through the gates*, that is, through weights and slopes.

At a bias of 0 a gate stands at $\sigma(0) = 1/2$ and forgets half of the state at each step. A bias of 3 opens it to
0.95. Chrono spreads the biases, so that some units forget slowly and some fast.
"""


@dataclass(frozen=True)
class Found:
    """The curves of all cells, and the share of the paths (lag,) of the chosen one."""

    curves: list[Curve]
    shares: dict[str, np.ndarray]


def config(values: Values) -> RunConfig:
    """The chosen net, with weights such as nn.LSTM starts with."""
    return RunConfig(**{**UNIFORM, "forget_bias": values["bias"], **NETS[values["net"]]})


def measure(values: Values) -> Found:
    """All cells at the bias; chrono has biases of its own."""
    nets = {name: config({**values, "net": name}) for name in NETS}
    return Found(runs.curves(nets, values["net"]), shares(runs.run(config(values))))


def shares(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """Share of the carry and of all gates together in what each step passes back, lag 1 first."""
    carry = over_samples(ds.path_share.sel(path="carry").transpose("step", "sample").values)[1][::-1]
    carry = carry[: runs.TABLE[-1]]
    return {"carried": carry, "through the gates": 1 - carry}


def draw(found: Found, scene: Scene) -> go.Figure:
    """The curves, beside them the two streams."""
    return arrange([lag_area(found.curves, DECADES, scene), stream_area(found.shares, scene)], scene)


def say(found: Found) -> str:
    """How much of a step is carried, and at which rate."""
    curve, carried = runs.bold(found.curves), float(np.median(found.shares["carried"]))
    rate = (curve.logs[LAG] - curve.logs[1]) / (LAG - 1)
    return (
        f"{curve.name}: {100 * carried:.0f} % of what a step passes back is carried; it goes on at {factor_text(rate)}."
    )


CHAPTER = Chapter(
    slug="gate",
    title="What does a gate carry?",
    text=TEXT,
    controls=(
        Choice("net", "Cell", {name: name for name in NETS}, "LSTM"),
        Slider("bias", "Bias of the forget gate", -2, 6, 0.25, 0.0),
    ),
    guess=Guess(
        "An LSTM whose forget gates have no bias. How much of the gradient is left 20 steps back?",
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
