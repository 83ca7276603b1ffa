"""ONNX's recurrent operators: what cells of gradlab they are.

W (G H, D), R (G H, H) and B (2 G H), biases of input and state, hold the gates in blocks of rows: LSTM i, o, f, c, and
P (3 H) i, o, f; GRU z, r, h. Where linear_before_reset is 0, as it is by default, the reset gate of a GRU acts before
the product.
Source: the operators RNN, LSTM and GRU of the ONNX standard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arrays import require_shape
from ..cells import make_cell
from ..errors import InputError, echo
from .entries import ReadLayer
from .tensors import parameters

ORDER = {"RNN": [0], "LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2]}  # of the blocks, as gradlab has them
NONLINEARITIES = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}  # by default
ACTIVATIONS = {name.lower(): name.lower() for name in ("Tanh", "Relu", "Sigmoid", "Elu", "Softsign", "Softplus")}
REFUSED = {  # attribute -> what it is where it says nothing, and what else it would be
    "clip": (0.0, "its pre-activations are clipped"),
    "input_forget": (0, "its input and forget gates are coupled"),
    "layout": (0, "its sequences are batch first"),
    "activation_alpha": ([], "its activations have parameters"),
    "activation_beta": ([], "its activations have parameters"),
}


def read_cell(
    kind: str, attributes: Mapping[str, Any], direction: int, parts: Mapping[str, np.ndarray | None], number: str
) -> ReadLayer:
    """One direction of an operator, from its attributes and that direction's W, R, B and P, where there are.

    Raises InputError for what no cell of gradlab does.
    """
    where = f"{kind} {number}"
    for name, (nothing, why) in REFUSED.items():
        if name in attributes and attributes[name] != nothing:
            raise InputError(f"{where}: {name}={echo(attributes[name])}: {why}, which no cell of gradlab does")
    w, r, b, p = (parts[name] for name in ("W", "R", "B", "P"))
    blocks = len(ORDER[kind])
    if w is None or r is None or r.ndim != 2 or not r.size or len(r) != blocks * r.shape[1]:
        raise InputError(
            f"{where}: expected W (dirs, {blocks} H, D) and R (dirs, {blocks} H, H); export the model again"
        )
    require_shape(f"{where} W", w, (len(r), "D"))
    name = _cell_name(kind, attributes, p)
    activation = _activation(attributes, kind, direction, where)
    cell = make_cell(name, input_size=w.shape[1], hidden_size=r.shape[1], activation=activation)
    params = parameters(name, _blocks(w, kind), _blocks(r, kind), *_biases(b, kind, r, where))
    if p is not None and kind == "LSTM":
        require_shape(f"{where} P", p, (3 * r.shape[1],))
        params["p"] = p.reshape(3, -1)[[0, 2, 1]]
    return ReadLayer(cell, params, number)


def _cell_name(kind: str, attributes: Mapping[str, Any], peepholes: np.ndarray | None) -> str:
    if kind == "LSTM":
        return "lstm" if peepholes is None else "peephole_lstm"
    if kind == "RNN":
        return "elman"
    return "gru" if attributes.get("linear_before_reset", 0) else "gru_v1"


def _blocks(rows: np.ndarray, kind: str) -> np.ndarray:
    """(G H, ...) as (G, H, ...), in gradlab's order."""
    return np.asarray(rows.reshape(len(ORDER[kind]), -1, *rows.shape[1:])[ORDER[kind]])


def _biases(b: np.ndarray | None, kind: str, r: np.ndarray, where: str) -> list[np.ndarray]:
    """Those of the input and of the state (G, H); zeros where there are none."""
    given = np.zeros(2 * len(r), r.dtype) if b is None else b
    require_shape(f"{where} B", given, (2 * len(r),))
    return [_blocks(half, kind) for half in given.reshape(2, -1)]


def _activation(attributes: Mapping[str, Any], kind: str, direction: int, where: str) -> str:
    """The one that may be chosen, of gates that have the sigmoid. Raises InputError for others."""
    default = NONLINEARITIES[kind]
    given = [name.decode("utf-8", "replace").lower() for name in attributes.get("activations", [])]
    own = given[direction * len(default) : (direction + 1) * len(default)] or [name.lower() for name in default]
    *gates, chosen = own if kind != "LSTM" else own[:2]
    if len(own) != len(default) or gates != ["sigmoid"] * len(gates) or own[-1] != chosen or chosen not in ACTIVATIONS:
        raise InputError(
            f"{where}: activations {', '.join(own)}; expected sigmoid for gates and one of {', '.join(ACTIVATIONS)} "
            "for everything else"
        )
    return chosen
