"""What network a configuration describes: layers of a cell, a transformer, or a cell over trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..data import CHARACTER, INPUTS, is_text, is_treebank
from ..errors import InputError
from ..importers import Held, held
from ..layers import SCORES
from ..layers.transformer import NORMS
from ..layers.tree import FORMS
from .base import Config, field

ARCHITECTURES = {"recurrent": "recurrent net", "transformer": "transformer", "tree": "recursive net (tree)"}
NO_ATTENTION = "none"
ATTENTIONS = (NO_ATTENTION, *SCORES)
NORM_LABELS = dict(zip(NORMS, ("before each branch (pre-LN)", "after each sum (post-LN)"), strict=True))
TREE_CELLS = sorted({cell for cells in FORMS.values() for cell in cells})


def drawn(config: Any) -> bool:
    """Whether the weights are drawn, not read from a file."""
    return getattr(config, "weights", None) is None


def _is(architecture: str) -> Callable[[Any], bool]:
    """Whether a configuration is of that architecture."""
    return lambda config: drawn(config) and config.architecture == architecture


is_recurrent, is_transformer, is_tree = map(_is, ARCHITECTURES)


def has_cell(config: Any) -> bool:
    """Whether a cell is chosen."""
    return drawn(config) and not is_transformer(config)


def reads_all(config: Any) -> bool:
    """Whether attention reads the hidden states of all steps."""
    return is_recurrent(config) and bool(config.attention != NO_ATTENTION)


def reads_text(config: Any) -> bool:
    """Whether a run's input is a text, which its network may read as words or bytes, or by vectors of its own."""
    able = hasattr(config, "tokens") and (drawn(config) or _held(config).vocabulary is not None)
    return able and config.input not in INPUTS and is_text(config.input)


def reads_trees(config: Any) -> bool:
    """Whether that text holds the trees that a recursive net goes over."""
    return is_tree(config) and reads_text(config) and is_treebank(config.input)


def embeds(config: Any) -> bool:
    """Whether each word, byte or character of the input has a vector of its own."""
    chosen = not drawn(config) or getattr(config, "tokens", CHARACTER) != CHARACTER
    return reads_trees(config) or (chosen and reads_text(config))


def symbol(config: Any) -> str:
    """What has a vector of its own: a word of a tree, or what a text is read as."""
    return "word" if reads_trees(config) else str(config.tokens)


def is_single(config: Any) -> bool:
    """Whether there is one cell and nothing else; of own weights that cannot be read, as the run itself will say so."""
    if not drawn(config):
        return config.layer is not None or (_held(config).directions == 1 and not embeds(config))
    several = config.layers > 1 or config.bidirectional or config.layer_norm or reads_all(config) or embeds(config)
    return is_recurrent(config) and not several


def _held(config: Any) -> Held:
    """What the file of own weights holds; one layer where it cannot be read."""
    try:
        return held(config.weights, config.prefix)
    except InputError:
        return Held(1, None)


class ArchitectureConfig(Config):
    """The network that is made of a cell, or of attention."""

    architecture: str = field(
        "recurrent",
        "Network",
        "Layers of a recurrent cell, a transformer, or a recursive net: a cell over trees",
        "network",
        level="basic",
        choices=lambda: list(ARCHITECTURES),
        labels=ARCHITECTURES,
        applies_if=drawn,
    )
    layers: int = field(
        1,
        "Layers",
        "Recurrent layers, one on top of the other, or blocks of a transformer",
        "network",
        level="basic",
        ge=1,
        le=1000,
        min=1,
        max=8,
        step=1,
        limit=64,
        applies_if=lambda config: is_recurrent(config) or is_transformer(config),
    )
    bidirectional: bool = field(
        False,
        "Both directions",
        "A second cell goes through each layer's sequence from its end",
        "network",
        applies_if=is_recurrent,
    )
    residual: bool = field(
        False,
        "Skip connections",
        "Each layer beyond the first adds to what it gets",
        "network",
        applies_if=lambda config: is_recurrent(config) and config.layers > 1,
    )
    layer_norm: bool = field(
        False, "Layer norm", "What each layer gives is normalised at every step", "network", applies_if=is_recurrent
    )
    attention: str = field(
        NO_ATTENTION,
        "Attention",
        "Reads the hidden states of all steps, asked for by the last one: additive (Bahdanau) or dot product",
        "network",
        choices=lambda: list(ATTENTIONS),
        applies_if=is_recurrent,
    )
    heads: int = field(
        4,
        "Heads",
        "Of the self-attention of each block; they share the hidden size",
        "network",
        level="basic",
        ge=1,
        le=1000,
        min=1,
        max=16,
        step=1,
        applies_if=is_transformer,
    )
    norm: str = field(
        "pre",
        "Layer norm stands",
        "pre: before each branch, post: after each sum with the skip connection",
        "network",
        choices=lambda: list(NORMS),
        labels=NORM_LABELS,
        applies_if=is_transformer,
    )
    causal: bool = field(
        False, "Causal", "A position attends to itself and to earlier ones only", "network", applies_if=is_transformer
    )
