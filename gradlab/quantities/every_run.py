"""What every run records."""

from __future__ import annotations

from ..arrays import Array, linear, over_largest, quiet
from ..products.credit import contributions
from .base import Recording, quantity

CURVE = ("time", "state", "*", "sample")


@quantity(CURVE, "ln ||dL/ds_t||", "log", snapshot=True)
def log_grad_norm(run: Recording) -> Array:
    """Gradient of the probe loss at the last step with respect to the state."""
    return run.probe.log_norms


@quantity(CURVE, "ln ||dL/ds_t||", "log", applies=lambda run: run.loss is not run.probe)
def log_loss_grad_norm(run: Recording) -> Array:
    """Gradient of the whole loss, each step's own included, with respect to the state."""
    return run.loss.log_norms


@quantity(CURVE, "ln ||dL/ds_t||", "log", applies=lambda run: run.clipped)
def log_grad_norm_before_clip(run: Recording) -> Array:
    """Gradient of the probe loss before the clipping of each step."""
    return run.probe.log_norms_before


@quantity(("step", "*", "sample"), "||J_t||_F", snapshot=True)
def jacobian_frobenius(run: Recording) -> Array:
    """Frobenius norm of the one-step Jacobian; over sqrt(S H) it is the typical factor of one step."""
    return run.masked(run.recorder.frobenius.values)


@quantity(("path", "step", "*", "sample"), "||P_t||_F")
def jacobian_path_norm(run: Recording) -> Array:
    """Frobenius norm of each path's part of the one-step Jacobian."""
    return run.masked(run.path_split[0], steps=1)


@quantity(("path", "step", "*", "sample"), "<P^T l, J^T l> / ||J^T l||^2")
def path_share(run: Recording) -> Array:
    """Share of each path in the gradient that a step passes back; sums to 1, may be negative."""
    return run.masked(run.path_split[1], steps=1)


@quantity(("gate", "step", "*"), "<gate>", snapshot=True)
def gate_mean(run: Recording) -> Array:
    """Mean gate value over units and samples."""
    return run.recorder.gates.mean


@quantity(("gate", "step", "*"), "share", snapshot=True)
def gate_saturation(run: Recording) -> Array:
    """Share of units whose slope is below a tenth of the gate's largest slope."""
    return run.recorder.gates.saturation


@quantity(("step", "*"), "<phi'>", snapshot=True)
def activation_slope(run: Recording) -> Array:
    """Mean slope of the activation over units and samples."""
    return run.recorder.gates.slope


@quantity(("*",), "dead")
def dead_units(run: Recording) -> Array:
    """Share of units whose activation's slope is below a tenth of the largest at every step of every sample."""
    return run.recorder.gates.dead.astype(run.traj.states.dtype).mean(axis=-1)


@quantity(("*",), "rms V x + b")
def input_drive(run: Recording) -> Array:
    """Root mean square of what input and bias add to the candidate's pre-activation, over units, steps and samples."""
    xp, traj, cell = run.xp, run.traj, run.traj.cell
    drive = traj.weights["b_h"][cell.gates.index(cell.candidate)][..., None, :] + 0 * traj.x[..., :1]
    if cell.candidate in cell.driven_gates:
        drive = drive + linear(xp, traj.x, traj.weights["W_xh"][cell.driven_gates.index(cell.candidate)])
    scaled, largest = over_largest(xp, traj.lengths.keep(drive).astype(xp.float64), (0, -2, -1))
    squares = (scaled * scaled).mean(axis=-1)
    return xp.sqrt(traj.lengths.mean(squares, (0, -1))) * largest[0, ..., 0, 0]


@quantity(("time", "state", "*"), "rms s_t")
def state_rms(run: Recording) -> Array:
    """Root mean square of the state over units and samples."""
    xp, states = run.xp, run.traj.states
    scaled, largest = over_largest(xp, states, (-2, -1))
    squares = (scaled * scaled).mean(axis=-1)
    return xp.sqrt(run.traj.lengths.times.mean(squares, -1, states=1)) * largest[..., 0, 0]


@quantity(("parameter", "*"), "ln ||dL/dW||", "log")
def log_weight_grad_norm(run: Recording) -> Array:
    """Gradient of the loss with respect to each parameter, before clipping of the update."""
    return run.xp.stack(list(run.loss.log_param_norms.values()))


@quantity(("parameter", "step", "*"), "ln ||dL_t/dW||", "log")
def log_weight_grad_step_norm(run: Recording) -> Array:
    """What one step contributes to each parameter's gradient."""
    return run.xp.stack(list(contributions(run.loss).values()))


@quantity(("time", "*", "unit"), "ln rms dL/ds_tu", "log")
def log_grad_unit(run: Recording) -> Array:
    """Gradient of the probe loss with respect to each unit's states, root mean square over samples."""
    xp, times = run.xp, run.traj.lengths.times
    logs = run.probe.scaled.map(lambda m: times.keep(m, states=1)).log_norm((1, -2))
    samples = xp.asarray(times.count(run.traj.states.shape[-2], -1), dtype=xp.float64)
    with quiet():
        return logs - 0.5 * xp.log(samples)[..., None]
