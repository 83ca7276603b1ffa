"""Weights of Flax linen: msgpack files of flax.serialization, or the same arrays by joined names in a .safetensors.

The former need the package msgpack (extra `flax`). Each gate has a kernel (D, H) of the input and one (H, H) of the
state, some with a bias: LSTMCell and OptimizedLSTMCell ii, if, ig, io, hi, hf, hg, ho; GRUCell ir, iz, in, hr, hz, hn;
SimpleCell i, h. Which activation a cell has, and in which order layers stand, is not in the file.
Source: flax.linen.recurrent and flax.serialization.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..arrays import require_shape
from ..cells import make_cell
from ..errors import InputError
from .around import around, beside
from .entries import Block, Entry, Found, Gap, ReadLayer
from .stacking import stacks
from .tensors import finite_array, parameters, shape_of

CELLS = {"lstm": ("i", "f", "g", "o"), "gru": ("r", "z", "n"), "elman": ("",)}  # gates, in gradlab's order
_PART = re.compile(r"(?P<module>.*?)[./](?P<gate>[ih][ifgorzn]?)[./](?P<part>kernel|bias)")
INSTALL = "a msgpack file, as Flax writes it, which needs the package msgpack to be read: pip install 'gradlab[flax]'"
NDARRAY, SCALAR = 1, 3  # of Flax's types within msgpack
DEEPEST = 30


def is_msgpack(data: bytes) -> bool:
    """Whether it is a map with a text as its first key, and no .safetensors, whose length may begin with the same."""
    if int.from_bytes(data[:8], "little") <= len(data) and data[8:9] == b"{":
        return False
    first = 1 if data[:1] and 0x81 <= data[0] <= 0x8F else 3 if data[:1] == b"\xde" else 0
    return bool(first) and len(data) > first and (0xA1 <= data[first] <= 0xBF or data[first] == 0xD9)


def read_msgpack(data: bytes) -> dict[str, np.ndarray]:
    """Arrays by their joined names. Raises InputError where it is damaged, or the package is missing."""
    try:
        import msgpack
    except ImportError:
        raise InputError(INSTALL) from None
    try:
        tree = msgpack.unpackb(data, ext_hook=_decoded, raw=False, strict_map_key=False)
        return dict(_flat(tree, "", 0))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, msgpack.UnpackException) as error:
        raise InputError(f"a msgpack file that breaks off or is damaged ({error}); write it again") from None


def _decoded(code: int, data: bytes) -> Any:
    """An array or a number of Flax; None for other types."""
    import msgpack

    if code not in (NDARRAY, SCALAR):
        return None
    shape, dtype, content = msgpack.unpackb(data, raw=False)
    if dtype == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    return np.frombuffer(content, np.dtype(dtype)).reshape(shape)


def _flat(tree: Any, name: str, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(tree, Mapping) and depth < DEEPEST:
        if "__msgpack_chunked_array__" in tree:  # of more than a gigabyte
            raise InputError(f"{name} is stored in chunks, which are not read; cast the weights to float32 and save")
        for key, value in tree.items():
            yield from _flat(value, f"{name}/{key}".removeprefix("/"), depth + 1)
    elif isinstance(tree, np.ndarray):
        yield name, tree


def is_flax(arrays: Mapping[str, Any]) -> bool:
    """Whether names are those of a Flax cell."""
    return any(map(_PART.fullmatch, arrays))


def flax_found(arrays: Mapping[str, Any]) -> Found:
    """The recurrent cells among arrays, one on the other as far as their sizes tell."""
    cells: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        if match := _PART.fullmatch(name):
            cells.setdefault(match["module"], {})[f"{match['gate']}.{match['part']}"] = array
    takes, gives = ({m: _size(parts, axis) for m, parts in cells.items()} for axis in (0, 1))
    plain, items, count = _as_plain(arrays), list[Entry | Block | Gap](), 0
    for stack in stacks([*cells], takes, gives):
        before, after = around(plain, takes[stack[0]], gives[stack[-1]])
        items += [Gap(), *before, *(_entry(m, cells[m], count + i) for i, m in enumerate(stack)), *after]
        count += len(stack)
    there = ", ".join(f"{name} {shape_of(array)}" for name, array in list(arrays.items())[:20])
    absent = f"no recurrent cell of Flax (LSTMCell, GRUCell, SimpleCell) in the weights; they hold: {there}"
    return Found(items, absent, beside(plain))


def _size(parts: Mapping[str, Any], axis: int) -> int:
    """Features that a cell takes, axis 0, or gives, axis 1; 0 where no kernel tells."""
    shapes = [shape_of(array) for name, array in parts.items() if name.startswith("i") and name.endswith("kernel")]
    return int(shapes[0][axis]) if shapes and len(shapes[0]) == 2 else 0


def _entry(module: str, parts: Mapping[str, Any], level: int) -> Entry:
    name = module.replace("/", ".").removeprefix("params.")
    return Entry(name, str(level), _size(parts, 0), _size(parts, 1), partial(_read, name, parts, str(level)))


def _read(module: str, parts: Mapping[str, Any], number: str, activation: str | None) -> ReadLayer:
    there = {name.partition(".")[0] for name in parts}
    kind = next(
        (cell for cell, gates in CELLS.items() if {f"{side}{g}" for side in "ih" for g in gates} == there), None
    )
    if kind is None:
        raise InputError(
            f"{module} has {', '.join(sorted(there))}; a cell of Flax has ii, if, ig, io, hi, hf, hg, ho (LSTM), "
            "ir, iz, in, hr, hz, hn (GRU) or i, h (simple); the file is not whole, or the cell is none that gradlab has"
        )
    w_x, w_h = (_stacked(module, parts, kind, side) for side in "ih")
    require_shape(f"{module} h kernels", w_h, (len(w_x), w_x.shape[1], w_x.shape[1]))
    b_x, b_h = (_biases(module, parts, kind, side, w_x) for side in "ih")
    cell = make_cell(kind, input_size=w_x.shape[2], hidden_size=w_x.shape[1], activation=activation or "tanh")
    assumed = "" if activation else "a cell's activation"
    return ReadLayer(cell, parameters(kind, w_x, w_h, b_x, b_h), number, assumed)


def _stacked(module: str, parts: Mapping[str, Any], kind: str, side: str) -> np.ndarray:
    """The kernels of a side as (G, H, ...)."""
    names = [f"{side}{gate}.kernel" for gate in CELLS[kind]]
    if missing := [name for name in names if name not in parts]:
        raise InputError(f"{module} lacks {', '.join(missing)}; the file is not whole")
    kernels = [finite_array(f"{module}.{name}", parts[name]) for name in names]
    for name, kernel in zip(names, kernels, strict=True):
        require_shape(f"{module}.{name}", kernel, kernels[0].shape if kernels[0].ndim == 2 else ("D", "H"))
    return np.stack([kernel.T for kernel in kernels])


def _biases(module: str, parts: Mapping[str, Any], kind: str, side: str, like: np.ndarray) -> np.ndarray:
    """Of a side (G, H), zero where there is none."""
    zeros = np.zeros(like.shape[1], like.dtype)
    names = [f"{side}{gate}.bias" for gate in CELLS[kind]]
    found = [finite_array(f"{module}.{name}", parts.get(name, zeros)) for name in names]
    for name, bias in zip(names, found, strict=True):
        require_shape(f"{module}.{name}", bias, zeros.shape)
    return np.stack(found)


def _as_plain(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Embeddings, dense layers and norms under the names and in the shapes of PyTorch."""
    plain: dict[str, Any] = {}
    for name, array in arrays.items():
        module, _, part = name.replace("/", ".").rpartition(".")
        if part in ("kernel", "embedding", "scale") and not _PART.fullmatch(name):
            plain[f"{module}.weight"] = array.T if part == "kernel" and len(shape_of(array)) == 2 else array
        elif part == "bias" and not _PART.fullmatch(name):
            plain[f"{module}.bias"] = array
    return plain
