"""The address of Train: the set-up, the runs on the page, and what belongs to other pages and travels along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from gradlab.config import controls
from gradlab.config.train import TrainConfig
from gradlab.links import SHORT_FIELD, from_query, to_query

from ..training_jobs import TRAINING
from .train_examples import FIRST

MOST_RUNS = 2


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
    gone = (
        ["The run of this link is not kept on this machine; train it again to see it."]
        if len(known) < len(asked)
        else []
    )
    own = [pair for pair in pairs if _is_own(pair[0])]
    rest = tuple(pair for pair in pairs if not _is_own(pair[0]) and pair[0] not in ("run", "v"))
    if not own:
        config = next(iter(known.values()), None) or (TrainConfig() if ("v", "1") in pairs else FIRST)
        return Address(config, tuple(known), rest, tuple(gone))
    link = from_query(urlencode([pair for pair in pairs if _is_own(pair[0]) or pair[0] == "v"]), TrainConfig)
    return Address(link.config, tuple(known), rest, (*link.notices, *gone), link.missing)


def _is_own(name: str) -> bool:
    """Whether a name of the query is about the set-up; one that nobody knows counts, so that it is told."""
    from gradlab.config import RunConfig

    others = {*controls(RunConfig)} - {*controls(TrainConfig)} | {"pin", "run", "v", "axes"}
    return SHORT_FIELD.get(name, name) not in others


def _tail(pairs: Sequence[tuple[str, str]]) -> str:
    return f"&{urlencode(pairs)}" if pairs else ""
