"""Networks that gradlab trained, read from their checkpoints."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from gradlab import analyze
from gradlab.cells import CELLS, make_cell
from gradlab.errors import InputError
from gradlab.importers import load_weights, save_layer, save_safetensors, saved_by_gradlab, weights_text
from gradlab.training import train

PLAIN = {"task": "adding", "steps": 12, "hidden_size": 5, "batch_size": 4, "iterations": 3, "seed": 3}


@pytest.mark.parametrize(
    "fields",
    [*({"cell": name} for name in CELLS), {"cell": "elman", "activation": "relu", "leak": 0.25}],
    ids=lambda fields: "-".join(map(str, fields.values())),
)
def test_a_trained_layer_is_the_networks_own(fields, tmp_path):
    path = tmp_path / "run.safetensors"
    run = train(**PLAIN | fields, checkpoint=path)
    for source in (path, path.read_bytes()):
        cell, params = load_weights(source, activation="sin")
        assert cell == run.cell
        assert params.keys() == {name.removeprefix("0.") for name in run.params if name.startswith("0.")}
        for name, array in params.items():
            np.testing.assert_array_equal(array, run.params[f"0.{name}"])


@pytest.mark.parametrize("fields", [{}, {"residual": True}, {"residual": True, "dropout": 0.2}])
def test_layers_are_counted_from_0(fields, tmp_path):
    path = tmp_path / "run.safetensors"
    run = train(**PLAIN | {"layers": 3} | fields, checkpoint=path)
    weights = [array for name, array in run.params.items() if name.endswith("W_hh")]
    for layer, expected in enumerate(weights):
        cell, params = load_weights(path, layer=layer)
        np.testing.assert_array_equal(params["W_hh"], expected)
        assert cell.input_size == (2 if layer == 0 else 5)
    assert weights_text(path) == "Elman(2 -> 5, tanh) from layer 0 of a training run; it also holds layer 1, layer 2"
    with pytest.raises(
        InputError, match="run.safetensors: no recurrent layer 3 in the weights; there are: layer 0, layer 1, layer 2"
    ):
        load_weights(path, layer=3)


def test_a_trained_net_is_analysed_as_it_is(tmp_path):
    path = tmp_path / "run.safetensors"
    run = train(**PLAIN, checkpoint=path)
    found = analyze(weights=str(path), steps=30, batch_size=2)
    eigenvalues = np.linalg.eigvals(run.params["0.W_hh"].astype(float))
    radius = np.hypot(*np.moveaxis(found.recurrent_eigenvalues.values, -1, 0)).max()
    assert radius == pytest.approx(np.abs(eigenvalues).max(), rel=1e-5)
    assert found.attrs["weights"] == "Elman(2 -> 5, tanh) from layer 0 of a training run"


def test_other_files_are_no_training_runs():
    assert saved_by_gradlab(save_safetensors({"w": np.zeros(3)})) is None
    assert saved_by_gradlab(b"") is None
    assert saved_by_gradlab(b"\x02\0\0\0\0\0\0\0[]") is None


# one layer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "leak"), [*((name, {}) for name in CELLS), ("elman", {"leak": 0.25})])
def test_a_layer_is_read_back_as_it_was_saved(name, leak, dtype):
    cell = make_cell(name, input_size=2, hidden_size=3, activation="relu", **leak)
    params = cell.init(5, bias_scale=1.0, dtype=dtype)
    content = save_layer(cell, params)
    back, found = load_weights(content, activation="sin")
    assert back == cell and found.keys() == params.keys() and weights_text(content) == f"{cell!r} as gradlab saved it"
    for key, array in params.items():
        assert found[key].dtype == dtype
        np.testing.assert_array_equal(found[key], array)


# damaged files

WHOLE = {"W_hh": np.ones((1, 3, 3)), "W_xh": np.ones((1, 3, 2)), "b_h": np.ones((1, 3))}
ELMAN = {"cell": "elman", "activation": "tanh", "leak": 1.0}


def content(config=ELMAN, params=WHOLE, start="params.0.", text=None) -> bytes:
    meta = json.dumps({"config": config}) if text is None else text
    return save({start + name: array for name, array in params.items()}, {"gradlab.training": meta})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "no 'config'"),
        ("not json", "Expecting value"),
        ("[]", "list indices"),
        ('{"config": {}}', "no 'cell'"),
        ('{"config": []}', "list indices"),
        ('{"config": {"cell": "nope"}}', "unknown cell 'nope'"),
        ('{"config": {"cell": "elman"}}', "no 'activation'"),
    ],
)
def test_damaged_metadata_are_a_message(text, why, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(content(text=text))
    for read in (load_weights, weights_text):
        with pytest.raises(InputError, match=rf"mine.safetensors: its metadata do not say which cell .*{why}.*damaged"):
            read(path)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"params": {"W_hh": WHOLE["W_hh"]}}, "it lacks params.0.W_xh; the file is damaged"),
        ({"params": WHOLE | {"W_hh": np.ones(3)}}, r"params.0.W_hh: expected shape \(gates, H, any\), got \(3,\)"),
        ({"params": WHOLE | {"b_h": np.ones((1, 4))}}, r"b_h: expected shape \(1, 3\), got \(1, 4\)"),
        ({"params": WHOLE | {"W_hh": np.ones((1, 3, 3), int)}}, "params.0.W_hh: expected floating-point numbers"),
        ({"params": WHOLE | {"b_h": np.full((1, 3), np.nan)}}, "params.0.b_h: nan at index .0, 0.; every weight must"),
        ({"params": {"x": np.ones(3)}}, "no recurrent layer 0 in the weights; there are: none"),
        ({"config": ELMAN | {"cell": "lstm"}}, "W_xh: expected shape"),
        ({"config": ELMAN | {"leak": "x"}}, "leak: expected a number in"),
        ({"config": ELMAN | {"activation": []}}, "unknown activation"),
        ({"start": "params.a."}, "params.a: expected the number of a layer"),
    ],
)
def test_weights_that_cannot_be_used_are_a_message(changed, why):
    with pytest.raises(InputError, match=f"the file: {why}") as caught:
        load_weights(content(**changed))
    assert caught.value.field == ("layer" if "no recurrent layer" in why else "weights")


def test_a_prefix_is_refused():
    with pytest.raises(InputError, match="prefix: 'encoder' was asked for, but gradlab's own weights have none"):
        load_weights(content(), prefix="encoder")
