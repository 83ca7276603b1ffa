"""Tasks over words, sounds, pairs and trees: what a sample is, what is held out, what is said of other files."""

import math

import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.layers import Trees
from gradlab.tasks import make_task

from .made_sounds import make_sounds


def rng(*seed):
    return np.random.default_rng(seed)


@pytest.fixture(name="write")
def written(tmp_path):
    def write(content, name="a.txt"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return write


# pairs


@pytest.mark.parametrize("steps", [1, 30])
def test_a_pair_is_what_is_read_and_what_is_said(steps):
    task = make_task("copy_attention", steps=steps)
    batch = task.batch(rng(1), 6)
    source, before = batch.x
    assert source.shape == (steps + 10, 6, 10) and before.shape == (10, 6, 10) and batch.lengths is None
    np.testing.assert_array_equal(source[:10].argmax(axis=-1), batch.targets)
    assert (source[10:].argmax(axis=-1) == 8).all()
    assert (before[0].argmax(axis=-1) == 9).all()
    np.testing.assert_array_equal(before[1:].argmax(axis=-1), batch.targets[:-1])
    assert task.answer_text(batch) == " ".join("abcdefgh"[k] for k in batch.targets[:, 0])
    some = batch.of_samples(slice(2, 5))
    assert some.samples == 3 and some.x[1].shape == (10, 3, 10)
    np.testing.assert_array_equal(some.x[0], source[:, 2:5])


# trees


@pytest.mark.parametrize("steps", [3, 4, 15, 60])
def test_expressions_have_the_value_that_python_gives_them(steps):
    task = make_task("arithmetic_trees", steps=steps)
    batch = task.batch(rng(2), 40)
    mean, spread = task.scale
    sizes = set()
    for b in range(40):
        one = batch.of_samples(slice(b, b + 1))
        one = type(batch)(one.x, batch.targets[b : b + 1], one.lengths)
        stack, parts = [], []
        nodes = one.x[one.lengths.own[:, 0], 0]
        for k in nodes[:, :13].argmax(axis=-1):
            if k < 10:
                stack.append(str(k))
            else:
                second, first = stack.pop(), stack.pop()
                stack.append(f"({first}{'+-*'[k - 10]}{second})")
                parts.append(eval(stack[-1]))
        value = eval(stack.pop())
        assert not stack and max(map(abs, [*parts, value])) <= 20
        assert batch.targets[b, 0] == pytest.approx((value - mean) / spread) and task.answer_text(one) == str(value)
        sizes.add(len(nodes))
    assert min(sizes) >= 3 and max(sizes) <= task.length <= steps and all(size % 2 for size in sizes)


def test_an_expression_in_brackets_is_the_same_tree():
    task = make_task("arithmetic_trees", steps=31)
    for seed in range(5):
        batch = task.batch(rng(seed), 1)
        trees, words = Trees.parse([task.sample_text(batch)])
        count = int(batch.lengths.lengths[0])
        np.testing.assert_array_equal(trees.parents[:, 0], batch.lengths.parents[:count, 0])
        shown = batch.x[:count, 0, :13].argmax(axis=-1)
        assert words[0] == [task.feature_names[k] for k in shown]
        np.testing.assert_array_equal(batch.x[:count, 0, :13].sum(axis=-1), 1)


def test_a_second_operand_is_marked():
    batch = make_task("arithmetic_trees", steps=31).batch(rng(3), 20)
    trees, second = batch.lengths, batch.x[..., 13] > 0
    for b in range(20):
        for t in range(int(trees.lengths[b])):
            (children,) = np.nonzero(trees.parents[:, b] == t)
            assert len(children) in (0, 2)
            assert not children.size or second[children, b].tolist() == [False, True]
        assert not second[int(trees.lengths[b]) - 1, b] and not batch.x[~trees.own[:, b], b].any()


def test_values_are_standardised():
    task = make_task("arithmetic_trees", steps=15)
    targets = task.batch(rng(9), 4000).targets
    assert abs(targets.mean()) < 0.06 and targets.var() == pytest.approx(1, abs=0.06)


# tags

NOUNS, VERBS = ("dog", "cat", "bird"), ("runs", "sees", "eats")
TAGGED = (
    "".join(f"the DET\n{noun} NOUN\n{verb} VERB\n\n" for noun in NOUNS for verb in VERBS) + "birds NOUN\nrun VERB\n"
)


def test_sentences_are_symbols_with_lengths(write):
    task = make_task("tagging", steps=10, path=write(TAGGED))
    assert (task.length, task.output_size, task.class_names) == (3, 3, ["DET", "NOUN", "VERB"])
    known, held = task.parts
    assert sorted([*known, *held]) == list(range(10)) and len(held) == 2
    batch = task.batch(rng(1), 8)
    assert batch.x.shape == batch.targets.shape == (3, 8) and batch.x.dtype.kind == "i"
    assert batch.x.max() < task.input_size == len(task.feature_names) and task.feature_names[0] == "unknown"
    own = task.own_steps(batch)
    np.testing.assert_array_equal(own.sum(axis=0), batch.lengths)
    assert not batch.x[~own].any()
    every = task.batch(rng(1), 50, held_out=True)
    assert every.samples == 2 and "birds" not in task.feature_names
    cut = make_task("tagging", steps=2, path=write(TAGGED.partition("birds")[0]))
    assert cut.length == 2 and cut.class_names == ["DET", "NOUN"]


def test_the_baseline_of_tags_counts_those_of_the_held_out_words(write):
    task = make_task("tagging", steps=10, path=write(TAGGED))
    known, held = ([tag for n in part for tag in task.read.answers[n]] for part in task.parts)
    expected = -np.mean([math.log(known.count(tag) / len(known)) for tag in held])
    assert task.baseline == pytest.approx(expected)


def test_only_own_steps_are_wrong_or_right(write):
    task = make_task("tagging", steps=10, path=write(TAGGED))
    batch = task.batch(rng(4), 30)
    assert batch.lengths.min() == 2
    own, right = task.own_steps(batch), np.eye(3)[batch.targets]
    assert task.score(0.0, np.where(own[..., None], right, -right), batch) == 0
    wrong = right.copy()
    wrong[0] *= -1
    assert task.score(0.0, wrong, batch) == pytest.approx(30 / batch.lengths.sum())


@pytest.mark.parametrize("seed", range(20))
def test_no_held_out_tag_is_unknown(write, seed):
    """Whatever tags there are, if each is in two sentences."""
    draw = rng(seed, 77)
    sentences = [[f"T{draw.integers(8)}" for _ in range(draw.integers(1, 4))] for _ in range(12)]
    sentences += [[tag] for tag in {tag for own in sentences for tag in own}] * 1
    task = make_task("tagging", steps=9, path=write("\n\n".join("\n".join(f"w {t}" for t in own) for own in sentences)))
    known, held = ({tag for n in part for tag in task.read.answers[n]} for part in task.parts)
    assert held <= known and len(task.parts[1]) >= 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TAGGED + "\nwow INTJ\n", "tags unknown: 'INTJ' in one sentence alone.*give them another sentence, or another"),
        (TAGGED + "\na A\nb B\nc C\nd D\n", "tags unknown: 'A', 'B', 'C' and 1 more in one sentence alone"),
        ("a X\nb X\n\nc X\n", "expected two sentences or more with two tags or more, got 2 sentences with 1 tag; "),
        ("a X\nb Y\n", "got 1 sentence with 2 tags; add some to the file, with an empty line between sentences"),
        ("word\n", "line 1: expected a word and its tag"),
    ],
)
def test_tags_that_cannot_be_learnt(write, content, message):
    with pytest.raises(InputError, match=message) as told:
        make_task("tagging", steps=10, path=write(content))
    assert told.value.field == "input"


# texts

TEXTS = "".join(f"good\tit was fine {n % 3}\nbad\tit was not fine\n" for n in range(10))


def test_texts_are_symbols_with_labels(write):
    task = make_task("sentiment", steps=3, path=write(TEXTS))
    assert (task.length, task.class_names, task.output_size) == (3, ["bad", "good"], 2)
    assert task.baseline == pytest.approx(math.log(2)) and len(task.parts[1]) == 4
    batch = task.batch(rng(0), 6)
    assert batch.x.shape == (3, 6) and (batch.lengths == 3).all() and task.own_steps(batch) is None
    words = [task.feature_names[k] for k in batch.x[:, 0]]
    assert words[:2] == ["it", "was"] and task.answer_text(batch) in ("good", "bad")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("good\ta\ngood\tb\n", "expected two labels or more with two texts each, got 1 label; add some to the file"),
        ("good\ta\nbad\tb\nbad\tc\n", "got 2 labels: 'good' has 1; add some to the file"),
        ("good\n", "line 1: expected a label and a text"),
    ],
)
def test_texts_that_cannot_be_learnt(write, content, message):
    with pytest.raises(InputError, match=message) as told:
        make_task("sentiment", steps=10, path=write(content))
    assert told.value.field == "input"


# sounds


def test_sounds_are_standardised_frames(tmp_path):
    task = make_task("sounds", steps=20, path=make_sounds(tmp_path / "s", 6))
    assert (task.length, task.input_size, task.class_names) == (20, 40, ["high", "low", "noise"])
    assert len(task.feature_names) == 40 and task.feature_names[0].endswith(" Hz")
    known = np.concatenate([task.read.frames[n][:20] for n in task.parts[0]])
    mean, spread = known.mean(axis=0), known.std(axis=0)
    batch = task.batch(rng(0), 9, held_out=True)
    assert batch.samples == 3 and batch.x.shape == (20, 3, 40)
    for b, length in enumerate(batch.lengths):
        assert not batch.x[length:, b].any()
    wanted = {task.labels[n]: (task.read.frames[n][:20] - mean) / spread for n in task.parts[1]}
    for b, label in enumerate(batch.targets):
        np.testing.assert_allclose(batch.x[: batch.lengths[b], b], wanted[label], rtol=1e-9, atol=1e-12)


def test_sounds_that_cannot_be_learnt(tmp_path):
    with pytest.raises(InputError, match="got 3 labels: 'high' has 1, 'low' has 1, 'noise' has 1; add some to the fol"):
        make_task("sounds", steps=20, path=make_sounds(tmp_path / "s", 1))
