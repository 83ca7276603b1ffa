"""What the texts and papers say of cells at initialisation, measured."""

import math

import numpy as np
import pytest

import gradlab
from gradlab.runs.shares import joint_log_norm


def analysed(name, steps=100, seed=0, hidden=32, batch=16, options=None, **own):
    """A cell on noise, and its parameters."""
    cell = gradlab.make_cell(name, input_size=3, hidden_size=hidden, **own)
    params = cell.init(seed, **options or {})
    x = np.random.default_rng(seed + 100).normal(size=(steps, batch, 3))
    return cell, params, x


def test_a_gate_at_one_and_no_other_way_carry_exactly_one():
    """An LSTM whose forget gates are 1 and whose recurrent weights are 0: dL/dc stays what it is, to the last digit."""
    cell, params, x = analysed("lstm", steps=400)
    params["W_hh"] = 0 * params["W_hh"]
    params["b_h"][cell.gates.index("f")] = 800.0
    final = np.random.default_rng(1).normal(size=(2, 16, 32))
    final[0] = 0  # the loss is of c alone
    adjoints = gradlab.bptt(gradlab.unroll(cell, params, x), np.zeros((400, 16, 32)), final).adjoints
    np.testing.assert_array_equal(adjoints[:-1, 1], np.broadcast_to(final[1], (400, 16, 32)))


@pytest.mark.parametrize("seed", range(3))
def test_an_antisymmetric_net_of_small_steps_holds_its_gradient(seed):
    cell, params, x = analysed("antisymmetric", steps=200, seed=seed, epsilon=0.01, gamma=0.01)
    found = gradlab.verdict(gradlab.analyze(cell=cell, params=params, x=x))
    assert found.word == "carried" and abs(found.fitted_log_rate) < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_an_irnn_keeps_the_root_of_the_share_that_lives(seed):
    """Identity weights: what arrives of a random gradient is the part in units that are never switched off."""
    cell, params, x = analysed(
        "elman", seed=seed, hidden=256, batch=32, activation="relu", options={"recurrent_init": "identity"}
    )
    ds = gradlab.analyze(cell=cell, params=params, x=x, seed=seed)
    alive = (gradlab.unroll(cell, params, x).states[1:, 0] > 0).all(axis=0).mean(axis=-1)
    left = np.exp(joint_log_norm(ds).transpose("time", "sample").values[0])
    np.testing.assert_allclose(left.mean(), np.sqrt(alive).mean(), rtol=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_a_cornn_stays_below_its_bound(seed):
    """Largest entries of tangents grow by at most 1 + O(dt) per step; norms by that and a constant."""
    cell, params, x = analysed("cornn", steps=60, seed=seed, dt=0.01, gamma=1.0, epsilon=1.0)
    w = params["W_hh"][0]
    g = np.abs(w).sum(axis=1).max()
    dt = cell.dt
    bound = max(abs(1 - dt) + dt * (1 + g), abs(1 - dt * dt) + dt * abs(1 - dt) + dt * dt * g)
    logs = gradlab.analyze(cell=cell, params=params, x=x, record=["products"]).log_product_norm
    lags = np.arange(61)[::-1]
    states = 2 * 32
    most = lags * math.log(bound) + math.log(states)  # Frobenius against the largest row sum
    assert (logs.transpose("time", "sample").values <= most[:, None] + 1e-9).all()
