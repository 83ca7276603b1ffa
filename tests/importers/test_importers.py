"""PyTorch's weights give the states that PyTorch computes; what is no such file says so."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from gradlab import analyze
from gradlab.cells import make_cell
from gradlab.engine.forward import unroll
from gradlab.errors import InputError
from gradlab.importers import (
    AssumedActivation,
    choice,
    from_state_dict,
    load_safetensors,
    load_weights,
    save_safetensors,
    to_state_dict,
)

from .cases import BLOCKS, state_dict

GOLDEN = Path(__file__).parents[1] / "golden"


def raw_safetensors(**tensors: tuple[str, tuple[int, ...], bytes]) -> bytes:
    """The file format by hand: length of the header, header, data."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def final_layer(name: str, layers: int, **choice) -> tuple[np.ndarray, np.ndarray]:
    """h of the golden file's top layer, PyTorch's and ours, in float64."""
    with np.load(GOLDEN / "state_dicts.npz") as golden:
        x, output = golden[f"{name}/x"], golden[f"{name}/output"]
    for layer in range(layers):
        cell, params = load_weights(GOLDEN / f"{name}.safetensors", layer=layer, **choice)
        x = unroll(cell, {key: value.astype(np.float64) for key, value in params.items()}, x).states[1:, 0]
    return output, x


# against PyTorch


@pytest.mark.parametrize("file", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
@pytest.mark.parametrize("case", ["batch", "one_sample", "scalar"])
def test_states_are_those_of_pytorch(file, case):
    with np.load(GOLDEN / f"{file}.npz") as golden:
        arrays = {key.partition("/")[2]: value for key, value in golden.items() if key.startswith(f"{case}/")}
    cell, params = from_state_dict(arrays, activation="relu" if file == "rnn_relu" else "tanh")
    states = unroll(cell, params, arrays["x"], initial_state=arrays["states"][0]).states
    np.testing.assert_allclose(states, arrays["states"], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "layers", "choice"),
    [
        ("encoder_lstm", 1, {}),
        ("encoder_lstm_bfloat16", 1, {"prefix": "encoder.rnn"}),
        ("gru_two_layers", 2, {}),
        ("rnn_relu_no_bias", 1, {"activation": "relu"}),
    ],
)
def test_output_of_a_file_is_that_of_pytorch(name, layers, choice):
    expected, got = final_layer(name, layers, **choice)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


# what comes back


@pytest.mark.parametrize(("kind", "driven", "gates"), [("elman", 1, 1), ("gru", 3, 4), ("lstm", 4, 4)])
def test_kind_and_sizes_come_from_the_shapes(kind, driven, gates):
    cell, params = from_state_dict(state_dict(kind, d=3, h=5), activation="tanh")
    assert (type(cell).__name__.lower(), cell.input_size, cell.hidden_size) == (kind, 3, 5)
    assert {name: value.shape for name, value in params.items()} == {
        "W_xh": (driven, 5, 3),
        "W_hh": (BLOCKS[kind], 5, 5),
        "b_h": (gates, 5),
    }


@pytest.mark.parametrize(("given", "kept"), [("float64", "float64"), ("float32", "float32"), ("float16", "float32")])
def test_dtype(given, kept):
    _, params = from_state_dict(state_dict(dtype=given))
    assert {str(value.dtype) for value in params.values()} == {kept}


@pytest.mark.parametrize("kind", BLOCKS)
def test_parameters_are_copies(kind):
    sd = state_dict(kind)
    before = {name: value.copy() for name, value in sd.items()}
    _, params = from_state_dict(sd, activation="tanh")
    for value in params.values():
        value[...] = 7
    for name, value in sd.items():
        np.testing.assert_array_equal(value, before[name])


def test_absent_biases_are_zero():
    sd = {name: value for name, value in state_dict("gru", dtype="float32").items() if "weight" in name}
    _, params = from_state_dict(sd)
    assert params["b_h"].dtype == np.float32 and not params["b_h"].any() and params["b_h"].shape == (4, 4)


class Tensor:
    """What of torch.Tensor the importer may touch."""

    def __init__(self, array, dtype="torch.float32", attached=True):
        self.array, self.dtype, self.attached = array, dtype, attached

    def detach(self):
        return Tensor(self.array, self.dtype, attached=False)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.array, attached=self.attached)

    def __array__(self, dtype=None, copy=None):
        if self.attached or self.dtype == "torch.bfloat16":
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return np.array(self.array, dtype=dtype)


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_tensors_that_still_require_a_gradient(dtype):
    sd = state_dict(dtype="float32")
    _, expected = from_state_dict(sd)
    _, params = from_state_dict({name: Tensor(value, dtype) for name, value in sd.items()})
    for name, value in params.items():
        np.testing.assert_array_equal(value, expected[name])


# which layer


SEVERAL = (
    state_dict("gru", prefix="encoder.rnn.", seed=1)
    | state_dict("gru", d=4, layer="1", prefix="encoder.rnn.", seed=2)
    | state_dict("lstm", prefix="decoder.", seed=3)
    | state_dict("lstm", layer="0_reverse", prefix="decoder.", seed=4)
    | {"head.weight": np.ones((2, 4))}
)


@pytest.mark.parametrize(
    ("choice", "first"),
    [
        ({}, "encoder.rnn.weight_hh_l0"),
        ({"layer": 1}, "encoder.rnn.weight_hh_l1"),
        ({"prefix": "decoder"}, "decoder.weight_hh_l0"),
    ],
)
def test_the_layer_asked_for(choice, first):
    _, params = from_state_dict(SEVERAL, **choice)
    np.testing.assert_array_equal(params["W_hh"].reshape(-1, 4), SEVERAL[first])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"layer": 2}, "no recurrent layer 2 in the weights; there are: layer 0 of 'encoder.rnn', layer 1 of 'encoder"),
        ({"prefix": "decoder", "layer": 1}, "no recurrent layer 1 of 'decoder' in .*, layer 0_reverse of 'decoder'$"),
        ({"prefix": "rnn"}, "no recurrent layer of 'rnn' in the weights"),
    ],
)
def test_a_layer_that_is_not_there(choice, message):
    with pytest.raises(InputError, match=message):
        from_state_dict(SEVERAL, **choice)


# bad weights


def test_weights_without_a_recurrent_layer_say_what_they_hold():
    message = "no recurrent layer of nn.RNN, nn.LSTM or nn.GRU .* they hold: "
    with pytest.raises(InputError, match=message + r"weight \(2, 4\), bias \(2,\)$"):
        from_state_dict({"weight": np.ones((2, 4)), "bias": np.ones(2)})
    with pytest.raises(InputError, match=message + r"w0 \(\), .*, w19 \(\), and 5 more$"):
        from_state_dict({f"w{i}": 1.0 for i in range(25)})
    with pytest.raises(InputError, match=message + "nothing"):
        from_state_dict({})
    with pytest.raises(InputError, match=message):
        load_weights(GOLDEN / "linear.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_hh_l0": np.ones((20, 4))}, r"weight_hh_l0: expected shape \(H, H\), .* got \(20, 4\)"),
        ({"weight_hh_l0": np.ones(16)}, r"weight_hh_l0: expected shape .* got \(16,\)"),
        ({"weight_hh_l0": np.ones((0, 0))}, r"weight_hh_l0: expected shape .* got \(0, 0\)"),
        ({"weight_hh_l0": np.ones((12, 4))}, r"weight_ih_l0: expected shape \(12, D\), got \(16, 3\)"),
        ({"weight_ih_l0": np.ones((15, 3))}, r"weight_ih_l0: expected shape \(16, D\), got \(15, 3\)"),
        ({"weight_ih_l0": np.ones((16, 0))}, "input_size: expected a positive integer, got 0"),
        ({"bias_ih_l0": np.ones(12)}, r"bias_ih_l0: expected shape \(16,\), got \(12,\)"),
        ({"bias_hh_l0": np.ones((16, 1))}, r"bias_hh_l0: expected shape \(16,\), got \(16, 1\)"),
        ({"weight_hr_l0": np.ones((2, 4))}, r"weight_hh_l0: expected shape \(16, 2\), got \(16, 4\)"),
        ({"weight_hr_l0": np.ones(4)}, r"weight_hr_l0: expected shape \(P, H\), got \(4,\)"),
        ({"weight_ih_l0": np.ones((16, 3), int)}, "weight_ih_l0: expected floating-point numbers, got int64"),
        ({"bias_ih_l0": np.where(np.arange(16) == 5, np.nan, 0)}, r"bias_ih_l0: nan at index \(5,\); every weight"),
    ],
)
def test_tensors_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message):
        from_state_dict(state_dict() | change)


def test_half_a_layer_and_no_mapping():
    with pytest.raises(InputError, match="a.weight_ih_l0 is there but a.weight_hh_l0 is not"):
        from_state_dict({"a.weight_ih_l0": np.ones((16, 3))})
    with pytest.raises(
        InputError, match=r"expected a mapping of names to arrays, got list; pass module.state_dict\(\)"
    ):
        from_state_dict([1, 2])


# files


@pytest.mark.parametrize("kind", BLOCKS)
def test_a_file_gives_what_its_tensors_give(kind, tmp_path):
    sd = state_dict(kind, prefix="net.", dtype="float32")
    safetensors.numpy.save_file(sd, tmp_path / "net.safetensors")
    _, expected = from_state_dict(sd, activation="tanh")
    for source in (tmp_path / "net.safetensors", (tmp_path / "net.safetensors").read_bytes()):
        cell, params = load_weights(source, activation="tanh")
        assert type(cell).__name__.lower() == kind
        for name, value in params.items():
            np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "bool"])
def test_every_dtype_of_numpy_comes_back(dtype):
    tensors = {"b": np.arange(6).reshape(2, 3).astype(dtype), "a": np.zeros((), dtype), "c": np.zeros((0, 2), dtype)}
    got = load_safetensors(safetensors.numpy.save(tensors))
    assert list(got) == ["a", "b", "c"]
    for name, value in got.items():
        assert value.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(value, tensors[name])


def test_an_array_in_another_order_is_saved_as_it_reads():
    tensors = {"w": np.arange(6.0).reshape(2, 3).T, "v": np.arange(8.0)[::2]}
    for name, value in load_safetensors(save_safetensors(tensors)).items():
        np.testing.assert_array_equal(value, tensors[name])


def test_bfloat16_is_read_exactly():
    values = np.array([1.0, -2.5, 0.0, 1 / 3, 3e38, 1e-40], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    got = load_safetensors(raw_safetensors(w=("BF16", (2, 3), upper.tobytes())))["w"]
    assert got.dtype == np.float32 and got.shape == (2, 3)
    np.testing.assert_array_equal(got.view(np.uint32).ravel(), upper.astype(np.uint32) << 16)
    np.testing.assert_array_equal(got.ravel()[:3], values[:3])


def test_files_that_are_no_safetensors(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"")
    with pytest.raises(
        InputError, match="a.safetensors is not a safetensors file .*; write one with gradlab convert net.pt"
    ):
        load_weights(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="the file is not a safetensors file"):
        load_weights(safetensors.numpy.save(state_dict())[:-1])
    with pytest.raises(InputError, match="file not found: .*b.safetensors"):
        load_weights(tmp_path / "b.safetensors")
    with pytest.raises(InputError, match="is a directory"):
        load_weights(tmp_path)
    with pytest.raises(InputError, match="w: dtype F8_E4M3 cannot be read; save it as float32"):
        load_weights(raw_safetensors(w=("F8_E4M3", (2,), b"\0\0")))


# what the weights do not tell


def test_an_assumed_nonlinearity_is_a_warning(tmp_path):
    sd, path = state_dict("elman"), tmp_path / "rnn.safetensors"
    path.write_bytes(save_safetensors(sd))
    message = "the weights do not tell nn.RNN's nonlinearity, so tanh is assumed.*activation='tanh' or 'relu'"
    for read, source in ((from_state_dict, sd), (load_weights, path), (load_weights, path.read_bytes())):
        with pytest.warns(AssumedActivation, match=message) as caught:
            assert read(source)[0].activation.name == "tanh"
        assert [warning.filename for warning in caught] == [__file__]
        assert read(source, activation="tanh")[0].activation.name == "tanh"
        assert read(source, activation="relu")[0].activation.name == "relu"


def test_a_layer_that_reads_from_the_end_says_so():
    with pytest.warns(
        UserWarning, match="layer 0_reverse reads a sequence from its end: reverse x along time"
    ) as caught:
        _, params = from_state_dict(SEVERAL, prefix="decoder.", layer="0_reverse")
    assert [warning.filename for warning in caught] == [__file__]
    np.testing.assert_array_equal(params["W_hh"].reshape(-1, 4), SEVERAL["decoder.weight_hh_l0_reverse"])


def test_a_run_on_weights_says_what_it_assumed(tmp_path):
    path = str(tmp_path / "rnn.safetensors")
    Path(path).write_bytes(save_safetensors(state_dict("elman")))
    with pytest.warns(AssumedActivation, match="so tanh is assumed"):
        ds = analyze(weights=path, steps=12, batch_size=2)
    assert ds.attrs["weights"].endswith("so tanh is assumed: no activation was given")
    for activation in ("tanh", "relu"):
        ds = analyze(weights=path, activation=activation, steps=12, batch_size=2)
        assert ds.attrs["weights"] == f"Elman(3 -> 4, {activation}) from layer 0"


def test_the_choice_of_a_layer_is_told():
    rng = np.random.default_rng(0)
    sd = {
        f"rnn.weight_{part}_l{k}": rng.normal(size=(4, n))
        for k, n in ((0, 3), (1, 4))
        for part, n in (("ih", n), ("hh", 4))
    }
    assert choice(sd) == (
        "Elman(3 -> 4, tanh) from layer 0 of 'rnn'; the weights also hold layer 1 of 'rnn'; "
        "they do not tell nn.RNN's nonlinearity, so tanh is assumed: no activation was given"
    )
    assert choice(sd, "relu") == "Elman(3 -> 4, relu) from layer 0 of 'rnn'; the weights also hold layer 1 of 'rnn'"


# and back


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cell_survives_the_way_to_a_file_and_back(kind, dtype):
    cell, params = from_state_dict(state_dict(kind, dtype=dtype), activation="tanh")
    read, back = load_weights(save_safetensors(to_state_dict(cell, params)), activation="tanh")
    assert read == cell
    for name, array in params.items():
        assert back[name].dtype == dtype
        np.testing.assert_array_equal(back[name], array)


def test_only_pytorchs_cells_become_a_state_dict():
    cell = make_cell("minimal_rnn", input_size=2, hidden_size=3)
    with pytest.raises(InputError, match="expected an elman without a leak, an lstm or a gru, .* got MinimalRNN"):
        to_state_dict(cell, cell.init(0))
    leaky = make_cell("elman", input_size=2, hidden_size=3, leak=0.5)
    with pytest.raises(InputError, match="expected an elman without a leak"):
        to_state_dict(leaky, leaky.init(0))
