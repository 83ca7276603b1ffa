"""What a Dataset's attributes say of its run. Other versions, other tools and hands write attributes too.

What is absent reads as nothing known. What is there and cannot be read raises InputError, which says how to go on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from ..cells import CELLS, Cell
from ..config import Config, ConfigError
from ..errors import InputError
from ..version import __version__

if TYPE_CHECKING:  # the command line reads attributes before anything needs xarray itself
    import xarray as xr

    Result = xr.Dataset | xr.DataTree

PLACE = {"sample", "step", "gate"}  # what is known of each overflow
UNITS = ("step", "position", "level")

C = TypeVar("C", bound=Config)
J = TypeVar("J", dict[str, Any], list[Any])


def text_of(ds: Result, name: str, default: str = "") -> str:
    """An attribute as text."""
    return str(ds.attrs.get(name, default))


def unit_of(ds: Result) -> str:
    """What the steps of a curve are, one of `UNITS`: those of a cell, unless a snapshot of a training says so."""
    unit = text_of(ds, "unit")
    return unit if unit in UNITS else UNITS[0]


def number_of(ds: Result, name: str) -> float | None:
    """An attribute as a number; None where it is absent."""
    value = ds.attrs.get(name)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        _unreadable(name, "a number", value)


def precision(ds: Result) -> np.dtype:
    """The floating-point type of the run."""
    name = text_of(ds, "dtype", "float64")
    return np.dtype(name) if name in ("float32", "float64") else _unreadable("dtype", "float32 or float64", name)


def cell_class(ds: Result) -> type[Cell] | None:
    """The class of the run's cell; None where it is not registered here."""
    return CELLS.get(text_of(ds, "cell_name"))


def activation_name(ds: Result) -> str:
    """The name of the cell's activation, as it stands in a sentence."""
    return text_of(ds, "activation", "the activation")


def overflow(ds: Result) -> list[dict[str, Any]]:
    """Where the forward pass of a sample first left the finite numbers: {"sample", "step", "gate"} each.

    Of the samples that are there: a Dataset may be of some that were chosen.
    """
    places = _json(ds, "overflow", [])
    if not all(isinstance(place, dict) and place.keys() >= PLACE for place in places):
        _unreadable("overflow", "sample, step and gate of each place", places)
    return [place for place in places if "sample" not in ds.coords or (ds.coords["sample"] == place["sample"]).any()]


def versions(ds: Result) -> dict[str, Any]:
    """Name -> version of what the run was made with."""
    return _json(ds, "versions", {})


def config_fields(ds: Result) -> dict[str, Any]:
    """The fields of the run's configuration, as whatever version wrote them."""
    return _json(ds, "config", {})


def config_of(ds: Result, kind: type[C]) -> C | None:
    """The run's configuration; None where it is absent. Raises InputError for one of another version or kind."""
    fields = config_fields(ds)
    try:
        return kind(**fields) if "config" in ds.attrs else None
    except ConfigError as error:
        raise InputError(
            f"the Dataset's configuration is none of gradlab {__version__}{_written_by(ds)}: "
            + "; ".join(str(error).splitlines())
        ) from None


def _written_by(ds: Result) -> str:
    """The version that a Dataset says it is of, where it says another one."""
    try:
        theirs = versions(ds).get("gradlab", __version__)
    except InputError:
        return ""
    return "" if theirs == __version__ else f", but of {theirs}"


def _json(ds: Result, name: str, default: J) -> J:
    """An attribute that is an object or a list, written as JSON or set as it is; `default` where it is absent."""
    kind, value = type(default), ds.attrs.get(name, default)
    try:
        read = json.loads(value) if isinstance(value, str | bytes) else value
    except (ValueError, RecursionError):
        read = None
    if isinstance(read, kind):
        return read
    _unreadable(name, f"a JSON {'object' if kind is dict else 'list'} as gradlab writes it", value)


def _unreadable(name: str, expected: str, value: Any) -> NoReturn:
    raise InputError(
        f"the Dataset's attribute '{name}': expected {expected}, got {value!r:.80}; "
        f"set it anew or remove it: del ds.attrs['{name}']"
    )
