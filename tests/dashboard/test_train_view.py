"""Page Train without a browser: what it shows and says of its runs, the clip advisor, downloads."""

import base64
import io
import json
import re
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from dash import no_update

from dashboard import ids
from dashboard.pages.train import advisor as train_advisor
from dashboard.pages.train import flow as train_flow
from dashboard.pages.train import follow as train_follow
from dashboard.pages.train import steer as train_steer
from dashboard.pages.train import words as train_words
from dashboard.pages.train.follow import Look, Seen
from gradlab import train
from gradlab.data.uploads import find, store
from gradlab.training import dataset
from gradlab.training import jobs as training
from gradlab.training.jobs import TRAINING, RunState
from gradlab.training.worker import CHECKPOINT, OUTCOME

from ..plotting import words_of
from ..trained import LOOK, PAIR, SMALL, download, kept, kept_pair, no_processes, page, rivals  # noqa: F401 - two are fixtures
from ..views import walk, words


def answer(trigger, run_ids, shown=None, back=0, layer=0):
    seen = {name: value for name, value in (shown or {}).items() if name in ("stamp", "last", "runs")}
    return train_follow.update(trigger, run_ids, Look(**LOOK), layer, back, Seen(**seen))


# what is shown


def test_without_runs_the_page_is_ready():
    shown = answer(ids.TRAIN.runs, [])
    assert shown["verdict"] == train_follow.READY and shown["stage"] == "stage ready"
    assert shown["shown"]["more"] is False
    assert train_follow.update(ids.TRAIN.runs, [], None, 0, 0, Seen()) == {}


def test_a_run_is_shown_whole(pair):
    shown = answer(ids.TRAIN.runs, pair)
    assert shown["stage"] == "stage seen" and shown["share"] == "1.0"
    assert words(shown["details"]) == (
        "Adding, 12 steps. clipped net: 60 iterations done. unclipped net: 60 iterations done."
    )
    assert "clipped net" in shown["label"] and shown["course"].data and shown["flow"].data
    assert (shown["back"], shown["most"], shown["when"]) == (6, 6, "at iteration 59, the latest")
    assert words(shown["flow_verdict"]).startswith("clipped net: gradient ")
    body = [words(part) for part in walk(shown["flow_table"]) if type(part).__name__ == "Tr"]
    assert body[0] == "steps backclipped netunclipped net" and len(body) == 6 and body[1].startswith("011")
    assert "Temporal" not in words(shown["recent"]) and words(shown["recent"]).count("done") == 2
    assert [type(part).__name__ for part in walk(shown["table"])].count("Tr") == 3


def test_a_tick_that_finds_nothing_new_changes_nothing_but_says_when_to_ask_again(pair):
    first = answer(ids.TRAIN.runs, pair)
    again = answer(ids.TRAIN.tick, pair, json.loads(json.dumps(first["shown"])), back=6)
    assert set(again) == {"shown"} and again["shown"]["stamp"] == first["shown"]["stamp"]
    assert set(answer(ids.TRAIN.look, pair, first["shown"], back=6)) > {"course", "flow", "verdict"}


def test_the_slider_leads_back_and_stays_there(pair):
    first = answer(ids.TRAIN.runs, pair)
    moved = answer(ids.TRAIN.back, pair, first["shown"], back=2)
    assert set(moved) == {"flow", "flow_style", "flow_label", "flow_table", "flow_verdict", "when", "shown"}
    assert moved["when"] == "at iteration 20"
    redrawn = answer(ids.TRAIN.look, pair, moved["shown"], back=2)
    assert redrawn["when"] == "at iteration 20" and redrawn["back"] is no_update
    other = answer(ids.TRAIN.runs, pair[:1], moved["shown"], back=2)
    assert other["back"] == 6, "other runs are shown from their latest"


@pytest.mark.parametrize("back, before, expected", [(0, -1, 9), (9, 9, 9), (7, 7, 9), (3, 7, 3), (12, 20, 9)])
def test_the_moment_that_is_shown(monkeypatch, back, before, expected):
    monkeypatch.setattr(train_flow, "last_snapshot", lambda runs: 9)
    assert train_follow.moment([], back, before) == expected


def test_a_run_that_is_behind_says_at_which_iteration_it_is_shown():
    ahead = kept(SMALL, "00000001")
    behind = kept(SMALL.replace(cell="lstm"), "00000002", "cancelled", iterations=25)
    shown = answer(ids.TRAIN.runs, [ahead, behind])
    assert "LSTM at iteration 24: gradient" in words(shown["flow_verdict"])
    assert "LSTM: 25 of 60 iterations, paused" in words(shown["details"])
    assert shown["stage"] == "stage resumable seen"


def test_layers_can_be_chosen_and_a_loss_at_every_step_is_no_verdict():
    run_id = kept(SMALL.replace(layers=2, task="parity"))
    shown = answer(ids.TRAIN.runs, [run_id], layer=1)
    assert [entry["label"] for entry in shown["layers"]] == ["Layer 1", "Layer 2"]
    assert shown["layer_class"] == "tracks" and "layer 2" in words_of(shown["course"])
    assert "says nothing about distance" in words(shown["flow_verdict"])


def test_what_went_wrong_is_told():
    run_id = kept(outcome="failed", iterations=30)
    (TRAINING.folder(run_id) / OUTCOME).write_text('{"status": "failed", "error": "cannot write: disk full."}')
    text = words(answer(ids.TRAIN.runs, [run_id])["trouble"])
    assert text == "tanh RNN: cannot write: disk full. It was last saved at iteration 30. Resume goes on from there."
    (TRAINING.folder(run_id) / CHECKPOINT).write_bytes(b"torn")
    broken = answer(ids.TRAIN.poke, [run_id])
    assert "not a whole checkpoint" in words(broken["trouble"]) and broken["shown"]["more"] is False


def test_a_run_that_cannot_be_read_does_not_hide_the_other(pair):
    (TRAINING.folder(pair[0]) / CHECKPOINT).write_bytes(b"torn")
    shown = answer(ids.TRAIN.runs, pair)
    assert words(shown["trouble"]).startswith("clipped net: ") and "not a whole checkpoint" in words(shown["trouble"])
    assert words(shown["details"]) == (
        "Adding, 12 steps. clipped net: done, cannot be read. unclipped net: 60 iterations done."
    )
    assert "unclipped net" in words(shown["verdict"]) and "unclipped net" in words(shown["table"])
    (TRAINING.folder(pair[1]) / CHECKPOINT).write_bytes(b"torn")
    assert answer(ids.TRAIN.runs, pair)["verdict"] == "What was recorded cannot be read"
    assert "not a whole checkpoint" in words(download("nc", pair)[1])


def test_a_run_whose_file_is_gone_is_shown_as_it_was():
    path = find(store("a.csv", ("a\n" + "".join(f"{n * 7 % 13}\n" for n in range(200))).encode()), "a.csv")
    run_id = kept(SMALL.replace(task="forecast", input=str(path)))
    before = answer(ids.TRAIN.runs, [run_id])
    TRAINING._records.clear()
    path.unlink()
    shown = answer(ids.TRAIN.runs, [run_id])
    assert shown["trouble"] == [] and words(shown["verdict"]) == words(before["verdict"])
    assert all(words(shown[part]) == words(before[part]) for part in ("details", "table", "flow_verdict", "advice"))
    assert download("html", [run_id])[1] == ""


def test_a_run_that_has_recorded_nothing():
    run_id = kept(outcome="failed", iterations=0)
    shown = answer(ids.TRAIN.runs, [run_id])
    assert shown["verdict"] == "Nothing was recorded" and "course" not in shown
    assert words(shown["details"]) == "Adding, 12 steps. 0 of 60 iterations, failed."
    assert words(train_words.headline([train_words.Shown(run_id, SMALL, RunState("starting"), "x")])) == "Starting …"


def test_time_left_comes_from_the_pace(monkeypatch):
    run_id = kept(outcome="cancelled", iterations=20)
    (run,) = train_words.look_up([run_id])
    going = train_words.Shown(run_id, SMALL, RunState("running"), "x", run.record)
    monkeypatch.setattr(TRAINING, "pace", lambda _: 2.0)
    assert train_words.progress_text(going) == "20 of 60 iterations, about 20 s left"
    monkeypatch.setattr(TRAINING, "pace", lambda _: None)
    assert train_words.progress_text(going) == "20 of 60 iterations, running"


# words


def told(losses, status="done", score=1.0, skipped=0.0, name="net", other=0.18):
    """A run with these numbers."""
    run_id = f"{len(TRAINING.recent()):08x}"
    (run,) = train_words.look_up([kept(SMALL, run_id)])
    trained = run.record.run
    trained.history.rows |= {"loss": [losses] * 60, "skipped": [skipped] * 60}
    trained.history.scores = [(60, losses, score)]
    trained.history.rivals = rivals(losses, 0.17, other, 0.3)
    record = training.Record(trained, dataset(trained), 0.0)
    return train_words.Shown(run_id, SMALL, RunState(status), name, record)


@pytest.mark.parametrize(
    "run, text",
    [
        (
            {"losses": 0.01, "score": 0.01},
            "✓The net has solved the task: held-out loss 0.01, without memory 0.17 (+0.16 ± ",
        ),
        ({"losses": 0.05, "status": "running"}, "✓The net is learning: held-out loss 0.05"),
        ({"losses": 0.17, "status": "running"}, "○The net has learnt nothing yet: held-out loss 0.17"),
        ({"losses": 0.17}, "○The net has learnt nothing: held-out loss 0.17"),
        (
            {"losses": 0.169},
            "✓The net has learnt: held-out loss 0.169, without memory 0.17 (+0.001 ± 9×10−4). It needs its memory: ",
        ),
        (
            {"losses": 0.16, "other": 0.1601},
            "○The net is no better than the last step alone: "
            "held-out loss 0.16, the last step alone 0.16 (+10−4 ± 9×10−4).",
        ),
        ({"losses": np.nan}, "✗The net broke: its numbers were not finite."),
        ({"losses": 0.1, "skipped": 1.0}, "✗The net broke"),
    ],
)
def test_the_headline_of_one_run(run, text):
    assert words(train_words.headline([told(**run)])).startswith(text)


def test_the_headline_of_two_runs_names_the_better_first():
    good, poor = told(0.01, score=0.01, name="LSTM"), told(0.2, name="tanh RNN")
    text = words(train_words.headline([poor, good]))
    assert text == "✓The LSTM has solved the task; the tanh RNN has learnt nothing."
    assert words(train_words.headline([poor, poor])) == "○Neither net has learnt anything."
    waiting = train_words.Shown("0", SMALL, RunState("starting"), "LSTM")
    assert words(train_words.headline([poor, waiting])) == "○Neither net has learnt anything yet."


# clip advisor


def test_of_a_pair_that_was_clipped_and_not_the_card_says_what_was_measured(pair):
    shown = train_advisor.content(train_words.look_up(pair))
    text = r"Measured here: loss \S+ with clipping at 0\.5, \S+ without: it (helped|made no difference|did harm.*)\. "
    assert re.match(text, words(shown["advice"]))
    assert shown["card"] == "card" and shown["advice_buttons"] == "hidden"
    told = train_advisor.advised(train_words.look_up(pair))
    assert told.run_id == pair[1], "norms of a run without clipping tell most"


def test_a_suggestion_can_be_tried_and_used(monkeypatch):
    run_id = kept()
    monkeypatch.setattr("gradlab.training.advisor.HEAVY", 0.0)
    shown = train_advisor.content(train_words.look_up([run_id]))
    assert shown["advice_buttons"] == "actions untried" and "90th percentile" in words(shown["advice"])
    threshold = re.search(r"At ([\d.]+),", words(shown["advice"]))[1]
    values = train_steer.use_threshold(page(runs=[run_id]))["values"]
    assert values == {"clip": "norm", "clip_threshold": threshold}
    assert train_advisor.check(1, [run_id]) == 1
    (run,) = train_words.look_up([run_id])
    job = train_advisor.CHECK.job(run)
    job.wait(20)
    assert "Over 60 iterations from the start the loss came to" in train_advisor.effect(run)
    assert train_advisor.CHECK.going(run) is None and train_advisor.stamp(run) == ["done", 1.0]
    for loss, first in ((1.0, "good"), (1e9, "harm")):
        job.result = SimpleNamespace(effect=replace(job.result.effect, loss_without=1.0, loss_with=loss))
        assert train_advisor.content([run])["advice_buttons"] == f"actions {first}"


def test_of_two_runs_the_card_names_the_one_it_means():
    ids = [kept(SMALL, "00000001"), kept(SMALL.replace(cell="lstm"), "00000002")]
    runs = train_words.look_up(ids)
    assert words(train_advisor.content(runs)["advice"]).startswith("Of the tanh RNN: ")
    assert train_advisor.lines(runs)[0].startswith("Of the tanh RNN: ")
    assert not words(train_advisor.content(runs[:1])["advice"]).startswith("Of the ")


def test_without_enough_norms_there_is_no_card():
    run_id = kept(SMALL.replace(iterations=15))
    assert train_advisor.content(train_words.look_up([run_id]))["card"] == "card hidden"
    assert train_advisor.content([])["card"] == "card hidden"
    assert train_steer.use_threshold(page()) == {}
    assert train_advisor.check(1, []) is train_advisor.no_update is train_advisor.check(None, [run_id])


# downloads


def content_of(sent):
    return base64.b64decode(sent["content"])


def test_one_run_is_one_file(tmp_path):
    run_id = kept()
    sent, text = download("csv", [run_id])
    rows = content_of(sent).decode().splitlines()
    assert rows[0].startswith("iteration,loss,log_grad_norm_before") and len(rows) == 61 and text == ""
    sent, _ = download("nc", [run_id])
    with xr.open_dataset(io.BytesIO(content_of(sent))) as read:
        assert read.sizes["iteration"] == 60 and sent["filename"] == "gradlab-adding.nc"
    sent, _ = download("safetensors", [run_id])
    path = tmp_path / "run.safetensors"
    path.write_bytes(content_of(sent))
    assert train(checkpoint=path, resume=True).iteration == 60
    sent, _ = download("html", [run_id], "dark")
    assert b"plotly" in content_of(sent)


def test_two_runs_are_an_archive(pair):
    sent, _ = download("csv", pair)
    with zipfile.ZipFile(io.BytesIO(content_of(sent))) as archive:
        assert archive.namelist() == ["gradlab-adding-clipped-net.csv", "gradlab-adding-unclipped-net.csv"]
    assert sent["filename"] == "gradlab-adding-curves.zip"


def test_nothing_to_download():
    sent, text = download("csv", [])
    assert sent is no_update and "before a run has begun" in words(text)
