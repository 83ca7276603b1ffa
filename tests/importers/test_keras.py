"""Models of Keras give what Keras computes; what gradlab has no cell for is named."""

from pathlib import Path

import numpy as np
import pytest

from .cases import outputs

MODELS = Path(__file__).parents[1] / "golden" / "models"
NAMES = ["stack", "no_bias", "both", "backwards", "cells", "words", "nested"]


def golden(name):
    """Input and output of a model, time first."""
    with np.load(MODELS / "keras.npz") as file:
        return [np.moveaxis(file[f"{name}/{key}"], 0, 1) for key in "xy"]


@pytest.mark.parametrize("name", NAMES)
def test_a_keras_file_gives_what_keras_computes(name):
    x, y = golden(name)
    lengths = (x != 0).sum(axis=0) if name == "words" else None
    found = outputs(MODELS / f"{name}.keras", x, symbols=True, lengths=lengths)
    inside = np.arange(len(x))[:, None, None] < (len(x) if lengths is None else lengths[:, None])
    np.testing.assert_allclose(np.where(inside, found - y, 0), 0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("file", ["stack.h5", "both.h5", "stack_tfjs.json"])
def test_older_files_give_it_too(file):
    x, y = golden(file.partition(".")[0].partition("_")[0])
    np.testing.assert_allclose(outputs(MODELS / file, x), y, rtol=0, atol=1e-6)
