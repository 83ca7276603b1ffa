"""What is recorded on the way, while a backward pass goes over the chunks of a trajectory."""

from __future__ import annotations

from ..arrays import Array, quiet
from ..engine.jacobian import FrobeniusNorms, jacobian
from ..engine.trajectory import Linearization, Trajectory

SATURATED_SLOPE = 0.1  # a unit counts as saturated where its slope is below this share of the largest slope


class Recorder:
    """An observer of `gradlab.bptt`: Frobenius norms of the one-step Jacobians, and statistics of the gates."""

    def __init__(self, traj: Trajectory) -> None:
        self.traj, self.gates = traj, GateStatistics(traj)
        with quiet():
            self.frobenius = FrobeniusNorms(jacobian(traj))

    def __call__(self, lin: Linearization) -> None:
        """Fill in the steps of one chunk."""
        self.frobenius(lin)
        self.gates(lin)


class GateStatistics:
    """Filled chunk by chunk: `mean` and `saturation` (G, T, *M) of every gate, of the candidate `slope` (T, *M).

    dead (*M, H): whether the candidate's slope is low at every step of every sample.
    """

    def __init__(self, traj: Trajectory) -> None:
        self.traj = traj
        shape = (len(traj.cell.gates), traj.steps, *traj.models)
        self.mean, self.saturation = (traj.xp.empty(shape, dtype=traj.states.dtype) for _ in range(2))
        self.slope = traj.xp.empty(shape[1:], dtype=traj.states.dtype)
        self.dead = traj.xp.ones((*traj.models, traj.cell.hidden_size), dtype=bool)
        size = traj.states.shape[-2] * traj.states.shape[-1]
        self.shares = traj.xp.full(size, 1 / size, dtype=traj.states.dtype)  # a product with them is the fastest mean

    def __call__(self, lin: Linearization) -> None:
        """Fill in the steps of one chunk."""
        steps, cell = slice(lin.start, lin.stop), self.traj.cell
        values = self.traj.gate_values(steps)
        for g, (slopes, activation) in enumerate(self.traj.gate_slopes(lin)):
            slopes = self.traj.xp.ones_like(values[g]) if slopes is None else slopes
            self.mean[g, steps] = self._mean(values[g], steps)
            low = self._low(slopes, SATURATED_SLOPE * activation.max_slope)
            self.saturation[g, steps] = 0 if low is None else self._mean(low, steps)
            if cell.gates[g] == cell.candidate:
                self.slope[steps] = self._mean(slopes, steps)
                self.dead &= False if low is None else self._always(low, steps)

    def _low(self, slopes: Array, level: float) -> Array | None:
        """Where |slopes| < level; None where that is nowhere, which the least slope mostly tells.

        With a mask always an array: the share at a step beyond every sample is unknown, not zero.
        """
        if self.traj.mask is None and float(slopes.min()) >= level:
            return None
        return abs(slopes) < level

    def _always(self, low: Array, steps: slice) -> Array:
        """(C, *M, B, H) -> (*M, H): whether it holds at all steps of all samples that are not masked."""
        held = low if self.traj.mask is None else low | ~self.traj.mask[steps][..., None]
        return held.all(axis=0).all(axis=-2)

    def _mean(self, values: Array, steps: slice) -> Array:
        """(C, *M, B, H) -> (C, *M): the mean over the units of all samples whose step is not masked."""
        dtype = self.traj.states.dtype
        if self.traj.mask is None:
            return values.reshape(*values.shape[:-2], -1).astype(dtype, copy=False) @ self.shares
        mask = self.traj.mask[steps]
        with quiet():
            total = self.traj.xp.where(mask, values.mean(axis=-1, dtype=dtype), 0.0).sum(axis=-1)
            return total / mask.astype(dtype).sum(axis=-1)
