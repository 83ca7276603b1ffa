"""How a remedy's number is corrected by what runs missed, rounded, and verified: with runs whose rate is known."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import xarray as xr

from gradlab.diagnosis import Change
from gradlab.diagnosis.changes import Proposal
from gradlab.diagnosis.draws import Runs
from gradlab.diagnosis.trials import TRIES, _tuned, _verified, is_quick
from tests.diagnosis.test_draws_rules import verdict_of

STEPS = 21


@dataclass
class Known:
    """Draws whose rates follow from the ln of the gain; what `retry` was asked, and what was run alone."""

    rates: object
    spread: float = 0.0
    asked: list = field(default_factory=list)
    alone: list = field(default_factory=list)

    def proposal(self, miss=0.0, error=0.0):
        """The gain at which ln gain + miss is 0, to one digit where an error is allowed."""
        gain = math.exp(-miss) if not error else float(f"{math.exp(-miss):.1g}")
        return Proposal(Change("a", {"gain": gain}), "", math.log(gain) + miss, self.retry)

    def retry(self, miss, error):
        self.asked.append((miss, error))
        return self.proposal(miss, error)

    def verdict(self, rate):
        return verdict_of(rate, "carried" if abs(rate) < 0.2 else "vanishing", STEPS)

    def tuning(self, change):
        rate = self.rates(math.log(change.fields["gain"]))
        return Runs([self.verdict(rate + off) for off in (0.0, self.spread, -self.spread)])

    def own(self, change):
        self.alone.append(change.fields["gain"])
        return self.verdict(self.rates(math.log(change.fields["gain"])))

    def held(self, change):
        return 7, 8


def misses(runs):
    return [miss for miss, _ in runs.asked]


def test_what_misses_by_the_same_everywhere_is_corrected_once():
    runs = Known(lambda s: s + 0.3)
    found = _tuned(runs.proposal(), runs)
    assert misses(runs) == [pytest.approx(0.3)] and found.corrections == 1 and found.miss == pytest.approx(0.3)
    assert found.proposal.predicted_log_rate == pytest.approx(0.0) and found.runs.log_rate == pytest.approx(0.0)


def test_what_overshoots_goes_half_the_way_back_and_the_nearest_of_four_counts():
    """The rate is three times as steep as predicted."""
    runs = Known(lambda s: 3 * s + 0.6)
    found = _tuned(runs.proposal(), runs)
    assert misses(runs) == pytest.approx([0.6, 0.0, 0.3]) and len(runs.asked) == TRIES - 1
    assert found.corrections == 3 and found.runs.log_rate == pytest.approx(-0.3)


def test_what_comes_nearer_is_corrected_by_all_of_what_it_missed():
    runs = Known(lambda s: 0.5 * s - 1.2)
    found = _tuned(runs.proposal(), runs)
    assert misses(runs) == pytest.approx([-1.2, -1.8, -2.1]) and found.runs.log_rate == pytest.approx(-0.15)


@pytest.mark.parametrize(("share", "corrections"), [(0.99, 0), (1.01, 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_near_over_the_whole_sequence_is_not_corrected(share, corrections, sign):
    runs = Known(lambda s: s + sign * share * math.log(2) / (STEPS - 1))
    assert _tuned(runs.proposal(), runs).corrections == corrections


def test_a_rate_that_was_aimed_at_is_near_as_well():
    runs = Known(lambda s: -1.0)
    proposal = Proposal(Change("a", {"gain": 1.0}), "", -1.0, runs.retry)
    assert _tuned(proposal, runs).corrections == 0


def test_one_that_carries_comes_before_one_nearer_to_1():
    """Where several draws are run, most of them count."""
    runs = Known(lambda s: -0.3 if s == 0 else -0.1 + 0 * s)
    runs.verdict = lambda rate: verdict_of(rate, "carried" if rate == -0.3 else "vanishing", STEPS)
    assert _tuned(runs.proposal(), runs).corrections == 0 and runs.asked


@pytest.mark.parametrize(("rate", "retry"), [(0.5, None), (0.5, lambda miss, error: None), (math.inf, "own")])
def test_what_cannot_be_corrected_stays_as_it_is(rate, retry):
    runs = Known(lambda s: rate)
    proposal = Proposal(Change("a", {"gain": 1.0}), "", 0.0, runs.retry if retry == "own" else retry)
    assert _tuned(proposal, runs).corrections == 0 and not runs.asked


# rounding and verification


@pytest.mark.parametrize("spread", [0.0, 0.001, 10.0])
def test_a_number_is_as_round_as_draws_allow_and_is_run_again_where_that_changes_it(spread):
    runs = Known(lambda s: s + 0.3, spread)
    tuned = _tuned(runs.proposal(), runs)
    remedy = _verified(tuned, runs)
    error = min(2 * spread, math.log(100) / 3 / (STEPS - 1))
    assert runs.asked[-1] == (pytest.approx(0.3), pytest.approx(error))
    gain = 0.7 if spread else math.exp(-0.3)
    assert remedy.change.fields["gain"] == pytest.approx(gain, rel=1e-12)
    assert runs.alone == ([0.7] if spread else [])
    assert remedy.verified.fitted_log_rate == pytest.approx(math.log(gain) + 0.3, abs=1e-12)
    assert (remedy.held, remedy.draws, remedy.corrections) == (7, 8, 1)


def test_what_has_no_number_is_not_rounded():
    runs = Known(lambda s: 0.0, 0.01)
    tuned = _tuned(Proposal(Change("a", {"gain": 1.0}), "why", 0.0), runs)
    remedy = _verified(tuned, runs)
    assert (remedy.held, remedy.draws, remedy.why) == (7, 8, "why") and not runs.alone
    assert remedy.verified.fitted_log_rate == 0.0  # that of this draw


@pytest.mark.parametrize(
    ("sizes", "quick"),
    [
        ((2**10, 2**5, 2**5, 4), True),
        ((2**10 + 1, 2**5, 2**5, 4), False),
        ((2**5, 2**5, 2**10, 1), True),
        ((2**5, 2**5, 2**10, 2), False),
        ((2**4, 2**5, 2**10, 2), True),
    ],
)
def test_a_run_is_small_by_its_states_and_by_its_products(sizes, quick):
    names = ("step", "sample", "unit", "gate")
    ds = xr.Dataset(coords={name: np.arange(size) for name, size in zip(names, sizes, strict=True)})
    assert is_quick(ds) == quick
