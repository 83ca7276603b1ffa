"""What a recurrent cell is: an elementwise step and its elementwise partial derivatives.

    pre_t   = V x_t + W r_{t-1} + b          one pre-activation per gate; r = the states named in `reads`, side by side
    state_t = F(gate_t, state_{t-1}, p)      elementwise; gate = the gate's nonlinearity of pre

The last gate may be `late`: its weights see q_t = Q(other gates_t, state_{t-1}), elementwise as well, instead of r.

A cell declares its states, gates and nonlinearities and writes F (`step`) and its partial derivatives (`partials`), and
where there is a late gate Q (`middle`) and its own (`middle_partials`).
Unrolling, backpropagation through time, Jacobians, norms and parameter gradients are written once, for every cell.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..arrays import (
    Array,
    Namespace,
    namespace,
    not_negative,
    placed,
    quiet,
    require_drawable,
    require_number,
    require_shape,
    require_size,
    require_type,
)
from ..errors import InputError
from ..lazy import lazy
from ..registry import Registry
from .activations import ACTIVATIONS, Activation
from .initializers import INITIALIZERS, rescale

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Partials = tuple[Mapping[tuple[str, str], Any], ...]

STREAMS = ("W_hh", "W_xh", "b_h", "p", "chrono")  # of random numbers, one per parameter

CELLS: Registry[type[Cell]] = Registry("cell")


def register(cls: type[Cell]) -> type[Cell]:
    """Register a cell under its class's `name`."""
    return CELLS.add(cls.name, cls)


@dataclass(frozen=True, repr=False)
class Cell(ABC):
    """A recurrent cell: sizes, the activation of its candidate, and the declarations below.

    input_size D and hidden_size H are positive integers, `activation` a registered name or an Activation.
    Raises InputError for anything else.
    """

    input_size: int
    hidden_size: int
    activation: Activation

    name: ClassVar[str]  # as it is registered
    title: ClassVar[str]  # as people write it
    states: ClassVar[tuple[str, ...]] = ("h",)  # state 0 is the exposed hidden state
    reads: ClassVar[tuple[str, ...]] = ("h",)  # the states that the recurrent weights see
    gates: ClassVar[tuple[str, ...]]
    roles: ClassVar[Mapping[str, str]] = {}  # gate -> what it is for, in a word or two, for legends
    driven: ClassVar[slice] = slice(None)  # the gates that the input drives
    recurrent: ClassVar[slice] = slice(None)  # the gates that the recurrent weights feed
    elementwise: ClassVar[tuple[str, ...]] = ()  # elementwise parameters p, one per unit each
    candidate: ClassVar[str]  # the gate whose nonlinearity is `activation`
    forget_gate: ClassVar[str | None] = None  # the gate whose opening carries the state on
    input_gate: ClassVar[str | None] = None  # the gate that chrono initialisation closes in turn
    late: ClassVar[bool] = False  # whether the last gate's recurrent weights see what `middle` makes of the others

    def __post_init__(self) -> None:
        for field in ("input_size", "hidden_size"):
            require_size(field, getattr(self, field))
        chosen: Any = self.activation  # a name is looked up
        if not isinstance(chosen, Activation):
            object.__setattr__(self, "activation", ACTIVATIONS[chosen])

    def __repr__(self) -> str:
        return f"{self.title}({self.input_size} -> {self.hidden_size}, {self.activation})"

    @property
    @abstractmethod
    def nonlinearities(self) -> tuple[Activation, ...]:
        """The activation that the engine applies to each gate's pre-activation, in the order of `gates`."""

    @abstractmethod
    def step(self, xp: Namespace, *arrays: Array) -> tuple[Array, ...]:
        """F: gate values, states, elementwise parameters -> new states; operators and namespace functions only."""

    @abstractmethod
    def partials(self, xp: Namespace, *arrays: Array) -> Partials:
        """(dF/d gate value, dF/d state[, dF/dp]) by (new state, argument) name; what is absent is zero.

        Takes what `step` takes, with the new states after the states. The engine multiplies in the gates' slopes.
        """

    def middle(self, xp: Namespace, *arrays: Array) -> Array:
        """Q: values of all gates but the late one, states -> what the late gate's weights see."""
        raise NotImplementedError(f"{self.title} has no late gate")

    def middle_partials(self, xp: Namespace, *arrays: Array) -> Mapping[str, Any]:
        """dQ/d gate value and dQ/d state by name; what is absent is zero. Takes what `middle` takes."""
        raise NotImplementedError(f"{self.title} has no late gate")

    def completed(self, xp: Namespace, *arrays: Array) -> Mapping[str, tuple[Array, Activation]]:
        """Gates whose nonlinearity `step` applies: name -> (pre-activation, activation). Takes what `partials` does."""
        return {}

    @property
    def state_is_gate(self) -> bool:
        """Whether the new state is the only gate's value as it is, so that one array can hold both."""
        return False

    def weights(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """What the recurrence multiplies by, made from the parameters; of the same names and shapes."""
        return dict(params)

    def pull_back(self, params: Mapping[str, Array], grads: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients by `weights` -> by the parameters: the transposed derivative of `weights`, linear in `grads`."""
        return dict(grads)

    def multipliers(self, weights: Mapping[str, Array]) -> Array:
        """The recurrent weights of a `diagonal` cell, one factor per unit (*M, H), complex where it turns a pair.

        weights: as `weights` makes them.
        """
        raise NotImplementedError(f"{self.title} is not diagonal")

    @property
    def diagonal(self) -> bool:
        """Whether the recurrent weights are one number per unit: `multipliers` in place of a matrix."""
        return type(self).multipliers is not Cell.multipliers

    @property
    def driven_gates(self) -> tuple[str, ...]:
        """Names of the gates with input weights."""
        return self.gates[self.driven]

    @property
    def early(self) -> slice:
        """The gates whose recurrent weights see the states: all of the recurrent ones but a late one."""
        first, stop, _ = self.recurrent.indices(len(self.gates))
        return slice(first, stop - self.late)

    @property
    def recurrent_gates(self) -> tuple[str, ...]:
        """Names of the gates with recurrent weights: the gradient's paths beside the carry."""
        return self.gates[self.recurrent]

    @lazy
    def shapes(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Parameter name -> (number of gates or elementwise parameters, shape of one); model axes go between."""
        d, h = self.input_size, self.hidden_size
        shapes: dict[str, tuple[int, tuple[int, ...]]] = {
            "W_xh": (len(self.driven_gates), (h, d)),
            "W_hh": (len(self.recurrent_gates), (h, len(self.reads) * h)),
            "b_h": (len(self.gates), (h,)),
        }
        return shapes | ({"p": (len(self.elementwise), (h,))} if self.elementwise else {})

    def init(
        self,
        seed: int = 0,
        *,
        recurrent_init: str = "gaussian",
        gain: float = 1.0,
        bias_scale: float = 0.0,
        input_scale: float = 1.0,
        forget_bias: float | str = 0.0,
        t_max: int | None = None,
        spectral_radius: float | None = None,
        models: tuple[int, ...] = (),
        dtype: DTypeLike = "float64",
        device: str = "cpu",
    ) -> dict[str, Array]:
        """Random parameters W_xh (G_x, *M, H, D), W_hh (G_h, *M, H, R*H), b_h (G, *M, H), and p (P, *M, H) if any.

        recurrent_init: a registered scheme, whose own scale `gain` multiplies; `spectral_radius` rescales each gate's
        matrix instead. input_scale: sigma_v, W_xh ~ N(0, sigma_v^2 / D). bias_scale: sigma_b, a
        standard deviation. forget_bias: added to the forget gate's bias; "chrono" draws it as ln U(1, t_max - 1) and
        the input gate's as its negative (Tallec & Ollivier 2018). p ~ N(0, gain^2 / H), or as the cell says.
        The same seed gives the same weights on every device, and each parameter has a stream of its own.
        Raises InputError for unknown names, values that cannot be used, a scheme or a radius for a cell without a
        matrix, and a forget bias for one without that gate.
        """
        self._require_matrix(recurrent_init=recurrent_init, spectral_radius=spectral_radius)
        dtype = require_drawable(seed, dtype, models, gain=gain, bias_scale=bias_scale, input_scale=input_scale)
        if spectral_radius is not None:
            require_number("spectral_radius", spectral_radius, "a number from 0 on", not_negative)
        with quiet():
            params = {
                "W_xh": self._normal("W_xh", seed, models, input_scale / np.sqrt(self.input_size)),
                "W_hh": self._recurrent(seed, models, recurrent_init, gain, spectral_radius),
                "b_h": self._biases(seed, models, bias_scale, forget_bias, t_max),
            }
            if self.elementwise:
                params["p"] = self.draw_elementwise(_stream(seed, "p"), self._full("p", models), gain)
        return placed(params, dtype, device)

    @classmethod
    def drawn_by(cls) -> tuple[str, ...]:
        """The options of `init`, beside those that every cell has, that change what is drawn for this one."""
        matrices, forgets = bool(cls.gates[cls.recurrent]), cls.forget_gate is not None
        return (
            *(("recurrent_init", "spectral_radius") if matrices else ()),
            *(("gain",) if matrices or cls.elementwise else ()),
            *(("forget_bias",) if forgets else ()),
        )

    def draw_elementwise(self, rng: np.random.Generator, shape: tuple[int, ...], gain: float) -> np.ndarray:
        """The elementwise parameters p of the shape (P, *M, H) in float64."""
        return rng.normal(0, gain / np.sqrt(self.hidden_size), shape)

    def _require_matrix(self, **options: Any) -> None:
        """Raise InputError for an option that is not at its default and shapes a matrix where there is none."""
        for name, value in options.items():
            if value not in (None, "gaussian") and not self.recurrent_gates:
                text = f"{self.title} has no matrix of recurrent weights; leave {name} out or choose another cell"
                raise InputError(f"{name}: {text}", name)

    def _full(self, name: str, models: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a parameter, with its model axes."""
        count, shape = self.shapes[name]
        return (count, *models, *shape)

    def _normal(self, name: str, seed: int, models: tuple[int, ...], std: float) -> np.ndarray:
        return _stream(seed, name).normal(0, std, self._full(name, models))

    def _recurrent(
        self, seed: int, models: tuple[int, ...], name: str, gain: float, radius: float | None
    ) -> np.ndarray:
        """W_hh: one matrix of the scheme after the other, by gate, model and state that is read."""
        scheme, rng, w = INITIALIZERS[name], _stream(seed, "W_hh"), np.empty(self._full("W_hh", models))
        for at in np.ndindex(*w.shape[:-2]):
            drawn = gain * np.concatenate([scheme(rng, self.hidden_size) for _ in self.reads], axis=1)
            w[at] = drawn if radius is None else rescale(drawn, radius)
        return w

    def _biases(
        self, seed: int, models: tuple[int, ...], scale: float, forget_bias: float | str, t_max: int | None
    ) -> np.ndarray:
        b = self._normal("b_h", seed, models, scale)
        for gate, offset in self._gate_offsets(forget_bias, t_max, (*models, self.hidden_size), seed).items():
            b[self.gates.index(gate)] += offset
        return b

    def _gate_offsets(
        self, forget_bias: float | str, t_max: int | None, shape: tuple[int, ...], seed: int
    ) -> dict[str, Any]:
        chrono = isinstance(forget_bias, str) and forget_bias == "chrono"
        shift = 0.0 if chrono else require_number("forget_bias", forget_bias, "a number or 'chrono'", math.isfinite)
        if not chrono and shift == 0:
            return {}
        if self.forget_gate is None:
            text = f"{self.title} has no forget gate; leave forget_bias out or choose a gated cell"
            raise InputError(f"forget_bias: {text}", "forget_bias")
        if not chrono:
            return {self.forget_gate: shift}
        longest = "the longest lag for forget_bias='chrono', at least 3"
        top = require_number("t_max", t_max, longest, lambda x: 3 <= x < math.inf)
        offset = np.log(_stream(seed, "chrono").uniform(1, top - 1, shape))
        return {self.forget_gate: offset} | ({self.input_gate: -offset} if self.input_gate else {})

    def require(self, params: Mapping[str, Array]) -> tuple[int, ...]:
        """The model axes of `params`; InputError where a parameter is missing, unknown or of the wrong shape."""
        if set(params) != set(self.shapes):
            text = f"expected {', '.join(self.shapes)}, got {', '.join(params) or 'none'}"
            raise InputError(f"parameters of {self!r}: {text}", "params")
        for name, array in params.items():
            namespace(array, name)
        models = tuple(params["W_hh"].shape[1:-2])
        for name, (count, shape) in self.shapes.items():
            require_shape(name, params[name], (count, *models, *shape))
            require_type(name, params[name], "f", "float32 or float64")
        return models


def _stream(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one parameter."""
    return np.random.default_rng([seed, STREAMS.index(name)])


def make_cell(
    name: str, *, input_size: int, hidden_size: int, activation: str | Activation = "tanh", **options: Any
) -> Cell:
    """A cell by its registered name; `options` are the cell's own fields (elman: leak).

    Raises InputError for unknown names, options and activations, and for sizes that are no positive integers.
    """
    cls = CELLS[name]
    if unknown := set(options) - set(cls.__dataclass_fields__):
        own = sorted(set(cls.__dataclass_fields__) - set(Cell.__dataclass_fields__))
        text = f"{name} has no option {', '.join(sorted(unknown))}. Its options: {', '.join(own) or 'none'}"
        raise InputError(text, min(unknown))
    return cls(input_size, hidden_size, activation, **options)  # type: ignore[arg-type]
