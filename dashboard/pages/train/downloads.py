"""Downloads of training runs: Dataset, curves, report, picture, weights; of two runs together in one archive."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import xarray as xr
from dash import Dash, State

import gradlab
from gradlab.config.links import file_name
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.runs.netcdf import netcdf
from gradlab.training.jobs import TRAINING
from gradlab.training.worker import CHECKPOINT

from ... import downloads, ids
from ...posts import Text
from . import advisor, flow
from .follow import Look
from .words import Shown, look_up, sentence, summary, troubles

LABELS = downloads.LABELS | {"safetensors": "Weights and state (.safetensors)"}
CONTENT = {"nc": "datasets", "csv": "curves", "safetensors": "weights"}  # of an archive
ROWS = ("loss", "log_grad_norm_before", "log_grad_norm_after", "clipped", "skipped", "update_ratio", "learning_rate")


def curves(ds: xr.Dataset) -> bytes:
    """One row per iteration."""
    table = ds[list(ROWS)].to_dataframe()
    text: str = table.to_csv(float_format="%.8g")
    return text.encode()


def checkpoint(run: Shown) -> bytes:
    """What `gradlab train --resume` goes on from, with the weights."""
    return (TRAINING.folder(run.run_id) / CHECKPOINT).read_bytes()


OF_ONE: Mapping[str, Callable[[Shown], bytes]] = {
    "nc": lambda run: netcdf(run.ds),
    "csv": lambda run: curves(run.ds),
    "safetensors": checkpoint,
}


def report(runs: Sequence[Shown], theme: str) -> bytes:
    """One page that needs no network: words, figures, advice, settings, command and Python of all runs."""
    moments = {run: found for run in runs if (found := flow.snapshot(run, flow.count(run), 0))}
    said = [
        f"{flow.flow_words(run, iteration, ds)} {flow.meaning(run, ds)}".strip(" :")
        for run, (iteration, ds) in moments.items()
    ]
    text: str = gradlab.plots.training_report(
        [run.ds for run in runs],
        [ds for _, ds in moments.values()],
        sentence(runs)[1],
        [summary(runs), *troubles(runs), *said],
        advisor.lines(runs),
    )
    return text.encode()


def picture(runs: Sequence[Shown], theme: str) -> bytes:
    """The figure over the iterations."""
    return gradlab.plots.png(gradlab.plots.training_course(runs[0].ds, [run.ds for run in runs[1:]], theme))


OF_ALL: Mapping[str, Callable[[Sequence[Shown], str], bytes]] = {"html": report, "png": picture}


def download(fmt: str, run_ids: list[Text] | None, look: Look | None) -> tuple[bytes, str]:
    """Content and name of a file of the runs on the page. Raises InputError before one has begun."""
    found = look_up(run_ids or [])
    runs = [run for run in found if run.record]
    if not runs:
        why = (run.unreadable for run in found if run.unreadable)
        raise InputError(next(why, "There is nothing to download before a run has begun."))
    name = f"gradlab-{called(runs[0].config)}"
    if fmt in OF_ALL:
        return OF_ALL[fmt](runs, look.theme if look else "light"), f"{name}.{fmt}"
    if len(runs) == 1:
        return OF_ONE[fmt](runs[0]), f"{name}.{fmt}"
    files = {f"{name}-{run.name.replace(' ', '-')}.{fmt}": OF_ONE[fmt](run) for run in runs}
    return archive(files), f"{name}-{CONTENT[fmt]}.zip"


def called(config: TrainConfig) -> str:
    """What a file of a run is named by: the file that it learns from, or its task."""
    return config.task if config.input is None else Path(file_name(config.input)).stem


def archive(files: Mapping[str, bytes]) -> bytes:
    """Several files in one .zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archived:
        for name, data in files.items():
            archived.writestr(name, data)
    return content.getvalue()


def register(app: Dash) -> None:
    """The menu."""
    page = State(ids.TRAIN.runs, "data"), State(ids.TRAIN.look, "data")
    downloads.register(app, ids.TRAIN, download, *page, labels=LABELS)
