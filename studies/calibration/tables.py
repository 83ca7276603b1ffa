"""What diagnoses of the cases say, beside what is known, as tables."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context

import numpy as np

from gradlab.diagnosis import Diagnosis, diagnose, is_clip
from gradlab.runs.verdicts import log_rate_per_step

from .cases import HALVES, Case, half
from .kinds import CASES

WORDS = (
    "vanishing", "saturated", "dead units", "carried", "exploding", "transient growth", "chaotic", "overflow",
    "too short",
)  # fmt: skip
PROCESSES = 2
REMEDIES = {  # words in a remedy's label -> its kind
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


@dataclass(frozen=True)
class Row:
    """A case as it is known and as it is diagnosed.

    missed: (kind of remedy, measured minus predicted ln of the factor per step) of first tries, in the report half.
    held: of the remedies that `diagnose` runs, how many hold; None where none is needed, or none was asked for.
    """

    index: int
    known: str
    found: str
    rate: str
    misses: list[str] = field(default_factory=list)
    missed: list[tuple[str, float]] = field(default_factory=list)
    held: int | None = None


def assess(index: int, remedies: bool = False) -> Row:
    """Diagnose a case; remedies: as `diagnose` runs and corrects them."""
    case = CASES[index]
    ds, known = case.run(), case.truth(case)
    found = diagnose(ds, rerun=False)
    row = Row(index, known.word, found.word, _rate(found), known.misses(found))
    if half(index) == "tuning" or found.word in ("carried", "too short"):
        return row
    held = sum(remedy.holds for remedy in diagnose(ds, case.rerun()).remedies) if remedies else None
    return replace(row, missed=_missed(case, found), held=held)


def _rate(found: Diagnosis) -> str:
    if found.log_rate is None:
        return "-inf"
    return f"{found.log_rate:.4f}" + ("" if found.stderr is None else f" +- {found.stderr:.1g}")


def _missed(case: Case, found: Diagnosis) -> list[tuple[str, float]]:
    errors = []
    for remedy in found.remedies:
        if "steps" in remedy.change.fields or is_clip(remedy):
            continue
        measured = log_rate_per_step(case.rerun()(remedy.change))
        kind = next((kind for part, kind in REMEDIES.items() if part in remedy.change.label), OTHERS)
        errors.append((kind, measured - remedy.predicted_log_rate))
    return errors


def assess_all(remedies: bool = False) -> list[Row]:
    """The same of all cases, in processes."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:  # as callers may have threads
        return list(pool.map(partial(assess, remedies=remedies), range(len(CASES))))


# as text


def accuracy(rows: list[Row]) -> str:
    """How many of a half are right in everything that is known."""
    own = {name: [not row.misses for row in rows if half(row.index) == name] for name in HALVES}
    report, tuning = (f"{sum(own[name])} of {len(own[name])}" for name in ("report", "tuning"))
    return f"{report} configurations of the report half are diagnosed as what they are; of the tuning half {tuning}."


def confusion_table(rows: list[Row]) -> list[str]:
    """Known class by diagnosed class."""
    counts = Counter((row.known, row.found) for row in rows)
    lines = ["| known, diagnosed | " + " | ".join(WORDS) + " |", "|---" * (len(WORDS) + 1) + "|"]
    return lines + [f"| **{a}** | " + " | ".join(str(counts[a, b] or "") for b in WORDS) + " |" for a in WORDS]


def errors_table(rows: list[Row]) -> list[str]:
    """Every configuration on which the diagnosis is wrong in something."""
    wrong = [
        f"| {CASES[row.index].name} | {half(row.index)} | {'; '.join(row.misses)} | {row.rate} |"
        for row in rows
        if row.misses
    ]
    head = ["| configuration | half | diagnosed | ln of the factor per step |", "|---|---|---|---|"]
    return [*head, *wrong] if wrong else ["None."]


def kinds_table(rows: list[Row]) -> list[str]:
    """How many of each kind there are, and how many are right."""
    lines = ["| kind | known from | classes | right |", "|---|---|---|---|"]
    for kind in dict.fromkeys(CASES[row.index].kind for row in rows):
        own = [row for row in rows if CASES[row.index].kind == kind]
        sources = ", ".join(dict.fromkeys(CASES[row.index].source for row in own))
        classes = ", ".join(f"{n} {word}" for word, n in Counter(row.known for row in own).items())
        right = sum(not row.misses for row in own)
        lines.append(f"| {kind} | {sources} | {classes} | {right} of {len(own)} |")
    return lines


def missed_table(rows: list[Row]) -> list[str]:
    """Errors of predicted rates by kind of remedy."""
    found: dict[str, list[float]] = {}
    for kind, error in (pair for row in rows for pair in row.missed):
        found.setdefault(kind, []).append(error)
    lines = ["| remedy | runs | median error | 90 % within |", "|---|---|---|---|"]
    together = [error for row in rows for _, error in row.missed]
    for kind, errors in (*sorted(found.items()), ("**all**", together)):
        middle, most = np.quantile(np.abs(errors), (0.5, 0.9), method="inverted_cdf")  # some are infinite
        lines.append(f"| {kind} | {len(errors)} | {middle:.3f} | {most:.3f} |")
    return lines


def helped(rows: list[Row]) -> str:
    """How many of the nets that do not carry have a remedy after which they do."""
    ill = [row.held for row in rows if row.held is not None]
    return (
        f"Of {len(ill)} nets whose gradient is not carried, {np.count_nonzero(ill)} have a remedy that holds among the "
        f"three of `diagnose`, and {sum(held > 1 for held in ill)} have several."
    )


def listing(rows: list[Row]) -> list[str]:
    """Each configuration as it is known and diagnosed."""
    lines = ["| configuration | half | class | diagnosed | ln of the factor per step |", "|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {CASES[row.index].name} | {half(row.index)} | {row.known} | {row.found} | {row.rate} |")
    return lines


def tables(rows: list[Row]) -> list[str]:
    """The part of docs/diagnosis.md that is computed, in lines; remedies are those of the report half."""
    report = [row for row in rows if half(row.index) == "report"]
    return [
        *("### Confusion table", "", "Of the report half:", ""),
        *confusion_table(report),
        *("", accuracy(rows), "", "### What is diagnosed wrongly", "", "Of both halves:", ""),
        *errors_table(rows),
        *("", "### The kinds", ""),
        *kinds_table(rows),
        *("", "### What predictions are worth", ""),
        *(
            "Absolute error of the predicted ln of the factor per step, before anything was run, in the report half:",
            "",
        ),
        *missed_table(report),
        *("", helped(report)),
    ]
