"""What turns many steps into one vector, and one vector into many steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, namespace, require_namespace, require_shape, require_size
from ..engine.forward import checked_lengths
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from ..errors import InputError
from .base import GivenLengths, Layer, Pass, ScaledParams, require_steps


@dataclass
class LastTape:
    """The input's shape, and the samples' lengths."""

    shape: tuple[int, ...]
    lengths: Lengths


@dataclass(frozen=True)
class Last(Layer):
    """Each sample's last step: (T, *M, B, F) -> (*M, B, F), for many-to-one nets.

    A sample of length 0 gives its first step, where a recurrent layer holds its initial state.
    """

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """No parameters."""
        return {}

    def output_lengths(self, lengths: GivenLengths) -> GivenLengths:
        """None: a vector has no steps."""
        return None

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, LastTape]:
        """Step T, or `lengths` of each sample."""
        require_steps(x)
        if lengths is not None:
            require_namespace(namespace(x), lengths=lengths)
        own = checked_lengths(lengths, x, tuple(x.shape[1:-1])).at_least(1)
        return own.take_last(x), LastTape(tuple(x.shape), own)

    def _backward(
        self, params: Mapping[str, Array], tape: LastTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dy at the last step, zero elsewhere."""
        require_shape("dy", dy.mantissas, tape.shape[1:])
        return Scaled(tape.lengths.put_last(dy.mantissas, tape.shape[0]), dy.exponents[None]), {}


@dataclass(frozen=True)
class Ends(Last):
    """The last step of each direction of a `Bidirectional`: (T, *M, B, 2 H) -> (*M, B, 2 H), for many-to-one nets.

    The first half is each sample's last step, the second half, of the direction that came from there, the first step;
    as the last states of PyTorch's bidirectional layers.
    """

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, LastTape]:
        """Both halves side by side. Raises InputError for an odd number of features."""
        y, tape = super()._forward(params, x, lengths, how)
        if x.shape[-1] % 2:
            raise InputError(f"x: expected two directions side by side, got {x.shape[-1]} features", "x")
        half = x.shape[-1] // 2
        return namespace(x).concatenate([y[..., :half], x[0, ..., half:]], axis=-1), tape

    def _backward(
        self, params: Mapping[str, Array], tape: LastTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dy of the first half at the last step, of the second at the first one, zero elsewhere."""
        dx, none = super()._backward(params, tape, dy, how)
        half = tape.shape[-1] // 2
        dx.mantissas[..., half:] = 0
        dx.mantissas[0, ..., half:] = dy.mantissas[..., half:]
        return dx, none


@dataclass(frozen=True)
class Once(Layer):
    """A vector (*M, B, F) as the input of step 1, zeros after: (steps, *M, B, F), for one-to-many nets."""

    steps: int

    def __post_init__(self) -> None:
        require_size("steps", self.steps)

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """No parameters."""
        return {}

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, tuple[int, ...]]:
        """The tape is y's shape; lengths are those of y."""
        y = namespace(x).zeros((self.steps, *x.shape), dtype=x.dtype)
        y[0] = x
        return y, tuple(y.shape)

    def _backward(
        self, params: Mapping[str, Array], tape: tuple[int, ...], dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """dL/dy of step 1."""
        require_shape("dy", dy.mantissas, tape)
        return dy[0], {}
