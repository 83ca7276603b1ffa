"""The curves of a run, or of several, as a table of text, one row per step."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from .rows import rows_by_lag
from .shares import ended, median, share_left
from .verdicts import lag_shares

FACTORS = ("jacobian_frobenius", "jacobian_spectral")


def csv_of_curves(found: xr.Dataset | xr.DataTree) -> str:
    """CSV with t, the share left and each state's norm (natural logarithms), and the one-step factors.

    Medians over samples, each of which has its last step at the last t; the factors of t = 0 are empty. Of a network
    it has lag, the share that reaches the inputs so far from where the loss is, and the gradient there of each layer
    with the places of the inputs.
    """
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerows(_of_network(found) if isinstance(found, xr.DataTree) else _of_run(found))
    return table.getvalue()


def _of_run(ds: xr.Dataset) -> Iterator[list[Any]]:
    ds = ended(ds)
    norms = median(ds.log_grad_norm.transpose("time", "state", "sample").values).tolist()
    factors = np.stack([median(ds[name].transpose("step", "sample").values) for name in FACTORS], axis=1).tolist()
    yield ["t", "ln_share_left", *(f"ln_grad_norm_{state}" for state in ds.state.values), *FACTORS]
    for t, share in enumerate(share_left(ds).values.tolist()):
        yield [t, share, *norms[t], *(factors[t - 1] if t else ["", ""])]


def _of_network(found: xr.DataTree) -> Iterator[list[Any]]:
    layers = rows_by_lag(found)
    yield ["lag", "ln_share_left", *(f"ln_grad_norm_{row.path.replace('/', '_') or 'inputs'}" for row in layers)]
    for lag, share in enumerate(lag_shares(found).tolist()):
        yield [lag, share, *(float(row.lags[lag]) for row in layers)]


def csv_of_comparison(ds: xr.Dataset) -> str:
    """CSV of a Dataset of `compare`, one row per lag: ln of the share left of every run, median over seeds."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["lag", *(f"ln_share_left {name}" for name in ds.run.values)])
    middle = median(ds.log_input_share.transpose("lag", "run", "seed").values)
    for lag, shares in zip(ds.lag.values.tolist(), middle.tolist(), strict=True):
        writer.writerow([lag, *("" if math.isnan(share) else share for share in shares)])
    return table.getvalue()
