"""A whole network from a file of weights: its layers, and its own vectors for the symbols of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import device_namespace, placed
from ..config import RunConfig
from ..config.architecture import embeds, is_single
from ..data import CHARACTER, read_text, text_tokens
from ..data.tokens import Tokens
from ..errors import InputError
from ..importers import Whole, load_layer, load_whole, weights_text
from ..layers import Layer, Sequential
from ..wording import counted
from .build import chosen_activation, moved, require_width, whole_input
from .networks import Network
from .probe import losses_everywhere

BYTES = 256  # vectors of a network that reads a byte as its own number


def own_network(config: RunConfig, samples: int | None = None, **how: Any) -> Network:
    """The layers of the file that a configuration names, or its first samples, as `analyze_network` takes it.

    Raises InputError for a file or an input that cannot be used.
    """
    made, xp = own_layers(config), device_namespace(config.device)
    made.warn()
    params = placed(made.params, np.dtype(config.dtype), config.device)
    whole = _input(config, made)
    given = whole[:, :samples]
    x = xp.asarray(given) if made.vocabulary else moved(given, config.dtype, xp)
    if config.loss != "every":
        return Network(Sequential(**made.body, read=made.reader, **made.head), params, x, seed=config.seed, **how)
    head = {} if made.ends else made.head  # a head takes the ends of both directions, which no single step has
    params = {name: array for name, array in params.items() if name.partition(".")[0] in (*made.body, *head)}
    like, width = next(iter(params.values())), _width(made, head)
    dL_dy, probe = losses_everywhere(made.reader, like, (*whole.shape[:2], width), config.seed, samples)
    return Network(Sequential(**made.body, **head), params, x, dL_dy=dL_dy, probe=probe, seed=config.seed, **how)


def _width(made: Whole, head: dict[str, Layer]) -> int:
    """Features of what the body, and a head behind it, give."""
    matrices = [made.params[f"{name}.W_hy"] for name in head if f"{name}.W_hy" in made.params]
    return len(matrices[-1]) if matrices else made.width


def own_layers(config: RunConfig) -> Whole:
    """What the file holds, as far as the run takes it."""
    assert config.weights is not None
    return load_whole(config.weights, config.prefix, chosen_activation(config), embeds(config))


def _input(config: RunConfig, made: Whole) -> np.ndarray:
    """x (T, B, D), or symbols (T, B), in the order in which the network reads it."""
    if made.vocabulary:
        tokens = own_tokens(config, made.vocabulary)
        x = tokens.windows(config.steps, config.batch_size, config.seed)
    else:
        x = whole_input(config, made.inputs)
        require_width(config, x, made.inputs)
    return x[::-1] if made.reverse else x


def own_tokens(config: RunConfig, vocabulary: int) -> Tokens:
    """A text by the numbers of the network's vectors, which are taken to be in order; a byte's number is its own.

    Raises InputError where the text has more symbols than there are vectors.
    """
    if vocabulary == BYTES and config.tokens in (CHARACTER, "byte"):
        name, data, _ = read_text(config.input, config.column)
        said = f"Read {name} as text: {counted(len(data), 'byte')}, each by its own number"
        return Tokens(np.frombuffer(data, np.uint8), [chr(n) for n in range(BYTES)], said)
    found = text_tokens(config.input, config.tokens, config.column)
    if (different := len(found.vocabulary)) > vocabulary:
        raise InputError(
            f"{Path(config.input).name} has {different:,} different {config.tokens}s, the weights have vectors of "
            f"{vocabulary:,}; take a text of the kind that they were trained on, or read it otherwise with tokens",
            "input",
        )
    how = "most frequent first" if config.tokens == "word" else "as they sort"
    said = f"{found.said}, numbered {how} for {vocabulary:,} vectors, as the weights do not tell their order"
    return Tokens(found.ids, found.vocabulary, said)


def own_said(config: RunConfig) -> str:
    """One line on how a text was read."""
    return own_tokens(config, own_layers(config).vocabulary or 0).said


def weights_said(config: RunConfig) -> str:
    """What was taken from the file, and what the weights do not tell."""
    assert config.weights is not None
    activation = chosen_activation(config)
    if is_single(config):
        reverse = load_layer(config.weights, config.prefix, config.layer, activation).reverse
        text = weights_text(config.weights, activation, config.prefix, config.layer)
    else:
        made = own_layers(config)
        reverse, text = made.reverse, made.text
    return text + ("; it reads the input from its end" if reverse else "")


def own_size(config: RunConfig) -> int:
    """How many numbers the network learns."""
    return sum(array.size for array in own_layers(config).params.values())
