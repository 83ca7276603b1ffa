"""Page Train without a browser: its form, address, words, figures, buttons and files."""

import base64
import io
import json
import re
import zipfile
from urllib.parse import parse_qsl

import numpy as np
import pytest
import xarray as xr

from dashboard import controls, form, ids, jobs, training_jobs
from dashboard.pages import (
    train_address,
    train_card,
    train_examples,
    train_files,
    train_flow,
    train_preview,
    train_steer,
    train_view,
    train_words,
)
from dashboard.pages.train_examples import EXAMPLES, OFFERS
from dashboard.training_jobs import TRAINING, RunState, TrainingJobs, require_drawable
from dashboard.training_worker import CHECKPOINT, CONFIG, OUTCOME
from gradlab import InputError, train
from gradlab.config import RunConfig
from gradlab.config.train import TrainConfig
from gradlab.filecache import store
from gradlab.links import from_query, to_command, to_python, to_query

from .plotting import words_of
from .test_app import upload, walk, words

LOOK = {"theme": "light", "narrow": False}
SMALL = TrainConfig(
    task="adding", steps=12, hidden_size=6, batch_size=4, iterations=60, snapshot_every=10, evaluate_every=20
)
PAIR = [SMALL.replace(clip="norm", clip_threshold=0.5), SMALL]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(train_card, "JOBS", jobs.Jobs())
    monkeypatch.setattr(TrainingJobs, "_launch", lambda self, run_id: None)  # no process in these tests
    TRAINING._records.clear()


def kept(config=SMALL, run_id="0000aaaa", outcome="done", iterations=None):
    """A run in its folder, trained here."""
    folder = TRAINING.folder(run_id)
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(config.model_dump_json())
    if iterations != 0:
        train(config.replace(iterations=iterations or config.iterations), checkpoint=folder / CHECKPOINT)
    (folder / OUTCOME).write_text(json.dumps({"status": outcome}))
    return run_id


@pytest.fixture
def pair():
    return [kept(config, f"0000000{n}") for n, config in enumerate(PAIR)]


def page(config=SMALL, runs=()):
    return train_steer.Page(form.raw(config), list(runs), [])


def request(config=SMALL, runs=(), search=""):
    return {"raw": form.raw(config), "runs": list(runs), "search": search, "first": False, **LOOK}


def answer(trigger, run_ids, shown=None, back=0, layer=0):
    return train_view.answer(trigger, run_ids, LOOK, layer, back, shown)


def changed(shown):
    return {name for name, value in shown.items() if value is not train_view.no_update}


# the form


@pytest.mark.parametrize("config", [TrainConfig(), *(example.config for example in EXAMPLES.values())], ids=str)
def test_every_set_up_survives_the_form(config):
    assert form.read(json.loads(json.dumps(form.raw(config))), TrainConfig) == form.Form(config)


def test_every_field_has_a_control_of_its_own_id():
    blocks = [*controls.basic(TrainConfig), *controls.more(TrainConfig)]
    found = {part.id for part in walk(blocks) if isinstance(getattr(part, "id", None), str)}
    assert {ids.control(f"train-{key}") for key in form.properties(TrainConfig)} <= found
    assert not found & {ids.control(key) for key in form.properties()}
    assert form.kind("residual", TrainConfig) == "switch" and form.properties(TrainConfig)["residual"] == "checked"
    assert form.kind("clip_threshold", TrainConfig) == form.kind("learning_rate", TrainConfig) == "text"


def test_numbers_that_are_typed_and_fields_left_empty():
    raw = form.raw(SMALL) | {"learning_rate": "3e-3", "clip": "norm", "clip_threshold": "", "residual": True}
    assert form.read(raw, TrainConfig).config == SMALL.replace(learning_rate=3e-3, clip="norm", residual=True)
    errors = form.read(form.raw(SMALL) | {"learning_rate": "fast", "steps": ""}, TrainConfig).errors
    assert errors == {
        "learning_rate": "expected a number, got 'fast'",
        "steps": "expected a value, got an empty field",
    }


def test_examples_can_be_trained_and_drawn():
    for example in EXAMPLES.values():
        for offer in OFFERS.values():
            for config in offer.configs(example.config):
                require_drawable(config)


def test_offers_differ_in_one_thing():
    tanh, lstm = train_examples.cells(SMALL)
    assert (tanh.cell, lstm.cell) == ("elman", "lstm") and tanh.replace(cell="lstm") == lstm
    clipped, plain = train_examples.clips(SMALL)
    assert (clipped.clip, clipped.clip_threshold, plain.clip) == ("norm", 1.0, "off")
    agc = SMALL.replace(clip="agc")
    assert train_examples.clips(agc) == [agc, SMALL]
    assert train_examples.one(SMALL) == [SMALL]


def test_runs_are_named_by_what_sets_them_apart():
    assert train_examples.labels(train_examples.cells(SMALL)) == ["tanh RNN", "LSTM"]
    assert train_examples.labels(train_examples.clips(SMALL)) == ["clipped net", "unclipped net"]
    assert train_examples.labels([SMALL, SMALL.replace(seed=3)]) == ["net with seed 0", "net with seed 3"]
    assert train_examples.labels([SMALL.replace(cell="minimal_rnn")]) == ["MINIMAL RNN"]
    assert train_examples.title(SMALL) == "Adding, 12 steps, tanh RNN"


# address


def test_the_address_holds_set_up_and_runs(pair):
    here = train_address.Address(SMALL.replace(cell="gru"), tuple(pair))
    assert dict(parse_qsl(here.query[1:]))["cell"] == "gru"
    assert train_address.read(here.query) == here
    assert train_address.read(f"?run={pair[0]}").config == PAIR[0]


def test_an_empty_address_is_the_first_example_and_v_1_the_defaults():
    assert train_address.read("").config == train_examples.FIRST
    assert train_address.read("?v=1").config == TrainConfig()


def test_a_link_from_another_page_brings_what_both_have_and_keeps_the_rest():
    explored = to_query(RunConfig(cell="lstm", gain=2.0, loss="every", input="sine"), [RunConfig(gain=3.0)])
    link = train_address.read(f"?{explored}")
    assert (link.config, link.notices) == (TrainConfig(cell="lstm", gain=2.0), ())
    back = from_query(link.query)
    assert back.config == RunConfig(cell="lstm", gain=2.0, loss="every") and back.notices == []
    assert back.pins == [RunConfig(gain=3.0)]


def test_what_an_address_asks_in_vain_is_told():
    link = train_address.read("?v=1&run=0123abcd&run=../x&gian=2&clip_threshold=0.5x&file=a.csv&sha=0123456789ab")
    assert link.runs == () and dict(link.missing) == {"input": "a.csv"}
    text = " ".join(link.notices)
    assert "The run of this link is not kept" in text and "Did you mean 'gain'?" in text and "clip_threshold" in text
    shown = train_steer.follow_link(link.query, page())
    assert shown["values"] == form.raw(link.config)
    missing = words(train_steer.follow_link("?file=a.csv&sha=0123456789ab", page())["notices"])
    assert "This link uses a.csv. Drop it at File, under More." in missing


def test_python_and_command_repeat_the_run(tmp_path, monkeypatch):
    config = SMALL.replace(layers=2, residual=True, clip="norm")
    assert "--layers 2 --residual" in to_command(config) and to_command(config).startswith("gradlab train ")
    script = to_python(config)
    shown = []
    monkeypatch.setattr("plotly.graph_objects.Figure.show", lambda fig: shown.append(fig))
    exec(script, {})
    assert len(shown) == 2


# what the controls say


def test_looks_of_the_controls(pair):
    shown = train_steer.look(request(PAIR[1].replace(seed=5), pair))
    assert "changed" in shown["props"]["field-train-seed"]["className"]
    assert "changed" not in shown["props"]["field-train-clip"]["className"], "as in the run that is nearest"
    assert "hidden" in shown["props"]["field-train-forget_bias"]["className"]
    assert shown["look"] == LOOK and ids.TRAIN_PREVIEW not in shown["props"]


def test_a_wrong_value_stands_beside_its_control_and_opens_more():
    wrong = request() | {"raw": form.raw(SMALL) | {"momentum": 2, "optimizer": "sgd"}}
    shown = train_steer.look(wrong)["props"]
    assert "at most 0.999" in shown["control-train-momentum"]["error"]
    assert shown[ids.TRAIN_MORE] == {"open": True}
    assert set(train_steer.settle(wrong, [])) == {"address", "copies"}
    assert set(train_steer.settle(wrong, []).values()) == {train_steer.no_update}


def test_examples_are_told_and_set():
    example = EXAMPLES["order"]
    assert words(train_steer.look(request(example.config))["props"][ids.TRAIN_EXAMPLE]["children"]) == example.text
    assert train_steer.look(request())["props"][ids.TRAIN_EXAMPLE] == {"children": ""}
    chosen = train_steer.choose_example("order", page(runs=["0000aaaa"]))
    assert chosen["values"] == form.raw(example.config) and chosen["runs"] == []


def test_the_address_is_written_where_it_says_something_else(pair):
    rest = [["pin", "gain=3"]]
    settled = train_steer.settle(request(runs=pair), rest)
    assert settled["address"].endswith(f"&run={pair[0]}&run={pair[1]}&pin=gain%3D3")
    assert settled["copies"]["train-copy-link"] == settled["address"]
    assert train_steer.settle(request(runs=pair, search=settled["address"]), rest)["address"] is train_steer.no_update


# before anything is trained


@pytest.mark.parametrize(
    "task", ["adding", "adding_hs97", "copy_memory", "temporal_order", "parity", "sine", "mackey_glass"]
)
def test_a_sample_of_the_task_is_shown(task):
    parts = train_preview.content(SMALL.replace(task=task, steps=24), "light")
    figures = [part for part in walk(parts) if getattr(part, "role", None) == "img"]
    assert len(figures) == 1 and "Without memory the loss is" in words(parts)


def test_texts_are_shown_as_text_and_unfit_files_are_told(tmp_path):
    key = stored("verse.txt", b"to be or not to be, that is the question " * 40)
    config = form.read(form.raw(SMALL) | {"input": key}, TrainConfig).config
    assert any(type(part).__name__ == "Pre" for part in walk(train_preview.content(config, "light")))
    assert "too few for windows" in words(train_preview.content(config.replace(steps=400), "light"))


def stored(name, content):
    return f"{store(name, content)}-{name}"


# files


def test_a_dropped_file_is_what_is_learnt():
    taken = train_steer.take_file(upload(b"a,b\n" + b"1,2\n3,5\n" * 20), "two.csv", page())
    assert taken["values"]["input"].endswith("-two.csv") and taken["values"]["column"] is None
    assert taken["values"]["task"] == "forecast"
    labelled = train_steer.take_file(
        upload(b"a,label\n" + b"1,x\n3,y\n" * 20), "c.csv", page(SMALL.replace(task="classification"))
    )
    assert labelled["values"]["task"] == "classification"
    assert [entry["label"] for entry in taken["files"]] == ["two.csv"] and taken["upload"] == "40 steps, 2 features"
    bad = train_steer.take_file(upload(b""), "empty.csv", page())
    assert list(bad) == ["upload"] and "the file is empty" in words(bad["upload"])


# buttons


def test_one_click_starts_two_runs():
    pressed = train_steer.press("train-clips", form.raw(SMALL), [])
    assert [TRAINING.config(run_id).clip for run_id in pressed["runs"]] == ["norm", "off"]


@pytest.mark.parametrize(
    "raw, text",
    [
        ({"steps": ""}, "Set right Steps first: expected a value"),
        ({"task": "forecast"}, "File: the task forecast learns from a file"),
        ({"iterations": 100_000}, "Snapshot every: this run would keep 10,000 snapshots"),
        ({"hidden_size": 1024, "batch_size": 1024, "steps": 20_000}, "the app allows 6 GB"),
    ],
)
def test_what_cannot_be_trained_is_told_and_leaves_the_page(raw, text):
    pressed = train_steer.press("train-one", form.raw(SMALL) | raw, ["0000aaaa"])
    assert text in words(pressed["failure"]) and pressed["runs"] is train_steer.no_update
    assert TRAINING.recent() == []


def test_where_the_second_cannot_start_the_first_does_not_go_on(monkeypatch):
    started = []

    def start(config):
        if started:
            raise InputError("4 runs are under way")
        started.append("0000aaaa")
        return started[0]

    stopped = []
    monkeypatch.setattr(TRAINING, "start", start)
    monkeypatch.setattr(TRAINING, "stop", stopped.append)
    assert "4 runs are under way" in words(train_steer.press("train-cells", form.raw(SMALL), [])["failure"])
    assert stopped == started


def test_buttons_act_on_all_runs_of_the_page(pair):
    for run_id in pair:
        (TRAINING.folder(run_id) / OUTCOME).write_text('{"status": "cancelled"}')
    assert [TRAINING.state(run_id).status for run_id in pair] == ["paused"] * 2
    pressed = train_steer.press(ids.TRAIN_STOP, form.raw(SMALL), pair)
    assert pressed["poke"] is not train_steer.no_update
    assert [TRAINING.state(run_id).status for run_id in pair] == ["stopped"] * 2


# what is shown


def test_without_runs_the_page_is_ready():
    shown = answer(ids.TRAIN_RUNS, [])
    assert shown["verdict"] == train_view.READY and shown["stage"] == "stage ready"
    assert shown["shown"]["more"] is False
    assert train_view.answer(ids.TRAIN_RUNS, [], None, 0, 0, None)["verdict"] is train_view.no_update


def test_a_run_is_shown_whole(pair):
    shown = answer(ids.TRAIN_RUNS, pair)
    assert shown["stage"] == "stage seen" and shown["share"] == "1.0"
    assert words(shown["details"]) == (
        "Adding, 12 steps. clipped net: 60 iterations done. unclipped net: 60 iterations done."
    )
    assert "clipped net" in shown["label"] and shown["figure"].data and shown["flow"].data
    assert (shown["back"], shown["most"], shown["when"]) == (5, 5, "at iteration 50, the latest")
    assert words(shown["flow_verdict"]).startswith("clipped net: gradient ")
    body = [words(part) for part in walk(shown["flow_table"]) if type(part).__name__ == "Tr"]
    assert body[0] == "steps backclipped netunclipped net" and len(body) == 6 and body[1].startswith("011")
    assert "Temporal" not in words(shown["recent"]) and words(shown["recent"]).count("done") == 2
    assert [type(part).__name__ for part in walk(shown["table"])].count("Tr") == 3


def test_a_tick_that_finds_nothing_new_changes_nothing_but_says_when_to_ask_again(pair):
    first = answer(ids.TRAIN_RUNS, pair)
    again = answer(ids.TRAIN_TICK, pair, json.loads(json.dumps(first["shown"])), back=5)
    assert changed(again) == {"shown"} and again["shown"]["stamp"] == first["shown"]["stamp"]
    assert changed(answer(ids.TRAIN_LOOK, pair, first["shown"], back=5)) > {"figure", "flow", "verdict"}


def test_the_slider_leads_back_and_stays_there(pair):
    first = answer(ids.TRAIN_RUNS, pair)
    moved = answer(ids.TRAIN_BACK, pair, first["shown"], back=2)
    assert changed(moved) == {"flow", "flow_style", "flow_label", "flow_table", "flow_verdict", "when", "shown"}
    assert moved["when"] == "at iteration 20"
    redrawn = answer(ids.TRAIN_LOOK, pair, moved["shown"], back=2)
    assert redrawn["when"] == "at iteration 20" and redrawn["back"] is train_view.no_update
    other = answer(ids.TRAIN_RUNS, pair[:1], moved["shown"], back=2)
    assert other["back"] == 5, "other runs are shown from their latest"


@pytest.mark.parametrize("back, before, expected", [(0, -1, 9), (9, 9, 9), (7, 7, 9), (3, 7, 3), (12, 20, 9)])
def test_the_moment_that_is_shown(monkeypatch, back, before, expected):
    monkeypatch.setattr(train_flow, "last_snapshot", lambda runs: 9)
    assert train_view.moment([], back, before) == expected


def test_a_run_that_is_behind_says_at_which_iteration_it_is_shown():
    ahead = kept(SMALL, "00000001")
    behind = kept(SMALL.replace(cell="lstm"), "00000002", "cancelled", iterations=25)
    shown = answer(ids.TRAIN_RUNS, [ahead, behind])
    assert "LSTM at iteration 20: gradient" in words(shown["flow_verdict"])
    assert "LSTM: 25 of 60 iterations, paused" in words(shown["details"])
    assert shown["stage"] == "stage resumable seen"


def test_layers_can_be_chosen_and_a_loss_at_every_step_is_no_verdict():
    run_id = kept(SMALL.replace(layers=2, task="parity"))
    shown = answer(ids.TRAIN_RUNS, [run_id], layer=1)
    assert [entry["label"] for entry in shown["layers"]] == ["Layer 1", "Layer 2"]
    assert shown["layer_class"] == "layers" and "layer 2" in words_of(shown["figure"])
    assert "says nothing about distance" in words(shown["flow_verdict"])


def test_what_went_wrong_is_told():
    run_id = kept(outcome="failed", iterations=30)
    (TRAINING.folder(run_id) / OUTCOME).write_text('{"status": "failed", "error": "cannot write: disk full."}')
    text = words(answer(ids.TRAIN_RUNS, [run_id])["trouble"])
    assert text == "tanh RNN: cannot write: disk full. It was last saved at iteration 30. Resume goes on from there."
    (TRAINING.folder(run_id) / CHECKPOINT).write_bytes(b"torn")
    broken = answer(ids.TRAIN_POKE, [run_id])
    assert "not a whole checkpoint" in words(broken["trouble"]) and broken["shown"]["more"] is False


def test_a_run_that_has_recorded_nothing():
    run_id = kept(outcome="failed", iterations=0)
    shown = answer(ids.TRAIN_RUNS, [run_id])
    assert shown["verdict"] == "Nothing was recorded" and shown["figure"] is train_view.no_update
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


def told(losses, status="done", score=1.0, skipped=0.0, name="net"):
    """A run with these numbers."""
    run_id = f"{len(TRAINING.recent()):08x}"
    (run,) = train_words.look_up([kept(SMALL, run_id)])
    ds = run.record.ds.copy()
    ds["loss"] = ds.loss.copy(data=np.full(60, losses))
    ds["skipped"] = ds.skipped.copy(data=np.full(60, skipped))
    ds["held_out_score"] = ds.held_out_score.copy(data=np.full(3, score))
    record = training_jobs.Record(run.record.run, ds, 0.0)
    return train_words.Shown(run_id, SMALL, RunState(status), name, record)


@pytest.mark.parametrize(
    "run, text",
    [
        ({"losses": 0.01, "score": 0.01}, "✓The net has solved the task: loss 0.01, without memory 0.17."),
        ({"losses": 0.05, "status": "running"}, "✓The net is learning: loss 0.05"),
        ({"losses": 0.16, "status": "running"}, "○The net has learnt nothing yet: loss 0.16"),
        ({"losses": 0.16}, "○The net has learnt nothing: loss 0.16"),
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
    shown = train_card.content(train_words.look_up(pair))
    assert re.match(r"Measured here: loss \S+ with clipping at 0\.5, \S+ without\.", words(shown["advice"]))
    assert shown["card"] == "card" and shown["buttons"] == "hidden"
    assert train_card.advised(train_words.look_up(pair))[0] == pair[1], "norms of a run without clipping tell most"


def test_a_suggestion_can_be_tried_and_used(monkeypatch):
    run_id = kept()
    monkeypatch.setattr("gradlab.training.advisor.HEAVY", 0.0)
    shown = train_card.content(train_words.look_up([run_id]))
    assert shown["buttons"] == "actions" and "90th percentile" in words(shown["advice"])
    threshold = re.search(r"At ([\d.]+),", words(shown["advice"]))[1]
    values = train_steer.use_threshold(page(runs=[run_id]))["values"]
    assert values == {"clip": "norm", "clip_threshold": threshold}
    assert train_card.check(1, [run_id]) == 1
    train_card.JOBS.get(train_card.key(run_id)).wait(20)
    assert "Over 60 iterations from the start the loss came to" in train_card.effect(run_id)
    assert not train_card.busy(run_id) and train_card.stamp(run_id) == ["done", 1.0]


def test_without_enough_norms_there_is_no_card():
    run_id = kept(SMALL.replace(iterations=15))
    assert train_card.content(train_words.look_up([run_id]))["card"] == "card hidden"
    assert train_card.content([])["card"] == "card hidden"
    assert train_steer.use_threshold(page()) == {}
    assert train_card.check(1, []) is train_card.no_update is train_card.check(None, [run_id])


# downloads


def content_of(sent):
    return base64.b64decode(sent["content"])


def test_one_run_is_one_file(tmp_path):
    run_id = kept()
    sent, text = train_files.download("csv", [run_id], "light")
    rows = content_of(sent).decode().splitlines()
    assert rows[0].startswith("iteration,loss,log_grad_norm_before") and len(rows) == 61 and text == ""
    sent, _ = train_files.download("nc", [run_id], "light")
    with xr.open_dataset(io.BytesIO(content_of(sent))) as read:
        assert read.sizes["iteration"] == 60 and sent["filename"] == "gradlab-adding.nc"
    sent, _ = train_files.download("safetensors", [run_id], "light")
    path = tmp_path / "run.safetensors"
    path.write_bytes(content_of(sent))
    assert train(checkpoint=path, resume=True).iteration == 60
    sent, _ = train_files.download("html", [run_id], "dark")
    assert b"plotly" in content_of(sent)


def test_two_runs_are_an_archive(pair):
    sent, _ = train_files.download("csv", pair, "light")
    with zipfile.ZipFile(io.BytesIO(content_of(sent))) as archive:
        assert archive.namelist() == ["gradlab-adding-clipped-net.csv", "gradlab-adding-unclipped-net.csv"]
    assert sent["filename"] == "gradlab-adding.zip"


def test_nothing_to_download():
    sent, text = train_files.download("csv", [], "light")
    assert sent is train_files.no_update and "before a run has begun" in words(text)
    assert set(train_files.formats()) <= set(train_files.LABELS)
