"""The form as data: raw values of the controls <-> configuration, and which control shows what.

The functions take the kind of configuration, RunConfig unless another is named.

A raw value is what a component holds: a number, a name, "" for an emptied field, and for an uploaded file its key, its
name in the file cache. Paths never come from the page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, overload

from gradlab.config import Config, RunConfig, controls
from gradlab.config.train import TrainConfig
from gradlab.data import INPUTS
from gradlab.data.uploads import find, key_name
from gradlab.errors import InputError, echo
from gradlab.wording import exact_text

from . import ids

Kind = Literal["number", "choice", "file", "column", "seed", "text", "switch"]
C = TypeVar("C", bound=Config)
FILES = ("input", "weights")
PAGES: dict[type[Config], ids.Ids] = {RunConfig: ids.EXPLORE, TrainConfig: ids.TRAIN}  # where each has its controls
SAFE = 2**53 - 1  # the largest whole number that a browser holds exactly; larger ones travel as text
LONG_LABEL = 18  # letters of a choice beyond which it gets a line of its own


def key(name: str, of: type[Config] = RunConfig) -> str:
    """What ids of a field's components are made from: kinds of configuration share names of fields."""
    return f"{PAGES[of].prefix}{name}"


@cache
def kind(name: str, of: type[Config] = RunConfig) -> Kind:
    """How a field is set, from its type and metadata."""
    control, types = controls(of)[name], _types(name, of)
    if name in FILES:
        return "file"
    if control.choices:
        return "choice"
    if control.min is not None:
        return "number"
    if types == (bool,):
        return "switch"
    if types == (int,):
        return "seed"
    return "column" if name == "column" else "text"


def whole(name: str, of: type[Config] = RunConfig) -> bool:
    """Whether a field takes whole numbers only."""
    types = _types(name, of)
    return int in types and float not in types


def _types(name: str, of: type[Config]) -> tuple[Any, ...]:
    annotation = of.model_fields[name].annotation
    return get_args(annotation) or (annotation,)


@cache
def word(name: str, of: type[Config] = RunConfig) -> str | None:
    """The word that a numeric field takes instead of a number, if it takes one."""
    literals = [t for t in _types(name, of) if get_origin(t) is Literal]
    return get_args(literals[0])[0] if literals else None


@cache
def properties(of: type[Config] = RunConfig) -> dict[str, str]:
    """Key of every component that holds a value -> the property that holds it."""
    held = {name: "checked" if kind(name, of) == "switch" else "value" for name in controls(of)}
    return held | {ids.word(name): "checked" for name in controls(of) if word(name, of)}


@dataclass(frozen=True)
class Form(Generic[C]):
    """What the controls say. config: with defaults in place of what is wrong. errors: field -> message."""

    config: C
    errors: dict[str, str] = field(default_factory=dict)


@overload
def read(raw: Mapping[str, Any]) -> Form[RunConfig]: ...
@overload
def read(raw: Mapping[str, Any], of: type[C]) -> Form[C]: ...
def read(raw: Mapping[str, Any], of: type[Any] = RunConfig) -> Form[Any]:
    """The Form that raw values make; a wrong value in a hidden control is no error, it counts as the default."""
    fields, errors = _fields(raw, of)
    config, wrong = of.forgiving(fields)
    errors |= wrong
    if beyond := config.beyond_limits():
        errors |= beyond
        config = config.replace(**{name: of.model_fields[name].default for name in beyond})
    return Form(config, {name: text for name, text in errors.items() if applies(name, config)})


def _fields(raw: Mapping[str, Any], of: type[Config]) -> tuple[dict[str, Any], dict[str, str]]:
    fields: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name in controls(of):
        try:
            fields[name] = _value(name, raw, of)
        except InputError as error:
            errors[name] = str(error)
    return fields, errors


def _value(name: str, raw: Mapping[str, Any], of: type[Config]) -> Any:
    value = raw.get(name)
    if word(name, of) and raw.get(ids.word(name)):
        return word(name, of)
    if kind(name, of) == "file":
        return file_path(value)
    if value is None or value == "":
        if type(None) in _types(name, of):
            return None
        raise InputError("expected a value, got an empty field")
    return value


def file_path(key: Any) -> str | None:
    """The input's name, or the path of the cached file that a key stands for; InputError where there is none."""
    if not key:
        return None
    if not isinstance(key, str):
        raise InputError(f"expected a file, got {echo(key)}; drop it again")
    if key in INPUTS:
        return key
    sha, _, name = key.partition("-")
    if path := find(sha, name):
        return str(path)
    raise InputError(f"{name or key} is no longer kept; drop the file again")


def file_key(value: str | None) -> str | None:
    """The raw value of `input` or `weights`: a path's last part, a name or None as it is."""
    return value if value is None or value in INPUTS else Path(value).name


_RAW: dict[Kind, Callable[[Any], Any]] = {
    "file": file_key,
    "text": lambda value: exact_text(value) if isinstance(value, float) else value or "",
    "seed": lambda value: value if value <= SAFE else str(value),
}


def file_label(key: str) -> str:
    """A key as a person reads it."""
    return key if key in INPUTS else key_name(key)


def raw(config: Config) -> dict[str, Any]:
    """Key -> raw value. A number that is a word shows the field's default below it."""
    values: dict[str, Any] = {}
    of = type(config)
    for name, value in config:
        values[name] = _RAW.get(kind(name, of), lambda plain: plain)(value)
        if word(name, of):
            values[ids.word(name)] = value == word(name, of)
            values[name] = of.model_fields[name].default if value == word(name, of) else value
    return values


def applies(name: str, config: Config) -> bool:
    """Whether the control does anything."""
    return controls(type(config))[name].applies_if(config)


def changed(config: C, base: C) -> set[str]:
    """Fields that differ from those of the preset."""
    return {name for name, value in config if value != getattr(base, name)}


def class_names(config: C, base: C) -> dict[str, str]:
    """Field -> CSS classes of its block: hidden where it does not apply, marked where it differs from the preset."""
    different, of = changed(config, base), type(config)

    def classes(name: str) -> str:
        states = {
            "hidden": not applies(name, config),
            "changed": name in different,
            "wide": max(map(len, (controls(of)[name].labels or {}).values()), default=0) > LONG_LABEL,
            "is-word": bool(word(name, of)) and getattr(config, name) == word(name, of),
        }
        return " ".join(["field", kind(name, of), *(state for state, on in states.items() if on)])

    return {name: classes(name) for name in controls(of)}


def looks(filled: Form[C], base: C) -> dict[str, dict[str, Any]]:
    """Component id -> properties: classes and message of every control, and More opened where one in it is wrong."""
    of = type(filled.config)
    classes = {ids.field(key(name, of)): {"className": text} for name, text in class_names(filled.config, base).items()}
    messages = {ids.control(key(name, of)): {"error": filled.errors.get(name, "")} for name in controls(of)}
    hidden = any(controls(of)[name].level == "more" for name in filled.errors)
    return classes | messages | ({PAGES[of].more: {"open": True}} if hidden else {})


def told(error: InputError, labels: Mapping[str, str]) -> str:
    """An error with the labels of the fields that it is about, where they have some."""
    told = [f"{labels[name]}: {text}" for name, text in error.fields.items() if name in labels]
    return " ".join(told) or str(error)
