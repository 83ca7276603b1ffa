"""Whatever stands on a command line: a result, or a few lines that say what is wrong; no traceback, no half a file."""

import os
import re
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import example, given
from hypothesis import strategies as st

from gradlab.cli.names import KINDS as LISTS
from gradlab.cli.terminal import option_name
from gradlab.config import RunConfig
from gradlab.config.train import TrainConfig

from ..commands import call, is_plain
from .examples import bounded, fuzzed
from .made import files, weights
from .values import FILES, ODD, small, value

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a file that fails
MADE = ["table.csv", "odd", "net.safetensors", "fields.toml", "nowhere", "folder", "folder/none.csv", "/dev/null"]
MADE += ["\udcff.csv"]
WRITTEN = ["out.nc", "out.NC", "out.html", "out", "folder", "nowhere/out.nc", "table.csv", "a\nb.nc", "\udcff.nc"]
WRITTEN += ["x" * 300 + ".nc"]
TEXT = ODD.map(str) | st.sampled_from(["9" * 5000, str(10**40)])
BEGINNINGS = {".nc": b"\x89HDF", ".html": b"<!doctype html>"}


def pairs(kind: Any, *own: tuple[str, st.SearchStrategy[str]]) -> st.SearchStrategy[list[str]]:
    """Options of small sizes, then some with values that fit and some with others; the later ones count."""
    named = st.sampled_from(MADE)
    fits = st.sampled_from([*kind.model_fields]).flatmap(
        lambda name: st.tuples(st.just(option_name(name)), value(name, kind).map(str) if name not in FILES else named)
    )
    odd = st.tuples(st.sampled_from([option_name(name) for name in kind.model_fields]), TEXT)
    alone = st.sampled_from([("--json",), ("-q",), ("--help",), ("--nothing",), ("word",), ("--residual",)])
    others = [st.tuples(st.just(option), values) for option, values in own]
    some = st.lists(st.one_of(fits, fits, odd, alone, *others), max_size=4)
    return st.builds(lambda sizes, more: [*_options(sizes), *chain.from_iterable(more)], small(kind), some)


def _options(fields: dict[str, Any]) -> list[str]:
    given = {option_name(name): value for name, value in fields.items() if value is not None and value is not False}
    return [part for option, value in given.items() for part in ([option] if value is True else [option, str(value)])]


OUTPUT, CONFIG = st.sampled_from(WRITTEN), ("--config", st.sampled_from(MADE))
PRESET = ("--preset", st.sampled_from(["edge", "nothing", ""]) | TEXT)
COUNTS = [(option, TEXT | st.sampled_from(["1", "2"])) for option in ("--exponents", "--every", "--warmup")]
SCALES = st.sampled_from(["--activation", "--gain", "--bias-scale", "--input-scale"])
COMMANDS = st.one_of(
    st.tuples(st.just("analyze"), pairs(RunConfig, ("-o", OUTPUT), ("--html", OUTPUT), CONFIG, PRESET)),
    st.tuples(st.just("lyapunov"), pairs(RunConfig, CONFIG, PRESET, *COUNTS)),
    st.tuples(st.just("theory"), st.lists(st.tuples(SCALES, TEXT), max_size=4).map(lambda of: [*chain(*of)])),
    st.tuples(st.just("list"), st.lists(st.sampled_from([*LISTS, "--json"]) | TEXT, max_size=2)),
    st.tuples(TEXT, st.lists(TEXT, max_size=2)),
)
CHECKPOINT = ("--checkpoint", st.sampled_from(["run.safetensors", "net.safetensors", *WRITTEN]))
TRAININGS = pairs(TrainConfig, ("-o", OUTPUT), CHECKPOINT, CONFIG)
TOML = st.sampled_from(["", "steps = 3", "steps = 'x'", "self = 1", "a = [", "gain = 1" + "0" * 400])
CONTENT = st.tuples(files(), weights(), TOML)


def run(arguments: list[str], content: tuple[bytes, bytes, str]) -> tuple[Result, dict[str, bytes]]:
    """A command in a folder with these files: what it said, and what is new there."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("table.csv").write_text("x,y\n" + "1,2\n2,5\n4,3\n" * 20)
            Path("\udcff.csv").write_bytes(Path("table.csv").read_bytes())
            Path("folder").mkdir()
            for name, data in zip(("odd", "net.safetensors"), content, strict=False):
                Path(name).write_bytes(data)
            Path("fields.toml").write_text(content[2])
            known = {*Path().iterdir()}
            with bounded(20):
                result = call(*arguments)
            return result, {path.name: path.read_bytes() for path in {*Path().iterdir()} - known}
        finally:
            os.chdir(before)


def check(result: Result, written: dict[str, bytes]) -> None:
    """Whether it ended as documented; an exit code of 1 is for what overflows and for what no memory holds."""
    said = result.stderr
    assert result.exit_code in (0, 1, 2), (result.exit_code, said)
    assert not re.search("^(Traceback|unexpected )", said, re.MULTILINE), said
    assert is_plain(said) and len(said.splitlines()) <= 12 and max(map(len, said.splitlines()), default=0) < 1100, said
    assert result.exit_code < 2 or (not result.stdout and said.startswith(("error: ", "note: "))), said
    for name, data in written.items():
        assert data.startswith(BEGINNINGS.get(Path(name).suffix.lower(), b"")) and not name.endswith(
            (".partial", ".lock")
        ), name


@pytest.fixture(autouse=True)
def cache(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what the app is to show."""
    monkeypatch.delenv("NO_COLOR", raising=False)


@fuzzed("commands")
@given(COMMANDS, CONTENT)
@example(("analyze", ["--steps", "9", "--input", "\udcff.csv", "-o", "out.nc"]), (b"", b"", ""))
def test_commands_end_as_documented(command: tuple[str, list[str]], content: tuple[bytes, bytes, str]) -> None:
    check(*run([command[0], *command[1]], content))


@fuzzed("training commands")
@given(TRAININGS, st.booleans(), CONTENT)
def test_trainings_end_as_documented(options: list[str], resume: bool, content: tuple[bytes, bytes, str]) -> None:
    check(*run(["train", *options, *["--resume"] * resume], content))
