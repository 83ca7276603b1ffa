"""What stands around a stack of recurrent layers in a PyTorch state dict, as far as shapes and names tell.

A state dict has no order. In front: the matrix (V, F) without a bias, F the stack's inputs, that is an nn.Embedding.
Behind: an nn.LayerNorm of the stack's outputs, and the nn.Linear that takes them. Where several would fit, an embedding
is the one whose name says so; of others there is none then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..layers import Dense, Embedding, LayerNorm
from .entries import Block
from .tensors import shape_of

_EMBEDDING = re.compile(r"emb|encoder\.weight|wte|token|lookup", re.IGNORECASE)
_NORM = re.compile(r"norm|ln", re.IGNORECASE)


def around(plain: Mapping[str, Any], inputs: int, outputs: int) -> tuple[list[Block], list[Block]]:
    """What is in front of a stack that takes and gives so many features, and what is behind it."""
    matrices = _weights(plain, 2)
    before = _embedding(plain, matrices, inputs)
    taken = {block.name for block in before}
    heads = [name for name, shape in matrices.items() if shape[1] == outputs and _module(name) not in taken]
    norms = [name for name, shape in _weights(plain, 1).items() if shape == (outputs,) and _NORM.search(name)]
    after = [_norm(plain, name) for name in norms if len(norms) == 1 and _bias(name) in plain]
    return before, after + [_head(plain, name) for name in heads if len(heads) == 1]


def _weights(plain: Mapping[str, Any], axes: int) -> dict[str, tuple[int, ...]]:
    """Shapes by name of what may be the weight of a layer beside the recurrent ones."""
    known = {name: shape_of(value) for name, value in plain.items() if not isinstance(value, InputError)}
    return {name: shape for name, shape in known.items() if re.fullmatch(r"(.*\.)?weight", name) and len(shape) == axes}


def beside(plain: Mapping[str, Any]) -> list[str]:
    """Names of all modules with a weight that are not recurrent."""
    return [_module(name) for axes in (1, 2, 3, 4) for name in _weights(plain, axes)]


def _embedding(plain: Mapping[str, Any], matrices: Mapping[str, tuple[int, ...]], inputs: int) -> list[Block]:
    fits = [name for name, shape in matrices.items() if shape[1] == inputs and _bias(name) not in plain]
    named = [name for name in fits if _EMBEDDING.search(name)]
    chosen = named[:1] or (fits if len(fits) == 1 else [])
    return [
        Block(_module(name), Embedding(matrices[name][0], inputs), {"W_emb": plain[name]}, 0, inputs) for name in chosen
    ]


def _head(plain: Mapping[str, Any], name: str) -> Block:
    (outputs, inputs), bias = shape_of(plain[name]), _bias(name)
    own = {"W_hy": plain[name]} | ({"b_y": plain[bias]} if bias in plain else {})
    return Block(_module(name), Dense(inputs, outputs, bias=bias in plain), own, inputs, outputs)


def _norm(plain: Mapping[str, Any], name: str) -> Block:
    size = shape_of(plain[name])[0]
    return Block(_module(name), LayerNorm(size), {"gamma": plain[name], "beta": plain[_bias(name)]}, size, size)


def _bias(name: str) -> str:
    return name.removesuffix("weight") + "bias"


def _module(name: str) -> str:
    return name.removesuffix("weight").removesuffix(".")
