"""What a layer is, and what layers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ..arrays import (
    Array,
    Namespace,
    namespace,
    placed,
    quiet,
    require_drawable,
    require_namespace,
    require_shape,
    require_type,
)
from ..engine.forward import checked_lengths
from ..engine.lengths import Lengths
from ..engine.linearize import Linearization
from ..engine.scaled import Scaled, require_exponents
from ..engine.trajectory import Trajectory
from ..errors import InputError
from .trees import Trees

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

T = TypeVar("T")
Params = dict[str, Array]
ScaledParams = dict[str, Scaled]
ScaledInput = Any  # a Scaled; None where x is no real number; for an EncoderDecoder a pair of these
GivenLengths = Any  # None, (B,), (*M, B) or Trees; for an EncoderDecoder a pair of these
Observer = Callable[[Linearization], None]


@dataclass(frozen=True, eq=False)
class Pass:
    """How a network is gone through, forward and back; a layer looks at what concerns it.

    rng: what is drawn anew in training (dropout) comes from here; None means evaluation. initial_state (S, *M, B, H):
    where the first recurrent layer starts, zeros by default. dL_dfinal (S, *M, B, H), plain or scaled: the direct
    gradient of the last recurrent layer's whole last state. clip: inside backpropagation, as `gradlab.bptt` takes it.
    observe: called with the trajectory of each recurrent layer; what it returns sees the chunks of that layer's
    backward pass, as `gradlab.bptt(observe=...)` shows them, and stays in the layer's tape.
    """

    rng: np.random.Generator | None = None
    initial_state: Array | None = None
    dL_dfinal: Array | Scaled | None = None
    clip: tuple[str, float] | None = None
    observe: Callable[[Trajectory], Observer] | None = None

    @property
    def stateless(self) -> Pass:
        """The same for layers that neither start from `initial_state` nor end in the state of `dL_dfinal`."""
        return replace(self, initial_state=None, dL_dfinal=None)


PLAIN = Pass()


@dataclass(frozen=True)
class Layer(ABC):
    """A map of sequences (T, *M, B, F) or single vectors (*M, B, F) with parameters and a derivative.

    lengths (B,) or (*M, B): steps beyond a sample's length may hold anything on the way in, count for nothing, and get
    no gradient, but that Dropout and Residual hand on what came for them to the layer below, where it counts for
    nothing. `Trees` may stand in their place: to a layer without `takes_trees` a tree is the sequence of its nodes, of
    which the root is the last. All layers raise InputError for shapes, types and values that they cannot use.
    """

    takes_trees: ClassVar[bool] = False

    def init(
        self,
        seed: int | np.random.Generator = 0,
        *,
        models: tuple[int, ...] = (),
        dtype: DTypeLike = "float64",
        device: str = "cpu",
    ) -> Params:
        """Random parameters, drawn by NumPy and then moved, so that a seed means the same weights on every device."""
        dtype = require_drawable(0 if isinstance(seed, np.random.Generator) else seed, dtype, models)
        with quiet():
            drawn = self.draw(np.random.default_rng(seed), models)
        return placed(drawn, dtype, device)

    @abstractmethod
    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The parameters as float64 NumPy arrays."""

    def forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths = None, how: Pass = PLAIN
    ) -> tuple[Array, Any]:
        """x -> (y, tape)."""
        self._require_use(initial_state=how.initial_state)
        if not self.takes_trees:
            lengths = plain_lengths(lengths, x)
        return self._forward(params, x, lengths, how)

    def backward(
        self, params: Mapping[str, Array], tape: Any, dy: Array | Scaled, how: Pass = PLAIN
    ) -> tuple[Array | None, Params]:
        """dL/dy -> (dL/dx, dL/dparams), plain values that may under- or overflow.

        dL/dx is None where x is no real number.
        """
        dx, grads = self.backward_scaled(params, tape, dy, how)
        return _plain(dx), {name: g.plain() for name, g in grads.items()}

    def backward_scaled(
        self, params: Mapping[str, Array], tape: Any, dy: Array | Scaled, how: Pass = PLAIN
    ) -> tuple[ScaledInput, ScaledParams]:
        """What `backward` returns, at any magnitude: mantissas times powers of two.

        dL/dy and dL/dx have one exponent per step and sample, (T, *M, B, 1), parameter gradients one per model.
        """
        self._require_use(dL_dfinal=how.dL_dfinal)
        if not isinstance(dy, Scaled):
            namespace(dy, "dy")
        dy = Scaled.of(dy)
        require_exponents("dy", dy, -1)
        with quiet():
            dx, grads = self._backward(params, tape, dy, how)
        return dx, {name: grads[name] for name in params}

    @abstractmethod
    def _forward(self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass) -> tuple[Array, Any]:
        """What `forward` returns."""

    @abstractmethod
    def _backward(
        self, params: Mapping[str, Array], tape: Any, dy: Scaled, how: Pass
    ) -> tuple[ScaledInput, ScaledParams]:
        """What `backward_scaled` returns."""

    def _require_use(self, **states: Array | Scaled | None) -> None:
        """Raise InputError where one of `states` is given though there is no layer that it could be meant for."""
        for name, state in states.items():
            if state is not None and not self.stateful:
                raise InputError(f"{name}: no layer of {self} takes one; leave it out", name)

    @property
    def children(self) -> Mapping[str, Layer]:
        """The layers within, by the prefix of their parameters and tapes; a prefix may be empty."""
        return {}

    def lengths_within(self, lengths: GivenLengths) -> Mapping[str, GivenLengths]:
        """The lengths of what each of `children` takes, where the layer takes sequences of these."""
        return dict.fromkeys(self.children, lengths)

    @property
    def stateful(self) -> bool:
        """Whether there is a recurrent layer that takes the initial_state and the dL_dfinal of a `Pass`."""
        return False

    def output_lengths(self, lengths: GivenLengths) -> GivenLengths:
        """The lengths of y's sequences; None where y has no steps."""
        return lengths


def require_params(layer: Layer, params: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The model axes of `params`, which go before each of `shapes`; InputError where a parameter does not fit."""
    if set(params) != set(shapes):
        raise InputError(
            f"parameters of {layer}: expected {', '.join(shapes)}, got {', '.join(params) or 'none'}", "params"
        )
    first = next(iter(shapes))
    models = tuple(params[first].shape[: -len(shapes[first])])
    require_namespace(namespace(params[first]), **params)
    for name, shape in shapes.items():
        require_shape(name, params[name], (*models, *shape))
        require_type(name, params[name], "f", "float32 or float64")
        if params[name].dtype != params[first].dtype:
            wanted, got = params[first].dtype, params[name].dtype
            raise InputError(
                f"{name}: expected {wanted} as {first}, got {got}; convert it with {name}.astype(...)", name
            )
    return models


def require_input(x: Array, models: tuple[int, ...], size: int, like: Array) -> Array:
    """x (T, *M, B, size) or (*M, B, size) in the dtype of `like`; model axes of x may be 1."""
    require_namespace(namespace(like), x=x)
    require_type("x", x, "fiub", "real numbers")
    axes = tuple(x.shape[-2 - len(models) : -2])
    fits = len(axes) == len(models) and all(n in (1, m) for n, m in zip(axes, models, strict=True))
    if not fits or x.ndim - len(models) not in (2, 3) or x.shape[-1] != size or 0 in x.shape:
        vector = ", ".join([*map(str, models), "B", str(size)])
        raise InputError(f"x: expected shape (T, {vector}), time first, or ({vector}); got {tuple(x.shape)}", "x")
    return x.astype(like.dtype, copy=False)


def require_steps(x: Array) -> None:
    """Raise InputError unless x may be a sequence (T, *M, B, F)."""
    if x.ndim < 3 or 0 in x.shape:
        raise InputError(f"x: expected shape (T, B, F), time first, got {tuple(x.shape)}", "x")


def require_gradient(dy: Scaled, y: Array) -> Namespace:
    """The namespace of dy and y; InputError unless they have one, and one shape."""
    require_namespace(namespace(y), dy=dy.mantissas)
    require_shape("dy", dy.mantissas, tuple(y.shape))
    return namespace(y)


def as_steps(models: int, dy: Scaled, x: Array) -> tuple[Scaled, Array]:
    """Both with an axis of steps, which those of single vectors lack."""
    return (dy, x) if dy.mantissas.ndim > models + 2 else (dy[None], x[None])


def plain_lengths(lengths: GivenLengths, x: Array) -> GivenLengths:
    """The lengths of trees in the library of x; other lengths as they are."""
    return namespace(x, "x").asarray(lengths.lengths) if isinstance(lengths, Trees) else lengths


def own_lengths(x: Array, lengths: GivenLengths, models: tuple[int, ...]) -> Lengths:
    """The lengths of the samples of x (T, *M, B, F); single vectors have none."""
    if lengths is None or x.ndim < 3 + len(models):
        return Lengths()
    require_namespace(namespace(x), lengths=lengths)
    return checked_lengths(lengths, x, (*models, x.shape[-2]))


def _plain(dx: ScaledInput) -> Any:
    """dL/dx as plain values."""
    if isinstance(dx, tuple):
        return tuple(map(_plain, dx))
    return None if dx is None else dx.plain()


def tapes_within(tape: Any, kind: type[T] | tuple[type[T], ...]) -> dict[str, T]:
    """The tapes of some kind within a tape, in order, by the prefix of their layer's parameters ("" without one)."""
    if isinstance(tape, kind):
        return {"": tape}
    inside = {name: tapes_within(child, kind) for name, child in getattr(tape, "children", {}).items()}
    return {f"{name}.{inner}".strip("."): t for name, found in inside.items() for inner, t in found.items()}


def prefixed(name: str, params: Mapping[str, T]) -> dict[str, T]:
    """{"W": w} -> {"name.W": w}."""
    return {f"{name}.{key}": value for key, value in params.items()}


def parts(params: Mapping[str, Array], names: Sequence[str]) -> list[Params]:
    """The parameters called "name.*" for each of `names`, without the prefix; InputError where others are left."""
    found: dict[str, Params] = {name: {} for name in names}
    for key, value in params.items():
        name, _, own = key.partition(".")
        if name not in found:
            raise InputError(
                f"parameter {key!r} belongs to no layer; names begin with one of: {', '.join(names)}", "params"
            )
        found[name][own] = value
    return list(found.values())
