"""A configuration as a link, as Python and as a command, and back from a link.

A query holds the fields that differ from the defaults and v=1. A file travels as its name and the first 12 hex digits
of its hash (`file=co2.csv&sha=...`), which finds it in the user's file cache; a link never names a path.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, overload
from urllib.parse import parse_qsl, urlencode

from ..data import INPUTS, read_file
from ..data.uploads import find, original_name, store
from ..errors import readable
from ..wording import exact_text
from . import Config, RunConfig, controls
from .train import TrainConfig

VERSION = "1"
FILE_FIELDS = ("input", "weights")
SHORT = {"input": ("file", "sha"), "weights": ("weights", "weights_sha")}
GROUP = "group"  # which samples of a run a page shows, which is no field of the run
ANY_FIELD = {*controls(RunConfig), *controls(TrainConfig)}  # a link travels between pages, which pass over the others'

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Link(Generic[C]):
    """What a query says: the configuration, the pinned ones, what was ignored, and files that are not here.

    missing: field ("input", "weights") -> name of the file to be dropped.
    """

    config: C
    pins: list[C] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def file_name(path: str) -> str:
    """The name a person knows a file by: that of the upload for a cached one."""
    return original_name(Path(path))


def linked_files(config: Config) -> list[str]:
    """Names of the files of a configuration, copies of which `to_query` puts into the cache."""
    return [file_name(value) for name, value in config.changes().items() if is_file(name, value)]


def is_file(name: str, value: Any) -> bool:
    """Whether a field holds a file, not a name or nothing."""
    return name in FILE_FIELDS and value is not None and value not in INPUTS


def to_query(config: Config, pins: Sequence[Config] = ()) -> str:
    """The query of a link, without "?"; files are put into the cache."""
    pairs = _pairs(config)
    pairs += [("pin", query_of(pin)) for pin in pins]
    return urlencode([("v", VERSION), *pairs])


def _pairs(config: Config) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in config.changes().items():
        if is_file(name, value):
            file, sha = SHORT[name]
            label = file_name(value)
            pairs += [(file, label), (sha, store(label, read_file(value)))]
        else:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: Any) -> str:
    return exact_text(value) if isinstance(value, float) else str(value)


@overload
def from_query(query: str) -> Link[RunConfig]: ...
@overload
def from_query(query: str, kind: type[C]) -> Link[C]: ...
def from_query(query: str, kind: type[Any] = RunConfig) -> Link[Any]:
    """The Link in a query, with or without "?", of a kind of configuration.

    What cannot be used is left out, with a notice; fields that only another kind has, without one.
    """
    pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    notices: list[str] = []
    version = dict(pairs).get("v", VERSION)
    if version != VERSION:
        notices.append(f"This link has version {readable(version)}; this gradlab reads version {VERSION}.")
    config, missing = _read([pair for pair in pairs if pair[0] not in ("v", "pin")], notices, kind)
    pins = [one_of_several(text, notices, kind, "A pinned run") for name, text in pairs if name == "pin"]
    return Link(config, [pin for pin in pins if pin is not None], notices, missing)


def one_of_several(text: str, notices: list[str], kind: type[C], called: str) -> C | None:
    """The configuration in the query of one of several runs; None where its file is not here.

    notices: gets what is left out, and what this run is called there.
    """
    config, missing = _read(parse_qsl(text, keep_blank_values=True), notices, kind)
    notices += [f"{called} is left out: it uses {name}, which is not here." for name in missing.values()]
    return None if missing else config


def _read(pairs: list[tuple[str, str]], notices: list[str], kind: type[C]) -> tuple[C, dict[str, str]]:
    own, given = controls(kind), dict(pairs)
    fields, missing = _files({name: value for name, value in given.items() if SHORT_FIELD.get(name, "input") in own})
    passed_over = {*SHORT_FIELD, "input", GROUP, *(ANY_FIELD - set(own))}
    fields |= {name: value for name, value in given.items() if name not in passed_over}
    generated = own["input"].choices
    if generated and given.get("input") in generated():
        fields["input"] = given["input"]
    elif given.get("input", "noise") not in INPUTS:
        notices.append("Ignored input: a link names no path; upload the file instead.")
    config, wrong = kind.forgiving(fields)
    for name, message in wrong.items():
        notices.append(f"Ignored {name}: {message}" if name in own else f"Ignored: {message}")
    return config, missing


SHORT_FIELD = {key: name for name, keys in SHORT.items() for key in keys}


def _files(given: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, (file, sha) in SHORT.items():
        if file in given:
            path = find(given.get(sha, ""), given[file])
            if path is None:
                missing[name] = readable(given[file])
            else:
                found[name] = str(path)
    return found, missing


def to_python(config: Config) -> str:
    """Python that repeats the run."""
    arguments = _arguments(config)
    if isinstance(config, TrainConfig):
        return (
            f"import gradlab\nfrom gradlab import training\n\nrun = gradlab.train({arguments})\n"
            "ds = training.dataset(run)\ngradlab.plots.training_course(ds).show()\n"
            "gradlab.plots.gradient_flow(training.snapshot_dataset(run)).show()\n"
        )
    return (
        f"import gradlab\n\nds = gradlab.analyze({arguments})\n"
        "print(gradlab.verdict(ds))\ngradlab.plots.gradient_flow(ds).show()\n"
    )


def to_python_together(configs: Mapping[str, TrainConfig]) -> str:
    """Python that repeats training runs and draws them together, under their names."""
    runs = "".join(f"    {name!r}: gradlab.train({_arguments(config)}),\n" for name, config in configs.items())
    return (
        f"import gradlab\nfrom gradlab import training\n\nruns = {{\n{runs}}}\n"
        "seen = [training.dataset(run).assign_attrs(label=name) for name, run in runs.items()]\n"
        "gradlab.plots.training_course(seen[0], seen[1:]).show()\n"
        "looks = [training.snapshot_dataset(run).assign_attrs(label=name) for name, run in runs.items()]\n"
        "gradlab.plots.gradient_flow(looks[0], pins=looks[1:]).show()\n"
    )


def to_python_compared(configs: Mapping[str, RunConfig], seeds: int, equal: str) -> str:
    """Python that compares runs under their names."""
    runs = "".join(f"    {name!r}: RunConfig({_arguments(config)}),\n" for name, config in configs.items())
    return (
        f"import gradlab\nfrom gradlab import RunConfig\n\nruns = {{\n{runs}}}\n"
        f"ds = gradlab.compare(runs, seeds={seeds}, equal={equal!r})\n"
        "print(ds[['slope', 'slope_stderr', 'verdict']].to_dataframe())\ngradlab.plots.comparison(ds).show()\n"
    )


def query_of(config: Config) -> str:
    """One of several runs in a query, as `one_of_several` reads it."""
    return urlencode(_pairs(config))


def _arguments(config: Config) -> str:
    return ", ".join(f"{name}={_plain(name, value)!r}" for name, value in config.changes().items())


def to_command(config: Config) -> str:
    """The command line that repeats the run."""
    command = "gradlab train" if isinstance(config, TrainConfig) else "gradlab analyze"
    return " ".join([command, *(_option(name, value) for name, value in config.changes().items())])


def known(config: Config) -> dict[str, Any]:
    """Field -> value, as a person knows it."""
    return {name: _plain(name, value) for name, value in config}


def _option(name: str, value: Any) -> str:
    option = f"--{name.replace('_', '-')}"
    return option if value is True else f"{option} {shlex.quote(_text(_plain(name, value)))}"


def _plain(name: str, value: Any) -> Any:
    """A file under the name that a person knows, as the cache is this machine's own."""
    return file_name(value) if is_file(name, value) else value
