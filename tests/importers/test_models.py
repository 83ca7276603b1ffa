"""Whole nets of PyTorch give what PyTorch computes, from its state dict alone."""

from pathlib import Path

import numpy as np
import pytest

from gradlab import analyze, verdict
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.importers import (
    AssumedActivation,
    from_state_dict,
    load_safetensors,
    load_weights,
    load_whole,
    save_layer,
    save_safetensors,
)
from gradlab.layers import Sequential

from .cases import outputs, state_dict

MODELS = Path(__file__).parents[1] / "golden" / "models"
with np.load(MODELS / "models.npz") as file:
    GOLDEN = {name: file[name] for name in file}
NAMES = sorted({name.partition("/")[0] for name in GOLDEN})


@pytest.mark.parametrize("name", NAMES)
def test_a_net_gives_what_pytorch_computes(name):
    found = outputs(MODELS / f"{name}.safetensors", GOLDEN[f"{name}/x"], symbols=True, activation="tanh")
    np.testing.assert_allclose(found, GOLDEN[f"{name}/y"], rtol=0, atol=1e-6)


def test_what_a_tensor_was_made_of_is_told():
    notes = {
        name: load_whole(MODELS / f"{name}.safetensors").text for name in NAMES if "norm" in name or name == "pruned"
    }
    for name, text in notes.items():
        words = {"weight_norm_pruned": "pruned, under weight_norm", "pruned": "pruned"}
        kind = "under spectral_norm" if "spectral" in name else "under weight_norm"
        assert f"rnns.0.weight_hh_l0 {words.get(name, kind)}" in text


def test_weight_drop_keeps_the_true_matrix_beside_a_dropped_copy():
    sd = state_dict("lstm", prefix="rnns.0.module.")
    plain, dropped = sd["rnns.0.module.weight_hh_l0"], np.zeros((16, 4))
    for raw in ("rnns.0.module.weight_hh_l0_raw", "rnns.0.weight_hh_l0_raw"):  # of Merity et al., of fastai
        for copy in ({}, {"rnns.0.module.weight_hh_l0": dropped}):
            given = {name: t for name, t in sd.items() if not name.endswith("hh_l0") or "bias" in name}
            _, params = from_state_dict(given | copy | {raw: plain})
            np.testing.assert_array_equal(params["W_hh"].reshape(16, 4), plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {
                "parametrizations.weight_hh_l0.original": np.ones((16, 4)),
                "parametrizations.weight_hh_l0.0.base": np.ones(1),
            },
            r"weight_hh_l0 is under a parametrisation that the file does not tell \(.*0.base\); take it off before "
            r"saving: "
            r"torch.nn.utils.parametrize.remove_parametrizations\(module, 'weight_hh_l0'\)",
        ),
        (
            {"weight_hh_l0_orig": np.ones((16, 4))},
            r"weight_hh_l0 is made of weight_hh_l0_orig, in a way that the file does not tell; take off .*prune.remove",
        ),
        (
            {"weight_hh_l0_g": np.ones((3, 1)), "weight_hh_l0_v": np.ones((16, 4))},
            r"weight_hh_l0: under weight_norm, but its parts of shapes \(3, 1\), \(16, 4\) do not fit",
        ),
        (
            {"weight_hh_l0_g": np.ones((16, 1)), "weight_hh_l0_v": np.zeros((16, 4))},
            r"weight_hh_l0: nan at index \(0, 0\); every weight must be finite",
        ),
    ],
)
def test_what_the_file_does_not_tell(change, message):
    sd = {name: tensor for name, tensor in state_dict("lstm").items() if name != "weight_hh_l0"} | change
    with pytest.raises(InputError, match=message):
        from_state_dict(sd)
    assert from_state_dict(sd | state_dict("gru", prefix="other."), prefix="other")[0].name == "gru"


def test_layers_follow_each_other_in_the_order_of_their_numbers():
    sizes = [(3 if k == 0 else 4 + k, 5 + k) for k in range(12)]
    sd = {}
    for k, (d, h) in sorted(enumerate(sizes), key=lambda item: str(item[0])):  # 0, 1, 10, 11, 2, as files have them
        sd |= state_dict("lstm", d, h, prefix=f"rnns.{k}.")
    cells = [layer.cell for layer in load_whole(save_safetensors(sd)).body.values()]
    assert [(cell.input_size, cell.hidden_size) for cell in cells] == sizes


def test_modules_that_do_not_fit_are_nets_of_their_own():
    sd = state_dict("gru", prefix="encoder.rnn.") | state_dict("gru", 4, layer="1", prefix="encoder.rnn.")
    data = save_safetensors(sd | state_dict("lstm", d=9, h=3, prefix="decoder.rnn."))
    assert list(load_whole(data, prefix="encoder").body) == ["layer1", "layer2"]
    assert load_whole(data, prefix="encoder").text.endswith("; the weights also hold layer 0 of 'decoder.rnn'")
    assert list(load_whole(data, prefix="decoder").body) == ["layer1"]
    assert load_weights(data, prefix="decoder")[0].hidden_size == 3
    assert load_weights(data, prefix="encoder", layer=1)[0].input_size == 4
    with pytest.raises(
        InputError, match="no recurrent layer of 'attention' in the weights; there are: layer 0 of 'decod"
    ):
        load_whole(data, prefix="attention")


def test_only_one_linear_layer_that_fits_is_the_head():
    sd = state_dict("lstm") | {"fc.weight": np.ones((2, 4)), "fc.bias": np.ones(2)}
    assert list(load_whole(save_safetensors(sd)).head) == ["dense1"]
    twice = load_whole(save_safetensors(sd | {"other.weight": np.ones((5, 4))}))
    assert not twice.head and twice.text.endswith("; left out, as the file does not tell their place: fc, other")


# a run on a whole file


def test_a_run_has_a_node_for_every_layer_and_direction():
    tree = analyze(weights=str(MODELS / "deep_both.safetensors"), steps=12, batch_size=2)
    paths = {node.path for node in tree.subtree if "log_grad_norm" in node}
    assert paths == {f"/layer{n}/{way}" for n in (1, 2, 3) for way in ("forward", "backward")}
    assert tree.attrs["network"] == (
        "GRU(2 -> 4, tanh) in both directions, then GRU(8 -> 4, tanh) in both directions, "
        "then GRU(8 -> 4, tanh) in both directions"
    )
    assert tree.attrs["weights"].startswith(
        "layer1: GRU(2 -> 4, tanh) from layer 0 of 'rnns.0' in both directions; layer2"
    )
    assert verdict(tree).headline


@pytest.mark.parametrize("name", ["stack", "deep_both", "projected"])
def test_a_loss_at_every_step_leaves_the_curve(name):
    run = {"weights": str(MODELS / f"{name}.safetensors"), "steps": 9, "batch_size": 2}
    tree = analyze(**run, loss="every")
    assert "log_loss_grad_norm" in next(node for node in tree.subtree if "log_grad_norm" in node)


def test_one_layer_is_a_run_of_its_own():
    ds = analyze(weights=str(MODELS / "stack.safetensors"), prefix="rnns.1", layer=0, steps=9, batch_size=2)
    assert ds.attrs["cell"] == "GRU(4 -> 3, tanh)"
    assert ds.attrs["weights"].startswith(
        "GRU(4 -> 3, tanh) from layer 0 of 'rnns.1'; the weights also hold layer 0 of 'rnns.0'"
    )
    with pytest.raises(InputError, match="no recurrent layer 7 in the weights") as caught:
        analyze(weights=str(MODELS / "stack.safetensors"), layer=7)
    assert caught.value.field == "layer"


def test_a_text_goes_through_the_vectors_of_the_file(tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("abacada. " * 20)
    run = {"weights": str(MODELS / "lm.safetensors"), "input": str(text), "steps": 9, "batch_size": 2}
    tree = analyze(**run)
    assert tree.attrs["input"] == (
        "Read a.txt as text: 180 characters, 6 different, numbered as they sort for 6 vectors, "
        "as the weights do not tell their order"
    )
    assert tree.attrs["weights"].startswith(
        "embedding: 6 vectors of 2 from 'embedding'; layer1: LSTM(2 -> 4, tanh) from"
    )
    text.write_text("abcdefgh " * 20)
    with pytest.raises(
        InputError, match="a.txt has 9 different characters, the weights have vectors of 6; take a text"
    ):
        analyze(**run)


def test_a_byte_is_its_own_number_where_there_are_256_vectors(tmp_path):
    sd = state_dict("gru", d=3) | {"embed.weight": np.random.default_rng(0).normal(size=(256, 3))}
    (tmp_path / "net.safetensors").write_bytes(save_safetensors(sd))
    (tmp_path / "a.txt").write_text("\u00e4bc " * 30)
    tree = analyze(weights=str(tmp_path / "net.safetensors"), input=str(tmp_path / "a.txt"), steps=9, batch_size=2)
    assert tree.attrs["input"] == "Read a.txt as text: 150 bytes, each by its own number"


def test_input_of_another_width_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((30, 3)).cumsum(0))
    with pytest.raises(
        InputError, match="the weights expect 2 input features, .* has 3; choose another input"
    ) as caught:
        analyze(weights=str(MODELS / "stack.safetensors"), input=str(tmp_path / "x.npy"), steps=9, batch_size=2)
    assert caught.value.field == "input"


def test_arrays_are_read_once_whatever_the_name(tmp_path):
    for name, new in (("projected.safetensors", "net.bin"), ("stack.keras", "net.safetensors"), ("lstm.onnx", "net")):
        (tmp_path / new).write_bytes((MODELS / name).read_bytes())
        assert load_weights(tmp_path / new)[0].name == "lstm"
    assert load_safetensors(MODELS / "lm.safetensors")


@pytest.mark.parametrize("layer", ["0_reverse", None])
def test_what_reads_from_the_end_gets_its_input_so(layer, tmp_path):
    x = np.random.default_rng(0).normal(size=(9, 2, 2))
    np.save(tmp_path / "x.npy", x)
    source = MODELS / ("deep_both.safetensors" if layer else "backwards.keras")
    run = {"input": str(tmp_path / "x.npy"), "steps": 9, "batch_size": 2}
    ds = analyze(weights=str(source), layer=layer, **run)
    with pytest.warns(UserWarning, match="reads a sequence from its end"):
        cell, params = load_weights(source, layer=layer)
    own = analyze(cell=cell, params={name: array.astype(float) for name, array in params.items()}, x=x[::-1].copy())
    np.testing.assert_allclose(ds.gate_mean, own.gate_mean, rtol=1e-12)
    assert ds.attrs["weights"].endswith("; it reads the input from its end")


def test_a_guessed_activation_of_a_network_is_a_warning(tmp_path):
    sd = state_dict("elman") | state_dict("elman", d=4, layer="1")
    (tmp_path / "net.safetensors").write_bytes(save_safetensors(sd))
    run = {"weights": str(tmp_path / "net.safetensors"), "steps": 9, "batch_size": 2}
    with pytest.warns(AssumedActivation, match="the weights do not tell nn.RNN's nonlinearity, so tanh is assumed"):
        tree = analyze(**run)
    assert tree.attrs["weights"].endswith("so tanh is assumed: no activation was given")
    assert analyze(**run, activation="relu").attrs["network"] == "Elman(3 -> 4, relu), then Elman(4 -> 4, relu)"


def test_gradlabs_own_weights_are_read_layer_by_layer():
    cell = make_cell("gru", input_size=2, hidden_size=3)
    with pytest.raises(InputError, match="gradlab's own weights are read layer by layer; choose one with load_weights"):
        load_whole(save_layer(cell, cell.init(0)))


def test_the_example_of_the_documentation_runs(monkeypatch):
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    names = {}
    exec((root / "docs" / "models.md").read_text("utf-8").partition("```python\n")[2].partition("```")[0], names)  # noqa: S102
    x = np.zeros((5, 2, names["model"].inputs))
    y, _ = Sequential(**names["net_layers"]).forward(names["params"], x)
    assert y.shape[:2] == (5, 2)
