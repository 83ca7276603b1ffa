"""What a watch has seen so far, as labelled arrays, and as a Zarr store that grows with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..arrays import quiet
from ..data import disk
from ..errors import InputError
from ..runs.labels import versions_json
from .rows import Row

SECONDS = 1.0  # between two times that a store is written
CHUNKS = {"iteration": 4096, "snapshot": 64}  # entries of a file of a store
PER_LAYER = {
    "surface": "ln of what is left at step t of a gradient at the last step, median over samples",
    "loss_surface": "ln of the norm of the loss's gradient by the state at step t, median over samples",
}
LONG_NAMES = {
    "loss": "Training loss",
    "log_grad_norm_before": "ln of the parameter gradient's norm before clipping",
    "log_grad_norm_after": "The same: what clips afterwards is not seen",
    "clipped": "Whether the gradient was clipped, which is not seen",
    "skipped": "Whether the gradient was not finite",
}


@dataclass
class Record:
    """Grows with each iteration and each look. losses, norms: by iteration, the norm of all parameters' gradient."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    looks: list[tuple[int, dict[str, dict[str, Any]]]] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """A look: of each layer its curves and scalars."""
        own = {
            name: layer.scalars() | {"surface": layer.surface, "loss_surface": layer.loss_surface}
            for name, layer in row.items()
        }
        self.looks.append((row.iteration, own))

    def dataset(self) -> xr.Dataset:
        """Rows by `iteration`; what looks show by `snapshot`, `layer` and `time`, as `gradlab.training.dataset` has it.

        A curve ends at the last `time`, whatever its length; NaN is what is not known.
        """
        with quiet():
            logs = np.log(np.asarray(self.norms, dtype=float))
        rows = {"loss": self.losses, "log_grad_norm_before": logs, "log_grad_norm_after": logs}
        rows |= {"clipped": np.zeros(len(logs)), "skipped": (~np.isfinite(logs)).astype(float)}
        variables = {name: ("iteration", values, {"long_name": LONG_NAMES[name]}) for name, values in rows.items()}
        none = ("evaluation", np.zeros(0))
        coords: dict[str, Any] = {"iteration": np.arange(len(logs)), "evaluation": np.zeros(0, dtype=int)}
        attrs = {"title": "A watched PyTorch model", "versions": versions_json(), "torch": str(torch.__version__)}
        ds = xr.Dataset({**variables, "held_out_loss": none, "held_out_score": none}, coords, attrs)
        return ds.merge(self._of_looks()) if self.looks else ds

    def _of_looks(self) -> xr.Dataset:
        names = list(dict.fromkeys(name for _, layers in self.looks for name in layers))
        found = [layers.get(name, {}) for _, layers in self.looks for name in names]
        shape = len(self.looks), len(names)
        scalars = dict.fromkeys(key for layer in found for key in layer if key not in PER_LAYER)
        variables: dict[str, Any] = {
            key: (("snapshot", "layer"), np.reshape([layer.get(key, np.nan) for layer in found], shape))
            for key in scalars
        }
        for key, long_name in PER_LAYER.items():
            curves = _ending_together([layer.get(key) for layer in found])
            variables[key] = (("snapshot", "layer", "time"), curves.reshape(*shape, -1), {"long_name": long_name})
        coords = {"snapshot": [i for i, _ in self.looks], "time": np.arange(variables["surface"][1].shape[-1])}
        return xr.Dataset(variables, coords).assign(layer_name=("layer", np.array(names)))


def _ending_together(curves: Sequence[np.ndarray | None]) -> np.ndarray:
    """(n, time), each curve at the end of its row, NaN before it."""
    longest = max((len(curve) for curve in curves if curve is not None), default=0)
    found = np.full((len(curves), longest), np.nan)
    for row, curve in zip(found, curves, strict=True):
        if curve is not None and len(curve):
            row[-len(curve) :] = curve
    return found


class Store:
    """A Zarr store of a record, which `xarray.open_zarr` reads while it grows. Raises InputError for a path in use."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise InputError(f"path: expected a new place to write to, but {path} exists; name another", "path")
        with disk.writing(f"the store {path}", field="path"):
            path.parent.stat()
        self.path, self._written = path, 0.0
        self._group: Any = None

    @property
    def is_due(self) -> bool:
        """Whether it was last written some while ago."""
        return time.monotonic() - self._written > SECONDS

    def write(self, ds: xr.Dataset) -> None:
        """Everything that is new in a Dataset, of which the store holds the beginning."""
        with disk.writing(f"the store {self.path}", field="path"):
            if self._group is None:
                self._create(ds)
            else:
                for name, variable in ds.variables.items():
                    _extend(self._group, str(name), variable)
        self._written = time.monotonic()

    def _create(self, ds: xr.Dataset) -> None:
        import zarr

        encoding = {
            str(name): {"chunks": tuple(CHUNKS.get(str(dim), max(n, 1)) for dim, n in variable.sizes.items())}
            for name, variable in ds.variables.items()
            if variable.ndim
        }
        ds.to_zarr(self.path, zarr_format=2, consolidated=False, encoding=encoding)
        self._group = zarr.open_group(self.path, mode="r+")


def _extend(group: Any, name: str, variable: xr.Variable) -> None:
    """Write what an array lacks: new rows, or all of it where its other sizes have changed."""
    if name in group and group[name].dtype != variable.dtype:
        del group[name]  # longer names
    if name not in group:
        fill = np.nan if variable.dtype.kind == "f" else None
        made = group.create_array(name, shape=variable.shape, dtype=variable.dtype, fill_value=fill)
        made.attrs["_ARRAY_DIMENSIONS"] = list(variable.dims)
        array, start = made, 0
    else:
        array = group[name]
        start = array.shape[0] if array.shape[1:] == variable.shape[1:] else 0
        array.resize(variable.shape)
    if start < variable.shape[0]:
        array[start:] = variable.values[start:]
