"""`gradlab lyapunov`: the Lyapunov spectrum of one network under its input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.table import Table

from ..arrays import Array, namespace
from ..cells import Cell
from ..config import RunConfig
from ..data import input_text
from ..errors import InputError, echo
from ..products.lyapunov import LyapunovSpectrum, default_warmup, lyapunov, piece_steps
from ..wording import counted
from .options import GroupedCommand, as_json_text, config_options, flag, number_text, option, read_config, start_options
from .terminal import Terminal

SHOWN = 20  # exponents in the table


def count(*names: str, help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option that takes a whole number; what it may be, the engine knows."""
    return option(*names, group="Spectrum", type=int, metavar="INTEGER", help=help)


@click.command("lyapunov", cls=GroupedCommand, short_help="Measure the Lyapunov exponents of one network.")
@count("--exponents", "k", help="Only the leading ones  [default: all]")
@count("--every", help="Steps between orthonormalisations, fewer where digits would be lost  [default: as many as fit]")
@count("--warmup", help="Steps that are run but not counted  [default: a tenth, at most 1000]")
@start_options
@partial(config_options, without="gradient")
@flag("--json", "as_json", help="Print one JSON object; null stands for infinite and missing numbers")
@flag("-q", "--quiet", help="Print the headline only, or the JSON; no notes and no progress")
@flag("--debug", help="Show where in the code an error arose", expose_value=False)
def lyapunov_command(
    k: int | None,
    every: int | None,
    warmup: int | None,
    preset: str | None,
    config_file: Path | None,
    as_json: bool,
    quiet: bool,
    **options: str | None,
) -> None:
    """Measure at which rates two copies of a network under the same input drift apart, or come together.

    The largest rate above 0 is chaos, and what a gradient grows by per step in the long run. Noise is drawn as it is
    used, so that a million --steps fit the memory.

    \b
    Examples:
      gradlab lyapunov --gain 2 --input-scale 0.1 --steps 5000 --batch-size 4
      gradlab lyapunov --cell lstm --steps 100000 --batch-size 1 --exponents 8 --json
    """  # noqa: D301 - click takes the character itself as the mark of a paragraph that keeps its lines
    terminal = Terminal(stderr=True, quiet=quiet)
    config = read_config(preset, config_file, options, terminal)
    with terminal.progress() as working_on, terminal.warnings_as_notes():
        cell, found = _measure(config, k, every, warmup, working_on)
        if said := input_text(config.input, config.column, config.frames):
            terminal.note(said)
    if as_json:
        click.echo(as_json_text(_summary(found, cell, config)))
    elif quiet:
        Terminal().say(headline(found))
    else:
        _print_report(found, cell, config)


def _measure(
    config: RunConfig, k: int | None, every: int | None, warmup: int | None, working_on: Callable[[str], None]
) -> tuple[str, LyapunovSpectrum]:
    """The cell in words, and its spectrum."""
    from ..runs.build import stream
    from ..runs.cost import require_memory

    warmup = default_warmup(config.steps) if warmup is None else warmup
    if warmup >= config.steps:
        raise InputError(f"warmup: expected fewer than the {config.steps} steps, got {echo(warmup)}", "warmup")
    piece = piece_steps(every)
    require_memory(config.replace(steps=min(config.steps, piece)))
    cell, params, chunks = stream(config, piece)
    told = _told(chunks, config.steps, working_on)
    start = _start(cell, params, config)
    return repr(cell), lyapunov(cell, params, told, k=k, every=every, warmup=warmup, initial_state=start)


def _start(cell: Cell, params: Mapping[str, Array], config: RunConfig) -> Array:
    """Random states, for zero is often a fixed point that a net with little input would never leave."""
    shape = len(cell.states), config.batch_size, cell.hidden_size
    drawn = np.random.default_rng(config.seed).normal(size=shape)
    return namespace(params["W_hh"]).asarray(drawn, dtype=params["W_hh"].dtype)


def _told(chunks: Iterator[Array], steps: int, working_on: Callable[[str], None]) -> Iterator[Array]:
    """The chunks, with the share done as they are taken."""
    done = 0
    for chunk in chunks:
        working_on(f"{100 * done / steps:.0f} % of {counted(steps, 'step')}")
        yield chunk
        done += len(chunk)


def headline(found: LyapunovSpectrum) -> str:
    """Whether the net is chaotic, in one sentence."""
    from ..wording import factor_text

    largest = float(found.exponents[0])
    if abs(largest) < 2 * float(found.stderr[0]):
        return f"On the edge of chaos: the largest exponent is {_number(largest)}, within two standard errors of 0."
    word = "Chaotic" if largest > 0 else "Not chaotic"
    return f"{word}: the largest exponent is {_number(largest)}, {factor_text(largest)} per step."


_number = partial(number_text, digits=".4f", missing="-")
_short = partial(number_text, digits=".3g", missing="unknown")


def _print_report(found: LyapunovSpectrum, cell: str, config: RunConfig) -> None:
    out = Terminal()
    out.say(headline(found), "bold")
    out.say(f"Kaplan-Yorke dimension: {_short(float(found.kaplan_yorke))}")
    entropy = _short(float(found.entropy_rate))
    out.say(f"Entropy rate: {entropy}" + ("" if np.isnan(found.entropy_rate) else " nats per step"))
    out.say("The spectrum has converged." if found.converged else "The spectrum has not converged.")
    for note in found.notes:
        out.note(note)
    over = f"{counted(found.steps, 'step')} after {found.warmup:,} not counted"
    samples = counted(config.batch_size, "sample")
    out.say(f"\n{cell}, {over}, {samples} of {Path(config.input).name}; nats per step\n")
    out.print(_table(found))


def _summary(found: LyapunovSpectrum, cell: str, config: RunConfig) -> dict[str, Any]:
    names = ("exponents", "stderr", "spread", "samples", "running", "running_steps", "kaplan_yorke", "entropy_rate")
    return {
        "headline": headline(found),
        **{name: getattr(found, name).tolist() for name in names},
        **{name: getattr(found, name) for name in ("steps", "warmup", "every", "converged", "notes")},
        "cell": cell,
        "config": config.model_dump(exclude={"loss", "clip", "clip_threshold"}),
    }


def _table(found: LyapunovSpectrum) -> Table:
    """The leading exponents, and the last one."""
    from ..wording import factor_text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("index", "exponent", "standard error", "spread over samples", "factor per step"):
        shown.add_column(title, justify="right", vertical="bottom")
    last = len(found.exponents) - 1
    for i in [*range(min(SHOWN, last)), last]:
        numbers = (float(values[i]) for values in (found.exponents, found.stderr, found.spread))
        if i == last > SHOWN:
            shown.add_row(*["..."] * 5)
        shown.add_row(str(i + 1), *map(_number, numbers), factor_text(float(found.exponents[i])))
    return shown
