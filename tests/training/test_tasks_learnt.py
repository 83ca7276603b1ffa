"""Every kind of task is learnt in seconds, far below its baseline, by the nets that it is made for."""

import pytest

from gradlab.training import train

from ..tasks.made_sounds import make_sounds
from .test_architectures import DATA

pytestmark = pytest.mark.study
OFTEN = {"learning_rate": 0.01, "hidden_size": 32, "snapshot_every": 1000, "evaluate_every": 50, "seed": 11}
COPY = {"task": "copy_attention", "steps": 20, "cell": "gru", "hidden_size": 64, "clip": "norm", "iterations": 300}
TAGS = {"task": "tagging", "input": str(DATA / "tagged.txt"), "cell": "gru", "iterations": 150}
TEXTS = {"task": "sentiment", "input": str(DATA / "reviews.csv"), "cell": "gru", "iterations": 150}
TREES = {"task": "arithmetic_trees", "steps": 15, "cell": "lstm", "hidden_size": 64, "iterations": 800}


def learnt(**fields):
    """The run, its best held-out loss over the baseline, and the score that goes with it."""
    run = train(**OFTEN | fields)
    loss, score = min((loss, score) for _, loss, score in run.history.scores)
    return run, loss / run.task.baseline, score


@pytest.mark.parametrize("attention", ["additive", "dot"])
def test_a_decoder_that_looks_back_copies_what_one_without_has_forgotten(attention):
    _, share, wrong = learnt(**COPY, attention=attention)
    _, without, often_wrong = learnt(**COPY)
    assert share < 0.1 and wrong < 0.05 and without > 0.4 and often_wrong > 0.3


def test_tags_are_told_better_from_both_sides():
    _, share, wrong = learnt(**TAGS, bidirectional=True)
    _, one_way, _ = learnt(**TAGS)
    assert share < 0.08 and wrong < 0.05 and share < one_way < 0.2


@pytest.mark.parametrize("attention", ["none", "additive"])
def test_texts_are_labelled(attention):
    _, share, wrong = learnt(**TEXTS, attention=attention)
    assert share < 0.75 and wrong < 0.2


def test_trees_learn_arithmetic_better_than_chains():
    _, tree, _ = learnt(**TREES, architecture="tree")
    _, chain, _ = learnt(**TREES)
    assert tree < 0.25 and chain < 0.4 and tree < chain


def test_sounds_are_labelled(tmp_path):
    run, share, wrong = learnt(
        task="sounds", input=str(make_sounds(tmp_path / "sounds")), steps=40, cell="gru", iterations=50
    )
    assert share < 0.2 and wrong == 0 and run.task.said.startswith("Read sounds as 36 sounds")


def test_a_transformer_tells_the_order_of_symbols():
    _, share, wrong = learnt(
        task="temporal_order",
        steps=30,
        architecture="transformer",
        layers=2,
        learning_rate=0.003,
        iterations=150,
    )
    assert share < 0.1 and wrong < 0.05
