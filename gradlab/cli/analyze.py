"""`gradlab analyze`: one network, measured; verdict, table, files."""

from __future__ import annotations

import math
import os
import shlex
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from ..cells import CELLS
from ..config import CLIP_LABELS, UPDATE_CLIPS, RunConfig, controls
from ..config.architecture import is_single
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
      gradlab analyze --cell lstm --layers 2 --bidirectional --attention additive
      gradlab analyze --architecture transformer --layers 6 --causal
    """  # noqa: D301 - click takes the character itself as the mark of a paragraph that keeps its lines
    terminal = Terminal(stderr=True, quiet=quiet)
    config = read_config(preset, config_file, options, terminal)
    measured = _measure(config, output, html, terminal, headline_only=quiet and not as_json)
    if said := text_of(measured.ds, "input"):
        terminal.note(said)
    if weights := text_of(measured.ds, "weights"):
        terminal.note(f"the weights are {weights}")
    if as_json:
        click.echo(as_json_text(_summary(measured, config, terminal)))
    elif quiet:
        Terminal().say(measured.verdict.headline)
    else:
        _print_report(measured, config, terminal)


@dataclass(frozen=True)
class Measured:
    """A run, of a network a DataTree, what it shows, why, which is found for single cells only, and the files made."""

    ds: xr.Dataset | xr.DataTree
    verdict: Verdict
    diagnosis: Diagnosis | None
    files: list[str]

    @property
    def lines(self) -> list[str]:
        """What is said below the headline."""
        why = [f"Why: {self.verdict.why}"] if self.verdict.why else []
        found = self.diagnosis
        cause = [found.word_text, f"Cause: {found.cause}", *found.advice()] if found else []
        return [*self.verdict.details, *why, *cause]


def _measure(
    config: RunConfig, output: Path | None, html: Path | None, terminal: Terminal, headline_only: bool
) -> Measured:
    """Analyse, diagnose and save."""
    dataset_file = OutputFile(output, "--output", tuple(FORMATS)) if output else None
    report_file = OutputFile(html, "--html", (".html",)) if html else None
    files = [file for file in (dataset_file, report_file) if file]
    for file in files:
        file.check()
    with terminal.progress() as working_on, terminal.warnings_as_notes():
        working_on(f"Analysing {counted(config.steps, 'step')} of {counted(config.batch_size, 'sample')}")
        from ..importers import AssumedActivation
        from ..runs.analyze import analyze
        from ..runs.verdicts import verdict

        warnings.simplefilter("ignore", AssumedActivation)  # the note on the weights says it
        ds = analyze(config)
        cause = _diagnosed(ds, headline_only and not report_file, working_on) if is_single(config) else None
        measured = Measured(ds, verdict(ds), cause, [str(file.path) for file in files])
        for file in files:
            working_on(f"Writing {file.path}")
            file.write(FORMATS[file.ending](ds) if file is dataset_file else _report(measured))
    return measured


def _diagnosed(ds: xr.Dataset, unread: bool, working_on: Callable[[str], None]) -> Diagnosis:
    from ..diagnosis import diagnose

    return diagnose(ds, rerun=not unread, on_try=lambda change: working_on(f"Trying: {change.label}"))


def _report(measured: Measured) -> bytes:
    from ..plots import html_report

    return html_report(measured.ds, measured.verdict.headline, measured.lines).encode()


def _print_report(measured: Measured, config: RunConfig, terminal: Terminal) -> None:
    out, ds = Terminal(), measured.ds
    out.say(measured.verdict.headline, STYLES.get(measured.verdict.word, "bold"))
    for line in measured.lines:
        out.say(line)
    if "clip_angle" in ds:
        out.say(_clipping_text(ds, config))
    out.say(
        f"\n{text_of(ds, 'cell') or text_of(ds, 'network')}, {counted(config.steps, 'step')}, "
        f"{counted(ds.sizes['sample'], 'sample')} of {Path(config.input).name}\n"
    )
    out.print(_rendered(table(ds, measured.verdict.steps), out.width))
    out.say()
    for file in measured.files:
        out.say(f"Saved {file}", wrap=False)
    if command := _dashboard_command(config, terminal):
        out.say(f"See it in the app: {command}", wrap=False)


def _clipping_text(ds: Any, config: RunConfig) -> str:
    """What clipping did to the weight update, in one line."""
    from ..wording import power_text

    before, after = ds.log_update_norm.values
    left = power_text(float(after - before)) if math.isfinite(before) else "nothing"
    angle = f"{math.degrees(float(ds.clip_angle)):.0f} degrees"
    flow = "; the gradient flow stays as it is" if config.clip in UPDATE_CLIPS else ""
    return f"Clipping ({CLIP_LABELS[config.clip]}) leaves {left} of the update's norm and turns it by {angle}{flow}."


def _summary(measured: Measured, config: RunConfig, terminal: Terminal) -> dict[str, Any]:
    from ..runs.recorded import medians

    ds, found = measured.ds, measured.verdict
    diagnosis = asdict(measured.diagnosis) if measured.diagnosis else None
    if diagnosis:
        del diagnosis["verdict"]
    nodes = {node.path.strip("/"): medians(node.to_dataset(inherit=False)) for node in _nodes(ds)}
    return {
        "verdict": {"headline": found.headline, **asdict(found), "rate": found.rate},
        "groups": _groups(ds),
        "diagnosis": diagnosis,
        "table": table(ds, found.steps),
        "quantities": nodes.pop(""),
        "layers": nodes,
        "cell": text_of(ds, "cell") or text_of(ds, "network"),
        "config": config.model_dump(),
        "overflow": overflow(ds),
        "files": measured.files,
        "dashboard": _dashboard_command(config, terminal),
    }


def _groups(ds: xr.Dataset | xr.DataTree) -> dict[str, dict[str, Any]]:
    """The verdict on each group of samples that are alike, and which samples these are; none of a network."""
    import xarray as xr

    from ..runs.verdicts import groups, verdict

    alike = groups(ds) if isinstance(ds, xr.Dataset) else {}
    return {word: {"sample": own.tolist()} | asdict(verdict(ds.isel(sample=own))) for word, own in alike.items()}


def _nodes(ds: xr.Dataset | xr.DataTree) -> Iterable[xr.DataTree]:
    """The nodes of a network; of a single cell its Dataset as the only one."""
    import xarray as xr

    return (xr.DataTree(ds) if isinstance(ds, xr.Dataset) else ds).subtree


def table(ds: xr.Dataset | xr.DataTree, steps: int) -> list[dict[str, float]]:
    """One row per number of steps back from the last of `steps` analysed steps, of the samples of the verdict.

    log_share: ln of the share of the last step's gradient, median over samples. typical_factor: ||J_t||_F / sqrt(S H)
    of the step t there, median over samples. saturation: share of its units, over all samples, whose activation is
    saturated. The last two are NaN at the initial state. Of a network a row is of a distance from where the loss is:
    log_share that reaches the inputs there.
    """
    import xarray as xr

    from ..runs.shares import ended, share_left
    from ..runs.verdicts import alike_of, groups, lag_shares

    if not isinstance(ds, xr.Dataset):
        shares, head = lag_shares(ds).tolist(), "levels_down" if "lag" in ds.log_input_share.attrs else "steps_back"
        return [{head: lag, "log_share": shares[lag]} for lag in sorted({*LAGS, steps - 1}) if lag < steps]
    ds = ended(alike_of(ds, groups(ds)))
    share = share_left(ds).values[::-1]
    typical = ds.jacobian_frobenius / math.sqrt(ds.sizes["state"] * ds.sizes["index"])
    saturation = ds.gate_saturation.sel(gate=CELLS[text_of(ds, "cell_name")].candidate)

    def row(lag: int) -> dict[str, float]:
        t = steps - lag
        return {
            "steps_back": lag,
            "log_share": float(share[lag]),
            "typical_factor": float(typical.isel(step=-1 - lag).median("sample")) if t else math.nan,
            "saturation": float(saturation.sel(step=t)) if t else math.nan,
        }

    return [row(lag) for lag in sorted({*LAGS, steps}) if lag <= steps]


def _rendered(rows: list[dict[str, float]], width: int) -> Table:
    from ..wording import factor_text, power_text

    columns: dict[str, tuple[str, Callable[[float], str]]] = {
        "steps_back": ("steps back", str),
        "levels_down": ("levels down", str),
        "log_share": ("share left", power_text),
        "typical_factor": ("typical factor", lambda x: factor_text(math.log(x) if x else -math.inf)),
        "saturation": ("saturated", lambda x: f"{100 * x:.0f} %"),
    }
    shown, known = Table(box=None, pad_edge=False, header_style="bold"), [name for name in columns if name in rows[0]]
    for name in known:
        title = columns[name][0]
        shown.add_column(title if width >= NARROW else title.replace(" ", "\n"), justify="right", vertical="bottom")
    for row in rows:
        shown.add_row(*("-" if math.isnan(row[name]) else columns[name][1](row[name]) for name in known))
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
