"""Keras's recurrent cells: where a file keeps their arrays, and what cells of gradlab they are.

Kernel (D, G H) and recurrent kernel (H, G H) hold the gates side by side; LSTM i, f, c, o, GRU z, r, h. A GRU whose
reset acts after the product has the biases of input and state (2, 3 H), else (3 H,).
Source: keras.layers.SimpleRNN, LSTM and GRU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import require_shape
from ..cells import make_cell
from ..errors import InputError, echo
from .entries import ReadLayer
from .tensors import finite_array, parameters

ACTIVATIONS = {
    name: name for name in ("tanh", "sigmoid", "relu", "elu", "selu", "gelu", "silu", "softplus", "softsign")
} | {"linear": "identity", "swish": "silu"}  # by Keras's name
BLOCKS = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
_NUMBERED = re.compile(r"(?P<cell>(?:.*/)?cell(?:/cells/[^/]+)?)/vars/(?P<part>[012])")
_NAMED = re.compile(r"(?P<cell>.+)/(?P<part>kernel|recurrent_kernel|bias)(?::0)?")
_PARTS = ("kernel", "recurrent_kernel", "bias")


@dataclass(frozen=True)
class KerasCell:
    """The arrays of one cell, and where they are."""

    path: str
    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray | None

    @property
    def inputs(self) -> int:
        """Features that it takes."""
        return int(self.kernel.shape[0])

    @property
    def units(self) -> int:
        """H."""
        return int(self.recurrent.shape[0])

    @property
    def backward(self) -> bool:
        """Whether it is the backward one of a Bidirectional, by its name."""
        return any(part.startswith("backward_") for part in self.path.split("/"))

    def kind(self) -> str:
        """The class of layer, by the number of blocks. Raises InputError for none."""
        blocks = self.recurrent.shape[1] / self.units
        kinds = [name for name, count in BLOCKS.items() if count == blocks]
        if not kinds:
            raise InputError(
                f"{self.path}: expected a recurrent kernel (H, H), (H, 3 H) or (H, 4 H), as SimpleRNN, GRU and LSTM "
                f"have it, got {self.recurrent.shape}"
            )
        return kinds[0]

    def read(self, number: str, config: Mapping[str, Any] | None, activation: str | None) -> ReadLayer:
        """As a cell of gradlab; config: Keras's own, of the layer, where the file has it."""
        kind = self.kind()
        phi, assumed = _activation(config, activation, self.path)
        before = kind == "GRU" and not _reset_after(config, self)
        name = {"SimpleRNN": "elman", "GRU": "gru_v1" if before else "gru", "LSTM": "lstm"}[kind]
        cell = make_cell(name, input_size=self.inputs, hidden_size=self.units, activation=phi)
        return ReadLayer(cell, self._parameters(name, BLOCKS[kind]), number, assumed)

    def _parameters(self, name: str, blocks: int) -> dict[str, np.ndarray]:
        order = [1, 0, 2] if blocks == 3 else [*range(blocks)]  # z, r, h to r, z, n
        rows, h = blocks * self.units, self.units
        require_shape(f"{self.path}/kernel", self.kernel, ("D", rows))
        w_x, w_h = (
            finite_array(f"{self.path}/{part}", array).T.reshape(blocks, h, -1)[order]
            for part, array in zip(_PARTS, (self.kernel, self.recurrent), strict=False)
        )
        given = np.zeros(rows, w_x.dtype) if self.bias is None else finite_array(f"{self.path}/bias", self.bias)
        require_shape(f"{self.path}/bias", given, (2, rows) if name == "gru" and given.ndim == 2 else (rows,))
        biases = [b.reshape(blocks, h)[order] for b in (given if given.ndim == 2 else given[None])]
        return parameters(name, w_x, w_h, *biases)


def _activation(config: Mapping[str, Any] | None, given: str | None, path: str) -> tuple[str, str]:
    """gradlab's name of the activation, and whose is a guess. Raises InputError for what no cell of gradlab has."""
    if config is None:
        return ("tanh", "a layer's activation") if given is None else (given, "")
    gates, own = config.get("recurrent_activation", "sigmoid"), config.get("activation", "tanh")
    if gates != "sigmoid":
        raise InputError(f"{path}: recurrent_activation={echo(gates)}; gates are read where it is sigmoid")
    if not isinstance(own, str) or own not in ACTIVATIONS:
        raise InputError(f"{path}: activation={echo(own)} is none that gradlab has; it has {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[own], ""


def _reset_after(config: Mapping[str, Any] | None, cell: KerasCell) -> bool:
    """Of a GRU, from its configuration, else the shape of its biases. Raises InputError where neither tells."""
    if config is not None:
        return bool(config.get("reset_after", False))  # Keras 2 had no such field at first
    if cell.bias is None:
        raise InputError(
            f"{cell.path}: a GRU without a bias; the weights alone do not tell where its reset gate acts: save the "
            "model with its configuration, model.save('net.keras')"
        )
    return cell.bias.ndim == 2


def keras_cells(arrays: Mapping[str, np.ndarray]) -> list[KerasCell]:
    """All recurrent cells among arrays by path, of Keras 3 (cell/vars/0, 1, 2) or before (kernel, ...)."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for path, array in arrays.items():
        if match := _NUMBERED.fullmatch(path):
            found.setdefault(match["cell"], {})[_PARTS[int(match["part"])]] = array
        elif match := _NAMED.fullmatch(path):
            found.setdefault(match["cell"], {})[match["part"]] = array
    whole = {path: parts for path, parts in found.items() if _fits(parts)}
    return [KerasCell(path, p["kernel"], p["recurrent_kernel"], p.get("bias")) for path, p in whole.items()]


def _fits(parts: Mapping[str, np.ndarray]) -> bool:
    """Whether these are a recurrent cell's, and no convolution's."""
    return {"kernel", "recurrent_kernel"} <= parts.keys() and all(
        parts[name].ndim == 2 and parts[name].size for name in _PARTS[:2]
    )
