"""Models of ONNX give what ONNX Runtime computes; what no cell of gradlab does is refused by name."""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, load_model, numpy_helper

from gradlab.errors import InputError
from gradlab.importers import load_weights, weights_text

from .cases import outputs

MODELS = Path(__file__).parents[1] / "golden" / "models"
NAMES = ["lstm", "peepholes", "gru", "gru_before", "relu", "both", "reverse", "padded", "symbols"]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_gives_what_onnx_runtime_computes(name):
    with np.load(MODELS / "onnx.npz") as file:
        x, y = file[f"{name}/x"], file[f"{name}/y"]
        lengths = file[f"{name}/lengths"].astype(int) if name == "padded" else None
    found = outputs(MODELS / f"{name}.onnx", x, symbols=True, lengths=lengths)
    found = found[::-1] if name == "reverse" else found
    inside = np.arange(len(x))[:, None, None] < (len(x) if lengths is None else lengths[:, None])
    np.testing.assert_allclose(np.where(inside, found - y, 0), 0, rtol=0, atol=1e-6)


def test_layers_are_chosen_by_their_order():
    text = weights_text(MODELS / "both.onnx", layer=1)
    assert text.startswith(
        "LSTM(6 -> 2, tanh) from layer 1; the weights also hold layer 0, layer 0_reverse, layer 1_re"
    )
    cell, _ = load_weights(MODELS / "both.onnx", layer=1)
    assert (cell.name, cell.input_size) == ("lstm", 6)
    with pytest.raises(
        InputError, match="both.onnx: no recurrent layer 2 in the weights; there are: layer 0, layer 0_r"
    ):
        load_weights(MODELS / "both.onnx", layer=2)


def changed(name, **attributes):
    """A model whose first recurrent node has other attributes."""
    model = load_model(MODELS / f"{name}.onnx")
    node = model.graph.node[0]
    kept = [attribute for attribute in node.attribute if attribute.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(*item) for item in attributes.items())])
    return model


@pytest.mark.parametrize(
    ("name", "attributes", "message"),
    [
        ("lstm", {"clip": 3.0}, "LSTM 0: clip=3.0: its pre-activations are clipped, which no cell of gradlab does"),
        ("lstm", {"input_forget": 1}, "LSTM 0: input_forget=1: its input and forget gates are coupled"),
        ("gru", {"layout": 1}, "GRU 0: layout=1: its sequences are batch first"),
        ("relu", {"activation_alpha": [0.1]}, "RNN 0: activation_alpha=.*: its activations have parameters"),
        ("relu", {"activation_beta": [0.1]}, "RNN 0: activation_beta=.*: its activations have parameters"),
        ("gru", {"activations": ["HardSigmoid", "Tanh"]}, "GRU 0: activations hardsigmoid, tanh; expected sigmoid for"),
        ("lstm", {"activations": ["Sigmoid", "Tanh", "Relu"]}, "LSTM 0: activations sigmoid, tanh, relu; expected"),
        (
            "relu",
            {"activations": ["ThresholdedRelu"]},
            "RNN 0: activations thresholdedrelu; expected .* one of tanh, relu",
        ),
    ],
)
def test_what_no_cell_does_is_refused(name, attributes, message):
    with pytest.raises(InputError, match=message):
        load_weights(changed(name, **attributes).SerializeToString())


def test_attributes_that_say_nothing_are_taken():
    model = changed("lstm", input_forget=0, layout=0, activations=["Sigmoid", "Softsign", "Softsign"])
    assert load_weights(model.SerializeToString())[0].activation.name == "softsign"


def test_weights_that_are_computed_or_elsewhere_are_refused():
    model = load_model(MODELS / "gru.onnx")
    model.graph.node.insert(0, helper.make_node("Neg", ["W0"], ["W"]))
    model.graph.node[1].input[1] = "W"
    with pytest.raises(
        InputError, match="GRU 0 W is computed, not stored, as in quantised models; export the model as"
    ):
        load_weights(model.SerializeToString())
    model = load_model(MODELS / "gru.onnx")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(InputError, match="GRU 0 W is in another file; save the model in one, without external data"):
        load_weights(model.SerializeToString())


def test_constants_and_copies_are_weights_too():
    model = load_model(MODELS / "gru.onnx")
    expected = load_weights(MODELS / "gru.onnx")[1]["W_xh"]
    array = numpy_helper.to_array(model.graph.initializer[0])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["V"], value=numpy_helper.from_array(array)))
    model.graph.node.insert(1, helper.make_node("Identity", ["V"], ["W"]))
    model.graph.node[2].input[1] = "W"
    np.testing.assert_array_equal(load_weights(model.SerializeToString())[1]["W_xh"], expected)


def test_shapes_that_do_not_fit_are_told():
    model = load_model(MODELS / "gru.onnx")
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((1, 12, 5), "f"), "R0"))
    with pytest.raises(InputError, match=r"GRU 0: expected W \(dirs, 3 H, D\) and R \(dirs, 3 H, H\)"):
        load_weights(model.SerializeToString())
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones(12, "f"), "R0"))
    with pytest.raises(InputError, match=r"GRU 0 R: expected an axis of directions, got shape \(12,\)"):
        load_weights(model.SerializeToString())


def test_a_graph_without_recurrent_nodes_says_what_it_has():
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "net", [], [])
    data = helper.make_model(graph).SerializeToString()
    with pytest.raises(InputError, match=r"no RNN, LSTM or GRU node in the graph .* nodes are MatMul; .*dynamo=False"):
        load_weights(data)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_damaged_model_is_named(share, tmp_path):
    data = (MODELS / "lstm.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="net.onnx is an ONNX model that breaks off or is damaged; export it again"):
        load_weights(tmp_path / "net.onnx")


def test_without_the_package_the_kind_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="needs the package onnx to be read: pip install 'gradlab.onnx.'"):
        load_weights(MODELS / "lstm.onnx")
