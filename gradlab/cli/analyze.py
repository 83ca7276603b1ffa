"""`gradlab analyze`: one network, measured; verdict, table, files."""

from __future__ import annotations

import math
import os
import shlex
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from ..cells import CELLS
from ..config import CLIP_LABELS, UPDATE_CLIPS, RunConfig, controls
from ..errors import InputError
from ..runs.attributes import overflow, text_of
from ..runs.saving import FORMATS
from ..wording import counted
from .options import GroupedCommand, as_json_text, config_options, file_option, flag, read_config, start_options
from .terminal import OutputFile, Terminal

if TYPE_CHECKING:  # xarray, and what needs it, is loaded when there is something to analyse
    import xarray as xr

    from ..diagnosis import Diagnosis
    from ..runs.verdicts import Verdict

LAGS = (0, 1, 10, 30, 100)  # steps back that the table shows, beside the whole sequence
NARROW = 50  # columns below which a heading of the table takes two lines
STYLES = {"vanishing": "bold blue", "exploding": "bold red", "carried": "bold green"}


@click.command("analyze", cls=GroupedCommand, short_help="Measure the gradient through time of one network.")
@start_options
@config_options
@file_option("-o", "--output", group="Output", help="Save everything measured as netCDF (.nc) or Zarr (.zarr.zip)")
@file_option("--html", group="Output", help="Save the verdict and the figures as one web page (.html)")
@flag("--json", "as_json", help="Print one JSON object; log is natural, null stands for infinite and missing numbers")
@flag("-q", "--quiet", help="Print the headline only, or the JSON; no notes and no progress")
@flag("--debug", help="Show where in the code an error arose", expose_value=False)
def analyze_command(
    preset: str | None,
    config_file: Path | None,
    output: Path | None,
    html: Path | None,
    as_json: bool,
    quiet: bool,
    **options: str | None,
) -> None:
    """Measure how much of the last step's gradient reaches each earlier step of a network, and say why.

    With no option: a tanh RNN of 64 units over 100 steps of noise. Options override --config, which overrides --preset.

    \b
    Examples:
      gradlab analyze --cell lstm --steps 200 --forget-bias 1 -o run.nc --html run.html
      gradlab analyze --cell gru --input prices.csv --column close
      gradlab analyze --weights net.safetensors --json
    """  # noqa: D301 - click takes the character itself as the mark of a paragraph that keeps its lines
    terminal = Terminal(stderr=True, quiet=quiet)
    config = read_config(preset, config_file, options, terminal)
    ds, found, files = _measure(config, output, html, terminal, headline_only=quiet and not as_json)
    if said := text_of(ds, "input"):
        terminal.note(said)
    if weights := text_of(ds, "weights"):
        terminal.note(f"the weights are {weights}")
    if as_json:
        click.echo(as_json_text(_summary(ds, found, config, files, terminal)))
    elif quiet:
        Terminal().say(found.verdict.headline)
    else:
        _print_report(ds, found, config, files, terminal)


def _measure(
    config: RunConfig, output: Path | None, html: Path | None, terminal: Terminal, headline_only: bool
) -> tuple[xr.Dataset, Diagnosis, list[str]]:
    """Analyse, diagnose and save: the Dataset, the diagnosis, and the files written."""
    dataset_file = OutputFile(output, "--output", tuple(FORMATS)) if output else None
    report_file = OutputFile(html, "--html", (".html",)) if html else None
    files = [file for file in (dataset_file, report_file) if file]
    for file in files:
        file.check()
    with terminal.progress() as working_on, terminal.warnings_as_notes():
        working_on(f"Analysing {counted(config.steps, 'step')} of {counted(config.batch_size, 'sample')}")
        from ..diagnosis import diagnose
        from ..importers import AssumedActivation
        from ..runs.analyze import analyze

        warnings.simplefilter("ignore", AssumedActivation)  # the note on the weights says it
        ds = analyze(config)
        unread = headline_only and not report_file
        found = diagnose(ds, rerun=not unread, on_try=lambda change: working_on(f"Trying: {change.label}"))
        for file in files:
            working_on(f"Writing {file.path}")
            file.write(FORMATS[file.ending](ds) if file is dataset_file else _report(ds, found))
    return ds, found, [str(file.path) for file in files]


def _report(ds: xr.Dataset, found: Diagnosis) -> bytes:
    from ..plots import html_report

    lines = [*_verdict_lines(found.verdict), *_diagnosis_lines(found)]
    return html_report(ds, found.verdict.headline, lines).encode()


def _verdict_lines(found: Verdict) -> list[str]:
    return [*found.details, *([f"Why: {found.why}"] if found.why else [])]


def _diagnosis_lines(found: Diagnosis) -> list[str]:
    return [found.word_text, f"Cause: {found.cause}", *found.advice()]


def _print_report(ds: xr.Dataset, found: Diagnosis, config: RunConfig, files: list[str], terminal: Terminal) -> None:
    out = Terminal()
    out.say(found.verdict.headline, STYLES.get(found.verdict.word, "bold"))
    for line in [*_verdict_lines(found.verdict), *_diagnosis_lines(found)]:
        out.say(line)
    if "clip_angle" in ds:
        out.say(_clipping_text(ds, config))
    out.say(
        f"\n{text_of(ds, 'cell')}, {counted(config.steps, 'step')}, {counted(ds.sizes['sample'], 'sample')} of "
        f"{Path(config.input).name}\n"
    )
    out.print(_rendered(table(ds, found.steps), out.width))
    out.say()
    for file in files:
        out.say(f"Saved {file}", wrap=False)
    if command := _dashboard_command(config, terminal):
        out.say(f"See it in the app: {command}", wrap=False)


def _clipping_text(ds: xr.Dataset, config: RunConfig) -> str:
    """What clipping did to the weight update, in one line."""
    from ..wording import power_text

    before, after = ds.log_update_norm.values
    left = power_text(float(after - before)) if math.isfinite(before) else "nothing"
    angle = f"{math.degrees(float(ds.clip_angle)):.0f} degrees"
    flow = "; the gradient flow stays as it is" if config.clip in UPDATE_CLIPS else ""
    return f"Clipping ({CLIP_LABELS[config.clip]}) leaves {left} of the update's norm and turns it by {angle}{flow}."


def _summary(
    ds: xr.Dataset, found: Diagnosis, config: RunConfig, files: list[str], terminal: Terminal
) -> dict[str, Any]:
    from ..runs.recorded import medians

    diagnosis = asdict(found)
    verdict = {"headline": found.verdict.headline, **diagnosis.pop("verdict"), "rate": found.verdict.rate}
    return {
        "verdict": verdict,
        "diagnosis": diagnosis,
        "table": table(ds, found.steps),
        "quantities": medians(ds),
        "cell": text_of(ds, "cell"),
        "config": config.model_dump(),
        "overflow": overflow(ds),
        "files": files,
        "dashboard": _dashboard_command(config, terminal),
    }


def table(ds: xr.Dataset, steps: int) -> list[dict[str, float]]:
    """One row per number of steps back from the last of `steps` analysed steps.

    log_share: ln of the share of the last step's gradient, median over samples. typical_factor: ||J_t||_F / sqrt(S H)
    of the step t there, median over samples. saturation: share of its units whose activation is saturated. The last
    two are NaN at the initial state.
    """
    from ..runs.verdicts import share_left

    share = share_left(ds).values[::-1]
    typical = ds.jacobian_frobenius / math.sqrt(ds.sizes["state"] * ds.sizes["index"])
    saturation = ds.gate_saturation.sel(gate=CELLS[text_of(ds, "cell_name")].candidate)

    def row(lag: int) -> dict[str, float]:
        t = steps - lag
        return {
            "steps_back": lag,
            "log_share": float(share[lag]),
            "typical_factor": float(typical.sel(step=t).median("sample")) if t else math.nan,
            "saturation": float(saturation.sel(step=t)) if t else math.nan,
        }

    return [row(lag) for lag in sorted({*LAGS, steps}) if lag <= steps]


def _rendered(rows: list[dict[str, float]], width: int) -> Table:
    from ..wording import factor_text, power_text

    def cell(value: float, text: Callable[[float], str]) -> str:
        return "-" if math.isnan(value) else text(value)

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("steps back", "share left", "typical factor", "saturated"):
        shown.add_column(title if width >= NARROW else title.replace(" ", "\n"), justify="right", vertical="bottom")
    for row in rows:
        shown.add_row(
            str(row["steps_back"]),
            cell(row["log_share"], power_text),
            cell(row["typical_factor"], lambda x: factor_text(math.log(x) if x else -math.inf)),
            cell(row["saturation"], lambda x: f"{100 * x:.0f} %"),
        )
    return shown


def _dashboard_command(config: RunConfig, terminal: Terminal) -> str | None:
    """The command that shows a run in the app; a note and None where the app cannot show it."""
    from ..config.links import linked_files, to_query
    from ..data.uploads import directory

    try:
        if limits := config.beyond_limits():
            raise InputError("; ".join(f"{controls()[name].label}: {text}" for name, text in limits.items()))
        query = f"?{to_query(config)}"
    except InputError as error:
        terminal.note(f"the app cannot show this run: {error}")
        return None
    if names := linked_files(config):
        terminal.note(f"for the app, a copy of {' and '.join(names)} is kept in {directory()}")
    return "gradlab-dashboard " + (f'"{query}"' if os.name == "nt" else shlex.quote(query))
