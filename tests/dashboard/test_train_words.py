"""What Train says of runs that break, pause or learn from files."""

import re
import time

import pytest

from dashboard.pages.train import follow as train_follow
from dashboard.pages.train import words as train_words
from gradlab.config.train import TrainConfig
from gradlab.training.jobs import TRAINING, RunState

from ..trained import PAIR, SMALL, kept, no_processes  # noqa: F401 - a fixture
from ..views import walk, words

BREAKS = TrainConfig(
    task="adding", steps=50, activation="relu", gain=3.0, hidden_size=32, optimizer="sgd", learning_rate=0.5,
    iterations=40, snapshot_every=10, evaluate_every=20,
)  # fmt: skip


def shown(*run_ids):
    return train_words.look_up(run_ids)


def test_a_run_that_breaks_says_since_when_and_what_may_help():
    (run,) = runs = shown(kept(BREAKS))
    lost = [i for i, skipped in enumerate(run.record.run.history.rows["skipped"], 1) if skipped]
    assert len(lost) > 20
    assert train_words.troubles(runs) == [
        f"relu RNN: {len(lost)} of 40 updates could not be made, the first at iteration {lost[0]}: numbers were not "
        "finite. First lower the learning rate (0.5) or the gain (3); clipping may help as well."
    ]
    assert train_words.sentence(runs)[1] == "The net broke: its numbers were not finite."


def test_a_run_that_ends_at_the_first_such_number_says_so():
    (run,) = runs = shown(kept(BREAKS.replace(nonfinite="stop"), outcome="stopped"))
    at = run.record.run.iteration
    assert at < 40 and train_words.summary(runs) == f"Adding, 50 steps. {at} of 40 iterations, broken off."
    assert f"1 of {at} updates could not be made, the first at iteration {at}:" in train_words.troubles(runs)[0]


def test_a_run_that_is_sound_has_no_troubles():
    assert train_words.troubles(shown(kept())) == []


def test_a_process_that_failed_and_numbers_that_did_are_told_both():
    run_id = kept(BREAKS)
    (run,) = shown(run_id)
    failed = train_words.Shown(run_id, BREAKS, RunState("failed", "disk full."), "net", run.record)
    first, second = train_words.troubles([failed])
    assert first.startswith("net: disk full. It was last saved at iteration 40.") and "could not be made" in second


@pytest.mark.parametrize(
    ("outcome", "text"), [("cancelled", "The net has learnt nothing yet: "), ("done", "The net has learnt nothing: ")]
)
def test_a_run_that_is_paused_is_not_judged_for_good(outcome, text):
    run_id = kept(SMALL.replace(learning_rate=1e-6), outcome=outcome, iterations=40)
    assert TRAINING.state(run_id).status in ("paused", "done")
    assert train_words.sentence(shown(run_id))[1].startswith(text)


@pytest.mark.parametrize(
    ("task", "text"), [("adding", "the last step alone"), ("mackey_glass", "a linear autoregression")], ids=str
)
def test_the_loss_that_is_hardest_to_beat_is_called_what_it_is(task, text):
    (run,) = runs = shown(kept(SMALL.replace(task=task)))
    assert re.search(rf", {text} 0\.\d+ \([+-]0\.\d+ ± 0\.\d+\)\.$", train_words.sentence(runs)[1])
    assert run.training.against == text


def test_before_held_out_data_are_tried_the_loss_stands_beside_the_baseline():
    runs = shown(kept(SMALL.replace(evaluate_every=1000), outcome="cancelled", iterations=40))
    runs[0].training.history.scores.clear()
    runs[0].training.history.rivals.clear()
    text = r"The net is not tried on enough held-out data yet to tell: loss 0\.\d+, without memory 0\.17\."
    assert re.fullmatch(text, train_words.sentence(runs)[1])


def test_the_latest_runs_can_be_told_apart():
    for n, config in enumerate((PAIR[0], PAIR[1], SMALL.replace(clip="agc", cell="lstm"))):
        kept(config, f"0000000{n}", iterations=1)
    rows = [part for part in walk(train_follow.recent()) if type(part).__name__ == "A"]
    told = [words(row) for row in rows]
    assert sorted(text.partition("done · ")[0] for text in told) == [
        "Adding, 12 steps, LSTM, clipped", "Adding, 12 steps, tanh RNN", "Adding, 12 steps, tanh RNN, clipped at 0.5"
    ]  # fmt: skip
    today = time.strftime("%d %b").lstrip("0")
    assert all(re.search(rf"done · {today}, \d\d:\d\d$", text) for text in told)
    assert all(row.title.startswith("gradlab train ") for row in rows)
