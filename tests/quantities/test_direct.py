"""The split of a state's gradient into what comes at once and what the recurrence brings: they sum to the whole."""

import numpy as np
import pytest

import gradlab
from gradlab.arrays import quiet
from gradlab.cells import CELLS, make_cell
from gradlab.layers import Dense, Recurrent, Sequential, recurrent_tapes

T, B, D, H = 14, 3, 2, 4
LENGTHS = np.array([14, 6, 9])
OWN = ["log_direct_grad_norm", "log_recurrent_grad_norm", "direct_share"]


def analyzed(name, lengths=None):
    """(tree, the lower layer's gradients) of a cell of that name below a GRU."""
    lower = make_cell(name, input_size=D, hidden_size=H)
    net = Sequential(Recurrent(lower), Recurrent(make_cell("gru", input_size=H, hidden_size=H)), Dense(H, H))
    params, x = net.init(0), np.random.default_rng(1).normal(size=(T, B, D))
    tree = gradlab.analyze(net=net, params=params, x=x, lengths=lengths, seed=3)
    y, tape = net.forward(params, x, lengths)
    ends = np.full(B, T) if lengths is None else lengths
    probe = np.zeros_like(y)
    u = np.random.default_rng([3, int.from_bytes(b"probe", "big")]).normal(size=(B, H))
    probe[ends - 1, np.arange(B)] = u / np.linalg.norm(u, axis=-1, keepdims=True)
    net.backward(params, tape, probe)
    return tree, recurrent_tapes(tape)["0"].gradients


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_the_parts_are_those_of_the_adjoints(name, lengths):
    tree, gradients = analyzed(name, lengths)
    whole, direct = gradients.adjoints, np.zeros_like(gradients.adjoints)
    direct[1:, 0] = gradients.direct.plain()
    passed = whole - direct
    node = tree["0"]
    inside = np.arange(T + 1)[:, None] <= (np.full(B, T) if lengths is None else lengths)
    for quantity, part in (("log_direct_grad_norm", direct), ("log_recurrent_grad_norm", passed)):
        found, expected = np.exp(node[quantity].values), np.sqrt((part**2).sum(axis=(1, -1)))
        np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-8, atol=1e-12 * expected.max())
        assert np.isnan(found[~inside]).all()
    with quiet():
        share = (direct * whole).sum(axis=(1, -1)) / (whole * whole).sum(axis=(1, -1))
    np.testing.assert_allclose(node.direct_share.values[inside], share[inside], rtol=1e-8, atol=1e-10)


def test_a_faint_recurrence_beside_a_loud_layer_above_keeps_its_digits():
    """A chain that passes 1e-30 on below one that passes everything on: what the recurrence brings is known exactly."""
    faint, loud = (make_cell("elman", input_size=1, hidden_size=1, activation="identity") for _ in range(2))
    net = Sequential(Recurrent(faint), Recurrent(loud))
    params = {name: np.ones_like(value) for name, value in net.init(0).items()}
    params["0.W_hh"][...] = 1e-30
    tree = gradlab.analyze(net=net, params=params, x=np.zeros((9, 1, 1)))
    node = tree["0"]
    np.testing.assert_allclose(node.log_direct_grad_norm[1:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(node.log_recurrent_grad_norm[:-1, 0], np.log(1e-30), rtol=1e-12)
    assert np.isneginf(node.log_recurrent_grad_norm[-1, 0]) and np.isneginf(node.log_direct_grad_norm[0, 0])
    np.testing.assert_array_equal(node.direct_share[:, 0], [0, *[1] * 9])


def test_where_only_the_end_gets_something_there_is_no_split():
    cell = make_cell("lstm", input_size=D, hidden_size=H)
    x = np.random.default_rng(1).normal(size=(T, B, D))
    assert not {*OWN} & {*gradlab.analyze(cell=cell, params=cell.init(0), x=x, lengths=LENGTHS).data_vars}
    net = Recurrent(cell)
    assert not {*OWN} & {*gradlab.analyze(net=net, params=net.init(0), x=x)["layer"].data_vars}
