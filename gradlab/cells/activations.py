"""Activation functions phi and their derivatives; one registered block each.

`value` and `slope` take a namespace and the pre-activation a; `slope_from_value` takes y = phi(a) and is None where
phi' is no function of phi or cannot be had from it accurately. `value` and `slope` are made of elementwise functions
only, so that CuPy can fuse them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from ..arrays import Array, Namespace, empty, erf
from ..registry import Registry

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017, eq. 2


class Activation(ABC):
    """An elementwise nonlinearity with its derivative."""

    name: ClassVar[str]
    max_slope: ClassVar[float] = 1.0
    slope_from_value: Callable[[Namespace, Array], Array] | None = None
    saturates: ClassVar[bool] = False  # |y| -> 1, where the slope computed from y loses digits

    @abstractmethod
    def value(self, xp: Namespace, a: Array) -> Array:
        """phi(a)."""

    @abstractmethod
    def slope(self, xp: Namespace, a: Array) -> Array:
        """phi'(a)."""

    def in_place(self, xp: Namespace, a: Array) -> None:
        """phi(a) in place of a; what overflows on the way to a limit is right."""
        a[...] = self.value(xp, a)

    def __repr__(self) -> str:
        return self.name


ACTIVATIONS: Registry[Activation] = Registry("activation")


def register(cls: type[Activation]) -> type[Activation]:
    """Register an activation under its class's `name`."""
    ACTIVATIONS.add(cls.name, cls())
    return cls


def positive(xp: Namespace, a: Array) -> Array:
    """1 where a > 0, else 0, in a's dtype; made of functions that CuPy can fuse."""
    return xp.sign(xp.maximum(a, 0.0))


def logistic(xp: Namespace, a: Array) -> Array:
    """1 / (1 + exp(-a)) without overflow, to full relative precision at both ends."""
    down = xp.exp(xp.minimum(a, 0.0))
    return down / (down + xp.exp(-xp.maximum(a, 0.0)))


@register
class Identity(Activation):
    """phi(a) = a."""

    name = "identity"

    def value(self, xp: Namespace, a: Array) -> Array:
        return a

    def in_place(self, xp: Namespace, a: Array) -> None:
        pass

    def slope(self, xp: Namespace, a: Array) -> Array:
        return xp.exp(xp.minimum(xp.abs(a), 0.0))  # 1, by functions that CuPy can fuse

    slope_from_value = slope


@register
class Tanh(Activation):
    """phi(a) = tanh(a)."""

    name = "tanh"
    saturates = True

    def value(self, xp: Namespace, a: Array) -> Array:
        return xp.tanh(a)

    def in_place(self, xp: Namespace, a: Array) -> None:
        xp.tanh(a, out=a)

    def slope(self, xp: Namespace, a: Array) -> Array:
        e = xp.exp(-2 * xp.abs(a))  # 1 - tanh^2 would cancel
        below = 1 + e
        return 4 * e / (below * below)

    def slope_from_value(self, xp: Namespace, y: Array) -> Array:
        square = xp.multiply(y, y, out=empty(xp, y.shape, y.dtype))
        return xp.subtract(1.0, square, out=square)


@register
class Sigmoid(Activation):
    """phi(a) = 1 / (1 + exp(-a)), whose digits a closed gate needs: (tanh(a / 2) + 1) / 2 would lose them."""

    name = "sigmoid"
    max_slope = 0.25
    saturates = True

    def value(self, xp: Namespace, a: Array) -> Array:
        return logistic(xp, a)

    def in_place(self, xp: Namespace, a: Array) -> None:
        xp.negative(a, out=a)
        xp.exp(a, out=a)
        xp.add(a, 1.0, out=a)
        xp.divide(1.0, a, out=a)

    def slope(self, xp: Namespace, a: Array) -> Array:
        e = xp.exp(-xp.abs(a))
        below = 1 + e
        return e / (below * below)

    def slope_from_value(self, xp: Namespace, y: Array) -> Array:
        rest = xp.subtract(1.0, y, out=empty(xp, y.shape, y.dtype))
        return xp.multiply(y, rest, out=rest)


@register
class Relu(Activation):
    """phi(a) = max(a, 0), with slope 0 at 0."""

    name = "relu"

    def value(self, xp: Namespace, a: Array) -> Array:
        return xp.maximum(a, 0.0)

    def slope(self, xp: Namespace, a: Array) -> Array:
        return positive(xp, a)

    slope_from_value = slope


@register
class LeakyRelu(Activation):
    """phi(a) = a for a > 0, else a / 100 (PyTorch's default)."""

    name = "leaky_relu"

    def value(self, xp: Namespace, a: Array) -> Array:
        return xp.maximum(a, 0.01 * a)

    def slope(self, xp: Namespace, a: Array) -> Array:
        return 0.01 + 0.99 * positive(xp, a)

    slope_from_value = slope


@register
class Elu(Activation):
    """phi(a) = a for a > 0, else exp(a) - 1 (Clevert et al. 2016)."""

    name = "elu"

    def value(self, xp: Namespace, a: Array) -> Array:
        return xp.where(a > 0, a, xp.expm1(xp.minimum(a, 0.0)))

    def slope(self, xp: Namespace, a: Array) -> Array:
        return xp.exp(xp.minimum(a, 0.0))


@register
class Selu(Activation):
    """phi(a) = 1.0507 (a for a > 0, else 1.6733 (exp(a) - 1)) (Klambauer et al. 2017)."""

    name = "selu"
    max_slope = SELU_SCALE * SELU_ALPHA

    def value(self, xp: Namespace, a: Array) -> Array:
        return SELU_SCALE * xp.where(a > 0, a, SELU_ALPHA * xp.expm1(xp.minimum(a, 0.0)))

    def slope(self, xp: Namespace, a: Array) -> Array:
        return SELU_SCALE * xp.where(a > 0, xp.sign(a), SELU_ALPHA * xp.exp(xp.minimum(a, 0.0)))


@register
class Gelu(Activation):
    """phi(a) = a Phi(a), Phi the standard normal distribution, exact (Hendrycks & Gimpel 2016)."""

    name = "gelu"
    max_slope = 1.1289041642122947  # at a = sqrt(2)

    def value(self, xp: Namespace, a: Array) -> Array:
        return 0.5 * a * (1 + erf(xp)(a * math.sqrt(0.5)))

    def slope(self, xp: Namespace, a: Array) -> Array:
        density = xp.exp(-0.5 * a * a) * (1 / math.sqrt(2 * math.pi))
        return 0.5 * (1 + erf(xp)(a * math.sqrt(0.5))) + a * density


@register
class Silu(Activation):
    """phi(a) = a sigmoid(a), also called swish."""

    name = "silu"
    max_slope = 1.0998393201288671  # at a = 2.3994

    def value(self, xp: Namespace, a: Array) -> Array:
        return a * logistic(xp, a)

    def slope(self, xp: Namespace, a: Array) -> Array:
        s = logistic(xp, a)
        return s * (1 + a * (1 - s))


@register
class Softplus(Activation):
    """phi(a) = ln(1 + exp(a))."""

    name = "softplus"

    def value(self, xp: Namespace, a: Array) -> Array:
        return xp.maximum(a, 0.0) + xp.log1p(xp.exp(xp.minimum(a, -a)))  # -|a| would leave out complex steps

    def slope(self, xp: Namespace, a: Array) -> Array:
        return logistic(xp, a)

    def slope_from_value(self, xp: Namespace, y: Array) -> Array:
        return -xp.expm1(-y)


@register
class Softsign(Activation):
    """phi(a) = a / (1 + |a|)."""

    name = "softsign"
    saturates = True

    def value(self, xp: Namespace, a: Array) -> Array:
        return a / (1 + xp.abs(a))

    def slope(self, xp: Namespace, a: Array) -> Array:
        d = 1 + xp.abs(a)
        return 1 / (d * d)

    def slope_from_value(self, xp: Namespace, y: Array) -> Array:
        d = 1 - xp.abs(y)
        return d * d


@register
class HardTanh(Activation):
    """phi(a) = a cut to [-1, 1], with slope 0 at both ends."""

    name = "hard_tanh"

    def value(self, xp: Namespace, a: Array) -> Array:
        return xp.minimum(xp.maximum(a, -1.0), 1.0)

    def slope(self, xp: Namespace, a: Array) -> Array:
        return positive(xp, 1 - xp.abs(a))

    slope_from_value = slope


@register
class Erf(Activation):
    """phi(a) = erf(sqrt(pi) a / 2), scaled to slope 1 at 0."""

    name = "erf"

    def value(self, xp: Namespace, a: Array) -> Array:
        return erf(xp)(a * (0.5 * math.sqrt(math.pi)))

    def slope(self, xp: Namespace, a: Array) -> Array:
        return xp.exp(a * a * (-0.25 * math.pi))


@register
class Sin(Activation):
    """phi(a) = sin(a)."""

    name = "sin"

    def value(self, xp: Namespace, a: Array) -> Array:
        return xp.sin(a)

    def slope(self, xp: Namespace, a: Array) -> Array:
        return xp.cos(a)
