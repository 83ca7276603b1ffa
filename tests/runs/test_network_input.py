"""What drives a network of a RunConfig: words and bytes with vectors of their own, made trees, and those of a file."""

import numpy as np
import pytest

import gradlab
from gradlab.config import RunConfig, controls
from gradlab.config.architecture import embeds, is_single, reads_trees
from gradlab.errors import InputError
from gradlab.layers import Embedding, Trees
from gradlab.runs.architectures import input_of, network_of
from gradlab.runs.build import build, input_width
from gradlab.runs.cost import features
from gradlab.runs.network_input import network_input, said_of, vocabulary_size
from gradlab.runs.sizes import parameter_count

TEXT = "the quick fox didn't jump over the lazy dog. it slept, the dog!\n" * 4
BANK = ["(3 (2 It) (4 works))", "", "(1 (2 (1 not) (3 bad)) (0 film))", "  ((a) (b c))  ", "word"]
TINY = {"steps": 12, "batch_size": 3, "hidden_size": 4}
ARCHITECTURES = {
    "one cell": {},
    "a stack": {"layers": 2, "cell": "lstm", "loss": "every"},
    "both directions": {"bidirectional": True, "attention": "dot"},
    "a transformer": {"architecture": "transformer", "heads": 2, "dtype": "float32"},
    "made trees": {"architecture": "tree", "tree": "random"},
}


@pytest.fixture(name="text")
def text_file(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    return str(tmp_path / "a.txt")


@pytest.fixture(name="bank")
def tree_file(tmp_path):
    (tmp_path / "trees.txt").write_text("\n".join(BANK))
    return str(tmp_path / "trees.txt")


@pytest.mark.parametrize("tokens", ["word", "byte"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_reads_words_and_bytes(name, tokens, text):
    config = RunConfig(input=text, tokens=tokens, input_size=5, **TINY | ARCHITECTURES[name])
    given = network_of(config)
    assert given.net.children["embedding"] == Embedding(vocabulary_size(config), 5)
    assert given.x.shape == (12, 3) and given.x.max() < vocabulary_size(config)
    dt = gradlab.analyze(config)
    assert dt.sizes["input_time"] == 12 and np.isfinite(dt.log_input_grad_norm[-1]).all()
    assert dt.attrs["input"] == said_of(config) and dt.attrs["network"].endswith(f", 5 numbers a {tokens}")
    assert parameter_count(config) == sum(p.size for p in given.params.values())
    assert features(config) == input_width(config) == 5


def test_what_reaches_a_word_is_what_reaches_its_vector(text):
    """The same network without the embedding, driven by the vectors."""
    config = RunConfig(input=text, tokens="word", **TINY, layers=2)
    given, dt = network_of(config), gradlab.analyze(config)
    rest = type(given.net)(*given.net.layers[1:])
    names = dict(zip(given.net.names[1:], rest.names, strict=True))
    parts = {key.partition(".")[::2]: value for key, value in given.params.items()}
    params = {f"{names[name]}.{own}": value for (name, own), value in parts.items() if name in names}
    alone = gradlab.analyze(net=rest, params=params, x=input_of(config), seed=config.seed)
    np.testing.assert_allclose(dt.log_input_share, alone.log_input_share, rtol=1e-12)
    np.testing.assert_array_equal(input_of(config), given.params["embedding.W_emb"][given.x])


def test_a_text_of_characters_is_a_single_cell_as_before(text):
    config = RunConfig(input=text, **TINY)
    assert is_single(config) and not embeds(config) and vocabulary_size(config) is None
    assert input_width(config) == build(config)[2].shape[-1] == len(set(TEXT))
    np.testing.assert_array_equal(input_of(config), build(config)[2])
    with pytest.raises(InputError, match="this is computed for a single cell") as caught:
        build(config.replace(tokens="word"))
    assert caught.value.field == "tokens"


def test_words_do_not_apply_to_other_inputs(tmp_path, text, bank):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n2,3\n3,5\n")
    for config in (RunConfig(tokens="word"), RunConfig(tokens="word", input=str(tmp_path / "a.csv"))):
        assert is_single(config) and not controls()["tokens"].applies_if(config)
    assert controls()["tokens"].applies_if(RunConfig(input=text))
    assert not controls()["input_size"].applies_if(RunConfig(input=text))
    assert controls()["input_size"].applies_if(RunConfig(input=text, tokens="byte"))
    tree = RunConfig(input=bank, architecture="tree")
    assert not any(controls()[name].applies_if(tree) for name in ("tree", "tokens"))
    assert controls()["tree"].applies_if(tree.replace(input=text))
    with pytest.raises(InputError, match=r"unknown tokens 'wrd'\. Did you mean 'word'\? Valid: character, word, byte"):
        RunConfig(tokens="wrd")


# trees of a file


def test_lines_of_brackets_are_the_trees(bank):
    config = RunConfig(input=bank, architecture="tree", **TINY | {"batch_size": 4})
    given = network_input(config)
    expected, words = Trees.parse([line for line in BANK if line])
    sizes = sorted(expected.lengths.tolist())
    assert reads_trees(config) and sorted(given.trees.lengths.tolist()) == sizes == [1, 4, 5, 8]
    assert given.vocabulary == len({word for own in words for word in own})
    for b, length in enumerate(given.trees.lengths):
        parents = given.trees.parents[:length, b].tolist()
        assert parents in [expected.parents[:n, i].tolist() for i, n in enumerate(expected.lengths)]
    assert said_of(config) == f"Read trees.txt as 4 trees of 1 to 8 nodes; words: {given.vocabulary} different"


def test_words_stand_at_their_nodes(tmp_path):
    (tmp_path / "a.txt").write_text("(top (left (deep)) right)\n" * 3)
    config = RunConfig(input=str(tmp_path / "a.txt"), architecture="tree", **TINY)
    given = network_input(config)
    ((parents, *_), words) = Trees.parse(["(top (left (deep)) right)"])[0].parents.T, ["deep", "left", "right", "top"]
    np.testing.assert_array_equal(given.trees.parents[:, 0], parents)
    assert given.vocabulary == 4 and len({tuple(given.x[:, b]) for b in range(3)}) == 1
    assert len(set(given.x[:, 0])) == 4 and words
    assert said_of(config) == "Read a.txt as 3 trees of 4 nodes; words: 4 different"


@pytest.mark.parametrize("more", [{}, {"cell": "lstm", "loss": "every"}, {"dtype": "float32", "tokens": "byte"}])
def test_a_run_over_trees_of_a_file(more, bank):
    config = RunConfig(input=bank, architecture="tree", **TINY | more)
    dt, few = gradlab.analyze(config), network_of(config, 2)
    assert "node_depth" in dt["tree"] and dt.log_input_share.attrs["lag"]
    assert dt.attrs["network"].endswith(", 3 numbers a word")
    np.testing.assert_array_equal(few.x, network_of(config).x[:, :2])
    gradlab.analyze(net=few.net, params=few.params, x=few.x, lengths=few.lengths)


def test_trees_of_too_many_nodes_are_left_out(bank):
    for steps, sizes in ((3, {1}), (5, {1, 4, 5}), (12, {1, 4, 5, 8})):
        config = RunConfig(input=bank, architecture="tree", **TINY | {"steps": steps, "batch_size": 30})
        assert set(network_input(config).trees.lengths.tolist()) == sizes


def test_no_tree_is_small_enough(tmp_path):
    (tmp_path / "a.txt").write_text("(a b c)\n(a (b c) d)\n")
    config = RunConfig(input=str(tmp_path / "a.txt"), architecture="tree", **TINY | {"steps": 2})
    with pytest.raises(InputError, match="every tree has more than 2 nodes; take 3 steps or more") as caught:
        gradlab.analyze(config)
    assert caught.value.field == "steps"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["(a b)", "(a (b c)", "(d)"], r"a.txt: line 2, character 1: '\(' is never closed; add '\)'"),
        (["(a b)", "", "(a b) c"], "a.txt: line 3, character 7: expected nothing behind the tree, got 'c'"),
        (["(a b)", "a)"], r"a.txt: line 2, character 2: '\)' closes no '\('"),
        (["()"], r"a.txt: line 1, character 1: expected a word or a tree in the brackets, got nothing"),
    ],
)
def test_a_line_that_is_no_tree_is_named(lines, message, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(lines))
    config = RunConfig(input=str(tmp_path / "a.txt"), architecture="tree", **TINY)
    with pytest.raises(InputError, match=message) as caught:
        gradlab.analyze(config)
    assert caught.value.field == "input"


def test_trees_that_are_too_many_or_too_long(bank, tmp_path, monkeypatch):
    config = RunConfig(input=bank, architecture="tree", **TINY)
    monkeypatch.setattr("gradlab.runs.network_input.MOST_NODES", 12)
    with pytest.raises(InputError, match="trees.txt: more than 12 nodes; leave some of the trees out"):
        gradlab.analyze(config)
    (tmp_path / "long.txt").write_text("(a b)\n(" + "a " * 2**16)
    with pytest.raises(InputError, match="line 2 has 131,073 characters; expected one tree of 131,072 at most"):
        gradlab.analyze(config.replace(input=str(tmp_path / "long.txt")))


def test_trees_have_no_column(bank):
    config = RunConfig(input=bank, architecture="tree", column="a", **TINY)
    with pytest.raises(InputError, match="trees.txt: column 'a' was asked for, but text has no columns") as caught:
        gradlab.analyze(config)
    assert caught.value.field == "column"
