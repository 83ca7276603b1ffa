"""Tables of a network's curves by lag: each sample from its own last place, beside what reaches the inputs there."""

import csv
import io

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.layers import Bidirectional, Dense, EncoderDecoder, Once, Recurrent, Sequential, Transformer
from gradlab.plots import table
from gradlab.runs.curves import csv_of_curves
from gradlab.runs.rows import rows
from gradlab.wording import power_text

T, D, H = 12, 3, 4
LENGTHS = [4, 4, 4, 4, T]


def recurrent(inputs=H):
    return Recurrent(make_cell("gru", input_size=inputs, hidden_size=H))


def analysed(net, x, lengths=None):
    return gradlab.analyze(net=net, params=net.init(0), x=x, lengths=lengths)


def inputs(steps=T, samples=5):
    return np.random.default_rng(0).normal(size=(steps, samples, D))


def columns(found):
    """Name -> the numbers of the CSV."""
    head, *lines = csv.reader(io.StringIO(csv_of_curves(found)))
    return dict(zip(head, np.array(lines, dtype=float).T, strict=True))


def from_own_last(logs, lengths):
    """Median over samples (lag,) of logs (place, sample) from each sample's last place, up to the median length."""
    backwards = [logs[:n, sample][::-1] for sample, n in enumerate(lengths)]
    lags = range(int(np.median(lengths)))
    return [np.median([own[lag] for own in backwards if lag < len(own)]) for lag in lags]


def places(node, lengths):
    """ln of the gradient (place, sample) of a node, in the order of the inputs."""
    ds = node.to_dataset(inherit=False)
    if "log_output_grad_norm" in ds and "log_grad_norm" not in ds:
        return ds.log_output_grad_norm.transpose("position", "sample").values
    logs = ds.log_grad_norm.sel(state="h").transpose("time", "sample").values[1:].copy()
    if node.path.endswith("backward"):
        for sample, n in enumerate(lengths):
            logs[:n, sample] = logs[:n, sample][::-1]
    return logs


NETS = {
    "two layers": lambda: Sequential(recurrent(D), recurrent()),
    "both directions": lambda: Sequential(Bidirectional(recurrent(D).cell), recurrent(2 * H)),
    "transformer": lambda: Sequential(Dense(D, H), Transformer(H, 2, 2)),
}


@pytest.mark.parametrize("lengths", [LENGTHS, [12, 3, 7, 7, 1], [T] * 5], ids=str)
@pytest.mark.parametrize("name", NETS)
def test_columns_of_layers_stand_beside_their_lags(name, lengths):
    found = analysed(NETS[name](), inputs(), np.array(lengths))
    csv_columns, numbers = columns(found), table(found)
    layers = [row for row in rows(found) if row.path]
    assert len(layers) > 1 and len(csv_columns) == len(layers) + 3
    for row in layers:
        expected = from_own_last(places(found[row.path], lengths), lengths)
        np.testing.assert_allclose(csv_columns[f"ln_grad_norm_{row.path.replace('/', '_')}"], expected, rtol=1e-9)
        texts = [line[f"gradient in {row.title}"] for line in numbers]
        assert texts == [power_text(float(expected[line["steps back"]])) for line in numbers]
    at_inputs = from_own_last(found.log_input_grad_norm.transpose("input_time", "sample").values, lengths)
    np.testing.assert_allclose(csv_columns["ln_grad_norm_inputs"], at_inputs, rtol=1e-9)


@pytest.mark.parametrize("steps", [(6, 3), (3, 6), (5, 5)], ids=str)
def test_layers_with_other_places_than_the_inputs_are_left_out(steps):
    net = EncoderDecoder(recurrent(D), recurrent(D))
    found = analysed(net, tuple(inputs(n) for n in steps))
    assert [*columns(found)] == ["lag", "ln_share_left", "ln_grad_norm_inputs"]
    assert len(columns(found)["lag"]) == sum(steps)
    assert {*table(found)[0]} == {"steps back", "share left at the input"}
    assert {row.path for row in rows(found)} == {"encoder", "decoder", ""}


def test_what_reaches_inputs_is_by_the_lag_of_their_share():
    found = analysed(Sequential(Once(T), recurrent(D)), inputs()[0])
    np.testing.assert_array_equal(rows(found)[-1].lags[:-1], np.nan)
    assert rows(found)[-1].lags[-1] == np.median(found.log_input_grad_norm[0])
