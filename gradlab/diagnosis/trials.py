"""Trying remedies: each is run, and corrected by what it missed while that is much."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import xarray as xr

from ..config import RunConfig
from ..errors import InputError
from ..runs.attributes import config_of
from ..runs.build import build
from ..runs.flow import flow
from ..runs.verdicts import FACTOR
from .changes import Change, Proposal, Remedy, is_clip
from .draws import Draws, Rerun, Runs

TRIES = 4  # numbers that are run for one remedy, each corrected by how much the one before missed
NEAR = math.log(2)  # over the whole sequence: what comes nearer to its aim, or to a rate of 1, is not corrected further
ROUNDING = FACTOR / 3  # over the whole sequence: what a rounder number may move at most
QUICK = 2**20  # numbers in all states of a run up to which remedies are run too
QUICK_PRODUCTS = 2**30  # multiplications of states with weights, likewise


def is_quick(ds: xr.Dataset) -> bool:
    """Whether a run is so small that its remedies are run too, unless one asks for something else."""
    states = math.prod(ds.sizes[dim] for dim in ("step", "sample", "unit"))
    return states <= QUICK and states * ds.sizes["unit"] * ds.sizes["gate"] <= QUICK_PRODUCTS


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


def tried_out(proposed: Iterator[Proposal], draws: Draws | None, too_short: bool) -> Iterator[Remedy]:
    """The remedies after which the gradient is carried when they are run; as predicted where nothing reruns them.

    What only a run can tell is left out where there is none.
    Clipping of the update is not meant to change the flow and counts as it is, so do more steps of a run too short.
    Where none holds, the one that carries it in most fresh draws comes, if it does so at least in every other one.
    """
    doubtful: list[Remedy] = []
    found = False
    for proposal in proposed:
        if draws is None:
            yield from [] if proposal.blind else [proposal.remedy()]
            continue
        if is_clip(proposal) or too_short:
            yield proposal.remedy(draws.own(proposal.change))
            continue
        remedy = _verified(_tuned(proposal, draws), draws)
        if remedy.holds:
            found = True
            yield remedy
        doubtful += [remedy] if remedy.held and 2 * remedy.held >= remedy.draws else []
    if doubtful and not found:
        yield max(doubtful, key=lambda remedy: remedy.held / remedy.draws)


@dataclass(frozen=True)
class _Try:
    """Runs of a proposal that was made for how much those before it missed."""

    proposal: Proposal
    miss: float
    corrections: int
    runs: Runs

    @property
    def off(self) -> float:
        return self.runs.log_rate - self.proposal.predicted_log_rate

    @property
    def settled(self) -> bool:
        """Whether it comes near enough to its aim, or to a rate of 1, over the whole sequence."""
        return min(abs(self.runs.log_rate), abs(self.off)) * (self.runs.verdicts[0].steps - 1) <= NEAR


def _tuned(proposal: Proposal, draws: Draws) -> _Try:
    """The runs of a proposal; while they miss, corrected and run again: those nearest to a rate of 1."""
    tried = [_Try(proposal, 0.0, 0, draws.tuning(proposal.change))]
    while len(tried) < TRIES and not tried[-1].settled:
        last = tried[-1]
        overshot = len(tried) > 1 and last.off * tried[-2].runs.log_rate < 0  # the rate is steeper than predicted
        miss = last.miss + (last.off / 2 if overshot else last.off)
        again = last.proposal.retry(miss, 0.0) if last.proposal.retry and math.isfinite(miss) else None
        if again is None:
            break
        tried.append(_Try(again, miss, len(tried), draws.tuning(again.change)))
    return min(tried, key=lambda one: (not one.runs.carried, abs(one.runs.log_rate)))


def _verified(tuned: _Try, draws: Draws) -> Remedy:
    """The remedy, with a number as round as the spread over draws allows; verified with it, on fresh draws."""
    final, found = tuned.proposal, tuned.runs.verdicts[0]
    error = min(2 * tuned.runs.spread, ROUNDING / max(found.steps - 1, 1))
    rounder = final.retry(tuned.miss, error) if final.retry else None
    if rounder is not None and rounder.change != final.change:
        final, found = rounder, draws.own(rounder.change)
    held, made = draws.held(final.change)
    return replace(final.remedy(found, tuned.corrections), held=held, draws=made)
