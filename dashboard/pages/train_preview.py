"""What a set-up is about, before anything is trained: one sample of its task, and what the page will show."""

from __future__ import annotations

import inspect

import numpy as np
from dash import html
from dash.development.base_component import Component

import gradlab
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.tasks import Batch, Task
from gradlab.tasks.labelled import Classification
from gradlab.tasks.text import LanguageModel
from gradlab.training.network import build_task, task_name
from gradlab.verdicts import value_text

from .. import components

COMING = {
    "Loss": "how well the net does, against what can be had without learning",
    "Gradient norm": "how long the gradient of the weights is, and when it was clipped",
    "Gradient through time": "at every iteration, how much of the loss's gradient reaches each earlier step: lost "
    "gradient fades into the page, exploding gradient burns",
}


def content(config: TrainConfig, theme: str) -> list[Component]:
    """The sample and its answer; a file or length that does not suit the task is told here."""
    try:
        task = build_task(config)
    except InputError as error:
        return [components.message(_problem(config, str(error)), "error")]
    batch = task.batch(np.random.default_rng([config.seed, 0]), config.batch_size)
    about = (inspect.getdoc(type(task)) or "").partition("\n")[0].replace("`", "")
    words = [
        html.H2(f"One sample of the task: {task.title}"),
        html.P(about),
        *_sample(task, batch, theme),
        html.P(_answer(task, batch)),
    ]
    items = [html.Li([html.B(f"{name}: "), text]) for name, text in COMING.items()]
    coming = html.Div([html.H2("What you will see"), html.Ul(items)], className="coming")
    return [html.Div(words), coming]


def _problem(config: TrainConfig, text: str) -> str:
    """What is wrong, and where that can be set right."""
    unknown = task_name(config) == Classification.name and "unknown column" in text
    return f"{text}. Choose the column of the labels at Column, under More." if unknown else text


def _sample(task: Task, batch: Batch, theme: str) -> list[Component]:
    """The input over its steps; symbols, which come as one-hot vectors, by their number, a text as text."""
    x = batch.x
    symbols = x.shape[2] > 1 and bool(((x == 0) | (x == 1)).all() and (x.sum(axis=2) == 1).all())
    if symbols and isinstance(task, LanguageModel):
        return [html.Pre(bytes(task.codes[1][k] for k in x[:, 0].argmax(axis=-1)).decode("utf-8", "replace"))]
    shown = x.argmax(axis=2)[..., None].astype(float) if symbols else x
    return [components.figure(gradlab.plots.data(shown, theme), "Input of the sample over its steps")]


def _answer(task: Task, batch: Batch) -> str:
    wanted = "An answer is wanted at every step."
    if task.output == "last":
        wanted = f"The answer here: {value_text(float(batch.targets[0].reshape(-1)[0]))}."
    return f"{wanted} The loss to beat is {value_text(task.baseline)} ({task.baseline_text})."
