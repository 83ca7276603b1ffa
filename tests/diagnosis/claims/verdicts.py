"""What a headline, its details and the line of the factors claim."""

import math
import re

import numpy as np

from .numbers import HUNDRED, course_of, half, near, near_log
from .run import RATE, SIZE, Run, claim

VERBS = {"vanishing": "vanishes", "exploding": "explodes", "carried": "is carried", "too short": "is too short to say"}
WORDS = {verb: word for word, verb in VERBS.items()}
COUNT = r"(\d[\d,]*)"


def number(text: str) -> int:
    """A count as a sentence has it."""
    return int(text.replace(",", ""))


@claim(
    rf"The gradient (vanishes|explodes|is carried): {RATE} per step back"
    r"((?:, from \d+ on x[\d.e+-]*\d)*)(, and so on)?\."
)
def headline(run: Run, verb: str, rate: str, then: str, more: str | None) -> None:
    """The word is that of the largest group, and of a rate on its side of 1; what changes is there in order."""
    flow = run.flow
    assert run.found.verdict.word == flow.word == WORDS[verb]
    others = re.findall(r", from (\d+) on x([\d.e+-]*\d)", then)
    assert all(near_log(text, log) for text, log in zip([rate, *(r for _, r in others)], flow.rates, strict=False))
    assert len(flow.rates) == len(others) + 1 or (more and len(flow.rates) > 3)
    starts = [piece.start for piece in flow.course.pieces[1:]] if flow.course else []
    assert [int(start) for start, _ in others] == starts[:2]
    if len(flow.rates) == 1:
        factor = flow.rates[0] * (len(flow.curve) - 1)
        assert {"vanishing": factor < -HUNDRED, "exploding": factor > HUNDRED}.get(flow.word, abs(factor) <= HUNDRED)


@claim(r"Too short to say\.")
def too_short(run: Run) -> None:
    """Every sample is."""
    assert run.found.verdict.word == run.flow.word == "too short"


@claim(r"The forward pass overflowed\.")
def nothing_left(run: Run) -> None:
    """It left less than two steps."""
    assert run.found.verdict.word == "overflow" and run.overflow and len(run.flow.curve) < 2


@claim(rf"The forward pass overflowed at step {COUNT} \(gate (\w+), sample (\d+)\)\.")
def overflowed(run: Run, step: str, gate: str, sample: str) -> None:
    """It is the first place."""
    first = min(run.overflow, key=lambda place: place["step"])
    assert (int(step), gate, int(sample)) == (first["step"], first["gate"], first["sample"])


@claim(rf"{COUNT} samples overflowed; each is analysed up to its last finite step\.")
def several_overflowed(run: Run, samples: str) -> None:
    """As many as there are places."""
    assert number(samples) == len(run.overflow) > 1
    assert all(run.flow.lengths[place["sample"]] == place["step"] - 1 for place in run.overflow)


@claim(rf"The sequence has {COUNT} steps?; a verdict needs at least 10\.")
def length(run: Run, steps: str) -> None:
    """The median length of what is too short."""
    assert number(steps) == len(run.flow.curve) < 10


@claim(rf"Factor {SIZE} over {COUNT} steps?\.")
def factor(run: Run, size: str, steps: str) -> None:
    """What is left at step 1; more than a carried gradient has only beside what the ends do."""
    assert near_log(size, run.flow.curve[-1]) and number(steps) == len(run.flow.curve)
    ends_said = sum("beside that rate" in text for text in run.found.verdict.details)
    assert abs(run.flow.curve[-1]) <= HUNDRED + 2 * math.log(4) or ends_said


@claim(rf"{SIZE} (enters at the last step|passes on to step 1), beside that rate\.")
def ends(run: Run, size: str, what: str) -> None:
    """What the ends do beyond the pieces, and that it is much."""
    way = run.flow.course
    assert way is not None
    log = way.entry if what.startswith("enters") else way.exit
    assert near_log(size, log) and abs(log) >= math.log(4)


@claim(rf"Reach \(1 % left\): (\w+) of {COUNT} steps?\.")
def reach(run: Run, steps: str, total: str) -> None:
    """How far at least 1 % is left throughout."""
    below = [lag for lag, log in enumerate(run.flow.curve) if log < -HUNDRED]
    known = max(below[0] - 1, 0) if below else len(run.flow.curve) - 1
    assert number(total) == len(run.flow.curve)
    assert known == (number(total) - 1 if steps == "all" else number(steps))


@claim(rf"It is exactly zero from {COUNT} steps? back on\.")
def dead(run: Run, steps: str) -> None:
    """From there on, and not before."""
    nothing = np.isneginf(run.flow.curve)
    assert nothing[-1] and int(nothing.argmax()) == number(steps)


@claim(rf"10 steps back {SIZE} is left; step 1 of {COUNT} gets {SIZE}\.")
def left(run: Run, ten: str, total: str, size: str) -> None:
    """Two points of the curve."""
    assert near_log(ten, run.flow.curve[10])
    last(run, total, size)


@claim(rf"Step 1 of {COUNT} gets {SIZE}\.")
def last(run: Run, total: str, size: str) -> None:
    """Its end."""
    assert number(total) == len(run.flow.curve) and near_log(size, run.flow.curve[-1])


@claim(rf"It (halves|doubles) every {SIZE} steps?\.")
def pace(run: Run, verb: str, every: str) -> None:
    """ln 2 over the rate, whose side of 1 is the verb's."""
    rate = run.flow.log_rate
    assert near(every, math.log(2) / abs(rate)) and (rate < 0) == (verb == "halves")


@claim(rf"It (peaks|is lowest) with {SIZE} {COUNT} steps? back\.")
def turn(run: Run, verb: str, size: str, lag: str) -> None:
    """Beyond both ends of the curve."""
    log, ends = run.flow.curve[number(lag)], run.flow.curve[[0, -1]]
    assert near_log(size, log) and (log > ends.max() if verb == "peaks" else log < ends.min())


@claim(rf"Per step, by steps back: ({RATE} from \d+ to \d+(?:; x[\d.e+-]*\d from \d+ to \d+)*)\.")
def pieces(run: Run, text: str, _: str) -> None:
    """All pieces, in order."""
    said, way = re.findall(r"x([\d.e+-]*\d) from (\d+) to (\d+)", text), run.flow.course
    assert way is not None and len(said) == len(way.pieces)
    for (rate, start, stop), piece in zip(said, way.pieces, strict=True):
        assert near_log(rate, piece.log_rate) and (int(start), int(stop)) == (piece.start, piece.stop)


@claim(rf"This is of {COUNT} of {COUNT} samples, in which it ([^;]*); it ([^.]*)\.")
def alike(run: Run, of: str, total: str, verb: str, others: str) -> None:
    """The groups and how many are in each."""
    groups, n = run.flow.groups, number(total)
    assert n == run.ds.sizes["sample"] and WORDS[verb] == run.flow.word and number(of) == len(run.flow.samples)
    said = re.findall(r"([^,]*) in (\d+)", others)
    assert {WORDS[what.strip()]: int(count) for what, count in said} | {run.flow.word: number(of)} == {
        word: len(samples) for word, samples in groups.items()
    }


@claim(rf"carry {SIZE}, through the gates {SIZE}( on the whole)?$")
def parts(run: Run, carry: str, gates: str, whole: str | None) -> None:
    """Of the rate, on the whole where it changes."""
    known = run.split(run.flow.log_rate, run.flow)
    assert near(carry, known[0], sum(known)) and near(gates, known[1], sum(known))
    assert bool(whole) == (len(run.flow.rates) > 1)


@claim(rf"{SIZE} \(mean slope of (\w+)\) x {SIZE} \(weights\) = {SIZE}(?:, measured {SIZE})?( on the whole)?$")
def product(run: Run, slope: str, name: str, weights: str, typical: str, rate: str | None, whole: str | None) -> None:
    """The equation holds as it is printed, and its result is the rate or the rate stands beside it."""
    assert name == run.ds.attrs["activation"] and near(weights, run.weights)
    if run.weights:
        assert near_log(typical, run.log_typical(run.flow)) and near_product(slope, weights, typical)
    assert near_log(rate or typical, run.flow.log_rate) and bool(whole) == (len(run.flow.rates) > 1)


def near_product(a: str, b: str, result: str) -> bool:
    """Whether a x b = result as far as the digits go."""
    error = sum(half(text) / abs(float(text)) for text in (a, b) if float(text))
    return abs(float(a) * float(b) - float(result)) <= error * abs(float(result)) * 1.1 + 1.01 * half(result)


@claim(
    rf"Diagnosis: ([\w ]+); ln of the factor per step {SIZE}"
    rf"(?: \+- (less than 0\.00001|{SIZE}) \(standard error over samples\)"
    rf"| (\(no standard error, as some samples are exactly zero or too short\)))?\."
)
def refined(run: Run, word: str, rate: str, error: str | None, _: str | None, none: str | None) -> None:
    """The rate, and the error of its median, or why it has none."""
    assert len(run.flow.curve) > 1 and near(rate, run.flow.log_rate)
    word_holds(run, word)
    without = [course_of(run.flow.curves[i]) is None for i in run.flow.samples]
    assert (none is not None) == (any(without) and len(without) > 1)
    if error:
        known = run.flow.stderr
        assert known <= 1.00001e-5 if error.startswith("less") else near(error, known)


@claim(r"Diagnosis: (overflow|too short); no rate of less than two steps\.")
def refined_without_rate(run: Run, word: str) -> None:
    """There are fewer."""
    assert len(run.flow.curve) < 2
    word_holds(run, word)


@claim(r"Diagnosis: ([\w ]+); ln of the factor per step -inf, exactly zero\.")
def refined_zero(run: Run, word: str) -> None:
    """Nothing is left."""
    assert run.flow.log_rate == -math.inf
    word_holds(run, word)


def word_holds(run: Run, word: str) -> None:
    """The refined word goes with the verdict's and its own numbers."""
    coarse = run.flow.word if len(run.flow.curve) > 1 else run.found.verdict.word
    if word == "overflow":
        assert run.overflow
    elif word in ("chaotic", "transient"):
        assert coarse == "exploding"
    elif word in ("saturated", "dead units"):
        assert coarse == "vanishing"
        assert (run.saturation if word == "saturated" else float(run.ds.dead_units)) >= 0.5
    else:
        assert word == coarse and not run.overflow
