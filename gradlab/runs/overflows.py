"""Where a forward pass left the finite numbers, and what brought the first sample there: its input or its state."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..arrays import Array, to_numpy
from ..engine.trajectory import Overflow, Trajectory, read


def overflow_json(overflow: list[Overflow]) -> str:
    """Where samples overflowed, as an attribute can hold it.

    Where it is known what brought one there, "drive" and "state" are ln of the largest that input and bias brought to a
    unit of the gate up to that step, and that the state before brought in it; None for exactly zero.
    """
    return json.dumps([_fields(place) for place in overflow])


def _fields(place: Overflow) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(place, name) for name in ("sample", "step", "gate", "model")}
    parts = zip(("drive", "state"), place.brought or (), strict=False)
    return found | {name: log if math.isfinite(log) else None for name, log in parts}


def first_explained(traj: Trajectory) -> list[Overflow]:
    """Where samples overflowed, the first of them with what brought it there."""
    overflow = traj.overflow
    if not overflow:
        return []
    first = min(overflow, key=lambda place: place.step)
    brought = (_drive(traj, first), _state(traj, first))
    return [replace(place, brought=brought) if place is first else place for place in overflow]


def _drive(traj: Trajectory, place: Overflow) -> float:
    """ln of the largest |V x + b| up to that step, exact beyond the range of numbers."""
    cell, logs = traj.cell, []
    axes = zip(place.model, traj.x.shape[1:-2], strict=True)
    x = _host(traj.x[: place.step][(slice(None), *(m * (n > 1) for m, n in axes), place.sample)])
    with_one = np.concatenate([x, np.ones_like(x[:, :1])], axis=1).T
    for gate in _gates(traj, place):
        bias = _host(traj.weights["b_h"][cell.gates.index(gate)][place.model])[:, None]
        driven = gate in cell.driven_gates
        v = _host(traj.weights["W_xh"][cell.driven_gates.index(gate)][place.model]) if driven else 0 * bias * x[:1]
        logs.append(_log_largest(np.concatenate([v, bias], axis=1), with_one))
    return max(logs)


def _state(traj: Trajectory, place: Overflow) -> float:
    """ln of the largest |W r|, or of the largest state itself, as units pass it on to themselves."""
    cell, at = traj.cell, (*place.model, place.sample)
    before = traj.states[place.step - 1 : place.step]
    seen = _host(read(cell, before)[0][at])
    logs = [_log_largest(np.ones((1, 1)), _host(before[0][:, *at]).reshape(1, -1))]
    for gate in _gates(traj, place):
        if gate in cell.recurrent_gates:
            late = traj.middle is not None and gate == cell.gates[-1]
            r = _host(traj.middle[place.step - 1][at]) if late and traj.middle is not None else seen
            logs.append(_log_largest(_host(traj.weights["W_hh"][cell.recurrent_gates.index(gate)][place.model]), r))
    return max(logs)


def _gates(traj: Trajectory, place: Overflow) -> tuple[str, ...]:
    """The gate that overflowed first, or all where it was a state."""
    return (place.gate,) if place.gate in traj.cell.gates else traj.cell.gates


def _host(array: Array) -> np.ndarray:
    """In double precision, what is not finite as the largest number."""
    return np.nan_to_num(to_numpy(array).astype(float), nan=np.finfo(float).max)


def _log_largest(a: np.ndarray, b: np.ndarray) -> float:
    """ln of the largest absolute value of a @ b, whatever its size; -inf for zero."""
    sizes = float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0))
    if min(sizes) == 0:
        return -math.inf
    largest = float(np.abs((a / sizes[0]) @ (b / sizes[1])).max())
    return math.log(sizes[0]) + math.log(sizes[1]) + math.log(largest) if largest else -math.inf
