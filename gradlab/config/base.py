"""What every configuration is made of: fields with the metadata of their controls, one message per wrong field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from ..errors import InputError, echo, readable
from ..registry import unknown

KINDS = {"recurrent_init": "recurrent initializer", "clip": "clipping mode", "dtype": "precision"}
MOST = 10**9  # of anything that is counted: beyond it no time and no memory suffices
LINES = 40  # of an error, more than there are fields
GROUPS = ("network", "weights", "data", "gradient", "training", "run")  # of controls, in the order of forms


@dataclass(frozen=True)
class Control:
    """How a person sets one field: wording, place, range, and when it applies.

    level: "basic" is always visible, "more" stands under More. min, max, step: the slider's, where there is one; limit:
    the largest value the app accepts (the engine has none). choices: the names a registry holds; files: whether a
    file may stand in their place.
    """

    label: str
    help: str
    group: str
    level: Literal["basic", "more"] = "more"
    min: float | None = None
    max: float | None = None
    step: float | None = None
    limit: float | None = None
    choices: Callable[[], list[str]] | None = None
    labels: Mapping[str, str] | None = None
    files: bool = False
    applies_if: Callable[[Any], bool] = lambda config: True


def field(default: Any, label: str, help: str, group: str, **control: Any) -> Any:
    """A field of a configuration with its control; ge, gt and le bound its value."""
    bounds = {key: control.pop(key) for key in ("ge", "gt", "le") if key in control}
    extra: Any = {"control": Control(label, help, group, **control)}
    return Field(default, description=help, json_schema_extra=extra, **bounds)


class Config(BaseModel):
    """A validated, immutable configuration. Raises ConfigError that lists every wrong or unknown field at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, **fields: Any) -> None:
        valid = list(controls_of(type(self)))
        wrong = {name: str(unknown("field", name, valid)) for name in fields if name not in valid}
        try:
            super().__init__(**{name: value for name, value in fields.items() if name not in wrong})
        except ValidationError as error:
            wrong = _messages(error) | wrong
        if wrong := wrong or self.conflicts():
            raise ConfigError(wrong) from None

    @classmethod
    def forgiving(cls, fields: Mapping[str, Any]) -> tuple[Self, dict[str, str]]:
        """The configuration with defaults in place of what is wrong, and what that is: field -> message."""
        wrong: dict[str, str] = {}
        while True:
            try:
                return cls(**{name: value for name, value in fields.items() if name not in wrong}), wrong
            except ConfigError as error:
                wrong |= error.fields

    def conflicts(self) -> dict[str, str]:
        """Field that was given -> message, where fields exclude each other that would do alone."""
        return {}

    @field_validator("*")
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        """A registered name, where the field is one and takes no files besides."""
        name = str(info.field_name)
        control = controls_of(cls)[name]
        if control.choices and not control.files and value not in control.choices():
            raise unknown(KINDS.get(name, name), value, control.choices(), name)
        return value

    @field_validator("*")
    @classmethod
    def _unicode(cls, value: Any) -> Any:
        """No text that JSON, netCDF and a link cannot hold, as a file's name of other bytes than UTF-8's."""
        try:
            if isinstance(value, str):
                value.encode()
            return value
        except UnicodeEncodeError:
            raise InputError(f"expected text in UTF-8, got {echo(value)}; rename what is called so") from None

    @field_validator("*")
    @classmethod
    def _without_sign(cls, value: Any, info: ValidationInfo) -> Any:
        """No -0.0 where numbers begin at 0: NumPy takes it for a negative standard deviation."""
        bounds = cls.model_fields[str(info.field_name)].metadata
        if value == 0 and math.copysign(1, value) < 0 and any(getattr(bound, "ge", None) == 0 for bound in bounds):
            raise InputError(f"expected at least 0, got {value}")
        return value

    def changes(self) -> dict[str, Any]:
        """The fields that differ from the defaults."""
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return {name: getattr(self, name) for name in controls_of(type(self)) if getattr(self, name) != defaults[name]}

    def beyond_limits(self) -> dict[str, str]:
        """Field -> message for sizes larger than the app accepts; empty when all fit."""
        return {
            name: f"at most {c.limit:,.0f} in the app, got {getattr(self, name):,}; the library has no limit"
            for name, c in controls_of(type(self)).items()
            if c.limit is not None and getattr(self, name) > c.limit
        }

    def replace(self, /, **fields: Any) -> Self:
        """A copy with other values, validated."""
        return type(self)(**{**self.model_dump(), **fields})


class ConfigError(InputError):
    """Wrong fields of a configuration; `fields` maps each to its message, `field` is the only one there is.

    As a text it has a line for each of the first ones.
    """

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("", next(iter(fields)) if len(fields) == 1 else None)
        self._fields = {name: readable(message) for name, message in fields.items()}
        self.args = (self._fields,)  # what a copy in another process is made from

    def __str__(self) -> str:
        lines = [readable(f"{name}: {message}") for name, message in self._fields.items()]
        more = [f"and {len(lines) - LINES:,} more"] if len(lines) > LINES else []
        return "\n".join(lines[:LINES] + more)

    @property
    def fields(self) -> dict[str, str]:
        """Field -> message."""
        return self._fields


def _messages(error: ValidationError) -> dict[str, str]:
    messages: dict[str, str] = {}
    for problem in error.errors():
        name = str(problem["loc"][0])
        if problem["type"] == "value_error":
            text = problem["msg"].removeprefix("Value error, ")
        else:
            text = f"expected {_expectation(problem)}, got {echo(problem['input'])}"
        messages[name] = (
            f"{messages[name].partition(', got')[0]} or {text.removeprefix('expected ')}" if name in messages else text
        )
    return messages


_EXPECTED = {"finite": "a finite number", "float": "a number", "int": "a whole number", "string": "text"}
_BOUNDS = {"greater_than_equal": "at least", "greater_than": "more than", "less_than_equal": "at most"}


def _expectation(problem: Mapping[str, Any]) -> str:
    """What a field would have taken, in words."""
    if problem["type"] in _BOUNDS:
        return f"{_BOUNDS[problem['type']]} {next(iter(problem['ctx'].values())):,}"
    if problem["type"] == "literal_error":
        return str(problem["ctx"]["expected"])
    return _EXPECTED.get(problem["type"].partition("_")[0], problem["msg"].lower())


def controls_of(config: type[Config]) -> dict[str, Control]:
    """Field name -> Control, in the order of the form."""
    found: dict[str, Control] = {
        name: field.json_schema_extra["control"]  # type: ignore[index, misc]
        for name, field in config.model_fields.items()
    }
    return dict(sorted(found.items(), key=lambda item: GROUPS.index(item[1].group)))
