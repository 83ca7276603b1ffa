"""Weights of PyTorch's nn.RNN, nn.LSTM, nn.GRU and their cells, without PyTorch and without pickle.

PyTorch stacks the gates of one layer along the rows: `weight_ih_l{k}` (G*H, D), `weight_hh_l{k}` (G*H, H),
`bias_ih_l{k}` and `bias_hh_l{k}` (G*H,); LSTM i, f, g, o; GRU r, z, n, whose two biases of n stay apart. A cell's
names end before `_l{k}`. With proj_size P there is `weight_hr_l{k}` (P, H), h_t = weight_hr (o tanh(c_t)), and
`weight_hh_l{k}` is (G*H, P): gradlab's h is o tanh(c_t), and weight_hh weight_hr its recurrent matrix.
Source: the equations in the documentation of torch.nn.RNN, torch.nn.LSTM and torch.nn.GRU.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from ..arrays import require_shape, to_numpy
from ..cells import Cell, make_cell
from ..errors import InputError
from .around import around, beside
from .entries import REVERSE, Block, Entry, Found, Gap, Params, ReadLayer
from .reparametrised import effective
from .stacking import natural
from .tensors import finite_array, parameters, shape_of

_CELLS = {1: "elman", 3: "gru", 4: "lstm"}  # by the number of row blocks
_LAYER = re.compile(
    rf"(?P<module>(?:.*\.)?)weight_[ih]h(?P<suffix>(?:_l(?P<layer>\d+(?:{REVERSE})?))?)(?P<part>(?:_(?!l\d)\w+)?)"
)
_DIGITS = re.compile(r"\d+")


def from_state_dict(
    sd: Mapping[str, Any], prefix: str | None = None, layer: int | str | None = None, activation: str | None = None
) -> tuple[Cell, Params]:
    """Cell and parameters of one layer of an nn.RNN, nn.LSTM or nn.GRU, from its state_dict or any mapping of arrays.

    `prefix` is the name of the module ("encoder.lstm"), or of one around it. `layer` counts from 0; "0_reverse" is the
    reversed direction, whose x has to be reversed along time: a warning says so. Without either, the first one is
    taken. An nn.LSTMCell and its kin are layer 0 of their module. Tensors under weight_norm, spectral_norm, prune and
    weight drop are the effective ones; with proj_size, h is the one before the projection, which its W_hh includes. A
    state_dict does not tell an nn.RNN's nonlinearity: without `activation` it is taken for tanh, with a warning.
    Returns W_xh (G_x, H, D), W_hh (G_h, H, H), b_h (G, H) of the dtype given, float32 for half precision; the sum of
    two biases is taken in it. Absent biases are zero. Raises InputError if there is no such layer or its tensors do
    not fit together.
    """
    read = found_in(sd).entry(prefix, layer).read(activation)
    read.warn()
    return read.cell, read.params


def choice(sd: Mapping[str, Any], activation: str | None = None) -> str:
    """Which layer `from_state_dict` takes by itself, what else there is, and what the weights do not tell."""
    found = found_in(sd)
    return found.text(found.entry(), activation)


def found_in(sd: Mapping[str, Any]) -> Found:
    """The recurrent layers of a state dict, stack by stack, each with what stands around it as far as sizes tell."""
    if not isinstance(sd, Mapping):
        raise InputError(
            f"expected a mapping of names to arrays, got {type(sd).__name__}; pass module.state_dict()", "sd"
        )
    plain, said = effective(sd)
    entries = list(_entries(plain, said))
    absent = (
        "no recurrent layer of nn.RNN, nn.LSTM or nn.GRU (weight_ih_l0, weight_hh_l0) in the weights; "
        f"they hold: {_summary(sd)}"
    )
    items: list[Entry | Block | Gap] = []
    for stack, outputs in _stacks(entries):
        before, after = around(plain, stack[0].inputs, outputs)
        items += [Gap(), *before, *stack, *after]
    return Found(items, absent, beside(plain))


def _entries(plain: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[Entry]:
    """Each direction of each layer that has a tensor."""
    matches = [match for name in plain if (match := _LAYER.fullmatch(name))]
    for module, suffix in dict.fromkeys((match["module"], match["suffix"]) for match in matches):
        read = partial(_read, plain, said, module, suffix)
        inputs, outputs = (_columns(plain.get(f"{module}{part}{suffix}")) for part in ("weight_ih", "weight_hh"))
        yield Entry(module.removesuffix("."), suffix.removeprefix("_l") or "0", inputs, outputs, read)


def _columns(value: Any) -> int:
    """Of a matrix; 0 where it is none, as reading the layer will say."""
    shape = shape_of(value)
    return int(shape[1]) if len(shape) == 2 else 0


def _stacks(entries: list[Entry]) -> Iterator[tuple[list[Entry], int]]:
    """Layers whose modules differ by numbers alone are one on the other, as far as each takes what the last one gives.

    The first stack holds the first entry; each comes with what its last layer gives.
    """
    kinds = list(dict.fromkeys(_DIGITS.sub("#", entry.module) for entry in entries))
    for kind in kinds:
        own = sorted(
            (e for e in entries if _DIGITS.sub("#", e.module) == kind), key=lambda e: natural(f"{e.module}/{e.number}")
        )
        stack: list[Entry] = []
        width = 0
        for _, group in groupby(own, key=lambda e: (e.module, e.number.removesuffix(REVERSE))):
            level = list(group)
            if stack and level[0].inputs != width:
                yield stack, width
                stack = []
            stack += level
            width = sum(entry.outputs for entry in level)
        yield stack, width


def _read(
    plain: Mapping[str, Any], said: Mapping[str, str], module: str, suffix: str, activation: str | None
) -> ReadLayer:
    """One direction of a layer."""
    w_ih, w_hh, b_ih, b_hh, w_hr = _tensors(plain, module, suffix)
    name, hidden = _CELLS[len(w_hh) // w_hh.shape[1]], w_hh.shape[1]
    cell = make_cell(
        name, input_size=w_ih.shape[1], hidden_size=hidden, activation="tanh" if activation is None else activation
    )
    tensors = [t.reshape(-1, hidden, *t.shape[1:]) for t in (w_ih, w_hh, b_ih, b_hh)]
    made = tuple(f"{part} {said[part]}" for part in _names(module, suffix) if part in said)
    assumed = "nn.RNN's nonlinearity" if activation is None and name == "elman" else ""
    return ReadLayer(cell, parameters(name, *tensors), suffix.removeprefix("_l") or "0", assumed, w_hr, made)


def _names(module: str, suffix: str) -> list[str]:
    """Of the tensors that a direction of a layer may have."""
    return [f"{module}{part}{suffix}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")]


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


def _summary(sd: Mapping[str, Any], most: int = 20) -> str:
    """The tensors' names and shapes."""
    entries = [f"{name} {shape_of(value)}" for name, value in list(sd.items())[:most]]
    more = [f"and {len(sd) - most} more"] if len(sd) > most else []
    return ", ".join(entries + more) or "nothing"


def _tensors(plain: Mapping[str, Any], module: str, suffix: str) -> list[Any]:
    """weight_ih, weight_hh, bias_ih and bias_hh, of sizes that fit together and of one dtype; weight_hr or None.

    Where there is a weight_hr, it is multiplied into weight_hh.
    """
    names = _names(module, suffix)
    for name, other in (names[:2], names[1::-1]):
        if name not in plain:
            raise InputError(_half(plain, other, name), name)
    tensors = {name: finite_array(name, plain[name]) for name in names if name in plain}
    dtype = np.result_type(*tensors.values())
    projection = tensors.pop(names[4], None)
    if projection is not None:
        tensors[names[1]] = _projected(names[1], tensors[names[1]], names[4], projection)
        projection = projection.astype(dtype)
    rows = _rows(names[1], tensors[names[1]])
    require_shape(names[0], tensors[names[0]], (rows, "D"))
    for name in names[2:4]:
        require_shape(name, tensors.setdefault(name, np.zeros(rows)), (rows,))
    return [*(tensors[name].astype(dtype) for name in names[:4]), projection]


def _half(plain: Mapping[str, Any], there: str, missing: str) -> str:
    """What is wrong with half a layer."""
    if parts := [name for name in plain if name.startswith(f"{missing}_")]:
        return (
            f"{missing} is made of {', '.join(parts)}, in a way that the file does not tell; take off what makes it "
            "before saving (torch.nn.utils.prune.remove, remove_weight_norm, remove_spectral_norm)"
        )
    return f"{there} is there but {missing} is not; the file is not whole"


def _projected(name: str, weight_hh: np.ndarray, name_hr: str, weight_hr: np.ndarray) -> np.ndarray:
    """weight_hh weight_hr (4H, H), of an LSTM with proj_size."""
    if weight_hr.ndim != 2 or not weight_hr.shape[1]:
        raise InputError(f"{name_hr}: expected shape (P, H), got {weight_hr.shape}", name_hr)
    projected, hidden = weight_hr.shape
    require_shape(name, weight_hh, (4 * hidden, projected))
    return np.asarray(weight_hh @ weight_hr)


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
