"""The run itself: sections of tasks within a budget of seconds, one line for each section, and the report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..arrays import Namespace
from ..version import __version__
from ..wording import counted
from . import agreement, crossings, machine, times
from .basics import basics
from .cells import cells, extremes, masks
from .elementwise import activations
from .learning import clippers, losses, optimizers, regularisers
from .nets import layers
from .products import products

SECONDS = 345.0  # what the sections share; with imports and the last task it stays within 6 minutes
DTYPES = ("float32", "float64")

Clock = Callable[[], float]
Task = tuple[str, Callable[[], dict[str, Any]]]  # name; what it found: `ok`, and whatever else belongs in the report
Report = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """Tasks on one subject. share: of the budget; what is left of it goes to the sections after it."""

    name: str
    share: float
    tasks: Callable[[], Iterable[Task]]
    line: Callable[[list[Report]], str]


def sections(xp: Namespace, dtypes: Sequence[str], sizes: Sequence[times.Size]) -> list[Section]:
    """All of them, what matters most first."""
    compared = [
        ("basics", 0.05, basics),
        ("cells", 0.20, cells),
        ("activations", 0.05, activations),
        ("layers", 0.12, layers),
        ("clippers", 0.05, clippers),
        ("losses", 0.03, losses),
        ("optimizers", 0.07, optimizers),
        ("lengths", 0.05, masks),
        ("extremes", 0.05, extremes),
        ("products", 0.10, products),
        ("regularisers", 0.02, regularisers),
    ]
    return [
        Section("machine", 0.01, lambda: machine.tasks(xp), machine.line),
        *(Section(name, share, agreement.tasks(xp, dtypes, items), agreement.line) for name, share, items in compared),
        Section("crossings", 0.03, lambda: crossings.tasks(xp), crossings.line),
        Section("times", 0.17, lambda: times.tasks(xp, sizes), times.line),
    ]


def check(
    xp: Namespace,
    out: Path | None = None,
    *,
    seconds: float = SECONDS,
    dtypes: Sequence[str] = DTYPES,
    sizes: Sequence[times.Size] = times.SIZES,
    clock: Clock = time.monotonic,
    say: Callable[[str], None] = print,
) -> Report:
    """Compare the namespace with NumPy, count crossings and take times; the report, as docs/gpu/README.md has it.

    out: the report's file, written anew after every section, so that a run that is broken off leaves what it found.
    What does not fit into `seconds` is listed under "not_run". sizes: (models, B, H, T) that are timed.
    """
    start, share, done = clock(), 0.0, list[Report]()
    for section in sections(xp, dtypes, sizes):
        share += section.share
        done.append(_run(section, start + share * seconds, clock))
        say(_line(section, done[-1]))
        report = _report(xp, done, seconds, clock() - start)
        if out is not None:
            out.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", "utf-8")
    say(report["verdict"])
    return report


def _run(section: Section, deadline: float, clock: Clock) -> Report:
    """The section's tasks, as long as the longest so far would still fit before the deadline."""
    start, longest = clock(), 0.0
    items, not_run = list[Report](), list[str]()
    for name, task in _listed(section):
        before = clock()
        if before + longest > deadline:
            not_run.append(name)
            continue
        items.append({"name": name} | _outcome(task))
        items[-1]["seconds"] = round(clock() - before, 3)
        longest = max(longest, clock() - before)
    return {"name": section.name, "seconds": round(clock() - start, 3), "items": items, "not_run": not_run}


def _listed(section: Section) -> Iterator[Task]:
    """The section's tasks; one that raises where they cannot even be listed."""
    try:
        yield from section.tasks()
    except Exception as error:  # noqa: BLE001
        text = _problem(error)
        yield "the list of its items", lambda: {"ok": False, "problem": text}


def _outcome(task: Callable[[], Report]) -> Report:
    """What a task found, or the exception that stopped it; nothing that it raises stops the others."""
    try:
        return task()
    except Exception as error:
        return {"ok": False, "problem": _problem(error)}


def _problem(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2000]


def _report(xp: Namespace, done: list[Report], seconds: float, took: float) -> Report:
    items = [item for section in done for item in section["items"]]
    failed, skipped = sum(not item["ok"] for item in items), sum(len(section["not_run"]) for section in done)
    return {
        "gradlab": __version__,
        "namespace": xp.__name__,
        "ok": failed == 0,
        "verdict": _verdict(len(items), failed, skipped),
        "seconds": round(took, 3),
        "budget": seconds,
        "sections": done,
    }


def _verdict(ran: int, failed: int, skipped: int) -> str:
    agreed = "all agree" if not failed else f"{failed} DISAGREE OR FAILED"
    rest = f"; {skipped} not run, as the time was up" if skipped else ""
    return f"{counted(ran, 'item')}: {agreed}{rest}"


def _line(section: Section, done: Report) -> str:
    """What a section found, in one line, and where it fails in one more for each of the first few."""
    failed = [item for item in done["items"] if not item["ok"]]
    text = f"{section.name:<13} {done['seconds']:6.1f} s  {section.line([i for i in done['items'] if i['ok']])}"
    text += f"; {len(done['not_run'])} NOT RUN" if done["not_run"] else ""
    text += f"; {len(failed)} FAILED" if failed else ""
    return "\n".join([text, *(f"    {item['name']}: {item['problem']}" for item in failed[:5])])
