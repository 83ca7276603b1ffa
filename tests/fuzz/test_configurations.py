"""Whatever a configuration is made from: one that goes there and back unchanged, or an error that names the fields."""

import json
import shlex
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradlab import analyze, verdict
from gradlab.config import Config, RunConfig, from_toml
from gradlab.config.links import from_query, to_command, to_python, to_query
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.runs.netcdf import netcdf
from gradlab.training.jobs import TRAINING
from gradlab.training.worker import CONFIG

from .examples import LONGEST, answer, bounded, fuzzed, is_sentence
from .values import FILES, KINDS, anything, small

OF_KIND = KINDS.flatmap(lambda kind: st.tuples(st.just(kind), anything(kind)))
NUMBER = count()  # of a run
ENDS = st.sampled_from(["", "[[a]]", "x = " + "[" * 5000, "gain = 1\ngain = 1", "\ufeff", "seed = " + "9" * 5000])


@pytest.fixture(autouse=True)
def cache(own_cache: Path) -> None:
    """Of runs and uploads."""


def made(kind: type[Config], fields: dict[str, Any]) -> Config | None:
    """The configuration of these fields; None where an error says which of them are wrong."""
    with bounded():
        try:
            return kind(**fields)
        except InputError as error:
            assert error.fields.keys() <= fields.keys() and error.fields
            assert all(map(is_sentence, str(error).splitlines()))
            assert (error.field is None) == (len(error.fields) > 1)
            return None


@fuzzed("configurations")
@given(OF_KIND)
@example((RunConfig, {"self": 1, "gain": "x"}))
@example((RunConfig, {f"f{n}": n for n in range(2000)}))
def test_fields_make_a_configuration_or_are_named(given: tuple[type[Config], dict[str, Any]]) -> None:
    kind, fields = given
    config = made(kind, fields)
    if config is None:
        return
    assert config == kind(**config.model_dump()) == config.replace() and hash(config) == hash(config.replace())
    assert kind(**json.loads(config.model_dump_json())) == config
    assert kind(**config.changes()) == config
    if not FILES & config.changes().keys():
        with bounded():
            assert from_query(to_query(config), kind).config == config
            compile(to_python(config), "run.py", "exec")
            assert shlex.split(to_command(config))[0] == "gradlab"


def toml(value: Any) -> str:
    """A value in TOML, or what looks like it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inside)}" for key, inside in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool | float | int) else json.dumps(str(value))


@fuzzed("files of fields")
@given(OF_KIND, st.text(max_size=30) | ENDS)
def test_files_of_fields(given: tuple[type[Config], dict[str, Any]], end: str) -> None:
    kind, fields = given
    text = "".join(f"{json.dumps(name)} = {toml(value)}\n" for name, value in fields.items())
    path = TRAINING.folder(f"{next(NUMBER):08x}") / CONFIG
    path.parent.mkdir(parents=True)
    path.write_bytes((text + end).encode("utf-8", "surrogatepass"))
    found = answer_lines(from_toml, path, kind)
    assert isinstance(found, InputError) or found == kind(**found.changes())
    path.write_text(json.dumps(fields, default=str) + end.strip(), "utf-8", "surrogatepass")
    kept = answer(TRAINING.config, path.parent.name)
    assert kept is None or kept == TrainConfig(**kept.changes())


CONFLICTING = {"bidirectional", "causal", "heads", "hidden_size", "cell", "architecture"}  # not every pair fits


def answer_lines(function: Any, *args: Any) -> Any:
    """As `answer`, of errors with a line for each field."""
    with bounded():
        try:
            return function(*args)
        except InputError as error:
            assert all(len(line) < LONGEST and line.isprintable() for line in str(error).splitlines())
            return error


@fuzzed("analyses")
@given(small(RunConfig))
def test_small_runs_are_analysed_and_saved(fields: dict[str, Any]) -> None:
    config = answer_lines(lambda: RunConfig(**fields))
    if isinstance(config, InputError):
        assert config.fields.keys() <= CONFLICTING
        return
    ds = answer(analyze, config)
    if not isinstance(ds, InputError):
        with bounded():
            assert RunConfig(**json.loads(ds.attrs["config"])) == config
            assert netcdf(ds)[:4] == b"\x89HDF" and verdict(ds).headline
