"""What every study's script does with its result: a table on stdout, a figure in a file, and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import plotly.graph_objects as go


@dataclass(frozen=True)
class Row:
    """One number of the claim beside what was measured, and how far apart they may lie."""

    label: str
    expected: float
    measured: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether they agree within the tolerance."""
        return abs(self.measured - self.expected) <= self.tolerance

    def __str__(self) -> str:
        word = "ok" if self.passed else "NO"
        difference = f"{self.measured - self.expected:+.5f} (allowed {self.tolerance:.2g})"
        return f"{word}  {self.label:<32} expected {self.expected:+.5f}  measured {self.measured:+.5f}  {difference}"


def main(name: str, description: str | None, study: Callable[[], tuple[list[Row], go.Figure]]) -> NoReturn:
    """Run a study from the command line; exit code 1 where a number is not what the claim says."""
    title = (description or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog=f"python3 -m studies.{name}", description=title)
    parser.add_argument("--out", type=Path, default=Path(), help=f"folder for {name}.html")
    folder = parser.parse_args().out
    rows, figure = study()
    print(title, *rows, sep="\n")
    folder.mkdir(parents=True, exist_ok=True)
    figure.write_html(folder / f"{name}.html")
    print(f"figure: {folder / f'{name}.html'}")
    sys.exit(not all(row.passed for row in rows))
