"""What is recorded of the layers of a network beside its recurrent ones, by the kind of a layer's tape.

Logarithms are natural; -inf means exactly zero, NaN a place beyond the sample's length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..arrays import Array, namespace, quiet, to_numpy
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from ..layers import (
    AttentionTape,
    DropoutTape,
    EncoderDecoder,
    Layer,
    RecurrentTape,
    ResidualTape,
    SelfAttentionTape,
    TransformerBlock,
    TreeTape,
)
from ..layers.base import plain_lengths
from .influence import influence

SHOWN = 4  # samples whose attention weights are kept: they are as many as the square of the steps
PLACES = ("position", "sample")

Variables = dict[str, xr.Variable]


@dataclass(frozen=True)
class Place:
    """A layer within a network, with its tape: where it is, its own parameters, the lengths of what it takes.

    gradient: dL/d its output where that is known.
    """

    path: str
    layer: Layer
    params: Mapping[str, Array]
    tape: Any
    lengths: Any = None
    gradient: Scaled | None = None

    def within(self) -> Iterator[Place]:
        """The layer itself and all within it, outer ones first; parameters of "0/forward" are called "0.forward.*"."""
        yield self
        tapes, gradients = getattr(self.tape, "children", {}), getattr(self.tape, "gradients", {})
        lengths = self.layer.lengths_within(self.lengths)
        for name, layer in self.layer.children.items():
            if name in tapes:
                path, gradient = f"{self.path}/{name}".strip("/"), gradients.get(name)
                yield from Place(path, layer, self._own(name), tapes[name], lengths[name], gradient).within()

    def _own(self, name: str) -> Mapping[str, Array]:
        start = f"{name}." if name else ""
        return {key.removeprefix(start): value for key, value in self.params.items() if key.startswith(start)}


def recorded(place: Place, like: Array, wanted: Collection[str]) -> Variables:
    """What there is to record of a layer after an observed backward pass; like: an array of the network's library."""
    tape, found = place.tape, Variables()
    lengths = None if isinstance(place.lengths, tuple | list) else plain_lengths(place.lengths, like)
    after = plain_lengths(place.layer.output_lengths(place.lengths), like)
    if isinstance(tape, SelfAttentionTape):
        found = attention(tape.reading.weights, tape.lengths)
    elif isinstance(tape, AttentionTape):
        found = attention(tape.reading.weights, tape.queries)
    elif isinstance(tape, ResidualTape) and tape.skip is not None and tape.branch is not None:
        found = residual(tape.skip, tape.branch, lengths)
    elif isinstance(tape, RecurrentTape | TreeTape | DropoutTape):
        return found
    if place.gradient is not None and len(place.gradient.shape) == 3:
        found["log_output_grad_norm"] = _output(place, place.gradient, after)
    if "influence" in wanted and isinstance(place.layer, TransformerBlock):
        found |= influence(place.layer, place.params, tape.x, lengths)
    return found


def _output(place: Place, gradient: Scaled, lengths: Array | None) -> xr.Variable:
    """What comes to the layer's output, by position; by `target_position` where a source within has others.

    A node's dimensions are those of all nodes below it, too.
    """
    found = curve(gradient, lengths, "Gradient of the layer's output")
    return xr.Variable(("target_position", "sample"), found.values, found.attrs) if _has_pair(place.layer) else found


def _has_pair(layer: Layer) -> bool:
    return isinstance(layer, EncoderDecoder) or any(map(_has_pair, layer.children.values()))


def attention(weights: Array, queries: Lengths) -> Variables:
    """Of weights (B, h, Q, K): the entropy of what each query reads; the weights themselves of the first samples."""
    xp = namespace(weights)
    with quiet():
        entropy = 0.0 - xp.where(weights > 0, weights * xp.log(weights), 0.0).sum(axis=-1)
    entropy = queries.keep(xp.moveaxis(entropy, -1, 0), xp.nan)  # (Q, B, h)
    return {
        "attention_entropy": _variable(
            ("query", "sample", "head"), entropy, "Entropy of attention over the keys", "nats"
        ),
        "attention_weight": _variable(
            ("attention_sample", "head", "query", "key"), weights[:SHOWN], "Attention weights of the first samples", "1"
        ),
    }


def residual(skip: Scaled, branch: Scaled, lengths: Array | None) -> Variables:
    """How the gradient (T, B, F) comes back past a layer and through it; the share is <past, both> / ||both||^2."""
    if len(skip.shape) < 3:
        return {}
    both = skip + branch
    past, whole = Scaled.of(skip, -1), Scaled.of(both, -1)
    with quiet():
        top = past.xp.maximum(past.exponents, whole.exponents)
        a, b = past.over(top), whole.over(top)
        share = (a * b).sum(axis=-1) / (b * b).sum(axis=-1)
    return {
        "log_skip_grad_norm": curve(skip, lengths, "Gradient that comes back past the layer"),
        "log_branch_grad_norm": curve(branch, lengths, "Gradient that comes back through the layer"),
        "skip_share": _variable(PLACES, _kept(share, lengths), "Share of the gradient past the layer", "1"),
    }


def curve(gradient: Scaled, lengths: Array | None, long_name: str) -> xr.Variable:
    """ln of the norms of a gradient (T, B, F)."""
    return _variable(PLACES, _kept(gradient.log_norm(-1), lengths), long_name, "1", "log")


def _kept(values: Array, lengths: Array | None) -> Array:
    """(T, B), NaN beyond each sample's length."""
    return Lengths.of(lengths, len(values), 0).keep(values, np.nan, units=0)


def _variable(dims: tuple[str, ...], values: Array, long_name: str, units: str, scale: str = "linear") -> xr.Variable:
    return xr.Variable(dims, to_numpy(values), {"long_name": long_name, "units": units, "scale": scale})
