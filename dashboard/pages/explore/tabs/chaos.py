"""Chaos: the Lyapunov spectrum of the driven net, computed when asked for."""

import numpy as np
from dash import html

from gradlab.config import RunConfig
from gradlab.config.links import to_query
from gradlab.plots.chaos import exponent_texts
from gradlab.products.lyapunov import LyapunovSpectrum
from gradlab.runs.spectrum import Outcome, compute, dataset, plan, seconds
from gradlab.runs.verdicts import verdict
from gradlab.wording import counted, factor_text

from ....components import Component, message, table_details, typeset
from ..request import Run
from . import frame

TITLE = "Chaos"
TEXT = (
    "Start the net twice, a hair apart, on the same input: do the two runs come together or drift apart? Lyapunov "
    "exponents are the mean rates, one for each direction in which they can differ, as natural logarithms per step. "
    "The largest one is also what a gradient does in the long run: above 0 it explodes, below 0 it vanishes."
)
SURE = 2.0  # standard errors from 0 from which on its sign is told


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
        measured = factor_text(found.fitted_log_rate)
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
