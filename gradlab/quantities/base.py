"""What a quantity is, what it is computed from, and the registry.

Dims in which "*" stands for the model axes. Logarithms are natural; -inf means exactly zero, NaN a step beyond the
sample's length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..arrays import Array, Namespace, quiet
from ..engine.backward import Gradients
from ..engine.jacobian import FrobeniusNorms, StateJacobian, jacobian
from ..engine.trajectory import Linearization, Trajectory
from ..registry import Registry, unknown
from ..theory import Prediction, predictions

SATURATED_SLOPE = 0.1  # a unit counts as saturated where its slope is below this share of the largest slope
SPECTRAL_TOL = 1e-2  # a bound on the error; the error itself is about its square

Progress = Callable[[float], None]


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


@dataclass(frozen=True)
class Recording:
    """What quantities are computed from. probe: gradients of the unit cotangent at each sample's last step.

    loss: gradients of the loss that acts, the probe unless the loss acts elsewhere too. clipped: whether the backward
    passes were clipped. frobenius, gates: filled while a backward pass went over the chunks. seed: of what is drawn.
    on_progress: called with the share done of long work; what it raises ends the work.
    """

    traj: Trajectory
    probe: Gradients
    loss: Gradients
    clipped: bool
    frobenius: FrobeniusNorms
    gates: GateStatistics
    seed: int = 0
    on_progress: Progress | None = None

    @property
    def xp(self) -> Namespace:
        """The array namespace of the run."""
        return self.traj.xp

    @cached_property
    def jacobian(self) -> StateJacobian:
        """The one-step Jacobians."""
        return jacobian(self.traj)

    @cached_property
    def path_split(self) -> tuple[Array, Array]:
        """Norms and shares of the paths, (P, T, *M, B) each."""
        return self.jacobian.split(self.probe.mantissas[1:])

    @cached_property
    def spectral(self) -> tuple[Array, Array]:
        """Spectral norms and the bounds on their relative errors, (T, *M, B) each."""
        return self.jacobian.spectral_with_bound(SPECTRAL_TOL)

    @cached_property
    def predictions(self) -> list[Prediction]:
        """What theory predicts, the most trustworthy first."""
        return predictions(self.traj.cell, self.traj.params, self.traj.x, self.traj.lengths)

    def masked(self, values: Array, steps: int = 0) -> Array:
        """`values` with NaN at masked steps; axis `steps` is the step, the last one the sample, model axes between."""
        if self.traj.mask is None:
            return values
        lead = values.reshape(-1, *values.shape[steps:])
        return self.xp.where(self.traj.mask, lead, self.xp.nan).reshape(values.shape)


@dataclass(frozen=True)
class Quantity:
    """One recorded quantity: its name in the Dataset, what it is, its symbol, unit, dims, and how to compute it.

    scale: "log" for natural logarithms, "linear" otherwise. applies: whether a recording has it. request: the name
    under which `analyze(record=[...])` asks for it, "" where every run has it. coords: those of dims of its own.
    """

    name: str
    long_name: str
    symbol: str
    dims: tuple[str, ...]
    scale: str
    units: str
    compute: Callable[[Recording], Array]
    applies: Callable[[Recording], bool]
    request: str
    coords: Callable[[Recording], dict[str, list[Any]]]


QUANTITIES: Registry[Quantity] = Registry("quantity")


def quantity(
    dims: tuple[str, ...],
    symbol: str,
    scale: str = "linear",
    units: str = "1",
    applies: Callable[[Recording], bool] = lambda run: True,
    request: str = "",
    coords: Callable[[Recording], dict[str, list[Any]]] = lambda run: {},
) -> Callable[[Callable[[Recording], Array]], Callable[[Recording], Array]]:
    """Register the decorated function as the quantity of its name; its docstring is the long name."""

    def register(compute: Callable[[Recording], Array]) -> Callable[[Recording], Array]:
        long_name = (compute.__doc__ or "").strip().rstrip(".")
        name = compute.__name__
        QUANTITIES.add(name, Quantity(name, long_name, symbol, dims, scale, units, compute, applies, request, coords))
        return compute

    return register


def requests() -> list[str]:
    """What `analyze(record=[...])` can ask for."""
    return list(dict.fromkeys(q.request for q in QUANTITIES.values() if q.request))


def record(run: Recording, wanted: Sequence[str] = ()) -> dict[str, tuple[Quantity, Any]]:
    """Every quantity that applies to a recording, as arrays in its dims; those on request where `wanted` names them."""
    for name in wanted:
        if name not in requests():
            raise unknown("recording", name, requests())
    chosen = {name: q for name, q in QUANTITIES.items() if not q.request or q.request in wanted}
    return {name: (q, q.compute(run)) for name, q in chosen.items() if q.applies(run)}
