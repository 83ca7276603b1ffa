"""`gradlab train`: a network learns a task or a file, and what its gradient does meanwhile is kept."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from ..config.train import TrainConfig
from ..errors import Cancelled, InputError
from ..runs.saving import FORMATS
from ..wording import counted, value_text
from .options import GroupedCommand, as_json_text, config_options, file_option, flag, layered, option
from .terminal import CANCELLED, DONE, FAILED, OutputFile, Terminal

if TYPE_CHECKING:
    from ..training import ClipAdvice, Step, TrainingRecord
    from ..training.rivals import Rival

EXTENSION = ".safetensors"
ROWS = 8  # of the table
REDRAWN = 0.1  # seconds between two redrawings of the line
WORDS = {
    "solved": "solved",
    "learnt": "learnt",
    "matched": "no better than {against}",
    "untested": "not tried on enough held-out data to tell",
    "memorised": "memorised its training data, which does not help with new data",
    "nothing": "not learnt yet",
    "diverged": "diverged; lower the learning rate",
    "broke": "the numbers overflowed; lower the gain or the learning rate, or clip",
}
WORSE = 1.5  # times the baseline: a loss above it says that the steps are too long
SAID = 10.0  # seconds between two lines where none can be redrawn


@click.command("train", cls=GroupedCommand, short_help="Train a network and watch its gradient.")
@file_option("--config", "config_file", group="Start from", help="A TOML file of fields, such as: hidden_size = 32")
@file_option(
    "--checkpoint", group="Start from", help="Where the run is kept (.safetensors)  [default: named after the task]"
)
@option("--resume", group="Start from", help="Go on from the checkpoint", is_flag=True)
@partial(config_options, config=TrainConfig)
@file_option("-o", "--output", group="Output", help="Save everything recorded as netCDF (.nc) or Zarr (.zarr.zip)")
@flag("--advise", help="Run a few hundred iterations with and without the clipping that the norms suggest")
@flag("--json", "as_json", help="Print one JSON object; null stands for infinite and missing numbers")
@flag("-q", "--quiet", help="Print the outcome only, or the JSON; no notes and no progress")
@flag("--debug", help="Show where in the code an error arose", expose_value=False)
@click.pass_context
def train_command(
    context: click.Context,
    config_file: Path | None,
    checkpoint: Path | None,
    resume: bool,
    output: Path | None,
    advise: bool,
    as_json: bool,
    quiet: bool,
    **options: str | None,
) -> None:
    """Train a network on a task, or on a file of your own, and record what its gradient does meanwhile.

    With no option: a tanh RNN of 64 units learns to add. A file is forecast, a text is modelled character by
    character. Ctrl-C ends after the iteration under way and keeps the run; --resume goes on bit for bit.

    \b
    Examples:
      gradlab train --task adding --cell lstm --forget-bias 1 --steps 100 --clip norm --clip-threshold 1
      gradlab train --input co2.csv --column ppm --steps 24 --cell gru
      gradlab train --task adding --resume --iterations 4000
    """  # noqa: D301 - click takes the character itself as the mark of a paragraph that keeps its lines
    terminal = Terminal(stderr=True, quiet=quiet)
    saved = OutputFile(output, "--output", tuple(FORMATS)) if output else None
    if saved:
        saved.check()
    path, config = _start(config_file, checkpoint, resume, options, terminal)
    with terminal.warnings_as_notes():
        run, advice = _trained(config, path, resume, advise, terminal)
    if saved:
        from ..training import dataset

        saved.write(FORMATS[saved.ending](dataset(run)))
    if as_json:
        click.echo(as_json_text(_summary(run, advice, path)))
    elif quiet:
        Terminal().say("\n".join([sentence(run), *([f"Clipping: {advice}"] if advise and advice else [])]))
    else:
        _print_report(run, advice, path, output)
    context.exit({"cancelled": CANCELLED, "stopped": FAILED}.get(run.status, DONE))


def _start(
    file: Path | None, checkpoint: Path | None, resume: bool, options: dict[str, str | None], terminal: Terminal
) -> tuple[Path, TrainConfig]:
    """The checkpoint's path and the configuration; of a run that is resumed, its own with the options over it."""
    from ..training.checkpoint import read

    if not resume:
        config = layered(TrainConfig, {}, file, options, terminal)
        path = checkpoint or _default_path(config)
        _require_fresh(config, path)
        _note_on_file(config, terminal)
        return path, config
    path = checkpoint or _default_path(layered(TrainConfig, {}, file, options, Terminal(stderr=True, quiet=True)))
    _, saved, _ = read(path)
    return path, layered(TrainConfig, saved.model_dump(), file, options, terminal)


def _require_fresh(config: TrainConfig, path: Path) -> None:
    """Raise InputError for whatever keeps a run from starting; that its checkpoint exists comes last."""
    from ..training.network import require_trainable

    require_trainable(config)
    OutputFile(path, "--checkpoint", (EXTENSION,)).check()
    if path.exists():
        raise InputError(f"{path} exists: go on from it with --resume, or name another file with --checkpoint")


def _note_on_file(config: TrainConfig, terminal: Terminal) -> None:
    """Notes on how a file was read, and where it takes the place of a task, or could be learnt otherwise."""
    from ..tasks import TASKS
    from ..training.network import file_text, label_hint, task_name

    name = task_name(config)
    if name != config.task and "task" in config.model_fields_set:
        title = TASKS[name].title
        terminal.note(f"--task {config.task} is ignored, as a file is given: {name} ({title}) is learnt instead")
    for text in (label_hint(config), file_text(config)):
        if text:
            terminal.note(text)


def _default_path(config: TrainConfig) -> Path:
    name = Path(config.input).stem if config.input else config.task
    return Path(f"{name}{EXTENSION}")


def _trained(
    config: TrainConfig, path: Path, resume: bool, advise: bool, terminal: Terminal
) -> tuple[TrainingRecord, ClipAdvice | None]:
    """The run, and what the clip advisor says of it, None where it is too short to tell."""
    from .. import training

    with _interruptible() as interrupted, _display(terminal, config) as show:

        def on_step(step: Step) -> None:
            show(step)
            if interrupted():
                raise Cancelled

        run = training.train(config, on_step=on_step, checkpoint=path, resume=resume)
    try:
        with terminal.progress() as working_on:
            working_on("Trying the suggested clipping")
            return run, training.advise(run, verify=advise and run.status == "done")
    except InputError as error:
        if advise:
            terminal.note(f"no advice on clipping: {error}")
        return run, None


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: an iteration under way ends first; a second Ctrl-C breaks it off."""
    pressed = False

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _display(terminal: Terminal, config: TrainConfig) -> Iterator[Callable[[Step], None]]:
    """Shows loss, gradient norm, pace and time left: in one line that is redrawn, else in a line now and then."""
    with terminal.progress() as redraw:
        start, first, last = time.monotonic(), -1, 0.0
        live = terminal.redraws

        def show(step: Step) -> None:
            nonlocal first, last
            first = step.iteration - 1 if first < 0 else first
            now = time.monotonic()
            if now - last < (REDRAWN if live else SAID) and step.iteration < config.iterations:
                return
            last = now
            text = _line(step, config, (step.iteration - first) / max(now - start, 1e-9))
            if live:
                redraw(text)
            else:
                terminal.say(text)

        yield show


def _line(step: Step, config: TrainConfig, pace: float) -> str:
    row = step.row
    left = (config.iterations - step.iteration) / pace
    norm = norm_text(row["log_grad_norm_before"]) + (" (clipped)" if row["clipped"] else "")
    return (
        f"{step.iteration:,} of {config.iterations:,}  loss {row['loss']:.4g}  gradient {norm}  "
        f"{pace:.0f}/s  {int(left // 60)}:{int(left % 60):02d} left"
    )


def norm_text(log_norm: float) -> str:
    """A norm of any size, from its logarithm."""
    from ..wording import number_text

    return "-" if math.isnan(log_norm) else "not finite" if log_norm == math.inf else number_text(log_norm)


def sentence(run: TrainingRecord) -> str:
    """What the run came to."""
    task, word = run.task, run.outcome
    if not run.history.scores:
        bad = f"{WORDS[word]}. " if word in ("broke", "diverged") else ""
        return f"{task.title}: {bad}{counted(run.iteration, 'iteration')}, too few for a held-out score."
    null = run.strongest
    beside = f"; {null.short} {null.told}" if null is not None and null.name != "baseline" else ""
    _, loss, score = run.history.scores[-1]
    measured = "" if score == loss else f"; loss {loss:.3g}"  # where the score is not the loss itself
    return (
        f"{task.title}: {WORDS[word].format(against=run.against)}. Held-out {task.metric} {score:.3g} after "
        f"{counted(run.iteration, 'iteration')}{measured}, baseline {task.baseline:.3g} ({task.baseline_text}){beside}"
        f"{task.unit_text and f'; {task.unit_text}'}.{run.memory_text and f' {run.memory_text}'}"
    )


def what_next(run: TrainingRecord) -> list[str]:
    """Where a net has learnt nothing: what its gradient shows, and where to look closer."""
    from ..config.links import to_command
    from ..runs.verdicts import verdict
    from ..training import snapshot_dataset
    from ..training.outcome import latest_loss

    if not run.history.scores or run.outcome != "nothing":
        return []
    found = []
    if latest_loss(run.history) > WORSE * run.task.baseline:
        rate = f"{run.config.learning_rate:g}"
        found.append(f"The loss is above that of no learning at all: try a learning rate below {rate}.")
    if run.task.output == "last" and run.history.snapshots:
        shown = verdict(snapshot_dataset(run))
        found += [shown.headline] if shown.word not in ("too short", "overflow") else []
    return [*found, f"To see why: {to_command(run.untrained)}"]


def _print_report(run: TrainingRecord, advice: ClipAdvice | None, path: Path, output: Path | None) -> None:
    out = Terminal()
    out.say(sentence(run), "bold")
    for line in what_next(run):
        out.say(line, wrap=False)
    skipped = int(sum(run.history.rows["skipped"]))
    if skipped:
        out.say(f"{counted(skipped, 'update')} skipped because a number overflowed.")
    if run.status == "stopped":
        out.say(f"Stopped at iteration {run.iteration:,}: a number overflowed.")
    out.say(f"\n{run.net_text}, {counted(run.task.length, 'step')}\n")
    if run.history.rows["loss"]:
        out.print(_rendered(table(run)))
        out.say()
    if run.nulls:
        out.print(_compared(run))
        out.say(f"± is half of the 95 % interval over {run.nulls[0].blocks} blocks of held-out data.\n")
    if advice is not None:
        out.say(f"Clipping: {advice}\n")
    out.say(f"Saved {path} at iteration {run.iteration:,}", wrap=False)
    if output:
        out.say(f"Saved {output}", wrap=False)
    if run.iteration < run.config.iterations and run.status == "cancelled":
        out.say(f"Go on with: gradlab train --resume --checkpoint {path}", wrap=False)


def table(run: TrainingRecord) -> list[dict[str, float]]:
    """Rows from the first to the last iteration: loss and median norm since the row before, share clipped, score."""
    rows, scores = run.history.rows, {i: score for i, _, score in run.history.scores}
    edges = sorted({math.ceil(run.iteration * (n + 1) / ROWS) for n in range(ROWS)})
    found, start = [], 0
    for stop in edges:
        logs = sorted(x for x in rows["log_grad_norm_before"][start:stop] if not math.isnan(x))
        inside = [i for i in scores if start < i <= stop]
        found.append(
            {
                "iteration": stop,
                "loss": sum(rows["loss"][start:stop]) / (stop - start),
                "log_grad_norm": logs[len(logs) // 2] if logs else math.nan,
                "clipped": sum(rows["clipped"][start:stop]) / (stop - start),
                "held_out": scores[max(inside)] if inside else math.nan,
            }
        )
        start = stop
    return found


def _rendered(rows: list[dict[str, float]]) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("iteration", "loss", "gradient norm", "clipped", "held-out score"):
        shown.add_column(title, justify="right")
    for row in rows:
        norm, held = row["log_grad_norm"], row["held_out"]
        shown.add_row(
            f"{row['iteration']:,}",
            f"{row['loss']:.4g}",
            norm_text(norm),
            f"{100 * row['clipped']:.0f} %",
            "-" if math.isnan(held) else f"{held:.3g}",
        )
    return shown


def _compared(run: TrainingRecord) -> Table:
    """What the net is compared with on held-out data, and by how much it is better."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("compared with")
    for title in ("held-out loss", "net better by", ""):
        shown.add_column(title, justify="right")
    for rival in [*run.nulls, *([run.cut] if run.cut else [])]:
        better = f"{value_text(rival.gain)} ± {value_text(rival.margin, 2)}"
        shown.add_row(rival.text, value_text(rival.loss), better, "" if rival.beaten else "not better")
    return shown


def _facts(rival: Rival) -> dict[str, Any]:
    return asdict(rival) | {"margin": rival.margin, "beaten": rival.beaten}


def _summary(run: TrainingRecord, advice: ClipAdvice | None, path: Path) -> dict[str, Any]:
    scores = [{"iteration": i, "loss": loss, "score": score} for i, loss, score in run.history.scores]
    return {
        "outcome": sentence(run),
        "word": run.outcome,
        "nulls": [_facts(null) for null in run.nulls],
        "state_cut": None if run.cut is None else _facts(run.cut),
        "status": run.status,
        "iteration": run.iteration,
        "baseline": run.task.baseline,
        "scores": scores,
        "skipped": int(sum(run.history.rows["skipped"])),
        "table": table(run),
        "advice": None if advice is None else {"text": str(advice), "threshold": advice.threshold},
        "config": run.config.model_dump(),
        "checkpoint": str(path),
    }
