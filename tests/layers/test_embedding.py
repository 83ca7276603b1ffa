"""The gradient of an embedding, however large the vocabulary: summed over the places of each symbol, in parts."""

import numpy as np
import pytest

from gradlab.engine.scaled import Scaled
from gradlab.layers import Embedding, embedding

V, F = 11, 3


def gradient(models, together, monkeypatch, dy=None):
    monkeypatch.setattr(embedding, "TOGETHER", together)
    rng = np.random.default_rng(0)
    layer, x = Embedding(V, F), rng.integers(0, V - 2, (6, *models, 4))  # two symbols never occur
    params = layer.init(1, models=models)
    _, tape = layer.forward(params, x, np.array([6, 1, 3, 0]))
    plain = rng.normal(size=(6, *models, 4, F))
    _, grads = layer.backward_scaled(params, tape, plain if dy is None else dy(plain))
    expected = np.zeros_like(params["W_emb"])
    for t, *m, b in np.ndindex(*x.shape):
        if t < (6, 1, 3, 0)[b]:
            expected[(*m, x[(t, *m, b)])] += plain[(t, *m, b)]
    return grads["W_emb"], expected


@pytest.mark.parametrize("models", [(), (2,)])
@pytest.mark.parametrize("together", [1, 24, 24 * 4, 10**6])
def test_parts_of_the_vocabulary_give_the_whole(models, together, monkeypatch):
    found, expected = gradient(models, together, monkeypatch)
    np.testing.assert_allclose(found.plain(), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("together", [24, 10**6])
@pytest.mark.parametrize("power", [-3000, 3000])
def test_parts_have_one_exponent_at_any_magnitude(together, power, monkeypatch):
    def far(dy):
        return Scaled(dy, np.full((6, 4, 1), power, dtype=np.int32))

    found, expected = gradient((), together, monkeypatch, far)
    np.testing.assert_allclose(np.ldexp(found.mantissas, found.exponents - power), expected, rtol=1e-12, atol=1e-13)
    assert found.exponents.shape == (1, 1)
