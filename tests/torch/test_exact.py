"""Every gradient equals that of a loop in double precision, and PyTorch's own of its weights."""

import numpy as np
import pytest
import torch

import gradlab.torch as gt
from gradlab.importers.pytorch import to_state_dict

from .nets import CASES, NAMES, H, T, loop, loss_of

each_case = pytest.mark.parametrize("case", CASES, ids=NAMES)


def watched(case, dtype):
    module = case.module(dtype)
    own, x, states = case.inputs(module)
    with gt.watch(module, every=1, samples=99) as watch:
        torch.manual_seed(2)
        loss = loss_of(*case.call(module, own, states))
        loss.backward()
        return module, x, states, watch.step(loss)


def off(found, expected):
    """The largest difference over the largest value."""
    return np.abs(found - expected).max() / np.abs(expected).max()


@each_case
def test_the_gradient_of_every_state_is_that_of_a_loop_in_double_precision(case):
    module, x, states, row = watched(case, torch.float64)
    torch.manual_seed(2)
    masks = case.drawn(module, x) if case.dropout else []
    y, final, kept = loop(case, module, x, states, masks)
    loss_of(y, final).backward()
    assert len(row) == len(kept)
    for number, hs in kept.items():
        layer = row[f"{case.kind.lower()}.l{number}"]
        assert layer.output_error < 1e-14
        adjoints = layer.loss.adjoints[1:, 0]
        expected = np.zeros((T, len(case.lengths), hs[0].shape[-1]))
        for t, b in ((t, b) for b, n in enumerate(case.lengths) for t in range(n)):
            at = case.lengths[b] - 1 - t if "reverse" in number else t
            expected[at, b] = hs[t].grad[b]
        inside = np.arange(T)[:, None] < case.lengths
        if module.proj_size:  # the state whose projection is h
            expected = expected @ getattr(module, f"weight_hr_l{number}").detach().numpy()
        assert off(adjoints[inside], expected[inside]) < 1e-14


@each_case
def test_the_gradient_of_the_weights_is_pytorchs_own(case):
    module, _, _, row = watched(case, torch.float32)
    for name, layer in row.items():
        number = name.partition(".l")[2]
        found = to_state_dict(layer.traj.cell, layer.loss.params)
        if module.proj_size:  # of W_hh W_hr -> of W_hh
            found["weight_hh_l0"] = found["weight_hh_l0"] @ getattr(module, f"weight_hr_l{number}").detach().numpy().T
        for own, gradient in found.items():
            parameter = getattr(module, own.replace("_l0", f"_l{number}"), None)
            if parameter is not None and not own.startswith("bias_hh"):
                assert off(gradient, parameter.grad.numpy()) < 1e-6
        assert layer.output_error < 1e-6


def test_samples_are_the_first_of_the_batch():
    case = CASES[7]
    module = case.module(torch.float64)
    own, _, states = case.inputs(module)
    rows = []
    for samples in (2, 99):
        with gt.watch(module, every=1, samples=samples) as watch:
            loss = loss_of(*case.call(module, own, states))
            loss.backward()
            rows.append(watch.step(loss))
    few, all_of_them = (row["lstm.l1_reverse"] for row in rows)
    assert few.loss.adjoints.shape == (T + 1, 2, 2, H)
    np.testing.assert_allclose(few.loss.adjoints, all_of_them.loss.adjoints[:, :, :2], rtol=1e-13)
