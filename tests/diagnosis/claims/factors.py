"""What the lines of measured factors claim."""

import math

from gradlab.cells import CELLS
from gradlab.cells.activations import ACTIVATIONS

from .numbers import near
from .run import SIZE, Run, claim


@claim(r"Measured:|Try:")
def heading(run: Run) -> None:
    """Nothing."""


@claim(rf"carry {SIZE} \(of a step's gradient, what units pass on by themselves\)")
def carry(run: Run, size: str) -> None:
    """Its part of the rate."""
    assert near(size, run.split(run.free.log_rate, run.free)[0], math.exp(run.free.log_rate))


@claim(rf"through the gates {SIZE} \(of a step's gradient, what the recurrent weights add\)")
def gates(run: Run, size: str) -> None:
    """The other part."""
    assert near(size, run.split(run.free.log_rate, run.free)[1], math.exp(run.free.log_rate))


@claim(rf"forget gate {SIZE} \(mean value; (\d+) % of its units saturated\)")
def forget_gate(run: Run, size: str, share: str) -> None:
    """Means over steps."""
    assert near(size, run.mean("gate_mean", run.forget))
    assert near(share, 100 * run.mean("gate_saturation", run.forget))


@claim(rf"activation slope {SIZE} \(of (\w+), (quadratic mean|mean); at most {SIZE}\)")
def slope(run: Run, size: str, name: str, kind: str, most: str) -> None:
    """The quadratic mean is what makes the typical factor."""
    assert name == run.ds.attrs["activation"] and near(most, ACTIVATIONS[name].max_slope)
    if kind == "mean":
        assert near(size, float(run.ds.activation_slope.mean()))
    else:
        assert near(size, run.slope)


@claim(rf"weight scale {SIZE} \(\|\|W\|\|_F / sqrt\(H\); (?:spectral radius {SIZE}|no gate has recurrent weights)\)")
def weight_scale(run: Run, size: str, radius: str | None) -> None:
    """Of the recurrent weights, where there are any."""
    assert near(size, run.weights) and (radius is None) == (not run.ds.recurrent_eigenvalues.size)
    assert radius is None or near(radius, run.radius)


@claim(rf"largest one-step factor {SIZE} \(\|\|J\|\|_2, median; above 1 allows growth, does not cause it\)")
def largest(run: Run, size: str) -> None:
    """Median over steps and samples."""
    assert near(size, float(run.ds.jacobian_spectral.median()))


@claim(rf"drive by input and bias {SIZE} \(root mean square; {SIZE} by the state\)")
def drive(run: Run, size: str, state: str) -> None:
    """Of the candidate's pre-activation."""
    assert near(size, float(run.ds.input_drive)) and near(state, run.recurrence)


@claim(rf"saturation {SIZE} \(share of units (saturated|switched off): slope below a tenth of the largest\)")
def saturation(run: Run, size: str, _: str) -> None:
    """Of the candidate's units."""
    assert near(size, run.mean("gate_saturation", CELLS[run.ds.attrs["cell_name"]].candidate))


@claim(rf"dead units {SIZE} \(share of units (saturated|switched off) at every step of every sample\)")
def dead_units(run: Run, size: str, _: str) -> None:
    """As recorded."""
    assert near(size, float(run.ds.dead_units))


@claim(rf"leading exponent {SIZE} \(nats per step in the long run, (of a linear net|over)[^)]*\)")
def exponent(run: Run, size: str, basis: str) -> None:
    """That of the diagnosis, whose text is checked with the cause."""
    assert run.found.exponent is not None and near(size, run.found.exponent.value)
    assert basis.startswith("of") == (run.found.exponent.steps == 0)


@claim(rf"overflow {SIZE} \(number of samples that left the finite numbers, the first at step (\d+)\)")
def overflow(run: Run, count: str, step: str) -> None:
    """As many as there are places."""
    assert int(count) == len(run.overflow) and int(step) == min(place["step"] for place in run.overflow)
