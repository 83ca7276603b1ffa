"""Weights of PyTorch's nn.RNN, nn.LSTM and nn.GRU, without PyTorch and without pickle.

PyTorch stacks the gates of one layer along the rows: `weight_ih_l{k}` (G*H, D), `weight_hh_l{k}` (G*H, H),
`bias_ih_l{k}` and `bias_hh_l{k}` (G*H,); LSTM i, f, g, o; GRU r, z, n, whose two biases of n stay apart.
Source: the equations in the documentation of torch.nn.RNN, torch.nn.LSTM and torch.nn.GRU.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import require_shape, to_numpy
from ..cells import Cell, make_cell
from ..errors import InputError

Params = dict[str, np.ndarray]

_CELLS = {1: "elman", 3: "gru", 4: "lstm"}  # by the number of row blocks
REVERSE = "_reverse"  # behind the number of a layer's second direction
ASSUMED = "do not tell nn.RNN's nonlinearity, so tanh is assumed"
_LAYER = re.compile(rf"(?P<module>(?:.*\.)?)weight_ih_l(?P<layer>\d+(?:{REVERSE})?)")


class AssumedActivation(UserWarning):
    """The weights do not tell a layer's nonlinearity, and nobody else did."""


@dataclass(frozen=True)
class ReadLayer:
    """A layer of PyTorch. number: behind its tensors' names. assumed: whether its nonlinearity is a guess."""

    cell: Cell
    params: Params
    number: str
    assumed: bool

    def warn(self) -> None:
        """Warn, the caller's caller, of what the weights do not tell or ask for."""
        if self.assumed:
            text = f"the weights {ASSUMED}; give activation='tanh' or 'relu', whichever it was trained with"
            warnings.warn(text, AssumedActivation, stacklevel=3)
        if self.number.endswith(REVERSE):
            text = f"layer {self.number} reads a sequence from its end: reverse x along time, within each sample's own"
            warnings.warn(f"{text} length, and the states to have them in the order of x", UserWarning, stacklevel=3)


def from_state_dict(
    sd: Mapping[str, Any], prefix: str | None = None, layer: int | str = 0, activation: str | None = None
) -> tuple[Cell, Params]:
    """Cell and parameters of one layer of an nn.RNN, nn.LSTM or nn.GRU, from its state_dict or any mapping of arrays.

    Without `prefix`, the name of the module ("encoder.lstm"), the first one that has the layer is taken. `layer` counts
    from 0; "0_reverse" is the reversed direction, whose x has to be reversed along time: a warning says so. A
    state_dict does not tell an nn.RNN's nonlinearity: without `activation` it is taken for tanh, with a warning.
    Returns W_xh (G_x, H, D), W_hh (G_h, H, H), b_h (G, H) of the dtype given, float32 for half precision. Absent
    biases are zero. Raises InputError if there is no such layer or its tensors do not fit together.
    """
    read = read_layer(sd, prefix, layer, activation)
    read.warn()
    return read.cell, read.params


def read_layer(
    sd: Mapping[str, Any], prefix: str | None = None, layer: int | str = 0, activation: str | None = None
) -> ReadLayer:
    """What `from_state_dict` returns, and what is to be said about it."""
    if not isinstance(sd, Mapping):
        raise InputError(
            f"expected a mapping of names to arrays, got {type(sd).__name__}; pass module.state_dict()", "sd"
        )
    module, number = _find(sd, prefix, str(layer))
    w_ih, w_hh, b_ih, b_hh = _tensors(sd, module, number)
    blocks = len(w_hh) // w_hh.shape[1]
    name, sizes = _CELLS[blocks], {"input_size": w_ih.shape[1], "hidden_size": w_hh.shape[1]}
    cell = make_cell(name, **sizes, activation="tanh" if activation is None else activation)
    tensors = [t.reshape(blocks, cell.hidden_size, *t.shape[1:]) for t in (w_ih, w_hh, b_ih, b_hh)]
    assumed = activation is None and name == "elman"
    return ReadLayer(cell, _parameters(name, *tensors), number, assumed)


def _parameters(name: str, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: np.ndarray, b_hh: np.ndarray) -> Params:
    """PyTorch's blocks (G, H, ...) as a cell's parameters."""
    if name != "gru":
        return {"W_xh": w_ih, "W_hh": w_hh, "b_h": b_ih + b_hh}
    # From r, z, n to n, r, z, m: the recurrent block of n is a gate of its own, m, which reset multiplies.
    bias = np.stack([b_ih[2], b_ih[0] + b_hh[0], b_ih[1] + b_hh[1], b_hh[2]])
    return {"W_xh": w_ih[[2, 0, 1]], "W_hh": w_hh, "b_h": bias}


def to_state_dict(cell: Cell, params: Mapping[str, Any]) -> Params:
    """The tensors of an nn.RNN, nn.LSTM or nn.GRU with one layer that has these parameters; of `from_state_dict`.

    A bias goes to bias_ih; only what reset multiplies in a GRU is in bias_hh. Raises InputError for other cells.
    """
    if cell.name not in _CELLS.values() or getattr(cell, "leak", 1) != 1:
        text = f"expected an elman without a leak, an lstm or a gru, as PyTorch has them, got {cell!r}"
        raise InputError(text, "cell")
    w_ih, w_hh, b_ih = (to_numpy(params[name]) for name in ("W_xh", "W_hh", "b_h"))
    b_hh = np.zeros_like(b_ih)
    if cell.name == "gru":  # from n, r, z, m to r, z, n
        w_ih, b_ih, b_hh = w_ih[[1, 2, 0]], b_ih[[1, 2, 0]], np.stack([b_hh[0], b_hh[0], b_ih[3]])
    blocks = {"weight_ih_l0": w_ih, "weight_hh_l0": w_hh, "bias_ih_l0": b_ih, "bias_hh_l0": b_hh}
    return {name: np.ascontiguousarray(b.reshape(-1, *b.shape[2:])) for name, b in blocks.items()}


def _find(sd: Mapping[str, Any], prefix: str | None, layer: str) -> tuple[str, str]:
    """Name in front of the tensors' names, and the number behind them."""
    found = _layers(sd)
    if not found:
        raise InputError(
            "no recurrent layer of nn.RNN, nn.LSTM or nn.GRU (weight_ih_l0, weight_hh_l0) in the weights; "
            f"they hold: {_summary(sd)}",
            "sd",
        )
    modules = [name for module, _ in found for name in (module, module.removesuffix("."))]
    for module, number in found:
        if number == layer and prefix in (None, module, module.removesuffix(".")):
            return module, number
    wanted = f"layer {layer}" + ("" if prefix is None else f" of '{prefix}'")
    text = f"no recurrent {wanted} in the weights; there are: {', '.join(map(_layer_text, found))}"
    raise InputError(text, "layer" if prefix is None or prefix in modules else "prefix")


def _layers(sd: Mapping[str, Any]) -> list[tuple[str, str]]:
    matches = [match for name in sd if (match := _LAYER.fullmatch(str(name)))]
    return [(match["module"], match["layer"]) for match in matches]


def _layer_text(layer: tuple[str, str]) -> str:
    module, number = layer
    return f"layer {number}" + (f" of '{module.removesuffix('.')}'" if module else "")


def choice(sd: Mapping[str, Any], activation: str | None = None) -> str:
    """Which layer `from_state_dict` takes by itself, what else there is, and what the weights do not tell."""
    read = read_layer(sd, activation=activation)
    taken, *others = map(_layer_text, _layers(sd))
    also = f"; the weights also hold {', '.join(others)}" if others else ""
    assumed = f"; they {ASSUMED}: no activation was given" if read.assumed else ""
    return f"{read.cell!r} from {taken}{also}{assumed}"


def _summary(sd: Mapping[str, Any], most: int = 20) -> str:
    """The tensors' names and shapes."""
    entries = [f"{name} {tuple(np.shape(value))}" for name, value in list(sd.items())[:most]]
    more = [f"and {len(sd) - most} more"] if len(sd) > most else []
    return ", ".join(entries + more) or "nothing"


def _tensors(sd: Mapping[str, Any], module: str, number: str) -> list[np.ndarray]:
    """weight_ih, weight_hh, bias_ih and bias_hh, of sizes that fit together and of one dtype."""
    names = [f"{module}{part}_l{number}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    if (projection := f"{module}weight_hr_l{number}") in sd:
        raise InputError(f"{projection}: an LSTM with proj_size cannot be analysed; use one without", projection)
    if names[1] not in sd:
        raise InputError(f"{names[0]} is there but {names[1]} is not; the file is not whole", names[1])
    tensors = {name: finite_array(name, sd[name]) for name in names if name in sd}
    rows = _rows(names[1], tensors[names[1]])
    require_shape(names[0], tensors[names[0]], (rows, "D"))
    dtype = np.result_type(*tensors.values())
    for name in names[2:]:
        require_shape(name, tensors.setdefault(name, np.zeros(rows)), (rows,))
    return [tensors[name].astype(dtype) for name in names]


def _rows(name: str, weight_hh: np.ndarray) -> int:
    if weight_hh.ndim == 2 and weight_hh.shape[1]:
        rows, hidden = weight_hh.shape
        if rows in [blocks * hidden for blocks in _CELLS]:
            return rows
    raise InputError(
        f"{name}: expected shape (H, H), (3H, H) or (4H, H), as nn.RNN, nn.GRU and nn.LSTM have it, "
        f"got {weight_hh.shape}",
        name,
    )


def finite_array(name: str, value: Any) -> np.ndarray:
    """A finite float32 or float64 array; a tensor is first detached and brought to the host."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value  # which NumPy does not have
    array = to_numpy(value)
    if array.dtype.kind != "f":
        raise InputError(f"{name}: expected floating-point numbers, got {array.dtype}; convert it to float32", name)
    if not np.isfinite(array).all():
        where = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise InputError(f"{name}: {array[where]} at index {where}; every weight must be finite", name)
    return array.astype(np.result_type(array, np.float32))
