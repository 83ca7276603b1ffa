"""The command line; one command per file of this package.

stdout carries the result, stderr what is said about it. Exit codes: 0 done, 1 failure, 2 bad input, 130 cancelled.
"""

from __future__ import annotations

from typing import NoReturn

import click

from ..version import __version__
from .analyze import analyze_command
from .convert import convert_command
from .lyapunov import lyapunov_command
from .names import list_names
from .terminal import Commands
from .theory import theory_command
from .train import train_command


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, message="gradlab %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """See how the gradient of a recurrent network vanishes, holds or explodes on its way back through time."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (analyze_command, lyapunov_command, theory_command, train_command, convert_command, list_names):
    cli.add_command(command)


def main() -> NoReturn:
    """The command `gradlab`."""
    cli.main()
