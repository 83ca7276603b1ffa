"""`gradlab list`: every registered name with a line on each."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable

import click

from ..cells import CELLS
from ..cells.activations import ACTIVATIONS
from ..cells.initializers import INITIALIZERS
from ..config import CLIP_LABELS, LOSSES
from ..config.presets import PRESETS
from ..data import INPUTS
from ..engine.step_clipping import STEP_MODES
from ..learning.clipping import CLIPPERS
from ..learning.optimizers import OPTIMIZERS, SCHEDULES
from ..quantities import QUANTITIES, Quantity
from ..registry import unknown
from ..tasks import TASKS
from .terminal import UNLIMITED


def _described(q: Quantity) -> str:
    return f"{q.long_name} (on request: {q.request})" if q.request else q.long_name


def _clip_modes() -> dict[str, str]:
    modes = CLIPPERS.describe() | STEP_MODES.describe()
    labels = {"agc": "update, in training", "autoclip": "update, in training"} | CLIP_LABELS
    return modes | {name: f"{labels[name]}: {text}" for name, text in modes.items() if name != "off"}


KINDS: dict[str, tuple[str, Callable[[], dict[str, str]]]] = {
    "cells": ("Cells (--cell)", CELLS.describe),
    "activations": ("Activations (--activation)", ACTIVATIONS.describe),
    "initializers": ("Recurrent initializers (--recurrent-init)", INITIALIZERS.describe),
    "inputs": ("Inputs (--input; or a file)", INPUTS.describe),
    "losses": ("Losses (--loss)", lambda: LOSSES),
    "clipping": ("Clipping modes (--clip)", _clip_modes),
    "tasks": ("Tasks (train --task)", TASKS.describe),
    "optimizers": ("Optimizers (train --optimizer)", OPTIMIZERS.describe),
    "schedules": ("Schedules of the learning rate (train --schedule)", SCHEDULES.describe),
    "presets": ("Presets (--preset)", lambda: {name: f"{p.label} - {p.help}" for name, p in PRESETS.items()}),
    "quantities": ("Recorded quantities", lambda: {name: _described(q) for name, q in QUANTITIES.items()}),
}


@click.command("list", short_help="Show every name that gradlab knows.", epilog=f"Kinds: {', '.join(KINDS)}.")
@click.argument("kind", required=False)
def list_names(kind: str | None) -> None:
    """Show every name that gradlab knows, or those of one KIND, with a line on each."""
    if kind is not None and kind not in KINDS:
        raise unknown("kind", kind, list(KINDS))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED
    text = click.HelpFormatter(width=width)
    for title, names in KINDS.values() if kind is None else [KINDS[kind]]:
        with text.section(title):
            text.write_dl([(name, line.rstrip(".")) for name, line in names().items()])
    click.echo(text.getvalue().strip())
