"""Mutants, each tried in a child of the process that has collected the tests: it begins with the first test."""

import multiprocessing
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import pytest

from .living import exchange, functions_of
from .mutate import Mutant

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
LIMIT = 900.0  # s; a mutant that takes longer has been noticed
NOTHING, UNABLE = "unnoticed", "not here"  # instead of a test that fails; the latter cannot be put into living code


class Case(NamedTuple):
    """A mutant of a file, None for the file as it is, and the tests that should notice it."""

    path: str
    tests: str
    mutant: Mutant | None


class Child(NamedTuple):
    """A mutant that is being tried."""

    case: Case
    process: BaseProcess
    answer: Connection
    until: float


class Trials:
    """A pytest plugin that runs the collected tests on each mutant until one fails; `found` has that test for each.

    First come the tests that noticed a mutant of the file before, then those that are called like the file.
    """

    def __init__(self, cases: list[Case]) -> None:
        rooms = dict.fromkeys(Case("", case.tests, None) for case in cases)
        self.cases = [*rooms, *cases]
        self.found: dict[Case, str] = {}
        self.noticed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self.living = functions_of({ROOT / case.path for case in self.cases})
        children: list[Child] = []
        for case in self.cases:
            children.append(self._start(session, case))
            while len(children) == AT_ONCE:
                children = list(self._answered(children))
        while children:
            children = list(self._answered(children))
        return True

    def _start(self, session: pytest.Session, case: Case) -> Child:
        context = multiprocessing.get_context("fork")
        answer, theirs = context.Pipe(duplex=False)
        process = context.Process(target=self._try, args=(session, case, theirs))
        process.start()
        theirs.close()
        return Child(case, process, answer, time.monotonic() + LIMIT)

    def _answered(self, children: list[Child]) -> Iterator[Child]:
        """Wait for an answer; yield those that have none yet."""
        ready = wait([child.answer for child in children], max(0.0, children[0].until - time.monotonic()))
        for child in children:
            if child.answer not in ready and time.monotonic() < child.until:
                yield child
                continue
            self._note(child.case, _answer_of(child) if child.answer in ready else "time")
            child.process.kill()
            child.process.join()

    def _note(self, case: Case, failed: str) -> None:
        if case.mutant is None:
            if failed != NOTHING:
                raise RuntimeError(f"{case.tests} fails without a mutant: {failed}")
            return
        self.found[case], by = failed, ""
        if failed not in (NOTHING, UNABLE):
            self.noticed[case.path][failed] += 1
            failed, by = "noticed", f"  {failed}"
        print(f"{failed:9} {case_text(case)}{by}", flush=True)

    def _try(self, session: pytest.Session, case: Case, answer: Connection) -> None:
        """In the child: send the first test that fails."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        source = (ROOT / case.path).read_text("utf-8") if case.mutant else ""
        if case.mutant and not exchange(source, case.mutant.source, self.living[ROOT / case.path]):
            answer.send(UNABLE)
            return
        items = self._ordered(session.items, case)
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                break
        session._setupstate.teardown_exact(None)
        answer.send(self.failed or NOTHING)

    def _ordered(self, items: list[pytest.Item], case: Case) -> list[pytest.Item]:
        first = [*(test for test, _ in self.noticed[case.path].most_common()), f"test_{Path(case.path).stem}"]
        own = [item for item in items if item.nodeid.startswith(case.tests)]
        return sorted(
            own, key=lambda item: next((n for n, test in enumerate(first) if test in item.nodeid), len(first))
        )


def _answer_of(child: Child) -> str:
    try:
        return str(child.answer.recv())
    except EOFError:  # it died
        return "died"


def case_text(case: Case) -> str:
    """Where a mutant is and what it changes."""
    return f"{case.path}:{case.mutant.line}  {case.mutant.text}" if case.mutant else case.tests
