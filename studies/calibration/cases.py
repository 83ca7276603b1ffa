"""A run whose class is known, and in what a diagnosis of it errs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import gradlab
from gradlab.diagnosis import Change, Diagnosis, Rerun, rerunner
from gradlab.importers import save_safetensors, to_state_dict
from gradlab.runs.build import build

Params = dict[str, np.ndarray]
Parts = tuple[gradlab.Cell, Params, np.ndarray]

NEAR_ENTRY, NEAR_TURN = 0.1, 5  # what is taken for equal: ln of a factor, and lags
HALVES = ("tuning", "report")


@dataclass(frozen=True)
class Known:
    """What is known of a run: its word, and whatever else its construction tells.

    samples: word -> of how many samples it is the verdict alone, where they differ. entry: ln of what enters at the
    last step. turns: the lags at which the rate changes. says: what the cause has to say.
    """

    word: str
    samples: Mapping[str, int] = field(default_factory=dict)
    entry: float | None = None
    turns: tuple[int, ...] = ()
    says: str = ""

    def misses(self, found: Diagnosis) -> list[str]:
        """In words, whatever a diagnosis says otherwise."""
        verdict, wrong = found.verdict, []
        if found.word != self.word:
            wrong.append(f"{found.word} for {self.word}")
        if self.samples and verdict.samples != self.samples:
            wrong.append(f"groups {_listed(verdict.samples)} for {_listed(self.samples)}")
        if self.entry is not None and abs(verdict.entry - self.entry) > NEAR_ENTRY:
            wrong.append(f"entry {round(verdict.entry, 2) + 0.0:.2f} for {self.entry:.2f}")
        turns = [piece["stop"] for piece in verdict.pieces[:-1]]
        wrong += [f"no turn at lag {lag}" for lag in self.turns if all(abs(turn - lag) > NEAR_TURN for turn in turns)]
        return wrong if self.says in found.cause else [*wrong, f"does not say: {self.says}"]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {word}" for word, n in counts.items())


@dataclass(frozen=True)
class Given:
    """A network of one's own; without x its weights are put into a file, and the input is a RunConfig's."""

    cell: gradlab.Cell
    params: Params
    x: np.ndarray | None = None
    lengths: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """A run of known class. source: of the knowledge; fields: of its RunConfig; network: given weights instead."""

    kind: str
    name: str
    source: str
    truth: Callable[[Case], Known]
    fields: dict[str, Any] = field(default_factory=dict)
    network: Callable[[], Given] | None = None

    @property
    def given(self) -> Given | None:
        return self.network() if self.network else None

    @property
    def config(self) -> gradlab.RunConfig:
        """The run's; of a network with an input of its own, the fields that go with one."""
        given = self.given
        if given is None or given.x is not None:
            return gradlab.RunConfig(**self.fields)
        activation, path = given.cell.activation.name, _stored(self.name, given)
        return gradlab.RunConfig(**self.fields, weights=path, activation=activation)

    @property
    def lengths(self) -> np.ndarray:
        """(B,) steps of each sample."""
        given, x = self.given, self.parts()[2]
        whole = np.full(x.shape[1], len(x))
        return whole if given is None or given.lengths is None else given.lengths

    def parts(self) -> Parts:
        """Cell, parameters and input (T, B, D)."""
        given = self.given
        return build(self.config) if given is None or given.x is None else (given.cell, given.params, given.x)

    def run(self) -> xr.Dataset:
        given = self.given
        return gradlab.analyze(self.config) if given is None or given.x is None else self.rerun()(Change("as it is"))

    def rerun(self) -> Rerun:
        """Runs the case after a change."""
        given = self.given
        if given is None or given.x is None:
            return rerunner(self.config)
        own: dict[str, Any] = {"cell": given.cell, "x": given.x, "lengths": given.lengths} | self.fields

        def again(change: Change) -> xr.Dataset:
            return gradlab.analyze(params=change.apply_weights(given.cell, given.params), **own | change.fields)

        return again


@cache
def _folder() -> Path:
    """Of this process, and gone when it ends."""
    path = tempfile.mkdtemp()
    Finalize(None, shutil.rmtree, [path], exitpriority=0)
    return Path(path)


def _stored(name: str, given: Given) -> str:
    """The path of a file with the weights."""
    path = _folder() / f"{name}.safetensors".replace("/", "-")
    path.write_bytes(save_safetensors(to_state_dict(given.cell, given.params)))
    return str(path)


Truth = Callable[[Case], Known]
CASES: list[Case] = []


def add(kind: str, name: str, source: str, truth: Truth, **fields: Any) -> None:
    """Put a case that a RunConfig describes among the others of its kind."""
    CASES.append(Case(kind, name, source, truth, fields))


def add_net(kind: str, name: str, source: str, truth: Truth, network: Callable[[], Given], **fields: Any) -> None:
    """The same of a network of one's own."""
    CASES.append(Case(kind, name, source, truth, fields, network))


def half(index: int) -> str:
    """Cases of a kind belong to the two halves in turn."""
    before = sum(case.kind == CASES[index].kind for case in CASES[:index])
    return HALVES[before % 2]
