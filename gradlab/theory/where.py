"""Every prediction's name for people, and where it holds and fails, in a sentence or two each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """A prediction's label, where it holds, and where it fails."""

    label: str
    holds: str
    fails: str


WHERE = {
    "orthogonal": Where(
        "orthogonal weights",
        "Exact at every step: a linear network whose weights are a rotation times a number multiplies every gradient "
        "by that number.",
        "Fails as soon as there is a nonlinearity: its slopes shrink the gradient.",
    ),
    "spectral_radius": Where(
        "spectral radius of the weights",
        "Holds for linear networks over many steps: only the largest eigenvalue is left in the end.",
        "Fails over the first steps, where the singular values decide; the farther the weights are from normal, the "
        "longer that takes.",
    ),
    "zero_input": Where(
        "spectral radius at rest",
        "Holds without input, and with inputs so small that the gates stay near their values at rest.",
        "Fails where inputs open and close the gates, and, where the rest is unstable, once the state has moved away.",
    ),
    "living_units": Where(
        "identity weights and ReLU",
        "Exact along every unit that has not been at zero in between: it passes the gradient on unchanged.",
        "Fails where units reach zero, which cuts their gradient for good: the rest is the square root of the share "
        "alive, which falls slowly under inputs of both signs.",
    ),
    "minimal_rnn": Where(
        "mean field of MinimalRNN",
        "Holds for wide networks with independent random weights up to a gain of about 1.",
        "Fails for gains well above 1, where state and gate go together in time, and where gates differ lastingly from "
        "unit to unit (chrono biases, activations with a mean such as ReLU): there the slowest units decide.",
    ),
    "mean_field": Where(
        "mean field: 1/2 ln chi_1",
        "Holds for wide networks (some 200 units or more) with independent random weights that an input keeps moving; "
        "a single net of a few dozen units scatters about it by some 0.05 per step.",
        "Fails for trained or structured weights, without input in the ordered phase, where the state rests and the "
        "spectral radius of its Jacobian decides, and by some 0.05 with one input feature, whose strength fluctuates.",
    ),
    "newman": Where(
        "independent Gaussian Jacobians",
        "Exact for every size where each step has new, independent Gaussian weights and no nonlinearity.",
        "Fails for a recurrent network's one W, which is the same at every step: there its eigenvalues decide.",
    ),
    "pascanu": Where(
        "largest slope times largest singular value",
        "Holds always, as a bound from above: below 1 the gradient of an Elman network must vanish.",
        "Says nothing above 1: the gradient may still vanish, as slopes are seldom at their largest and gradients "
        "seldom along the largest singular vector.",
    ),
    "chrono": Where(
        "chrono initialisation",
        "Holds for the cell state's own carry at rest, the product of the forget gates alone.",
        "Fails where inputs or the recurrent weights move the gates away from their biases, and after training.",
    ),
}
