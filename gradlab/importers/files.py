"""Weights in files: of other tools, as a cell or a whole network, and those that gradlab trained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from ..cells import Cell
from ..data import named_content, stamp
from ..errors import InputError, about
from ..layers import Embedding
from .entries import Block, Entry, Found, Params, ReadLayer
from .flax import flax_found, is_flax
from .foreign import CONVERT, described
from .others import read_other
from .pytorch import found_in
from .trained import Saved, saved_by_gradlab, saved_choice, saved_layer
from .whole import Whole, chain, whole

KEPT = 8  # files of which it is known what they hold

CHOICES = ("prefix", "layer", "activation")  # arguments that an error may be about instead of the file
_DTYPES = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1"} | {
    "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "?", "BF16": "u2"
}  # fmt: skip


def load_weights(
    source: str | os.PathLike[str] | bytes,
    prefix: str | None = None,
    layer: int | str | None = None,
    activation: str | None = None,
) -> tuple[Cell, Params]:
    """Cell and parameters of one recurrent layer from a file of weights or its content.

    A file is of PyTorch (.safetensors), Keras or another kind that docs/models.md lists, whatever its name; choices,
    errors and warnings are those of `from_state_dict`, but that layers of all others are counted over the whole file,
    and that `activation` is for what the file does not tell. A checkpoint of `gradlab train`, or a file of
    `save_layer`, says which cell it is; there `prefix` is refused.
    """
    read = load_layer(source, prefix, layer, activation)
    read.warn()
    return read.cell, read.params


def load_layer(
    source: str | os.PathLike[str] | bytes,
    prefix: str | None = None,
    layer: int | str | None = None,
    activation: str | None = None,
) -> ReadLayer:
    """What `load_weights` returns, and what is to be said about it."""
    file = _opened(source)
    with about("weights", file.name, CHOICES):
        if file.saved is not None:
            number = 0 if layer is None else layer
            return ReadLayer(*saved_layer(file.arrays, file.saved, prefix, number), str(number))
        return file.found.entry(prefix, layer).read(activation)


def weights_text(
    source: str | os.PathLike[str] | bytes,
    activation: str | None = None,
    prefix: str | None = None,
    layer: int | str | None = None,
) -> str:
    """Which layer `load_weights` takes, what else there is, and what the file does not tell."""
    file = _opened(source)
    with about("weights", file.name, CHOICES):
        if file.saved is not None:
            return saved_choice(file.arrays, file.saved, 0 if layer is None else layer)
        return file.found.text(file.found.entry(prefix, layer), activation)


@dataclass(frozen=True)
class Held:
    """What a file holds around its first layer: directions of recurrent layers, and vectors of symbols in front."""

    directions: int
    vocabulary: int | None


def held(source: str | os.PathLike[str], prefix: str | None = None) -> Held:
    """What `load_whole` would run. Raises InputError as `load_weights` does."""
    return _held(os.fspath(source), prefix, stamp(source))


@lru_cache(KEPT)
def _held(path: str, prefix: str | None, at: tuple[int, int] | None) -> Held:
    file = _opened(path)
    with about("weights", file.name, CHOICES):
        if file.saved is not None:
            return Held(1, None)
        items = chain(file.found, prefix)
    first = items[0].layer if isinstance(items[0], Block) else None
    vocabulary = first.vocabulary if isinstance(first, Embedding) else None
    return Held(sum(isinstance(item, Entry) for item in items), vocabulary)


def load_whole(
    source: str | os.PathLike[str] | bytes,
    prefix: str | None = None,
    activation: str | None = None,
    symbols: bool = False,
) -> Whole:
    """All layers of a file that follow each other, from the first of a module; symbols: an embedding in front, too.

    Raises InputError as `load_weights` does.
    """
    file = _opened(source)
    with about("weights", file.name, CHOICES):
        if file.saved is not None:
            raise InputError(
                "gradlab's own weights are read layer by layer; choose one with load_weights(..., layer=1)"
            )
        return whole(file.found, prefix, activation, symbols)


def save_safetensors(sd: Mapping[str, np.ndarray]) -> bytes:
    """The content of a .safetensors file with these arrays."""
    from safetensors.numpy import save

    return save({name: np.asarray(array, order="C") for name, array in sd.items()})


def load_safetensors(source: str | os.PathLike[str] | bytes) -> Params:
    """Name -> array, in the order of the names, from a .safetensors file or its content; bfloat16 as float32.

    Raises InputError for anything else, which is named where it can be told: a pickle (.pt, .pth) is never opened.
    """
    return _arrays(*_content(source)[:2])


def _content(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes, Path | None]:
    """What a file is called, what is in it, and the folder that it lies in."""
    if isinstance(source, bytes):
        return "the file", source, None
    with about("weights"):
        return *named_content(source), Path(source).parent


@dataclass(frozen=True)
class _Opened:
    """A file of weights: its arrays and what gradlab said of them where it wrote it, or else what it holds."""

    name: str
    arrays: Params
    saved: Saved | None
    _found: Found | None

    @cached_property
    def found(self) -> Found:
        """The layers, of whatever kind of file."""
        if self._found is not None:
            return self._found
        return flax_found(self.arrays) if is_flax(self.arrays) else found_in(self.arrays)


def _opened(source: str | os.PathLike[str] | bytes) -> _Opened:
    """Raises InputError for what holds no weights that can be read, with its kind where that can be told."""
    name, data, folder = _content(source)
    with about("weights", name, CHOICES):
        found = read_other(name, data, folder)
    if found is not None:
        return _Opened(name, {}, None, found)
    arrays = _arrays(name, data)
    with about("weights", name, CHOICES):
        return _Opened(name, arrays, saved_by_gradlab(data), None)


def _arrays(name: str, data: bytes) -> Params:
    import safetensors  # here, as all but this function works without it

    try:
        entries = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        if kind := described(name, data):
            raise InputError(f"{name} is {kind}", "weights") from None
        text = f"{name} is not a safetensors file ({error}); write one with {CONVERT}"
        raise InputError(text, "weights") from None
    return {tensor: _decode(tensor, **entries[tensor]) for tensor in sorted(entries)}


def _decode(name: str, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype not in _DTYPES:
        raise InputError(f"{name}: dtype {dtype} cannot be read; save it as float32", "weights")
    array = np.frombuffer(data, "<" + _DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array
