"""What a hidden state is: a pulse that a unit remembers, and the net unrolled step by step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

import gradlab
from gradlab.config import RunConfig
from gradlab.plots.learn import Line, Scene, arrange, line_area, marked, plain_axis, unrolled_area
from gradlab.runs.build import build
from gradlab.wording import counted, digits_text

from ..chapter import Chapter, Choice, Guess, Slider, Values

STEPS = 20
SHAPES = {"one-many": "one to many", "many-one": "many to one", "many-many": "many to many", "one-one": "one to one"}
UNITS = {"1": "one unit", "8": "8 units"}
TEXT = r"""
A recurrent net reads a sequence one step at a time and keeps a *hidden state*, one number for each unit:

$$
h_t = \tanh(W h_{t-1} + V x_t)
$$

The same $W$ and $V$ act at every step. Drawn step by step it is a deep net whose layers share their
weights. It may read at one step or at all, and answer at one step or at all: four shapes, one net.

Here $x_1 = 1$; a net that reads at every step gets a wave after that. With $W = 1$, will one unit still know of $x_1$
at step 20?
"""


@dataclass(frozen=True)
class Found:
    """States (step, unit) from step 1 on, at which steps it reads and says something, and the step that is shown."""

    states: np.ndarray
    reads: list[int]
    says: list[int]
    step: int


def config(values: Values) -> RunConfig:
    """One unit of weight 1, or 8 whose weights are a rotation; Explore feeds it noise."""
    init = {"1": "identity", "8": "orthogonal"}[values["units"]]
    sizes: dict[str, Any] = {"hidden_size": int(values["units"]), "input_size": 1, "batch_size": 1, "steps": STEPS}
    return RunConfig(recurrent_init=init, **sizes)


def measure(values: Values) -> Found:
    """The net on a pulse, or on a wave that begins with it."""
    cell, params, _ = build(config(values))
    params = params | {"W_xh": np.ones_like(params["W_xh"])}
    read, said = values["shape"].split("-")
    steps = list(range(1, STEPS + 1)) if values["shape"] != "one-one" else [1]
    x = np.cos(np.arange(STEPS) * 2 * np.pi / 8) if read == "many" else np.eye(STEPS)[0]
    states = gradlab.unroll(cell, params, x[:, None, None]).states[1:, 0, 0]
    reads, says = steps if read == "many" else steps[:1], steps if said == "many" else steps[-1:]
    return Found(states[: len(steps)], reads, says, min(int(values["step"]), len(steps)))


def draw(found: Found, scene: Scene) -> go.Figure:
    """The units' states over the steps, beside them the unrolled net."""
    steps = np.arange(1, len(found.states) + 1)
    lines = [Line(f"unit {n}", steps, unit) for n, unit in enumerate(found.states.T, 1)]
    axes = plain_axis(0.5, STEPS + 0.5, "step t", scene.look), plain_axis(-1.05, 1.05, "", scene.look)
    area = line_area("Hidden state", "one line for each unit", lines, axes, scene)
    area = marked(area, found.step, found.states[found.step - 1, 0], scene)
    upto = found.step if scene.told else 1
    return arrange([area, unrolled_area(found.states, found.reads, found.says, upto, scene)], scene)


def say(found: Found) -> str:
    """What the state is at the step, and what has been read and said so far."""
    now = found.states[found.step - 1]
    value = (
        f"is {digits_text(float(now[0]), 2)}"
        if now.size == 1
        else f"has length {digits_text(float(np.linalg.norm(now)), 2)}"
    )
    read, said = (sum(t <= found.step for t in steps) for steps in (found.reads, found.says))
    return f"At step {found.step} the state {value}, after {counted(read, 'input')} and {counted(said, 'output')}."


def rows(found: Found) -> list[dict[str, str]]:
    """Some of the steps."""
    names = [f"unit {n}" for n in range(1, found.states.shape[1] + 1)]
    steps = [t for t in (1, 2, 3, 5, 10, 20) if t <= len(found.states)]
    return [
        {"step": str(t)} | {n: digits_text(float(h), 2) for n, h in zip(names, found.states[t - 1], strict=True)}
        for t in steps
    ]


CHAPTER = Chapter(
    slug="state",
    title="What is a hidden state?",
    text=TEXT,
    controls=(
        Choice("shape", "Reads and answers", SHAPES, "one-many"),
        Choice("units", "Net", UNITS, "1"),
        Slider("step", "Step", 1, STEPS, 1, 20, plays=True),
    ),
    guess=Guess(
        "One tanh unit of weight 1 reads 1 at the first step, and nothing after. What is its state at step 20?",
        at=STEPS,
        low=-1.0,
        high=1.0,
        step=0.05,
        start=0.75,
        powers=False,
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: float(found.states[-1, 0]),
    say=say,
    config=config,
    rows=rows,
)
