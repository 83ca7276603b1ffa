"""The verdict: its classes at their boundaries, rate, half-life, reach and wording, from curves drawn by hand."""

import json
import math

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.runs.behind import path_factors
from gradlab.runs.shares import joint_log_norm, share_left
from gradlab.runs.verdicts import Verdict, verdict
from gradlab.wording import factor_text, power_text


def synthetic(logs, lengths=None, overflow=(), shares=None, slope=0.6, sigma=1.0):
    """A Dataset whose curve is `logs` (T+1, B) or (T+1,), in state h; with one path or those of `shares`."""
    logs = np.asarray(logs, float)
    logs = logs[:, None] if logs.ndim == 1 else logs
    steps, batch = logs.shape[0] - 1, logs.shape[1]
    shares = {"carry": 0.0, "g": 1.0} if shares is None else shares
    paths = np.array(list(shares.values()))[:, None, None] * np.ones((len(shares), steps, batch))
    return xr.Dataset(
        {
            "log_grad_norm": (("state", "time", "sample"), logs[None]),
            "valid_steps": ("sample", np.full(batch, steps) if lengths is None else np.asarray(lengths)),
            "path_share": (("path", "step", "sample"), paths),
            "jacobian_path_norm": (("path", "step", "sample"), np.abs(paths)),
            "activation_slope": ("step", np.full(steps, slope)),
            "jacobian_frobenius": (("step", "sample"), np.full((steps, batch), 2 * slope * sigma)),
            "recurrent_singular_values": (("recurrent_gate", "index"), np.full((1, 4), sigma)),
        },
        {
            "state": ["h"],
            "time": np.arange(steps + 1),
            "step": np.arange(1, steps + 1),
            "path": list(shares),
            "gate": ["g"],
        },
        {"overflow": json.dumps(list(overflow)), "activation": "tanh"},
    )


def line(rate, steps=100):
    """A gradient that is multiplied by `rate` at every step back, (T+1,)."""
    return math.log(rate) * np.arange(steps, -1, -1.0)


def factor(log_factor, steps=100):
    """A straight curve whose ratio of state 1 to state T is exp(log_factor)."""
    return np.linspace(log_factor * steps / (steps - 1), 0, steps + 1)


# classes


@pytest.mark.parametrize(
    ("ratio", "word"),
    [
        (1e-19, "vanishing"),
        (0.0099, "vanishing"),
        (0.0101, "carried"),
        (1.0, "carried"),
        (99.0, "carried"),
        (101.0, "exploding"),
        (1e30, "exploding"),
    ],
)
def test_classes_at_their_boundaries(ratio, word):
    result = verdict(synthetic(factor(math.log(ratio))))
    assert result.word == word
    assert result.log_factor == pytest.approx(math.log(ratio))
    assert result.rate == pytest.approx(ratio ** (1 / 99))


@pytest.mark.parametrize(("steps", "word"), [(9, "too short"), (10, "vanishing")])
def test_below_ten_steps_it_is_too_short_to_say(steps, word):
    assert verdict(synthetic(line(0.1, steps))).word == word


def test_it_needs_state_1_not_state_0():
    """The step from the initial state is none that the sequence could use."""
    logs = factor(0.0)
    logs[0] = -1000
    assert verdict(synthetic(logs)).word == "carried"


def test_beyond_the_range_of_numbers():
    result = verdict(synthetic(line(1e-6, 10_000)))
    assert (result.word, result.rate) == ("vanishing", pytest.approx(1e-6))
    assert result.log_factor == pytest.approx(-9999 * math.log(1e6))
    assert "step 1 of 10000 gets 10^-59994." in str(result)
    assert verdict(synthetic(line(1e6, 10_000))).word == "exploding"
    leap = verdict(synthetic(np.r_[np.full(20, 1e5), 0.0]))  # all at once, and then nothing more
    assert (leap.word, leap.fitted_log_rate, leap.entry) == ("carried", pytest.approx(0, abs=1e-9), pytest.approx(1e5))


# median and joint state


def test_the_median_sample_decides():
    curves = np.stack([line(0.5), line(0.9), line(0.9), line(0.9), line(3.0)], axis=1)
    assert verdict(synthetic(curves)).rate == pytest.approx(0.9)
    half_dead = np.stack([line(0.9), np.r_[np.full(100, -np.inf), 0.0]], axis=1)
    assert verdict(synthetic(half_dead)).log_factor == pytest.approx(99 * math.log(0.9) - math.log(2))
    mostly_dead = np.stack([line(0.9), *2 * [np.r_[np.full(100, -np.inf), 0.0]]], axis=1)
    assert verdict(synthetic(mostly_dead)).rate == 0


def test_a_gradient_that_is_zero_at_the_last_step_is_left_nowhere():
    """As where clipping inside backpropagation rounds it to nothing."""
    found = verdict(synthetic(np.full((21, 3), -np.inf)))
    assert (found.word, found.log_factor, found.reach) == ("vanishing", None, 0)
    assert found.details[0] == "It is exactly zero from 0 steps back on."
    logs = np.column_stack([line(0.9, 20), line(0.9, 20), np.full(21, -np.inf)])
    assert verdict(synthetic(logs)).word == "carried"


def test_the_joint_state_counts():
    """All in c: h alone is exactly zero before the last step."""
    ds = synthetic(line(0.98))
    dead = np.r_[np.full(100, -np.inf), 0.0]
    both = np.stack([dead, np.r_[line(0.98)[:-1], -np.inf]])[..., None]
    ds = ds.drop_vars(["log_grad_norm", "state"]).assign(
        log_grad_norm=(("state", "time", "sample"), both)
    ).assign_coords(state=["h", "c"])  # fmt: skip
    np.testing.assert_allclose(joint_log_norm(ds)[:, 0], np.r_[line(0.98)[:-1], 0.0])
    assert verdict(ds).word == "carried"
    assert verdict(ds).rate == pytest.approx(0.98, rel=1e-3)


def test_joint_norms_of_huge_and_tiny_logarithms():
    ds = synthetic(line(0.5))
    both = np.stack([np.full(101, -20_000.0), np.full(101, -20_000.0)])[..., None]
    ds = ds.drop_vars(["log_grad_norm", "state"]).assign(log_grad_norm=(("state", "time", "sample"), both))
    np.testing.assert_allclose(joint_log_norm(ds), -20_000 + 0.5 * math.log(2))


def test_each_sample_is_read_from_its_own_last_step():
    """Lengths 100, 60 and 20 with one rate: the curve against the lag is one line."""
    curves = np.full((101, 3), np.nan)
    for b, length in enumerate((100, 60, 20)):
        curves[: length + 1, b] = math.log(0.9) * np.arange(length, -1, -1) + b
    ds = synthetic(curves, lengths=[100, 60, 20])
    np.testing.assert_allclose(share_left(ds), line(0.9))
    result = verdict(ds)
    assert (result.steps, result.rate) == (80, pytest.approx(0.9))  # of those that are alike
    assert result.samples == {"vanishing": 2, "carried": 1}


# numbers


@pytest.mark.parametrize(("rate", "half_life"), [(0.5, 1.0), (0.64, 1.553), (0.9, 6.579), (1.25, 3.106), (2.0, 1.0)])
def test_half_life(rate, half_life):
    result = verdict(synthetic(line(rate)))
    assert result.half_life == pytest.approx(half_life, rel=1e-3)
    verb = "halves" if rate < 1 else "doubles"
    assert f"It {verb} every {half_life:.2g} step{'' if half_life == 1 else 's'}." in str(result)


def test_carried_has_no_half_life():
    assert verdict(synthetic(line(0.99))).half_life is None
    assert "every" not in str(verdict(synthetic(line(0.99))))


@pytest.mark.parametrize(("rate", "reach"), [(0.64, 10), (0.5, 6), (0.1, 2), (0.0099, 0), (0.95, 89)])
def test_reach_is_how_far_one_percent_is_left(rate, reach):
    result = verdict(synthetic(line(rate)))
    assert result.reach == reach == math.floor(math.log(0.01) / math.log(rate) + 1e-12)
    assert f"Reach (1 % left): {reach} of 100 steps." in str(result)


def test_reach_ends_where_the_share_first_falls_below():
    logs = np.zeros(101)
    logs[95] = math.log(0.001)
    assert verdict(synthetic(logs)).reach == 4


def test_a_carried_gradient_reaches_all_steps():
    result = verdict(synthetic(line(0.99)))
    assert result.reach == 99
    assert "Reach (1 % left): all of 100 steps." in str(result)


# wording


def test_the_words_of_a_vanishing_net():
    result = verdict(synthetic(line(0.64)))
    assert str(result).splitlines() == [
        "The gradient vanishes: x0.64 per step back.",
        "It halves every 1.6 steps.",
        "10 steps back 1.2 % is left; step 1 of 100 gets 10^-19.",
        "Reach (1 % left): 10 of 100 steps.",
        "0.60 (mean slope of tanh) x 1.00 (weights) = 0.60, measured 0.64",
    ]
    apart = verdict(synthetic(line(0.82))).why
    assert apart == "0.60 (mean slope of tanh) x 1.00 (weights) = 0.60, measured 0.82"
    assert result.headline == "The gradient vanishes: x0.64 per step back."


def test_the_words_of_an_exploding_net():
    lines = str(verdict(synthetic(line(1.25)))).splitlines()
    assert lines[0] == "The gradient explodes: x1.25 per step back."
    assert lines[1] == "It doubles every 3.1 steps."
    assert lines[2] == "Step 1 of 100 gets 10^10."


def test_the_words_of_a_carried_gradient():
    lines = str(verdict(synthetic(factor(math.log(14))))).splitlines()
    assert lines[0] == "The gradient is carried: x1.03 per step back."
    assert lines[1] == "Factor 14 over 100 steps."


def test_the_words_of_a_short_sequence():
    assert str(verdict(synthetic(line(0.5, 9)))).startswith(
        "Too short to say.\nThe sequence has 9 steps; a verdict needs at least 10."
    )
    assert "The sequence has 1 step; a verdict" in str(verdict(synthetic(line(0.5, 1))))
    assert "The sequence has 0 steps; a verdict" in str(verdict(synthetic(line(0.5, 1), lengths=[0])))


@pytest.mark.parametrize("dead", [1, 7])
def test_the_words_of_a_gradient_that_is_exactly_zero(dead):
    logs = np.zeros(101)
    logs[: 101 - dead] = -np.inf
    result = verdict(synthetic(logs))
    assert (result.word, result.rate, result.log_factor, result.log_rate) == ("vanishing", 0.0, None, None)
    assert result.headline == "The gradient vanishes: x0 per step back."
    assert f"It is exactly zero from {dead} step{'s' if dead > 1 else ''} back on." in result.details
    assert result.reach == dead - 1


def test_the_words_of_an_overflow():
    places = [{"sample": s, "step": step, "gate": "a", "model": []} for s, step in ((1, 41), (4, 37))]
    curves = np.stack([line(2.0), line(2.0)], axis=1)
    result = verdict(synthetic(curves, lengths=[40, 36], overflow=places))
    assert result.details[0].startswith("The forward pass overflowed at step 37 (gate a, sample 4).")
    assert "2 samples overflowed; each is analysed up to its last finite step." in result.details[0]
    one = verdict(synthetic(line(2.0), lengths=[36], overflow=places[1:]))
    assert "The forward pass overflowed at step 37 (gate a, sample 4)" in one.details[0]
    assert one.word == "exploding"


@pytest.mark.parametrize("length", [0, 1])
def test_an_overflow_that_leaves_nothing(length):
    places = [{"sample": 0, "step": length + 1, "gate": "a", "model": []}]
    result = verdict(synthetic(np.full(101, np.nan), lengths=[length], overflow=places))
    assert (result.word, result.headline) == ("overflow", "The forward pass overflowed.")
    assert result.icon


def test_word_and_icon_differ_for_every_class():
    words = ("vanishing", "exploding", "carried", "too short", "overflow")
    results = [Verdict(word, 100, 0.0, 0.0, 0.0, None, 0) for word in words]
    assert len({r.icon for r in results}) == len({r.headline.partition(":")[0] for r in results}) == len(words)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.log(0.0118), "1.2 %"),
        (math.log(0.64), "0.64"),
        (math.log(14), "14"),
        (0.0, "1"),
        (math.log(1e-19), "10^-19"),
        (math.log(3e12), "10^12"),
        (-np.inf, "0"),
        (-138_155.1, "10^-60000"),
    ],
)
def test_powers_as_people_write_them(value, text):
    assert power_text(value) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.64, "x0.64"),
        (1.0, "x1.00"),
        (1.254, "x1.25"),
        (0.0123, "x0.012"),
        (14.2, "x14"),
        (1e-6, "x1e-06"),
        (0.0, "x0"),
    ],
)
def test_factors_as_people_write_them(rate, text):
    assert factor_text(math.log(rate) if rate else -math.inf) == text


# the factors behind it


def test_a_gated_net_is_split_into_carry_and_gates():
    result = verdict(synthetic(line(0.86), shares={"carry": 0.85, "i": 0.05, "f": 0.0, "g": 0.06, "o": 0.04}))
    assert result.why == "carry 0.73, through the gates 0.13"


def test_path_factors_sum_to_the_rate():
    shares = {"carry": 1.2, "i": -0.3, "f": 0.1}
    split = path_factors(synthetic(line(0.9), shares=shares), math.log(0.9))
    assert split == {name: pytest.approx(0.9 * share) for name, share in shares.items()}


def test_a_leaky_unit_has_a_carry():
    why = gradlab.verdict(gradlab.analyze(leak=0.2, steps=30, batch_size=4)).why
    assert why.startswith("carry 0.") and "through the gates" in why


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_slope_and_weights_of_a_vanilla_net_are_measured(gain):
    ds = gradlab.analyze(gain=gain, steps=60)
    weights = float(np.sqrt((ds.recurrent_singular_values**2).mean()))
    slope = float(np.exp(np.log(ds.jacobian_frobenius / 8).mean())) / weights
    assert slope == pytest.approx(float(ds.activation_slope.mean()), rel=0.5)
    assert weights == pytest.approx(gain, rel=0.05)
    result = gradlab.verdict(ds)
    product, rate = factor_text(np.log(slope * weights))[1:], factor_text(result.log_rate)[1:]
    said = rate if product == rate else f"{product}, measured {rate}"
    assert result.why == f"{slope:.2f} (mean slope of tanh) x {weights:.2f} (weights) = {said}"
