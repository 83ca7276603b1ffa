"""Classes from long forward passes, without a gradient.

The leading exponent is the growth of the distance of two copies of a net that start 1e-7 apart, over forward steps of
other noise (Benettin et al. 1980), with its error over blocks of time and samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import gradlab
from gradlab.cells import Activation

from .cases import Case, Known
from .truths import NOTHING, SLOPE_TENTH, word, word_with_ends

APART, CHUNK, WARMUP, LONG, BLOCK = 1e-7, 4, 100, 1500, 25
BATCH, BEYOND = 8, 1e9
SWITCHED_ON = {"relu": 0.0, "gelu": -0.5324}  # a at a tenth of the largest slope


@dataclass(frozen=True)
class Growth:
    """ln of the factor of a small difference: early (n,), summed, every CHUNK steps; log_rate per step, with its error.

    state: at the end, None where it grew beyond bounds.
    """

    early: np.ndarray
    log_rate: float
    error: float
    state: np.ndarray | None


def growth(case: Case, scale: float = 1.0) -> Growth:
    """Of a small difference in forward passes of other noise of a standard deviation."""
    cell, params, _ = case.parts()
    rng = np.random.default_rng(2**20 + case.config.seed)
    state = np.zeros((len(cell.states), 2 * BATCH, cell.hidden_size))
    state[:, BATCH:] += rng.normal(size=(len(cell.states), BATCH, cell.hidden_size)) * APART
    logs: list[np.ndarray] = []
    for _ in range(0, WARMUP + LONG, CHUNK):
        noise = np.tile(scale * rng.normal(size=(CHUNK, BATCH, cell.input_size)), (1, 2, 1))
        before = distance(state)
        state = gradlab.unroll(cell, params, noise, initial_state=state).states[-1]
        factor = distance(state) / before
        if not factor.all():
            return _met(case, logs, factor, state)
        logs.append(np.log(factor))
        if np.abs(state).max() > BEYOND:
            return Growth(np.cumsum(np.mean(logs, axis=1)), float(np.mean(logs)) / CHUNK, 0.0, None)
        away = (state[:, BATCH:] - state[:, :BATCH]) * APART
        state[:, BATCH:] = state[:, :BATCH] + away / distance(state)[:, None]
    counted = np.array(logs[WARMUP // CHUNK :])
    blocks = counted.reshape(-1, BLOCK, BATCH).mean(axis=1)
    error = float(blocks.std(ddof=1)) / math.sqrt(blocks.size)
    return Growth(np.cumsum(np.mean(logs, axis=1)), float(counted.mean()) / CHUNK, error / CHUNK, state)


def _met(case: Case, logs: list[np.ndarray], now: np.ndarray, state: np.ndarray) -> Growth:
    """The copies of some samples have met, and nothing is left of these: known where all others come near as well."""
    rate = float(np.mean(np.concatenate([*logs, np.log(now[now > 0])]))) / CHUNK if logs or now.any() else -NOTHING
    if word(rate, len(case.parts()[2])) != "vanishing":
        raise ValueError(f"copies of {np.sum(now == 0)} samples meet at step {CHUNK * len(logs)}: the class is open")
    return Growth(np.full(1, -NOTHING), -NOTHING, 0.0, state)


def distance(state: np.ndarray) -> np.ndarray:
    """Between the two copies of each sample (B,)."""
    half = state.shape[1] // 2
    return np.sqrt(((state[:, half:] - state[:, :half]) ** 2).sum(axis=(0, -1)))


def long_run(case: Case) -> Known:
    """From the exponent, wherever it lies within three of its errors."""
    cell = case.parts()[0]
    found = growth(case)
    known = _word(case, found)
    plain = cell.name == "elman" and getattr(cell, "leak", 1) == 1 and cell.activation.name in SLOPE_TENTH
    if known == "vanishing" and found.state is not None and plain:
        return Known("saturated" if flat(cell.activation, found.state) >= 0.5 else known)
    return Known(known)


def _word(case: Case, found: Growth) -> str:
    bounded, reach = found.state is not None, 3 * found.error
    words = {word(found.log_rate + off, int(case.lengths[0]), bounded) for off in (-reach, reach)}
    if len(words) > 1:
        raise ValueError(f"{found.log_rate:.4f} +- {found.error:.4f} leaves the class open")
    return words.pop()


def by_loudness(case: Case) -> Known:
    """Tanh nets whose samples get noise of one scale or another: the exponent under each; the louder are saturated."""
    scales = [float(f"{x:.0e}") for x in case.parts()[2].std(axis=(0, 2))]
    found = {scale: growth(case, scale) for scale in sorted(set(scales))}
    words = [_word(case, found[scale]).replace("chaotic", "exploding") for scale in scales]
    share = np.mean([flat(case.parts()[0].activation, np.asarray(found[scale].state)) for scale in scales])
    if words.count("vanishing") <= len(words) / 2 or share < 0.6:
        raise ValueError(f"{words}, {share:.2f} flat: choose more loud samples")
    return Known("saturated", {name: words.count(name) for name in ("vanishing", "exploding")})


def flat(phi: Activation, state: np.ndarray) -> float:
    """Share of the units of an Elman net whose slope is below a tenth, by their values."""
    middle, tenth = phi.value(np, np.array([0.0, SLOPE_TENTH[phi.name]]))
    return float((np.abs(state[0] - middle) >= tenth - middle).mean())


def from_the_start(case: Case) -> Known:
    """What a difference does within the first T steps; what grows there and fades in the long run is a transient."""
    found, steps = growth(case), len(case.parts()[2])
    known = word_with_ends(np.interp(np.arange(steps), *_times(found)))
    if known != "exploding":
        return Known(known)
    if abs(found.log_rate) < 3 * found.error:
        raise ValueError(f"{found.log_rate:.4f} +- {found.error:.4f} leaves the sign open")
    return Known("transient growth" if found.log_rate < 0 else "chaotic" if found.state is not None else known)


def _times(found: Growth) -> tuple[np.ndarray, np.ndarray]:
    return CHUNK * np.arange(len(found.early) + 1), np.concatenate([[0.0], found.early])


def shut(case: Case) -> Known:
    """A forget gate whose pre-activation is far below -3.64, where its slope is a tenth, and a small exponent."""
    reach = 3 * math.hypot(case.config.input_scale, case.config.bias_scale, case.config.gain)
    closed = float(case.config.forget_bias) + reach < -SLOPE_TENTH["sigmoid"]
    return Known("saturated" if closed and long_run(case).word == "vanishing" else "unknown")


def never_on(case: Case) -> Known:
    """Units that never switch on, counted in a plain loop over other noise, and a small exponent."""
    cell, params, x = case.parts()
    v, w, b = (params[name][0] for name in ("W_xh", "W_hh", "b_h"))
    h, on = np.zeros((x.shape[1], cell.hidden_size)), np.zeros(cell.hidden_size, bool)
    for noise in np.random.default_rng(123).normal(size=(3000, *x.shape[1:])):
        a = noise @ v.T + h @ w.T + b
        h = cell.activation.value(np, a)
        on |= (a > SWITCHED_ON[cell.activation.name]).any(axis=0)
    return Known("dead units" if on.mean() < 0.45 and long_run(case).word == "vanishing" else "unknown")
