"""How the gradient of a state comes to it: at once, from a loss or a layer above, or back through the recurrence."""

from __future__ import annotations

from typing import Any

from ..arrays import Array, quiet
from ..engine.scaled import Scaled
from .base import Recording, once, quantity


def comes_at_many_steps(run: Recording) -> bool:
    """Whether more than the last step of each sample gets something at once; clipping would break the sum."""
    inside = run.traj.lengths.keep(run.probe.direct.mantissas)
    return not run.clipped and bool(((inside != 0).any(axis=-1).sum(axis=0) > 1).any())


@once
def parts(run: Recording) -> tuple[Scaled, Scaled]:
    """The probe's gradient at times 0..T (T+1, S, *M, B, H), split into what comes at once and through the recurrence.

    The recurrence's part is J^T of the next state's gradient, and at the end what the last state is handed: a
    difference would lose it beside a large direct one.
    """
    xp, whole = run.xp, run.probe.scaled
    given = run.probe.direct.map(run.traj.lengths.keep)
    at_once, passed = (xp.zeros_like(whole.mantissas) for _ in range(2))
    at_once[1:, 0] = given.mantissas
    passed[:-1] = run.jacobian.apply_transpose(whole.mantissas[1:])
    last = none = xp.zeros_like(whole.exponents[:1])
    if run.probe.final is not None:
        passed[-1] = run.probe.final.mantissas
        last = xp.broadcast_to(run.probe.final.exponents[None], none.shape)
    exponents = xp.broadcast_to(given.exponents[:, None], (*whole.exponents[1:].shape,))
    return (
        Scaled(at_once, xp.concatenate([none, exponents])),
        Scaled(passed, xp.concatenate([whole.exponents[1:], last])),
    )


CURVE: dict[str, Any] = {"dims": ("time", "*", "sample"), "applies": comes_at_many_steps}


@quantity(symbol="ln ||direct part||", scale="log", **CURVE)
def log_direct_grad_norm(run: Recording) -> Array:
    """Gradient that comes to each state at once: from a loss, a layer above, or an attention that reads it."""
    return run.masked_times(parts(run)[0].log_norm((1, -1)))


@quantity(symbol="ln ||J^T l||", scale="log", **CURVE)
def log_recurrent_grad_norm(run: Recording) -> Array:
    """Gradient that comes to each state back through the recurrence."""
    return run.masked_times(parts(run)[1].log_norm((1, -1)))


@quantity(symbol="<direct part, whole> / ||whole||^2", **CURVE)
def direct_share(run: Recording) -> Array:
    """Share of what comes at once in a state's gradient; the rest is the recurrence's. It may be negative."""
    direct, passed = (Scaled.of(part, (1, -1)) for part in parts(run))
    top = run.xp.maximum(direct.exponents, passed.exponents)
    first = direct.over(top)
    whole = first + passed.over(top)
    with quiet():
        return run.masked_times((first * whole).sum(axis=(1, -1)) / (whole * whole).sum(axis=(1, -1)))
