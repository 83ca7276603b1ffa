"""Losses with their gradients; one registered block each.

A loss maps outputs (T, *M, B, O) or (*M, B, O) and targets to (value (*M,), gradient like the outputs): the mean over
steps and samples, of all outputs too for mse and binary_cross_entropy, weighted by `weights` (T, B) or (B,) if given,

    value = sum w l / sum w,

as PyTorch's reduction "mean" has it. Targets and weights may have the outputs' model axes, of which `model_axes` says
how many there are. Where the weight is zero, outputs and targets may hold anything, and the gradient is zero: a step
beyond a sample's length has weight zero (`step_weights`). Non-finite outputs elsewhere give a value that is not finite.

Raise InputError for shapes that do not fit or are empty, targets that are non-finite or out of range, and weights that
are negative, non-finite or all zero.
"""

from __future__ import annotations

from math import prod
from typing import Protocol

from ..arrays import (
    Array,
    namespace,
    quiet,
    require_finite,
    require_namespace,
    require_size,
    require_type,
    require_whole,
)
from ..engine.lengths import Lengths
from ..errors import InputError
from ..registry import Registry


class Loss(Protocol):
    """What every loss can be called with."""

    def __call__(
        self, outputs: Array, targets: Array, weights: Array | None = None, *, model_axes: int = 0
    ) -> tuple[Array, Array]:
        """(outputs, targets) -> (value, gradient)."""


LOSSES: Registry[Loss] = Registry("loss")


@LOSSES.register("mse")
def mse(outputs: Array, targets: Array, weights: Array | None = None, *, model_axes: int = 0) -> tuple[Array, Array]:
    """Mean squared error: l = mean over outputs of (y - target)^2; targets (T, B, O) or (B, O)."""
    y, targets, weights = _prepared(outputs, targets, weights, model_axes)
    require_finite("targets", targets)
    with quiet():
        error = y - targets.astype(y.dtype, copy=False)
        return _mean(error * error, 2 * error, weights, model_axes)


@LOSSES.register("cross_entropy")
def cross_entropy(
    outputs: Array, targets: Array, weights: Array | None = None, *, model_axes: int = 0
) -> tuple[Array, Array]:
    """-ln softmax(logits)[class]; outputs are logits, targets whole numbers (T, B) or (B,) from 0 to O - 1."""
    logits, targets, weights = _prepared(outputs, targets, weights, model_axes, classes=True)
    xp = namespace(logits)
    require_type("targets", targets, "iu", "class numbers")
    classes = logits.shape[-1]
    least, most = int(targets.min()), int(targets.max())
    if least < 0 or most >= classes:
        raise InputError(f"targets: expected classes from 0 to {classes - 1}, got {least} to {most}", "targets")
    chosen = targets == xp.arange(classes)
    with quiet():
        shifted = logits - xp.max(logits, axis=-1, keepdims=True)
        zero = xp.zeros_like(shifted)
        own = xp.where(chosen, shifted, zero).sum(axis=-1, keepdims=True)
        others = xp.where(chosen, zero, xp.exp(shifted))  # apart, or a confident right answer would lose its digits
        rest = others.sum(axis=-1, keepdims=True)
        total = rest + xp.exp(own)
        losses = xp.where(own == 0, xp.log1p(rest), xp.log(total)) - own
        return _mean(losses, xp.where(chosen, -rest, others) / total, weights, model_axes)


@LOSSES.register("binary_cross_entropy")
def binary_cross_entropy(
    outputs: Array, targets: Array, weights: Array | None = None, *, model_axes: int = 0
) -> tuple[Array, Array]:
    """-t ln s - (1 - t) ln(1 - s), s = sigmoid(logits), mean over outputs; targets (T, B, O) or (B, O) in [0, 1]."""
    logits, targets, weights = _prepared(outputs, targets, weights, model_axes)
    xp = namespace(logits)
    least, most = float(targets.min()), float(targets.max())
    if not (least >= 0 and most <= 1):
        raise InputError(f"targets: expected numbers from 0 to 1, got {least} to {most}", "targets")
    with quiet():  # no difference of two numbers that nearly agree where logit and target do
        t, right, e = targets.astype(logits.dtype, copy=False), logits > 0, xp.exp(-xp.abs(logits))
        losses = xp.log1p(e) + xp.where(right, 1 - t, -t) * logits
        slopes = xp.where(right, (1 - t) - t * e, (1 - t) * e - t) / (1 + e)
        return _mean(losses, slopes, weights, model_axes)


def step_weights(lengths: Array, steps: int) -> Array:
    """(T, B), or (T, *M, B) for lengths (*M, B): True where step 1..T lies within the sample's length."""
    require_type("lengths", lengths, "iu", "whole numbers")
    require_size("steps", steps)
    return Lengths.of(lengths, steps, lengths.ndim - 1).inside


def _prepared(
    outputs: Array, targets: Array, weights: Array | None, model_axes: int, classes: bool = False
) -> tuple[Array, Array, Array | None]:
    """Outputs, targets and weights that broadcast to one another, with zeros where nothing counts.

    classes: whether a target is one number for all outputs.
    """
    xp, samples = namespace(outputs, "outputs"), tuple(outputs.shape[:-1])
    require_type("outputs", outputs, "f", "float32 or float64")
    require_whole(0, model_axes=model_axes)
    got = tuple(outputs.shape)
    if not 0 <= outputs.ndim - 2 - model_axes <= 1:
        raise InputError(f"outputs: expected shape (T, *M, B, O) or (*M, B, O), got {got}", "outputs")
    if 0 in got:
        raise InputError(f"outputs: expected at least one step, sample and output, got shape {got}", "outputs")
    targets = _fitted("targets", targets, outputs, samples if classes else got, model_axes)
    if classes:
        targets = targets[..., None]
    if weights is None:
        return outputs, targets, None
    weights = _fitted("weights", weights, outputs, samples, model_axes)[..., None].astype(outputs.dtype)
    total = weights.sum(axis=_averaged(outputs, model_axes))
    if not (float(weights.min()) >= 0 and float(total.min()) > 0 and bool(xp.isfinite(total).all())):
        text = f"weights: expected numbers from 0 on, not all zero; got a sum of {float(total.min())}"
        raise InputError(text, "weights")
    outputs, targets = (xp.where(weights > 0, a, xp.zeros((), dtype=a.dtype)) for a in (outputs, targets))
    return outputs, targets, weights


def _fitted(name: str, array: Array, outputs: Array, shape: tuple[int, ...], model_axes: int) -> Array:
    """`array` ready to broadcast to `shape`, whose model axes it may lack."""
    require_namespace(namespace(outputs), **{name: array})
    require_type(name, array, "fiub", "real numbers")
    if array.shape == shape:
        return array
    first = outputs.ndim - 2 - model_axes  # of the model axes: 1 behind the steps, 0 without
    lacking = (*shape[:first], *shape[first + model_axes :])
    if array.shape != lacking:
        text = f"expected shape {lacking} for outputs {tuple(outputs.shape)}, got {tuple(array.shape)}"
        raise InputError(f"{name}: {text}", name)
    return array.reshape(*lacking[:first], *(1,) * model_axes, *lacking[first:])


def _averaged(outputs: Array, model_axes: int) -> tuple[int, ...]:
    """The axes that the mean runs over: all but the model axes."""
    return (*range(outputs.ndim - 2 - model_axes), -2, -1)


def _mean(losses: Array, slopes: Array, weights: Array | None, model_axes: int) -> tuple[Array, Array]:
    """The weighted mean of `losses` (..., 1 or O) over all but the model axes (*M,), and its gradient."""
    axes = _averaged(losses, model_axes)
    if weights is None:
        share = 1 / prod(losses.shape[axis] for axis in axes)
        return losses.sum(axis=axes) * share, slopes * share
    share = weights / (weights.sum(axis=axes, keepdims=True) * losses.shape[-1])
    return (losses * share).sum(axis=axes), slopes * share
