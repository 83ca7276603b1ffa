"""All that theory predicts for one very net, from its actual weights and input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, quiet, require_finite, to_numpy
from ..cells import Cell
from ..engine.forward import checked_lengths, full_inputs
from ..errors import InputError
from .gates import host_parameters, log_spectral_radius, minimal_rnn_chi, zero_input_rate
from .gaussian import moments
from .phases import DIVERGES, chi_1, scales, variance
from .where import WHERE

ROTATION = 1e-5  # relative distance from a multiple of an orthogonal matrix; weights in float32 have 1e-6
RELATED = 0.5  # |tr W^2| / ||W||_F^2: near 0 for independent entries, 1 for symmetric, identity, antisymmetric weights
CONCENTRATED = 4.0  # H sum sigma_i^4 / (sum sigma_i^2)^2: 2 for independent entries, 1 for rotations, H / r for rank r


@dataclass(frozen=True)
class Prediction:
    """A predicted rate: ln of the factor per step of the gradient's norm, one per model (*M).

    holds, fails: where one may trust it, and where not.
    """

    name: str
    label: str
    log_rate: np.ndarray
    holds: str
    fails: str


def predictions(
    cell: Cell, params: Mapping[str, Array], x: Array | None = None, lengths: Array | None = None
) -> list[Prediction]:
    """Every prediction that applies to this very net, the most trustworthy first; empty where theory has none.

    x, lengths: its input as `unroll` takes it, None for no input. The standard deviations are the realised ones: of W
    times sqrt(H), of b, and of V x. Raises InputError for parameters, input and lengths that are not the cell's or not
    finite.
    """
    host, models = host_parameters(cell, params), cell.require(params)
    with quiet():  # what overflows is beyond every theory's range
        net = Net(cell, host, cell.weights(host), models, _second_moment(x, lengths, cell, models))
        return [*RULES.get(cell.name, _gated)(net)]


@dataclass(frozen=True)
class Net:
    """A cell with its parameters in host memory, and the second moment of its input (*M or 1s, D, D).

    weights: what the recurrence multiplies by.
    """

    cell: Cell
    params: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    models: tuple[int, ...]
    second_moment: np.ndarray

    def sigma_v(self, driven: int = 0) -> np.ndarray:
        """Root mean square of V x of a driven gate (*M)."""
        v = self.weights["W_xh"][driven]
        return np.sqrt(((v @ self.second_moment) * v).sum(axis=-1).mean(axis=-1))

    def sigma_b(self, gate: int = 0) -> np.ndarray:
        """Root mean square of a gate's bias (*M)."""
        return np.sqrt((self.weights["b_h"][gate] ** 2).mean(axis=-1))

    @property
    def sigma_w(self) -> np.ndarray:
        """Root mean square of the first recurrent gate's weights, times sqrt(H) (*M)."""
        return np.linalg.norm(self.weights["W_hh"][0], axis=(-2, -1)) / np.sqrt(self.cell.hidden_size)

    @property
    def driven(self) -> bool:
        """Whether any gate hears an input."""
        return bool(np.any([self.sigma_v(k) for k in range(len(self.cell.driven_gates))]))


def _second_moment(x: Array | None, lengths: Array | None, cell: Cell, models: tuple[int, ...]) -> np.ndarray:
    """Mean of x x^T over the steps and samples that belong to the sequences."""
    if x is None:
        return np.zeros((*(1,) * len(models), cell.input_size, cell.input_size))
    full = full_inputs(cell, to_numpy(x), models, float)
    host = None if lengths is None else to_numpy(lengths)
    own = checked_lengths(host, full, (*models, full.shape[-2]))
    require_finite("x", full, own.inside)
    full, steps = own.keep(full), own.count(full.shape[0])
    count = np.broadcast_to(steps, full.shape[1:-1]).sum(axis=-1)
    rows = np.moveaxis(full, 0, -2).reshape(*full.shape[1:-2], -1, full.shape[-1])  # every step of every sample
    return rows.swapaxes(-1, -2) @ rows / np.maximum(count, 1)[..., None, None]


def _prediction(name: str, log_rate: np.ndarray, here: str = "", warning: str = "") -> Prediction:
    where = WHERE[name]
    holds, fails = f"{where.holds} {here}".strip(), f"{warning} {where.fails}".strip()
    return Prediction(name, where.label, np.asarray(log_rate, float)[()], holds, fails)


# which predictions apply to which cell


def _elman(net: Net) -> Iterator[Prediction]:
    w, phi, leak = net.weights["W_hh"][0], net.cell.activation.name, getattr(net.cell, "leak", 1.0)
    identity = np.eye(w.shape[-1])
    if phi == "identity":
        jacobian = (1 - leak) * identity + leak * w
        if (scale := _rotation_scale(jacobian)) is not None:
            yield _prediction("orthogonal", scale)
        yield _prediction("spectral_radius", log_spectral_radius(jacobian))
    if phi == "relu" and np.array_equal(w, np.broadcast_to(identity, w.shape)):
        yield _prediction("living_units", np.zeros(net.models))
    if phi != "identity":
        yield from _at_rest(net, always=False)
    if leak == 1 and _independent(w):
        with suppress(InputError):  # beyond the theory's range
            yield _mean_field(net)


def _minimal_rnn(net: Net) -> Iterator[Prediction]:
    yield from _at_rest(net, always=False)
    if _independent(net.weights["W_hh"][0]):
        with suppress(InputError):  # beyond the theory's range
            yield _minimal_rnn_mean_field(net)


def _indrnn(net: Net) -> Iterator[Prediction]:
    if net.cell.activation.name == "identity":
        return _multiplied(net)
    return _at_rest(net, always=False)


def _multiplied(net: Net) -> Iterator[Prediction]:
    """Of a linear recurrence that is diagonal."""
    with np.errstate(divide="ignore"):
        yield _prediction("spectral_radius", np.log(np.abs(net.cell.multipliers(net.weights)).max(axis=-1)))


def _cornn(net: Net) -> Iterator[Prediction]:
    return _at_rest(net, always=False)


def _gated(net: Net) -> Iterator[Prediction]:
    return _at_rest(net, always=True)


RULES: dict[str, Callable[[Net], Iterator[Prediction]]] = {
    "elman": _elman,
    "minimal_rnn": _minimal_rnn,
    "indrnn": _indrnn,
    "lru": _multiplied,
    "cornn": _cornn,
}


def _at_rest(net: Net, always: bool) -> Iterator[Prediction]:
    """The rate at the state that the cell rests in without input, if it rests; `always`: with an input, too."""
    if net.driven and not always:
        return
    with suppress(InputError):  # a state that never rests has no such rate
        moved = max(float(net.sigma_v(k).max()) for k in range(len(net.cell.driven_gates))) if net.driven else 0.0
        here = f"Here the input moves the gates' pre-activations by {moved:.2g} (rms)." if moved else ""
        yield _prediction("zero_input", zero_input_rate(net.cell, net.params), here)


def _mean_field(net: Net) -> Prediction:
    w, b, v = scales(sigma_w=net.sigma_w, sigma_b=net.sigma_b(), sigma_v=net.sigma_v())
    phi = net.cell.activation
    q = variance(phi, w, b * b + v * v)
    log_rate = 0.5 * np.log(chi_1(phi, w, q))
    here = ", ".join(f"sigma_{name} = {float(np.mean(s)):.3g}" for name, s in (("w", w), ("b", b), ("v", v)))
    return _prediction("mean_field", log_rate, f"Here {here}.", DIVERGES if np.isinf(q).any() else "")


def _minimal_rnn_mean_field(net: Net) -> Prediction:
    biases, chi = net.weights["b_h"][1], np.empty(net.models)
    square = moments(net.cell.activation)[0](net.sigma_v(0) ** 2 + net.sigma_b(0) ** 2)
    scales = np.broadcast_arrays(net.sigma_w, net.sigma_v(1), square)
    for i in np.ndindex(net.models):
        w, v, r = (float(scale[i]) for scale in scales)
        chi[i] = minimal_rnn_chi(w, v, r, biases[i].mean(), biases[i].std())
    return _prediction("minimal_rnn", 0.5 * np.log(chi))


def _rotation_scale(w: np.ndarray) -> np.ndarray | None:
    """ln r (*M) where w^T w = r^2 I, None where that is not so."""
    gram = np.swapaxes(w, -1, -2) @ w
    square = np.trace(gram, axis1=-2, axis2=-1) / w.shape[-1]
    distance = np.abs(gram - square[..., None, None] * np.eye(w.shape[-1])).max(axis=(-2, -1))
    return 0.5 * np.log(square) if (distance <= ROTATION * square).all() else None


def _independent(w: np.ndarray) -> bool:
    """Whether weights (*M, H, H) look like independent ones: no symmetry, and no few directions that dominate."""
    squares = np.square(w).sum(axis=(-2, -1))
    related = np.abs((w * np.swapaxes(w, -1, -2)).sum(axis=(-2, -1)))
    fourth = np.square(np.swapaxes(w, -1, -2) @ w).sum(axis=(-2, -1)) * w.shape[-1]
    return bool(((related <= RELATED * squares) & (fourth <= CONCENTRATED * squares**2) & (squares > 0)).all())
