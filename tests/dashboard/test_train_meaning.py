"""What the gradient at one moment says about nets that have learnt nothing or went astray, and the way to Explore."""

import pytest

from dashboard.pages.train import examples as train_examples
from dashboard.pages.train import flow as train_flow
from dashboard.pages.train import words as train_words
from dashboard.pages.train.examples import EXAMPLES
from gradlab import train
from gradlab.config import RunConfig
from gradlab.config.links import from_query
from gradlab.runs.verdicts import verdict
from gradlab.training import dataset, snapshot_dataset
from gradlab.training.jobs import Record
from gradlab.training.outcome import outcome

from ..plotting import LN10, fading
from ..trained import SMALL, kept, no_processes, rivals  # noqa: F401 - a fixture
from ..views import parts, words


def told(loss, skipped=0.0, config=SMALL):
    """A run whose losses are these."""
    run_id = kept(config, iterations=20)
    (run,) = train_words.look_up([run_id])
    run.record.run.history.rows |= {"loss": [1.0, *[loss] * 19], "skipped": [skipped] * 20}
    run.record.run.history.scores = [(20, loss, 1.0)]
    run.record.run.history.rivals = rivals(loss, 1 / 6, 1 / 6, 1 / 6)
    return train_words.Shown(run_id, config, run.state, "net", Record(run.record.run, dataset(run.record.run), 0.0))


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (-1.0, "So what lies more than 4 steps back hardly changes the weights, and cannot be learnt."),
        (1.0, "So a small change of the weights changes the answer much, and updates overshoot."),
        (-0.01, "So the gradient is not what keeps it from learning: train longer,"),
    ],
)
def test_what_the_verdict_means_for_a_net_that_has_learnt_nothing(monkeypatch, rate, text):
    monkeypatch.setattr(train_flow, "snapshot", lambda *_: (0, fading(20, rate)))
    assert train_flow.meaning(told(0.17), fading(20, rate)).startswith(text)


@pytest.mark.parametrize(
    ("start", "now", "text"),
    [
        (1.0, -1.0, "At the start it exploded: "),
        (0.0, -1.0, "At the start it was carried: "),
        (1.0, 0.0, "At the start it exploded, "),
    ],
)
def test_where_training_has_changed_the_verdict_the_updates_were_too_large(monkeypatch, start, now, text):
    monkeypatch.setattr(train_flow, "snapshot", lambda *_: (0, fading(20, start)))
    said = train_flow.meaning(told(0.17), fading(20, now))
    assert said.startswith(text) and said.endswith("Lower the learning rate (0.001) first, or clip.")


def test_of_other_nets_it_says_nothing_more():
    assert train_flow.meaning(told(0.05), fading(20)) == ""


def test_of_a_loss_at_every_step_neither():
    assert train_flow.meaning(told(0.7, config=SMALL.replace(task="parity")), fading(20).assign_attrs(apart=0)) == ""


@pytest.mark.parametrize(("loss", "skipped"), [(1e4, 0.0), (float("nan"), 1.0)], ids=["diverged", "broke"])
def test_the_remains_of_a_net_are_called_so_and_the_cause_comes_first(loss, skipped):
    run = told(loss, skipped)
    assert train_flow.meaning(run, fading(20)) == train_flow.AFTERWARDS
    (trouble,) = train_words.troubles([run])
    assert "First lower the learning rate (0.001) or the gain (1); " in trouble
    assert ("updates were too large" in trouble) == (skipped == 0)


@pytest.mark.parametrize(
    ("fields", "there"),
    [
        ({}, {"input_size": 2}),
        ({"task": "temporal_order", "gain": 1.2, "recurrent_init": "orthogonal"}, {"input_size": 6}),
        ({"cell": "lstm", "forget_bias": 2.0, "clip": "norm"}, {"input_size": 2}),
        ({"task": "adding_hs97", "steps": 30}, {"input_size": 2, "steps": 33}),
    ],
    ids=str,
)
def test_explore_opens_with_the_same_cell_and_distribution_of_weights(fields, there):
    config = SMALL.replace(**fields)
    (run,) = train_words.look_up([kept(config, iterations=1)])
    explore, _, compare = train_flow.links(run)
    found = from_query(explore.href.removeprefix("/?"))
    assert compare.href == f"/compare{explore.href.removeprefix('/')}"
    shared = {k: v for k, v in fields.items() if k not in ("task", "clip")}
    expected = {"steps": 12, "hidden_size": 6, "batch_size": 4} | shared | there
    assert (found.config, found.notices) == (RunConfig(**expected), [])


def test_the_link_stands_beside_every_verdict():
    ids = [kept(SMALL, "00000001", iterations=20), kept(SMALL.replace(cell="lstm"), "00000002", iterations=20)]
    shown = train_flow.flow(train_words.look_up(ids), 1, 0, "light")["flow_verdict"]
    assert [words(part) for part in parts(shown, "A")] == ["Open in Explore", "Compare"] * 2
    assert [getattr(part, "aria-label") for part in parts(shown, "A")] == [
        f"{what}: {name}" for name in ("tanh RNN", "LSTM") for what in ("Open in Explore", "Compare")
    ]


def test_shares_are_all_written_alike():
    ds = fading(30, -0.25).assign_attrs(label="net")
    assert [row["net"] for row in train_flow.rows([ds])] == ["1", "0.78", "0.61", "0.29", "0.082", "0.0067"]


def test_the_example_of_clipping_starts_with_an_exploding_gradient():
    run = train(EXAMPLES["order"].config.replace(iterations=1))
    assert verdict(snapshot_dataset(run, 0)).log_factor > 2.5 * LN10, "seen as violet on the fixed scale"


@pytest.mark.study
def test_the_example_of_clipping_shows_what_it_promises():
    clipped, plain = (train(config) for config in train_examples.clips(EXAMPLES["order"].config))
    assert outcome(clipped.task, clipped.history) in ("learnt", "solved")
    assert outcome(plain.task, plain.history) == "nothing"
