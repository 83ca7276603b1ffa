"""The course of a curve: what enters, rates, where they change; groups of samples that are not alike."""

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.quantities.course import course, courses
from gradlab.runs.verdicts import Verdict, groups, verdict
from tests.runs.test_verdicts import synthetic


def walk(seed, mean, sd, steps=200, width=1):
    """A curve whose steps are random, alike over about `width` steps."""
    noise = np.random.default_rng(seed).normal(size=steps + width)
    noise = np.convolve(noise, np.ones(width) / np.sqrt(width), "valid")[: steps - 1]
    return np.r_[0, np.cumsum(mean + sd * noise)]


@pytest.mark.parametrize("rate", [-3.0, -0.01, 0.0, 0.4])
@pytest.mark.parametrize("steps", [2, 3, 7, 50, 999])
def test_a_straight_line_is_one_piece(rate, steps):
    found = course(rate * np.arange(steps))
    assert found.log_rate == pytest.approx(rate) and len(found.pieces) == 1
    assert (found.entry, found.exit) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert found.levels == [0.0, pytest.approx(rate * (steps - 1))]


def test_what_enters_and_leaves_is_no_rate():
    found = course(np.r_[0, -6 - 0.1 * np.arange(1, 60), -15])
    assert found.entry == pytest.approx(-6) and found.log_rate == pytest.approx(-0.1)
    assert found.exit == pytest.approx(-15 + 6 + 0.1 * 60)


@pytest.mark.parametrize("steps", [12, 16, 20])
def test_what_a_line_misses_where_the_curve_bends_is_of_no_single_step(steps):
    """Growth that levels off: nothing is set apart, and the rate takes the curve from end to end."""
    curve = 6 * (1 - np.exp(-np.arange(steps) / 5))
    found = course(curve)
    assert (found.entry, found.exit) == (0.0, 0.0)
    assert found.levels[-1] == pytest.approx(curve[-1])


@pytest.mark.parametrize(
    ("first", "second", "at"), [(0.5, -0.6, 50), (-0.4, 0.0, 30), (0.0, 0.3, 80), (-1.0, -0.2, 20)]
)
def test_a_change_of_the_rate_is_found_where_it_is(first, second, at):
    lags = np.arange(120)
    found = course(np.where(lags < at, first * lags, first * at + second * (lags - at)))
    assert [piece.log_rate for piece in found.pieces] == pytest.approx([first, second], abs=0.02)
    assert abs(found.pieces[0].stop - at) <= 1 and found.pieces[1].stop == 119


def test_what_is_left_at_a_bend_is_what_the_curve_says_though_it_is_round():
    """A round peak of +20 and an end at -23: lines through both sides would meet above it."""
    lags = np.arange(164)
    curve = np.interp(lags, [0, 163], [0, -23]) + 28 * np.sin(np.pi * np.minimum(lags, 80) / 80)
    found = course(curve)
    assert len(found.pieces) > 1
    assert found.levels[1:] == pytest.approx([curve[piece.stop] - found.entry for piece in found.pieces], abs=3)
    assert max(found.levels) <= curve.max() + 1e-9


def test_three_stretches_are_three_pieces():
    steps = np.repeat([0.5, -0.5, 0.2], 60)
    found = course(np.r_[0, np.cumsum(steps)])
    assert [piece.log_rate for piece in found.pieces] == pytest.approx([0.5, -0.5, 0.2], abs=0.02)


@pytest.mark.parametrize(("width", "most"), [(1, 0.04), (5, 0.06), (20, 0.15)])
def test_chance_makes_no_pieces(width, most):
    """Of random courses with one rate hardly any is split, though steps be alike for a while, unless it strays far."""
    walks = [walk(seed, -0.3, 0.5, width=width) for seed in range(1000, 1200)]
    near = [one for one in walks if one.max() - max(one[0], one[-1]) < 4 and min(one[0], one[-1]) - one.min() < 4]
    assert len(near) > 100
    assert np.mean([len(course(one).pieces) > 1 for one in near]) <= most


@pytest.mark.parametrize("steps", [2, 6, 7, 60, 400])
def test_many_curves_at_once_are_as_one_by_one(steps):
    """Straight ones, ones with bends, random walks, and what is zero from somewhere on."""
    rng, lag = np.random.default_rng(5), np.arange(steps)[:, None]
    bent = np.where(lag < steps // 2, 0.5, -0.7) * (lag - steps // 2) * np.ones(4)
    walks = np.cumsum(rng.normal(size=(steps, 40)), axis=0)
    dead = np.where(lag < rng.integers(1, steps, 5), 0.0, -np.inf)
    curves = np.concatenate([-0.3 * lag, bent, walks, dead], axis=1)
    found, alone = courses(curves), [course(curve) for curve in curves.T]
    assert found[-5:] == alone[-5:] == [None] * 5
    for one, other in zip(found[:-5], alone[:-5], strict=True):
        assert [piece.stop for piece in one.pieces] == [piece.stop for piece in other.pieces]
        assert [one.entry, one.exit, *one.levels] == pytest.approx([other.entry, other.exit, *other.levels], abs=1e-9)


def test_of_less_than_two_values_there_is_none():
    assert courses(np.zeros((1, 3))) == courses(np.zeros((0, 3))) == [None] * 3


# the verdict


def curve(*parts):
    """A Dataset with a curve of ln shares by lag, one column per sample."""
    return synthetic(np.stack(parts, axis=1)[::-1])


def test_a_gate_that_lets_little_in_is_no_loss_on_the_way():
    found = verdict(curve(np.r_[0, np.full(100, -5.99)]))
    assert found.word == "carried" and found.half_life is None
    assert found.headline == "The gradient is carried: x1.00 per step back."
    assert "0.25 % enters at the last step, beside that rate." in found.details


def test_a_peak_on_the_way_is_no_rate():
    lags = np.arange(101.0)
    found = verdict(curve(np.where(lags < 50, 0.5 * lags, 25 - 0.5 * (lags - 50))))
    assert (
        found.word == "exploding" and found.headline == "The gradient explodes: x1.65 per step back, from 50 on x0.61."
    )
    assert found.details[0] == "It peaks with 10^11 50 steps back."


def test_what_the_first_step_does_is_said_too():
    found = verdict(curve(np.r_[np.zeros(60), -9.2, -9.2]))
    assert found.word == "carried" and found.headline == "The gradient is carried: x1.00 per step back."
    assert found.details[:2] == ["Factor 0.01 % over 61 steps.", "0.01 % passes on to step 1, beside that rate."]


@pytest.mark.parametrize(
    ("pieces", "then"), [(1, ""), (2, ", from 30 on x0.61"), (3, ", from 60 on x2.01"), (4, ", and so on")]
)
def test_a_headline_names_what_changes_up_to_twice(pieces, then):
    rates = [{"start": 30 * n, "log_rate": rate} for n, rate in enumerate((0.5, -0.5, 0.7, -0.9))]
    found = Verdict("exploding", 120, 9.0, 0.1, 0.1, None, 119, pieces=rates[:pieces])
    assert found.headline.startswith("The gradient explodes: x1.65 per step back") and found.headline.endswith(
        f"{then}."
    )


def test_the_factors_of_a_way_that_changes_are_those_of_the_whole():
    lags = np.arange(101.0)
    assert verdict(curve(np.where(lags < 50, 0.5 * lags, 25 - 0.5 * (lags - 50)))).why.endswith(" on the whole")
    assert "on the whole" not in verdict(curve(0.5 * lags)).why


def test_the_curve_of_a_group_is_one_of_its_kind():
    """All of them peak, each elsewhere, and for so short that the median of them never does."""
    lags = np.arange(100.0)
    peaks = [np.maximum(0.0, 40 - 4 * np.abs(lags - at)) for at in (15, 40, 65, 85)]
    found = verdict(curve(*peaks))
    assert found.samples == {"exploding": 4} and found.word == "exploding"
    assert any(text.startswith("It peaks with 10^17 ") for text in found.details)


def test_shorter_samples_count_up_to_their_step_1():
    """What reaches the initial state is of no step, in the median too."""
    curves = np.full((41, 3), np.nan)
    for sample, length in enumerate((40, 20, 20)):
        curves[: length + 1, sample] = -0.01 * np.arange(length, -1, -1.0)
    curves[0] = -500.0
    found = verdict(synthetic(curves, lengths=[40, 20, 20]))
    assert (found.word, found.steps, found.log_factor) == ("carried", 20, pytest.approx(-0.19))


def test_samples_that_differ_are_told_apart():
    lags = np.arange(101.0)
    found = curve(*[0.5 * lags] * 3, *[-0.5 * lags] * 5)
    judged = verdict(found)
    assert judged.samples == {"vanishing": 5, "exploding": 3} and judged.word == "vanishing"
    assert judged.rate == pytest.approx(np.exp(-0.5))
    assert judged.details[-1] == "This is of 5 of 8 samples, in which it vanishes; it explodes in 3."
    assert {word: list(own) for word, own in groups(found).items()} == {
        "vanishing": [3, 4, 5, 6, 7],
        "exploding": [0, 1, 2],
    }


def test_exact_zeros_are_counted():
    lags = np.arange(101.0)
    dead = np.where(lags > 40, -np.inf, 0.0)
    judged = verdict(curve(*[0.0 * lags] * 11, *[dead] * 9))
    assert judged.samples == {"carried": 11, "vanishing": 9}
    assert judged.details[-1] == "This is of 11 of 20 samples, in which it is carried; it vanishes in 9."


def test_short_samples_do_not_outvote_long_ones():
    logs = np.full((201, 20), np.nan)
    lengths = [200] * 9 + [6] * 11
    for n, length in enumerate(lengths):
        logs[: length + 1, n] = -0.1 * np.arange(length, -1, -1)
    judged = verdict(synthetic(logs, lengths))
    assert judged.word == "vanishing" and judged.steps == 200
    assert judged.samples == {"vanishing": 9, "too short": 11}


def test_all_of_it_is_strict_json():
    lags = np.arange(101.0)
    ds = curve(0.5 * lags, np.where(lags > 40, -np.inf, 0.0))
    assert isinstance(ds, xr.Dataset) and gradlab.verdict(ds).samples
