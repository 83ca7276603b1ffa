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
_LONG = _LSTM.replace(forget_bias=1.0, steps=320, batch_size=8)  # so that what is left after 300 is known
_BLOCKS = RunConfig(architecture="transformer", layers=2, steps=320, batch_size=8)
_DEEP = RunConfig(architecture="transformer", steps=STEPS, batch_size=8, hidden_size=32)
_TREE = _GATED.replace(architecture="tree", steps=127)
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
        tuple(_PLAIN.replace(gain=3.0, clip=clip, clip_threshold=1.0) for clip in ("off", "step_norm", "step_value")),
    ),
    "attention": Example(
        "Recurrence against attention",
        "What an LSTM alone forgets, attention over its states brings back; a transformer has no distance at all. A "
        "net of both directions hears both ends, and loses the middle.",
        (
            _LONG,
            _LONG.replace(bidirectional=True),
            _LONG.replace(attention="additive"),
            _LONG.replace(attention="dot"),
            _BLOCKS.replace(causal=True),
        ),
    ),
    "norms": Example(
        "Pre-LN against post-LN",
        "Transformers of 2 and of 12 blocks, normalised before each branch or after each sum.",
        tuple(_DEEP.replace(norm=norm, layers=layers) for layers in (2, 12) for norm in ("pre", "post")),
    ),
    "trees": Example(
        "Chains against trees",
        "The same 127 inputs as a chain and as trees: what is far along a chain is near below a root.",
        tuple(
            _TREE.replace(cell=cell, tree=tree, forget_bias=bias)
            for cell, bias in (("lstm", 1.0), ("elman", 0.0))
            for tree in ("chain", "random", "balanced")
        ),
    ),
    "modern": Example(
        "Modern cells",
        "Cells made to carry: gates of the input alone, diagonal recurrences, oscillators, long memories.",
        tuple(_PLAIN.replace(cell=cell) for cell in ("min_gru", "min_lstm", "lru", "indrnn", "cornn", "lem")),
    ),
}
FIRST = EXAMPLES["cells"].runs
