"""Every recorded quantity of a run in a few numbers, as its block in `gradlab.quantities` describes it."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import xarray as xr

from ..quantities import QUANTITIES
from ..wording import number_text, value_text
from .shares import median

CAPTION = "Recorded quantities: medians over samples, steps and units"


def medians(ds: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Name -> long_name, symbol, units, scale and median of every quantity with numbers in a Dataset of `analyze`.

    The median is over everything that is numbered, without missing values: NaN where all are missing, a natural
    logarithm where scale is "log", and by label where a dimension has names: {"i": 0.5, "f": 0.7}.
    """
    return {
        name: {
            "long_name": q.long_name,
            "symbol": q.symbol,
            "units": q.units,
            "scale": q.scale,
            "median": _of(ds[name]),
        }
        for name, q in QUANTITIES.items()
        if name in ds and ds[name].size
    }


def _of(values: xr.DataArray) -> float | dict[str, float]:
    named = [dim for dim in values.dims if values[dim].dtype.kind in "OSU"]
    array = values.transpose(*named, ...).values.astype(float)
    middle = median(array.reshape(*array.shape[: len(named)], -1))
    labels = [" ".join(label) for label in product(*(map(str, values[dim].values) for dim in named))]
    return dict(zip(labels, middle.ravel().tolist(), strict=True)) if named else float(middle)


def median_rows(ds: xr.Dataset) -> list[dict[str, str]]:
    """The same in words, for a table; instead of a logarithm what it stands for, a power of ten if far from 1."""
    return [
        {
            "quantity": q["long_name"],
            "symbol": q["symbol"].removeprefix("ln "),
            "unit": q["units"],
            "median": _text(q["median"], q["scale"]),
        }
        for q in medians(ds).values()
    ]


def _text(middle: float | dict[str, float], scale: str) -> str:
    if isinstance(middle, dict):
        return ", ".join(f"{label} {_text(value, scale)}" for label, value in middle.items())
    if math.isnan(middle):
        return "-"
    return number_text(middle) if scale == "log" and middle < math.inf else value_text(middle)
