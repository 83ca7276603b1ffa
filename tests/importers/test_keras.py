"""Models of Keras give what Keras computes; what gradlab has no cell for is named."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.importers import load_weights, load_whole

from .cases import outputs

MODELS = Path(__file__).parents[1] / "golden" / "models"
NAMES = ["stack", "no_bias", "both", "backwards", "cells", "words", "nested"]


def golden(name):
    """Input and output of a model, time first."""
    with np.load(MODELS / "keras.npz") as file:
        return [np.moveaxis(file[f"{name}/{key}"], 0, 1) for key in "xy"]


@pytest.mark.parametrize("name", NAMES)
def test_a_keras_file_gives_what_keras_computes(name):
    x, y = golden(name)
    lengths = (x != 0).sum(axis=0) if name == "words" else None
    found = outputs(MODELS / f"{name}.keras", x, symbols=True, lengths=lengths)
    inside = np.arange(len(x))[:, None, None] < (len(x) if lengths is None else lengths[:, None])
    np.testing.assert_allclose(np.where(inside, found - y, 0), 0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("file", ["stack.h5", "both.h5", "stack_tfjs.json"])
def test_older_files_give_it_too(file):
    x, y = golden(file.partition(".")[0].partition("_")[0])
    np.testing.assert_allclose(outputs(MODELS / file, x), y, rtol=0, atol=1e-6)


# what is in a file


def changed(name, **fields):
    """A .keras whose recurrent layers, all within it, have other settings."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(MODELS / f"{name}.keras") as old, zipfile.ZipFile(buffer, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            if member == "config.json":
                data = json.dumps(_changed(json.loads(data), fields)).encode()
            new.writestr(member, data)
    return buffer.getvalue()


def _changed(config, fields):
    if isinstance(config, list):
        return [_changed(item, fields) for item in config]
    if not isinstance(config, dict):
        return config
    inner = {key: _changed(value, fields) for key, value in config.items()}
    return inner | {key: value for key, value in fields.items() if key in inner}


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (
            "stack",
            {"recurrent_activation": "hard_sigmoid"},
            "recurrent_activation='hard_sigmoid'; gates are read where",
        ),
        ("stack", {"activation": "mish"}, "layers/lstm/cell: activation='mish' is none that gradlab has; it has tanh"),
        ("stack", {"activation": {"class_name": "Own"}}, "activation={'class_name': 'Own'} is none that gradlab has"),
    ],
)
def test_what_no_cell_does_is_refused(name, fields, message):
    with pytest.raises(InputError, match=message):
        load_weights(changed(name, **fields))


@pytest.mark.parametrize("merge", ["mul", "ave", None])
def test_directions_that_no_layer_merges(merge):
    data = changed("both", merge_mode=merge)
    with pytest.raises(
        InputError, match="layer 0 of 'bidirectional': its directions are merged in a way .* by its layer"
    ):
        load_whole(data)
    with pytest.warns(UserWarning, match="reads a sequence from its end"):
        assert load_weights(data, layer="0_reverse")[0].name == "gru_v1"


def test_swish_and_linear_have_other_names():
    assert load_weights(changed("stack", activation="swish"))[0].activation.name == "silu"
    assert load_weights(changed("stack", activation="linear"))[0].activation.name == "identity"


def test_what_stands_where_is_told():
    assert load_whole(MODELS / "stack.keras").text == (
        "layer1: LSTM(2 -> 4, softsign) from layer 0 of 'lstm_1'; layer2: GRU(4 -> 3, tanh) from layer 1 of 'gru'; "
        "norm1: 3 -> 3 from 'layer_normalization'; layer3: Elman(3 -> 5, relu) from layer 2 of 'simple_rnn'; "
        "dense1: 5 -> 2 from 'dense'"
    )


def test_a_layer_that_gradlab_has_not_ends_the_network_and_is_told():
    data = changed("stack", epsilon="no number", axis=1)
    assert load_whole(data).text == (
        "layer1: LSTM(2 -> 4, softsign) from layer 0 of 'lstm_1'; layer2: GRU(4 -> 3, tanh) from layer 1 of 'gru'; "
        "the weights also hold layer 2 of 'simple_rnn'; "
        "left out, as gradlab has no such layer: LayerNormalization 'layer_normalization'"
    )
    assert load_whole(data, prefix="simple_rnn").text.startswith("layer1: Elman(3 -> 5, relu) from layer 2")


@pytest.mark.parametrize("name", ["stack", "both", "words"])
def test_weights_alone_are_put_together_by_sizes(name):
    with_config, alone = (load_whole(MODELS / f"{name}.{end}", symbols=True) for end in ("keras", "weights.h5"))
    assert alone.text.endswith("they do not tell a layer's activation, so tanh is assumed: no activation was given")
    for key, array in alone.params.items():
        np.testing.assert_array_equal(array, with_config.params[key])
    cells = {key.partition(".")[0] for key in alone.params if key.startswith("layer")}
    assert len(cells) == {"stack": 3, "both": 1, "words": 2}[name]
    if name == "stack":
        assert "; left out, as the file does not tell their place: layer_normalization; " in alone.text


def test_a_gru_without_biases_is_undecided():
    message = "layers/gru/cell: a GRU without a bias; .* do not tell where its reset gate acts: save the model with its"
    with zipfile.ZipFile(MODELS / "no_bias.keras") as archive, pytest.raises(InputError, match=message):
        load_weights(archive.read("model.weights.h5"), prefix="gru", activation="tanh")


def test_a_file_without_a_recurrent_layer_says_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "dense.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones((2, 3), "f")
    with pytest.raises(InputError, match=r"dense.h5: no recurrent layer of Keras .* layers/dense/vars/0 \(2, 3\)"):
        load_weights(tmp_path / "dense.h5")


def test_links_to_other_files_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["layers/gru/cell/vars/0"] = np.ones((2, 9), "f")
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["layers"] = h5py.ExternalLink("secret.h5", "/layers")
        file["soft"] = h5py.SoftLink("/layers")
    with pytest.raises(InputError, match="no recurrent layer of Keras .* they hold: nothing"):
        load_weights(tmp_path / "net.h5")


def test_groups_that_go_round_and_shapes_beyond_reason(tmp_path):
    with h5py.File(tmp_path / "round.h5", "w") as file:
        file["a"] = file.create_group("b")
        file["a/c"] = file["a"]
    with pytest.raises(InputError, match="an HDF5 file with more than 30 groups within each other, which"):
        load_weights(tmp_path / "round.h5")
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("w", (2**20, 2**20), "f", chunks=(2, 2))
    with pytest.raises(InputError, match="an HDF5 file with 1,099,511,627,776 numbers in w, more"):
        load_weights(tmp_path / "large.h5")


@pytest.mark.parametrize("name", ["stack.h5", "stack.keras"])
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_damaged_files(name, share, tmp_path):
    data = (MODELS / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=f"{name}.* (breaks off or is damaged|are damaged)"):
        load_weights(tmp_path / name)


# TF.js


def tfjs(tmp_path, **changes):
    """A copy of the model with its shard, changed."""
    model = json.loads((MODELS / "stack_tfjs.json").read_text()) | changes
    (tmp_path / "model.json").write_text(json.dumps(model))
    (tmp_path / "stack_tfjs.bin").write_bytes((MODELS / "stack_tfjs.bin").read_bytes())
    return tmp_path / "model.json"


def test_shards_have_to_lie_beside_the_model(tmp_path):
    path = tfjs(tmp_path)
    assert load_weights(path)[0].name == "lstm"
    with pytest.raises(
        InputError, match="a model of TF.js, whose weights are in stack_tfjs.bin: name model.json by its p"
    ):
        load_weights(path.read_bytes())
    manifest = json.loads(path.read_text())["weightsManifest"]
    outside = [manifest[0] | {"paths": ["../secret.bin"]}]
    with pytest.raises(InputError, match="its weights are in ../secret.bin; expected files in its own folder"):
        load_weights(tfjs(tmp_path, weightsManifest=outside))
    path = tfjs(tmp_path)
    (tmp_path / "stack_tfjs.bin").unlink()
    with pytest.raises(InputError, match="model.json: file not found: .*stack_tfjs.bin"):
        load_weights(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [2000, 16]}, "stack_tfjs.bin: the shards end within .*; download them again"),
        ({"dtype": "string"}, "string; convert the model without quantisation"),
        ({"quantization": {"dtype": "uint8"}}, "uint8.*; convert the model without quantisation"),
        ({"shape": "x"}, "its weightsManifest is damaged"),
    ],
)
def test_a_manifest_that_does_not_fit(change, message, tmp_path):
    manifest = json.loads((MODELS / "stack_tfjs.json").read_text())["weightsManifest"]
    manifest[0]["weights"][0] |= change
    with pytest.raises(InputError, match=message):
        load_weights(tfjs(tmp_path, weightsManifest=manifest))


def test_a_graph_model_has_no_layers(tmp_path):
    with pytest.raises(
        InputError, match="a graph model of TF.js, which has no layers; convert the Keras model as a lay"
    ):
        load_weights(tfjs(tmp_path, format="graph-model"))
