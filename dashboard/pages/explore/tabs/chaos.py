"""Chaos: the Lyapunov spectrum of the driven net, computed when asked for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from dash import html

from gradlab.config import RunConfig
from gradlab.config.links import to_query
from gradlab.data import INPUTS, Series, read_input
from gradlab.plots.chaos import exponent_texts
from gradlab.products.lyapunov import LyapunovSpectrum, lyapunov
from gradlab.runs.build import build
from gradlab.runs.cost import size
from gradlab.runs.verdicts import verdict
from gradlab.wording import counted, factor_text

from ....components import Component, message, table_details, typeset
from ....work.jobs import Progress
from ..request import Run
from . import frame

TITLE = "Chaos"
TEXT = (
    "Start the net twice, a hair apart, on the same input: do the two runs come together or drift apart? Lyapunov "
    "exponents are the mean rates, one for each direction in which they can differ, as natural logarithms per step. "
    "The largest one is also what a gradient does in the long run: above 0 it explodes, below 0 it vanishes."
)
SAMPLES = 8  # independent inputs, whose differences give the error bars
STEPS = 2000  # of the first try
MORE = 4  # times as many steps, or exponents, in the next one
FIRST = 128  # exponents of the first try, at most
SURE = 2.0  # standard errors from 0 from which on its sign is told
_STEP_SECONDS, _FLOP_SECONDS = 6e-5, 7e-11  # of one step of all samples, and of one operation in it


@dataclass(frozen=True)
class Plan:
    """How much to compute: steps in all, samples, leading exponents of `size`; `own`: windows of the user's data."""

    steps: int
    samples: int
    k: int
    size: int
    own: bool = False


@dataclass(frozen=True)
class Outcome:
    """A plan and the spectrum that came of it."""

    plan: Plan
    spectrum: LyapunovSpectrum


def plan(config: RunConfig, last: Outcome | None) -> Plan:
    """What to compute next: after a spectrum that is too short, one with more exponents or steps."""
    _, states, hidden = size(config)
    exponents = round(states * hidden)
    if last is None:
        longest, samples = _own_data(config)
        return Plan(min(STEPS, longest), samples, min(FIRST, exponents), exponents, config.input not in INPUTS)
    before, k, steps = last.plan, last.plan.k, last.plan.steps
    if np.isnan(last.spectrum.kaplan_yorke):
        k = min(MORE * k, exponents)
    else:
        steps = min(MORE * steps, _own_data(config)[0])
    return Plan(steps, before.samples, k, before.size, before.own)


def _own_data(config: RunConfig) -> tuple[int, int]:
    """How many steps and samples the input can give: of a file, windows that need not overlap."""
    if config.input in INPUTS:
        return 10**9, SAMPLES
    data = read_input(Path(config.input), config.column)
    if isinstance(data, Series):
        return max(len(data.rows) // SAMPLES, config.steps), SAMPLES
    return len(data.values), min(SAMPLES, data.values.shape[1])


def offer(config: RunConfig, last: Outcome | None) -> frame.Offer | None:
    """The first spectrum; then a better one for as long as it is not good enough and there are data for it."""
    wanted = plan(config, last)
    good = last is not None and last.spectrum.converged and not np.isnan(last.spectrum.kaplan_yorke)
    if last is not None and (good or wanted == last.plan):
        return None
    which = f"All {wanted.k}" if wanted.k == wanted.size else f"The leading {wanted.k} of {wanted.size}"
    doubt = f"{_doubt(last.spectrum)} " if last else ""
    text = f"{doubt}{which} exponents over {counted(wanted.steps, 'step')} of {counted(wanted.samples, 'sample')}."
    return frame.Offer("Compute more" if last else "Compute the spectrum", text, seconds(config, wanted))


def _doubt(spectrum: LyapunovSpectrum) -> str:
    """Why the spectrum may not be good enough; empty where it is."""
    return "" if spectrum.converged else f"Not converged: {spectrum.notes[0]}."


def seconds(config: RunConfig, wanted: Plan) -> float:
    """Predicted time: each step multiplies the directions with the Jacobian and makes them orthogonal again."""
    gates, _, hidden = size(config)
    products = 2 * gates * hidden**2 + 4 * wanted.size * wanted.k
    return wanted.steps * (_STEP_SECONDS + _FLOP_SECONDS * wanted.samples * wanted.k * products)


def compute(config: RunConfig, last: Outcome | None, on_progress: Progress) -> Outcome:
    """The spectrum of the run's weights under more of its input. Raises InputError where the run overflows."""
    wanted = plan(config, last)
    cell, params, _ = build(config)
    x = build(config.replace(steps=wanted.steps, batch_size=wanted.samples))[2]
    return Outcome(wanted, lyapunov(cell, params, x, k=wanted.k, on_progress=on_progress))


def dataset(spectrum: LyapunovSpectrum) -> xr.Dataset:
    """The spectrum as figures want it, named as `analyze` names it."""
    variables = {
        "lyapunov_exponent": ("exponent", spectrum.exponents),
        "lyapunov_stderr": ("exponent", spectrum.stderr),
        "lyapunov_running": (("running_step", "exponent"), spectrum.running),
    }
    indices = range(1, len(spectrum.exponents) + 1)
    return xr.Dataset(variables, {"exponent": indices, "running_step": spectrum.running_steps})


def show(outcome: Outcome, run: Run) -> list[Component]:
    """What the spectrum says, its figures, and how it was computed."""
    spectrum, ds = outcome.spectrum, dataset(outcome.spectrum)
    found = headline(spectrum)
    shown = Run(ds, run.config, run.theme)
    figures = [
        shown.figure("lyapunov", f"Lyapunov exponents, largest first. {found}"),
        shown.figure("lyapunov_course", "The leading exponents as averages over ever more steps."),
    ]
    words: list[Component] = [
        html.P(typeset(found), className="finding"),
        html.P(typeset(rest(outcome, run))),
    ]
    if not spectrum.converged and offer(run.config, outcome) is None:
        words.append(message(_doubt(spectrum), "warn"))
    table = table_details(rows(spectrum), "Lyapunov exponents in nats per step, largest first")
    return [*words, html.Div(figures, className="pair"), html.P(caption(outcome), className="caption"), table]


def headline(spectrum: LyapunovSpectrum) -> str:
    """Whether the net is chaotic, in one sentence."""
    first, error = float(spectrum.exponents[0]), float(np.nan_to_num(spectrum.stderr[0]))
    doubt = f" ± {error:.1g}" if error else ""
    number = f"largest exponent {first:+.3f}{doubt}, {factor_text(first)} per step"
    if np.isneginf(first):
        return "Not chaotic: every difference is gone after a step (all exponents are −∞)."
    if abs(first) < SURE * error:
        return f"On the edge of chaos: {number}; its sign cannot be told from these samples."
    return f"Chaotic: {number}." if first > 0 else f"Not chaotic: {number}."


def rest(outcome: Outcome, run: Run) -> str:
    """The same for the gradient, and how large the chaos is."""
    spectrum, found = outcome.spectrum, verdict(run.ds)
    texts = []
    if found.word not in ("overflow", "too short"):
        measured = factor_text(found.log_rate)
        texts.append(f"The gradient itself was measured at {measured} per step over {counted(found.steps, 'step')}.")
    if positive := int((spectrum.exponents > 0).sum()):
        texts += _size_of_chaos(outcome, positive)
    return " ".join(texts)


def _size_of_chaos(outcome: Outcome, positive: int) -> list[str]:
    spectrum, wanted = outcome.spectrum, outcome.plan
    dimension, entropy = float(spectrum.kaplan_yorke), float(spectrum.exponents[spectrum.exponents > 0].sum())
    least = "at least " if np.isnan(spectrum.entropy_rate) else ""
    of_all = f"of {'' if wanted.k == wanted.size else 'the leading '}{counted(wanted.k, 'direction')}"
    drift = "drifts" if positive == 1 else "drift"
    texts = [f"{positive} {of_all} {drift} apart, together by {least}{entropy:.3g} nats per step (entropy rate)."]
    if np.isnan(dimension):
        return [*texts, f"The Kaplan-Yorke dimension needs more than {counted(wanted.k, 'exponent')}."]
    return [*texts, f"The states fill about {dimension:.1f} of {counted(wanted.size, 'dimension')} (Kaplan-Yorke)."]


def caption(outcome: Outcome) -> str:
    """How it was computed, for whoever cites it."""
    spectrum, wanted = outcome.spectrum, outcome.plan
    source = counted(wanted.samples, "independent input")
    if wanted.own:
        source = f"{counted(wanted.samples, 'window')} of the data, which may overlap (then the errors are too small)"
    notes = spectrum.notes if spectrum.converged else spectrum.notes[1:]
    interval = "at every step" if spectrum.every < 1.05 else f"every {spectrum.every:.2g} steps"
    return (
        f"An estimate: means over {counted(spectrum.steps, 'step')} after {spectrum.warmup:,} uncounted ones, of "
        f"{source}; ± is one standard error. {wanted.k} of {counted(wanted.size, 'exponent')} by the QR method on the "
        f"joint state (Benettin et al. 1980), orthogonal again {interval}. "
        "From Python: gradlab.lyapunov(cell, params, x)."
    ) + "".join(f" Note: {note}." for note in notes)


def rows(spectrum: LyapunovSpectrum) -> list[dict[str, str]]:
    """All exponents as a table."""
    texts = exponent_texts(spectrum.exponents, np.nan_to_num(spectrum.stderr))
    return [{"index": str(n), "exponent, factor per step": text} for n, text in enumerate(texts, 1)]


WORK = frame.TabWork("chaos", to_query, compute, TEXT, "Lyapunov spectrum: share done", offer, show)
