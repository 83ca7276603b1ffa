"""A network with a layer over trees, analysed: its node, and shares by depth below the root."""

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.layers import Dense, Embedding, Last, Once, Recurrent, Sequential, Tree, Trees
from gradlab.layers.base import tapes_within
from gradlab.layers.tree import TreeTape
from gradlab.runs.probe import unit_vectors

from ..layers.test_trees import forest

D, H, OUT, SYMBOLS = 2, 4, 3, 7


def tree_layer(name="lstm", inputs=D):
    return Tree(make_cell(name, input_size=inputs, hidden_size=H))


def batch(seed=2):
    trees = Trees.of(forest(seed, most=12))
    return trees, np.random.default_rng(seed).normal(size=(trees.steps, trees.samples, D))


def logs(array):
    with np.errstate(divide="ignore"):
        return np.log(np.linalg.norm(array, axis=-1))


def test_the_node_of_a_tree_and_the_shares_are_the_layers_own_gradients():
    net, (trees, x) = Sequential(tree_layer(), Last(), Dense(H, OUT)), batch()
    params = net.init(0)
    dt = gradlab.analyze(net=net, params=params, x=x, lengths=trees, seed=4)
    assert [node.path for node in dt.subtree] == ["/", "/0"]
    y, tape = net.forward(params, x, trees)
    dx, _ = net.backward(params, tape, unit_vectors(y, 4, y.shape))
    node, adjoints = dt["0"], tape.children["0"].adjoints.plain()
    assert node.log_grad_norm.dims == ("state", "node", "sample") and node.state.values.tolist() == ["h", "c"]
    np.testing.assert_allclose(node.log_grad_norm, np.where(trees.own, logs(adjoints), np.nan), rtol=1e-12)
    assert np.isneginf(node.log_grad_norm.sel(state="c").values[trees.depths == 0]).all()  # of c with h held
    np.testing.assert_array_equal(node.node_depth, trees.depths)
    np.testing.assert_array_equal(node.node_parent, trees.parents)
    assert node.attrs["cell"] == "LSTM(2 -> 4, tanh)" and node.log_grad_norm.attrs["scale"] == "log"
    np.testing.assert_allclose(dt.log_input_grad_norm, np.where(trees.own, logs(dx), np.nan), rtol=1e-12)
    assert dt.log_input_share.attrs["relative_to"] == "lag 0"
    assert dt.log_input_share.attrs["lag"] == "depth below the root; root mean square over the nodes there"
    assert dt.sizes["lag"] == trees.depths.max() + 1
    for b in range(trees.samples):
        for depth in range(dt.sizes["lag"]):
            squares = np.square(dx[:, b]).sum(axis=-1)
            at, root = squares[trees.depths[:, b] == depth], squares[trees.lengths[b] - 1]
            expected = 0.5 * np.log(at.mean() / root) if len(at) else np.nan
            np.testing.assert_allclose(dt.log_input_share[depth, b], expected, rtol=1e-9, atol=1e-12)


def test_a_chain_is_analysed_as_a_sequence():
    cell, rng = make_cell("elman", input_size=D, hidden_size=H), np.random.default_rng(0)
    lengths, x = np.array([9, 4]), rng.normal(size=(9, 2, D))
    chains = Trees.of([[*range(1, n), -1] for n in lengths])
    given = {"params": Recurrent(cell).init(1), "x": x, "seed": 3}
    tree = gradlab.analyze(net=Tree(cell), lengths=chains, **given)
    chain = gradlab.analyze(net=Recurrent(cell), lengths=lengths, **given)
    assert [node.path for node in tree.subtree] == ["/", "/layer"]
    for name in ("log_input_grad_norm", "log_input_share"):
        np.testing.assert_allclose(tree[name], chain[name], rtol=1e-10, atol=1e-12)
    found = tree["layer"].log_grad_norm.values[0]
    np.testing.assert_allclose(found, chain["layer"].log_grad_norm.sel(state="h")[1:], rtol=1e-10, atol=1e-15)


def test_at_any_magnitude():
    """A comb of 2,000 nodes in single precision: two nodes at each depth, of the same gradient."""
    layer, teeth = Tree(make_cell("elman", input_size=1, hidden_size=1, activation="identity")), 1000
    parents = [*range(1, teeth), -1, *range(1, teeth)]
    params = {key: np.full_like(p, 0.25) for key, p in layer.init(0, dtype="float32").items()}
    x = np.zeros((len(parents), 1, 1), np.float32)
    dt = gradlab.analyze(net=layer, params=params, x=x, lengths=Trees.of([parents]))
    np.testing.assert_allclose(dt.log_input_share[:, 0], np.arange(teeth) * np.log(0.25), rtol=1e-6, atol=1e-6)


def test_layers_come_in_their_order_and_another_loss_stands_beside_the_probe(tmp_path):
    trees, _ = batch()
    symbols = np.random.default_rng(1).integers(0, SYMBOLS, trees.parents.shape)
    rest = [Recurrent(make_cell("gru", input_size=H, hidden_size=H)), tree_layer("elman", H), Last(), Dense(H, OUT)]
    net = Sequential(Embedding(SYMBOLS, D), tree_layer(), *rest)
    params, dL_dy = net.init(0), np.random.default_rng(2).normal(size=(trees.samples, OUT))
    given = {"net": net, "params": params, "x": symbols, "lengths": trees}
    plain, dt = gradlab.analyze(**given), gradlab.analyze(**given, dL_dy=dL_dy)
    assert [node.path for node in dt.subtree] == ["/", "/0", "/1", "/2", "/3"]
    _, tape = net.forward(params, symbols, trees)
    net.backward(params, tape, dL_dy)
    for name, own in tapes_within(tape, TreeTape).items():
        np.testing.assert_array_equal(dt[name].log_grad_norm, plain[name].log_grad_norm)
        expected = np.where(trees.own, own.adjoints.log_norm(-1), np.nan)
        np.testing.assert_allclose(dt[name].log_loss_grad_norm, expected, rtol=1e-12)
        assert "log_loss_grad_norm" not in plain[name]
    dt.to_netcdf(tmp_path / "run.nc")
    with xr.open_datatree(tmp_path / "run.nc") as back:
        xr.testing.assert_identical(back.load(), dt)


def test_a_depth_without_inputs_has_no_share():
    """A vector enters at the first place alone, which is a leaf."""
    trees = Trees.of([[1, 2, -1], [2, 2, -1]])
    net = Sequential(Once(3), tree_layer())
    dt = gradlab.analyze(net=net, params=net.init(0), x=np.ones((2, D)), lengths=trees)
    assert dt.log_input_share.attrs["relative_to"] == "probe"
    assert np.isfinite(dt.log_input_share).values.T.tolist() == [[False, False, True], [False, True, False]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lengths": None}, "lengths: a Tree takes trees there"),
        ({"params": tree_layer().init(0, models=(2,))}, "a network is analysed one model at a time"),
        ({"params": {key: p * np.nan for key, p in tree_layer().init(0).items()}}, "overflowed at node 0 of tree 0"),
    ],
)
def test_what_cannot_be_analysed(changed, message):
    layer, (trees, x) = tree_layer(), batch()
    with pytest.raises(InputError, match=message):
        gradlab.analyze(**{"net": layer, "params": layer.init(0), "x": x, "lengths": trees} | changed)
