"""Work on demand: a job that is found by what it is about, so that a page that is loaded again shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .work import lanes
from .work.jobs import JOBS, Job, Progress

S = TypeVar("S")


@dataclass(frozen=True)
class Work(Generic[S]):
    """What is computed on demand about a subject.

    identity: what tells subjects apart, as text. compute: from the subject, the last result (None before there is one)
    and a progress callback, in a process of its own.
    """

    name: str
    identity: Callable[[S], str]
    compute: Callable[[S, Any, Progress], Any]

    def key(self, subject: S) -> str:
        """Of the job."""
        return f"{self.name}?{self.identity(subject)}"

    def job(self, subject: S) -> Job | None:
        """As it stands, if there is one."""
        return JOBS.get(self.key(subject))

    def going(self, subject: S) -> Job | None:
        """The job while it is under way."""
        job = self.job(subject)
        return None if job is None or job.ended else job

    def result(self, subject: S) -> Any:
        """What came of it; None before anything has."""
        job = self.job(subject)
        return job.result if job else None

    def start(self, subject: S, owner: str = "") -> Job:
        """Start it, or find it under way. It takes the place of what its owner, if it has one, has under way."""
        result = self.result(subject)
        lane, compute = lanes.LONG, self.compute
        return JOBS.start(self.key(subject), lambda tell: lane.call(compute, subject, result, on_progress=tell), owner)

    def cancel(self, subject: S) -> None:
        """End it, and forget what came of it."""
        JOBS.cancel(self.key(subject))
