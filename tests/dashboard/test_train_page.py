"""Page Train without a browser: its form, address, controls, files and buttons."""

import json
import re
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from dash import no_update

from dashboard import controls, form, ids
from dashboard.pages.train import address as train_address
from dashboard.pages.train import examples as train_examples
from dashboard.pages.train import preview as train_preview
from dashboard.pages.train import steer as train_steer
from dashboard.pages.train.examples import EXAMPLES, STARTS
from gradlab import InputError
from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_command, to_python, to_query
from gradlab.config.train import TrainConfig
from gradlab.training.jobs import TRAINING, require_drawable
from gradlab.training.worker import OUTCOME

from ..trained import LOOK, PAIR, SMALL, kept, kept_pair, no_processes, page  # noqa: F401 - two are fixtures
from ..views import parts, stored, upload, walk, words


def request(config=SMALL, runs=(), search=""):
    return train_steer.Request(form.raw(config), list(runs), search=search, **LOOK)


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
        for start in STARTS.values():
            for config in start.configs(example.config):
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
    assert train_examples.labels([SMALL.replace(cell="minimal_rnn")]) == ["MinimalRNN"]
    assert train_examples.title(SMALL) == "Adding, 12 steps, tanh RNN"


def test_no_two_runs_share_a_name():
    norm, value = PAIR[0], PAIR[0].replace(clip="value")
    assert train_examples.labels([norm, value]) == ["net with clip norm", "net with clip value"]
    assert train_examples.labels([SMALL, SMALL]) == ["tanh RNN 1", "tanh RNN 2"]
    assert train_steer.python([norm, value]).count("gradlab.train(") == 2
    assert train_steer.python([SMALL, SMALL]).count("gradlab.train(") == 2


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


def test_python_and_command_repeat_all_runs_that_are_shown(pair, monkeypatch):
    copies = train_steer.settle(request(PAIR[1], pair), [])["copies"]
    assert copies["train-copy-command"].splitlines() == [to_command(config) for config in PAIR]
    shown = []
    monkeypatch.setattr("plotly.graph_objects.Figure.show", lambda fig: shown.append(fig))
    exec(copies["train-copy-python"], {})
    assert len(shown) == 2 and {"clipped net, training", "unclipped net, training"} <= {t.name for t in shown[0].data}
    other = train_steer.settle(request(SMALL.replace(gain=2.0), pair), [])["copies"]
    assert other["train-copy-command"] == to_command(SMALL.replace(gain=2.0)), "a set-up that was changed"


# what the controls say


def test_looks_of_the_controls(pair):
    shown = train_steer.look(request(PAIR[1].replace(seed=5), pair))
    assert "changed" in shown["props"]["field-train-seed"]["className"]
    assert "changed" not in shown["props"]["field-train-clip"]["className"], "as in the run that is nearest"
    assert "hidden" in shown["props"]["field-train-forget_bias"]["className"]
    assert shown["look"] == LOOK and ids.TRAIN.preview not in shown["props"]


def test_a_wrong_value_stands_beside_its_control_and_opens_more():
    wrong = replace(request(), raw=form.raw(SMALL) | {"momentum": 2, "optimizer": "sgd"})
    shown = train_steer.look(wrong)["props"]
    assert "at most 0.999" in shown["control-train-momentum"]["error"]
    assert shown[ids.TRAIN.more] == {"open": True}
    assert set(train_steer.settle(wrong, [])) == {"address", "copies"}
    assert set(train_steer.settle(wrong, []).values()) == {no_update}


def test_examples_are_told():
    example = EXAMPLES["order"]
    assert words(train_steer.look(request(example.config))["props"][ids.TRAIN.example]["children"]) == example.text
    assert train_steer.look(request())["props"][ids.TRAIN.example] == {"children": ""}


def test_the_address_is_written_where_it_says_something_else(pair):
    rest = [["pin", "gain=3"]]
    settled = train_steer.settle(request(runs=pair), rest)
    assert settled["address"].endswith(f"&run={pair[0]}&run={pair[1]}&pin=gain%3D3")
    assert settled["copies"]["train-copy-link"] == settled["address"]
    assert train_steer.settle(request(runs=pair, search=settled["address"]), rest)["address"] is no_update


# before anything is trained


def sample(**fields):
    return train_preview.content(SMALL.replace(**{"steps": 24} | fields), "light")


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("adding", {"number", "mark"}),
        ("adding_hs97", {"number", "mark"}),
        ("delayed_xor", {"bit", "mark"}),
        ("parity", {"bit"}),
        ("sine", {"value"}),
        ("mackey_glass", {"value"}),
    ],
)
def test_a_sample_of_the_task_is_shown(task, names):
    shown = sample(task=task)
    (figure,) = parts(shown, "Graph")
    assert {trace.name for trace in figure.figure.data if trace.mode == "lines"} == names
    assert "The loss to beat is" in words(shown)


def test_a_sample_is_shown_up_to_its_own_end():
    lengths = set()
    for seed in range(4):
        (figure,) = parts(sample(task="adding_hs97", steps=60, seed=seed), "Graph")
        marks = figure.figure.data[1].y
        assert marks[-1] == -1
        lengths.add(len(marks))
    assert len(lengths) > 1 and max(lengths) <= 66


@pytest.mark.parametrize("task", ["temporal_order", "copy_memory"])
def test_symbols_are_shown_as_symbols(task):
    shown = sample(task=task)
    assert not parts(shown, "Graph")
    (line,) = [part for part in walk(shown) if getattr(part, "className", "") == "symbols"]
    told = [part.children for part in line.children]
    if task == "copy_memory":
        assert "blank × 23" in told and "mark" in told and told[-1] == "blank × 10"
    else:
        assert re.search("The answer here: " + " then ".join(part.children for part in parts(line, "B")), words(shown))


def test_symbols_in_a_row_are_counted():
    told = train_preview.symbols(["c", "c", "A", "blank", "blank", "blank"])
    assert [part.children for part in told] == ["c", "c", "A", "blank × 3"]
    assert [type(part).__name__ for part in told] == ["Span", "Span", "B", "Span"]


def test_texts_are_shown_as_text_and_unfit_files_are_told(tmp_path):
    key = stored("verse.txt", b"to be or not to be, that is the question " * 40)
    config = form.read(form.raw(SMALL) | {"input": key}, TrainConfig).config
    assert any(type(part).__name__ == "Pre" for part in walk(train_preview.content(config, "light")))
    assert "too few for windows" in words(train_preview.content(config.replace(steps=400), "light"))


# files


def test_a_dropped_file_is_what_is_learnt():
    taken = train_steer.take_file(upload(b"a,b\n" + b"1,2\n3,5\n" * 20), "two.csv", page())
    assert taken["values"]["input"].endswith("-two.csv") and taken["values"]["column"] is None
    assert taken["values"]["task"] == "forecast"
    labelled = train_steer.take_file(
        upload(b"a,label\n" + b"1,x\n3,y\n" * 20), "c.csv", page(SMALL.replace(task="classification"))
    )
    assert labelled["values"]["task"] == "classification"
    assert [entry["label"] for entry in taken["files"]] == ["two.csv"] and taken["upload"].endswith(
        "40 rows of 'a', 'b'"
    )
    bad = train_steer.take_file(upload(b""), "empty.csv", page())
    assert list(bad) == ["upload"] and "the file is empty" in words(bad["upload"])


# buttons


def test_one_click_starts_two_runs():
    pressed = train_steer.press(ids.TRAIN.clips, form.raw(SMALL), [])
    assert [TRAINING.config(run_id).clip for run_id in pressed["runs"]] == ["norm", "off"]


@pytest.mark.parametrize(
    "raw, text",
    [
        ({"steps": ""}, "Set right Steps first: expected a value"),
        ({"task": "forecast"}, "File: the task forecast learns from a file"),
        ({"iterations": 100_000}, "Snapshot every: this run would keep 10,000 snapshots"),
        ({"hidden_size": 1024, "batch_size": 1024, "steps": 20_000}, "the app allows 6 GB"),
        ({"steps": 999_999}, "Set right Steps first: at most 20,000 in the app, got 999,999"),
    ],
)
def test_what_cannot_be_trained_is_told_and_leaves_the_page(raw, text):
    pressed = train_steer.press(ids.TRAIN.one, form.raw(SMALL) | raw, ["0000aaaa"])
    assert text in words(pressed["failure"]) and set(pressed) == {"failure"}
    assert TRAINING.recent() == []


@pytest.mark.parametrize(
    "field, text, said",
    [
        ("input", "input: name a file", "File: name a file"),
        ("input", "name a file", "File: name a file"),
        ("snapshot_every", "input: is not what is wrong", "Snapshot every: input: is not what is wrong"),
        ("path", "input: name a file", "input: name a file"),
        (None, "input: name a file", "input: name a file"),
    ],
)
def test_an_error_has_the_label_of_the_control_that_it_is_about(monkeypatch, field, text, said):
    def fail(config):
        raise InputError(text, field)

    monkeypatch.setattr(TRAINING, "start", fail)
    assert words(train_steer.press(ids.TRAIN.one, form.raw(SMALL), [])["failure"]) == said


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
    assert "4 runs are under way" in words(train_steer.press(ids.TRAIN.cells, form.raw(SMALL), [])["failure"])
    assert stopped == started


def test_buttons_act_on_all_runs_of_the_page(pair):
    for run_id in pair:
        (TRAINING.folder(run_id) / OUTCOME).write_text('{"status": "cancelled"}')
    assert [TRAINING.state(run_id).status for run_id in pair] == ["paused"] * 2
    pressed = train_steer.press(ids.TRAIN.stop, form.raw(SMALL), pair)
    assert set(pressed) == {"failure", "poke"} and pressed["failure"] == ""
    assert [TRAINING.state(run_id).status for run_id in pair] == ["stopped"] * 2
