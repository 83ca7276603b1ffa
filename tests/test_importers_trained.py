"""Networks that gradlab trained, read from their checkpoints."""

import numpy as np
import pytest

from gradlab import analyze
from gradlab.cells import CELLS
from gradlab.errors import InputError
from gradlab.importers import load_weights, save_safetensors, training_config, weights_text
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
    with pytest.raises(InputError, match="no recurrent layer 3 in the training run; there are: layer 0, layer 1, laye"):
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
    assert training_config(save_safetensors({"w": np.zeros(3)})) is None
    assert training_config(b"") is None
    assert training_config(b"\x02\0\0\0\0\0\0\0[]") is None
