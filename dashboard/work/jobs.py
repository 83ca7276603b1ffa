"""Work that takes longer than a click: in a thread, with progress and cancel, found again by its key.

A job belongs to what it computes, not to the page that asked for it: a page that is loaded again finds it under way or
done, and two pages that ask for the same share it.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Event, Lock, Semaphore, Thread
from typing import Any

from gradlab import Cancelled, InputError

KEPT = 16  # jobs
AT_ONCE = 2  # jobs that compute; more would slow each other and the drawing down
log = logging.getLogger(__name__)

Progress = Callable[[float], None]
Work = Callable[[Progress], Any]


class Job:
    """One piece of work. state: "waiting", "running", "done" (then `result`) or "failed" (then `error`, a sentence).

    share: how much of it is done, 0..1.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._cancelled, self._ended = False, Event()
        self._started = 0.0
        self.owners: set[str] = set()
        self.state, self.share = "waiting", 0.0
        self.result: Any = None
        self.error = ""

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> None:
        """Until it has ended, at most so long."""
        self._ended.wait(seconds)

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at its pace so far; None while that cannot be told."""
        if self.state != "running" or self.share < 0.02:
            return None
        return (time.monotonic() - self._started) * (1 / self.share - 1)

    def cancel(self) -> None:
        """Let it end at its next sign of progress."""
        self._cancelled = True

    def run(self, slots: Semaphore) -> None:
        """The thread's life: wait for a slot, work, keep what comes of it."""
        with slots:
            self._started = time.monotonic()
            try:
                self._progress(0.0)
                self.state = "running"
                self.result = self._work(self._progress)
                self.share, self.state = 1.0, "done"
            except Cancelled:
                self._fail("Cancelled.")
            except InputError as error:
                self._fail(str(error))
            except Exception as error:  # a defect: the page says so and lives on
                log.exception("a job failed")
                self._fail(f"gradlab failed on this, which is its own fault ({type(error).__name__}: {error}).")
            finally:
                self._ended.set()

    def _progress(self, share: float) -> None:
        if self._cancelled:
            raise Cancelled
        self.share = share

    def _fail(self, text: str) -> None:
        self.error, self.state = text, "failed"


class Jobs:
    """The latest jobs by key; safe to use from any thread."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock, self._slots = Lock(), Semaphore(AT_ONCE)

    def get(self, key: str) -> Job | None:
        """The job of a key, if there is one."""
        with self._lock:
            return self._jobs.get(key)

    def start(self, key: str, work: Work, owner: str = "") -> Job:
        """Start `work(on_progress)` under a key, unless a job of it is under way; one that has ended is replaced.

        owner: who wants one job at a time; the one before ends, unless somebody else has asked for it too.
        """
        with self._lock:
            self._give_up(owner, key)
            job = self._jobs.get(key)
            if job is None or job.ended:
                job = self._jobs[key] = Job(work)
                self._jobs.move_to_end(key)
                self._shrink()
                Thread(target=job.run, args=(self._slots,), daemon=True, name=f"job {key}").start()
            job.owners.add(owner)
        return job

    def _give_up(self, owner: str, but: str) -> None:
        for key, job in [*self._jobs.items()]:
            if owner and key != but and not job.ended and owner in job.owners:
                job.owners.remove(owner)
                if not job.owners:
                    self._jobs.pop(key).cancel()

    def leave(self, owner: str) -> None:
        """An owner has gone: what it has started goes on, to be found again, but is no longer kept for it."""
        with self._lock:
            for job in self._jobs.values():
                job.owners.discard(owner)

    def cancel(self, key: str) -> None:
        """Forget the job of a key; if it is under way it ends soon."""
        with self._lock:
            job = self._jobs.pop(key, None)
        if job is not None:
            job.cancel()

    def _shrink(self) -> None:
        """Drop what nobody may want any more: the oldest that have ended, and if none has, the oldest."""
        while len(self._jobs) > KEPT:
            key = next((k for k, job in self._jobs.items() if job.ended), next(iter(self._jobs)))
            self._jobs.pop(key).cancel()


JOBS = Jobs()
