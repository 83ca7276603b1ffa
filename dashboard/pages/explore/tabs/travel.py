"""Travel: what the product of all steps back to the loss does to a gradient."""

import numpy as np
import xarray as xr
from dash import html

import gradlab
from gradlab.config import RunConfig
from gradlab.config.links import to_query
from gradlab.plots.lags import (
    ESTIMATE,
    credit_logs,
    fan_curves,
    leading_shares,
    path_curves,
    product_curves,
    taken_paths,
)
from gradlab.plots.marks import number_text
from gradlab.products import BUDGET
from gradlab.runs.cost import size, work
from gradlab.wording import counted

from ....components import Component, Content, table_details
from ....work.jobs import Progress
from ....work.runs import LIVE
from ..request import Run
from . import frame

TITLE = "Travel"
TEXT = (
    "A gradient that comes k steps back has been multiplied by k one-step Jacobians. These figures show their product: "
    "how much of any gradient is left, in which directions, for which losses, and along which paths it came."
)
FEW = 4  # samples that are computed at least
_STEP_SECONDS, _FAN_SECONDS = 3e-10, 3.6e-8  # for each (S H)^3 of a sample: per step, and for the singular values
_EXACT_RUNS, _PROBE_RUNS = 6.0, 16.0  # what everything else takes, in plain runs; where products are estimated
RECORDS = ("products", "singular_values", "credit", "path_split")

CITE = f"From Python: gradlab.analyze(..., record={list(RECORDS)})."
CAPTIONS = {  # a letter after _ is set below the line
    "product_norms": "Thick: the factor for a gradient in a random direction, ‖∂s_T/∂s_t‖_F / √(states·units), "
    "s being the state. Thin: for the worst direction, ‖∂s_T/∂s_t‖_2. Dashed: the gradient of this net's own loss.",
    "singular_values": "Each line is one singular value of ∂s_T/∂s_t. Where they fan out, one direction outgrows all "
    "others, and what arrives points along it, whatever the loss was (lower panel).",
    "credit": "Each row is one loss on its way back, ‖(dL_t/dh_t)(∂h_t/∂h_k)‖ with a random unit dL_t/dh_t. Where a "
    "row has faded, those steps never hear of that loss; where it burns, they hear of little else.",
    "span_paths": "The gradient over a lag, split exactly: the carry alone; for each gate, what is lost when its path "
    "is off at every step; and the interaction, which needs several. A share is ⟨part, whole⟩/‖whole‖².",
}
LABELS = {
    "product_norms": "Norms of the product of Jacobians over the lag",
    "singular_values": "Singular values of the product over the lag",
    "credit": "Credit: what reaches each step from each loss",
    "span_paths": "Paths of the gradient over the lag",
}


def samples(config: RunConfig, last: xr.Dataset | None) -> int:
    """How many samples to take: as many as are quick, but not too few; after that all that can be multiplied out."""
    most = min(config.batch_size, affordable(config) or config.batch_size)
    quick = int(config.batch_size * LIVE / seconds(config, config.batch_size))
    return min(most, max(FEW, quick)) if last is None else most


def affordable(config: RunConfig) -> int:
    """Of how many samples whole products can be multiplied out; 0 where they have to be estimated."""
    return int(BUDGET / (_cube(config) * config.steps))


def _cube(config: RunConfig) -> float:
    _, states, hidden = size(config)
    return (states * hidden) ** 3


def seconds(config: RunConfig, count: int) -> float:
    """Predicted time for so many samples."""
    run = work(config) * count / config.batch_size
    if not affordable(config):
        return _PROBE_RUNS * run
    return _EXACT_RUNS * run + count * _cube(config) * (config.steps * _STEP_SECONDS + _FAN_SECONDS)


def offer(config: RunConfig, last: xr.Dataset | None) -> frame.Offer | None:
    """The first samples, then more."""
    count = samples(config, last)
    if last is not None and last.sizes["sample"] == count:
        return None
    text = f"{counted(count, 'sample')} over {counted(config.steps, 'step')}."
    return frame.Offer("Take more samples" if last is not None else "Compute", text, seconds(config, count))


def compute(config: RunConfig, last: xr.Dataset | None, on_progress: Progress) -> xr.Dataset:
    """The run again with fewer samples, its long products recorded."""
    few = config.replace(batch_size=samples(config, last))
    wanted = [name for name in RECORDS if name != "singular_values" or affordable(config)]
    return gradlab.analyze(few, record=wanted, on_progress=in_stages(on_progress, len(wanted)))


def in_stages(on_progress: Progress, stages: int) -> Progress:
    """One progress from several that follow each other, each of which counts from 0 to 1."""
    stage, last = 0, 0.0

    def tell(share: float) -> None:
        nonlocal stage, last
        stage, last = stage + (share < last), share
        on_progress(min((stage + share) / stages, 1.0))

    return tell


def show(ds: xr.Dataset, run: Run) -> list[Component]:
    """All figures that the Dataset has, each with what it says and its numbers."""
    shown = Run(ds, run.config, run.theme)
    rows = {"product_norms": product_rows(ds), "credit": credit_rows(ds)}
    if "log_singular_values" in ds:
        rows = {"product_norms": rows["product_norms"], "singular_values": fan_rows(ds), "credit": rows["credit"]}
    if len(taken_paths(ds)) > 1:
        rows["span_paths"] = path_rows(ds)
    blocks = [block(name, shown, numbers) for name, numbers in rows.items()]
    return [html.P(basis(ds, run.config), className="caption"), html.Div(blocks, className="pair")]


def block(name: str, shown: Run, rows: list[dict[str, str]]) -> Component:
    """One figure with what it says and its numbers."""
    caption = html.P(with_subscripts(CAPTIONS[name]), className="caption")
    words = html.Div([caption, table_details(rows, LABELS[name])])
    return html.Div([shown.figure(name, LABELS[name]), words])


def with_subscripts(text: str) -> list[Content]:
    """Text with each letter that follows _ below the line."""
    first, *rest = text.split("_")
    return [first, *(part for piece in rest for part in (html.Sub(piece[0]), piece[1:]))]


def basis(ds: xr.Dataset, config: RunConfig) -> str:
    """What is exact, what is estimated, and from how many samples."""
    count = ds.sizes["sample"]
    whose = f"{counted(count, 'sample')}, drawn like the {config.batch_size} of the run above"
    if count == config.batch_size:
        whose = "the samples of the run above"
    if ESTIMATE in ds:
        error = float(np.nanmax(ds.log_product_norm_stderr))
        return (
            f"Of {whose}. At this size whole products are out of reach: their norm is estimated from random probes, "
            f"standard error of its logarithm up to {error:.2g}; singular values are left out. {CITE}"
        )
    return f"Of {whose}. Multiplied out, not estimated; the triangle shows the first sample. {CITE}"


# numbers


def product_rows(ds: xr.Dataset) -> list[dict[str, str]]:
    """Factors at lags 1, 2, 5, 10 ..."""
    curves = product_curves(ds)
    return [{"lag": str(k)} | {name: _number(y[k]) for name, y in curves.items()} for k in _lags(ds)]


def fan_rows(ds: xr.Dataset) -> list[dict[str, str]]:
    """Singular values at the recorded lags, and the share that arrives along the largest."""
    curves = {f"σ {rank}": [_number(v) for v in y] for rank, y in fan_curves(ds).items()}
    shares = leading_shares(ds)
    if "arrives" in shares:
        curves["arrives along σ 1"] = ["" if np.isnan(v) else f"{100 * v:.0f} %" for v in shares["arrives"]]
    return _transposed({"lag": [str(k) for k in ds.span.values]} | curves)


def credit_rows(ds: xr.Dataset) -> list[dict[str, str]]:
    """What arrives 1, 2, 5, 10 ... steps before some losses."""
    logs, times = credit_logs(ds), ds.loss_time.values
    chosen = sorted({round(x) for x in np.linspace(0, len(times) - 1, min(len(times), 5))}, reverse=True)
    return [
        {"loss at step": str(times[n])}
        | {f"{k} back": _number(logs[n, times[n] - k]) if k <= times[n] else "" for k in (0, *_lags(ds))}
        for n in chosen
    ]


def path_rows(ds: xr.Dataset) -> list[dict[str, str]]:
    """Shares of the paths at the recorded lags."""
    shares = {name: ["" if np.isnan(v) else f"{v:.3f}" for v in y] for name, y in path_curves(ds)[0].items()}
    return _transposed({"lag": [str(k) for k in ds.span.values]} | shares)


def _lags(ds: xr.Dataset) -> list[int]:
    steps = ds.sizes["step"]
    return sorted({d * 10**p for p in range(len(str(steps))) for d in (1, 2, 5) if d * 10**p < steps} | {steps})


def _number(log_value: float) -> str:
    return "" if np.isnan(log_value) else number_text(float(log_value))


def _transposed(columns: dict[str, list[str]]) -> list[dict[str, str]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


WORK = frame.TabWork("travel", to_query, compute, TEXT, "Long products: share done", offer, show, eager=True)
