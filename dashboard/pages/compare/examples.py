"""Sets of runs that show one thing each: one input, one probe, as many steps."""

from dataclasses import dataclass

from gradlab.config import RunConfig
from gradlab.config.presets import UNIFORM


@dataclass(frozen=True)
class Example:
    """Runs worth comparing: what the button says, what they show, and the runs."""

    label: str
    text: str
    runs: tuple[RunConfig, ...]


STEPS = 120  # so that what is left after 100 is known
_PLAIN = RunConfig(steps=STEPS)
_GATED = _PLAIN.replace(**UNIFORM)
_LSTM = _GATED.replace(cell="lstm")
EXAMPLES = {
    "cells": Example(
        "RNN, LSTM, GRU",
        "The three cells of every textbook, drawn about as PyTorch does. The LSTM has forget bias 1.",
        (_GATED, _LSTM.replace(forget_bias=1.0), _GATED.replace(cell="gru")),
    ),
    "forget": Example(
        "Forget bias",
        "How far open the forget gate of an LSTM is at the start decides how far its gradient reaches.",
        tuple(_LSTM.replace(forget_bias=bias) for bias in (0.0, 1.0, 2.0, 3.0, "chrono")),
    ),
    "activations": Example(
        "Activations",
        "The same plain net with six nonlinearities: each step multiplies by their slope.",
        tuple(_PLAIN.replace(activation=name) for name in ("tanh", "sigmoid", "relu", "softsign", "gelu", "identity")),
    ),
    "initialisations": Example(
        "Initialisations",
        "A ReLU net whose recurrent weights are drawn in six ways; with the identity it is the IRNN.",
        tuple(
            _PLAIN.replace(activation="relu", recurrent_init=name)
            for name in ("gaussian", "uniform", "glorot_uniform", "he", "orthogonal", "identity")
        ),
    ),
    "clipping": Example(
        "Clipping inside backprop",
        "A net whose gradient explodes, and what clipping at every step of the way back leaves of it.",
        (
            _PLAIN.replace(gain=3.0),
            *(_PLAIN.replace(gain=3.0, clip=clip, clip_threshold=1.0) for clip in ("step_norm", "step_value")),
        ),
    ),
}
FIRST = EXAMPLES["cells"].runs
