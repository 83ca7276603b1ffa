"""Batches of trees: from parents in any order and from text, where their nodes stand, and what is no tree."""

import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.layers import Trees

from ..strict import strict


def random_parents(rng, nodes, reach=None):
    """A tree of so many nodes in random order; reach: how far back a parent may stand in the order of growth."""
    grown = [-1] + [int(rng.integers(max(0, n - (reach or n)), n)) for n in range(1, nodes)]
    names = rng.permutation(nodes)
    parents = np.full(nodes, -1)
    for node, parent in enumerate(grown):
        parents[names[node]] = -1 if parent < 0 else names[parent]
    return parents.tolist()


def forest(seed, count=6, most=40):
    rng = np.random.default_rng(seed)
    return [random_parents(rng, int(rng.integers(1, most)), rng.choice([None, 1, 2, 3])) for _ in range(count)]


def height(parents, node):
    return max((1 + height(parents, child) for child, parent in enumerate(parents) if parent == node), default=0)


def depth(parents, node):
    return 0 if parents[node] < 0 else 1 + depth(parents, parents[node])


@pytest.mark.parametrize("seed", range(6))
def test_nodes_in_any_order_are_sorted(seed):
    given = forest(seed)
    trees = Trees.of(given)
    assert (trees.steps, trees.samples) == (max(map(len, given)), len(given))
    for b, parents in enumerate(given):
        n = len(parents)
        assert trees.lengths[b] == n and sorted(trees.order[:n, b]) == list(range(n))
        for t, node in enumerate(trees.order[:n, b]):
            above = trees.parents[t, b]
            assert above == -1 if parents[node] < 0 else trees.order[above, b] == parents[node] and above > t
            assert trees.heights[t, b] == height(parents, node) and trees.depths[t, b] == depth(parents, node)
            assert trees.children[t, b] == parents.count(node)
            children = [trees.order[c, b] for c in np.flatnonzero(trees.parents[:n, b] == t)]
            assert children == sorted(children)
        for table in (trees.parents, trees.order, trees.heights, trees.depths):
            assert (table[n:, b] == -1).all()
    assert (trees.parents[trees.lengths - 1, range(len(given))] == -1).all()


@pytest.mark.parametrize("seed", range(6))
def test_levels_hold_every_node_and_edge_once(seed):
    trees = Trees.of(forest(seed))
    levels, heights = trees.levels, trees.heights.ravel()
    assert sorted(levels.places) == np.flatnonzero(trees.own.ravel()).tolist()
    assert (levels.rows[levels.places] == np.arange(len(levels.places))).all()
    edges = {(p, c) for p, c in zip(levels.places[levels.parents], levels.places[levels.children], strict=True)}
    expected = {(t * 6 + b, c * 6 + b) for c, b in np.argwhere(trees.parents >= 0) for t in [trees.parents[c, b]]}
    assert edges == expected and len(levels.parents) == len(edges)
    values = np.random.default_rng(seed).normal(size=(len(levels.places), 1))
    for h, level in enumerate(levels.levels):
        nodes = levels.places[level.nodes]
        assert (heights[nodes] == h).all() and (heights == h).sum() == len(nodes)
        below = levels.children[level.edges]
        for join, total in ((np.add, np.sum), (np.maximum, np.max)):
            if level.runs:
                found = level.gather(values[below], join, total)
                for node, value in zip(range(level.nodes.start, level.nodes.stop), found, strict=True):
                    assert value == pytest.approx(total(values[levels.children[levels.parents == node]]))
    assert (levels.above[levels.children] == np.arange(len(edges))).all()


def test_trees_that_stand_in_order_stay_as_they_are():
    parents = np.array([[2, 1], [2, -1], [-1, 99]])
    for given in (parents, strict.asarray(parents)):
        trees = Trees(given, strict.asarray(np.array([3, 2])) if given is not parents else np.array([3, 2]))
        np.testing.assert_array_equal(trees.parents, [[2, 1], [2, -1], [-1, -1]])
        np.testing.assert_array_equal(trees.order, [[0, 0], [1, 1], [2, -1]])
        assert repr(trees) == "Trees(2 trees, 5 nodes)"
    assert Trees(np.array([[1], [-1]])).lengths.tolist() == [2]


def test_features_are_brought_into_order():
    trees = Trees.of([[-1, 0, 0], [1, -1]])
    assert trees.order.T.tolist() == [[1, 2, 0], [0, 1, -1]]
    symbols = trees.arrange([[7, 8, 9], [5, 6]])
    assert symbols.tolist() == [[8, 5], [9, 6], [7, 0]] and symbols.dtype == np.int64
    x = trees.arrange([np.ones((3, 4)), np.full((2, 4), 2.0)])
    assert x.shape == (3, 2, 4) and not x[2, 1].any() and (x[:2, 1] == 2).all()
    for wrong, match in [
        ([[1, 2, 3]], "features: expected those of 2 trees, got 1"),
        ([[1, 2], [3, 4]], r"features of tree 0: expected shape \(3,\), got \(2,\)"),
        ([np.ones((3, 4)), np.ones((2, 5))], r"features of tree 1: expected shape \(2, 4\), got \(2, 5\)"),
    ]:
        with pytest.raises(InputError, match=match):
            trees.arrange(wrong)


def test_a_chain_of_many_nodes():
    trees = Trees.of([[*range(1, 5000), -1], [-1] + [0] * 4999])
    assert trees.heights[-1].tolist() == [4999, 1] and trees.depths[0].tolist() == [4999, 1]
    assert len(trees.levels.levels) == 5000


# text


@pytest.mark.parametrize(
    ("text", "parents", "words"),
    [
        ("a", [-1], ["a"]),
        ("(a)", [-1], ["a"]),
        ("(a (b c))", [1, 2, -1], ["c", "b", "a"]),
        ("(a b c)", [2, 2, -1], ["b", "c", "a"]),
        ("((a) (b))", [2, 2, -1], ["a", "b", ""]),
        ("((a) b)", [2, 2, -1], ["a", "b", ""]),
        ("(3 (2 It) (4\n(2 works)(3 .)))", [1, 7, 3, 6, 5, 6, 7, -1], ["It", "2", "works", "2", ".", "3", "4", "3"]),
        ("( (S (NP -LRB-)) )", [1, 2, 3, -1], ["-LRB-", "NP", "S", ""]),
        (" (\u00e9t\u00e9 'x\" [y]) ", [2, 2, -1], ["'x\"", "[y]", "\u00e9t\u00e9"]),
    ],
)
def test_trees_from_text(text, parents, words):
    trees, found = Trees.parse([text, "z"])
    assert trees.parents[:, 0].tolist() == parents and found == [words, ["z"]]
    assert trees.order[:, 0].tolist() == list(range(len(words)))


def test_deep_text():
    trees, words = Trees.parse(["(a " * 20000 + ")" * 20000])
    assert trees.steps == 20000 and words == [["a"] * 20000]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("(a b)", r"texts: expected a list of texts such as \['\(a \(b c\)\)'\], got '\(a b\)'"),
        ([["a"]], r"tree 0: expected a text such as '\(a \(b c\)\)', got \['a'\]"),
        ([], r"expected a list for each tree .*, got \[\]"),
        (["a", " "], "tree 1 is empty; expected a word, or brackets such as"),
        (["(a (b c)"], r"tree 0, character 1: '\(' is never closed; add '\)'"),
        (["(a\n(b c"], r"tree 0, character 4: '\(' is never closed"),
        (["a", "(a))"], r"tree 1, character 4: '\)' closes no '\('"),
        ([")"], r"tree 0, character 1: '\)' closes no '\('"),
        (["(a) (b)"], r"tree 0, character 5: expected nothing behind the tree, got '\('; give one tree a text"),
        (["a b"], "tree 0, character 3: expected nothing behind the tree, got 'b'"),
        (["(a (b ()))"], "tree 0, character 7: expected a word or a tree in the brackets, got nothing"),
    ],
)
def test_what_is_no_text_of_a_tree(texts, message):
    with pytest.raises(InputError, match=message):
        Trees.parse(texts)


# what is no tree


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ([[-1], [1, 2, 0]], "tree 1 has no root: node 0 -> node 1 -> node 2 -> node 0; expected -1 at one node"),
        ([[0]], "tree 0 has no root: node 0 -> node 0"),
        ([[-1, 2, 3, 1]], "tree 0 has a cycle: node 1 -> node 2 -> node 3 -> node 1"),
        ([[1, 2, 1, -1]], "tree 0 has a cycle: node 1 -> node 2 -> node 1"),
        ([[-1], [2, -1, 1, -1]], "tree 1 has two roots, nodes 1 and 3; expected -1 at one node"),
        ([[2, -1]], "node 0 of tree 0 has the parent 2; expected 0 to 1, or -1 at the root"),
        ([[-1, -2]], "node 1 of tree 0 has the parent -2; expected 0 to 1"),
        ([[-1], []], r"tree 1 is empty; a tree has one node at least: \[-1\]"),
        ([[0.5, -1]], r"tree 0: expected a list of whole numbers, got \[0.5, -1\]"),
        ([["a"]], r"tree 0: expected a list of whole numbers, got \['a'\]"),
        ([[[0], [1]]], "tree 0: expected a list of whole numbers"),
        ([3], "tree 0: expected a list of whole numbers, got 3"),
        ([], r"expected a list for each tree such as \[\[2, 2, -1\]\], got \[\]"),
        ("abc", "expected a list for each tree"),
        (5, "expected a list for each tree"),
    ],
)
def test_what_is_no_list_of_trees(parents, message):
    with pytest.raises(InputError, match=f"parents: {message}") as caught:
        Trees.of(parents)
    assert caught.value.field == "parents"


@pytest.mark.parametrize(
    ("parents", "lengths", "message"),
    [
        ([[1, 1], [-1, 0]], None, "parents: tree 1 has no root: node 0 -> node 1 -> node 0"),
        ([[2, -1], [-1, 0], [1, 1]], None, "parents: node 2 of tree 0 does not stand before its parent 1"),
        (
            [[-1], [0]],
            None,
            r"node 1 of tree 0 does not stand before its parent 0; .* which Trees.of\(\[...\]\) sees to",
        ),
        ([[1], [-1], [-1]], None, "tree 0 has two roots, nodes 1 and 2"),
        ([[2], [-1], [-1]], [2], "node 0 of tree 0 has the parent 2; expected 0 to 1"),
        ([[1], [-1]], [0], "lengths: tree 0 has 0 nodes; expected 1 to T=2, as no tree is empty"),
        ([[1], [-1]], [3], "lengths: tree 0 has 3 nodes; expected 1 to T=2"),
        ([[1], [-1]], [2, 2], r"lengths: expected shape \(1,\), got \(2,\)"),
        ([[1], [-1]], [2.0], "lengths: expected whole numbers, got float64"),
        ([1, -1], None, r"parents: expected shape \(T, B\), nodes first, got \(2,\)"),
        ([[1.0], [-1]], None, "parents: expected whole numbers, got float64"),
        (np.zeros((0, 2), int), None, r"parents: expected shape \(T, B\), nodes first, got \(0, 2\)"),
    ],
)
def test_what_is_no_batch_in_order(parents, lengths, message):
    with pytest.raises(InputError, match=message):
        Trees(np.array(parents), None if lengths is None else np.array(lengths))


def test_a_list_is_no_array():
    with pytest.raises(InputError, match="parents: expected a NumPy or CuPy array, got list"):
        Trees([[1], [-1]])
