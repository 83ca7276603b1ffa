"""Configuration -> the layers of a network that is more than one cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import Array, device_namespace
from ..config import RunConfig
from ..config.architecture import embeds, is_recurrent, is_single, is_transformer, is_tree, reads_all, symbol
from ..config.network import NetworkConfig
from ..importers import EMBEDDING
from ..layers import (
    Attention,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Ends,
    Last,
    Layer,
    LayerNorm,
    Recurrent,
    Residual,
    Sequential,
    Transformer,
    Tree,
)
from ..wording import counted
from .build import build, cell_of, draw_options, moved
from .network_input import NetworkInput, network_input
from .networks import Network
from .own_network import own_layers, own_network
from .probe import losses_everywhere

TREE_FORMS = {"elman": "ordered", "lstm": "child-sum"}  # as Socher et al. 2013 and Tai et al. 2015 have them

Layers = dict[str, Layer]


def network_of(config: RunConfig, samples: int | None = None, **how: Any) -> Network:
    """A RunConfig of more than one cell, or its first samples, as `analyze_network` takes it; how: what to record."""
    if config.weights is not None:
        return own_network(config, samples, **how)
    whole = network_input(config)
    given, xp = whole.first(samples), device_namespace(config.device)
    net = network(config, config.input_size if whole.vocabulary else whole.x.shape[-1], whole.vocabulary)
    params = net.init(config.seed, dtype=config.dtype, device=config.device)
    x = xp.asarray(given.x) if given.vocabulary else moved(given.x, config.dtype, xp)
    losses = _losses(config, next(iter(params.values())), whole, samples) if acts_everywhere(config) else {}
    return Network(net, params, x, given.trees, seed=config.seed, **losses, **how)


def _losses(config: RunConfig, like: Array, whole: NetworkInput, samples: int | None) -> dict[str, Array]:
    """A loss at every place, and the probe where a loss at the end alone would be read."""
    shape = (*whole.x.shape[:2], width(config))
    every, probe = losses_everywhere(reader(config), like, shape, config.seed, samples, whole.first(samples).trees)
    return {"dL_dy": every, "probe": probe}


def input_of(config: RunConfig) -> Array:
    """The input (T, B, D) of any run, each word as its vector."""
    if is_single(config):
        return build(config)[2]
    given = network_of(config)
    return given.params[f"{EMBEDDING}.W_emb"][given.x] if embeds(config) else given.x


def described(config: NetworkConfig, input_size: int) -> str:
    """The network in a few words: "2 layers of GRU(3 -> 64, tanh), read by additive attention"."""
    if isinstance(config, RunConfig) and config.weights is not None:
        return own_layers(config).description
    words = f", {input_size} numbers a {symbol(config)}" if embeds(config) else ""
    return _described(config, input_size) + words


def _described(config: NetworkConfig, input_size: int) -> str:
    if is_transformer(config):
        kind = f"{'causal ' if config.causal else ''}{config.norm}-LN transformer"
        sizes = f"{counted(config.layers, 'block')}, {config.hidden_size} wide, {counted(config.heads, 'head')}"
        return f"{kind} of {sizes}, {config.activation}"
    cell = repr(cell_of(config, input_size))
    if is_tree(config):
        return f"recursive net of {cell}, {TREE_FORMS[config.cell]}"
    parts = [f"{counted(config.layers, 'layer')} of {cell}"]
    parts += ["both directions"] if config.bidirectional else []
    parts += ["skip connections"] if config.residual and config.layers > 1 else []
    parts += ["layer norm"] if config.layer_norm else []
    parts += [f"read by {config.attention} attention"] if reads_all(config) else []
    return ", ".join(parts)


def network(config: RunConfig, input_size: int, vocabulary: int | None = None) -> Sequential:
    """The network of a run, for so many input features, or as many of each word; it ends where its loss acts."""
    words: Layers = {} if vocabulary is None else {EMBEDDING: Embedding(vocabulary, input_size)}
    layers = words | body(config, input_size, config.steps)
    return Sequential(**layers, **({} if acts_everywhere(config) else {"read": reader(config)}))


def acts_everywhere(config: RunConfig) -> bool:
    """Whether the loss acts at every step."""
    return config.loss == "every" and not reads_all(config)


def body(config: NetworkConfig, input_size: int, length: int, dropout: float = 0.0) -> Layers:
    """The layers by name, from (T, B, input_size) to (T, B, `width(config)`).

    length: of the longest sequence; dropout: between layers, in a transformer also inside of its blocks.
    """
    return BODIES[config.architecture](config, input_size, length, dropout)


def width(config: NetworkConfig) -> int:
    """Features of what the body gives."""
    return config.hidden_size * (1 + (is_recurrent(config) and config.bidirectional))


def reader(config: NetworkConfig) -> Layer:
    """What makes one vector of all steps: attention, the last step, or that of each direction."""
    if reads_all(config):
        return Attention(width(config), config.attention)
    return Ends() if width(config) > config.hidden_size else Last()


def _recurrent(config: NetworkConfig, size: int, length: int, dropout: float) -> Layers:
    layers: Layers = {}
    for n in range(1, config.layers + 1):
        kind: Callable[..., Layer] = Bidirectional if config.bidirectional else Recurrent
        layer = kind(cell_of(config, size), **draw_options(config, length))
        layers[f"layer{n}"] = Residual(layer) if config.residual and n > 1 else layer
        size = width(config)
        if config.layer_norm:
            layers[f"norm{n}"] = LayerNorm(size)
        layers |= _dropout(f"dropout{n}", dropout)
    return layers


def _transformer(config: NetworkConfig, size: int, length: int, dropout: float) -> Layers:
    options: dict[str, Any] = {name: getattr(config, name) for name in ("norm", "activation", "causal")}
    blocks = Transformer(config.hidden_size, config.layers, config.heads, dropout=dropout, **options)
    return {"inputs": Dense(size, config.hidden_size), **blocks.children}


def _tree(config: NetworkConfig, size: int, length: int, dropout: float) -> Layers:
    cell = cell_of(config, size)
    return {"tree": Tree(cell, TREE_FORMS[cell.name], **draw_options(config, length)), **_dropout("dropout", dropout)}


def _dropout(name: str, rate: float) -> Layers:
    return {name: Dropout(rate)} if rate > 0 else {}


BODIES: dict[str, Callable[[NetworkConfig, int, int, float], Layers]] = {
    "recurrent": _recurrent,
    "transformer": _transformer,
    "tree": _tree,
}
