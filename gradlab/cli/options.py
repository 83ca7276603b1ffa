"""Options under headings, and one option per field of RunConfig."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from ..config import Control, RunConfig, controls
from ..terminal import option_name

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


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """One option per field of RunConfig; values stay text, which RunConfig checks and converts."""
    for field, control in reversed(controls().items()):
        words = {"metavar": _metavar(field, control), "help": _help(field, control)}
        command = option(option_name(field), field, group=control.group.capitalize(), **words)(command)
    return command


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
