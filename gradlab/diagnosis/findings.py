"""Dataset -> diagnosis: verdict, cause from measured factors, and remedies, verified where they can be run."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import xarray as xr

from ..config import RunConfig
from ..errors import InputError
from ..runs.analyze import OWN_FIELDS, analyze
from ..runs.attributes import config_of, overflow
from ..runs.build import build
from ..runs.verdicts import Verdict, require_curve, standard_error, verdict
from .factors import MEASURED, Factor, cause, factor_lines, measure, refined, without_step_clipping
from .remedies import Change, Remedy, candidates, is_clip

MOST = 3  # remedies
TRIES = 4  # runs of one remedy, each corrected by how much the one before missed
QUICK = 2**20  # numbers in all states of a run up to which remedies are run too
NOTHING = "No single change was found that carries the gradient."
Rerun = Callable[[Change], xr.Dataset]


@dataclass(frozen=True)
class Diagnosis:
    """What one run shows, why, and what would help.

    verdict: of `gradlab.verdict`. word: the verdict's, refined: vanishing, saturated, dead units, carried, exploding,
    chaotic, overflow, too short. log_rate: ln of the factor per step back, median over samples; stderr: its standard
    error over samples, NaN for one. half_life, reach, steps: as in the verdict. cause: in words. factors: name, value,
    text. remedies: at most three, best first. untried: why they were not run, where something stands against it.
    """

    verdict: Verdict
    word: str
    log_rate: float
    stderr: float
    half_life: float | None
    reach: int
    steps: int
    cause: str
    factors: list[Factor]
    remedies: list[Remedy]
    untried: str = ""

    @property
    def rate_text(self) -> str:
        """The rate as a researcher cites it."""
        if not math.isfinite(self.log_rate):
            return f"ln of the factor per step {self.log_rate:g}, exactly zero"
        size = f"+- {self.stderr:.1g}" if self.stderr > 1e-5 else "+- less than 0.00001"
        error = "" if math.isnan(self.stderr) else f" {size} (standard error over samples)"
        return f"ln of the factor per step {round(self.log_rate, 4) + 0.0:.4f}{error}"

    def __str__(self) -> str:
        measured = [f"  {f.name} {f.value:.3g} ({f.text})" for f in self.factors]
        found = [self.verdict.headline, *self.verdict.details, self.word_text, f"Cause: {self.cause}"]
        return "\n".join([*found, "Measured:", *measured, *self.advice()])

    @property
    def word_text(self) -> str:
        """The refined word with the rate."""
        return f"Diagnosis: {self.word}; {self.rate_text}."

    def advice(self) -> list[str]:
        """The remedies in lines, each with its reason, and whether none of them carries the gradient."""
        lines = [line for n, r in enumerate(self.remedies, 1) for line in (f"{n}. {r.text}", f"   {r.why}")]
        why_not = [self.untried] if self.untried else []
        return [*([NOTHING] if self.nothing_carries else []), *(["Try:", *lines] if lines else []), *why_not]

    @property
    def nothing_carries(self) -> bool:
        """Whether the gradient is not carried and no remedy was found after which it is."""
        needed = self.word not in ("carried", "too short")
        return needed and not any(remedy.carries(self.steps) for remedy in self.remedies)

    def _repr_html_(self) -> str:
        """For notebooks: colours are inherited, so that it reads in light and in dark."""
        text = html.escape
        rows = "".join(
            f"<tr><th style='text-align:left'>{text(f.name)}</th><td>{f.value:.3g}</td>"
            f"<td style='text-align:left'>{text(f.text)}</td></tr>"
            for f in self.factors
        )
        items = "".join(f"<li>{text(r.text)}<br><small>{text(r.why)}</small></li>" for r in self.remedies)
        return (
            "<div style='color:inherit;background:none'>"
            f"<p><strong>{text(f'{self.verdict.icon} {self.verdict.headline}')}</strong><br>"
            f"{text(' '.join(self.verdict.details))}</p>"
            f"<p>{text(self.word_text)}<br>{text(self.cause)}</p>"
            f"<table>{rows}</table>{f'<p>{NOTHING}</p>' if self.nothing_carries else ''}"
            f"{f'<p>Try:</p><ol>{items}</ol>' if items else ''}"
            f"{f'<p>{text(self.untried)}</p>' if self.untried else ''}</div>"
        )


def diagnose(ds: xr.Dataset, rerun: Rerun | None = None) -> Diagnosis:
    """Verdict, measured cause and remedies of a Dataset of `analyze`.

    rerun: takes a Change and returns the Dataset of the changed run (`rerunner` makes one for a RunConfig). Each remedy
    is then run; what does not help is left out, and `Remedy.verified` holds the new verdict. Without it remedies are
    predicted, not verified. A network of your own is rerun with
    `lambda change: analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)`.

    Raises InputError for model axes: diagnose one model at a time, `ds.isel(model=0)`; and for a Dataset that lacks
    what a diagnosis is read from. A configuration of another version is left out of account, and `untried` says so.
    """
    _require_one_run(ds)
    config, untried = _config(ds)
    found, factors = verdict(ds), measure(ds)
    word = refined(found, factors)
    flow = verdict(without_step_clipping(ds)) if factors.clipped else found
    flow_word = refined(flow, factors)
    proposed = candidates(flow_word, factors, ds.sizes["step"], config)
    tried = proposed if rerun is None else _verified(proposed, rerun, flow.word == "too short")
    return Diagnosis(
        verdict=found,
        word=word,
        log_rate=found.log_rate,
        stderr=standard_error(ds),
        half_life=found.half_life,
        reach=found.reach,
        steps=found.steps,
        cause=cause(flow_word, factors),
        factors=factor_lines(factors),
        remedies=sorted(islice(tried, MOST), key=is_clip),
        untried=untried if rerun is None and flow_word != "carried" else "",
    )


def _require_one_run(ds: xr.Dataset) -> None:
    require_curve(ds, "diagnose")
    if missing := [name for name in MEASURED if name not in ds]:
        raise InputError(
            f"diagnose: this Dataset lacks {', '.join(missing)}; make it with gradlab.analyze(...). "
            "gradlab.verdict(ds) needs the gradient's curve alone"
        )
    models = [str(dim) for dim in ds.log_grad_norm.dims if str(dim).startswith("model")]
    if models:
        one = ", ".join(f"{name}=0" for name in models)
        raise InputError(f"diagnose: expected one model, got the axes {', '.join(models)}; diagnose ds.isel({one})")


def _config(ds: xr.Dataset) -> tuple[RunConfig | None, str]:
    """The run's configuration, if it has one that this version can read, and why its remedies cannot be run if not."""
    try:
        return config_of(ds, RunConfig), ""
    except InputError as error:
        return None, f"Remedies change the weights as they are and were not run, as {error}"


def is_quick(ds: xr.Dataset) -> bool:
    """Whether a run is so small that the command line and the app run its remedies too."""
    return math.prod(ds.sizes[dim] for dim in ("step", "sample", "unit")) <= QUICK


def _verified(proposed: Iterator[Remedy], rerun: Rerun, too_short: bool) -> Iterator[Remedy]:
    """The remedies after which the gradient is carried when they are run.

    Clipping of the update is not meant to change the flow and counts as it is, so do more steps of a run too short.
    """
    for remedy in proposed:
        tried = _run(remedy, rerun)
        if _carried(tried) or is_clip(tried) or too_short:
            yield tried


def _run(remedy: Remedy, rerun: Rerun) -> Remedy:
    """The remedy with its verdict; while it misses, corrected and run again: the nearest to a rate of 1."""
    tried: list[Remedy] = []
    again: Remedy | None = remedy
    miss = 0.0
    while again is not None and len(tried) < TRIES:
        tried.append(replace(again, verified=_judged(rerun(again.change))))
        off = _log_rate(tried[-1]) - again.predicted_log_rate
        overshot = len(tried) > 1 and off * _log_rate(tried[-2]) < 0  # the rate follows more steeply than predicted
        miss += off / 2 if overshot else off
        done = _carried(tried[-1]) or again.retry is None or not math.isfinite(miss)
        again = None if done or again.retry is None else again.retry(miss)
    return min(tried, key=lambda one: (not _carried(one), abs(_log_rate(one))))


def _judged(ds: xr.Dataset) -> Verdict:
    """The verdict on a changed run, which is an overflow where one sample's forward pass overflows."""
    found = verdict(ds)
    return replace(found, word="overflow") if overflow(ds) else found


def _log_rate(remedy: Remedy) -> float:
    """As measured; NaN where the run left nothing to measure."""
    found = remedy.verified
    return found.log_rate if found is not None and found.steps > 1 else math.nan


def _carried(remedy: Remedy) -> bool:
    return remedy.verified is not None and remedy.verified.word == "carried"


def rerunner(config: RunConfig) -> Rerun:
    """A function that runs a changed RunConfig, for `diagnose`; weights of a file are transformed, never redrawn."""

    def rerun(change: Change) -> xr.Dataset:
        changed = change.apply(config)
        with warnings.catch_warnings():  # those of the first run were seen
            warnings.simplefilter("ignore", UserWarning)
            if change.transform is None:
                return analyze(changed)
            cell, params, x = build(changed)
            own = {name: getattr(changed, name) for name in OWN_FIELDS}
            return analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **own)

    return rerun
