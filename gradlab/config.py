"""RunConfig: one description of a run, validated in one place, from keywords, CLI, TOML, URL and the app's controls.

Every field carries the metadata that its control needs (`Control`), so a new field appears in the CLI and in the app by
being declared here. A field that does not apply to a cell is ignored and keeps its value.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .activations import ACTIVATIONS
from .arrays import DEVICES
from .cells import CELLS
from .clipping import CLIP_MODES, UPDATE_MODES
from .data import INPUTS
from .errors import InputError
from .initializers import INITIALIZERS
from .registry import unknown

LOSSES = {"last": "Loss at the last step only", "every": "Loss at every step"}
DTYPES = {"float64": "double precision", "float32": "single precision"}
CLIP_LABELS = {
    "off": "off",
    "norm": "update, by norm",
    "value": "update, by value",
    "step_norm": "inside backprop, by norm",
    "step_value": "inside backprop, by value",
}
UPDATE_CLIPS = tuple(UPDATE_MODES)


@dataclass(frozen=True)
class Control:
    """How a person sets one field: wording, place, range, and when it applies.

    level: "basic" is always visible, "more" stands under More. min, max, step: the slider's, where there is one; limit:
    the largest value the app accepts (the engine has none). choices: the names a registry holds.
    """

    label: str
    help: str
    group: str
    level: Literal["basic", "more"] = "more"
    min: float | None = None
    max: float | None = None
    step: float | None = None
    limit: float | None = None
    choices: Callable[[], list[str]] | None = None
    labels: Mapping[str, str] | None = None
    applies_if: Callable[[RunConfig], bool] = lambda config: True


def _field(default: Any, label: str, help: str, group: str, **control: Any) -> Any:
    bounds = {key: control.pop(key) for key in ("ge", "gt", "le") if key in control}
    extra: Any = {"control": Control(label, help, group, **control)}
    return Field(default, description=help, json_schema_extra=extra, **bounds)


def _drawn(config: RunConfig) -> bool:
    """Whether the weights are drawn, not read from a file."""
    return config.weights is None


def _gated(config: RunConfig) -> bool:
    return _drawn(config) and CELLS[config.cell].forget_gate is not None


def _generated(config: RunConfig) -> bool:
    return config.input in INPUTS


class RunConfig(BaseModel):
    """A run: the cell, its weights, its input, the loss probe and the clipping. Immutable.

    Raises InputError that lists every wrong or unknown field at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cell: str = _field(
        "elman", "Cell", "The recurrent cell", "network", level="basic", choices=lambda: list(CELLS), applies_if=_drawn
    )
    activation: str = _field(
        "tanh",
        "Activation",
        "The nonlinearity; of gated cells, the candidate's and output's",
        "network",
        level="basic",
        choices=lambda: list(ACTIVATIONS),
    )
    gain: float = _field(
        1.0,
        "Gain",
        "Multiplies the initialisation's own scale; sigma_w for gaussian",
        "network",
        level="basic",
        ge=0,
        min=0.1,
        max=4,
        step=0.05,
        applies_if=_drawn,
    )
    steps: int = _field(
        100, "Steps", "Length T of the sequence", "network", level="basic", ge=1, min=10, max=500, step=10, limit=20_000
    )
    forget_bias: float | Literal["chrono"] = _field(
        0.0,
        "Forget bias",
        "Added to the forget gate's bias; chrono spreads it over all lags",
        "network",
        level="basic",
        min=-2,
        max=6,
        step=0.1,
        applies_if=_gated,
    )
    recurrent_init: str = _field(
        "gaussian",
        "Initialisation",
        "Scheme of the recurrent weights",
        "weights",
        choices=lambda: list(INITIALIZERS),
        applies_if=_drawn,
    )
    hidden_size: int = _field(
        64, "Hidden size", "Number of units H", "weights", ge=1, min=8, max=256, step=8, limit=1024, applies_if=_drawn
    )
    bias_scale: float = _field(
        0.0,
        "Bias scale",
        "sigma_b: standard deviation of the biases",
        "weights",
        ge=0,
        min=0,
        max=2,
        step=0.05,
        applies_if=_drawn,
    )
    input_scale: float = _field(
        1.0,
        "Input scale",
        "sigma_v: standard deviation of the input's part of the pre-activation",
        "weights",
        ge=0,
        min=0,
        max=4,
        step=0.05,
        applies_if=_drawn,
    )
    leak: float = _field(
        1.0,
        "Leak",
        "h' = (1 - leak) h + leak phi(a)",
        "weights",
        gt=0,
        le=1,
        min=0.05,
        max=1,
        step=0.05,
        applies_if=lambda config: _drawn(config) and "leak" in CELLS[config.cell].__dataclass_fields__,
    )
    weights: str | None = _field(
        None, "Own weights", "A .safetensors file with an nn.RNN, nn.LSTM or nn.GRU layer", "weights"
    )
    input: str = _field(
        "noise", "Input", "noise, sine, or a .csv, .npy, .wav or text file", "data", choices=lambda: list(INPUTS)
    )
    column: str | None = _field(
        None,
        "Column",
        "The column of a CSV file to read (default: all numeric ones)",
        "data",
        applies_if=lambda config: not _generated(config),
    )
    input_size: int = _field(
        3,
        "Input features",
        "Number of features D of a generated input",
        "data",
        ge=1,
        min=1,
        max=64,
        step=1,
        limit=1024,
        applies_if=lambda config: _drawn(config) and _generated(config),
    )
    batch_size: int = _field(32, "Samples", "Number of sequences B", "data", ge=1, min=1, max=128, step=1, limit=1024)
    loss: str = _field(
        "last",
        "Loss",
        "Where the loss acts; the verdict always comes from the last step alone",
        "gradient",
        choices=lambda: list(LOSSES),
        labels=LOSSES,
    )
    clip: str = _field(
        "off",
        "Clipping",
        "Of the weight update, or of the gradient inside backpropagation",
        "gradient",
        choices=lambda: list(CLIP_MODES),
        labels=CLIP_LABELS,
    )
    clip_threshold: float | str = _field(
        "0.5x",
        "Threshold",
        "A number, or a multiple of the measured unclipped norm such as 0.5x",
        "gradient",
        applies_if=lambda config: config.clip != "off",
    )
    seed: int = _field(0, "Seed", "Of weights, input and loss probe", "run", ge=0)
    dtype: str = _field(
        "float64",
        "Precision",
        "Floating-point precision of the run",
        "run",
        choices=lambda: list(DTYPES),
        labels=DTYPES,
    )
    device: str = _field(
        "cpu", "Device", "cpu, cuda, or auto: the GPU where one works", "run", choices=lambda: list(DEVICES)
    )

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigError(_messages(error)) from None

    @field_validator("cell", "activation", "recurrent_init", "loss", "clip", "dtype", "device")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        valid = controls()[info.field_name].choices()  # type: ignore[misc]
        if value not in valid:
            raise unknown(KINDS.get(info.field_name, info.field_name), value, valid)
        return value

    @field_validator("clip_threshold")
    @classmethod
    def _threshold(cls, value: float | str) -> float | str:
        if isinstance(value, str) and not re.fullmatch(r"\d*\.?\d+x", value):
            try:
                value = float(value)
            except ValueError:
                raise InputError(f"expected a positive number or a multiple such as 0.5x, got {value!r}") from None
        number = float(value[:-1]) if isinstance(value, str) else value
        if not 0 < number < math.inf:
            raise InputError(f"expected a positive number or a multiple such as 0.5x, got {value!r}")
        return value

    def changes(self) -> dict[str, Any]:
        """The fields that differ from the defaults."""
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return {name: getattr(self, name) for name in controls() if getattr(self, name) != defaults[name]}

    def beyond_limits(self) -> dict[str, str]:
        """Field -> message for sizes larger than the app accepts; empty when all fit."""
        return {
            name: f"{c.label}: at most {c.limit:,.0f} in the app, got {getattr(self, name):,}; the library has no limit"
            for name, c in controls().items()
            if c.limit is not None and getattr(self, name) > c.limit
        }

    def replace(self, **fields: Any) -> RunConfig:
        """A copy with other values, validated."""
        return RunConfig(**{**self.model_dump(), **fields})


KINDS = {"recurrent_init": "recurrent initializer", "clip": "clipping mode", "dtype": "precision"}


class ConfigError(InputError):
    """Wrong fields of a configuration; `fields` maps each to its message."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__("\n".join(f"{name}: {message}" for name, message in fields.items()))


def _messages(error: ValidationError) -> dict[str, str]:
    messages: dict[str, str] = {}
    for problem in error.errors():
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            text = str(unknown("field", name, list(controls())))
        elif problem["type"] == "value_error":
            text = problem["msg"].removeprefix("Value error, ")
        else:
            text = f"expected {_expectation(problem)}, got {problem['input']!r}"
        messages[name] = (
            f"{messages[name].partition(', got')[0]} or {text.removeprefix('expected ')}" if name in messages else text
        )
    return messages


_EXPECTED = {"finite": "a finite number", "float": "a number", "int": "a whole number", "string": "text"}
_BOUNDS = {"greater_than_equal": "at least", "greater_than": "more than", "less_than_equal": "at most"}


def _expectation(problem: Mapping[str, Any]) -> str:
    """What a field would have taken, in words."""
    if problem["type"] in _BOUNDS:
        return f"{_BOUNDS[problem['type']]} {next(iter(problem['ctx'].values()))}"
    if problem["type"] == "literal_error":
        return str(problem["ctx"]["expected"])
    return _EXPECTED.get(problem["type"].partition("_")[0], problem["msg"].lower())


def controls() -> dict[str, Control]:
    """Field name -> Control, in the order of the form."""
    return {name: field.json_schema_extra["control"] for name, field in RunConfig.model_fields.items()}  # type: ignore[index, misc]


def from_toml(path: str | Path) -> RunConfig:
    """The RunConfig in a TOML file of fields; InputError where it is no TOML or a field is wrong."""
    try:
        fields = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file: {error}") from None
    return RunConfig(**fields)
