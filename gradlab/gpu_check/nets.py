"""A net for every layer and every shape of net, and whether all of them find what NumPy finds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array, Namespace
from ..cells import make_cell
from ..layers import (
    Attention,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    EncoderDecoder,
    Ends,
    Last,
    Layer,
    LayerNorm,
    Once,
    Pass,
    Positions,
    Recurrent,
    Residual,
    SelfAttention,
    Sequential,
    Transformer,
    TransformerBlock,
    Tree,
    Trees,
    Untied,
)
from .agreement import Found, Item
from .problems import MODELS, moved

T, B, D, H, OUT = 4, 2, 3, 4, 2  # steps, samples, inputs, units, outputs; none equals a number of models, 3
SOURCE_STEPS, SYMBOLS = 6, 7


def cell(name: str, inputs: int = D, units: int = H, **options: Any) -> Recurrent:
    """A recurrent layer."""
    return Recurrent(make_cell(name, input_size=inputs, hidden_size=units), **options)


def stack() -> Sequential:
    """Two recurrent layers and an output at every step."""
    return Sequential(cell("lstm"), cell("gru", H, H), Dense(H, OUT))


def translator() -> EncoderDecoder:
    """Symbols in, symbols out; both halves are deep, and only the inner layers meet."""
    encoder = Sequential(Embedding(SYMBOLS, D), cell("gru", D, D), cell("lstm", D, H))
    return EncoderDecoder(encoder, Sequential(Embedding(SYMBOLS, D), cell("lstm"), cell("elman", H, H), Dense(H, OUT)))


def tree(name: str, form: str = "child-sum", inputs: int = D, **options: Any) -> Tree:
    """A layer over trees."""
    positions = 3 if form == "ordered" else None
    return Tree(make_cell(name, input_size=inputs, hidden_size=H, **options), form, positions)


SEQUENCE, VECTOR, SYMBOL_SEQUENCE, SYMBOL_VECTOR = "sequence", "vector", "symbols", "symbol"
TREES, SYMBOL_TREES = "trees", "trees of symbols"
Kind = str | tuple[str, str]  # one of these, or a pair for an encoder and a decoder
NETS: dict[str, tuple[Layer, Kind]] = {  # name -> (layer, what it takes)
    "recurrent": (cell("lstm"), SEQUENCE),
    "peepholes": (cell("peephole_lstm"), SEQUENCE),
    "dense": (Dense(D, OUT), SEQUENCE),
    "dense of a vector": (Dense(D, OUT), VECTOR),
    "dense without bias": (Dense(D, OUT, bias=False), SEQUENCE),
    "sigmoid": (Dense(D, OUT, "sigmoid"), SEQUENCE),
    "softmax": (Dense(D, OUT, "softmax"), SEQUENCE),
    "softmax of a vector": (Dense(D, OUT, "softmax"), VECTOR),
    "embedding": (Embedding(SYMBOLS, D), SYMBOL_SEQUENCE),
    "embedding of a vector": (Embedding(SYMBOLS, D), SYMBOL_VECTOR),
    "dropout": (Dropout(0.4), SEQUENCE),
    "late gate": (cell("gru_v1"), SEQUENCE),
    "diagonal": (cell("lru"), SEQUENCE),
    "made weights": (cell("antisymmetric"), SEQUENCE),
    "zoneout": (cell("lstm", zoneout={"c": 0.5, "h": 0.2}), SEQUENCE),
    "dropped candidates": (cell("lstm", dropout=0.4), SEQUENCE),
    "zoneout of a late gate": (cell("gru_v1", zoneout=0.3), SEQUENCE),
    "untied": (Sequential(Untied(make_cell("gru", input_size=D, hidden_size=H), T), Dense(H, OUT)), SEQUENCE),
    "untied with both": (
        Untied(make_cell("lstm", input_size=D, hidden_size=H), T, zoneout=0.3, dropout=0.4),
        SEQUENCE,
    ),
    "residual": (Residual(cell("elman", D, D)), SEQUENCE),
    "residual of a vector": (Residual(Sequential(Dense(D, H, "sigmoid"), Dense(H, D))), VECTOR),
    "layer norm": (LayerNorm(D), SEQUENCE),
    "layer norm of a vector": (LayerNorm(D, epsilon=1e-3), VECTOR),
    "last": (Last(), SEQUENCE),
    "once": (Once(T), VECTOR),
    "stack": (stack(), SEQUENCE),
    "everything": (
        Sequential(
            LayerNorm(D), cell("minimal_rnn"), Dropout(0.3), Residual(cell("gru", H, H)), Dense(H, OUT, "sigmoid")
        ),
        SEQUENCE,
    ),
    "one to one": (Sequential(Once(1), cell("elman"), Last(), Dense(H, OUT)), VECTOR),
    "one to many": (Sequential(Once(T), cell("gru"), Dense(H, OUT, "softmax")), VECTOR),
    "many to one": (Sequential(cell("lstm"), Last(), Dense(H, OUT, "sigmoid")), SEQUENCE),
    "many to many": (Sequential(cell("elman"), Dense(H, OUT)), SEQUENCE),
    "encoder and decoder": (
        EncoderDecoder(cell("lstm"), Sequential(cell("lstm"), Dense(H, OUT))),
        (SEQUENCE, SEQUENCE),
    ),
    "translator": (translator(), (SYMBOL_SEQUENCE, SYMBOL_SEQUENCE)),
    "bidirectional": (Bidirectional(make_cell("lstm", input_size=D, hidden_size=H)), SEQUENCE),
    "bidirectional with both": (
        Bidirectional(make_cell("peephole_lstm", input_size=D, hidden_size=H), zoneout=0.3, dropout=0.4),
        SEQUENCE,
    ),
    "bidirectional stack": (
        Sequential(
            Bidirectional(make_cell("gru", input_size=D, hidden_size=H), "sum"),
            Bidirectional(make_cell("elman", input_size=H, hidden_size=H)),
            Dense(2 * H, OUT),
        ),
        SEQUENCE,
    ),
    "both ends": (
        Sequential(Bidirectional(make_cell("gru", input_size=D, hidden_size=H)), Ends(), Dense(2 * H, OUT)),
        SEQUENCE,
    ),
    "pooled": (Sequential(cell("gru"), Attention(H), Dense(H, OUT)), SEQUENCE),
    "pooled by products": (Attention(D, "dot"), SEQUENCE),
    "encoder, decoder and attention": (EncoderDecoder(cell("gru"), cell("gru"), Attention(H)), (SEQUENCE, SEQUENCE)),
    "attention of another width": (
        Sequential(
            EncoderDecoder(
                Sequential(cell("lstm"), Dense(H, 5)), cell("lstm"), Attention(5, "dot", query_size=H, size=6)
            ),
            Dense(H + 5, OUT),
        ),
        (SEQUENCE, SEQUENCE),
    ),
    "self-attention": (SelfAttention(D), SEQUENCE),
    "heads": (Sequential(Dense(D, 6), SelfAttention(6, heads=2, causal=True), Dense(6, OUT)), SEQUENCE),
    "positions": (Positions(D), SEQUENCE),
    "learned positions": (Positions(D, steps=T + 2), SEQUENCE),
    "block": (Sequential(Dense(D, 6), TransformerBlock(6, 2, 5, "gelu"), Dense(6, OUT)), SEQUENCE),
    "transformer": (
        Sequential(
            Embedding(SYMBOLS, 6), Transformer(6, 2, 3, hidden=5, activation="tanh", causal=True), Last(), Dense(6, OUT)
        ),
        SYMBOL_SEQUENCE,
    ),
    "transformer that normalises sums": (
        Sequential(
            Dense(D, 6), Transformer(6, 1, 3, T, "post", hidden=5, activation="silu", dropout=0.2), Dense(6, OUT)
        ),
        SEQUENCE,
    ),
    "recursive net": (tree("elman"), TREES),
    "leaky recursive net": (tree("elman", leak=0.4, activation="identity"), TREES),
    "recursive net of three positions": (tree("elman", "ordered", activation="softplus"), TREES),
    "tree-lstm": (tree("lstm"), TREES),
    "trees to one": (
        Sequential(
            Embedding(SYMBOLS, D),
            Dropout(0.3),
            tree("lstm"),
            Residual(tree("elman", "ordered", H)),
            Last(),
            Dense(H, OUT),
        ),
        SYMBOL_TREES,
    ),
}
PADDED_TREES = Trees.of([[2, 2, 3, -1], [1, -1]])
FULL_TREES = Trees.of([[2, 2, 3, -1], [3, 3, 3, -1]])


def random_params(layer: Layer, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Parameters as they are drawn, and some noise, so that none is zero."""
    return {name: p + 0.3 * rng.normal(size=p.shape) for name, p in layer.init(rng, models=models).items()}


def random_input(rng: np.random.Generator, kind: Kind, models: tuple[int, ...], steps: int) -> Any:
    """What a net of that kind takes: numbers or symbols, of steps or without, or a pair of these."""
    if isinstance(kind, tuple):
        return tuple(random_input(rng, k, models, n) for k, n in zip(kind, (SOURCE_STEPS, steps), strict=True))
    lead = () if kind in (VECTOR, SYMBOL_VECTOR) else (steps,)
    if kind in (SYMBOL_SEQUENCE, SYMBOL_VECTOR, SYMBOL_TREES):
        return rng.integers(0, SYMBOLS, (*lead, *models, B))
    return rng.normal(size=(*lead, *models, B, D))


def layers() -> Iterator[Item]:
    """Each net, alone and with a model axis, and on samples of different lengths where it takes sequences."""
    for name, (_, kind) in NETS.items():
        for models in MODELS:
            label = f"{name}{' with models' if models else ''}"
            yield Item(label, partial(_passed, name, models, False))
            if kind not in (VECTOR, SYMBOL_VECTOR):
                yield Item(f"{label}, padded", partial(_passed, name, models, True))


def _passed(name: str, models: tuple[int, ...], padded: bool, xp: Namespace, dtype: str) -> Found:
    """Outputs, and the gradients by inputs and parameters."""
    (layer, kind), rng = NETS[name], np.random.default_rng(8)
    params = moved(xp, dtype, random_params(layer, rng, models))
    x = moved(xp, dtype, random_input(rng, kind, models, T))
    y, tape = layer.forward(params, x, lengths_of(xp, kind, padded), Pass(np.random.default_rng(9)))
    dx, grads = layer.backward(params, tape, moved(xp, dtype, rng.normal(size=y.shape)))
    inputs: dict[str, Array | None] = dict(zip("12", dx, strict=True)) if isinstance(dx, tuple) else {"": dx}
    found = {f"dL/dx{which}": d for which, d in inputs.items() if d is not None}
    return found | {f"dL/d{key}": g for key, g in grads.items()} | {"y": y}


def lengths_of(xp: Namespace, kind: Kind, padded: bool) -> Any:
    """Of two samples, one of which ends early where they are padded; a pair for a pair of sequences, or trees."""
    if kind in (TREES, SYMBOL_TREES):
        return PADDED_TREES if padded else FULL_TREES
    if not padded:
        return None
    lengths = xp.asarray(np.array([T, T - 2]))
    return (lengths + 1, lengths) if isinstance(kind, tuple) else lengths
