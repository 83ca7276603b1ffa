"""Set-ups that show something within a minute, the pairs of runs that one click compares, and what runs are called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gradlab.cells import CELLS
from gradlab.config.architecture import is_transformer, is_tree, reads_all
from gradlab.config.links import file_name
from gradlab.config.train import TrainConfig
from gradlab.tasks import TASKS
from gradlab.tasks.labelled import Labelled
from gradlab.tasks.words import Tagging
from gradlab.training.network import task_name
from gradlab.wording import counted

from ... import ids


@dataclass(frozen=True)
class Example:
    """A set-up worth training: what the button says, what it is about, the configuration."""

    label: str
    text: str
    config: TrainConfig


_OFTEN = TrainConfig(snapshot_every=10, evaluate_every=50)  # for runs of some hundred iterations
_ADDING = _OFTEN.replace(task="adding", steps=50, cell="lstm", hidden_size=32, learning_rate=0.01, iterations=600)
_ORDER = _OFTEN.replace(
    task="temporal_order",
    steps=30,
    recurrent_init="orthogonal",
    gain=2.0,
    input_scale=0.1,
    hidden_size=100,
    batch_size=50,
    optimizer="sgd",
    learning_rate=0.05,
    clip="norm",
    clip_threshold=1.0,
    iterations=2000,
)
_SERIES = _OFTEN.replace(task="mackey_glass", steps=50, cell="gru", hidden_size=32, learning_rate=0.01, iterations=400)
_COPY = _OFTEN.replace(
    task="copy_attention",
    steps=20,
    cell="gru",
    attention="dot",
    learning_rate=0.01,
    clip="norm",
    clip_threshold=1.0,
    iterations=300,
)
_TREES = _OFTEN.replace(
    task="arithmetic_trees", architecture="tree", steps=15, cell="lstm", learning_rate=0.01, iterations=600
)
EXAMPLES = {
    "adding": Example(
        "Remembering",
        "Two of 50 numbers are marked; the net is to add them. Press “tanh against LSTM”: the gradient of the tanh net "
        "fades before it reaches the first number, the LSTM's arrives.",
        _ADDING,
    ),
    "order": Example(
        "Clipping",
        "Two symbols, about 12 of 30 steps apart, came in which order? Press “With and without clipping”: at first the "
        "gradient grows a thousandfold on its way back, so the map leaves blue. Without clipping, the first updates "
        "throw the net to where it never learns.",
        _ORDER,
    ),
    "series": Example("Forecasting", "The next value of a chaotic series. Press “Train”.", _SERIES),
    "copy": Example(
        "Looking back",
        "A net reads ten symbols, then 20 blanks; a second one is to say the symbols again, and attention lets it look "
        "back at every step. Press “Train”; then, under More, set Attention to none and train again: all has to pass "
        "through the last state.",
        _COPY,
    ),
    "trees": Example(
        "Trees",
        "The value of an expression such as (+ (* 3 4) (- 2 7)), by a net that goes from the digits up to the last "
        "sign. Press “Train”; with Network set to recurrent net it reads the same signs one after the other.",
        _TREES,
    ),
}
FIRST = _ADDING
NAMED = ("architecture", "cell", "bidirectional", "attention")  # fields that a net is called by


def one(config: TrainConfig) -> list[TrainConfig]:
    """The set-up itself."""
    return [config]


def cells(config: TrainConfig) -> list[TrainConfig]:
    """With a plain cell, and with an LSTM."""
    return [config.replace(cell="elman"), config.replace(cell="lstm")]


def clips(config: TrainConfig) -> list[TrainConfig]:
    """With clipping, by norm at 1 where none is set, and without."""
    clipped = config if config.clip != "off" else config.replace(clip="norm", clip_threshold=1.0)
    return [clipped, config.replace(clip="off")]


@dataclass(frozen=True)
class Start:
    """What one click trains."""

    label: str
    text: str
    configs: Callable[[TrainConfig], list[TrainConfig]]


STARTS = {
    ids.TRAIN.one: Start("Train", "the set-up as it is", one),
    ids.TRAIN.cells: Start("tanh against LSTM", "the same set-up with both cells, overlaid", cells),
    ids.TRAIN.clips: Start("With and without clipping", "the same set-up twice, overlaid", clips),
}


def subject(config: TrainConfig) -> str:
    """What is learnt, in a few words: with the file's name, and the steps unless they are the file's own."""
    task = TASKS[task_name(config)]
    name = task.title if config.input is None else f"{task.title.partition(' ')[0]} {file_name(config.input)}"
    return name if issubclass(task, Labelled | Tagging) else f"{name}, {counted(config.steps, 'step')}"


def title(config: TrainConfig) -> str:
    """A run in a few words."""
    clipped = {"off": "", "norm": f", clipped at {config.clip_threshold or 1:g}"}.get(config.clip, ", clipped")
    return f"{subject(config)}, {net_label(config)}{clipped}"


def net_label(config: TrainConfig) -> str:
    """The net as a person calls it."""
    if is_transformer(config):
        return "transformer"
    cell = f"{config.activation} RNN" if config.cell == "elman" else CELLS[config.cell].title
    if is_tree(config):
        return f"{cell} over trees"
    return "bidirectional " * config.bidirectional + cell + " with attention" * reads_all(config)


def labels(configs: Sequence[TrainConfig]) -> list[str]:
    """What sets runs that are shown together apart, in a few words each; a number where words do not."""
    differing = [name for name, value in configs[0] if any(getattr(other, name) != value for other in configs[1:])]
    found = [_label(config, differing) for config in configs]
    if differing and len(set(found)) < len(found):
        found = [_settings(config, differing) for config in configs]
    return [f"{name} {n}" if found.count(name) > 1 else name for n, name in enumerate(found, 1)]


def _label(config: TrainConfig, differing: Sequence[str]) -> str:
    if not differing or any(name in differing for name in NAMED):
        return net_label(config)
    if "clip" in differing:
        return "unclipped net" if config.clip == "off" else "clipped net"
    return _settings(config, differing)


def _settings(config: TrainConfig, differing: Sequence[str]) -> str:
    return "net with " + ", ".join(_setting(name, getattr(config, name)) for name in differing[:2])


def _setting(name: str, value: Any) -> str:
    """A field in words; names of the user's own in quotes."""
    quoted = f"'{file_name(value) if name == 'input' else value}'" if name in ("input", "column") and value else value
    return f"{name.replace('_', ' ')} {quoted}"
