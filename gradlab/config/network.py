"""Fields that a run and a training run share: the network, its weights, its data, the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ..arrays import DEVICES
from ..cells import CELLS
from ..cells.activations import ACTIVATIONS
from ..cells.initializers import INITIALIZERS
from ..data import INPUTS
from .architecture import TREE_CELLS, ArchitectureConfig, drawn, has_cell, is_transformer, is_tree
from .base import MOST, field

DTYPES = {"float64": "double precision", "float32": "single precision"}


def _drawn_by(option: str) -> Callable[[Any], bool]:
    """Whether weights are drawn, and by an option that the cell has."""
    return lambda config: has_cell(config) and option in CELLS[config.cell].drawn_by()


def generated(config: Any) -> bool:
    """Whether the input is generated, not read from a file."""
    return config.input in INPUTS


class NetworkConfig(ArchitectureConfig):
    """The network, its weights, its data, and where it runs."""

    cell: str = field(
        "elman",
        "Cell",
        "The recurrent cell",
        "network",
        level="basic",
        choices=lambda: list(CELLS),
        applies_if=has_cell,
    )
    activation: str = field(
        "tanh",
        "Activation",
        "The nonlinearity; of gated cells, the candidate's and output's; of a transformer, the feed-forward net's",
        "network",
        level="basic",
        choices=lambda: list(ACTIVATIONS),
    )
    gain: float = field(
        1.0,
        "Gain",
        "Multiplies the initialisation's own scale; sigma_w for gaussian",
        "network",
        level="basic",
        ge=0,
        min=0.1,
        max=4,
        step=0.05,
        applies_if=_drawn_by("gain"),
    )
    steps: int = field(
        100,
        "Steps",
        "Length T of the sequence; of a tree, its nodes, at most where a file of trees is read",
        "network",
        level="basic",
        ge=1,
        le=MOST,
        min=10,
        max=500,
        step=10,
        limit=20_000,
    )
    forget_bias: float | Literal["chrono"] = field(
        0.0,
        "Forget bias",
        "Added to the forget gate's bias; chrono spreads it over all lags",
        "network",
        level="basic",
        min=-2,
        max=6,
        step=0.1,
        applies_if=_drawn_by("forget_bias"),
    )
    recurrent_init: str = field(
        "gaussian",
        "Initialisation",
        "Scheme of the recurrent weights",
        "weights",
        choices=lambda: list(INITIALIZERS),
        applies_if=_drawn_by("recurrent_init"),
    )
    hidden_size: int = field(
        64,
        "Hidden size",
        "Number of units H",
        "weights",
        ge=1,
        le=MOST,
        min=8,
        max=256,
        step=8,
        limit=1024,
        applies_if=drawn,
    )
    bias_scale: float = field(
        0.0,
        "Bias scale",
        "sigma_b: standard deviation of the biases",
        "weights",
        ge=0,
        min=0,
        max=2,
        step=0.05,
        applies_if=has_cell,
    )
    input_scale: float = field(
        1.0,
        "Input scale",
        "sigma_v: standard deviation of the input's part of the pre-activation",
        "weights",
        ge=0,
        min=0,
        max=4,
        step=0.05,
        applies_if=has_cell,
    )
    leak: float = field(
        1.0,
        "Leak",
        "h' = (1 - leak) h + leak phi(a)",
        "weights",
        gt=0,
        le=1,
        min=0.05,
        max=1,
        step=0.05,
        applies_if=lambda config: has_cell(config) and "leak" in CELLS[config.cell].__dataclass_fields__,
    )
    input: str = field(
        "noise",
        "Input",
        "noise, sine, or a file: a table (.csv), an array (.npy), a sound (.wav) or a text",
        "data",
        choices=lambda: list(INPUTS),
        files=True,
    )
    column: str | None = field(
        None,
        "Column",
        "The column of a table to read (default: all that are features)",
        "data",
        applies_if=lambda config: not generated(config),
    )
    batch_size: int = field(
        32, "Samples", "Number of sequences B", "data", ge=1, le=MOST, min=1, max=128, step=1, limit=1024
    )
    seed: int = field(0, "Seed", "Of weights, input and loss probe", "run", ge=0)
    dtype: str = field(
        "float64",
        "Precision",
        "Floating-point precision of the run",
        "run",
        choices=lambda: list(DTYPES),
        labels=DTYPES,
    )
    device: str = field(
        "cpu", "Device", "cpu, cuda, or auto: the GPU where one works", "run", choices=lambda: list(DEVICES)
    )

    def conflicts(self) -> dict[str, str]:
        """Fields that exclude each other; of two the one whose default would do, so never one that has it."""
        found = {}
        if self.bidirectional and self.causal:
            field = "bidirectional" if is_transformer(self) else "causal"
            found[field] = "a causal net sees nothing of what comes later, a net of both directions does; leave one out"
        if is_transformer(self) and self.hidden_size % self.heads:
            field = "hidden_size" if self.hidden_size % type(self).model_fields["heads"].default else "heads"
            found[field] = f"{self.heads} heads cannot share {self.hidden_size} units; give a multiple of the heads"
        if is_tree(self) and self.cell not in TREE_CELLS:
            found["cell"] = f"a tree is made of {' or '.join(TREE_CELLS)} cells, got {self.cell}"
        return found
