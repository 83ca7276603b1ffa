"""Figures say of how many samples something is exactly zero, or that they are shorter."""

import numpy as np
import pytest

import gradlab
from gradlab import plots
from gradlab.layers import Dense, Last, Recurrent, Sequential, Transformer
from gradlab.plots.layers import network
from tests.plotting import synthetic, words_of

T, D, H = 12, 2, 4


@pytest.mark.parametrize(("zero", "samples"), [(1, 3), (9, 20), (19, 20)])
def test_how_many_samples_are_exactly_zero(zero, samples):
    logs = np.zeros((21, samples))
    logs[:8, :zero] = -np.inf
    note = f"{zero} of {samples} samples are exactly zero somewhere, and count as that"
    for draw in (plots.explore, plots.gradient_flow):
        assert note in words_of(draw(synthetic(logs)))


@pytest.mark.parametrize("zero", [0, 4])
def test_where_all_are_alike_there_is_nothing_to_count(zero):
    logs = np.zeros((21, 4))
    logs[:8, :zero] = -np.inf
    assert "exactly zero somewhere" not in words_of(plots.explore(synthetic(logs)))


NETS = {
    "recurrent": lambda: Sequential(Recurrent(gradlab.make_cell("gru", input_size=D, hidden_size=H)), Last()),
    "transformer": lambda: Sequential(Dense(D, H), Transformer(H, 1, 2)),
}


@pytest.mark.parametrize("lengths", [[12, 5, 3, 12], [1, 1, 1, 12], [12, 12, 12, 12]], ids=str)
@pytest.mark.parametrize("name", NETS)
def test_how_many_samples_of_a_network_are_shorter(name, lengths):
    net, x = NETS[name](), np.random.default_rng(0).normal(size=(T, 4, D))
    found = gradlab.analyze(net=net, params=net.init(0), x=x, lengths=np.array(lengths))
    short = sum(n < T for n in lengths)
    note = f"{short} of 4 samples are shorter: each counts up to its last place"
    drawn = [words_of(network(found, ""))] + ([words_of(network(found, "1/block1"))] if name == "transformer" else [])
    assert all((note in said) == bool(short) and (short > 0 or "shorter" not in said) for said in drawn)
