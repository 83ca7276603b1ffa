"""Weights of Keras: .keras, .weights.h5, legacy .h5 and TF.js, without Keras.

A .keras is a zip archive of config.json and model.weights.h5; a legacy .h5 has the configuration as an attribute; a
.weights.h5 has none, so that activations are a guess and layers are put together as far as sizes tell. Layers of Keras
3 are stored by class and number, "layers/lstm_1/cell/vars/0", those of Keras 2 and of TF.js by the user's names.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..layers import Dense, Embedding, LayerNorm
from .around import around, beside
from .entries import REVERSE, Block, Entry, Found, Gap
from .keras_cells import ACTIVATIONS, KerasCell, keras_cells
from .stacking import natural, stacks

Item = Entry | Block | Gap
Config = Mapping[str, Any]

RECURRENT = ("SimpleRNN", "GRU", "LSTM", "RNN", "Bidirectional")
NESTED = ("Sequential", "Functional", "Model")
PASSED = (  # give what they take, outside training
    "InputLayer", "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Masking",
    "ActivityRegularization", "NotEqual",
)  # fmt: skip
MERGES = {"concat": "concat", "sum": "sum"}  # of a Bidirectional; "mul", "ave" and None are no layer of gradlab
ABSENT = "no recurrent layer of Keras (SimpleRNN, LSTM, GRU) in the weights; they hold: {}"


def keras_found(arrays: Mapping[str, np.ndarray], config: Config | None, order: Sequence[str] = ()) -> Found:
    """What a file of Keras holds: arrays by path, the model's configuration, and else the layers' names in order."""
    arrays = {path.removeprefix("model_weights/"): array for path, array in arrays.items()}
    listed = [f"{path} {array.shape}" for path, array in arrays.items() if array.ndim]
    absent = ABSENT.format(", ".join(listed[:20]) or "nothing")
    if config is None or not isinstance(_layers(config), list):
        return Found(_unordered(arrays, order), absent, beside(_as_plain(arrays)))
    return Found(list(_Walk(arrays).model(config, "layers", ())), absent)


def _layers(config: Config) -> Any:
    inner = config.get("config")
    return inner if isinstance(inner, list) else (inner or {}).get("layers")  # Keras 2's Sequential is a bare list


class _Walk:
    """A way through the layers of a configuration, in the order in which data pass them."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays, self.cells, self.count = arrays, keras_cells(arrays), 0

    def model(self, config: Config, group: str, names: tuple[str, ...]) -> Iterator[Item]:
        """Of a model; group: where Keras 3 keeps its layers; names: of the models around it."""
        used: Counter[str] = Counter()
        source: dict[str, str] = {}  # of a layer that gives what it takes, the one that gave it
        last = ""
        for layer in _layers(config):
            kind, own = str(layer.get("class_name")), layer.get("config") or {}
            name = str(own.get("name", layer.get("name", "")) if isinstance(own, Mapping) else layer.get("name", ""))
            snake = _snake(kind)
            stored = f"{group}/{snake}" + (f"_{used[snake]}" if used[snake] else "")
            used[snake] += 1
            inbound = [source.get(before, before) for before in _inbound(layer)]
            if kind in PASSED:
                source[name] = inbound[0] if inbound else last
                continue
            if inbound and inbound != [last] and last:
                yield Gap(f"{kind} '{name}', which takes {' and '.join(inbound)}")
            yield from self.layer(kind, layer, own, stored, (*names, name))
            last = name

    def layer(self, kind: str, layer: Config, own: Config, stored: str, names: tuple[str, ...]) -> Iterator[Item]:
        """Of one layer."""
        if kind in NESTED:
            yield from self.model(layer, f"{stored}/layers", names)
        elif kind in RECURRENT:
            yield from self.recurrent(kind, own, stored, names)
        elif kind == "TimeDistributed":
            inner = own.get("layer") or {}
            yield from self.layer(
                str(inner.get("class_name")), inner, inner.get("config") or {}, f"{stored}/layer", names
            )
        else:
            yield self.block(kind, own, stored, names)

    def recurrent(self, kind: str, own: Config, stored: str, names: tuple[str, ...]) -> Iterator[Entry | Gap]:
        """Each direction of a recurrent layer, or each cell of one that stacks several."""
        cells = [cell for cell in self.cells if _belongs(cell.path, stored, names)]
        if not cells:
            yield Gap(f"{kind} '{names[-1]}'")
        inner = (own.get("layer") or {}).get("config") or {} if kind == "Bidirectional" else own
        both = {
            False: _cell_configs(inner),
            True: _cell_configs((own.get("backward_layer") or {}).get("config") or inner),
        }
        merge = MERGES.get(str(own.get("merge_mode", "concat"))) if kind == "Bidirectional" else "concat"
        ordered = sorted(cells, key=lambda cell: (_place(cell, both[False]), cell.backward))
        backwards = bool(inner.get("go_backwards", False))
        for cell in ordered:
            level = self.count + _place(cell, both[False])
            config = both[cell.backward][_place(cell, both[cell.backward])]
            yield _entry(cell, names[-1], level, config, cell.backward != backwards, merge)
        self.count += len({_place(cell, both[False]) for cell in cells})

    def block(self, kind: str, own: Config, stored: str, names: tuple[str, ...]) -> Block | Gap:
        """A layer beside the recurrent ones; a Gap where gradlab has none such."""
        paths = [path for path in self.arrays if _belongs(path, stored, names)]
        by_name = {path.rpartition("/")[2].removesuffix(":0"): self.arrays[path] for path in paths}
        made = _block(kind, own, names[-1], by_name) if isinstance(own, Mapping) else None
        return Gap(f"{kind} '{names[-1]}'") if made is None else made


def _inbound(layer: Config) -> list[str]:
    """Names of the layers that one of a Functional takes its data from, masks apart; none in a Sequential."""
    nodes = layer.get("inbound_nodes") or []
    if not nodes:
        return []
    node = nodes[0]
    if isinstance(node, Mapping):  # Keras 3
        return re.findall(r'"keras_history": \["([^"]*)"', json.dumps(node.get("args", [])))
    return [str(source[0]) for source in node if isinstance(source, list) and source]


def _snake(name: str) -> str:
    """As Keras makes names of classes' ones: "SimpleRNN" -> "simple_rnn"."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _belongs(path: str, stored: str, names: tuple[str, ...]) -> bool:
    """Whether an array or a cell is the layer's: by Keras 3's path, or by the user's names, in their order."""
    if path.startswith("layers/"):
        return path.startswith(f"{stored}/")
    parts = iter(path.split("/"))
    return all(name in parts for name in names)


def _cell_configs(own: Config) -> list[Config]:
    """Of each cell of a recurrent layer."""
    cell = own.get("cell")
    if not isinstance(cell, Mapping):
        return [own]
    inner = cell.get("config") or {}
    return [c.get("config") or {} for c in inner["cells"]] if "cells" in inner else [inner]


def _place(cell: KerasCell, configs: Sequence[Config]) -> int:
    """Which of a layer's cells it is: by its name, or by class and number as Keras 3 stores it."""
    last, used = cell.path.rpartition("/")[2], Counter[str]()
    for i, config in enumerate(configs):
        kind = re.sub(r"_\d+$", "", str(config.get("name", "")))
        stored = kind + (f"_{used[kind]}" if used[kind] else "")
        used[kind] += 1
        if last in (config.get("name"), stored):
            return i
    return 0


def _entry(
    cell: KerasCell, module: str, level: int, config: Config | None, reverse: bool, merge: str | None = "concat"
) -> Entry:
    number = f"{level}{REVERSE if reverse else ''}"
    return Entry(module, number, cell.inputs, cell.units, partial(cell.read, number, config), merge)


def _block(kind: str, own: Config, name: str, arrays: Mapping[str, np.ndarray]) -> Block | None:
    """A layer of gradlab; arrays by their own names, or by numbers."""
    matrix = next((arrays[key] for key in ("kernel", "embeddings", "0") if key in arrays), np.zeros(0))
    if kind == "Embedding" and matrix.ndim == 2:
        return Block(name, Embedding(*matrix.shape), {"W_emb": matrix}, 0, matrix.shape[1])
    if kind == "Dense" and matrix.ndim == 2 and (phi := _dense_activation(own)):
        bias = arrays.get("bias", arrays.get("1"))
        params = {"W_hy": matrix.T} | ({} if bias is None else {"b_y": bias})
        dense = Dense(matrix.shape[0], matrix.shape[1], phi, bias is not None)
        return Block(name, dense, params, matrix.shape[0], matrix.shape[1])
    axis = own.get("axis", -1)
    if (
        kind == "LayerNormalization"
        and axis in (-1, [-1], 2, [2])
        and own.get("center", True)
        and own.get("scale", True)
    ):
        gamma, beta = (arrays.get(key, arrays.get(n)) for key, n in (("gamma", "0"), ("beta", "1")))
        if gamma is not None and beta is not None and not own.get("rms_scaling"):
            norm = LayerNorm(len(gamma), float(own.get("epsilon", 1e-3)))
            return Block(name, norm, {"gamma": gamma, "beta": beta}, len(gamma), len(gamma))
    return None


def _dense_activation(own: Config) -> str | None:
    activation = own.get("activation", "linear")
    return (
        "softmax" if activation == "softmax" else ACTIVATIONS.get(activation) if isinstance(activation, str) else None
    )


# without a configuration


def _unordered(arrays: Mapping[str, np.ndarray], order: Sequence[str]) -> list[Item]:
    """Layers one on the other as far as each takes what the one before gives, and what stands around them by sizes."""
    levels: dict[str, list[KerasCell]] = {}
    for cell in sorted(keras_cells(arrays), key=lambda cell: cell.backward):
        levels.setdefault(_module(cell.path), []).append(cell)
    gives = {module: sum(cell.units for cell in cells) for module, cells in levels.items()}
    takes = {module: cells[0].inputs for module, cells in levels.items()}
    left = sorted(levels, key=lambda module: (order.index(module) if module in order else len(order), natural(module)))
    plain, items, count = _as_plain(arrays), list[Item](), 0
    for stack in stacks(left, takes, gives):
        before, after = around(plain, takes[stack[0]], gives[stack[-1]])
        entries = [_entry(c, m, count + i, None, c.backward) for i, m in enumerate(stack) for c in levels[m]]
        items += [Gap(), *before, *entries, *after]
        count += len(stack)
    return items


def _module(path: str) -> str:
    """The layer that a cell belongs to, by its path."""
    before, several, cell = path.partition("/cell/cells/")
    if several:
        return f"{before.removeprefix('layers/')}/{cell}"
    parts = [part for part in path.split("/") if part != "layers"]
    kept = [part for part in parts if part != "cell" and not re.match("(forward|backward)_|.*_cell(_\\d+)?$", part)]
    return "/".join(dict.fromkeys(kept)) or path


def _as_plain(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Embeddings, dense layers and norms under the names and in the shapes of PyTorch."""
    plain: dict[str, np.ndarray] = {}
    for path, array in arrays.items():
        module, _, part = path.removesuffix(":0").rpartition("/")
        module = module.removesuffix("/vars").removeprefix("layers/")
        if "cell" in module or "lstm" in module or "gru" in module:
            continue
        weight = part in ("kernel", "embeddings", "gamma", "0")
        dense = weight and array.ndim == 2 and "embedding" not in module
        plain[f"{module}.{'weight' if weight else 'bias'}"] = array.T if dense else array
    return plain
