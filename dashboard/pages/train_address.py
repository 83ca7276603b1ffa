"""The address of Train: the set-up, the runs on the page, and what belongs to other pages and travels along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from gradlab.config import RunConfig, controls
from gradlab.config.train import TrainConfig
from gradlab.links import SHORT_FIELD, from_query, to_query

from ..training_jobs import TRAINING
from .train_examples import FIRST

MOST_RUNS = 2
GONE = "The run of this link is not kept on this machine; train it again to see it."
ELSEWHERE = {*controls(RunConfig)} - {*controls(TrainConfig)} | {"pin", "axes"}  # what only other pages know


@dataclass(frozen=True)
class Address:
    """rest: pairs of the query that mean something on other pages. notices: what was left out, in words."""

    config: TrainConfig
    runs: tuple[str, ...] = ()
    rest: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def query(self) -> str:
        """With its question mark."""
        return f"?{to_query(self.config)}{_tail([*(('run', run) for run in self.runs), *self.rest])}"


def read(search: str) -> Address:
    """What an address says. One that names runs alone means their set-up; an empty one, the first example."""
    pairs = parse_qsl(search.removeprefix("?"), keep_blank_values=True)
    asked = [value for name, value in pairs if name == "run"][:MOST_RUNS]
    known = {run: config for run in asked if (config := TRAINING.config(run)) is not None}
    gone = (GONE,) if len(known) < len(asked) else ()
    rest = tuple(pair for pair in pairs if SHORT_FIELD.get(pair[0], pair[0]) in ELSEWHERE)
    own = [pair for pair in pairs if pair not in rest and pair[0] != "run"]
    if not [pair for pair in own if pair[0] != "v"]:
        alone = TrainConfig() if own else FIRST
        return Address(next(iter(known.values()), alone), tuple(known), rest, gone)
    link = from_query(urlencode(own), TrainConfig)
    return Address(link.config, tuple(known), rest, (*link.notices, *gone), link.missing)


def _tail(pairs: Sequence[tuple[str, str]]) -> str:
    return f"&{urlencode(pairs)}" if pairs else ""
