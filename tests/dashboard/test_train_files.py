"""Files of labelled sequences on page Train: which task they stand for, where the labels are, their names."""

import io
import re
import zipfile

import pytest

from dashboard import controls, form
from dashboard.pages.train import downloads as train_downloads
from dashboard.pages.train import examples as train_examples
from dashboard.pages.train import preview as train_preview
from dashboard.pages.train import steer as train_steer
from gradlab.data import column_names
from gradlab.data.uploads import find
from gradlab.errors import InputError

from ..tasks.made_sounds import make_sounds
from ..trained import SMALL, no_processes, page  # noqa: F401 - a fixture
from ..views import stored, upload, words

CLASSIFY = SMALL.replace(task="classification")
ROWS = "".join(f"up,{n},{n + 1}\ndown,{n},{n - 1}\n" for n in range(10))
KLASS = f"klass,x0,x1\n{ROWS}".encode()


def taken(content, config=SMALL, name="k.csv"):
    return train_steer.take_file(upload(content), name, page(config))


def test_the_only_column_of_words_holds_the_labels():
    found = taken(KLASS, CLASSIFY)
    assert found["values"]["task"] == "classification" and found["values"]["column"] == "klass"
    assert found["upload"] == "3 columns, labels from the column 'klass'"


@pytest.mark.parametrize(
    ("head", "column", "said"),
    [
        ("label,x0,x1", None, "labels from the column 'label'"),
        ("1,x0,x1", "1", "labels from the column '1'"),
        ("up,down,0", None, "choose the column of its labels at Column"),
    ],
)
def test_where_the_labels_are(head, column, said):
    body = ROWS if not head.startswith("up") else "up,down,1\ndown,up,2\n" * 5
    found = taken(f"{head}\n{body}".encode(), CLASSIFY)
    assert (found["values"]["column"], found["upload"]) == (column, f"3 columns, {said}")


def test_a_column_called_label_suggests_its_task_unless_a_file_s_task_is_chosen():
    content = KLASS.replace(b"klass", b"label")
    found = taken(content)
    assert found["values"]["task"] == "classification"
    assert found["upload"].endswith("; to predict its numbers instead, set Task to Forecast a file")
    assert taken(content, SMALL.replace(task="forecast"))["values"]["task"] == "forecast"
    assert taken(KLASS)["values"]["task"] == "forecast"


def test_sequences_of_several_lengths_can_be_dropped():
    found = taken(b"label,x0,x1\n" + b"up,1,\ndown,4,5\n" * 5, CLASSIFY)
    assert found["values"]["input"].endswith("-k.csv") and "labels from" in found["upload"]


def test_a_wide_table_is_not_read_once_per_column(monkeypatch):
    calls = []
    monkeypatch.setattr(train_steer, "column_names", lambda *a, **k: calls.append(a) or column_names(*a, **k))
    head = ",".join(["label", *(f"x{n}" for n in range(50))])
    taken((f"{head}\n" + f"up{',1' * 50}\n" * 5).encode(), CLASSIFY)
    assert len(calls) < 5


def test_the_menu_offers_every_column_to_classify():
    key = stored("k.csv", KLASS)
    assert train_steer.column_menu(key, "classification") == (["klass", "x0", "x1"], "label")
    assert train_steer.column_menu(key, "forecast") == (["x0", "x1"], controls.ALL_COLUMNS)
    assert train_steer.column_menu(None, "adding") == ([], controls.ALL_COLUMNS)


def test_messages_name_the_file_and_its_columns_as_they_are_and_say_where_to_choose():
    path = str(find(stored("k.csv", KLASS).partition("-")[0], "k.csv"))
    said = words(train_preview.content(CLASSIFY.replace(input=path), "light"))
    assert said == (
        "k.csv: unknown column 'label'. Valid: klass, x0, x1. Choose the column of the labels at Column, under More."
    )


@pytest.mark.parametrize(
    "config, field, told",
    [(CLASSIFY, "column", True), (CLASSIFY, "input", False), (CLASSIFY, None, False), (SMALL, "column", False)],
)
@pytest.mark.parametrize("text", ["k.csv: unknown column 'label'", "no such heading"])
def test_where_to_choose_the_labels_is_told_where_the_error_is_about_the_column(monkeypatch, config, field, told, text):
    def fail(config):
        raise InputError(text, field)

    monkeypatch.setattr(train_preview, "build_task", fail)
    said = words(train_preview.content(config, "light"))
    assert said == text + (". Choose the column of the labels at Column, under More." if told else "")


def test_a_run_is_called_by_its_file():
    path = str(find(stored("k.csv", KLASS).partition("-")[0], "k.csv"))
    assert train_examples.title(CLASSIFY.replace(input=path)) == "Classify k.csv, tanh RNN"
    assert train_examples.title(SMALL.replace(input=path)) == "Forecast k.csv, 12 steps, tanh RNN"


def test_downloads_are_named_by_the_file():
    path = str(find(stored("k.csv", KLASS).partition("-")[0], "k.csv"))
    assert train_downloads.called(CLASSIFY.replace(input=path)) == "k" and train_downloads.called(SMALL) == "adding"


def test_the_answer_is_the_class_as_the_file_spells_it():
    path = str(find(stored("k.csv", KLASS).partition("-")[0], "k.csv"))
    said = words(train_preview.content(CLASSIFY.replace(input=path, column="klass"), "light"))
    assert re.search("The answer here: (up|down)[.]", said)


# files that one task alone reads

TAGGED = "".join(f"the DET\n{word} NOUN\n{act} VERB\n\n" for word in ("dog", "cat") for act in ("runs", "sees", "runs"))
REVIEWS = "good\tvery fine\nbad\tnot fine\n" * 4


@pytest.mark.parametrize(
    ("task", "name", "content", "said", "title"),
    [
        ("tagging", "a.conll", TAGGED, "Read a.conll as 6 sentences of 18 words with 3 tags", "Tag a.conll, tanh RNN"),
        ("sentiment", "b.csv", REVIEWS, "Read b.csv as 8 texts of 16 words with 2 labels", "Label b.csv, tanh RNN"),
    ],
)
def test_a_file_of_a_task_s_own_kind(task, name, content, said, title):
    found = taken(content.encode(), SMALL.replace(task=task), name)
    assert found["upload"] == said and found["values"]["task"] == task
    path = str(find(found["values"]["input"].partition("-")[0], name))
    config = SMALL.replace(task=task, input=path)
    assert train_examples.title(config) == title
    shown = words(train_preview.content(config, "light"))
    assert "The answer here: " in shown or "An answer is wanted at every step: DET NOUN VERB." in shown
    assert "the " in shown or "fine" in shown


def test_packed_sounds_are_dropped(tmp_path):
    folder = make_sounds(tmp_path / "sounds", 3)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path))
    found = taken(packed.getvalue(), SMALL.replace(task="sounds"), "sounds.zip")
    assert found["upload"].startswith("Read sounds.zip as 9 sounds of ") and found["values"]["task"] == "sounds"


def test_a_file_that_the_task_cannot_read_says_so():
    found = taken(b"one\ntwo\n", SMALL.replace(task="tagging"), "a.txt")
    assert list(found) == ["upload"] and "a.txt: line 1: expected a word and its tag" in words(found["upload"])


def test_a_net_that_cannot_learn_the_task_is_told_beside_the_sample():
    shown = words(train_preview.content(SMALL.replace(architecture="tree"), "light"))
    assert "Network: Adding has no trees; choose the task arithmetic_trees" in shown
    shown = words(train_preview.content(SMALL.replace(task="copy_attention"), "light"))
    assert "A second net is to say: " in shown and "Network" not in shown
    shown = words(train_preview.content(SMALL.replace(task="arithmetic_trees"), "light"))
    assert re.search(r"The answer here: -?\d+[.] The loss to beat is 1 [(]always the mean[)]", shown)


def test_nets_are_called_by_what_they_are():
    called = {
        "transformer": {"architecture": "transformer", "heads": 2},
        "LSTM over trees": {"architecture": "tree", "cell": "lstm"},
        "bidirectional LSTM with attention": {"bidirectional": True, "cell": "lstm", "attention": "dot"},
    }
    configs = [SMALL.replace(**fields) for fields in called.values()]
    assert train_examples.labels(configs) == [*map(train_examples.net_label, configs)] == [*called]


def test_a_transformer_has_no_cells_to_compare():
    def button(config):
        return train_steer.look(train_steer.Request(form.raw(config), [], "light", False, ""))["props"]["train-cells"][
            "className"
        ]

    assert button(SMALL) == "offer"
    assert button(SMALL.replace(architecture="transformer", heads=2)) == "offer hidden"
