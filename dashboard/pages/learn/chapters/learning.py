"""What learning changes: stored runs of a tanh net and an LSTM, and the gradient's way back while they learn."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from gradlab.config.train import TrainConfig
from gradlab.plots.learn import Line, Scene, arrange, course_area, line_area, plain_axis
from gradlab.wording import digits_text

from .. import stored
from ..chapter import Chapter, Choice, Guess, Values, share_text

AT = 600
NETS = stored.NETS
RULES = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}
BASELINE = 1 / 6  # the error of always answering 1, the mean: the variance of the sum of two uniform numbers
TEXT = r"""
Two of 50 numbers are marked; the net is to say their sum at the end. Always saying 1, the mean, has an error of
$1/6$: whoever remembers nothing stays there.

$$
\Delta W = -\eta \, \frac{\partial L}{\partial W}
$$

*SGD* steps so far along the gradient. *RMSprop* divides every entry by its usual size, *Adam* also averages over
past gradients. None of them sees a gradient that has vanished.

The map shows how much of the gradient reaches each step, row by row as the net learns. At first it fades in both nets.
In the LSTM, learning itself opens the gates.
"""


@dataclass(frozen=True)
class Found:
    """The chosen net and rule, and all stored runs of the rule by net."""

    net: str
    rule: str
    runs: dict[str, stored.Stored]


def config(values: Values) -> TrainConfig:
    """The set-up of the chosen run."""
    return stored.config(values["net"], values["rule"])


def measure(values: Values) -> Found:
    """The stored runs."""
    rule = values["rule"]
    return Found(values["net"], rule, {net: stored.runs()[net, rule] for net in NETS})


def draw(found: Found, scene: Scene) -> go.Figure:
    """The held-out error of both nets, beside it the gradient of the chosen one."""
    look = scene.look
    lines = [Line(NETS[net], run.loss_at, run.loss, net == found.net) for net, run in found.runs.items()]
    axes = plain_axis(0, AT + 10, "iteration", look), plain_axis(0, 0.4, "", look)
    area = line_area("Error on data not seen", "", lines, axes, scene)
    style = {"color": look.muted, "width": 1, "dash": "dot"}
    area.shapes = [{"type": "line", "x0": 0, "x1": AT + 10, "y0": BASELINE, "y1": BASELINE, "line": style}]
    chosen = found.runs[found.net]
    return arrange([area, course_area(chosen.surface, chosen.surface_at, scene)], scene)


def say(found: Found) -> str:
    """Where the chosen run ends, and how much of the gradient reaches the first step, at first and at last."""
    run = found.runs[found.net]
    first, last = (share_text(float(row[1])) for row in run.surface[[0, -1]])
    where = "far below" if run.loss[-1] < BASELINE / 2 else "near"
    who = f"{NETS[found.net]} with {RULES[found.rule]}"
    end = f"{who} ends at {_digits(run.loss[-1])}, {where} the 1/6 of remembering nothing"
    return f"{end}; the first step gets {first} of the gradient before learning and {last} after."


def rows(found: Found) -> list[dict[str, str]]:
    """Some of the iterations."""
    at = next(iter(found.runs.values())).loss_at
    chosen = np.unique(np.searchsorted(at, (1, 100, 200, 400, AT)).clip(0, len(at) - 1)).tolist()
    return [
        {"iteration": str(at[n])} | {NETS[net]: _digits(run.loss[n]) for net, run in found.runs.items()} for n in chosen
    ]


def _digits(error: float) -> str:
    return digits_text(float(error), 2)


CHAPTER = Chapter(
    slug="learning",
    title="What does learning change?",
    text=TEXT,
    controls=(Choice("net", "Net", NETS, "lstm"), Choice("rule", "Optimizer", RULES, "adam")),
    guess=Guess(
        "Whoever remembers nothing has an error of 1/6. An LSTM learns to add two of 50 numbers with Adam: what is its "
        "error after 600 iterations?",
        at=AT,
        low=0.0,
        high=0.4,
        step=0.01,
        start=0.17,
        powers=False,
    ),
    measure=measure,
    draw=draw,
    truth=lambda found: float(found.runs[found.net].loss[-1]),
    say=say,
    config=config,
    rows=rows,
    path="/train",
)
