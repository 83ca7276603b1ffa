"""What sets the controls of Train and starts, pauses, resumes and stops its runs."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dash import Dash, Input, Output, State, ctx

from gradlab.config import controls as config_controls
from gradlab.config.architecture import has_cell
from gradlab.config.links import to_command, to_python, to_python_together
from gradlab.config.train import TrainConfig
from gradlab.data import column_names
from gradlab.errors import InputError
from gradlab.tasks import TASKS, make_task
from gradlab.tasks.labelled import Classification
from gradlab.training import advise
from gradlab.training.jobs import TRAINING
from gradlab.training.network import task_name
from gradlab.wording import counted, exact_text

from ... import controls, form, ids, run_card
from ...answers import answer, outputs
from ...components import message
from ...posts import Clicks, Entries, Raw, Text, Theme
from ...uploads import columns, decode, keep, stored
from ...work.runs import require_memory
from . import address, advisor, preview
from .examples import EXAMPLES, STARTS, labels
from .words import look_up

FILE, COLUMN, TASK = (form.key(name, TrainConfig) for name in ("input", "column", "task"))
CLASSIFY, LABELS = Classification.name, "label"  # the task of labelled sequences, its column unless one is named


@dataclass(frozen=True)
class Request:
    """What the controls say, and the runs beside them; search: the query that the address bar shows."""

    raw: Raw
    runs: list[Text]
    theme: Theme
    narrow: bool
    search: Text


@dataclass(frozen=True)
class TrainState:
    """What steering starts from: raw values of the controls, runs, entries of the file's choice, a dropped file."""

    raw: Raw
    runs: list[Text] | None
    files: Entries
    file_name: Text | None = None


# what sets the controls


def set_values(values: Mapping[str, Any], page: TrainState) -> dict[str, Any]:
    """Some controls, with the file among those that can be chosen."""
    return {"values": values, "files": controls.file_options("input", values["input"], page.files, TrainConfig)}


def follow_link(search: str, page: TrainState) -> dict[str, Any]:
    """Controls, runs and notices of the address."""
    link = address.read(search)
    notices = [message(text) for text in link.notices]
    notices += [message(f"This link uses {name}. Drop it at File, under More.") for name in link.missing.values()]
    rest = [list(pair) for pair in link.rest]
    return set_values(form.raw(link.config), page) | {"runs": list(link.runs), "notices": notices, "rest": rest}


def take_file(contents: str, name: str, page: TrainState) -> dict[str, Any]:
    """A dropped file is what is learnt; one that cannot be used changes only the message."""
    try:
        data = decode(contents)
        values, summary = own_file(name, data, page) or labelled_file(name, data, page) or series_file(name, data, page)
    except InputError as error:
        return {"upload": message(str(error), "error")}
    return set_values(values, page) | {"upload": summary}


def own_file(name: str, data: bytes, page: TrainState) -> tuple[dict[str, Any], str] | None:
    """Controls for a file of a kind that the chosen task alone reads; what it holds. None for other tasks."""
    config = form.read(page.raw, TrainConfig).config
    if not TASKS[config.task].own_format:
        return None
    key = stored(name, data)
    said = make_task(config.task, steps=config.steps, path=form.file_path(key)).said
    return {"input": key, "column": None, "task": config.task}, said


def series_file(name: str, data: bytes, page: TrainState) -> tuple[dict[str, Any], str]:
    """Controls for a series or text, with the chosen task where it reads files; what the file holds."""
    key, summary = keep("input", name, data)
    task = task_name(form.read({**page.raw, "input": key}, TrainConfig).config)
    return {"input": key, "column": None, "task": task}, summary


def labelled_file(name: str, data: bytes, page: TrainState) -> tuple[dict[str, Any], str] | None:
    """Controls for a table of labelled sequences, and where its labels are.

    None where no such task is chosen, unless a generated one is and the file has a column of labels by name.
    """
    every = column_names(name, data, labels=True) if name.lower().endswith(".csv") else []
    named, chosen = LABELS in every, TASKS.get(page.raw["task"])
    if not every or not (page.raw["task"] == CLASSIFY or named and not (chosen and chosen.needs_file)):
        return None
    numbers = set(column_names(name, data))
    words = [other for other in every if other not in numbers]
    column = words[0] if not named and len(words) == 1 else None
    said = f"labels from the column '{column or LABELS}'"
    if not (named or column):
        said = "choose the column of its labels at Column"
    elif page.raw["task"] != CLASSIFY:
        said += f"; to predict its numbers instead, set Task to {TASKS['forecast'].title}"
    return {"input": stored(name, data), "column": column, "task": CLASSIFY}, f"{counted(len(every), 'column')}, {said}"


def column_menu(key: Text | None, task: Text | None) -> tuple[list[str], str]:
    """The callback: what the column can be chosen from, and what is used where none is."""
    classify = task == CLASSIFY
    return columns(key, labels=classify), LABELS if classify else controls.ALL_COLUMNS


def use_threshold(page: TrainState) -> dict[str, Any]:
    """Clipping as the advisor suggests."""
    run = advisor.advised(look_up(page.runs or []))
    threshold = advise(run.training).threshold if run else None
    return {} if threshold is None else {"values": {"clip": "norm", "clip_threshold": exact_text(threshold)}}


def steer(search: Text | None, clicks: dict[Text, Clicks], upload: str | None, page: TrainState) -> dict[str, Any]:
    """The callback: who asked, and what follows."""
    trigger = ctx.triggered_id
    for name, example in EXAMPLES.items():
        if trigger == ids.part(ids.TRAIN.example, name):
            return answer(STEERED, set_values(form.raw(example.config), page) | {"runs": [], "notices": []})
    if trigger == ids.TRAIN.reroll:
        return answer(STEERED, {"values": {"seed": random.randrange(controls.SEED_LIMIT)}})
    if trigger == ids.TRAIN.use and clicks[trigger]:
        return answer(STEERED, use_threshold(page))
    if trigger == ids.upload(FILE) and upload:
        return answer(STEERED, take_file(upload, page.file_name or "", page))
    return answer(STEERED, follow_link(search or "", page) if trigger == ids.TRAIN.search else {})


STEERED = {
    "values": controls.values(Output, TrainConfig),
    **outputs(ids.TRAIN, data="runs rest", children="notices"),
    "files": Output(ids.control(FILE), "data"),
    "upload": Output(ids.upload_message(FILE), "children"),
}


# what the controls say


def look(request: Request) -> dict[str, Any]:
    """The callback: messages and looks of the controls for a request."""
    filled = form.read(request.raw, TrainConfig)
    shown = [config for run_id in request.runs if (config := TRAINING.config(run_id))]
    base = min(shown, key=lambda config: len(form.changed(config, filled.config)), default=filled.config)
    example = next((example.text for example in EXAMPLES.values() if example.config == filled.config), "")
    words: dict[str, Any] = {ids.TRAIN.example: {"children": example}}
    words[ids.TRAIN.cells] = {"className": "offer" if has_cell(filled.config) else "offer hidden"}
    if not shown:
        words[ids.TRAIN.preview] = {"children": preview.content(filled.config, request.theme)}
    return {"props": form.looks(filled, base) | words, "look": {"theme": request.theme, "narrow": request.narrow}}


def settle(request: Request, rest: list[tuple[Text, Text]] | None) -> dict[str, Any]:
    """The callback: address and copies; nothing while a control is wrong."""
    filled = form.read(request.raw, TrainConfig)
    if filled.errors:
        return answer(SETTLED, {})
    here = address.Address(filled.config, tuple(request.runs), tuple(rest or ()))
    before = address.read(request.search)
    same = (before.config, before.runs) == (here.config, here.runs)
    configs = meant(filled.config, request.runs)
    command = "\n".join(map(to_command, configs))
    copies = run_card.copies(ids.TRAIN, here.query, python(configs), command)
    return answer(SETTLED, {"copies": copies} | ({} if same else {"address": here.query}))


def meant(config: TrainConfig, run_ids: Sequence[str]) -> list[TrainConfig]:
    """What Python and command are to repeat: all runs on the page, or the set-up where that is none of them."""
    shown = [found for run_id in run_ids if (found := TRAINING.config(run_id))]
    return shown if config in shown else [config]


def python(configs: Sequence[TrainConfig]) -> str:
    """Of one set-up, or of several drawn together."""
    if len(configs) == 1:
        return to_python(configs[0])
    return to_python_together(dict(zip(labels(configs), configs, strict=True)))


# runs


def act(clicks: dict[Text, Clicks], raw: Raw, run_ids: list[Text] | None) -> dict[str, Any]:
    """The callback: nothing where a button came up without having been pressed."""
    trigger = str(ctx.triggered_id)
    return answer(ACTED, press(trigger, raw, run_ids or []) if clicks.get(trigger) else {})


def press(trigger: str, raw: Mapping[str, Any], run_ids: Sequence[str]) -> dict[str, Any]:
    """What a button of the runs does."""
    try:
        if trigger in STARTS:
            return {"failure": "", "runs": start(trigger, raw)}
        for run_id in run_ids:
            ACTIONS[trigger](run_id)
    except InputError as error:
        labels = {name: control.label for name, control in config_controls(TrainConfig).items()}
        return {"failure": message(form.told(error, labels), "error")}
    return {"failure": "", "poke": random.random()}


def start(which: str, raw: Mapping[str, Any]) -> list[str]:
    """New runs of the set-up; their ids. Raises InputError, with none of them started, for what cannot be trained."""
    filled = form.read(raw, TrainConfig)
    if filled.errors:
        name, text = next(iter(filled.errors.items()))
        raise InputError(f"Set right {config_controls(TrainConfig)[name].label} first: {text}")
    require_memory(filled.config)
    started: list[str] = []
    try:
        for config in STARTS[which].configs(filled.config):
            started.append(TRAINING.start(config))
    except InputError:
        for run_id in started:
            TRAINING.stop(run_id)
        raise
    return started


ACTED = {
    **outputs(ids.TRAIN, data="poke", children="failure"),
    "runs": Output(ids.TRAIN.runs, "data", allow_duplicate=True),
}
SETTLED = outputs(ids.TRAIN, data="address copies")
ACTIONS = {ids.TRAIN.pause: TRAINING.pause, ids.TRAIN.resume: TRAINING.resume, ids.TRAIN.stop: TRAINING.stop}


def register(app: Dash) -> None:
    """Steering, the controls' looks, the address, and the buttons of the runs."""
    buttons = [ids.TRAIN.reroll, ids.TRAIN.use, *(ids.part(ids.TRAIN.example, name) for name in EXAMPLES)]
    page = {
        "raw": controls.values(State, TrainConfig),
        "runs": State(ids.TRAIN.runs, "data"),
        "files": State(ids.control(FILE), "data"),
        "file_name": State(ids.upload(FILE), "filename"),
    }
    inputs = {
        "search": Input(ids.TRAIN.search, "data"),
        "clicks": {name: Input(name, "n_clicks") for name in buttons},
        "upload": Input(ids.upload(FILE), "contents"),
        "page": page,
    }
    app.callback(output=STEERED, inputs=inputs, prevent_initial_call=True)(steer)
    chosen = Input(ids.control(FILE), "value"), Input(ids.control(TASK), "value")
    app.callback(*(Output(ids.control(COLUMN), prop) for prop in ("data", "placeholder")), *chosen)(column_menu)
    request = Input(ids.TRAIN.request, "data")
    app.callback(Output(ids.TRAIN.drawn, "data"), request, prevent_initial_call=True)(look)
    wanted = [Input(ids.TRAIN.settled, "data"), State(ids.TRAIN.rest, "data")]
    app.callback(output=SETTLED, inputs=wanted, prevent_initial_call=True)(settle)
    pressed = {
        "clicks": {name: Input(name, "n_clicks") for name in (*STARTS, *ACTIONS)},
        "raw": controls.values(State, TrainConfig),
        "run_ids": State(ids.TRAIN.runs, "data"),
    }
    app.callback(output=ACTED, inputs=pressed, prevent_initial_call=True)(act)
