"""Is the diagnosis right, and what are its predictions worth? Classes known otherwise, and remedies that were run.

    python -m studies.diagnosis_calibration            prints the tables of docs/diagnosis.md
    python -m studies.diagnosis_calibration --write    puts them into it

The class of each run is known from elsewhere, never from the diagnosis:

* closed form: an exact rate or a bound of it, the growth of a linear state, the distribution that the input drives;
* long run: the leading exponent of two copies of the net that start 1e-7 apart, over 1500 forward steps of other noise
  (Benettin et al. 1980); whether the state stays bounded, and how many units are saturated at its end;
* count: a plain loop over 3000 steps of other noise that counts the units that never switch on.

A rate r (ln of the factor per step) makes a run of T steps vanish where (T - 1) r < -ln 100, explode above ln 100;
exploding with a bounded state is chaotic. Runs have (T - 1) r at least 2 away from both, as a transient adds to it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import norm

import gradlab
from gradlab.cells import CELLS
from gradlab.diagnosis import Change, Diagnosis, Rerun, diagnose, rerunner
from gradlab.runs.build import build
from gradlab.runs.verdicts import log_rate_per_step

DOCUMENT = Path(__file__).parents[1] / "docs" / "diagnosis.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
WORDS = ("vanishing", "saturated", "dead units", "carried", "exploding", "chaotic", "overflow", "too short")
LOG_LIMIT, MARGIN = math.log(100), 2.0
APART, CHUNK, WARMUP, LONG = 1e-7, 4, 100, 1500
SLOPE_TENTH = {
    "tanh": 1.8184,
    "sigmoid": 3.6368,
    "hard_tanh": 1.0,
    "erf": 1.7121,
}  # |a| at a tenth of the largest slope
SWITCHED_ON = {"relu": 0.0, "gelu": -0.5324}  # a at a tenth of the largest slope

Network = tuple[gradlab.Cell, dict[str, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A run whose class is known. fields: of its RunConfig; network: given weights instead. truth: the class."""

    name: str
    source: str
    truth: Callable[[Case], str]
    fields: dict[str, Any]
    network: Callable[[], Network] | None = None

    @property
    def config(self) -> gradlab.RunConfig:
        return gradlab.RunConfig(**self.fields)

    def parts(self) -> Network:
        return self.network() if self.network else build(self.config)

    def run(self) -> xr.Dataset:
        if self.network is None:
            return gradlab.analyze(self.config)
        cell, params, x = self.network()
        return gradlab.analyze(cell=cell, params=params, x=x)

    def rerun(self) -> Rerun:
        if self.network is None:
            return rerunner(self.config)
        cell, params, x = self.network()

        def again(change: Change) -> xr.Dataset:
            return gradlab.analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)

        return again


CASES: list[Case] = []


def add(name: str, source: str, truth: Callable[[Case], str], **fields: Any) -> None:
    CASES.append(Case(name, source, truth, fields))


# where the class comes from


def word(log_rate: float, steps: int, bounded: bool = False) -> str:
    """The class of an exact rate."""
    total = log_rate * (steps - 1)
    if abs(abs(total) - LOG_LIMIT) < MARGIN:
        raise ValueError(f"{total:.2f} is too near to the border of a class: choose another configuration")
    if abs(total) < LOG_LIMIT:
        return "carried"
    return "vanishing" if total < 0 else "chaotic" if bounded else "exploding"


def exactly(log_rate: float, bounded: bool = False) -> Callable[[Case], str]:
    return lambda case: word(log_rate, case.config.steps, bounded)


def at_most(case: Case) -> str:
    """Pascanu's bound on the rate, ln(largest slope x largest singular value)."""
    cell, params, _ = case.parts()
    return word(math.log(cell.activation.max_slope * np.linalg.norm(params["W_hh"][0], 2)), case.config.steps)


def at_rest(case: Case) -> str:
    """The zero-input law: ln of the spectral radius of the Jacobian at h = c = 0, written out for each cell."""
    cell, params, _ = case.parts()
    bias, w = params["b_h"], params["W_hh"]
    gate = 1 / (1 + np.exp(-bias[cell.gates.index(str(cell.forget_gate))]))
    radius = {
        "lstm": lambda: np.diag(gate) + w[2] / 4,
        "gru": lambda: np.diag(gate) + (1 - gate)[:, None] * w[2] / 2,
        "gru_v1": lambda: np.diag(gate) + (1 - gate)[:, None] * w[2] / 2,
        "minimal_rnn": lambda: np.diag(gate),
        "min_gru": lambda: np.diag(gate),
        "min_lstm": lambda: np.diag(gate / (gate + 0.5)),
        "janet": lambda: np.diag(gate) + ((1 - gate) / (1 - gate + gate / math.e))[:, None] * w[1],
    }[cell.name]()
    return word(math.log(np.abs(np.linalg.eigvals(radius)).max()), case.config.steps)


def flat_under_input(case: Case) -> str:
    """The share of a normal distribution that lies where the slope is below a tenth: the input's part alone."""
    scale = math.hypot(case.config.input_scale, case.config.bias_scale)
    share = 2 * norm.sf(SLOPE_TENTH[case.config.activation] / scale)
    return "saturated" if share > 0.6 else "unknown"


def shut(case: Case) -> str:
    """A forget gate whose pre-activation is far below -3.64, where its slope is a tenth of the largest."""
    reach = 3 * math.hypot(case.config.input_scale, case.config.bias_scale, case.config.gain)
    return "saturated" if float(case.config.forget_bias) + reach < -SLOPE_TENTH["sigmoid"] else "unknown"


def grows_beyond(case: Case) -> str:
    """|h_t| of identity weights grows like gain^t until it leaves the numbers of the precision."""
    limit = math.log(float(np.finfo(case.config.dtype).max))
    return "overflow" if math.log(case.config.gain) * (case.config.steps - 5) > limit else "unknown"


def never_on(case: Case) -> str:
    """Counted in a plain loop over other noise."""
    cell, params, x = case.parts()
    v, w, b = (params[name][0] for name in ("W_xh", "W_hh", "b_h"))
    h, on = np.zeros((x.shape[1], cell.hidden_size)), np.zeros(cell.hidden_size, bool)
    for noise in np.random.default_rng(123).normal(size=(3000, *x.shape[1:])):
        a = noise @ v.T + h @ w.T + b
        h = cell.activation.value(np, a)
        on |= (a > SWITCHED_ON[cell.activation.name]).any(axis=0)
    return "dead units" if on.mean() < 0.45 else "unknown"


def long_run(case: Case) -> str:
    """From the growth of a small difference in long forward passes."""
    log_rate, state = leading_exponent(case)
    steps = case.config.steps if case.network is None else len(case.parts()[2])
    found = word(log_rate, steps, bounded=state is not None)
    cell = case.parts()[0]
    if found == "vanishing" and state is not None and cell.name == "elman" and cell.activation.name == "tanh":
        return "saturated" if (np.abs(state[0]) > math.tanh(SLOPE_TENTH["tanh"])).mean() >= 0.5 else found
    return found


def leading_exponent(case: Case) -> tuple[float, np.ndarray | None]:
    """ln of the factor per step of a small difference, and the state at the end, None where it grew beyond bounds."""
    cell, params, x = case.parts()
    rng = np.random.default_rng(2**20 + case.config.seed)
    batch = 8
    state = np.zeros((len(cell.states), 2 * batch, cell.hidden_size))
    state[:, batch:] += rng.normal(size=(len(cell.states), batch, cell.hidden_size)) * APART
    logs: list[float] = []
    for start in range(0, WARMUP + LONG, CHUNK):
        noise = np.tile(rng.normal(size=(CHUNK, batch, cell.input_size)), (1, 2, 1))
        before = difference(state)
        state = gradlab.unroll(cell, params, noise, initial_state=state).states[-1]
        grown = np.log(difference(state) / before).mean()
        if np.abs(state).max() > 1e9:
            return float(np.mean([*logs, grown])) / CHUNK, None
        if start >= WARMUP:
            logs.append(float(grown))
        state[:, batch:] = state[:, :batch] + (state[:, batch:] - state[:, :batch]) * APART / difference(state)[:, None]
    return float(np.mean(logs)) / CHUNK, state


def difference(state: np.ndarray) -> np.ndarray:
    """The distance between the two copies of each sample (B,)."""
    half = state.shape[1] // 2
    return np.sqrt(((state[:, half:] - state[:, :half]) ** 2).sum(axis=(0, -1)))


# the runs

LINEAR: dict[str, Any] = {"activation": "identity"}
UNIFORM: dict[str, Any] = {"recurrent_init": "uniform", "input_scale": 0.1}
EXACT, LONG_RUN = "closed form", "long run"

for gain in (0.9, 1.0, 1.1):
    add(f"orthogonal linear x{gain}", EXACT, exactly(math.log(gain)), **LINEAR, recurrent_init="orthogonal", gain=gain)
for gain in (0.98, 1.3):
    add(f"identity linear x{gain}", EXACT, exactly(math.log(gain)), **LINEAR, recurrent_init="identity", gain=gain)
add("IRNN x0.8", EXACT, exactly(math.log(0.8)), activation="relu", recurrent_init="identity", gain=0.8)
add("tanh x0.3", EXACT, at_most, gain=0.3)
add("tanh orthogonal x0.9", EXACT, at_most, recurrent_init="orthogonal", gain=0.9)
add("sigmoid x1", EXACT, at_most, activation="sigmoid")
add("softsign orthogonal x0.9", EXACT, at_most, activation="softsign", recurrent_init="orthogonal", gain=0.9)
for bias in (0.0, 1.0, 1.8, 3.5):
    add(f"LSTM at rest, bias {bias:g}", EXACT, at_rest, cell="lstm", **UNIFORM | {"input_scale": 0.0}, forget_bias=bias)
for bias in (0.0, 4.0):
    add(f"GRU at rest, bias {bias:g}", EXACT, at_rest, cell="gru", **UNIFORM | {"input_scale": 0.0}, forget_bias=bias)
    add(f"MinimalRNN at rest, bias {bias:g}", EXACT, at_rest, cell="minimal_rnn", input_scale=0.0, forget_bias=bias)
for name, bias in (*product(("min_gru", "min_lstm"), (0.0, 6.0)), ("min_gru", 4.0), ("janet", -2.0), ("gru_v1", 0.0)):
    add(f"{name} at rest, bias {bias:g}", EXACT, at_rest, cell=name, input_scale=0.0, forget_bias=bias)
add("identity x10, 400 steps", EXACT, grows_beyond, **LINEAR, recurrent_init="identity", gain=10.0, steps=400)
add("IRNN x4, float32", EXACT, grows_beyond, activation="relu", recurrent_init="identity", gain=4.0, dtype="float32")
add("identity x1e30", EXACT, grows_beyond, **LINEAR, recurrent_init="identity", gain=1e30)
for name, steps in (("elman", 8), ("gru", 9)):
    add(f"{name}, {steps} steps", EXACT, lambda case: "too short", cell=name, steps=steps)
for phi, scale in (("tanh", 10.0), ("sigmoid", 20.0), ("hard_tanh", 8.0), ("erf", 8.0)):
    add(f"{phi}, input x{scale:g}", EXACT, flat_under_input, activation=phi, input_scale=scale)
add("tanh, biases of 12", EXACT, flat_under_input, bias_scale=12.0, input_scale=0.5)
for name in ("LSTM", "GRU"):
    add(f"{name}, forget bias -10", EXACT, shut, cell=name.lower(), forget_bias=-10.0)
for gain in (1.0, 1.5, 1.95, 2.5, 4.0):
    add(f"tanh x{gain}", LONG_RUN, long_run, gain=gain)
add("tanh x2.2, 400 steps", LONG_RUN, long_run, gain=2.2, steps=400)
add("tanh orthogonal x1.9", LONG_RUN, long_run, recurrent_init="orthogonal", gain=1.9)
for phi in ("erf", "hard_tanh", "softsign", "sin"):
    add(f"{phi} x4", LONG_RUN, long_run, activation=phi, gain=4.0)
for phi in ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus"):
    add(f"{phi} x0.8", LONG_RUN, long_run, activation=phi, gain=0.8)
for phi in ("relu", "selu", "gelu", "softplus"):
    add(f"{phi} x3", LONG_RUN, long_run, activation=phi, gain=3.0)
for name in sorted(CELLS.keys() - {"elman"}):
    add(f"{name} with noise", LONG_RUN, long_run, cell=name)
for name in ("lstm", "gru"):
    add(f"{name} x8", LONG_RUN, long_run, cell=name, gain=8.0)
add("LSTM, forget bias 2", LONG_RUN, long_run, cell="lstm", forget_bias=2.0, **UNIFORM)
add("GRU, forget bias 5", LONG_RUN, long_run, cell="gru", forget_bias=5.0, **UNIFORM)
add("leak 0.2", LONG_RUN, long_run, leak=0.2)
add("leak 0.5 x5", LONG_RUN, long_run, leak=0.5, gain=5.0)
for seed, init in enumerate(("uniform", "glorot_uniform", "he", "sparse", "antisymmetric"), 11):
    for gain in (0.4, 6.0):
        own = {"recurrent_init": init, "gain": gain, "seed": seed}
        add(f"tanh, {init} x{gain}, H = 24", LONG_RUN, long_run, **own, hidden_size=24, batch_size=8)
add("tanh x1.95, H = 128", LONG_RUN, long_run, gain=1.95, hidden_size=128, seed=21, batch_size=8)
add("LSTM, forget bias 1, T = 300", LONG_RUN, long_run, cell="lstm", forget_bias=1.0, steps=300, seed=22, batch_size=8)


def given(name: str, gain: float = 1.0, bias: float | None = None, **options: Any) -> Callable[[], Network]:
    """Weights of one's own, with noise; bias: added to all biases."""

    def network() -> Network:
        cell = gradlab.make_cell(name, input_size=3, hidden_size=48, **options)
        params = cell.init(5, recurrent_init="glorot_uniform", gain=gain)
        if bias is not None:
            params["b_h"][:, : cell.hidden_size * 3 // 4] += bias
        return cell, params, np.random.default_rng(9).normal(size=(80, 16, 3))

    return network


CASES += [
    Case("given relu, biases -9", "count", never_on, {}, given("elman", bias=-9.0, activation="relu")),
    Case("given gelu, biases -40", "count", never_on, {}, given("elman", bias=-40.0, activation="gelu")),
    Case("given tanh", LONG_RUN, long_run, {}, given("elman")),
    Case("given tanh x3", LONG_RUN, long_run, {}, given("elman", gain=3.0)),
    Case("given LSTM", LONG_RUN, long_run, {}, given("lstm")),
]


# the tables


@cache
def diagnosed(index: int) -> tuple[str, Diagnosis]:
    """(known class, diagnosis without rerun) of a case."""
    case = CASES[index]
    return case.truth(case), diagnose(case.run(), rerun=False)


def confusion(indices: range) -> dict[tuple[str, str], int]:
    """(known class, diagnosed class) -> how many."""
    counts: dict[tuple[str, str], int] = {}
    for index in indices:
        known, found = diagnosed(index)
        counts[known, found.word] = counts.get((known, found.word), 0) + 1
    return counts


def confusion_table(counts: dict[tuple[str, str], int]) -> list[str]:
    lines = ["| known, diagnosed | " + " | ".join(WORDS) + " |", "|---" * (len(WORDS) + 1) + "|"]
    for known in WORDS:
        lines.append(f"| **{known}** | " + " | ".join(str(counts.get((known, w), "")) for w in WORDS) + " |")
    right = sum(n for (known, found), n in counts.items() if known == found)
    return [*lines, "", f"{right} of {sum(counts.values())} configurations are diagnosed as what they are."]


KINDS = {  # words in a remedy's label -> its kind
    "LSTM": "LSTM with chrono forget biases",
    "chrono": "chrono forget biases",
    "Forget bias": "shift of the forget bias",
    "Orthogonal": "orthogonal weights at their edge",
    "Gaussian": "gaussian weights at their edge",
    "Leak": "smaller leak",
    "nput": "weaker input, or no biases",
    "iases": "weaker input, or no biases",
    "tanh": "another activation at its edge",
    "leaky_relu": "another activation at its edge",
    "Gain": "gain, or a factor of given weights",
    "Recurrent": "gain, or a factor of given weights",
}
OTHERS = "other changes"


def missed(indices: range) -> dict[str, list[float]]:
    """Kind of remedy -> measured minus predicted ln of the factor per step, of the first try."""
    found: dict[str, list[float]] = {}
    for index in indices:
        case, (_, diagnosis) = CASES[index], diagnosed(index)
        for remedy in diagnosis.remedies:
            if "steps" in remedy.change.fields or "Clip" in remedy.change.label:
                continue
            measured = log_rate_per_step(case.rerun()(remedy.change))
            kind = next((kind for part, kind in KINDS.items() if part in remedy.change.label), OTHERS)
            found.setdefault(kind, []).append(measured - remedy.predicted_log_rate)
    return found


def missed_table(found: dict[str, list[float]]) -> list[str]:
    lines = ["| remedy | runs | median error | 90 % within |", "|---|---|---|---|"]
    rows = [*found.items(), ("**all**", [e for errors in found.values() for e in errors])]
    for kind, errors in rows:
        middle, most = np.quantile(np.abs(errors), (0.5, 0.9))
        lines.append(f"| {kind} | {len(errors)} | {middle:.3f} | {most:.3f} |")
    return lines


def helped(indices: range) -> str:
    """How many of the nets that do not carry have, when remedies are run, one after which the gradient is carried."""
    ill = [i for i in indices if diagnosed(i)[1].word not in ("carried", "too short")]
    cured = 0
    for i in ill:
        found = diagnose(CASES[i].run(), CASES[i].rerun())
        cured += any(r.verified is not None and r.verified.word == "carried" for r in found.remedies)
    return f"Of {len(ill)} nets whose gradient is not carried, {cured} have a remedy among three after which it is."


def listing(indices: range) -> list[str]:
    lines = ["| configuration | known from | class | diagnosed | ln of the factor per step |", "|---|---|---|---|---|"]
    for i in indices:
        known, found = diagnosed(i)
        error = "" if found.stderr is None else f" +- {found.stderr:.1g}"
        rate = "-inf" if found.log_rate is None else f"{found.log_rate:.4f}"
        lines.append(f"| {CASES[i].name} | {CASES[i].source} | {known} | {found.word} | {rate}{error} |")
    return lines


def tables() -> str:
    """The part of docs/diagnosis.md that is computed."""
    every = range(len(CASES))
    parts = [
        ["### Confusion table", ""],
        confusion_table(confusion(every)),
        ["", "### What predictions are worth", ""],
        ["Absolute error of the predicted ln of the factor per step, before anything was run:", ""],
        missed_table(missed(every)),
        ["", helped(every)],
        ["", "### The configurations", ""],
        listing(every),
    ]
    return "\n".join(line for part in parts for line in part)


def main() -> None:
    """Print the tables, or write them into the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/diagnosis.md")
    text = tables() if not (options := parser.parse_args()).write else ""
    if not options.write:
        print(text)
        return
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()
