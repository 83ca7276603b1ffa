"""A RunConfig as a link, as Python and as a command, and back from a link.

A query holds the fields that differ from the defaults and v=1. A file travels as its name and the first 12 hex digits
of its hash (`file=co2.csv&sha=...`), which finds it in the user's file cache; a link never names a path.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .config import ConfigError, RunConfig, controls
from .data import INPUTS, read_file
from .filecache import find, original_name, store

VERSION = "1"
FILE_FIELDS = ("input", "weights")
SHORT = {"input": ("file", "sha"), "weights": ("weights", "weights_sha")}


@dataclass(frozen=True)
class Link:
    """What a query says: the configuration, the pinned ones, what was ignored, and files that are not here.

    missing: field ("input", "weights") -> name of the file to be dropped.
    """

    config: RunConfig
    pins: list[RunConfig] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def file_name(path: str) -> str:
    """The name a person knows a file by: that of the upload for a cached one."""
    return original_name(Path(path))


def to_query(config: RunConfig, pins: tuple[RunConfig, ...] | list[RunConfig] = ()) -> str:
    """The query of a link, without "?"; files are put into the cache."""
    pairs = _pairs(config)
    pairs += [("pin", urlencode(_pairs(pin))) for pin in pins]
    return urlencode([("v", VERSION), *pairs])


def _pairs(config: RunConfig) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in config.changes().items():
        if name in FILE_FIELDS and value not in INPUTS:
            file, sha = SHORT[name]
            label = file_name(value)
            pairs += [(file, label), (sha, store(label, read_file(value)))]
        else:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def from_query(query: str) -> Link:
    """The Link in a query, with or without "?"; what cannot be used is left out, with a notice."""
    pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    notices: list[str] = []
    version = dict(pairs).get("v", VERSION)
    if version != VERSION:
        notices.append(f"This link has version {version}; this gradlab reads version {VERSION}.")
    config, missing = _read([pair for pair in pairs if pair[0] not in ("v", "pin")], notices)
    pins = [_pin(text, notices) for name, text in pairs if name == "pin"]
    return Link(config, [pin for pin in pins if pin is not None], notices, missing)


def _pin(text: str, notices: list[str]) -> RunConfig | None:
    config, missing = _read(parse_qsl(text, keep_blank_values=True), notices)
    notices += [f"A pinned run is left out: it uses {name}, which is not here." for name in missing.values()]
    return None if missing else config


def _read(pairs: list[tuple[str, str]], notices: list[str]) -> tuple[RunConfig, dict[str, str]]:
    given = dict(pairs)
    fields, missing = _files(given)
    fields |= {name: value for name, value in given.items() if name not in _FILE_KEYS | {"input"}}
    if given.get("input") in INPUTS:
        fields["input"] = given["input"]
    elif "input" in given:
        notices.append("Ignored input: a link names no path; upload the file instead.")
    while True:
        try:
            return RunConfig(**fields), missing
        except ConfigError as error:
            for name, message in error.fields.items():
                fields.pop(name)
                notices.append(f"Ignored {name}: {message}" if name in controls() else f"Ignored: {message}")


_FILE_KEYS = {key for keys in SHORT.values() for key in keys}


def _files(given: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, (file, sha) in SHORT.items():
        if file in given:
            path = find(given.get(sha, ""), given[file])
            if path is None:
                missing[name] = given[file]
            else:
                found[name] = str(path)
    return found, missing


def to_python(config: RunConfig) -> str:
    """Python that repeats the run."""
    arguments = ", ".join(f"{name}={_plain(name, value)!r}" for name, value in config.changes().items())
    return (
        f"import gradlab\n\nds = gradlab.analyze({arguments})\n"
        "print(gradlab.verdict(ds))\ngradlab.plots.gradient_flow(ds).show()\n"
    )


def to_command(config: RunConfig) -> str:
    """The command line that repeats the run."""
    options = [
        f"--{name.replace('_', '-')} {shlex.quote(_text(_plain(name, value)))}"
        for name, value in config.changes().items()
    ]
    return " ".join(["gradlab analyze", *options])


def _plain(name: str, value: Any) -> Any:
    """A file under the name that a person knows, as the cache is this machine's own."""
    return file_name(value) if name in FILE_FIELDS and value is not None and value not in INPUTS else value
