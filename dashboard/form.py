"""The form as data: raw values of the controls <-> RunConfig, and which control shows what.

A raw value is what a component holds: a number, a name, "" for an emptied field, and for an uploaded file its key, its
name in the file cache. Paths never come from the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from gradlab.config import ConfigError, RunConfig, controls
from gradlab.data import INPUTS
from gradlab.errors import InputError
from gradlab.filecache import find, original_name

from . import ids

Kind = Literal["number", "choice", "file", "column", "seed", "text"]
FILES = ("input", "weights")
LONG_LABEL = 18  # letters of a choice from which on it gets a line of its own


@cache
def kind(name: str) -> Kind:
    """How a field is set, from its type and metadata."""
    control = controls()[name]
    if name in FILES:
        return "file"
    if control.choices:
        return "choice"
    if control.min is not None:
        return "number"
    types = get_args(_annotation(name)) or (_annotation(name),)
    return "seed" if types == (int,) else "text" if float in types else "column"


def _annotation(name: str) -> Any:
    return RunConfig.model_fields[name].annotation


@cache
def word(name: str) -> str | None:
    """The word that a numeric field takes instead of a number, if it takes one."""
    literals = [t for t in get_args(_annotation(name)) if get_origin(t) is Literal]
    return get_args(literals[0])[0] if literals else None


@cache
def properties() -> dict[str, str]:
    """Key of every component that holds a value -> the property that holds it."""
    words = {ids.word(name): "checked" for name in controls() if word(name)}
    return dict.fromkeys(controls(), "value") | words


@dataclass(frozen=True)
class Form:
    """What the controls say. config: with defaults in place of what is wrong. errors: field -> message."""

    config: RunConfig
    errors: dict[str, str] = field(default_factory=dict)


def read(raw: Mapping[str, Any]) -> Form:
    """The Form that raw values make; a wrong value in a hidden control is no error, it counts as the default."""
    fields, errors = _fields(raw)
    try:
        config = RunConfig(**fields)
    except ConfigError as error:
        errors |= error.fields
        config = RunConfig(**{name: value for name, value in fields.items() if name not in errors})
    if beyond := config.beyond_limits():
        errors |= beyond
        config = config.replace(**{name: RunConfig.model_fields[name].default for name in beyond})
    return Form(config, {name: text for name, text in errors.items() if applies(name, config)})


def _fields(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    fields: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name in controls():
        try:
            fields[name] = _value(name, raw)
        except InputError as error:
            errors[name] = str(error)
    return fields, errors


def _value(name: str, raw: Mapping[str, Any]) -> Any:
    value = raw.get(name)
    if word(name) and raw.get(ids.word(name)):
        return word(name)
    if kind(name) == "file":
        return file_path(value)
    if kind(name) == "column":
        return value or None
    if value is None or value == "":
        raise InputError("expected a value, got an empty field")
    return value


def file_path(key: str | None) -> str | None:
    """The input's name, or the path of the cached file that a key stands for; InputError where it is gone."""
    if not key or key in INPUTS:
        return key or None
    sha, _, name = key.partition("-")
    if path := find(sha, name):
        return str(path)
    raise InputError(f"{name or key} is no longer kept; drop the file again")


def file_key(value: str | None) -> str | None:
    """The raw value of `input` or `weights`: a path's last part, a name or None as it is."""
    return value if value is None or value in INPUTS else Path(value).name


_RAW: dict[Kind, Callable[[Any], Any]] = {
    "file": file_key,
    "text": lambda value: f"{value:g}" if isinstance(value, float) else value,
}


def file_label(key: str) -> str:
    """A key as a person reads it."""
    return key if key in INPUTS else original_name(Path(key))


def raw(config: RunConfig) -> dict[str, Any]:
    """Key -> raw value. A number that is a word shows the field's default below it."""
    values: dict[str, Any] = {}
    for name, value in config:
        values[name] = _RAW.get(kind(name), lambda plain: plain)(value)
        if word(name):
            values[ids.word(name)] = value == word(name)
            values[name] = RunConfig.model_fields[name].default if value == word(name) else value
    return values


def applies(name: str, config: RunConfig) -> bool:
    """Whether the control does anything."""
    return controls()[name].applies_if(config)


def changed(config: RunConfig, base: RunConfig) -> set[str]:
    """Fields that differ from those of the preset."""
    return {name for name, value in config if value != getattr(base, name)}


def class_names(config: RunConfig, base: RunConfig) -> dict[str, str]:
    """Field -> CSS classes of its block: hidden where it does not apply, marked where it differs from the preset."""
    different = changed(config, base)

    def classes(name: str) -> str:
        states = {
            "hidden": not applies(name, config),
            "changed": name in different,
            "wide": max(map(len, (controls()[name].labels or {}).values()), default=0) > LONG_LABEL,
            "is-word": bool(word(name)) and getattr(config, name) == word(name),
        }
        return " ".join(["field", kind(name), *(state for state, on in states.items() if on)])

    return {name: classes(name) for name in controls()}
