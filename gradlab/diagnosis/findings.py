"""Dataset -> diagnosis: verdict, cause from measured factors, and remedies, verified where they can be run."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import xarray as xr

from ..errors import InputError
from ..runs.shares import require_curve
from ..runs.verdicts import Verdict, standard_error, verdict
from .causes import Factor, cause, factor_lines, refined
from .changes import Change, Remedy, is_clip
from .draws import Draws, Rerun
from .exponent import leading_exponent
from .factors import MEASURED, Exponent, measure, without_step_clipping
from .remedies import candidates
from .trials import own_rerun, readable_config, tried_out

MOST = 3  # remedies
NOTHING = "No single change was found that carries the gradient reliably."


@dataclass(frozen=True)
class Diagnosis:
    """What one run shows, why, and what would help.

    verdict: of `gradlab.verdict`, from which log_rate, half_life, reach and steps are. word: the verdict's, refined:
    vanishing, saturated, dead units, carried, exploding, chaotic, transient growth, overflow, too short. stderr:
    standard error of log_rate over samples, None for one. cause: in words. factors: name, value, text. remedies: at
    most three, best first. untried: why they were not run, where something stands against it. exponent: the leading
    one, which tells chaos from a transient, where the gradient explodes and it can be known. straight: whether the flow
    without clipping has one rate throughout, so that predictions from that rate are of the whole way.

    `dataclasses.asdict` gives what JSON knows: no infinity and no NaN.
    """

    verdict: Verdict
    word: str
    stderr: float | None
    cause: str
    factors: list[Factor]
    remedies: list[Remedy]
    untried: str = ""
    exponent: Exponent | None = None
    straight: bool = True

    @property
    def log_rate(self) -> float | None:
        """ln of the factor per step back, median over samples; None where nothing is left."""
        return self.verdict.fitted_log_rate

    @property
    def half_life(self) -> float | None:
        """Steps over which the gradient halves or doubles, None where it does neither."""
        return self.verdict.half_life

    @property
    def reach(self) -> int:
        """How many steps back at least 1 % is left throughout."""
        return self.verdict.reach

    @property
    def steps(self) -> int:
        """Steps that were analysed."""
        return self.verdict.steps

    @property
    def rate_text(self) -> str:
        """The rate as a researcher cites it."""
        if self.steps < 2:
            return "no rate of less than two steps"
        if self.log_rate is None:
            return "ln of the factor per step -inf, exactly zero"
        return f"ln of the factor per step {round(self.log_rate, 4) + 0.0:.4f}{self._error_text}"

    @property
    def _error_text(self) -> str:
        """The standard error, or why several samples have none."""
        if self.stderr is None:
            alike = next(iter(self.verdict.samples.values()), 0)
            return " (no standard error, as some samples are exactly zero or too short)" if alike > 1 else ""
        size = f"+- {self.stderr:.1g}" if self.stderr > 1e-5 else "+- less than 0.00001"
        return f" {size} (standard error over samples)"

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
        return needed and not any(remedy.carries(self.steps, self.straight) for remedy in self.remedies)

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


def diagnose(
    ds: xr.Dataset, rerun: Rerun | bool = True, on_try: Callable[[Change], object] = lambda change: None
) -> Diagnosis:
    """Verdict, measured cause and remedies of a Dataset of `analyze`.

    Each remedy is run: what does not help is left out, one that misses is corrected, and `Remedy.verified` holds the
    new verdict. Where weights are drawn, it is run in fresh draws too, and `Remedy.held` counts those that it carries.
    That needs the run's RunConfig, which the Dataset of a network of your own lacks; give `rerun`, which takes a
    Change and returns the Dataset of the changed run:
    `lambda change: analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)`.
    rerun=False runs nothing, nor is a large run repeated (`is_quick`): remedies are then predicted, not verified.
    on_try: called before each run; what it raises, such as `gradlab.Cancelled`, ends the work.

    Raises InputError for model axes: diagnose one model at a time, `ds.isel(model=0)`; and for a Dataset that lacks
    what a diagnosis is read from. A configuration of another version is left out of account, and `untried` says so.
    """
    _require_one_run(ds)
    config, unreadable = readable_config(ds)
    found, factors = verdict(ds), measure(ds)
    unclipped = without_step_clipping(ds)
    flow = verdict(unclipped) if factors.clipped else found
    if flow.word == "exploding":
        factors = replace(factors, exponent=leading_exponent(unclipped, factors, config))
    word = refined(found, factors)
    flow_word = refined(flow, factors)
    proposed = candidates(flow_word, factors, ds.sizes["step"], config)
    again, untried = (rerun, "") if callable(rerun) else own_rerun(ds, config) if rerun else (None, "")
    draws = Draws.of(without_step_clipping(ds), config, again, on_try) if again else None
    tried = tried_out(proposed, draws, flow_word == "too short")
    stderr = standard_error(ds)
    return Diagnosis(
        verdict=found,
        word=word,
        stderr=None if math.isnan(stderr) else stderr,
        cause=cause(flow_word, factors),
        factors=factor_lines(factors),
        remedies=sorted(islice(tried, MOST), key=is_clip),
        untried="" if flow_word == "carried" or callable(rerun) else unreadable or untried,
        exponent=factors.exponent,
        straight=len(flow.pieces) <= 1,
    )


def _require_one_run(ds: xr.Dataset) -> None:
    require_curve(ds, "diagnose")
    if missing := [name for name in MEASURED if name not in ds]:
        raise InputError(
            f"diagnose: this Dataset lacks {', '.join(missing)}; make it with gradlab.analyze(...). "
            "gradlab.verdict(ds) needs the gradient's curve alone",
            "ds",
        )
    models = [str(dim) for dim in ds.log_grad_norm.dims if str(dim).startswith("model")]
    if models:
        one = ", ".join(f"{name}=0" for name in models)
        raise InputError(
            f"diagnose: expected one model, got the axes {', '.join(models)}; diagnose ds.isel({one})", "ds"
        )
