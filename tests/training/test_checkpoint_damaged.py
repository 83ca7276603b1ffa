"""Checkpoints that are damaged, of another version, of another file or machine: named, never trained on silently."""

import json
import re
import warnings

import numpy as np
import pytest
import xarray as xr
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from gradlab.errors import InputError
from gradlab.importers import load_weights
from gradlab.training import TrainingRecord, TrainingRun, checkpoint, dataset, snapshot_dataset, train

TINY = {"steps": 8, "hidden_size": 5, "batch_size": 4, "iterations": 6, "snapshot_every": 3, "evaluate_every": 4}
END = r"\. The file is damaged, or another version of gradlab wrote it; start afresh"


@pytest.fixture(name="path")
def saved(tmp_path):
    path = tmp_path / "run.safetensors"
    train(**TINY, clip="autoclip", checkpoint=path)
    return path


def facts_of(path):
    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["gradlab.training"])


def changed(path, facts=None, without=(), **arrays):
    """The checkpoint with other facts, a text for any, without some arrays and with others."""
    facts, kept = facts_of(path) if facts is None else facts, load_file(path)
    text = facts if isinstance(facts, str) else json.dumps(facts)
    kept = {name: a for name, a in kept.items() if name not in without}
    save_file(kept | {name.replace("__", "."): a for name, a in arrays.items()}, path, {"gradlab.training": text})


def refused(path, message):
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {message}{END}$"):
        train(checkpoint=path, resume=True)


@pytest.mark.parametrize("text", ["{", "5", '"a"', "[1]", "null"])
def test_metadata_that_are_no_facts(path, text):
    changed(path, text)
    refused(path, "its metadata cannot be used .*")


@pytest.mark.parametrize("name", ["config", "iteration", "status", "versions", "digest", "task"])
def test_facts_that_are_missing(path, name):
    changed(path, {fact: value for fact, value in facts_of(path).items() if fact != name})
    refused(path, f"it lacks {name}")


def test_facts_of_the_task_that_are_missing(path):
    changed(path, facts_of(path) | {"task": {"input_size": 2}})
    refused(path, "it lacks output_size")
    changed(path, facts_of(path) | {"task": []})
    refused(path, "its metadata cannot be used .*")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hiden_size": 5, "cell": "lstn"}, r"cell: unknown cell 'lstn'.*; hiden_size: unknown field 'hiden_size'"),
        (["cell"], "gradlab.config.train.TrainConfig"),
    ],
)
def test_a_configuration_that_cannot_be_used(path, config, message):
    changed(path, facts_of(path) | {"config": config})
    refused(path, rf"its metadata cannot be used \({message}.*\)")


@pytest.mark.parametrize(
    "name",
    [
        "params.0.W_hh",
        "optimizer.m.0.W_hh",
        "clipper.norms",
        "history.rows.omega",
        "history.scores",
        "history.rivals",
        "history.snapshots.iteration",
        "history.snapshots.0.gate_mean",
        "history.snapshots.0.valid_steps",
    ],
)
def test_an_array_that_is_missing(path, name):
    assert name in load_file(path), list(load_file(path))
    changed(path, without=[name])
    refused(path, f"it lacks {name}")
    if name.startswith("history."):
        with pytest.raises(InputError, match=f"it lacks {name}{END}$"):
            TrainingRecord.load(path)
    else:
        assert TrainingRecord.load(path).iteration == 6


def test_an_array_that_nobody_knows(path):
    changed(path, params__8__W_hh=np.zeros(3))
    refused(path, "it holds params.8.W_hh")


def test_an_array_of_another_name(path):
    changed(path, params__9__W_hh=np.zeros(3), without=["params.0.b_h"])
    refused(path, "it lacks params.0.b_h and it holds params.9.W_hh")


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("params.0.W_hh", (1, 5, 6), (1, 5, 5)),
        ("history.rows.loss", (5,), (6,)),
        ("history.scores", (2, 2), (2, 3)),
        ("history.rivals", (7, 3, 4), (2, 3, 4)),
        ("history.snapshots.0.gate_mean", (1, 1, 8), (3, 1, 8)),
    ],
)
def test_an_array_of_another_shape(path, name, shape, wanted):
    wanted = (len(load_file(path)["history.snapshots.iteration"]), *wanted[1:]) if "snapshots" in name else wanted
    changed(path, **{name.replace(".", "__"): np.zeros(shape)})
    refused(path, re.escape(f"{name} has shape {shape}, expected {wanted}"))


def test_a_number_of_iterations_that_is_not_that_of_the_rows(path):
    for iteration in (5, 7, 10**30):
        changed(path, facts_of(path) | {"iteration": iteration})
        refused(path, r"history.rows.\w+ has shape \(6,\), expected .*")


# whatever is wrong: one sentence, however it is read


def read_in_every_way(path):
    """The sentences with which a checkpoint is refused; what is not refused can be gone on with and looked at."""

    def look():
        record = TrainingRecord.load(path)
        return dataset(record), snapshot_dataset(record), record.outcome, record.untrained

    content, said = path.read_bytes(), []
    for read in (look, lambda: load_weights(path), lambda: train(checkpoint=path, resume=True, iterations=8)):
        path.write_bytes(content)
        try:
            read()
        except InputError as error:
            said.append(str(error))
            assert len(str(error)) < 2500
    path.write_bytes(content)
    return said


WRONG = (10**30, -1, 0, 1.5, "6", None, [], {}, True, float("nan"), "x" * 100_000, [[[1] * 9] * 9] * 99)


@pytest.mark.filterwarnings("ignore:.*was trained with")
@pytest.mark.parametrize("name", ["iteration", "status", "versions", "digest", "task"])
def test_facts_of_another_kind(path, name):
    facts, fine = facts_of(path), {"digest": (None,), "versions": ({},)}
    for value in WRONG:
        changed(path, facts | {name: value})
        assert value in fine.get(name, ()) or (name, value) == ("digest", "6") or read_in_every_way(path)
    fit = {"iteration": 6, "status": "done", "versions": {"a": "b"}}
    for value in WRONG if name in ("versions", "task") else ():
        changed(path, facts | {name: facts[name] | {next(iter(facts[name])): value} | {"more": fit}})
        read_in_every_way(path)


@pytest.mark.parametrize("name", ["input_size", "output_size", "length", "baseline"])
def test_facts_of_the_task_of_another_kind_or_size(path, name):
    facts = facts_of(path)
    for value in WRONG:
        changed(path, facts | {"task": facts["task"] | {name: value}})
        assert read_in_every_way(path) or (name, value) in {("baseline", v) for v in (10**30, -1, 0, 1.5, True)}
    if name != "baseline":
        changed(path, facts | {"task": facts["task"] | {name: facts["task"][name] + 1}})
        refused(path, rf"{name} of its task is \d+, expected \d+")


@pytest.mark.parametrize("name", ["hidden_size", "steps", "batch_size", "layers", "cell", "dtype", "clip", "optimizer"])
def test_a_configuration_of_other_sizes(path, name):
    facts = facts_of(path)
    for value in (*WRONG, 10**5, 3):
        changed(path, facts | {"config": facts["config"] | {name: 2 if value is True else value}})
        assert read_in_every_way(path)


KINDS = {
    "whole numbers": lambda a: np.ones(a.shape, np.uint8),
    "words": lambda a: np.ones(a.shape, bool),
    "complex": lambda a: np.ones(a.shape, np.complex64),
    "none": lambda a: a[:0] if a.ndim else a[None][:0],
    "twice": lambda a: np.concatenate([a, a]) if a.ndim else np.stack([a, a]),
    "longer": lambda a: np.concatenate([a, a], -1) if a.ndim else np.stack([a, a]),
    "one more dimension": lambda a: a[None],
    "far beyond": lambda a: np.full_like(a, 1e300 if a.dtype.kind == "f" and a.itemsize == 8 else 1e15),
    "below": lambda a: np.full_like(a, -7),
    "not finite": lambda a: np.full_like(a, np.nan if a.dtype.kind == "f" else -1),
}


ARRAYS = ("params.0.W_hh", "optimizer.m.0.W_hh", "optimizer.updates", "clipper.norms", "history.rows.loss") + (
    "history.scores", "history.rivals", "history.snapshots.iteration", "history.snapshots.0.units",
    "history.snapshots.0.valid_steps", "history.snapshots.0.gate_mean", "history.snapshots.0.log_grad_norm",
)  # fmt: skip

PAIRS = [  # each array and each kind twice at least; the whole grid is slow
    pytest.param(name, kind, marks=() if (i + j) % 5 == 0 else pytest.mark.slow)
    for i, name in enumerate(ARRAYS)
    for j, kind in enumerate(KINDS)
]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_arrays_of_another_kind(path, name, kind):
    """Of values that a net may have, however unlikely, and of how many norms were clipped, nothing is said."""
    changed(path, **{name.replace(".", "__"): KINDS[kind](load_file(path)[name])})
    free = name in ("clipper.norms", "history.scores") and kind in ("none", "twice", "longer")
    assert read_in_every_way(path) or free or kind in ("far beyond", "below", "not finite")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_numbers_that_numpy_does_not_have(path, dtype):
    size = {"BF16": 2, "F8_E4M3": 1}[dtype]
    arrays = {"history.scores": {"dtype": dtype, "shape": [1, 3], "data_offsets": [0, 3 * size]}}
    header = json.dumps(arrays | {"__metadata__": {"gradlab.training": json.dumps(facts_of(path))}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(3 * size))
    with pytest.raises(InputError, match="run.safetensors: (not a whole checkpoint: .*float|it lacks history)"):
        TrainingRecord.load(path)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"config": ' + "[" * 900 + "]" * 900 + "}", "9" * 5000]
)
def test_metadata_without_end(path, text):
    changed(path, text)
    assert len(read_in_every_way(path)) == 3
    refused(path, "its metadata cannot be used .*")


def test_a_header_without_end(path):
    header = b'{"a":' * 100_000
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert len(read_in_every_way(path)) == 3


# what else a run depends on


@pytest.mark.parametrize(
    ("name", "before", "after", "fields"),
    [
        ("a.txt", "abcd" * 200, "dcab" * 200, {}),
        ("a.txt", "abcd" * 200, "dcab" * 300, {}),
        ("a.csv", "x\n" + "1\n2\n4\n" * 80, "x\n" + "1\n4\n2\n" * 80, {}),
        ("a.csv", "label,x\n" + "a,1\nb,2\n" * 9, "label,x\n" + "a,2\nb,1\n" * 9, {"task": "classification"}),
    ],
)
def test_a_file_whose_content_has_changed(tmp_path, name, before, after, fields):
    file, path = tmp_path / name, tmp_path / "run.safetensors"
    file.write_text(before)
    run = train(**TINY | fields, input=str(file), checkpoint=path)
    file.write_text(after)
    message = f"{path}: {file} has changed since it was learnt from; put it back as it was, or start afresh"
    with pytest.raises(InputError, match=re.escape(message)):
        train(checkpoint=path, resume=True, iterations=9)
    file.write_text(before)
    assert train(checkpoint=path, resume=True, iterations=9).iteration == 9 > run.iteration


@pytest.mark.parametrize(
    ("name", "content", "fields"),
    [
        ("a.txt", "abcd" * 200, {}),
        ("a.csv", "x,y\n" + "1,2\n2,5\n4,3\n" * 80, {}),
        ("a.csv", "label,x\n" + "a,1\nb,2\n" * 9, {"task": "classification"}),
    ],
)
@pytest.mark.parametrize("after", ["", None])
def test_a_run_is_looked_at_without_its_file(tmp_path, name, content, fields, after):
    file, path = tmp_path / name, tmp_path / "run.safetensors"
    file.write_text(content)
    run = train(**TINY | fields, input=str(file), checkpoint=path)
    expected = dataset(run)
    file.unlink() if after is None else file.write_text(after)
    seen = TrainingRecord.load(path)
    xr.testing.assert_identical(dataset(seen), expected)
    assert seen.outcome == run.outcome and seen.digest == run.digest
    assert seen.untrained == run.untrained
    with pytest.raises(InputError):
        TrainingRun.load(path)


def test_a_file_that_changes_while_it_is_learnt_from(tmp_path):
    """The digest is that of the content that was read, however much later the checkpoint is written."""
    file, path = tmp_path / "a.txt", tmp_path / "run.safetensors"
    file.write_text("abcd" * 200)
    train(**TINY, input=str(file), checkpoint=path, on_step=lambda step: file.write_text("dcab" * 200))
    with pytest.raises(InputError, match="has changed since it was learnt from"):
        TrainingRun.load(path)


@pytest.mark.parametrize("name", ["gradlab", "numpy", "machine", "threads"])
def test_going_on_with_other_versions_is_said(path, name):
    facts = facts_of(path)
    now = facts["versions"][name]
    changed(path, facts | {"versions": facts["versions"] | {name: "0.1"}})
    message = f"{path} was trained with {name} 0.1; going on with {name} {now} is the same training, but not bit for"
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        run = train(checkpoint=path, resume=True, iterations=9)
    assert caught[0].filename == __file__
    assert run.versions == facts_of(path)["versions"] == facts["versions"]


def test_looking_at_a_run_of_other_versions_is_no_reason_to_warn(path):
    facts = facts_of(path)
    other = facts["versions"] | {"threads": "64", "python": "3.0.0"}
    changed(path, facts | {"versions": other})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert TrainingRecord.load(path).versions == TrainingRun.load(path).versions == other


def test_a_small_net_is_trained_by_one_thread_whoever_reads_it(path, monkeypatch):
    assert facts_of(path)["versions"]["threads"] == "1"
    monkeypatch.setattr(checkpoint, "threadpool_info", lambda: [{"user_api": "blas", "num_threads": 7}])
    assert checkpoint.versions()["threads"] == "7"
    assert TrainingRun.load(path).versions["threads"] == "1"
