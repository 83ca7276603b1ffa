"""Networks whose weights and inputs are constructed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import gradlab

from ..cases import Given

Make = Callable[[], Given]


def elman(
    w: np.ndarray, activation: str, x: np.ndarray | None = None, *, bias: float = 0.0, read: float = 1.0, **own: Any
) -> Make:
    """Elman with the weights W, of whose input every unit sees `read` times the first feature alone.

    Without x the weights are put into a file. own: lengths, and the cell's leak.
    """

    def network() -> Given:
        lengths, width = own.get("lengths"), 2 if x is None else x.shape[2]
        leak = {"leak": own["leak"]} if "leak" in own else {}
        cell = gradlab.make_cell("elman", input_size=width, hidden_size=len(w), activation=activation, **leak)
        v = np.zeros((1, len(w), width))
        v[..., 0] = read
        return Given(cell, {"W_xh": v, "W_hh": w[None], "b_h": np.full((1, len(w)), bias)}, x, lengths)

    return network


def gated(name: str, x: np.ndarray | None, units: int = 12, see: float = 0.0, **biases: float) -> Make:
    """A gated net without recurrent weights: the forget gate sees `see` times the first feature, candidates 1 % of all.

    biases: gate -> its bias, zero by default.
    """

    def network() -> Given:
        width = 2 if x is None else x.shape[2]
        cell = gradlab.make_cell(name, input_size=width, hidden_size=units)
        params = {key: np.zeros((count, *shape)) for key, (count, shape) in cell.shapes.items()}
        params["W_xh"][cell.gates.index(str(cell.candidate))] = 0.01
        params["W_xh"][cell.gates.index(str(cell.forget_gate)), :, 0] = see
        for gate, bias in biases.items():
            params["b_h"][cell.gates.index(gate)] = bias
        return Given(cell, params, x)

    return network


def levels(*parts: tuple[int, float], batch: int = 8, noise: float = 0.0) -> np.ndarray:
    """Input (T, batch, 2): so many steps at each level, beside noise in the second feature."""
    first = np.concatenate([np.full(steps, level) for steps, level in parts])
    x = np.random.default_rng(len(first)).normal(size=(len(first), batch, 2)) * noise
    x[..., 0] = first[:, None]
    return x


def groups(steps: int, *sizes: tuple[int, float], noise: float = 0.0) -> np.ndarray:
    """Input (steps, B, 2): so many samples at each level, beside noise in the second feature."""
    return np.concatenate([levels((steps, level), batch=batch, noise=noise) for batch, level in sizes], axis=1)


def positive(units: int, radius: float, seed: int) -> np.ndarray:
    """Positive weights (Perron): under a positive input every unit stays on."""
    w = np.random.default_rng(seed).uniform(0.1, 1.0, size=(units, units))
    return w * radius / np.abs(np.linalg.eigvals(w)).max()


def chain(units: int, own: float, coupling: float) -> np.ndarray:
    """One Jordan block, whose only eigenvalue is `own`."""
    return own * np.eye(units) + coupling * np.eye(units, k=1)


def triangle(units: int, own: float, coupling: float, seed: int) -> np.ndarray:
    """Upper triangular: eigenvalues uniform in [-own, own], the largest `own`; couplings are normal."""
    rng = np.random.default_rng(seed)
    w = np.triu(rng.normal(size=(units, units)), 1) * coupling
    return w + np.diag(np.append(rng.uniform(-own, own, units - 1), own))


def turned(w: np.ndarray, seed: int) -> np.ndarray:
    """The same in other coordinates, turned at random."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=w.shape))
    return q @ w @ q.T


def drawn(gain: float, size: int, steps: int) -> Make:
    """Random tanh nets under noise of one's own."""

    def network() -> Given:
        cell = gradlab.make_cell("elman", input_size=3, hidden_size=size)
        x = np.random.default_rng(size).normal(size=(steps, 8, 3))
        return Given(cell, cell.init(size, gain=gain), x)

    return network
