"""Which sentence is said of given factors, on either side of each limit."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gradlab.cells import CELLS
from gradlab.diagnosis.causes import cause, factor_lines
from gradlab.diagnosis.factors import Exponent, Factors

PLAIN = Factors(
    activation="tanh", cell=CELLS["elman"], log_rate=-0.5, slope=0.8, weights=0.9, radius=0.7, largest=1.2,
    carries=False, carry=math.nan, gates=math.nan, keep=math.nan, shut=math.nan, saturation=0.02, dead=0.0, drive=1.0,
    recurrence=0.5, departure=0.0, units=16, kept=0.0, growth=-0.1, steps=50, overflow=[], dtype="float64",
    clipped=False, clipped_log_rate=-0.5, truncated=0, mixed=0,
)  # fmt: skip
GATED = replace(PLAIN, cell=CELLS["lstm"], carries=True, carry=0.5, gates=0.2, keep=0.6, shut=0.1)
ABOUT = NEAR = HELD = SHUT = OFF = NORMAL = 0.1  # where one sentence ends and another begins
STILL, CLOSE, FILLED = 0.5, 1.0, math.log(1e4)
CHAOS = Exponent(0.1, 0.01, 900, 8, True)
UNBOUNDED = replace(CHAOS, bounded=False)
EPS = 1e-9


def said(word, base=PLAIN, **changed):
    return cause(word, replace(base, **changed))


def product(log_rate, slope=0.5):
    """Slope and weights whose product is exp(log_rate)."""
    return {"slope": slope, "weights": math.exp(log_rate) / slope}


# without a carry


@pytest.mark.parametrize(
    ("word", "changed", "text"),
    [
        ("vanishing", product(-0.25 + EPS), "directions that the weights shrink: a typical one keeps 0.78 per step"),
        ("vanishing", product(-0.25 - EPS), "The slope of tanh is only 0.50"),
        ("vanishing", product(-0.4, 0.9), "The weights are too small: their scale is 0.74 (spectral radius 0.70)"),
        ("vanishing", {"slope": 0.5, "weights": 0.5}, "The weights are too small"),
        ("dead units", {"dead": 0.75}, "75 % of the units never switch on, at any step of any sample"),
        ("vanishing", {"log_rate": -math.inf}, "Every path back meets a slope, a gate or a weight that is exactly"),
        ("vanishing", {"radius": math.nan}, "No gate has recurrent weights, and units keep nothing by themselves"),
        ("vanishing", {"log_rate": 0.1}, "What slope and weights do changes on the way: it is x1.11 per step on the"),
        ("exploding", {"log_rate": -0.1}, "What slope and weights do changes on the way: it is x0.90 per step on the"),
        ("vanishing", {"log_rate": 0.0}, "The slope of tanh is only 0.80"),
        ("exploding", {"log_rate": 0.0}, "What slope and weights do changes on the way"),
        ("exploding", {"log_rate": 0.5} | product(0.25 - EPS), "directions that the weights stretch: a typical one"),
        ("exploding", {"log_rate": 0.5} | product(0.25 + EPS), "outweigh the slope of tanh: 0.50 (slope) x 2.57"),
        ("exploding", {"log_rate": 0.5, "slope": math.nan, "weights": 7.0}, "their scale 7.00 is more than a step"),
        ("carried", {"log_rate": 1.0} | product(math.log(1 + ABOUT) - EPS), "balance: 0.50 (slope) x 2.20 (weights)"),
        ("carried", {"log_rate": 1.0} | product(math.log(1 - ABOUT) + EPS), "Slope and weights balance"),
        ("carried", {"log_rate": 1.0} | product(math.log(1 + ABOUT) + EPS), "directions that the weights stretch"),
        ("carried", {"log_rate": -0.5} | product(-0.5 + NEAR + EPS), "directions that the weights shrink"),
        ("carried", {"log_rate": -0.5} | product(-0.5 + NEAR - EPS), "Slope and weights keep the gradient within a fa"),
        ("carried", {"log_rate": -0.5} | product(-0.5 - NEAR + EPS), "0.50 (slope) x 1.10 (weights) is 0.55."),
        ("carried", {"log_rate": -0.5} | product(-0.5 - NEAR - EPS), "directions that the weights stretch"),
        ("too short", {}, "There are too few steps to tell a trend from a transient."),
    ],
)  # fmt: skip
def test_slope_and_weights(word, changed, text):
    assert text in said(word, **changed)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"drive": 1.0, "recurrence": 0.5}, "is only 0.50, as the input and the biases drive the units hard (1.00 fro"),
        ({"drive": 0.5, "recurrence": 0.5}, "is only 0.50, as the state itself drives the units hard (0.50 from input"),
        ({"activation": "sigmoid"}, "The slope of sigmoid is at most 0.25 (here 0.50 on average), and the weights (1."),
        ({"activation": "relu", "saturation": OFF}, "is 0.50 on average, as 10 % of the units are switched off at a"),
        ({"activation": "relu", "saturation": OFF - EPS}, "is only 0.50, as the input and the biases drive"),
        ({"saturation": 0.9}, "is only 0.50, as the input and the biases drive"),
    ],
)  # fmt: skip
def test_a_small_slope_has_a_reason(changed, text):
    assert text in said("vanishing", **product(-0.5) | changed)


# with one


@pytest.mark.parametrize(
    ("word", "changed", "text"),
    [
        ("vanishing", {}, "too fast: 0.50 by the carry and 0.20 through the gates (the forget gate is open to 0.60 on"),
        ("vanishing", {"keep": math.exp(-0.25) + EPS}, "Carry and gates pass on too little: 0.50 by the carry"),
        ("vanishing", {"keep": math.exp(-0.25) - EPS}, "A unit forgets too fast"),
        ("vanishing", {"keep": 0.0}, "A unit forgets too fast"),
        ("vanishing", {"carry": 1.0, "gates": -0.4}, "What comes through the gates works against the carry: 1.00 by"),
        ("vanishing", {"carry": 1.0 - 1e-3, "gates": -0.4}, "A unit forgets too fast"),
        ("vanishing", {"carry": 1.0, "gates": 0.0}, "A unit forgets too fast"),
        ("vanishing", {"carry": 1.0, "gates": 0.5}, "A unit forgets too fast"),
        ("carried", {"log_rate": math.log(1 + ABOUT) - EPS}, "Carry and gates balance: 0.50 by the carry and 0.20"),
        ("carried", {"log_rate": math.log(1 + ABOUT) + EPS}, "Carry and gates keep the gradient within a factor of 10"),
        ("carried", {"log_rate": 5.0}, "Carry and gates keep the gradient within a factor of 100 over these steps: 0."),
        ("exploding", {"log_rate": 0.1}, "Carry and gates together exceed 1: 0.50 by the carry and 0.20 through the"),
        ("exploding", {"log_rate": -0.1}, "What carry and gates do changes on the way: it is x0.90 per step"),
        ("saturated", {"keep": SHUT - EPS, "shut": 0.75}, "The forget gate is shut: 75 % of its units are saturated a"),
        ("saturated", {"keep": SHUT, "shut": 0.75}, "The forget gate is saturated in 75 % of its units, and keeps 0.1"),
        ("vanishing", {"cell": None}, "(the cell sets the carry) make less than 1 together."),
        ("vanishing", {"cell": CELLS["elman"]}, "(the leak sets the carry) make less than 1 together."),
        ("vanishing", {"radius": math.nan}, "A unit forgets too fast"),
    ],
)  # fmt: skip
def test_carry_and_gates(word, changed, text):
    assert text in said(word, GATED, **changed)


# clipping, the state, and what grows


@pytest.mark.parametrize(
    ("truncated", "rate", "cut"), [(5, -math.inf, True), (1, -math.inf, True), (5, -0.5, False), (0, -math.inf, False)]
)
def test_truncation(truncated, rate, cut):
    """Where nothing is left; a block may have one step."""
    text = said("vanishing", truncated=truncated, log_rate=rate)
    blocks = f"blocks of {truncated} step{'s' if truncated > 1 else ''} to the one before."
    assert (
        text.startswith("Backpropagation is truncated: nothing goes from one of its ") == text.endswith(blocks) == cut
    )


@pytest.mark.parametrize(
    ("word", "rates", "text"),
    [
        ("exploding", (HELD * 0.5, 0.5), "Clipping inside backpropagation holds the norm; without it x1.65 per step b"),
        ("exploding", (-HELD * 0.5, 0.5), "Clipping inside backpropagation holds the norm; without it x1.65"),
        ("exploding", (HELD * 0.5 + EPS, 0.5), "Clipping inside backpropagation makes it x1.05 per step back; without"),
        ("exploding", (HELD * 2.0, 2.0), "Clipping inside backpropagation holds the norm; without it x7.39"),
        ("exploding", (0.5, 0.5), "Clipping inside backpropagation leaves the rate as it is, x1.65 per step back. "),
        ("vanishing", (-0.001, -0.5), "Clipping inside backpropagation makes it x1.00 per step back; without it x0.61"),
    ],
)  # fmt: skip
def test_clipping_inside_backpropagation(word, rates, text):
    clipped, free = rates
    factors = replace(PLAIN, clipped=True, clipped_log_rate=clipped, log_rate=free, **product(free))
    assert cause(word, factors).startswith(text)
    assert "Clipping" not in cause(word, replace(factors, clipped=False))
    assert "Clipping" not in cause(word, replace(factors, log_rate=math.nan, radius=math.nan))


@pytest.mark.parametrize(
    ("word", "changed", "text"),
    [
        ("exploding", {"growth": STILL * 0.5}, "grows as well, by x1.28 per step. Whether it is chaotic or a transien"),
        ("exploding", {"growth": STILL * 0.5, "exponent": UNBOUNDED}, "x1.28 per step: it is unstable, not chaotic."),
        ("exploding", {"growth": STILL * 0.5 - EPS}, "Whether it is chaotic or a transient, 50 steps cannot tell."),
        ("exploding", {"exponent": CHAOS}, "grows in the long run (leading exponent 0.1 +- 0.01 over 900 steps of 8 s"),
        ("exploding", {"exponent": replace(CHAOS, error=0.1)}, "cannot be told: leading exponent 0.1 +- 0.1 over 900"),
        ("exploding", {"exponent": Exponent(0.25, 0.0, 0, 0, True)}, "exponent 0.25 of a linear net, from the spectra"),
        ("exploding", {"exponent": Exponent(0.25, 0.0, 1, 1, True)}, "leading exponent 0.25 over 1 step of 1 sample"),
        ("chaotic", {"exponent": CHAOS}, "separate by x1.11 per step: it is chaotic under this input (leading exponen"),
        ("chaotic", {"exponent": CHAOS}, "and a small difference doubles every 6.9 steps."),
    ],
)  # fmt: skip
def test_what_the_state_does(word, changed, text):
    growing = {"log_rate": 0.5} | product(0.5)
    assert text in said(word, **growing | changed)
    assert text not in said("vanishing", **changed)


@pytest.mark.parametrize("times", [1 - EPS, 1.0, 1 + EPS])
def test_transient_growth_and_weights_that_are_not_normal(times):
    weights, units = 0.5, 16
    factors = {"departure": times * NORMAL * weights * math.sqrt(units), "weights": weights, "units": units}
    text = said("transient growth", exponent=Exponent(-0.2, 0.01, 900, 8, True), log_rate=0.5, **factors)
    assert "in the long run a step makes it x0.82 (leading exponent -0.2 +- 0.01 over 900 steps of 8 samples)." in text
    assert ("non-normal (Henrici's departure 0.20, of a norm of 2.00)" in text) == (times > 1)


# overflow


LIMIT = math.log(np.finfo("float64").max)
INPUT, STEP = (
    "The input and the biases drive the units out of range",
    "What a step makes of its arguments is out of range",
)


@pytest.mark.parametrize(
    ("drive", "state", "start"),
    [
        (LIMIT - FILLED, None, INPUT),
        (LIMIT - FILLED - EPS, None, STEP),
        (None, LIMIT - CLOSE - EPS, STEP),
        (None, LIMIT - CLOSE, "The state grows out of range"),
        (LIMIT, LIMIT, INPUT),
    ],
)
def test_an_overflow(drive, state, start):
    places = [
        {"sample": 1, "step": 7, "gate": "g", "drive": 0.0, "state": 0.0},
        {"sample": 0, "step": 3, "gate": "g", "drive": drive, "state": state},
    ]
    found = said("overflow", overflow=places, log_rate=-0.5)
    assert found.startswith(start) and "at step 3; float64 ends at 1.8×10^308." in found
    grows = said("overflow", overflow=places, log_rate=0.5, growth=0.4, **product(0.5))
    more = "The weights outweigh the slope of tanh" in grows and "it is unstable, not chaotic" in grows
    assert more == start.startswith("The state") and "changes on the way" not in found
    first = [{name: place[name] for name in ("sample", "step", "gate")} for place in places]
    assert said("overflow", overflow=first) == "The forward pass leaves the finite numbers."


# lines


def lines(base=PLAIN, **changed):
    return {line.name: (line.value, line.text) for line in factor_lines(replace(base, **changed))}


def test_a_line_for_each_factor():
    assert lines() == {
        "activation slope": (0.8, "of tanh, quadratic mean; at most 1"),
        "weight scale": (0.9, "||W||_F / sqrt(H); spectral radius 0.7"),
        "largest one-step factor": (1.2, "||J||_2, median; above 1 allows growth, does not cause it"),
        "drive by input and bias": (1.0, "root mean square; 0.5 by the state"),
        "saturation": (0.02, "share of units saturated: slope below a tenth of the largest"),
        "dead units": (0.0, "share of units saturated at every step of every sample"),
    }
    gated = lines(GATED)
    assert gated["carry"] == (0.5, "of a step's gradient, what units pass on by themselves")
    assert gated["through the gates"] == (0.2, "of a step's gradient, what the recurrent weights add")
    assert gated["forget gate"] == (0.6, "mean value; 10 % of its units saturated") and "activation slope" not in gated


@pytest.mark.parametrize(
    ("changed", "name", "text"),
    [
        ({"carries": True, "carry": 0.1}, "activation slope", "of tanh, mean; at most 1"),
        ({"weights": 0.0}, "activation slope", "of tanh, mean; at most 1"),
        ({"activation": "relu"}, "dead units", "share of units switched off at every step of every sample"),
        ({"radius": math.nan}, "weight scale", "||W||_F / sqrt(H); no gate has recurrent weights"),
        ({"recurrence": math.inf}, "drive by input and bias", "root mean square; over 10^308 by the state"),
        ({"exponent": CHAOS}, "leading exponent", "nats per step in the long run, over 900 steps of 8 samples"),
        (
            {"overflow": [{"step": 7}, {"step": 3}]},
            "overflow",
            "number of samples that left the finite numbers, the first at step 3",
        ),
    ],
)
def test_what_a_line_says(changed, name, text):
    assert lines(**changed)[name][1] == text


def test_what_is_no_number_has_no_line_and_zero_no_sign():
    assert "weight scale" not in lines(weights=math.nan) and "dead units" not in lines(dead=math.inf)
    assert math.copysign(1.0, lines(dead=-0.0)["dead units"][0]) == 1.0
    assert lines(overflow=[{"step": 7}, {"step": 3}])["overflow"][0] == 2.0


@pytest.mark.parametrize("word", ["vanishing", "exploding", "carried", "too short"])
def test_of_a_mixed_batch_it_says_what_is_of_all_samples(word):
    more = " What drives the units, and how many are saturated, is of all 32 samples."
    assert said(word, mixed=32) == said(word) + more
