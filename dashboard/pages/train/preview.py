"""What a set-up is about, before anything is trained: one sample of its task, and what the page will show."""

import inspect
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from dash import html

import gradlab
from gradlab.config import controls
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.tasks import Batch, Task
from gradlab.tasks.labelled import Classification
from gradlab.training.fitting import require_fitting
from gradlab.training.network import build_task, task_name
from gradlab.wording import value_text

from ... import form
from ...components import Component, figure, message

COMING = {
    "Loss": "how well the net does, against what can be had without learning",
    "Gradient norm": "how long the gradient of the weights is, and when it was clipped",
    "Gradient through time": "at every iteration, how much of the loss's gradient reaches each earlier step: lost "
    "gradient fades into the page, exploding gradient burns",
}


def content(config: TrainConfig, theme: str) -> list[Component]:
    """The sample and its answer; a file, length or net that does not suit the task is told here."""
    try:
        task = build_task(config)
    except InputError as error:
        return [message(_problem(config, error), "error")]
    batch = task.batch(np.random.default_rng([config.seed, 0]), config.batch_size)
    about = (inspect.getdoc(type(task)) or "").partition("\n")[0].replace("`", "")
    words = [
        html.H2(f"One sample of the task: {task.title}"),
        html.P(about),
        *_sample(task, batch, theme),
        html.P(_answer(task, batch)),
        *_misfit(config, task),
    ]
    items = [html.Li([html.B(f"{name}: "), text]) for name, text in COMING.items()]
    coming = html.Div([html.H2("What you will see"), html.Ul(items)], className="coming")
    return [html.Div(words), coming]


def _problem(config: TrainConfig, error: InputError) -> str:
    """What is wrong, and where that can be set right."""
    labels = task_name(config) == Classification.name and error.field == "column"
    return f"{error}. Choose the column of the labels at Column, under More." if labels else str(error)


def _misfit(config: TrainConfig, task: Task) -> list[Component]:
    """Why the net cannot learn the task, where that is so."""
    try:
        require_fitting(config, task)
    except InputError as error:
        return [message(form.told(error, {name: c.label for name, c in controls(TrainConfig).items()}), "error")]
    return []


def _sample(task: Task, batch: Batch, theme: str) -> list[Component]:
    """The first sample: as it is written, or the names of its symbols, or its values over the steps."""
    if text := task.sample_text(batch):
        return [html.Pre(text)]
    x, lengths = (batch.x[0], None) if isinstance(batch.x, tuple) else (batch.x, batch.lengths)
    x = x if lengths is None else x[: lengths[0]]
    if not (task.one_hot or task.symbols):
        return [figure(gradlab.plots.data(x, theme, task.feature_names), "Input of the sample over its steps")]
    shown = x[:, 0] if task.symbols else x[:, 0].argmax(axis=-1)
    return [html.P(symbols([task.feature_names[k] for k in shown]), className="symbols")]


def symbols(names: Sequence[str]) -> list[Component]:
    """One after the other, capitals marked, as the task is about them; words thrice or more in a row counted."""
    runs = [(name, len(list(same))) for name, same in groupby(names)]
    texts = [text for name, n in runs for text in ([f"{name} × {n}"] if n > 2 and len(name) > 1 else [name] * n)]
    return [(html.B if text[0].isupper() else html.Span)(text) for text in texts]


def _answer(task: Task, batch: Batch) -> str:
    answer, every = task.answer_text(batch), "An answer is wanted at every step"
    wanted = f"The answer here: {answer}." if task.output == "last" else f"{every}{answer and f': {answer}'}."
    wanted = f"A second net is to say: {answer}." if task.form == "pair" else wanted
    others = "".join(f", and that of {text.partition(':')[0]}" for text in task.other_nulls.values())
    return f"{wanted} The loss to beat is {value_text(task.baseline)} ({task.baseline_text}){others}."
