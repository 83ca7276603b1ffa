"""Pascanu's regulariser: a penalty on every step at which the adjoint changes its norm.

With lambda_t = dL/dstate_t and u_t = J_t^T lambda_t, what step t hands back of it, the published formula is

    Omega = sum_t (||u_t|| / ||lambda_t|| - 1)^2            form "paper"; here the mean of it over the samples

and the published code computes the mean over all live steps and samples of

    (||u_t||^2 / ||lambda_t||^2 - 1)^2                      form "code"; live: ||lambda_t||^2 >= 1e-20

For a cell with several states the norms are the joint ones. The derivative is the immediate one, by way of the
recurrent weights in J_t = E_t + D_t W alone: states and adjoints are held. Every adjoint is brought to norm 1 first,
which leaves the ratio as it is, so none under- or overflows.
Source: Pascanu, Mikolov & Bengio 2013, section 3.3, eq. 9 and 10; code: github.com/pascanur/trainingRNNs.
"""

from __future__ import annotations

import math

from ..arrays import LN2, Array, outer_sum, quiet
from ..engine.backward import Gradients
from ..engine.jacobian import jacobian
from ..engine.lanczos import unit
from ..engine.trajectory import Trajectory, read
from ..registry import unknown

FORMS = ("paper", "code")
LIVE = 0.5 * math.log(1e-20)  # ln of the adjoint's norm below which the published code leaves a step out


def omega(traj: Trajectory, gradients: Gradients, form: str = "paper") -> tuple[Array, dict[str, Array]]:
    """Omega (*M,), float64, and its immediate derivative by each parameter, shaped as that.

    Zero but for W_hh, and for whatever else a cell makes its recurrent weights from.
    gradients: what `bptt` found for `traj`. Steps beyond a sample's length, and those that no loss reaches, do not
    count. Raises InputError for an unknown form.
    """
    if form not in FORMS:
        raise unknown("form of Omega", form, list(FORMS), "omega_form")
    xp = traj.xp
    with quiet():
        adjoints, sizes = unit(xp, gradients.mantissas[1:].copy(), (1, -1))
        pulled, ratio = unit(xp, jacobian(traj).apply_transpose(adjoints), (1, -1))
        sizes, ratio = sizes[:, 0, ..., 0], ratio[:, 0, ..., 0]
        weight = _weights(gradients, sizes, form)
        term, slope = ((ratio - 1), 1.0) if form == "paper" else ((ratio**2 - 1), 2 * ratio)
        factor = xp.where(weight > 0, 2 * weight * slope * term / sizes, 0.0).astype(sizes.dtype)
        value = xp.sum(weight * term**2, axis=(0, -1), dtype=xp.float64)
        return value, _derivative(gradients, gradients.deltas * factor[..., None], pulled)


def _weights(gradients: Gradients, sizes: Array, form: str) -> Array:
    """How much each step and sample (T, *M, B) counts."""
    xp, live = gradients.traj.xp, gradients.alive[1:]
    if form == "paper":
        return live / live.shape[-1]
    live = live & (xp.log(sizes) + LN2 * gradients.exponents[1:] >= LIVE)
    return live / xp.maximum(xp.sum(live, axis=(0, -1), keepdims=True), 1)


def _derivative(gradients: Gradients, deltas: Array, pulled: Array) -> dict[str, Array]:
    """sum over steps and samples of delta_k r(u)^T for every recurrent gate k, pulled back to the parameters.

    u = E^T lambda + W^T delta; the weights of a late gate act on what they see of u, not on r(u).
    """
    traj = gradients.traj
    xp, cell = traj.xp, traj.cell
    gates, read_part = deltas[: len(cell.gates)], read(cell, pulled)
    grads = [outer_sum(xp, d, read_part) for d in gates[cell.early]]
    grads += [outer_sum(xp, gates[-1], jacobian(traj).seen_late(pulled))] if cell.late else []
    by_weights = {name: xp.zeros_like(array) for name, array in traj.params.items()}
    return gradients.pull_back(by_weights | ({"W_hh": xp.stack(grads)} if grads else {}))
