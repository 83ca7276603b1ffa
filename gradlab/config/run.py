"""RunConfig: one description of a run."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import field_validator

from ..data import CHARACTER, FRAMES, TOKENS, is_sound, require_regular
from ..errors import InputError, echo
from ..layers import SHAPES
from ..learning.clipping import CLIP_MODES, UPDATE_MODES
from .architecture import embeds, is_single, is_tree, reads_all, reads_text, reads_trees
from .base import MOST, Config, Control, controls_of, field
from .network import NetworkConfig, drawn, generated

LOSSES = {"last": "Loss at the last step only", "every": "Loss at every step"}
CLIP_LABELS = {
    "off": "off",
    "norm": "update, by norm",
    "value": "update, by value",
    "step_norm": "inside backprop, by norm",
    "step_value": "inside backprop, by value",
}
UPDATE_CLIPS = tuple(UPDATE_MODES)

C = TypeVar("C", bound=Config)


class RunConfig(NetworkConfig):
    """A run: the cell, its weights, its input, the loss probe and the clipping. Immutable.

    Raises ConfigError that lists every wrong or unknown field at once.
    """

    weights: str | None = field(
        None,
        "Own weights",
        "A model of PyTorch (.safetensors), Keras, ONNX or Flax, or a run of gradlab train",
        "weights",
        files=True,
    )
    prefix: str | None = field(
        None,
        "Module",
        "Which module of the own weights, such as encoder (default: the first with a recurrent layer)",
        "weights",
        applies_if=lambda config: not drawn(config),
    )
    layer: str | None = field(
        None,
        "Layer",
        "One recurrent layer of the own weights, such as 0 or 0_reverse (default: all that follow each other)",
        "weights",
        applies_if=lambda config: not drawn(config),
    )
    input_size: int = field(
        3,
        "Input features",
        "Number of features D of a generated input, or of the vector of each word or byte",
        "data",
        ge=1,
        le=MOST,
        min=1,
        max=64,
        step=1,
        limit=1024,
        applies_if=lambda config: drawn(config) and (generated(config) or embeds(config)),
    )
    tree: str = field(
        "balanced",
        "Shape of the trees",
        "balanced: two children each; random: nodes hang wherever there is room; chain: one child each",
        "network",
        level="basic",
        choices=lambda: list(SHAPES),
        applies_if=lambda config: is_tree(config) and not reads_trees(config),
    )
    frames: str = field(
        "samples",
        "Sound as",
        "How a sound is read: every sample, or how loud 40 bands of frequencies are (mel), 100 times a second",
        "data",
        choices=lambda: list(FRAMES),
        labels=FRAMES,
        applies_if=lambda config: not generated(config) and is_sound(config.input),
    )
    tokens: str = field(
        CHARACTER,
        "Text as",
        "How a text is read: character, each a feature, or word or byte, each with a vector in front of the network",
        "data",
        choices=lambda: list(TOKENS),
        labels=TOKENS,
        applies_if=lambda config: reads_text(config) and not reads_trees(config),
    )
    loss: str = field(
        "last",
        "Loss",
        "Where the loss acts; the verdict always comes from the last step alone",
        "gradient",
        choices=lambda: list(LOSSES),
        labels=LOSSES,
        applies_if=lambda config: not reads_all(config),
    )
    clip: str = field(
        "off",
        "Clipping",
        "Of the weight update, or of the gradient inside backpropagation",
        "gradient",
        choices=lambda: list(CLIP_MODES),
        labels=CLIP_LABELS,
        applies_if=is_single,
    )
    clip_threshold: float | str = field(
        "0.5x",
        "Threshold",
        "A number, or a multiple of the measured unclipped norm such as 0.5x",
        "gradient",
        applies_if=lambda config: is_single(config) and config.clip != "off",
    )

    truncate: int | Literal["off"] = field(
        "off",
        "Truncation",
        "Backpropagation in blocks of so many steps from the first one on: no gradient goes from one to the one before",
        "gradient",
        min=1,
        max=100,
        step=1,
        applies_if=is_single,
    )

    @property
    def block(self) -> int | None:
        """The steps of a block of truncated backpropagation, as `bptt` takes it; None where it goes all the way."""
        return None if self.truncate == "off" else self.truncate

    @field_validator("truncate")
    @classmethod
    def _steps(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= MOST:
            raise InputError(f"expected 1 to {MOST:,} steps or 'off', got {echo(value)}")
        return value

    @field_validator("layer", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("prefix", "layer", "column")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        """An empty field of a form or a link names nothing."""
        return value or None

    @field_validator("clip_threshold")
    @classmethod
    def _threshold(cls, value: float | str) -> float | str:
        if isinstance(value, str) and not re.fullmatch(r"\d*\.?\d+x", value):
            try:
                value = float(value)
            except ValueError:
                raise InputError(f"expected a positive number or a multiple such as 0.5x, got {echo(value)}") from None
        number = float(value[:-1]) if isinstance(value, str) else value
        if not 0 < number < math.inf:
            raise InputError(f"expected a positive number or a multiple such as 0.5x, got {echo(value)}")
        return value


def controls(config: type[Config] = RunConfig) -> dict[str, Control]:
    """Field name -> Control, in the order of the form."""
    return controls_of(config)


def from_toml(path: str | Path, config: type[C] = RunConfig) -> C:  # type: ignore[assignment]
    """The configuration in a TOML file of fields; InputError where it is no TOML or a field is wrong."""
    try:
        require_regular(Path(path))
        fields = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise InputError(f"{path}: not a TOML file: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: not a TOML file of fields: values are nested too deeply") from None
    return config(**fields)
