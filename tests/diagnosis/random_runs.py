"""Random runs of single cells of every kind, drawn or given, ordinary or extreme: what a diagnosis has to judge."""

import warnings

import numpy as np
import xarray as xr

import gradlab
from gradlab.cells import CELLS
from gradlab.cells.activations import ACTIVATIONS
from gradlab.cells.initializers import INITIALIZERS
from gradlab.config import controls
from gradlab.config.run import LOSSES
from gradlab.learning.clipping import CLIP_MODES

SCALES = [0.0, 0.01, 0.1, 0.3, 0.7, 1.0, 1.0, 1.5, 2.0, 3.0, 6.0, 20.0, 100.0]
PLAIN = ["elman"] * 9 + ["lstm", "lstm", "gru"]  # are drawn more often


def random_run(seed: int) -> xr.Dataset:
    """A run of random fields, or in one of three cases of weights and samples that no RunConfig draws."""
    rng = np.random.default_rng([seed, 13])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # x has more samples than steps
        return given(rng) if seed % 3 == 0 else gradlab.analyze(random_config(rng))


def random_config(rng: np.random.Generator) -> gradlab.RunConfig:
    """Any configuration of a small single cell."""
    known = controls(gradlab.RunConfig)
    choices = {
        "cell": [*CELLS, *PLAIN],
        "activation": [*ACTIVATIONS, "tanh", "tanh", "relu"],
        "recurrent_init": list(INITIALIZERS),
        "gain": SCALES,
        "input": ["noise", "sine"],
        "input_scale": [*SCALES, 1e3, 1e6],
        "bias_scale": [0.0, 0.0, 0.3, 1.0, 10.0],
        "forget_bias": [0.0, 1.0, 3.0, -3.0, 8.0, "chrono"],
        "leak": [1.0, 1.0, 0.5, 0.1, 0.01],
        "clip": [*CLIP_MODES, "off", "off", "off"],
        "clip_threshold": [0.5, 2.0],
        "truncate": ["off", "off", "off", "off", 1, 7],
        "loss": list(LOSSES),
        "dtype": ["float64", "float32"],
        "steps": [*range(1, 31), *range(10, 31), 50, 50, 100, 100, 300],
        "batch_size": list(range(1, 9)),
        "hidden_size": list(range(1, 33)),
        "seed": list(range(1000)),
    }
    fields = {name: some[rng.integers(len(some))] for name, some in choices.items()}
    cell = gradlab.RunConfig(cell=fields["cell"], clip=fields["clip"])
    return gradlab.RunConfig(**{name: value for name, value in fields.items() if known[name].applies_if(cell)})


def given(rng: np.random.Generator) -> xr.Dataset:
    """A cell of one's own with transformed weights, samples of other scales, and of unequal lengths in a third."""
    units, samples, steps = (
        int(rng.integers(1, 17)),
        int(rng.integers(1, 17)),
        int(rng.choice([5, 12, 20, 40, 100, 200])),
    )
    name, activation = str(rng.choice([*CELLS, *PLAIN])), str(rng.choice([*ACTIVATIONS, "identity", "tanh", "relu"]))
    cell = gradlab.make_cell(name, input_size=2, hidden_size=units, activation=activation)
    params = transformed(rng, cell.init(int(rng.integers(1000)), bias_scale=float(rng.choice([0.0, 0.5]))))
    x = rng.normal(size=(steps, samples, 2)) * rng.choice([0.0, 1.0, 1.0, 30.0, 1e4], size=(1, samples, 1))
    lengths = rng.integers(0, steps + 1, samples) if rng.random() < 0.3 else None
    dtype = str(rng.choice(["float64", "float64", "float32"]))
    params = {key: value.astype(dtype) for key, value in params.items()}
    return gradlab.analyze(cell=cell, params=params, x=x.astype(dtype), lengths=lengths)


def transformed(rng: np.random.Generator, params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights as they are, zero, huge, far from normal, a multiple of the identity, or with biases that hold a unit."""
    w, factor = params["W_hh"], float(rng.choice([0.5, 0.8, 0.9, 1.0, 1.1, 1.3]))
    eye = factor * np.eye(*w.shape[-2:])
    shifted = 3.0 * np.eye(*w.shape[-2:], k=1)
    some = {
        "as drawn": {},
        "scaled": {"W_hh": w * float(rng.choice([0.1, 2.0, 5.0]))},
        "held": {"W_hh": w * 1.4, "b_h": params["b_h"] * 1e36},
        "zero": {"W_hh": 0 * w},
        "huge": {"W_hh": w * 1e12},
        "identity": {"W_hh": 0 * w + eye},
        "not normal": {"W_hh": 0 * w + eye + shifted},
        "biased": {"b_h": params["b_h"] - 30.0},
        "driven": {"W_xh": params["W_xh"] * float(rng.choice([1e10, 1e35]))},
    }
    return params | some[str(rng.choice(list(some)))]
