"""Whatever has become of a checkpoint: it is refused with a sentence, or it is looked at, and goes on training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors import safe_open
from safetensors.numpy import save

from gradlab.errors import Cancelled, InputError
from gradlab.importers import TRAINING, load_weights
from gradlab.training import TrainConfig, TrainingRecord, TrainingRun, dataset, snapshot_dataset, train

from ..training.test_checkpoint_damaged import KINDS
from .examples import answer, fuzzed
from .made import Draw, damaged
from .nested import changed, paths
from .values import ANYTHING, controls, value

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a file that fails
TINY = {"steps": 8, "hidden_size": 3, "batch_size": 4, "iterations": 4, "snapshot_every": 2, "evaluate_every": 2}
RUNS: list[dict[str, Any]] = [
    {"clip": "autoclip"},
    {"cell": "lstm", "layers": 2, "residual": True, "optimizer": "sgd", "momentum": 0.9, "clip": "agc"},
    {
        "cell": "gru",
        "dtype": "float32",
        "dropout": 0.5,
        "optimizer": "rmsprop",
        "schedule": "cosine",
        "clip": "step_norm",
    },
    {"task": "parity", "gain": 1e200, "activation": "relu", "omega": 1.0, "nonfinite": "stop"},
    {"architecture": "transformer", "heads": 1, "layers": 2},
    {"architecture": "tree", "task": "arithmetic_trees"},
    {"task": "copy_attention", "attention": "dot"},
    {"bidirectional": True, "attention": "additive"},
]
DTYPES = ["float64", "float32", "float16", "int64", "int32", "uint8", "bool"]
Parts = tuple[dict[str, np.ndarray], Any]  # arrays and facts


@pytest.fixture(scope="module", name="path")
def own_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints") / "run.safetensors"


@pytest.fixture(scope="module", name="whole")
def checkpoints(path: Path) -> list[bytes]:
    """Those of all RUNS."""

    def content(fields: dict[str, Any]) -> bytes:
        train(**TINY | fields, checkpoint=path)
        return path.read_bytes()

    return [content(fields) for fields in RUNS]


def other_array(draw: Draw, parts: Parts) -> Parts:
    """One array is another one: of a kind that was tried before, of any type and shape, or of another's place."""
    arrays, facts = parts
    name = draw(st.sampled_from(sorted(arrays)))
    shape = st.just(arrays[name].shape) | arrays_of.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=9)
    kinds = [
        st.sampled_from(sorted(KINDS)).map(lambda kind: KINDS[kind](arrays[name])),
        st.builds(lambda shape, dtype: np.ones(shape, dtype), shape, st.sampled_from(DTYPES)),
        st.sampled_from(sorted(arrays)).map(arrays.__getitem__),
        st.sampled_from([0.0, -1.0, np.nan, np.inf, 1e300, 1e-320, 7.0]).map(
            lambda number: _filled(arrays[name], number)
        ),
    ]
    return arrays | {name: draw(st.one_of(kinds))}, facts


def _filled(array: np.ndarray, number: float) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.full(array.shape, number).astype(array.dtype)


def without_array(draw: Draw, parts: Parts) -> Parts:
    """One array is gone, or called otherwise."""
    arrays, facts = dict(parts[0]), parts[1]
    array, name = arrays.pop(draw(st.sampled_from(sorted(arrays)))), draw(st.text(max_size=5))
    return arrays | draw(st.sampled_from([{}, {f"params.{name}": array}, {f"history.snapshots.{name}": array}])), facts


def other_length(draw: Draw, parts: Parts) -> Parts:
    """Some columns of the history are longer or shorter than the others."""
    names = draw(
        st.lists(st.sampled_from([name for name in parts[0] if name.startswith("history.")]), min_size=1, max_size=4)
    )
    longer = draw(st.sampled_from([lambda a: a[:-1], lambda a: np.concatenate([a, a[-1:]]), lambda a: a[:0]]))
    return parts[0] | {name: longer(parts[0][name]) for name in names if parts[0][name].ndim}, parts[1]


def other_fact(draw: Draw, parts: Parts) -> Parts:
    """Anything in the place of a fact, or nothing."""
    path = draw(st.sampled_from([*paths(parts[1])]))
    return parts[0], changed(parts[1], path, draw(ANYTHING), bool(path) and draw(st.booleans()))


def other_field(draw: Draw, parts: Parts) -> Parts:
    """Another value of a field of the configuration, which fits there."""
    name = draw(st.sampled_from([name for name in controls(TrainConfig) if name != "input"]))
    facts = parts[1] if isinstance(parts[1], dict) and isinstance(parts[1].get("config"), dict) else {"config": {}}
    return parts[0], facts | {"config": facts["config"] | {name: draw(value(name, TrainConfig))}}


CHANGES: list[Callable[[Draw, Parts], Parts]] = [other_array, without_array, other_length, other_fact, other_field]


def remade(draw: Draw, data: bytes, path: Path) -> bytes:
    """A checkpoint with other parts."""
    path.write_bytes(data)
    with safe_open(path, "numpy") as file:
        parts: Parts = (
            {name: file.get_tensor(name) for name in sorted(file.keys())},
            json.loads(file.metadata()[TRAINING]),
        )
    for change in draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=2)):
        parts = change(draw, parts)
    text = json.dumps(parts[1], default=str)
    return save({name: np.ascontiguousarray(array) for name, array in parts[0].items()}, {TRAINING: text})


def look(path: Path) -> Any:
    """Everything that is made of a run to look at it."""
    record = TrainingRecord.load(path)
    last = snapshot_dataset(record) if record.history.snapshots else None
    return dataset(record), last, record.outcome, record.untrained, record.threshold, repr(record)


def go_on(path: Path) -> TrainingRun:
    """One step more."""

    def stop(step: Any) -> None:
        raise Cancelled

    return train(checkpoint=path, resume=True, on_step=stop)


@fuzzed("checkpoints")
@given(st.data())
@pytest.mark.filterwarnings("ignore:.*was trained with", "ignore:the weights do not tell")
def test_checkpoints_are_refused_or_go_on(whole: list[bytes], path: Path, data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(whole))
    content = data.draw(damaged(st.just(one))) if data.draw(st.booleans()) else remade(data.draw, one, path)
    path.write_bytes(content)
    answer(look, path)
    answer(load_weights, path)
    run = answer(go_on, path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert isinstance(run, InputError) or isinstance(answer(look, path), tuple)
    assert isinstance(run, InputError) or answer(go_on, path).iteration >= run.iteration
