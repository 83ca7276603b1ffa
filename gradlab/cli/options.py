"""Options under headings, and one option per field of RunConfig."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import click

from ..config import ConfigError, Control, RunConfig, controls, from_toml
from ..errors import InputError
from ..presets import PRESETS
from ..terminal import Terminal, option_name

METAVARS = {"input": "NAME|FILE", "weights": "FILE", "clip_threshold": "NUMBER|MULTIPLE"}
VALUES = {int: "INTEGER", float: "NUMBER", str: "TEXT"}

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


class GroupedOption(click.Option):
    """An option that knows under which heading of the help it stands."""

    def __init__(self, *names: Any, group: str, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help has its options under headings."""

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


def config_options(command: Callable[..., None], without: str = "") -> Callable[..., None]:
    """One option per field of RunConfig, but for the group `without`; values stay text, which RunConfig converts."""
    for field, control in reversed(controls().items()):
        if control.group != without:
            command = field_option(field)(command)
    return command


def field_option(field: str) -> Decorator:
    """The option of one field of RunConfig."""
    control = controls()[field]
    words = {"metavar": _metavar(field, control), "help": _help(field, control)}
    return option(option_name(field), field, group=control.group.capitalize(), **words)


def _metavar(field: str, control: Control) -> str:
    if field in METAVARS or control.choices:
        return METAVARS.get(field, "NAME")
    annotation = RunConfig.model_fields[field].annotation
    parts = [word for part in get_args(annotation) or (annotation,) for word in get_args(part) or (part,)]
    return "|".join(VALUES.get(part, str(part)) for part in parts if part is not type(None))


def _help(field: str, control: Control) -> str:
    names = control.choices() if control.choices else []
    default = RunConfig.model_fields[field].default
    extras = [] if all(name in control.help for name in names) else [", ".join(names)]
    extras += [] if default is None else [f"default: {default}"]
    return f"{control.help}  [{'; '.join(extras)}]" if extras else control.help


def read_config(
    preset: str | None, file: Path | None, options: Mapping[str, str | None], terminal: Terminal
) -> RunConfig:
    """The preset's fields, over them the file's, over them the options; a note on options that do not apply."""
    given = {field: text for field, text in options.items() if text is not None}
    fields: dict[str, Any] = dict(PRESETS[preset].fields) if preset else {}
    if file:
        try:
            fields |= from_toml(file).model_dump(exclude_unset=True)
        except ConfigError as error:
            raise InputError("\n".join(f"{file}: {line}" for line in str(error).splitlines())) from None
    config = RunConfig(**(fields | given))
    for field in given:
        if not controls()[field].applies_if(config):
            terminal.note(f"{option_name(field)} does not apply to this run and is ignored")
    return config


def as_json_text(value: Any) -> str:
    """A result as JSON, with null for numbers that JSON does not have."""
    return json.dumps(_finite(value), indent=2)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
