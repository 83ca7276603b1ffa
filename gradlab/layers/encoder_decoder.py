"""Many-to-many by way of a state: one net reads a sequence, another one goes on from its last state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array, namespace
from ..engine.scaled import Scaled
from ..errors import InputError
from ..wording import counted
from .base import GivenLengths, Layer, Pass, ScaledInput, ScaledParams, parts, prefixed
from .recurrent import RecurrentTape, recurrent_tapes

PARTS = ("encoder", "decoder")


@dataclass
class EncoderDecoderTape:
    """Both tapes, and the encoder's output."""

    encoder: Any
    decoder: Any
    encoded: Array

    @property
    def children(self) -> dict[str, Any]:
        """The tapes by the prefix of their layer's parameters."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def last(self) -> RecurrentTape:
        """Of the encoder's last recurrent layer, whose last state is handed on."""
        return list(recurrent_tapes(self.encoder).values())[-1]

    @property
    def first(self) -> RecurrentTape:
        """Of the decoder's first recurrent layer, which starts there."""
        return next(iter(recurrent_tapes(self.decoder).values()))


@dataclass(frozen=True)
class EncoderDecoder(Layer):
    """The decoder's first recurrent layer starts from the whole last state of the encoder's last one.

    Both are a Recurrent, or a Sequential with one. x is the pair (source, what the decoder reads), lengths the pair of
    their lengths, the source's last state being that of its own length. Source: Sutskever et al. 2014.
    """

    encoder: Layer
    decoder: Layer

    def __post_init__(self) -> None:
        for name, layer in (("encoder", self.encoder), ("decoder", self.decoder)):
            if not (isinstance(layer, Layer) and layer.stateful):
                raise InputError(f"{name}: expected a Recurrent, or a Sequential with one, got {layer!r}", name)

    def output_lengths(self, lengths: GivenLengths) -> GivenLengths:
        """Those of the decoder's sequences."""
        return self.decoder.output_lengths(_pair("lengths", lengths)[1])

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Both nets'."""
        return prefixed("encoder", self.encoder.draw(rng, models)) | prefixed("decoder", self.decoder.draw(rng, models))

    def _forward(
        self, params: Mapping[str, Array], x: tuple[Array, Array], lengths: GivenLengths, how: Pass
    ) -> tuple[Array, EncoderDecoderTape]:
        """The decoder's output."""
        of_encoder, of_decoder = parts(params, PARTS)
        (source, target), (source_lengths, target_lengths) = _pair("x", x), _pair("lengths", lengths)
        encoded, read = self.encoder.forward(of_encoder, source, source_lengths, how)
        tape = EncoderDecoderTape(read, None, encoded)
        how = replace(how, initial_state=tape.last.trajectory.states[-1])
        y, tape.decoder = self.decoder.forward(of_decoder, target, target_lengths, how)
        return y, tape

    def _backward(
        self, params: Mapping[str, Array], tape: EncoderDecoderTape, dy: Scaled, how: Pass
    ) -> tuple[tuple[ScaledInput, ScaledInput], ScaledParams]:
        """(dL/dsource, dL/d what the decoder reads); the decoder's initial state is the encoder's last."""
        of_encoder, of_decoder = parts(params, PARTS)
        d_target, decoder = self.decoder._backward(of_decoder, tape.decoder, dy, how)
        how = replace(how, dL_dfinal=tape.first.scaled_initial_gradient)
        nothing = Scaled.of(namespace(tape.encoded).zeros_like(tape.encoded))
        d_source, encoder = self.encoder._backward(of_encoder, tape.encoder, nothing, how)
        return (d_source, d_target), prefixed("encoder", encoder) | prefixed("decoder", decoder)


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    """`value` as the encoder's and the decoder's; None for both where there are no lengths."""
    if name == "lengths" and value is None:
        return None, None
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    got = counted(len(value), "value") if isinstance(value, tuple | list) else type(value).__name__
    raise InputError(f"{name}: expected the pair (the encoder's, the decoder's), got {got}", name)
