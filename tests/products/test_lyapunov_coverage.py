"""How often a Lyapunov exponent lies within one and two of its standard errors, against a run twenty times as long."""

import numpy as np
import pytest

from gradlab import make_cell
from gradlab.products.lyapunov import lyapunov

SEEDS = range(1000, 1040)  # that nothing was tuned on
CASES = {  # cell, size, steps, scale of the input, seed of the weights, how they are drawn
    "chaotic": ("elman", 24, 1500, 0.1, 1, {"gain": 3.0}),
    "critical": ("elman", 24, 1500, 0.1, 1, {"gain": 1.3}),
    "slow": ("gru", 8, 1500, 1.0, 0, {"forget_bias": 5.0}),
    "slow LSTM": ("lstm", 8, 1500, 1.0, 0, {"forget_bias": 5.0}),
}


def noise(seed, steps, batch, scale):
    rng = np.random.default_rng(seed)
    return (scale * rng.normal(size=(100, batch, 2)) for _ in range(0, steps, 100))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_errors_hold_as_often_as_they_say(case):
    name, size, steps, scale, weights, options = CASES[case]
    cell = make_cell(name, input_size=2, hidden_size=size)
    params = cell.init(weights, **options)
    reference = lyapunov(cell, params, noise(9999, 30_000, 8, scale), k=1, warmup=4000)
    doubt = reference.spread / np.sqrt(8)
    for batch in (1, 4, 32):
        runs = [lyapunov(cell, params, noise(s, steps, batch, scale), k=1, warmup=steps // 10) for s in SEEDS]
        off = [abs(run.exponents - reference.exponents) / np.hypot(run.stderr, doubt) for run in runs]
        within = [float((np.array(off) < n).mean()) for n in (1, 2)]
        print(f"{case} B={batch}: {reference.exponents[0]:.5f} {within[0]:.0%} {within[1]:.0%}")
        assert within[0] >= 0.6 and within[1] >= 0.9, (batch, within)
