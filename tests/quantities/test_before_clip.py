"""The gradient before each clipping of a backward pass, as it is recorded: a chain whose answer is known."""

import math

import numpy as np
import pytest

import gradlab


@pytest.mark.parametrize("mode", ["step_norm", "step_value"])
@pytest.mark.parametrize(("weight", "threshold"), [(3.0, 1.0), (2.0, 0.25), (0.5, 1e-3)])
def test_before_each_clipping_a_chain_has_grown_by_its_weight(mode: str, weight: float, threshold: float) -> None:
    """One linear unit: cut to the threshold after each step, the gradient is the weight times that before the next."""
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=1, activation="identity")
    params = cell.init(0) | {"W_hh": np.full((1, 1, 1), weight)}
    ds = gradlab.analyze(cell=cell, params=params, x=np.zeros((9, 2, 1)), clip=mode, clip_threshold=threshold)
    expected, after = [], 1.0
    for n in range(10):
        before = 1.0 if n == 0 else weight * after
        after = min(before, threshold)
        expected.append(math.log(before))
    found = ds.log_grad_norm_before_clip.sel(state="h").transpose("time", "sample")
    np.testing.assert_allclose(found, np.repeat(np.array(expected[::-1])[:, None], 2, axis=1), atol=1e-12)
