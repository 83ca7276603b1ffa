"""Weights of ONNX models: the RNN, LSTM and GRU nodes of a graph. Needs the package onnx (extra `onnx`).

Names of nodes are often lost, so that layers are chosen by their order.
Source: the ONNX standard; its Protocol Buffers encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..errors import InputError
from ..layers import Embedding
from .entries import REVERSE, Block, Entry, Found, Gap, ReadLayer
from .foreign import DAMAGED
from .onnx_cells import ORDER, read_cell
from .tensors import finite_array

PLACES = {1: "W", 2: "R", 3: "B", 7: "P"}  # of a node's inputs
PASSED = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast")  # give what they take
FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}  # of a model: wire types
ABSENT = (
    "no RNN, LSTM or GRU node in the graph of the model, whose nodes are {}; torch.onnx.export(..., dynamo=False) "
    "keeps those of nn.RNN, nn.LSTM and nn.GRU"
)
INSTALL = "an ONNX model, which needs the package onnx to be read: pip install 'gradlab[onnx]'"


def is_onnx(data: bytes) -> bool:
    """Whether the bytes are the fields of a model, a version and a graph among them."""
    seen, at = set(), 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if FIELDS.get(field) != wire:
            return False
        size, at = _varint(data, at)
        at += size if wire == 2 else 0
        seen.add(field)
    return at == len(data) and {1, 7} <= seen


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of protocol buffers, and where it ends; beyond the data where it breaks off."""
    value = shift = 0
    while at < len(data) and shift < 64:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at
    return 0, len(data) + 1


def read_onnx(data: bytes) -> Found:
    """The recurrent nodes of a model's graph. Raises InputError where it is damaged, or the package is missing."""
    try:
        import onnx
    except ImportError:
        raise InputError(INSTALL) from None
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # of protocol buffers, whose errors differ between its versions
        raise InputError(DAMAGED) from None
    return _Graph(model.graph).found()


@dataclass
class _Graph:
    """A graph, and which node gives what."""

    graph: Any

    def __post_init__(self) -> None:
        self.producers = {name: node for node in self.graph.node for name in node.output if name}
        self.tensors = {tensor.name: tensor for tensor in self.graph.initializer}

    def found(self) -> Found:
        """Each direction of each recurrent node in the graph's order, which is that of the data."""
        items: list[Entry | Block | Gap] = []
        last = None
        nodes = [node for node in self.graph.node if node.op_type in ORDER]
        for level, node in enumerate(nodes):
            source = self.source(node.input[0])
            if last is None or source is not last:
                items += [Gap(), *self.embedding(source)]
            items += self.entries(node, level)
            last = node
        kinds = ", ".join(dict.fromkeys(str(node.op_type) for node in self.graph.node)) or "none"
        return Found(items, ABSENT.format(kinds))

    def source(self, name: str) -> Any:
        """The node that gives a value, behind those that only bring it into another shape; None for an input."""
        while (node := self.producers.get(name)) is not None and node.op_type in PASSED:
            name = node.input[0]
        return node

    def embedding(self, source: Any) -> list[Block]:
        """The vectors of symbols that a node takes rows of."""
        tensor = self.stored(source.input[0]) if source is not None and source.op_type == "Gather" else None
        if tensor is None or len(tensor.dims) != 2:
            return []
        table = self.constant("the vectors of symbols", source.input[0])
        layer = Embedding(table.shape[0], table.shape[1])
        return [Block(source.input[0], layer, {"W_emb": table}, 0, table.shape[1])]

    def entries(self, node: Any, level: int) -> Iterator[Entry]:
        """Each direction of a node."""
        direction = _attributes(node).get("direction", b"forward").decode("utf-8", "replace")
        directions = {"forward": [""], "reverse": [REVERSE], "bidirectional": ["", REVERSE]}.get(direction, [""])
        inputs, hidden = self.shape(node, 1), self.shape(node, 2)
        for i, suffix in enumerate(directions):
            read = partial(self.read, node, i, f"{level}{suffix}")
            yield Entry(node.name, f"{level}{suffix}", inputs, hidden, read)

    def shape(self, node: Any, place: int) -> int:
        """Columns of an input, 0 where it is not stored."""
        tensor = self.stored(node.input[place]) if len(node.input) > place else None
        return int(tensor.dims[-1]) if tensor is not None and tensor.dims else 0

    def stored(self, name: str) -> Any:
        """The tensor of a value that the model holds, as an initializer or a constant, or a copy of it; else None."""
        while (node := self.producers.get(name)) is not None and node.op_type == "Identity":
            name = node.input[0]
        if node is not None and node.op_type == "Constant":
            return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        return self.tensors.get(name)

    def constant(self, what: str, name: str) -> np.ndarray:
        """A stored value. Raises InputError where it is computed, or stored in another file."""
        import onnx

        tensor = self.stored(name)
        if tensor is None:
            raise InputError(f"{what} is computed, not stored, as in quantised models; export the model as it is")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise InputError(f"{what} is in another file; save the model in one, without external data")
        try:
            return np.asarray(onnx.numpy_helper.to_array(tensor))
        except (ValueError, TypeError) as error:
            raise InputError(f"{what}: {error}; the file is damaged") from None

    def read(self, node: Any, direction: int, number: str, activation: str | None) -> ReadLayer:
        """One direction of a node; what its cell is, the node tells."""
        where = f"{node.op_type} {number}"
        parts = {name: self.part(node, place, direction, f"{where} {name}") for place, name in PLACES.items()}
        return read_cell(node.op_type, _attributes(node), direction, parts, number)

    def part(self, node: Any, place: int, direction: int, what: str) -> np.ndarray | None:
        """An input of a node, for one direction; None where it is left out."""
        if len(node.input) <= place or not node.input[place]:
            return None
        array = finite_array(what, self.constant(what, node.input[place]))
        if array.ndim < 2 or len(array) <= direction:
            raise InputError(f"{what}: expected an axis of directions, got shape {array.shape}")
        return np.asarray(array[direction])


def _attributes(node: Any) -> dict[str, Any]:
    from onnx.helper import get_attribute_value

    return {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
