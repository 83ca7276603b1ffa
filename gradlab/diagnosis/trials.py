"""Trying remedies: each is run, and corrected by what it missed while that is much."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import xarray as xr

from ..config import RunConfig
from ..errors import InputError
from ..runs.attributes import config_of, overflow
from ..runs.build import build
from ..runs.flow import flow
from ..runs.verdicts import Verdict, verdict
from .changes import Change, Proposal, Remedy, is_clip

TRIES = 4  # runs of one remedy, each corrected by how much the one before missed
NEAR = math.log(2)  # over the whole sequence: what comes nearer to its aim, or to a rate of 1, is not corrected further
QUICK = 2**20  # numbers in all states of a run up to which remedies are run too
Rerun = Callable[[Change], xr.Dataset]


def is_quick(ds: xr.Dataset) -> bool:
    """Whether a run is so small that its remedies are run too, unless one asks for something else."""
    return math.prod(ds.sizes[dim] for dim in ("step", "sample", "unit")) <= QUICK


def rerunner(config: RunConfig) -> Rerun:
    """A function that runs a changed RunConfig, for `diagnose`; weights of a file are transformed, never redrawn.

    Its Datasets hold what a verdict is read from.
    """

    def rerun(change: Change) -> xr.Dataset:
        changed = change.apply(config)
        with warnings.catch_warnings():  # those of the first run were seen
            warnings.simplefilter("ignore", UserWarning)
            cell, params, x = build(changed)
            return flow(cell, change.apply_weights(cell, params), x, changed)

    return rerun


def own_rerun(ds: xr.Dataset, config: RunConfig | None) -> tuple[Rerun | None, str]:
    """What reruns a Dataset from its own configuration; None, and why, where it is large or cannot be repeated."""
    if config is None:
        return None, "These were not run, as the Dataset holds no configuration: give diagnose a rerun."
    if not is_quick(ds):
        return None, "These were not run, as the run is large."
    try:
        build(config)
    except InputError as error:
        return None, f"These were not run, as the run cannot be repeated here: {error}"
    return rerunner(config), ""


def readable_config(ds: xr.Dataset) -> tuple[RunConfig | None, str]:
    """The run's configuration, and why it is left out of account where this version cannot read it."""
    try:
        return config_of(ds, RunConfig), ""
    except InputError as error:
        return None, f"Remedies change the weights as they are and were not run, as {error}"


def tried_out(
    proposed: Iterator[Proposal], rerun: Rerun | None, on_try: Callable[[Change], object], too_short: bool
) -> Iterator[Remedy]:
    """The remedies after which the gradient is carried when they are run; as predicted where nothing reruns them.

    Clipping of the update is not meant to change the flow and counts as it is, so do more steps of a run too short.
    on_try: called before each run.
    """
    for proposal in proposed:
        if rerun is None:
            yield proposal.remedy()
            continue
        tried = _run(proposal, rerun, on_try)
        if _carried(tried) or is_clip(tried) or too_short:
            yield tried


def _run(proposal: Proposal, rerun: Rerun, on_try: Callable[[Change], object]) -> Remedy:
    """The remedy with its verdict; while it misses, corrected and run again: the nearest to a rate of 1."""
    tried: list[Remedy] = []
    again: Proposal | None = proposal
    miss = 0.0
    while again is not None and len(tried) < TRIES:
        on_try(again.change)
        tried.append(again.remedy(_judged(rerun(again.change)), len(tried)))
        off = _log_rate(tried[-1]) - again.predicted_log_rate
        overshot = len(tried) > 1 and off * _log_rate(tried[-2]) < 0  # the rate follows more steeply than predicted
        miss += off / 2 if overshot else off
        done = _settled(tried[-1]) or again.retry is None or not math.isfinite(miss)
        again = None if done or again.retry is None else again.retry(miss)
    return min(tried, key=lambda one: (not _carried(one), abs(_log_rate(one))))


def _judged(ds: xr.Dataset) -> Verdict:
    """The verdict on a changed run, which is an overflow where one sample's forward pass overflows."""
    found = verdict(ds)
    return replace(found, word="overflow") if overflow(ds) else found


def _log_rate(remedy: Remedy) -> float:
    """As measured; NaN where the run left nothing to measure."""
    found = remedy.verified
    if found is None or found.steps < 2:
        return math.nan
    return -math.inf if found.fitted_log_rate is None else found.fitted_log_rate


def _carried(remedy: Remedy) -> bool:
    return remedy.verified is not None and remedy.verified.word == "carried"


def _settled(remedy: Remedy) -> bool:
    """Whether it is carried and comes near enough to its aim, or to a rate of 1, over the whole sequence."""
    rate, steps = _log_rate(remedy), remedy.verified.steps if remedy.verified else 0
    return _carried(remedy) and min(abs(rate), abs(rate - remedy.predicted_log_rate)) * (steps - 1) <= NEAR
