"""Where a decoder looks: the weights of its attention, and what stands beside them."""

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab import plots
from gradlab.errors import InputError
from gradlab.layers import Attention, EncoderDecoder, Recurrent, Sequential

from ..plotting import words_of

DIMS = ("attention_sample", "head", "query", "key")


def read(queries=4, keys=6, heads=2):
    weights = np.random.default_rng(0).random((3, heads, queries, keys))
    return xr.Dataset({"attention_weight": (DIMS, weights / weights.sum(axis=-1, keepdims=True))})


def test_rows_are_queries_and_sum_to_one():
    ds = read()
    for sample in range(3):
        (trace,) = plots.alignment(ds, sample=sample).data
        wanted = ds.attention_weight[sample].mean("head").values
        np.testing.assert_allclose(trace.z, wanted, rtol=1e-6)
        np.testing.assert_allclose(trace.z.sum(axis=1), 1, rtol=1e-6)
    assert (trace.zmin, trace.zmax) == (0, 1)


def test_what_stands_at_keys_and_queries_is_named_and_the_rest_left_out():
    fig = plots.alignment(read(), keys=list("ab<de"), queries=list("xyz"))
    assert fig.data[0].z.shape == (3, 5)
    assert list(fig.layout.xaxis.ticktext) == ["a", "b", "&lt;", "d", "e"]
    assert list(fig.layout.yaxis.ticktext) == ["x", "y", "z"] and list(fig.layout.yaxis.range) == [2.5, -0.5]
    assert fig.layout.xaxis.ticktext is not None and plots.alignment(read()).layout.xaxis.ticktext is None


def test_long_texts_are_binned_and_numbered():
    fig = plots.alignment(read(700, 900, 1), keys=["k"] * 900)
    assert max(fig.data[0].z.shape) <= 400 and fig.layout.xaxis.ticktext is None
    assert list(fig.layout.xaxis.range) == [-0.5, 899.5]


def test_of_a_net_that_attends():
    cell = gradlab.make_cell("gru", input_size=3, hidden_size=4)
    net = Sequential(EncoderDecoder(Recurrent(cell), Recurrent(cell), Attention(4)))
    rng = np.random.default_rng(1)
    x = rng.normal(size=(7, 2, 3)), rng.normal(size=(5, 2, 3))
    tree = gradlab.analyze(net=net, params=net.init(0), x=x, lengths=(np.array([7, 4]), np.array([5, 3])))
    fig = plots.alignment(tree["0/attention"].dataset, sample=1)
    assert fig.data[0].z.shape == (5, 7) and not fig.data[0].z[:, 4:].any() and "Attention" in words_of(fig)


@pytest.mark.parametrize("sample", [-1, 3])
def test_a_sample_that_is_not_there(sample):
    with pytest.raises(InputError, match=f"sample: expected 0 to 2, got {sample}"):
        plots.alignment(read(), sample=sample)
