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
from .attention import Attention, AttentionTape
from .base import GivenLengths, Layer, Params, Pass, ScaledInput, ScaledParams, parts, plain_lengths, prefixed
from .recurrent import RecurrentTape, recurrent_tapes


@dataclass
class EncoderDecoderTape:
    """The tapes of both nets and of the attention between them, and the encoder's output."""

    encoder: Any
    decoder: Any
    encoded: Array
    attention: AttentionTape | None = None

    @property
    def children(self) -> dict[str, Any]:
        """The tapes by the prefix of their layer's parameters."""
        read = {} if self.attention is None else {"attention": self.attention}
        return {"encoder": self.encoder, "decoder": self.decoder} | read

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
    their lengths, the source's last state being that of its own length. attention: what the decoder's output at every
    step reads of the encoder's is put beside it, (T, *M, B, F + memory_size). Sources: Sutskever et al. 2014; the read
    after the step, Luong et al. 2015.
    """

    encoder: Layer
    decoder: Layer
    attention: Attention | None = None
    takes_trees = True

    def __post_init__(self) -> None:
        for name, layer in (("encoder", self.encoder), ("decoder", self.decoder)):
            if not (isinstance(layer, Layer) and layer.stateful):
                raise InputError(f"{name}: expected a Recurrent, or a Sequential with one, got {layer!r}", name)
        if not (self.attention is None or isinstance(self.attention, Attention)):
            raise InputError(f"attention: expected an Attention, got {self.attention!r}", "attention")

    def output_lengths(self, lengths: GivenLengths) -> GivenLengths:
        """Those of the decoder's sequences."""
        return self.decoder.output_lengths(_pair("lengths", lengths)[1])

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Both nets'."""
        drawn = (prefixed(name, layer.draw(rng, models)) for name, layer in self.children.items())
        return {key: value for found in drawn for key, value in found.items()}

    @property
    def children(self) -> dict[str, Layer]:
        """Both nets, and the attention between them."""
        read = {} if self.attention is None else {"attention": self.attention}
        return {"encoder": self.encoder, "decoder": self.decoder, **read}

    def lengths_within(self, lengths: GivenLengths) -> dict[str, GivenLengths]:
        """The source's, the target's, and for the attention those of what the decoder gives."""
        source, target = _pair("lengths", lengths)
        return {"encoder": source, "decoder": target, "attention": self.decoder.output_lengths(target)}

    def _own(self, params: Mapping[str, Array]) -> dict[str, Params]:
        return dict(zip(self.children, parts(params, [*self.children]), strict=True))

    def _forward(
        self, params: Mapping[str, Array], x: tuple[Array, Array], lengths: GivenLengths, how: Pass
    ) -> tuple[Array, EncoderDecoderTape]:
        """The decoder's output, and beside it what it has read."""
        own = self._own(params)
        (source, target), (source_lengths, target_lengths) = _pair("x", x), _pair("lengths", lengths)
        encoded, read = self.encoder.forward(own["encoder"], source, source_lengths, how)
        tape = EncoderDecoderTape(read, None, encoded)
        how = replace(how, initial_state=tape.last.trajectory.states[-1])
        y, tape.decoder = self.decoder.forward(own["decoder"], target, target_lengths, how)
        if self.attention is None:
            return y, tape
        ends = self.decoder.output_lengths(target_lengths), self.encoder.output_lengths(source_lengths)
        known = (plain_lengths(ends[0], y), plain_lengths(ends[1], y))
        read, tape.attention = self.attention.read(own["attention"], y, encoded, known)
        return namespace(y).concatenate([y, read], axis=-1), tape

    def _backward(
        self, params: Mapping[str, Array], tape: EncoderDecoderTape, dy: Scaled, how: Pass
    ) -> tuple[tuple[ScaledInput, ScaledInput], ScaledParams]:
        """(dL/dsource, dL/d what the decoder reads); the decoder's initial state is the encoder's last."""
        own, grads = self._own(params), ScaledParams()
        d_encoded = Scaled.of(namespace(tape.encoded).zeros_like(tape.encoded))
        if self.attention is not None and tape.attention is not None:
            split = dy.shape[-1] - self.attention.memory_size
            d_read, dy = dy.map(lambda m: m[..., split:]), dy.map(lambda m: m[..., :split])
            d_queries, d_encoded, found = self.attention.read_back(own["attention"], tape.attention, d_read)
            dy, grads = dy + d_queries, prefixed("attention", found)
        d_target, found = self.decoder._backward(own["decoder"], tape.decoder, dy, how)
        how = replace(how, dL_dfinal=tape.first.scaled_initial_gradient)
        d_source, grads_of_encoder = self.encoder._backward(own["encoder"], tape.encoder, d_encoded, how)
        return (d_source, d_target), grads | prefixed("encoder", grads_of_encoder) | prefixed("decoder", found)


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    """`value` as the encoder's and the decoder's; None for both where there are no lengths."""
    if name == "lengths" and value is None:
        return None, None
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    got = counted(len(value), "value") if isinstance(value, tuple | list) else type(value).__name__
    raise InputError(f"{name}: expected the pair (the encoder's, the decoder's), got {got}", name)
