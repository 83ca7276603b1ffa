"""Figures of networks: one for each layer, strips of all, trees drawn as trees."""

import numpy as np
import pytest

import gradlab
from gradlab.errors import InputError
from gradlab.plots.colours import LN10
from gradlab.plots.layers import layer_strips, network
from gradlab.plots.tree import tree_figure
from gradlab.runs.rows import rows

TINY = {"steps": 12, "batch_size": 3, "hidden_size": 8}


@pytest.fixture(scope="module")
def found():
    """Some networks, analysed."""
    return {
        "attention": gradlab.analyze(**TINY, cell="gru", attention="additive"),
        "stack": gradlab.analyze(**TINY, layers=2, bidirectional=True),
        "transformer": gradlab.analyze(**TINY, architecture="transformer", layers=2),
        "tree": gradlab.analyze(**TINY, architecture="tree", tree="random"),
    }


def names(fig):
    return [trace.name for trace in fig.data if trace.name]


@pytest.mark.parametrize("name", ["attention", "stack", "transformer", "tree"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_layer_has_a_figure(found, name, theme):
    for row in rows(found[name]):
        assert network(found[name], row.path, theme).layout.height > 200
    assert network(found[name]) == network(found[name], rows(found[name])[0].path)


def test_the_shortcut_of_attention_is_drawn_apart_from_the_recurrence(found):
    fig, node = network(found["attention"], "layer1"), found["attention"]["layer1"].to_dataset(inherit=False)
    lines = {trace.name: trace.y for trace in fig.data if trace.name and "lines" in (trace.mode or "")}
    direct = lines["comes at once: attention, a layer above, a loss"]
    passed = lines["comes back through the recurrence"]
    end = node.log_grad_norm.sel(state="h").isel(time=-1)
    for drawn, quantity in ((direct, "log_direct_grad_norm"), (passed, "log_recurrent_grad_norm")):
        expected = ((node[quantity] - end) / LN10).median("sample").values
        finite = np.isfinite(expected)
        np.testing.assert_allclose(np.asarray(drawn)[finite], expected[finite], rtol=1e-5, atol=1e-6)
    assert "weight" in lines and "measured rate" not in lines  # what comes in on the way is no rate


@pytest.mark.parametrize(("samples", "said"), [(1, "1 sample"), (3, "3 samples"), (9, "4 samples")])
@pytest.mark.parametrize("more", [{}, {"bidirectional": True}, {"bidirectional": True, "layers": 2}], ids=str)
def test_attention_is_drawn_at_the_layer_that_is_read(more, samples, said):
    read = gradlab.analyze(**TINY | {"batch_size": samples, "attention": "dot"} | more)
    drawn = {row.path: [note.text for note in network(read, row.path).layout.annotations] for row in rows(read)}
    first = f"layer{more.get('layers', 1)}" + ("/forward" if more else "")
    headings = {path: text for path, texts in drawn.items() for text in texts if "Attention weight" in text}
    assert [*headings] == [first] and headings[first].endswith(f"of step t, median over {said}")


def test_a_block_shows_its_branches_and_who_attends_to_whom(found):
    fig = network(found["transformer"], "block1")
    assert {"output", "attention", "feed-forward", "head 1", "head 4"} <= {*names(fig)}
    weights = next(trace for trace in fig.data if trace.type == "heatmap")
    node = found["transformer"]["block1/attend/attention"]
    expected = node.attention_weight.isel(attention_sample=0).mean("head").transpose("query", "key")
    np.testing.assert_allclose(weights.z, expected, rtol=1e-6)


def test_a_tree_is_drawn_with_its_nodes_in_the_colours_of_the_gradient(found):
    ds = found["tree"]["tree"].to_dataset(inherit=False)
    fig = tree_figure(ds, sample=1)
    edges, nodes = fig.data[:2]
    assert len(edges.x) == 3 * 11 and len(nodes.x) == 12
    order = np.argsort(ds.node_depth.values[:, 1], kind="stable")
    np.testing.assert_array_equal(nodes.y, -ds.node_depth.values[order, 1])
    np.testing.assert_allclose(nodes.marker.color, ds.log_grad_norm.values[0, order, 1] / LN10)
    assert len({*zip(nodes.x, nodes.y, strict=True)}) == 12  # none over another
    with pytest.raises(InputError, match="sample: expected 0 to 2, got 3"):
        tree_figure(ds, sample=3)
    with pytest.raises(InputError, match="needs node_depth, node_parent"):
        tree_figure(found["stack"]["layer1/forward"].to_dataset(inherit=False))


def test_strips_have_a_row_for_each_layer(found):
    strips = layer_strips(found["stack"], 6)
    assert [strip["title"] for strip in strips] == [
        "layer 2, forward",
        "layer 2, backward",
        "layer 1, forward",
        "layer 1, backward",
        "inputs",
    ]
    assert [box["label"] for box in strips[0]["boxes"]] == ["x1-2", "x3-4", "x5-6", "x7-8", "x9-10", "x11-12"]
    assert layer_strips(found["tree"])[0]["boxes"][-1]["label"] == "level 0"


def test_a_layer_that_is_not_there(found):
    with pytest.raises(InputError, match="unknown layer 'layer9/forward'. Did you mean 'layer2/forward'"):
        network(found["stack"], "layer9/forward")
    with pytest.raises(InputError, match="unknown layer 'block9'. Did you mean 'block"):
        network(found["transformer"], "block9")


def test_a_report_has_a_figure_of_each_layer(found):
    page = gradlab.plots.html_report(found["stack"], "It vanishes", ["x0.5"])
    assert page.count("<h2>Layer") == 4 and "share left at the input" in page and "--bidirectional" in page


def test_a_table_of_a_network(found):
    table = gradlab.plots.table(found["stack"])
    assert [row["steps back"] for row in table] == [0, 1, 2, 5, 10, 11]
    assert list(table[0])[1:3] == ["share left at the input", "gradient in layer 2, forward"]
    assert "levels down" in gradlab.plots.table(found["tree"])[0]
