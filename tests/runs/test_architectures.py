"""A RunConfig of more than one cell: the network it makes, what is recorded of it, its verdict, its rows."""

import json

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.config import RunConfig
from gradlab.errors import InputError
from gradlab.layers import Attention, Bidirectional, Ends, Last, LayerNorm, Recurrent, Residual, Tree
from gradlab.runs.architectures import described, network, network_of
from gradlab.runs.build import build
from gradlab.runs.curves import csv_of_curves
from gradlab.runs.rows import rows

TINY = {"steps": 12, "batch_size": 3, "hidden_size": 8}
NETWORKS = {
    "stack": {"layers": 2, "cell": "lstm", "residual": True, "layer_norm": True},
    "both directions": {"bidirectional": True, "cell": "gru", "layers": 2},
    "attention": {"attention": "additive"},
    "both directions and attention": {"bidirectional": True, "attention": "dot"},
    "transformer": {"architecture": "transformer", "layers": 2},
    "causal post-LN": {"architecture": "transformer", "causal": True, "norm": "post", "activation": "gelu"},
    "tree": {"architecture": "tree", "tree": "random"},
    "tree-lstm": {"architecture": "tree", "cell": "lstm"},
}


def config_of(name, **more):
    return RunConfig(**TINY | NETWORKS[name] | more)


def kinds(net):
    """Name -> class of what a network is made of."""
    return {name: type(layer) for name, layer in net.children.items()}


def test_a_network_is_made_of_what_was_asked_for():
    assert kinds(network(config_of("stack"), 3)) == {
        "layer1": Recurrent,
        "norm1": LayerNorm,
        "layer2": Residual,
        "norm2": LayerNorm,
        "read": Last,
    }
    both = network(config_of("both directions"), 3)
    assert kinds(both) == {"layer1": Bidirectional, "layer2": Bidirectional, "read": Ends}
    assert both.children["layer2"].layer.cell.input_size == 16
    assert kinds(network(config_of("attention"), 3)) == {"layer1": Recurrent, "read": Attention}
    assert network(config_of("both directions and attention"), 3).children["read"] == Attention(16, "dot")
    blocks = network(config_of("causal post-LN"), 3).children
    assert list(blocks) == ["inputs", "positions", "block1", "read"]
    assert blocks["block1"].children["attend"].layer.children["attention"].causal
    assert blocks["block1"].children["feed"].layer.children["first"].activation == "gelu"
    assert kinds(network(config_of("tree"), 3)) == {"tree": Tree, "read": Last}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_analysed_is_that_network(name):
    config = config_of(name, seed=3)
    given = network_of(config)
    x = build(RunConfig(**TINY, seed=3))[2]
    np.testing.assert_array_equal(given.x, x)
    own = {} if given.lengths is None else {"lengths": given.lengths}
    expected = gradlab.analyze(net=given.net, params=given.params, x=x, seed=3, **own)
    found = gradlab.analyze(config)
    assert [node.path for node in found.subtree] == [node.path for node in expected.subtree]
    for node in found.subtree:
        xr.testing.assert_equal(node.to_dataset(inherit=False), expected[node.path].to_dataset(inherit=False))


@pytest.mark.parametrize("name", ["stack", "tree", "transformer"])
def test_the_first_samples_alone_are_as_among_all(name):
    config = config_of(name, loss="every")
    few, every = network_of(config, 2), network_of(config)
    np.testing.assert_array_equal(few.x, every.x[:, :2])
    np.testing.assert_array_equal(few.dL_dy, every.dL_dy[:, :2])
    for key, value in few.params.items():
        np.testing.assert_array_equal(value, every.params[key])
    if every.lengths is not None:
        np.testing.assert_array_equal(few.lengths.parents, every.lengths.parents[:, :2])


@pytest.mark.parametrize("name", NETWORKS)
def test_it_says_what_it_is_and_is_read_back_whole(name, tmp_path):
    config = config_of(name)
    found = gradlab.analyze(config)
    assert RunConfig(**json.loads(found.attrs["config"])) == config
    assert found.attrs["network"] == described(config, 3)
    assert found.attrs["title"] == f"Gradient dynamics: {described(config, 3)}, 12 steps"
    found.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "run.nc") as back:
        for node in found.subtree:
            xr.testing.assert_equal(back[node.path].to_dataset(inherit=False), node.to_dataset(inherit=False))


DESCRIBED = {
    "stack": "2 layers of LSTM(3 -> 8, tanh), skip connections, layer norm",
    "both directions": "2 layers of GRU(3 -> 8, tanh), both directions",
    "attention": "1 layer of Elman(3 -> 8, tanh), read by additive attention",
    "transformer": "pre-LN transformer of 2 blocks, 8 wide, 4 heads, tanh",
    "causal post-LN": "causal post-LN transformer of 1 block, 8 wide, 4 heads, gelu",
    "tree": "recursive net of Elman(3 -> 8, tanh), ordered",
    "tree-lstm": "recursive net of LSTM(3 -> 8, tanh), child-sum",
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_in_a_few_words(name):
    assert described(config_of(name), 3) == DESCRIBED[name]


def test_both_directions_meet_the_loss_each_at_its_own_end():
    found = gradlab.analyze(config_of("both directions", layers=1, steps=60))
    forward, backward = (found[f"layer1/{name}"].log_grad_norm.sel(state="h") for name in ("forward", "backward"))
    for direction in (forward, backward):
        assert np.isfinite(direction.isel(time=-1)).all()
        assert float(direction.isel(time=1).median()) < float(direction.isel(time=-1).median()) - 5
    ends = forward.isel(time=-1), backward.isel(time=-1)
    np.testing.assert_allclose(sum(np.exp(2 * end) for end in ends), 1)  # of the probe of norm 1
    share = found.log_input_share.median("sample").values
    assert share.argmin() not in (0, len(share) - 1) and share.min() < -5  # lost in the middle alone


def test_a_loss_everywhere_acts_on_all_places():
    found = gradlab.analyze(config_of("stack", loss="every"))
    assert "log_loss_grad_norm" in found["layer2"] and "read" not in network(config_of("stack", loss="every"), 3).names
    alone = gradlab.analyze(config_of("stack"))
    xr.testing.assert_allclose(found.log_input_share, alone.log_input_share)  # the verdict's probe is the same


SHORT = "the cat saw a dog and the dog saw a cat then " * 20
TREES = "(1 (2 a) (3 b))\n(1 (2 (3 a) (4 c)) (5 b))\n(0 (1 c) (2 (1 b) (2 a)))\n" * 4


@pytest.fixture
def texts(tmp_path):
    """A text and a bank of trees of unequal sizes, as configurations of words."""
    for name, content in {"words": SHORT, "trees": TREES}.items():
        (tmp_path / f"{name}.txt").write_text(content)
    return {
        "words": {"input": str(tmp_path / "words.txt"), "tokens": "word"},
        "trees": {"input": str(tmp_path / "trees.txt"), "architecture": "tree"},
    }


@pytest.mark.parametrize("name", [*NETWORKS, "words", "trees"])
def test_a_loss_everywhere_leaves_all_that_is_the_probes_as_it_is(name, texts):
    own = NETWORKS.get(name) or texts[name]
    found, alone = (gradlab.analyze(RunConfig(**TINY | own, loss=loss)) for loss in ("every", "last"))
    xr.testing.assert_allclose(found.to_dataset(), alone.to_dataset())
    assert [row.path for row in rows(found)] == [row.path for row in rows(alone)]
    for one, other in zip(rows(found), rows(alone), strict=True):
        np.testing.assert_allclose(one.logs, other.logs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["stack", "both directions and attention"])
def test_an_overflow_is_said_and_warns_of_nothing(name):
    with pytest.raises(InputError, match=r"overflowed at step \d+ of layer layer1"):
        gradlab.analyze(config_of(name, activation="identity", gain=3.0, steps=900, cell="elman"))


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_of_a_single_cell_is_refused(name):
    field = next(field for field in ("architecture", "layers", "bidirectional", "attention") if field in NETWORKS[name])
    with pytest.raises(InputError, match="for a single cell; take one layer and nothing beside it") as caught:
        build(config_of(name))
    assert caught.value.field == field


# verdicts


def tree_of(shares, levels=False):
    """A DataTree with one sample's shares by lag."""
    attrs = {"lag": "depth"} if levels else {}
    return xr.DataTree(xr.Dataset({"log_input_share": (("lag", "sample"), np.array(shares)[:, None], attrs)}))


def test_a_network_is_judged_by_what_reaches_its_inputs():
    found = gradlab.verdict(tree_of(np.log(0.5) * np.arange(100)))
    assert (found.word, found.steps, found.reach) == ("vanishing", 100, 6)
    assert found.headline == "The gradient vanishes: x0.50 per step back."
    assert found.half_life == pytest.approx(1) and found.log_factor == pytest.approx(99 * np.log(0.5))
    assert gradlab.verdict(tree_of(np.log(2) * np.arange(100))).word == "exploding"
    assert gradlab.verdict(tree_of(np.zeros(100))).word == "carried"
    assert gradlab.verdict(tree_of(np.zeros(9))).word == "too short"


def test_what_is_lost_in_between_is_said():
    ends = np.concatenate([-np.arange(50.0), -np.arange(50.0)[::-1]])
    found = gradlab.verdict(tree_of(ends))
    assert found.headline.startswith("The gradient vanishes: x0.37 per step back, from ") and found.word == "vanishing"
    assert found.details[0].startswith("It is lowest with 10^-21 ") and len(found.pieces) == 2
    assert not any("lowest" in text for text in gradlab.verdict(tree_of(-0.01 * np.arange(100))).details)


def test_trees_are_judged_by_levels():
    found = gradlab.verdict(tree_of(-0.9 * np.arange(30.0), levels=True))
    assert found.headline == "The gradient vanishes: x0.41 per level down." and found.unit == "level"
    assert found.details[0] == "It halves every 0.77 levels."
    assert found.details[1].endswith("the lowest of 30 levels gets 10^-11.")
    short = gradlab.verdict(tree_of([0.0, -1.0], levels=True))
    assert (short.word, short.details) == ("too short", ["The tree has 2 levels; a verdict needs at least 3."])


def test_why_names_each_layer():
    assert gradlab.verdict(gradlab.analyze(config_of("stack"))).why.count(" in layer") == 2
    assert gradlab.verdict(gradlab.analyze(config_of("transformer"))).why == ""


def test_another_tree_has_no_verdict():
    with pytest.raises(InputError, match="expected a DataTree of gradlab.analyze, which has log_input_share"):
        gradlab.verdict(xr.DataTree())


# rows


ROWS = {
    "stack": ["layer2 cell", "layer1 cell", " inputs"],
    "both directions": [
        "layer2/forward cell",
        "layer2/backward cell",
        "layer1/forward cell",
        "layer1/backward cell",
        " inputs",
    ],
    "attention": ["layer1 cell", " inputs"],
    "transformer": ["block2 block", "block1 block", " inputs"],
    "tree": ["tree tree", " inputs"],
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_go_from_the_loss_to_the_inputs(name):
    found = rows(gradlab.analyze(config_of(name)))
    assert [f"{row.path} {row.kind}" for row in found] == ROWS[name]
    assert all(len(row.numbers) == len(row.logs) for row in found)
    if name != "tree":
        assert all(len(row.logs) == 12 for row in found)


def test_a_backward_row_stands_as_the_inputs_do():
    found = {row.path: row.logs for row in rows(gradlab.analyze(config_of("both directions", layers=1, steps=40)))}
    assert found["layer1/forward"][-1] > found["layer1/forward"][0] + 5
    assert found["layer1/backward"][0] > found["layer1/backward"][-1] + 5


def test_levels_of_a_tree_end_at_its_root():
    tree, inputs = rows(gradlab.analyze(config_of("tree", tree="balanced")))
    assert list(tree.numbers) == [3, 2, 1, 0] and len(inputs.logs) == 4
    assert tree.logs[-1] == pytest.approx(0)  # the probe


def test_curves_as_csv():
    lines = csv_of_curves(gradlab.analyze(config_of("both directions"))).splitlines()
    assert lines[0].split(",")[:3] == ["lag", "ln_share_left", "ln_grad_norm_layer2_forward"]
    assert len(lines) == 13 and all(len(line.split(",")) == 7 for line in lines)
