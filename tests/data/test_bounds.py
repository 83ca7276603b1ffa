"""No file takes long or much memory: it is read within bounds, or refused, and what has no end is never opened."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from gradlab import InputError
from gradlab.cli.terminal import OutputFile
from gradlab.config import from_toml
from gradlab.data import files, load_input, read_file
from gradlab.importers import load_weights

MEASURE = """
import json, resource, sys, time
import numpy, pandas, gradlab.data as data
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / (1024 if sys.platform == "darwin" else 1)
before, start = peak(), time.process_time()
try:
    data.load_input(sys.argv[1], steps=2, batch_size=2, input_size=1)
    said = data.input_text(sys.argv[1])
except data.files.InputError as error:
    said = str(error)
print(json.dumps([said, time.process_time() - start, peak() - before]))
"""
DRIVEN = """
import json, resource, sys, time
import gradlab
from gradlab.config import RunConfig
from gradlab.runs.network_input import network_input, said_of
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / (1024 if sys.platform == "darwin" else 1)
config = RunConfig(input=sys.argv[1], steps=2, batch_size=2, **json.loads(sys.argv[2]))
before, start = peak(), time.process_time()
try:
    network_input(config)
    said = said_of(config)
except gradlab.InputError as error:
    said = str(error)
print(json.dumps([said, time.process_time() - start, peak() - before]))
"""
SIZE = 8_000_000
HOSTILE = {
    "a long column": ("a.csv", b"1\n2\n" * (SIZE // 4), "rows of '0'"),
    "a long row": ("a.csv", b"1," * (SIZE // 2) + b"1", r"line 1 has .* cells; a table may have 10,000 columns"),
    "many columns": ("a.csv", (b"1.5," * 39_999 + b"1\n") * 40, "line 1 has 40,000 cells"),
    "many readable columns": ("a.csv", (b"1.5," * 8000 + b"1\n" + b"2.5," * 8000 + b"3\n") * 100, "rows of"),
    "a quote without end": ("a.csv", b'a\n"' + b"1" * SIZE, "line 2 is not CSV: field larger"),
    "quotes without end": ("a.csv", b',"""' * 40_000, "line 1 "),
    "only quotes": ("a.csv", b'"' * SIZE, "line 1 is not CSV"),
    "blank lines": ("a.csv", b"\n" * SIZE, "no row of data in it"),
    "a long number": ("a.csv", b"1.5\n" + b"1" * SIZE, "line 2 is not CSV"),
    "a late word": (
        "a.csv",
        b"1\n2\n" * (SIZE // 4) + b"x\n",
        f"line {SIZE // 2 + 1}, column '0': 'x' is not a number",
    ),
    "a late short row": ("a.csv", b"1,2\n2,4\n" * (SIZE // 8) + b"1\n", f"line {SIZE // 4 + 1} has 1 cells"),
    "formatted cells": ("a.csv", b"5%\n7%\n" * (SIZE // 6), "rows of '0'"),
    "a long line after an accent": ("a.csv", b"\xe9\n" + b"1" * SIZE, "line 1 is not CSV"),
    "an accent in a long line": ("a.csv", b" " * SIZE + b"\xe9\n1,2\n2,4\n", "no row of data in it"),
    "one long text": ("a.txt", b"1" * SIZE, "Read a.txt as text"),
}

WORDS, TREES = {"tokens": "word"}, {"architecture": "tree"}
HOSTILE_TO_NETWORKS = {
    "short words": (WORDS, lambda: b"a " * (SIZE // 2), "4,000,000 words, 1 different"),
    "many words": (WORDS, lambda: " ".join(f"{n:x}" for n in range(SIZE // 7)).encode(), "more than 1,000,000 differ"),
    "bytes": ({"tokens": "byte"}, lambda: b"a" * SIZE, "8,000,000 bytes, 1 different"),
    "many trees": (TREES, lambda: b"(a b)\n" * (SIZE // 6), "more than 1,000,000 nodes"),
    "a deep tree": (TREES, lambda: b"(" * (SIZE // 2) + b"a" + b")" * (SIZE // 2), "line 1 has 8,000,001 characters"),
    "empty lines": (TREES, lambda: b"(a)" + b"\n" * SIZE, "1 tree of 1 node"),
    "a long sound": ({"frames": "mel", "layers": 2}, lambda: sound(8000), "mel frames"),
    "few samples a second": ({"frames": "mel", "layers": 2}, lambda: sound(1000), "15,999,920 numbers; data may have"),
}


def sound(rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).normal(size=SIZE // 2) / 8, rate, "PCM_16", format="WAV")
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")
@pytest.mark.parametrize(("fields", "make", "message"), HOSTILE_TO_NETWORKS.values(), ids=HOSTILE_TO_NETWORKS)
def test_what_drives_a_network_is_read_in_as_little(fields, make, message, tmp_path):
    (tmp_path / "a").write_bytes(make())
    command = [sys.executable, "-c", DRIVEN, str(tmp_path / "a"), json.dumps(fields)]
    said, seconds, megabytes = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    with pytest.raises(InputError, match=message):
        raise InputError(said)
    assert seconds < 5 and megabytes < 250


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")
@pytest.mark.parametrize(("name", "data", "message"), HOSTILE.values(), ids=HOSTILE)
def test_time_and_memory_are_bounded(name, data, message, tmp_path):
    """Five seconds and 20 times the file are for 16 MB; these have at most the half."""
    (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / name)]
    said, seconds, megabytes = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    with pytest.raises(InputError, match=message):
        raise InputError(said)
    assert seconds < 5 and megabytes < 250


@pytest.fixture
def pipe(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    path = tmp_path / "pipe.nc"
    os.mkfifo(path)
    return path


def test_a_pipe_is_neither_read_nor_replaced(pipe):
    for read in (read_file, load_weights, from_toml):
        with pytest.raises(InputError, match="pipe.nc is a pipe or a device, which may have no end; save it as a file"):
            read(pipe)
    with pytest.raises(InputError, match="pipe.nc: cannot be written: it is a pipe or a device"):
        OutputFile(pipe, "--output", (".nc",)).check()
    assert not pipe.is_file() and pipe.exists()


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device here")
def test_a_device_has_no_end():
    with pytest.raises(InputError, match="/dev/zero is a pipe or a device"):
        load_input("/dev/zero", steps=2, batch_size=2, input_size=1)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.touch()
    os.truncate(path, files.LIMIT + 1)
    monkeypatch.setattr(type(path), "read_bytes", lambda path: pytest.fail("it was read"))
    with pytest.raises(InputError, match="a.csv has 70 MB; data may have 70 MB. Cut the file, or give arrays"):
        load_input(path, steps=2, batch_size=2, input_size=1)


@pytest.mark.parametrize("shape", [(2**23 + 1,), (2**12, 2**12), (10**9, 10**9)])
def test_an_array_of_too_many_numbers_is_refused_by_its_header(shape, tmp_path):
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(InputError, match=f"a.npy: {np.prod(shape, dtype=object):,} numbers; data may have 8,388,608"):
        load_input(tmp_path / "a.npy", steps=2, batch_size=2, input_size=1)
