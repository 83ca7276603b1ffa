"""Loops over nn.*Cell modules: what the loss adds at each step is told from what the next step passes back."""

import numpy as np
import pytest
import torch
from torch import nn

import gradlab
import gradlab.torch as gt

from .test_exact import off

STEPS, B, D, H = 9, 3, 4, 5
CELLS = {"rnncell": nn.RNNCell, "lstmcell": nn.LSTMCell, "grucell": nn.GRUCell}
each_kind = pytest.mark.parametrize("kind", CELLS)


def first(kind, batch=(B,)):
    states = tuple(torch.randn(*batch, H) for _ in range(1 + (kind == "lstmcell")))
    return states if kind == "lstmcell" else states[0]


def run(cell, x, state, read):
    """The states h and c of each step, of which h is kept; `read` makes the next input of x_t and the last h."""
    hs, cs = [], []
    for x_t in x:
        state = cell(read(x_t, hs), state)
        h, c = state if isinstance(state, tuple) else (state, None)
        h.retain_grad()
        hs.append(h)
        cs.append(c)
    return hs, cs


def plain(x_t, hs):
    return x_t


def fed_back(x_t, hs):
    return x_t if not hs else x_t + torch.tanh(hs[-1])[..., : x_t.shape[-1]]


@pytest.mark.parametrize("read", [plain, fed_back])
@pytest.mark.parametrize("batch", [(B,), ()])
@each_kind
def test_the_gradients_of_a_loop(kind, batch, read):
    torch.manual_seed(0)
    cell = CELLS[kind](D, H).double()
    x, state = torch.randn(STEPS, *batch, D).double(), first(kind, batch)
    state = tuple(s.double() for s in state) if isinstance(state, tuple) else state.double()
    with gt.watch(cell, every=1) as watch:
        hs, cs = run(cell, x, state, read)
        loss = sum((n * h**2).sum() for n, h in enumerate(hs)) + (0 if cs[-1] is None else cs[-1].sin().sum())
        loss.backward()
        row = watch.step(loss)
    (layer,) = row.values()
    assert list(row) == [f"{kind}.l0"] and layer.output_error < 1e-14
    expected = np.stack([h.grad.reshape(-1, H).numpy() for h in hs])
    assert off(layer.loss.adjoints[1:, 0], expected) < 1e-14
    g = gradlab.importers.to_state_dict(layer.traj.cell, layer.loss.params)
    assert off(g["weight_hh_l0"], cell.weight_hh.grad.numpy()) < 1e-13
    assert off(g["weight_ih_l0"], cell.weight_ih.grad.numpy()) < 1e-13


@pytest.mark.parametrize("forget_bias", [-20.0, 0.0, 20.0])
def test_single_precision_neither_makes_a_read_out_nor_loses_the_gradient(forget_bias):
    """Below the smallest numbers that PyTorch has, at a forget gate that is shut."""
    curves = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        cell, x = nn.LSTMCell(D, H), torch.randn(60, B, D).to(dtype)
        with torch.no_grad():
            cell.bias_ih[H : 2 * H] = forget_bias
        cell.to(dtype)
        with gt.watch(cell, samples=B) as watch:
            hs, _ = run(cell, x, None, plain)
            loss = hs[-1].sum()
            loss.backward()
            layer = watch.step(loss)["lstmcell.l0"]
        g = gradlab.importers.to_state_dict(layer.traj.cell, layer.loss.params)
        assert off(g["weight_hh_l0"], cell.weight_hh.grad.numpy()) < 1e-5
        curves.append(layer.loss_surface)
    np.testing.assert_allclose(*curves, atol=1e-4)


@each_kind
def test_a_detached_state_begins_another_loop(kind):
    cell = CELLS[kind](D, H)
    with gt.watch(cell, every=1) as watch:
        state, loss = None, 0.0
        for t in range(6):
            state = cell(torch.randn(B, D), state)
            h = state[0] if isinstance(state, tuple) else state
            loss = loss + h.sum()
            if t == 2:
                state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss.backward()
        row = watch.step(loss)
    assert list(row) == [f"{kind}.l0", f"{kind}.l0.call1"]
    assert [layer.traj.steps for layer in row.values()] == [3, 3]


def test_a_loss_that_reads_the_cell_state_of_a_middle_step_is_refused():
    cell = nn.LSTMCell(D, H)
    with gt.watch(cell, every=1) as watch:
        hs, cs = run(cell, torch.randn(STEPS, B, D), None, plain)
        (hs[-1].sum() + cs[3].sum()).backward()
        with pytest.raises(
            gradlab.InputError, match="lstmcell: expected c to be read .*, but a loss reads it at step 4"
        ):
            watch.step(0.0)


def test_a_parametrization_that_keeps_a_state_is_refused():
    cell = nn.utils.parametrizations.spectral_norm(nn.GRUCell(D, H), "weight_hh")
    with (
        gt.watch(cell, every=1),
        pytest.raises(gradlab.InputError, match="grucell: .*as spectral_norm does; use an nn"),
    ):
        cell(torch.randn(B, D))
