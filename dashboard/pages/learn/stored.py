"""Training runs that are shown without waiting, kept beside this file.

`python3 -m dashboard.pages.learn.stored` renews them. Every one repeats to the digit from its configuration, with which
Train opens.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.config.train import TrainConfig

FILE = Path(__file__).with_suffix(".npz")
NETS = {"elman": "tanh", "lstm": "LSTM"}
RULES: dict[str, dict[str, Any]] = {
    "sgd": {"learning_rate": 0.1},
    "rmsprop": {"learning_rate": 0.003},
    "adam": {"learning_rate": 0.01},
}
ADDING: dict[str, Any] = {
    "task": "adding",
    "steps": 50,
    "hidden_size": 32,
    "clip": "norm",
    "clip_threshold": 1.0,
    "iterations": 600,
    "snapshot_every": 20,
    "evaluate_every": 20,
}


@dataclass(frozen=True)
class Stored:
    """Held-out loss at some iterations, and ln of what is left of the gradient (snapshot, time) at others."""

    loss: np.ndarray
    loss_at: np.ndarray
    surface: np.ndarray
    surface_at: np.ndarray


def config(net: str, rule: str) -> TrainConfig:
    """The set-up of one run."""
    return TrainConfig(cell=net, optimizer=rule, **RULES[rule], **ADDING)


@cache
def runs() -> dict[tuple[str, str], Stored]:
    """All runs, by cell and optimizer."""
    with np.load(FILE) as arrays:
        return {(net, rule): _read(arrays, f"{net}.{rule}.") for net in NETS for rule in RULES}


def _read(arrays: Any, prefix: str) -> Stored:
    return Stored(*(arrays[prefix + name] for name in Stored.__dataclass_fields__))


def train(net: str, rule: str) -> Stored:
    """One run, which takes half a minute."""
    import gradlab
    from gradlab.training import dataset

    ds = dataset(gradlab.train(config(net, rule)))
    surface = ds.surface.isel(layer=0).transpose("snapshot", "time").values
    left = (surface - surface[:, -1:]).astype(np.float32)
    return Stored(ds.held_out_loss.values, ds.evaluation.values, left, ds.snapshot.values)


def renew() -> None:
    """Train all of them anew."""
    made = {(net, rule): train(net, rule) for net in NETS for rule in RULES}
    arrays = {f"{net}.{rule}.{name}": value for (net, rule), run in made.items() for name, value in vars(run).items()}
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    renew()
