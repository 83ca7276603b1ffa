"""Optimizers, and schedules of the learning rate; one registered block each.

All formulas are elementwise, so parameters may have any shape and model axes, NumPy or CuPy. They are PyTorch's, in
the order of operations of Kingma & Ba (2015, end of section 2): the bias corrections act on two numbers, not on arrays.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Namespace, is_whole, namespace, not_negative, require_number, require_shape, require_whole
from ..errors import InputError, echo
from ..registry import Registry

State = dict[str, Array]

NOT_NEGATIVE = "a finite number of at least 0", not_negative

OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer")
SCHEDULES: Registry[Callable[[int, int], float]] = Registry("schedule")


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """A rule by which gradients change parameters; the state is a flat dict, so that a checkpoint can hold it.

    "updates" is their number so far, a host array (); the rest is "KIND.PARAMETER", shaped as the parameter.
    weight_decay: g + weight_decay p takes the place of the gradient g, that of the penalty weight_decay |p|^2 / 2, as
    PyTorch has it; `adamw` shrinks the parameters themselves. Raises InputError where it is negative or not finite.
    """

    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        require_number("weight_decay", self.weight_decay, *NOT_NEGATIVE)

    @property
    @abstractmethod
    def memory(self) -> tuple[str, ...]:
        """The kinds of arrays that it keeps for each parameter."""

    def init(self, params: Mapping[str, Array]) -> State:
        """The state before the first update."""
        state: State = {"updates": np.zeros((), np.int64)}
        for kind in self.memory:
            state |= {f"{kind}.{name}": namespace(p).zeros_like(p) for name, p in params.items()}
        return state

    def step(self, params: Mapping[str, Array], grads: Mapping[str, Array], state: State, learning_rate: float) -> None:
        """One update of `params` and `state`, in place; `grads`, shaped as the parameters, must be finite.

        Raises InputError for gradients of other names or shapes, and a learning rate that is negative or not finite.
        """
        if grads.keys() != params.keys():
            text = f"gradients: expected those of {', '.join(params)}, got {', '.join(grads) or 'none'}"
            raise InputError(text, "grads")
        for name, p in params.items():
            require_shape(f"gradient of {name}", grads[name], tuple(p.shape))
        require_number("learning_rate", learning_rate, *NOT_NEGATIVE)
        state["updates"] += 1
        count = int(state["updates"])
        for name, p in params.items():
            kept = [state[f"{kind}.{name}"] for kind in self.memory]
            self._update(namespace(p), p, self._penalised(p, grads[name]), learning_rate, count, *kept)

    def _penalised(self, p: Array, g: Array) -> Array:
        """The gradient with that of the penalty."""
        return g + self.weight_decay * p if self.weight_decay else g

    @abstractmethod
    def _update(self, xp: Namespace, p: Array, g: Array, rate: float, count: int, *kept: Array) -> None:
        """Update number `count` of one parameter p by its gradient g, and of what is kept for it, in place."""


def _require_share(**values: float) -> None:
    for name, value in values.items():
        require_number(name, value, "a number in [0, 1)", lambda x: 0 <= x < 1)


def _require_positive(name: str, value: float) -> None:
    require_number(name, value, "a positive number", lambda x: 0 < x < math.inf)


def _add_square(xp: Namespace, v: Array, g: Array, decay: float, scratch: Array) -> None:
    """V = decay v + (1 - decay) g^2; scratch = sqrt(v)."""
    xp.multiply(g, g, out=scratch)
    scratch *= 1 - decay
    v *= decay
    v += scratch
    xp.sqrt(v, out=scratch)


@OPTIMIZERS.register("sgd")
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum or Nesterov's momentum if asked.

    b = momentum b + g; p -= rate b, or, with Nesterov's, p -= rate (g + momentum b).
    Source: Polyak 1964; Sutskever et al. 2013, section 2, with the velocity in units of the gradient.
    Raises InputError for a momentum outside [0, 1), and for Nesterov's without any.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_share(momentum=self.momentum)
        if self.nesterov and not self.momentum:
            raise InputError("nesterov: needs a momentum above 0, such as 0.9", "nesterov")

    @property
    def memory(self) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return ("velocity",) if self.momentum else ()

    def _update(self, xp: Namespace, p: Array, g: Array, rate: float, count: int, *kept: Array) -> None:
        for velocity in kept:
            velocity *= self.momentum
            velocity += g
            g = g + self.momentum * velocity if self.nesterov else velocity
        p -= rate * g


@OPTIMIZERS.register("rmsprop")
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Gradients over the root of their running mean square.

    v = alpha v + (1 - alpha) g^2; p -= rate g / (sqrt(v) + eps).
    Source: Tieleman & Hinton 2012, lecture 6.5. Raises InputError for alpha outside [0, 1) or eps that is not positive.
    """

    alpha: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_share(alpha=self.alpha)
        _require_positive("eps", self.eps)

    @property
    def memory(self) -> tuple[str, ...]:
        """The running mean square."""
        return ("v",)

    def _update(self, xp: Namespace, p: Array, g: Array, rate: float, count: int, *kept: Array) -> None:
        scratch = xp.empty_like(g)
        _add_square(xp, kept[0], g, self.alpha, scratch)
        scratch += self.eps
        xp.divide(g, scratch, out=scratch)
        scratch *= rate
        p -= scratch


@OPTIMIZERS.register("adam")
@dataclass(frozen=True)
class Adam(Optimizer):
    """Running mean of the gradients over the root of their running mean square, both corrected for their start at 0.

    m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    p -= rate m / (1 - beta1^n) / (sqrt(v / (1 - beta2^n)) + eps) at update n = 1, 2 ...
    Source: Kingma & Ba 2015, algorithm 1. Raises InputError for betas outside [0, 1) or eps that is not positive.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_share(beta1=self.beta1, beta2=self.beta2)
        _require_positive("eps", self.eps)

    @property
    def memory(self) -> tuple[str, ...]:
        """The running mean and mean square."""
        return ("m", "v")

    def _update(self, xp: Namespace, p: Array, g: Array, rate: float, count: int, *kept: Array) -> None:
        m, v = kept
        scratch = g * (1 - self.beta1)
        m *= self.beta1
        m += scratch
        _add_square(xp, v, g, self.beta2, scratch)
        root = math.sqrt(1 - self.beta2**count)
        scratch += self.eps * root
        xp.divide(m, scratch, out=scratch)
        scratch *= rate * root / (1 - self.beta1**count)
        p -= scratch


@OPTIMIZERS.register("adamw")
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: p *= 1 - rate weight_decay before Adam's update.

    Source: Loshchilov & Hutter 2019, algorithm 2, the decay scaled by the learning rate as in PyTorch.
    Raises InputError as Adam does.
    """

    weight_decay: float = 0.01

    def _penalised(self, p: Array, g: Array) -> Array:
        """The gradient as it is."""
        return g

    def _update(self, xp: Namespace, p: Array, g: Array, rate: float, count: int, *kept: Array) -> None:
        p *= 1 - rate * self.weight_decay
        super()._update(xp, p, g, rate, count, *kept)


# Schedules: (number of the update 0, 1 ... total - 1, total) -> the factor of the learning rate;
# InputError for what are no such numbers


def _require_counts(iteration: int, total: int) -> None:
    require_whole(0, iteration=iteration)
    if not is_whole(total) or total < 1:
        raise InputError(f"total: expected a positive number of updates, got {echo(total)}", "total")


@SCHEDULES.register("constant")
def constant(iteration: int, total: int) -> float:
    """The same learning rate throughout."""
    return 1.0


@SCHEDULES.register("cosine")
def cosine(iteration: int, total: int) -> float:
    """Half a period of a cosine, from the learning rate down to 0 (Loshchilov & Hutter 2017, eq. 5, no restarts)."""
    _require_counts(iteration, total)
    return 0.5 * (1 + math.cos(math.pi * iteration / total))


@SCHEDULES.register("step")
def step(iteration: int, total: int) -> float:
    """A tenth of the learning rate after each third of the updates."""
    _require_counts(iteration, total)
    return float(0.1 ** (3 * iteration // total))
