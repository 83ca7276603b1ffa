"""Mutants, each tried in a child of the process that has collected the tests, by tests that run what it changes."""

import gc
import multiprocessing
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .living import exchange, functions_of
from .mutate import Mutant
from .reach import Reach

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
LIMIT, ROOM_LIMIT = 400.0, 3600.0  # s; a mutant that takes longer than the first, or than twice all tests, never ends
NOTHING, UNABLE, LATE = "unnoticed", "not here", "time"  # instead of a test; the second is none for living code


class Case(NamedTuple):
    """A mutant of a file, and the rooms whose tests should notice it."""

    path: str
    rooms: tuple[str, ...]
    mutant: Mutant


class Child(NamedTuple):
    """What is being tried: a mutant, or a room's tests without one."""

    what: Case | str
    process: BaseProcess
    answer: Connection
    until: float


class Trials:
    """A pytest plugin that runs the collected tests on each mutant until one fails; `found` has that test for each.

    First every room without a mutant, to see which functions each test runs. A mutant is then tried on the modules in
    which some test runs what it changes, as others can build on what a fixture keeps of that; those tests first that
    noticed a mutant of the file before, then those of its first room that run it, the quickest modules first.
    """

    def __init__(self, cases: list[Case]) -> None:
        self.cases = cases
        self.rooms = sorted({room for case in cases for room in case.rooms})
        self.found: dict[Case, str] = {}
        self.noticed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.reach = Reach({ROOT / case.path for case in cases})
        self.failed = ""

    @property
    def limit(self) -> float:
        """How long a mutant may take, on a machine that has other work as well."""
        return max(LIMIT, 2 * sum(self.reach.seconds.values()))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reach.add_time(report.nodeid, report.duration)
        if report.failed:
            self.failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self.items = session.items
        self.living = functions_of({ROOT / case.path for case in self.cases})
        gc.freeze()  # children would copy what they only count
        self._each(self.rooms, self._run_room, self._note_room, ROOM_LIMIT)
        self._each(self.cases, self._try, self._note, self.limit)
        return True

    def _each(
        self, things: Iterable[Any], target: Callable[..., None], note: Callable[[Any, Any], None], limit: float
    ) -> None:
        """Have children do something with each of the things, and take note of what they answer in time."""
        children: list[Child] = []
        try:
            for thing in things:
                children.append(_start(target, thing, limit))
                while len(children) == AT_ONCE:
                    children = list(_answered(children, note))
            while children:
                children = list(_answered(children, note))
        finally:
            for child in children:  # where one's answer ends it all
                child.process.kill()

    def _note_room(self, room: str, answer: tuple[str, Reach] | str) -> None:
        failed, reach = answer if isinstance(answer, tuple) else (answer, self.reach)
        if failed:
            raise RuntimeError(f"{room} fails without a mutant: {failed}")
        self.reach.join(reach)

    def _note(self, case: Case, failed: str) -> None:
        self.found[case], by = failed, ""
        if failed not in (NOTHING, UNABLE):
            self.noticed[case.path][failed] += 1
            failed, by = "noticed", f"  {failed}"
        print(f"{failed:9} {case_text(case)}{by}", flush=True)

    def _run_room(self, room: str, answer: Connection) -> None:
        """In the child: send the first test that fails, and what every test runs."""
        self._run([item for item in self.items if item.nodeid.startswith(room)], self.reach.of_test)
        answer.send((self.failed, self.reach))

    def _try(self, case: Case, answer: Connection) -> None:
        """In the child: send the first test that fails."""
        path = ROOT / case.path
        changed = exchange(case.mutant.original, case.mutant.source, self.living[path])
        if not changed:
            answer.send(UNABLE)
            return
        self._run(self._chosen(case, {(path, name) for name in changed}))
        answer.send(self.failed or NOTHING)

    def _run(self, items: list[pytest.Item], around: Callable[[str], Any] | None = None) -> None:
        """Run tests until one fails, silently."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        for item, following in zip_longest(items, items[1:]):
            if around is not None:
                around(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                break
        if items:
            items[0].session._setupstate.teardown_exact(None)

    def _chosen(self, case: Case, changed: set[tuple[Path, str]]) -> list[pytest.Item]:
        """The tests that may notice what is changed, in order."""
        before = [test for test, _ in self.noticed[case.path].most_common()]
        inside = [item for item in self.items if item.nodeid.startswith(case.rooms)]
        direct = {item.nodeid for item in inside if self.reach.meets(item.nodeid, changed)}
        spent: Counter[str] = Counter()
        for test in direct:
            spent[_module(test)] += self.reach.seconds[test]

        def order(item: pytest.Item) -> tuple[int, int, bool, float, str]:
            known, module = before.index(item.nodeid) if item.nodeid in before else len(before), _module(item.nodeid)
            room = next(n for n, name in enumerate(case.rooms) if item.nodeid.startswith(name))
            return known, room, item.nodeid not in direct, spent[module], module

        return sorted((item for item in inside if _module(item.nodeid) in spent), key=order)


def _module(test: str) -> str:
    return test.partition("::")[0]


def _start(target: Callable[..., None], thing: Any, limit: float) -> Child:
    context = multiprocessing.get_context("fork")
    answer, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(thing, theirs))
    process.start()
    theirs.close()
    return Child(thing, process, answer, time.monotonic() + limit)


def _answered(children: list[Child], note: Callable[[Any, Any], None]) -> Iterator[Child]:
    """Wait for an answer; yield those that have none yet."""
    ready = wait([child.answer for child in children], max(0.0, children[0].until - time.monotonic()))
    for child in children:
        if child.answer not in ready and time.monotonic() < child.until:
            yield child
            continue
        note(child.what, _answer_of(child) if child.answer in ready else LATE)
        child.process.kill()
        child.process.join()


def _answer_of(child: Child) -> Any:
    try:
        return child.answer.recv()
    except EOFError:  # it died
        return "died"


def case_text(case: Case) -> str:
    """Where a mutant is and what it changes."""
    return f"{case.path}:{case.mutant.line}  {case.mutant.text}"
