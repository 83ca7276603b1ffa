"""The address of Train: the set-up, the runs on the page, and what belongs to other pages and travels along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from gradlab.config import RunConfig, controls
from gradlab.config.links import SHORT_FIELD, from_query, to_query
from gradlab.config.train import TrainConfig
from gradlab.data import INPUTS
from gradlab.errors import InputError
from gradlab.importers import load_weights
from gradlab.training.jobs import TRAINING

from ...addresses import ARRIVAL
from .examples import FIRST

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
        pairs = [*(("run", run) for run in self.runs), *self.rest]
        return f"?{to_query(self.config)}{'&' if pairs else ''}{urlencode(pairs)}"


def read(search: str) -> Address:
    """What an address says. One that names runs alone means their set-up; an empty one, the first example."""
    pairs = parse_qsl(search.removeprefix("?"), keep_blank_values=True)
    pairs, left_out = arrive(pairs) if ARRIVAL in pairs else (pairs, ())
    asked = [value for name, value in pairs if name == "run"][:MOST_RUNS]
    known = {run: config for run in asked if (config := TRAINING.config(run)) is not None}
    gone = (GONE,) if len(known) < len(asked) else ()
    rest = tuple(pair for pair in pairs if SHORT_FIELD.get(pair[0], pair[0]) in ELSEWHERE)
    own = [pair for pair in pairs if pair not in rest and pair[0] != "run"]
    if not [pair for pair in own if pair[0] != "v"]:
        alone = TrainConfig() if own else FIRST
        return Address(next(iter(known.values()), alone), tuple(known), rest, (*left_out, *gone))
    link = from_query(urlencode(own), TrainConfig)
    return Address(link.config, tuple(known), rest, (*left_out, *link.notices, *gone), link.missing)


def arrive(pairs: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """A run of Explore as a set-up: what Train can take over, and in words what it leaves out."""
    pairs = [pair for pair in pairs if pair != ARRIVAL]
    given, run = dict(pairs), from_query(urlencode(pairs)).config
    multiple = isinstance(run.clip_threshold, str)  # of a norm that was measured there
    left = {
        "its own weights (Train draws some for the same cell)": "weights" in given,
        "its input (the task brings one)": run.input in INPUTS and run.input != "noise",
        "its number of input features (the task sets it)": "input_size" in given and run.input in INPUTS,
        "its loss at every step (the task says where it acts)": "loss" in given,
        f"its threshold {run.clip_threshold} (a multiple of a norm there)": multiple and run.clip != "off",
    }
    said = ", ".join(text for text, lost in left.items() if lost)
    kept = [(name, value) for name, value in pairs if not (name == "clip_threshold" and multiple)]
    return [*kept, *_of_weights(run)], (f"Set up as in Explore. Left out: {said}.",) if said else ()


def _of_weights(run: RunConfig) -> list[tuple[str, str]]:
    """Cell, size and settings of a run's own weights; a later field of a query goes before an earlier one."""
    try:
        cell = load_weights(run.weights, run.prefix, run.layer, run.activation)[0] if run.weights else None
    except InputError:  # Explore says what is wrong
        cell = None
    settings = ("hidden_size", "activation", "leak")
    own = [(name, str(getattr(cell, name))) for name in settings if hasattr(cell, name)]
    return [("cell", cell.name), *own] if cell else []
