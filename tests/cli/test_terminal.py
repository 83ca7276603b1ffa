"""The command line's files, failures, signals and streams."""

import json
import math
import os
import re
import signal
import sys
import warnings
from pathlib import Path

import pytest
import xarray as xr
from zarr.storage import ZipStore

import gradlab
from gradlab.cli.terminal import Terminal
from gradlab.config import RunConfig
from gradlab.errors import InputError
from gradlab.runs import analyze as analysis
from tests.cli.test_cli import SMALL, cache, run, small  # noqa: F401 - a fixture of every test
from tests.commands import is_plain, on_a_terminal, posix, process, refused

# --- Files


@pytest.mark.slow
def test_the_dataset_and_the_report_are_saved_whole(tmp_path: Path) -> None:
    dataset, report = tmp_path / "run.nc", tmp_path / "run.html"
    dataset.write_text("an older file is overwritten")
    result = small("-o", dataset, "--html", report)
    assert f"\nSaved {dataset}\nSaved {report}\n" in result.stdout
    with xr.open_dataset(dataset, engine="h5netcdf") as saved:
        xr.testing.assert_identical(
            saved.drop_attrs(), gradlab.analyze(hidden_size=8, batch_size=4, steps=40).drop_attrs()
        )
        assert gradlab.RunConfig(**json.loads(saved.attrs["config"])).hidden_size == 8
    assert result.stdout.splitlines()[0] in report.read_text("utf-8").replace("×", "x")
    assert sorted(tmp_path.iterdir()) == [report, dataset]


def test_a_dataset_is_saved_as_zarr_whole(tmp_path: Path) -> None:
    file = tmp_path / "run.ZARR.zip"
    file.write_text("an older file is overwritten")
    assert f"\nSaved {file}\n" in small("-o", file).stdout
    with ZipStore(file, mode="r") as store:
        saved = xr.open_zarr(store).load()
    xr.testing.assert_identical(saved.drop_attrs(), gradlab.analyze(hidden_size=8, batch_size=4, steps=40).drop_attrs())
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "name", ["run", "run.csv", "run.zarr", "run.zip", "zarr.zip", ".zarr.zip", ".nc", "nc", "run.nc.gz"]
)
def test_a_name_says_in_which_format_something_is_saved(name: str, tmp_path: Path) -> None:
    told = "error: --output: expected a file name that ends in .nc or .zarr.zip, such as run.nc, got "
    assert refused(small("-o", tmp_path / name)) == f"{told}{tmp_path / name}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_a_full_disk_leaves_the_old_file(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / {"-o": "run.nc", "--html": "run.html"}[option]
    file.write_text("old")
    monkeypatch.setattr(os, "fsync", fill_the_disk)
    name = {"-o": "--output"}.get(option, option)
    why = "No space left on device; make room, or name a file elsewhere"
    assert refused(small(option, file)) == f"error: {name} {file}: cannot be written: {why}\n"
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@posix
def test_a_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "run.nc"
    os.mkfifo(pipe)
    assert "cannot be written: it is a pipe or a device, no regular file" in refused(small("-o", pipe))
    assert pipe.is_fifo()


def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(config: RunConfig) -> xr.Dataset:
        raise AssertionError("the work began")

    monkeypatch.setattr(analysis, "analyze", work)
    (tmp_path / "folder.nc").mkdir()
    (tmp_path / "file").touch()
    locked = tmp_path / "locked.nc"
    locked.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked)
    for name, reason in {
        "folder.nc": "it is a directory",
        "file/run.nc": "Not a directory",
        "locked.nc": "it is write-protected",
    }.items():
        assert f"cannot be written: {reason}" in refused(small("-o", tmp_path / name))


# --- Failures, signals and streams


def test_a_warning_is_a_note_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    analyze = analysis.analyze

    def warn(config: RunConfig) -> xr.Dataset:
        warnings.warn("first\n line", UserWarning, stacklevel=1)
        return analyze(config)

    monkeypatch.setattr(analysis, "analyze", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = small()
    assert (result.exit_code, result.stderr) == (0, "note: first line\n")


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "run.csv"
    file.write_text("\x1b[2Ja,b\n1,2\n2,1\n")
    message = refused(run("--input", file, "--column", "c"))
    assert r"\x1b[2Ja" in message
    assert "\x1b" not in message


def test_a_failure_is_one_line_and_shows_its_place_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: RunConfig) -> xr.Dataset:
        raise RuntimeError("no\nidea")

    monkeypatch.setattr(analysis, "analyze", fail)
    line = "unexpected RuntimeError: no idea; run again with --debug for the traceback\n"
    assert (small().exit_code, small().stderr) == (1, line)
    debug = small("--debug")
    assert debug.exit_code == 1
    assert debug.stderr.startswith("Traceback")
    assert "in fail" in debug.stderr


@pytest.mark.parametrize(
    ("message", "field", "shown"),
    [
        ("hidden_size: too small", "hidden_size", "error: --hidden-size: too small\n"),
        ("far too small, steps: 3", "hidden_size", "error: --hidden-size: far too small, steps: 3\n"),
        ("steps: use hidden_size=3", None, "error: steps: use hidden_size=3\n"),
        ("k: too many", "k", "error: k: too many\n"),  # no option of this command
    ],
)
def test_an_option_is_named_by_the_errors_field_whatever_the_words(
    message: str, field: str | None, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: RunConfig) -> xr.Dataset:
        raise InputError(message, field)

    monkeypatch.setattr(analysis, "analyze", fail)
    assert refused(small()) == shown
    debug = small("--debug").stderr
    assert "in fail" in debug and debug.endswith(shown)


def test_too_little_memory_says_what_to_make_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: RunConfig) -> xr.Dataset:
        raise MemoryError

    monkeypatch.setattr(analysis, "analyze", fail)
    assert small().exit_code == 1
    assert re.fullmatch("error: not enough memory; use fewer --steps, .*--hidden-size\n", small().stderr)


@posix
def test_cancelling_ends_with_one_line() -> None:
    running = process("analyze", module="tests.cli.endless")
    assert running.stdout.readline() == "begun\n"
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=30) == ("", "cancelled\n")
    assert running.returncode == 130


@posix
def test_a_reader_that_stops_reading_is_no_failure() -> None:
    running = process("analyze", *SMALL)
    running.stdout.close()
    assert (running.stderr.read(), running.wait(30)) == ("", 0)
    running.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a full device")
def test_output_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w") as full:
        running = process("list", "cells", stdout=full)
    assert "No space left on device" in running.communicate(timeout=30)[1]
    assert running.returncode == 1


@posix
def test_a_terminal_gets_colours_and_progress() -> None:
    shown = on_a_terminal("analyze", *SMALL, NO_COLOR="", COLUMNS="40")
    assert "Analysing 40 steps of 4 samples" in shown
    assert re.search(r"\x1b\[1;\d+mThe gradient", shown)


@posix
@pytest.mark.slow
def test_no_color_means_no_control_characters() -> None:
    shown = on_a_terminal("analyze", *SMALL, NO_COLOR="1", COLUMNS="40").replace("\r\n", "\n")
    assert "saturated" in shown
    assert is_plain(shown)
    assert max(map(len, shown.splitlines()[:-1])) <= 40  # the last line, to be copied, is one


@pytest.mark.slow
def test_elsewhere_there_is_plain_text_whatever_the_encoding(tmp_path: Path) -> None:
    plain = {"FORCE_COLOR": "1", "PYTHONIOENCODING": "ascii", "COLUMNS": "20", "GRADLAB_CACHE": str(tmp_path)}
    file = tmp_path / "naïve.csv"
    file.write_text("\n".join(str(math.sin(i)) for i in range(60)))
    out, err = process("analyze", *SMALL, "--input", str(file), env=plain).communicate(timeout=30)
    read, kept = err.splitlines()
    assert read == r"note: Read na\xefve.csv as a table: 60 rows of '0'"
    assert kept.startswith(r"note: for the app, a copy of na\xefve.csv is kept in ")
    assert r"4 samples of na\xefve.csv" in out
    assert is_plain(out)


def test_a_terminal_without_streams_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    Terminal(stderr=True).note("nobody hears this")


def test_a_text_of_words_and_a_file_of_trees(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the dog sat, the fox ran. " * 20)
    (tmp_path / "trees.txt").write_text("(3 (2 It) (4 works))\n(a (b c)\n")
    done = small("--input", tmp_path / "a.txt", "--tokens", "word", "--input-size", 2)
    assert "note: Read a.txt as text: 160 words, 7 different\n" in done.stderr
    assert "\n1 layer of Elman(2 -> 8, tanh), 2 numbers a word, 40 steps, 4 samples of a.txt\n" in done.stdout
    told = "error: --input: trees.txt: line 2, character 1: '(' is never closed; add ')'\n"
    assert refused(small("--input", tmp_path / "trees.txt", "--architecture", "tree")) == told
