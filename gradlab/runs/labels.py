"""Arrays as labelled variables: dimensions, coordinates and attributes."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from ..arrays import Array, namespace, to_numpy
from ..cells import Cell
from ..engine.jacobian import CARRY
from ..engine.trajectory import Overflow, Trajectory
from ..quantities import Quantity, Recording, record
from ..version import __version__
from ..wording import counted
from .overflows import overflow_json


def variable(
    q: Quantity, values: Array, model_axes: int, more: Mapping[str, Any] = MappingProxyType({})
) -> xr.Variable:
    """A quantity as a labelled variable in host memory, with `more` attributes."""
    at = q.dims.index("*") if "*" in q.dims else len(q.dims)
    dims = (*q.dims[:at], *_model_dims(model_axes), *q.dims[at + 1 :])
    attributes = {"long_name": q.long_name, "symbol": q.symbol, "units": q.units, "scale": q.scale}
    return xr.Variable(dims, to_numpy(values), {**attributes, **more})


def _model_dims(model_axes: int) -> tuple[str, ...]:
    return ("model",) if model_axes == 1 else tuple(f"model_{i}" for i in range(model_axes))


def valid_steps(traj: Trajectory) -> xr.Variable:
    """Steps analysed per sample: its length, or the finite prefix where the forward pass overflowed."""
    attributes = {"long_name": "Steps analysed", "units": "1"}
    return xr.Variable((*_model_dims(len(traj.models)), "sample"), traj.valid_steps, attributes)


def coordinates(cell: Cell, steps: int, samples: int) -> dict[str, Any]:
    """The labels of every dimension that may occur."""
    counts = {
        "time": range(steps + 1),
        "step": range(1, steps + 1),
        "sample": range(samples),
        "unit": range(cell.hidden_size),
        "index": range(cell.hidden_size),
    }
    return {name: list(values) for name, values in (names(cell) | counts).items()}


def names(cell: Cell) -> dict[str, tuple[str, ...]]:
    """The labels of the dimensions that count parts of a cell, or of anything."""
    return {
        "state": cell.states,
        "gate": cell.gates,
        "recurrent_gate": (CARRY,) if cell.diagonal else cell.recurrent_gates,
        "path": (CARRY, *cell.recurrent_gates),
        "parameter": tuple(cell.shapes),
        "part": ("real", "imag"),
        "stage": ("before", "after"),
    }


def attributes(cell: Cell, run: Recording, overflow: list[Overflow]) -> dict[str, Any]:
    """What belongs to the run as a whole: its network, where it overflowed, versions, device and precision."""
    traj = run.traj
    return {
        "title": f"Gradient dynamics of {cell!r} over {counted(traj.steps, 'step')}",
        "cell": repr(cell),
        "cell_name": cell.name,
        "activation": cell.activation.name,
        "overflow": overflow_json(overflow),
        **({"truncate": run.truncate} if run.truncate else {}),
        **circumstances(traj.states),
    }


def versions_json() -> str:
    """Versions of what computes, as an attribute can hold them."""
    return json.dumps({"gradlab": __version__, "numpy": np.__version__, "python": platform.python_version()})


def circumstances(array: Array) -> dict[str, str]:
    """Versions, and the device and precision of an array that was computed with."""
    return {"versions": versions_json(), "device": namespace(array).__name__, "dtype": str(array.dtype)}


def labelled(
    run: Recording,
    overflow: list[Overflow],
    without: Sequence[str] = (),
    more: Mapping[str, xr.Variable] = MappingProxyType({}),
) -> xr.Dataset:
    """Every quantity of a recording but some, and `more` variables, as a Dataset."""
    recorded = record(run, without)
    variables = {
        name: variable(q, values, len(run.traj.models), q.about(run)) for name, (q, values) in recorded.items()
    }
    coords = coordinates(run.traj.cell, run.traj.steps, run.traj.states.shape[-2])
    for q, _ in recorded.values():
        coords |= q.coords(run)
    variables |= {**more, "valid_steps": valid_steps(run.traj)}
    return xr.Dataset(variables, coords, attributes(run.traj.cell, run, overflow)).transpose(
        "state", "gate", "path", "recurrent_gate", "parameter", "time", "step", ..., missing_dims="ignore"
    )
