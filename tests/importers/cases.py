"""Layers and state dicts that tests of importers share."""

import numpy as np

from gradlab.importers import load_whole
from gradlab.layers import Sequential

BLOCKS = {"elman": 1, "gru": 3, "lstm": 4}


def state_dict(kind="lstm", d=3, h=4, layer="0", prefix="", dtype="float64", seed=0) -> dict[str, np.ndarray]:
    """A layer's tensors in PyTorch's names, order and shapes."""
    rng, rows = np.random.default_rng(seed), BLOCKS[kind] * h
    shapes = {"weight_ih": (rows, d), "weight_hh": (rows, h), "bias_ih": (rows,), "bias_hh": (rows,)}
    return {f"{prefix}{name}_l{layer}": rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def outputs(source, x, symbols=False, lengths=None, head=True, **choice) -> np.ndarray:
    """What the whole network of a file gives at every step, in float64; x and y in the order of the sequence."""
    made = load_whole(source, symbols=symbols, **choice)
    layers = made.body | (made.head if head else {})
    params = {k: np.asarray(v, float) for k, v in made.params.items() if k.partition(".")[0] in layers}
    y, _ = Sequential(**layers).forward(params, x[::-1] if made.reverse else x, lengths)
    return y
