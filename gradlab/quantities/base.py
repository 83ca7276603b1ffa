"""What a quantity is, what it is computed from, and the registry.

Dims in which "*" stands for the model axes. Logarithms are natural; -inf means exactly zero, NaN a step beyond the
sample's length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from ..arrays import Array, Namespace
from ..engine.backward import Gradients
from ..engine.jacobian import StateJacobian, jacobian
from ..engine.trajectory import Trajectory
from ..lazy import lazy
from ..registry import Registry, unknown
from ..theory import Prediction, predictions
from .recorder import Recorder

Progress = Callable[[float], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Recording:
    """What quantities are computed from. probe: gradients of the unit cotangent at each sample's last step.

    loss: gradients of the loss that acts, the probe unless the loss acts elsewhere too. clipped: whether the backward
    passes were clipped. recorder: filled while a backward pass went over the chunks. seed: of what is drawn.
    on_progress: called with the share done of long work; what it raises ends the work. wanted: what was asked for by
    name, be it a group of quantities or one that is otherwise computed within a budget. truncate: as `bptt` was given
    it.
    """

    traj: Trajectory
    probe: Gradients
    loss: Gradients
    clipped: bool
    recorder: Recorder
    seed: int = 0
    on_progress: Progress | None = None
    wanted: frozenset[str] = frozenset()
    truncate: int | None = None
    _computed: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False, repr=False)  # by `once`

    @property
    def xp(self) -> Namespace:
        """The array namespace of the run."""
        return self.traj.xp

    @lazy
    def jacobian(self) -> StateJacobian:
        """The one-step Jacobians."""
        return jacobian(self.traj)

    @lazy
    def path_split(self) -> tuple[Array, Array]:
        """Norms and shares of the paths, (P, T, *M, B) each."""
        return self.jacobian.split(self.probe.mantissas[1:])

    @lazy
    def predictions(self) -> list[Prediction]:
        """What theory predicts, the most trustworthy first."""
        return predictions(self.traj.cell, self.traj.params, self.traj.x, self.traj.lengths.values)

    def masked(self, values: Array, steps: int = 0) -> Array:
        """`values` with NaN at masked steps; axis `steps` is the step, the last one the sample, model axes between."""
        lead = values.reshape(-1, *values.shape[steps:])
        return self.traj.lengths.keep(lead, self.xp.nan, units=0).reshape(values.shape)

    def masked_times(self, values: Array) -> Array:
        """`values` (T+1, *M, B) with NaN at masked times."""
        return self.traj.lengths.times.keep(values, self.xp.nan, units=0)


def once(compute: Callable[[Recording], T]) -> Callable[[Recording], T]:
    """A function of a recording that is computed once for each; functions are told apart by themselves, not by name."""

    @wraps(compute)
    def kept(run: Recording) -> T:
        if compute not in run._computed:
            run._computed[compute] = compute(run)
        value: T = run._computed[compute]
        return value

    return kept


@dataclass(frozen=True)
class Quantity:
    """One recorded quantity: its name in the Dataset, what it is, its symbol, unit, dims, and how to compute it.

    scale: "log" for natural logarithms, "linear" otherwise. applies: whether a recording has it. request: the name
    under which `analyze(record=[...])` asks for it, "" where every run has it. coords: those of dims of its own.
    about: further attributes of its variable. snapshot: whether the snapshots of a training run hold it too, of the
    first samples. costly: whether it is computed within a budget unless it is asked for by its own name.
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
    about: Callable[[Recording], dict[str, Any]]
    snapshot: bool
    costly: bool


def always(run: Recording) -> bool:
    """True: a quantity that applies to every recording."""
    return True


def nothing(run: Recording) -> dict[str, Any]:
    """No coordinates, as every run labels its dims; no attributes of its own."""
    return {}


QUANTITIES: Registry[Quantity] = Registry("quantity")


def quantity(
    dims: tuple[str, ...],
    symbol: str,
    scale: str = "linear",
    units: str = "1",
    applies: Callable[[Recording], bool] = always,
    request: str = "",
    coords: Callable[[Recording], dict[str, list[Any]]] = nothing,
    about: Callable[[Recording], dict[str, Any]] = nothing,
    snapshot: bool = False,
    costly: bool = False,
) -> Callable[[Callable[[Recording], Array]], Callable[[Recording], Array]]:
    """Register the decorated function as the quantity of its name; its docstring is the long name.

    Raises ValueError for one of snapshots that not every run has with the same dims.
    """

    def register(compute: Callable[[Recording], Array]) -> Callable[[Recording], Array]:
        name, long_name = compute.__name__, (compute.__doc__ or "").strip().rstrip(".")
        if snapshot and (request or applies is not always or coords is not nothing):
            raise ValueError(f"{name}: snapshots hold what every run has; leave out applies, request and coords")
        names = (name, long_name, symbol, dims, scale, units)
        QUANTITIES.add(name, Quantity(*names, compute, applies, request, coords, about, snapshot, costly))
        return compute

    return register


def of_snapshots() -> dict[str, Quantity]:
    """The quantities that the snapshots of a training run hold."""
    return {name: q for name, q in QUANTITIES.items() if q.snapshot}


def requests() -> list[str]:
    """What `analyze(record=[...])` can ask for: groups of quantities, and in full those that have a budget."""
    groups = dict.fromkeys(q.request for q in QUANTITIES.values() if q.request)
    return [*groups, *(name for name, q in QUANTITIES.items() if q.costly)]


def require_names(wanted: Sequence[str], without: Sequence[str]) -> None:
    """Raise InputError for what nobody can ask for, or leave out."""
    for name in wanted:
        if name not in requests():
            raise unknown("recording", name, requests(), field="record")
    for name in without:
        if name not in QUANTITIES:
            raise unknown("quantity", name, list(QUANTITIES), field="without")


def record(run: Recording, without: Sequence[str] = ()) -> dict[str, tuple[Quantity, Any]]:
    """Every quantity that applies to a recording, as arrays in its dims; those on request where it was wanted."""
    chosen = {name: q for name, q in QUANTITIES.items() if not q.request or q.request in run.wanted}
    return {name: (q, q.compute(run)) for name, q in chosen.items() if name not in without and q.applies(run)}
