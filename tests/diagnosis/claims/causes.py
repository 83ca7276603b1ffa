"""What the sentences about the main cause claim."""

import math
import re

import numpy as np

from gradlab.cells import CELLS
from gradlab.cells.activations import ACTIVATIONS

from .numbers import HUNDRED, near, near_log
from .run import RATE, SIZE, Run, claim
from .verdicts import near_product

ABOUT = 0.1  # what is "about 1" is no further from it
CARRY = rf"{SIZE} by the carry and {SIZE} through the gates"
GATE = rf"\((?:the forget gate is open to {SIZE} on average|the (?:leak|cell) sets the carry)\)"
PRODUCT = rf"{SIZE} \(slope\) x {SIZE} \(weights\)"


@claim(r"Cause:")
def heading(run: Run) -> None:
    """Nothing."""


@claim(r"There are too few steps to tell a trend from a transient\.")
def too_few(run: Run) -> None:
    """No sample has enough."""
    assert run.free.word == "too short" and not run.overflow


# clipping inside backpropagation


@claim(rf"Clipping inside backpropagation holds the norm; without it {RATE} per step back\.")
def clipping_holds(run: Run, free: str) -> None:
    """It grows without, and hardly changes with it."""
    assert run.grows and near_log(free, run.free.log_rate) and abs(run.flow.log_rate) <= 0.1 * run.free.log_rate


@claim(rf"Clipping inside backpropagation leaves the rate as it is, {RATE} per step back\.")
def clipping_leaves(run: Run, free: str) -> None:
    """Both rates read alike."""
    assert near_log(free, run.free.log_rate) and near_log(free, run.flow.log_rate)


@claim(rf"Clipping inside backpropagation makes it {RATE} per step back; without it {RATE}\.")
def clipping_changes(run: Run, clipped: str, free: str) -> None:
    """Both rates."""
    assert near_log(free, run.free.log_rate) and near_log(clipped, run.flow.log_rate) and free != clipped


# overflow

BROUGHT = rf"(?:they|input and biases) bring up to {SIZE} to a unit, the state {SIZE} at step (\d+)"
ENDS = rf"(float\d\d) ends at {SIZE}\."


def brought(run: Run, drive: str, state: str, step: str, dtype: str, end: str) -> tuple[float, float]:
    """ln of the two as they are recorded, over the largest number."""
    first = min(run.overflow, key=lambda place: place["step"])
    known = [-math.inf if first[name] is None else first[name] for name in ("drive", "state")]
    limit = math.log(float(np.finfo(run.ds.attrs["dtype"]).max))
    assert near_log(drive, known[0]) and near_log(state, known[1]) and int(step) == first["step"]
    assert dtype == run.ds.attrs["dtype"] and near_log(end, limit)
    return known[0] - limit, known[1] - limit


@claim(rf"The input and the biases drive the units out of range: {BROUGHT}; {ENDS}")
def out_by_input(run: Run, *said: str) -> None:
    """What they bring is nearly the largest number, or more."""
    assert brought(run, *said)[0] > math.log(1e-4) - 0.001


@claim(rf"The state grows out of range: {BROUGHT}; {ENDS}")
def out_by_state(run: Run, *said: str) -> None:
    """The state is as large as numbers can be, and no input brought it there."""
    drive, state = brought(run, *said)
    assert drive < math.log(1e-4) and state >= -1


@claim(rf"What a step makes of its arguments is out of range: {BROUGHT}; {ENDS}")
def made_too_large(run: Run, *said: str) -> None:
    """Neither part is."""
    assert max(brought(run, *said)) < -1


# with a carry


def split_holds(run: Run, carry: str, gates: str, keep: str | None) -> None:
    """The parts are those of the rate, and add up to it as they are printed."""
    known = run.split(run.free.log_rate, run.free)
    assert near(carry, known[0], sum(known)) and near(gates, known[1], sum(known))
    assert keep is None or near(keep, run.mean("gate_mean", run.forget))


@claim(rf"Carry and gates balance: {CARRY} {GATE} make about 1 together\.")
def balance(run: Run, carry: str, gates: str, keep: str | None) -> None:
    """The sum is within a tenth of 1, and the gradient is carried."""
    split_holds(run, carry, gates, keep)
    assert abs(float(carry) + float(gates) - 1) <= ABOUT + 0.01 and run.free.word == "carried"


@claim(
    rf"Carry and gates keep the gradient within a factor of 100 over these steps: {CARRY} {GATE} make {SIZE} together\."
)
def within(run: Run, carry: str, gates: str, keep: str | None, together: str) -> None:
    """The sum is farther from 1, and the gradient is carried."""
    split_holds(run, carry, gates, keep)
    assert near_log(together, run.free.log_rate) and abs(float(together) - 1) >= ABOUT - 0.01
    assert abs(float(carry) + float(gates) - float(together)) <= 0.0151
    carried(run)


def carried(run: Run) -> None:
    """The gradient stays within a factor of 100."""
    levels = run.free.course.levels if run.free.course else [-math.inf]
    assert run.free.word == "carried" and max(map(abs, levels)) <= HUNDRED


@claim(
    r"(A unit forgets too fast|Carry and gates pass on too little|What comes through the gates works against the carry)"
    rf": {CARRY} {GATE} make less than 1 together\."
)
def too_little(run: Run, who: str, carry: str, gates: str, keep: str | None) -> None:
    """The sum is less than 1 as it is printed; who says which part loses."""
    split_holds(run, carry, gates, keep)
    assert float(carry) + float(gates) < 1 and run.free.log_rate < 0
    assert who.startswith("What") == (float(gates) < 0 and float(carry) >= 1)
    if keep is not None and who.startswith("A unit"):
        assert float(keep) < 1 and math.log(float(keep) + 0.005) <= 0.45 * run.free.log_rate


@claim(rf"Carry and gates together exceed 1: {CARRY} {GATE}\.")
def too_much(run: Run, carry: str, gates: str, keep: str | None) -> None:
    """The sum is more than 1 as it is printed."""
    split_holds(run, carry, gates, keep)
    assert float(carry) + float(gates) > 1 and run.free.log_rate > 0


@claim(rf"The forget gate is shut: (\d+) % of its units are saturated and it keeps {SIZE} per step\.")
def shut(run: Run, share: str, keep: str) -> None:
    """It is nearly closed."""
    saturated(run, share, keep)
    assert float(keep) <= 0.1


@claim(rf"The forget gate is saturated in (\d+) % of its units, and keeps {SIZE} on average\.")
def saturated(run: Run, share: str, keep: str) -> None:
    """Means over steps."""
    assert near(share, 100 * run.mean("gate_saturation", run.forget)) and float(share) >= 50
    assert near(keep, run.mean("gate_mean", run.forget))


# without one


@claim(r"No gate has recurrent weights, and units keep nothing by themselves: no step passes anything on\.")
def feedforward(run: Run) -> None:
    """Nothing is left."""
    assert run.free.log_rate == -math.inf and not run.ds.recurrent_eigenvalues.size


@claim(r"Every path back meets a slope, a gate or a weight that is exactly zero\.")
def exactly_zero(run: Run) -> None:
    """Nothing is left."""
    assert run.free.log_rate == -math.inf


@claim(r"What drives the units, and how many are saturated, is of all (\d+) samples\.")
def mixed(run: Run, samples: str) -> None:
    """More than the verdict is about."""
    assert len(run.free.samples) < run.ds.sizes["sample"] == int(samples)


@claim(r"Backpropagation is truncated: nothing goes from one of its blocks of (\d+) steps? to the one before\.")
def truncated(run: Run, steps: str) -> None:
    """Nothing is left beyond a block."""
    assert run.free.log_rate == -math.inf and run.ds.attrs["truncate"] == int(steps)


@claim(rf"What (carry and gates|slope and weights) do changes on the way: it is {RATE} per step on the whole\.")
def turning(run: Run, _: str, rate: str) -> None:
    """The way has bends, and the whole is on the other side of 1 than its word."""
    assert len(run.free.rates) > 1 and near_log(rate, run.free.log_rate)
    assert run.grows != (run.free.log_rate > 0)


def product_holds(run: Run, slope: str, weights: str) -> float:
    """The product as printed, whose factors are the measured ones."""
    assert near(slope, run.slope) and near(weights, run.weights)
    return float(slope) * float(weights)


@claim(rf"Slope and weights balance: {PRODUCT} is about 1\.")
def product_balances(run: Run, slope: str, weights: str) -> None:
    """The product is within a tenth of 1."""
    product_holds(run, slope, weights)
    assert abs(math.expm1(run.log_typical(run.free))) <= ABOUT
    carried(run)


@claim(rf"Slope and weights keep the gradient within a factor of 100 over these steps: {PRODUCT} is {SIZE}\.")
def product_is(run: Run, slope: str, weights: str, product: str) -> None:
    """The equation holds as printed, and the gradient's own factor is no other."""
    product_holds(run, slope, weights)
    assert near_product(slope, weights, product) and near_log(product, run.log_typical(run.free))
    assert abs(run.log_typical(run.free) - run.free.log_rate) <= 0.1
    carried(run)


@claim(rf"The weights outweigh the slope of (\w+): {PRODUCT}(?: = {SIZE})? is more than a step can bear\.")
def outweigh(run: Run, name: str, slope: str, weights: str, total: str | None) -> None:
    """The product is more than 1, as it reads."""
    product = product_holds(run, slope, weights)
    assert name == run.ds.attrs["activation"] and product > 1 and run.free.log_rate > 0
    assert (near(total, product) and float(total) > 1) if total else product >= 1.005


@claim(rf"The weights outweigh the slope of (\w+): their scale {SIZE} is more than a step can bear\.")
def scale_alone(run: Run, name: str, weights: str) -> None:
    """Where nothing was left to measure a slope of."""
    assert name == run.ds.attrs["activation"] and near(weights, run.weights) and float(weights) > 1


@claim(
    rf"The gradient turns into directions that the weights (shrink|stretch): a typical one keeps {SIZE} per step, the "
    rf"gradient {SIZE} \(spectral radius of the weights {SIZE}\)\."
)
def directions(run: Run, way: str, typical: str, rate: str, radius: str) -> None:
    """The gradient's factor is on the side that is said, as printed."""
    assert near_log(typical, run.log_typical(run.free)) and near_log(rate, run.free.log_rate)
    assert near(radius, run.radius)
    assert (float(rate) < float(typical)) if way == "shrink" else (float(rate) > float(typical))


@claim(r"(\d+) % of the units never switch on, at any step of any sample; no gradient passes them\.")
def dead(run: Run, share: str) -> None:
    """As recorded."""
    assert near(share, 100 * float(run.ds.dead_units)) and float(share) >= 50


UP = rf"and the weights \({SIZE}\) do not make up for it"


def slope_holds(run: Run, name: str, slope: str, weights: str) -> None:
    """It is below 1, and so is its product with the weights."""
    assert name == run.ds.attrs["activation"] and product_holds(run, slope, weights) < 1
    assert float(slope) < 1 and float(slope) <= float(weights)


@claim(rf"The slope of (\w+) is at most {SIZE} \(here {SIZE} on average\), {UP}\.")
def bound(run: Run, name: str, most: str, slope: str, weights: str) -> None:
    """The largest slope is small."""
    slope_holds(run, name, slope, weights)
    assert near(most, ACTIVATIONS[name].max_slope) and float(slope) <= float(most)


@claim(rf"The slope of (\w+) is {SIZE} on average, as (\d+) % of the units are switched off at a time, {UP}\.")
def off(run: Run, name: str, slope: str, share: str, weights: str) -> None:
    """The share is as recorded, and worth a word."""
    slope_holds(run, name, slope, weights)
    candidate = CELLS[run.ds.attrs["cell_name"]].candidate
    assert near(share, 100 * run.mean("gate_saturation", candidate)) and float(share) >= 10


@claim(
    rf"The slope of (\w+) is only {SIZE}, as (the input and the biases drive|the state itself drives) the units hard "
    rf"\({SIZE} from input and bias, {SIZE} from the state, root mean square\), {UP}\."
)
def driven(run: Run, name: str, slope: str, who: str, drive: str, state: str, weights: str) -> None:
    """The larger part is the one that is named."""
    slope_holds(run, name, slope, weights)
    assert near(drive, float(run.ds.input_drive)) and near(state, run.recurrence)
    assert (float(drive) >= float(state)) if "input" in who else (float(drive) <= float(state))


@claim(
    rf"The weights are too small: their scale is {SIZE} \(spectral radius {SIZE}\), and no slope \({SIZE} on average\) "
    r"makes up for it\."
)
def too_small(run: Run, weights: str, radius: str, slope: str) -> None:
    """They are below 1, and so is their product with the slope."""
    assert product_holds(run, slope, weights) < 1 and near(radius, run.radius)
    assert float(weights) < 1


# chaos and transients

EXPONENT = (
    rf"leading exponent {SIZE}(?: \+- {SIZE})? "
    r"(of a linear net, from the spectral radius of its weights|over [\d,]+ steps? of [\d,]+ samples?)"
)


def exponent_holds(run: Run, value: str, error: str | None, basis: str) -> float:
    """The exponent is that of the diagnosis, whose sign is that of an interval of three errors."""
    known = run.found.exponent
    assert known is not None and near(value, known.value) and near(error or "0", known.error)
    assert basis.startswith("of a linear") == (known.steps == 0)
    if known.steps:
        assert [int(count.replace(",", "")) for count in re.findall(r"[\d,]+", basis)] == [known.steps, known.samples]
    else:
        assert near(value, math.log(run.radius)) and run.ds.attrs["activation"] == "identity"
    return known.value if abs(known.value) > 3 * known.error else 0.0


@claim(
    rf"The state stays bounded while nearby states separate by {RATE} per step: it is chaotic under this input "
    rf"\({EXPONENT}\), and a small difference doubles every {SIZE} (?:steps|step)\."
)
def chaotic(run: Run, rate: str, value: str, error: str | None, basis: str, every: str) -> None:
    """The interval lies above 0; rate and doubling are of the one exponent."""
    log = exponent_holds(run, value, error, basis)
    assert log > 0 and run.grows and near_log(rate, log) and near(every, math.log(2) / log)
    assert run.found.exponent is not None and run.found.exponent.bounded


@claim(
    rf"This is transient growth: it grows over some steps, but in the long run a step makes it {RATE} \({EXPONENT}\)\."
)
def transient(run: Run, rate: str, value: str, error: str | None, basis: str) -> None:
    """The interval lies below 0, though it explodes here."""
    log = exponent_holds(run, value, error, basis)
    assert log < 0 and run.grows and near_log(rate, log)


@claim(
    rf"The recurrent weights are non-normal \(Henrici's departure {SIZE}, of a norm of {SIZE}\): "
    r"products of them can grow before they fall\."
)
def non_normal(run: Run, departure: str, norm: str) -> None:
    """sqrt(||W||^2 - sum |eigenvalue|^2), and ||W||."""
    squares = float((run.ds.recurrent_singular_values.astype(float) ** 2).sum())
    assert near(norm, math.sqrt(squares))
    assert near(departure, math.sqrt(squares - float((run.ds.recurrent_eigenvalues.astype(float) ** 2).sum())), 1.0)


@claim(r"Whether it is chaotic or a transient, ([\d,]+) steps? cannot tell\.")
def too_few_for_chaos(run: Run, steps: str) -> None:
    """No exponent is known."""
    assert run.found.exponent is None and run.grows
    assert int(steps.replace(",", "")) == int(run.ds.valid_steps.median())


@claim(rf"Whether it is chaotic or a transient cannot be told: {EXPONENT}, which may be 0\.")
def open_question(run: Run, value: str, error: str | None, basis: str) -> None:
    """The interval holds 0."""
    assert exponent_holds(run, value, error, basis) == 0 and run.grows


@claim(rf"The forward pass grows in the long run \({EXPONENT}\): it is unstable, not chaotic\.")
def grows_in_the_long_run(run: Run, value: str, error: str | None, basis: str) -> None:
    """The interval lies above 0, and the state is not bounded."""
    assert exponent_holds(run, value, error, basis) > 0
    assert run.found.exponent is not None and not run.found.exponent.bounded


@claim(rf"The forward pass grows as well, by {RATE} per step: it is unstable, not chaotic\.")
def unstable(run: Run, rate: str) -> None:
    """By more than 1, as it reads, until it leaves the finite numbers or for ever."""
    assert float(rate) >= 1 and run.free.log_rate > 0
    exponent = run.found.exponent
    assert run.found.word == "overflow" or (exponent is not None and exponent.sign > 0 and not exponent.bounded)


@claim(rf"The forward pass grows as well, by {RATE} per step\.")
def grows_too(run: Run, rate: str) -> None:
    """By more than 1, as it reads."""
    assert float(rate) >= 1 and run.free.log_rate > 0


@claim(rf"It need not grow for ever: {EXPONENT}, which may be 0\.")
def power(run: Run, value: str, error: str | None, basis: str) -> None:
    """A linear net whose interval holds 0."""
    assert exponent_holds(run, value, error, basis) == 0 and run.grows
