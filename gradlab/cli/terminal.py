"""What the command line says and where, the files it writes, and how errors become messages and exit codes."""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from ..data import disk
from ..errors import InputError, readable, spelled

UNLIMITED = 10_000  # columns where there is no terminal: nothing is wrapped
LONG = re.compile(r"\d{41,}")  # numbers of which a message shows the ends
DONE, FAILED, BAD_INPUT, CANCELLED = 0, 1, 2, 130


class Terminal(Console):
    """stdout or stderr: colours and a redrawn line on a terminal only, and no control characters from names or data."""

    def __init__(self, stderr: bool = False, quiet: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        terminal = stream is not None and stream.isatty()
        self.colours = not os.environ.get("NO_COLOR")
        super().__init__(
            stderr=stderr,
            quiet=quiet,
            force_terminal=terminal,
            color_system="auto" if self.colours else None,
            width=None if terminal else UNLIMITED,
            markup=False,
            highlight=False,
            emoji=False,
        )

    def on_broken_pipe(self) -> None:
        """Leave it to `exit_code`; the base class would exit with 1."""
        raise BrokenPipeError

    def say(self, text: str = "", style: str = "", wrap: bool = True) -> None:
        """Print a text with its control characters spelled out."""
        self.print("\n".join(map(spelled, text.split("\n"))), style=style, soft_wrap=not wrap)

    def note(self, text: str) -> None:
        """Print a remark."""
        self.say(f"note: {text}")

    @contextmanager
    def warnings_as_notes(self) -> Iterator[None]:
        """Print warnings as remarks of one line."""
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: self.note(" ".join(str(message).split()))
            yield

    @property
    def redraws(self) -> bool:
        """Whether a line can be drawn again and again."""
        return not self.quiet and self.colours and self.is_terminal and not self.is_dumb_terminal

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """A function that names the work under way, shown with the time it takes where a line can be redrawn."""
        if not self.redraws:
            yield lambda text: None
            return
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn("line"), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=self, transient=True) as progress:
            task = progress.add_task("", total=None)
            yield lambda text: progress.update(task, description=text)


class Commands(click.Group):
    """A group of commands in which whatever goes wrong ends in a message and an exit code."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run a command line, by default this process's own, and exit."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # not every terminal can show every name
        arguments = list(sys.argv[1:] if args is None else args)
        sys.exit(exit_code(lambda: self._run(arguments), debug="--debug" in arguments))

    def _run(self, arguments: list[str]) -> None:
        with self.make_context("gradlab", arguments) as context:
            self.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()


def exit_code(run: Callable[[], None], debug: bool) -> int:
    """Run and return 0 (done), 1 (failure), 2 (bad input) or 130 (cancelled); a message on stderr for all but 0."""
    try:
        run()
        return DONE
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except BrokenPipeError:  # whoever reads the output has what they wanted
        _discard_output()
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        message, code = _explanation(error)
        with suppress(OSError):
            Terminal(stderr=True).say(message)
        if isinstance(error, OSError):
            _discard_output()
        return code


def _discard_output() -> None:
    """Let what is still to be written to stdout go nowhere: the interpreter would fail on it when it ends."""
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def _explanation(error: BaseException) -> tuple[str, int]:
    """What to tell the user about an error, and the exit code."""
    if isinstance(error, InputError):
        return "\n".join(f"error: {line}" for line in str(error).splitlines()), BAD_INPUT
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "gradlab"
        message = LONG.sub(lambda digits: f"{digits[0][:18]}...{digits[0][-18:]}", error.format_message())
        return f"error: {readable(message)}\nSee: {command} --help", BAD_INPUT
    if isinstance(error, KeyboardInterrupt):
        return "cancelled", CANCELLED
    if isinstance(error, MemoryError):
        return "error: not enough memory; use fewer --steps, a smaller --batch-size or a smaller --hidden-size", FAILED
    text = readable(" ".join(f"{type(error).__name__}: {error}".split()))
    return f"unexpected {text}; run again with --debug for the traceback", FAILED


def option_name(field: str) -> str:
    """The option that sets a field of a configuration."""
    return "--" + field.replace("_", "-")


@dataclass(frozen=True)
class OutputFile:
    """A file to be written: its path, the option that named it, and the endings of which its name must have one."""

    path: Path
    option: str
    endings: tuple[str, ...]

    @property
    def ending(self) -> str:
        """The one that it has. Raises InputError for a name without."""
        name = self.path.name.lower()
        for ending in self.endings:
            if name.removesuffix(ending) not in ("", name):
                return ending
        wanted = f"a file name that ends in {' or '.join(self.endings)}, such as run{self.endings[0]}"
        raise InputError(f"{self.option}: expected {wanted}, got {self.path}")

    def check(self) -> None:
        """Raise InputError, before the long work, unless the file can be written under such a name."""
        assert self.ending
        disk.require_writable(self.path, self._what)

    def write(self, data: bytes) -> None:
        """The whole content, or nothing. Raises InputError where it fails."""
        disk.write(self.path, data, self._what)

    @property
    def _what(self) -> str:
        return f"{self.option} {self.path}:"
