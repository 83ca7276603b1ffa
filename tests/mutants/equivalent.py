"""Mutants that are known to make no difference, as the files in `declared` have them."""

import tomllib
from pathlib import Path
from typing import NamedTuple

from .mutate import Mutant

FILES = sorted(Path(__file__).with_name("declared").glob("*.toml"))


class Equivalent(NamedTuple):
    """A change of a line, by its text, None for every one; why it makes no difference."""

    path: str
    line: str
    change: str | None
    why: str

    def covers(self, path: str, mutant: Mutant) -> bool:
        """Whether this is the mutant, wherever the line may have moved."""
        return (path, mutant.line_text) == (self.path, self.line) and self.change in (None, mutant.text)


def declared() -> list[Equivalent]:
    """All of them."""
    by_file = {path: entries for file in FILES for path, entries in tomllib.loads(file.read_text("utf-8")).items()}
    return [
        Equivalent(path, entry["line"], change, entry["why"])
        for path, entries in by_file.items()
        for entry in entries
        for change in entry.get("changes", [None])
    ]
