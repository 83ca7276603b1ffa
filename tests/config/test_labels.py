"""What runs are called where several stand side by side."""

import pytest

from gradlab.config import RunConfig
from gradlab.config.labels import kind_text, labels, setting_text

LSTM = RunConfig(cell="lstm")
BLOCKS = RunConfig(architecture="transformer")
TREE = RunConfig(architecture="tree", cell="lstm")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("cell", "lstm", "LSTM"),
        ("cell", "my own", "my own"),
        ("activation", "tanh", "tanh"),
        ("gain", 1.0, "gain 1"),
        ("gain", 0.1 + 0.2, "gain 0.30000000000000004"),
        ("forget_bias", "chrono", "forget bias chrono"),
        ("layers", 1, "1 layer"),
        ("layers", 12, "12 layers"),
        ("bidirectional", True, "both directions"),
        ("bidirectional", False, "no both directions"),
        ("attention", "dot", "dot attention"),
        ("norm", "post", "post-LN"),
        ("clip", "off", "no clipping"),
        ("clip", "step_norm", "inside backprop, by norm"),
        ("input", "/tmp/co2.csv", "co2.csv"),
        ("of_another_version", [1], "of another version [1]"),
        ("clip", [1], "[1]"),
    ],
)
def test_a_setting_in_words(name, value, text):
    assert setting_text(name, value) == text


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (LSTM, "LSTM"),
        (BLOCKS, "transformer"),
        (TREE, "LSTM, balanced tree"),
        (TREE.replace(tree="chain"), "LSTM, chain tree"),
        (RunConfig(weights="/tmp/own.safetensors"), "own.safetensors"),
    ],
)
def test_a_network_in_a_word(config, text):
    assert kind_text(config) == text


@pytest.mark.parametrize(
    ("configs", "found"),
    [
        ([RunConfig(), LSTM, RunConfig(cell="gru", input_scale=0.1)], ["Elman", "LSTM", "GRU"]),
        ([LSTM, LSTM.replace(forget_bias="chrono")], ["forget bias 0", "forget bias chrono"]),
        ([RunConfig(), RunConfig(gain=2.0), LSTM], ["Elman", "Elman, gain 2", "LSTM"]),
        ([RunConfig(activation="tanh"), RunConfig(activation="relu")], ["tanh", "relu"]),
        ([BLOCKS, BLOCKS.replace(norm="post")], ["pre-LN", "post-LN"]),
        ([RunConfig()], ["Elman"]),
        ([LSTM, LSTM, LSTM], ["LSTM", "LSTM (2)", "LSTM (3)"]),
        ([LSTM, RunConfig(weights="x.safetensors")], ["LSTM", "x.safetensors"]),
        ([RunConfig(weights=f"{name}.npz") for name in ("a/x", "b/x", "y")], ["x.npz", "x.npz (2)", "y.npz"]),
        ([RunConfig(weights="x"), RunConfig(weights="x", input="sine")], ["noise", "sine"]),
        ([RunConfig(weights=name) for name in ("x", "x", "x (2)")], ["x", "x (2)", "x (2) (2)"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(configs, found):
    assert labels(configs) == found


def test_what_does_not_apply_tells_nothing():
    assert labels([RunConfig(forget_bias=1.0), RunConfig(gain=2.0)]) == ["gain 1", "gain 2"]
