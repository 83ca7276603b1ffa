"""Where the edge is: two nearby states that drift apart, and the map of all gains and inputs."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import plotly.graph_objects as go

import gradlab
from gradlab import theory
from gradlab.config import RunConfig
from gradlab.plots.learn import Line, Scene, arrange, line_area, marked, phase_area, plain_axis
from gradlab.plots.marks import power_numbers
from gradlab.plots.panels import power_axis
from gradlab.runs.build import build
from gradlab.runs.shares import median
from gradlab.wording import factor_text, number_text

from ..chapter import Chapter, Guess, Slider, Values

STEPS, AT = 50, 40
NEAR = 1e-6  # how far apart both states are at first
DECADES = (-14.0, 2.0)
GAINS, INPUTS = np.linspace(0.5, 4, 36), np.linspace(0, 2, 21)
TEXT = r"""
Let two copies of a net start a millionth apart and read the same. Their distance grows or shrinks with the same
Jacobians that carry the gradient: forward in time for one, backward for the other.

In a wide random net with weights of standard deviation $\sigma_w/\sqrt{H}$ one number decides:

$$
\chi_1 = \sigma_w^2 \,\big\langle \varphi'(a)^2 \big\rangle
$$

Below 1 the copies meet again and gradients vanish; above 1 they part, *chaos*, and gradients explode. Between them
lies the edge. Without an input it is at gain 1. An input moves units to where tanh is flat, and the edge moves away.
"""


@dataclass(frozen=True)
class Found:
    """ln of the distance (step,), median over samples; the gain, the input scale, and chi_1 there."""

    logs: np.ndarray
    point: tuple[float, float]
    chi: float


def config(values: Values) -> RunConfig:
    """A net at the point."""
    return RunConfig(gain=values["gain"], input_scale=values["input_scale"])


def measure(values: Values) -> Found:
    """Two runs from states of length 1 a little apart, under one input, by the way of one and what the other is off."""
    cell, params, x = build(config(values))
    rng = np.random.default_rng(0)
    first, aside = rng.normal(size=(2, 1, x.shape[1], cell.hidden_size))
    aside *= NEAR / np.linalg.norm(aside, axis=-1, keepdims=True)
    traj = gradlab.unroll(cell, params, x[:STEPS], initial_state=first)
    logs = np.log(np.linalg.norm(differences(traj.pre[:, 0], params["W_hh"][0], aside[0]), axis=-1))
    found = theory.mean_field("tanh", values["gain"], 0.0, values["input_scale"])
    return Found(median(logs), (values["gain"], values["input_scale"]), found.chi)


def differences(pre: np.ndarray, weights: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """What a copy is off (step, B, H), from aside (B, H) on: pre (T, B, H) of the first, weights (H, H).

    tanh(a + d) - tanh(a) as sinh(d) / (cosh(a) cosh(a + d)), which keeps its digits however near both are.
    """
    off = [aside]
    for a in pre:
        d = off[-1] @ weights.T
        off.append(np.sinh(d) / (np.cosh(a) * np.cosh(a + d)))
    return np.stack(off)


@lru_cache(maxsize=1)
def fields() -> dict[str, np.ndarray]:
    """The map of theory over gain and input scale."""
    return theory.phase_map("tanh", ("sigma_w", GAINS), ("sigma_v", INPUTS), sigma_b=0.0)


def draw(found: Found, scene: Scene) -> go.Figure:
    """The distance over the steps, beside it the map."""
    tens = found.logs / np.log(10)
    axes = plain_axis(-0.5, STEPS + 0.5, "step t", scene.look), power_axis(*DECADES)
    lines = [Line("distance", np.arange(STEPS + 1), tens)]
    area = marked(
        line_area("Distance of two copies", "median over samples", lines, axes, scene, power_numbers),
        AT,
        tens[AT],
        scene,
    )
    return arrange([area, phase_area(fields(), ("sigma_w", GAINS), ("sigma_v", INPUTS), found.point, scene)], scene)


def say(found: Found) -> str:
    """Which side of the edge it is on, by theory and by the distance."""
    grown = found.logs[AT] - found.logs[0]
    side = "parted" if grown > 0 else "come together"
    phase = "the edge" if abs(found.chi - 1) < 0.005 else "above 1" if found.chi > 1 else "below 1"
    first, last = (number_text(found.logs[t], 2) for t in (0, AT))
    moved = f"From {first} the copies have {side} to {last} in {AT} steps, {factor_text(grown / AT)} a step"
    return f"{moved}; theory: χ_1 = {found.chi:.2f}, {phase}, {factor_text(np.log(found.chi) / 2)} a step while near."


def rows(found: Found) -> list[dict[str, str]]:
    """Some of the steps."""
    return [{"step": str(t), "distance": number_text(found.logs[t], 2)} for t in (0, 1, 5, 10, 20, 40, 50)]


CHAPTER = Chapter(
    slug="edge",
    title="Where is the edge?",
    text=TEXT,
    controls=(
        Slider("gain", "Gain of the weights", 0.5, 4, 0.1, 2.0),
        Slider("input_scale", "Scale of the input", 0, 2, 0.1, 0.0),
    ),
    guess=Guess(
        "Gain 2 and no input: two copies start 10^-6 apart. How far apart are they at step 40?",
        at=AT,
        low=DECADES[0],
        high=DECADES[1],
        step=0.5,
        start=-6.0,
        share=False,
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: float(found.logs[AT] / np.log(10)),
    say=say,
    config=config,
    rows=rows,
)
