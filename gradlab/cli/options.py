"""Options under headings, and one option per field of a configuration."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from ..config import Config, ConfigError, Control, RunConfig, controls, from_toml
from ..config.presets import PRESETS
from ..errors import InputError
from .terminal import Terminal, option_name

VALUES = {int: "INTEGER", float: "NUMBER", str: "TEXT"}
MULTIPLE = "NUMBER|MULTIPLE"  # where a text is taken beside a number

C = TypeVar("C", bound=Config)
Decorator = Callable[[Callable[..., None]], Callable[..., None]]


class GroupedOption(click.Option):
    """An option that knows under which heading of the help it stands."""

    def __init__(self, *names: Any, group: str, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help has its options under headings, and whose errors name the options that they are about."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. Raises InputError with an option in place of the field, or argument, that the option sets."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            options = {option.name: max(option.opts, key=len) for option in self.get_params(ctx)}
            if not error.fields.keys() & options.keys():
                raise
            raise ConfigError({options.get(field, field): text for field, text in error.fields.items()}) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options group by group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if record := option.get_help_record(ctx):
                groups.setdefault(getattr(option, "group", "Help"), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def option(*names: str, group: str, **attributes: Any) -> Decorator:
    """An option under the heading `group`."""
    return click.option(*names, cls=GroupedOption, group=group, **attributes)


def file_option(*names: str, group: str, help: str) -> Decorator:
    """An option that names a file."""
    return option(*names, group=group, help=help, metavar="FILE", type=click.Path(path_type=Path, readable=False))


def flag(*names: str, help: str, **attributes: Any) -> Decorator:
    """A switch under Output."""
    return option(*names, group="Output", help=help, is_flag=True, **attributes)


def start_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name a whole configuration: preset, config_file."""
    toml = "A TOML file of fields, such as: hidden_size = 32"
    command = file_option("--config", "config_file", group="Start from", help=toml)(command)
    named = "A named configuration; gradlab list presets shows them"
    return option("--preset", group="Start from", metavar="NAME", help=named)(command)


def config_options(
    command: Callable[..., None], without: str = "", config: type[Config] = RunConfig
) -> Callable[..., None]:
    """One option per field of a configuration, but for the group `without`; values stay text, which it converts."""
    for field, control in reversed(controls(config).items()):
        if control.group != without:
            command = field_option(field, config)(command)
    return command


def field_option(field: str, config: type[Config] = RunConfig) -> Decorator:
    """The option of one field of a configuration."""
    control, info = controls(config)[field], config.model_fields[field]
    words: dict[str, Any] = {"help": _help(control, info.default)}
    if info.annotation is bool:
        words |= {"is_flag": True, "flag_value": "true", "default": None}
    else:
        words |= {"metavar": _metavar(control, info.annotation)}
    return option(option_name(field), field, group=control.group.capitalize(), **words)


def _metavar(control: Control, annotation: Any) -> str:
    if control.files:
        return "NAME|FILE" if control.choices else "FILE"
    if control.choices:
        return "NAME"
    parts = [word for part in get_args(annotation) or (annotation,) for word in get_args(part) or (part,)]
    kinds = [part for part in parts if part is not type(None)]
    return MULTIPLE if kinds == [float, str] else "|".join(VALUES.get(part, str(part)) for part in kinds)


def _help(control: Control, default: Any) -> str:
    names = control.choices() if control.choices else []
    extras = [] if all(name in control.help for name in names) else [", ".join(names)]
    extras += [] if default is None or default is False else [f"default: {default}"]
    return f"{control.help}  [{'; '.join(extras)}]" if extras else control.help


def read_config(
    preset: str | None, file: Path | None, options: Mapping[str, str | None], terminal: Terminal
) -> RunConfig:
    """The preset's fields, over them the file's, over them the options; a note on options that do not apply."""
    fields: dict[str, Any] = dict(PRESETS[preset].fields) if preset else {}
    return layered(RunConfig, fields, file, options, terminal)


def layered(
    config: type[C], fields: Mapping[str, Any], file: Path | None, options: Mapping[str, str | None], terminal: Terminal
) -> C:
    """`fields`, over them a TOML file's, over them the options; a note on options that do not apply."""
    given = {field: text for field, text in options.items() if text is not None}
    from_file = {}
    if file:
        try:
            from_file = from_toml(file, config).model_dump(exclude_unset=True)
        except ConfigError as error:
            raise ConfigError({f"{file}: {field}": text for field, text in error.fields.items()}) from None
    found = config(**{**fields, **from_file, **given})
    for field in given:
        if not controls(config)[field].applies_if(found):
            terminal.note(f"{option_name(field)} does not apply to this run and is ignored")
    return found


def number_text(value: float, digits: str, missing: str) -> str:
    """A number in the given format, or a word for NaN."""
    return missing if math.isnan(value) else format(value, digits)


def as_json_text(value: Any) -> str:
    """A result as JSON, with null for numbers that JSON does not have."""
    return json.dumps(_finite(value), indent=2)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
