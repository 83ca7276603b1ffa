"""The command line: called in this process, in one of its own, and on a terminal; what it said."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradlab.cli import cli

ROOT = Path(__file__).parents[1]
CO2 = ROOT / "studies" / "data" / "co2_mauna_loa.csv"
posix = pytest.mark.skipif(os.name == "nt", reason="signals, pipes and terminals as POSIX has them")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def parsed(result: Result) -> dict:
    """The JSON of a run that ended well, read as strictly as the standard has it."""
    assert result.exit_code == 0, result.stderr

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(result.stdout, parse_constant=refuse)


def refused(result: Result) -> str:
    """The message of a run that ended with bad input, on stderr alone and without a traceback."""
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def is_plain(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def process(*arguments: str, module: str = "gradlab", env: dict[str, str] | None = None, **options) -> subprocess.Popen:
    """A command as a process that Ctrl-C interrupts, though these tests may run in the background, which ignores it."""
    command, environment = [sys.executable, "-m", module, *arguments], {"PYTHONPATH": str(ROOT), **(env or {})}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, env=os.environ | environment, **options)
    finally:
        signal.signal(signal.SIGINT, before)


def read_terminal(ours: int) -> str:
    """What arrives until the other end is closed."""
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # Linux's way to say that it is closed
        pass
    os.close(ours)
    return shown.decode()


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a terminal gets from a run that ends well."""
    import pty

    ours, theirs = pty.openpty()
    running = process(*arguments, stdout=theirs, stderr=theirs, env={"TERM": "xterm", **environment})
    os.close(theirs)
    shown = read_terminal(ours)
    assert running.wait(30) == 0
    return shown
