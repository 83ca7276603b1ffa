"""`python -m gradlab.training.worker`: trains what its folder describes, until its input is closed.

The app holds the other end of the input. It closes it for a pause, and however the app ends, it is closed then: the run
is saved and the process ends. Meanwhile the process holds the folder's lock, so that no other app trains the same run.
"""

import json
import logging
import os
import signal
from pathlib import Path
from threading import Event, Thread

from filelock import FileLock, Timeout

from ..config.train import TrainConfig
from ..data import disk
from ..errors import Cancelled, InputError
from .loop import Step, train

CONFIG, CHECKPOINT, OUTCOME = "config.json", "run.safetensors", "outcome.json"  # of a run's folder
LOCKED = "lock"  # the file that is locked while the run is trained
LOCK_SECONDS = 2.0  # of patience with somebody who only looks whether it is
LOOK_SECONDS = 0.05  # of patience of one who looks with another one
SAVE_SECONDS = 0.8  # the page reads about every second


def work(folder: Path, closed: Event) -> dict[str, str]:
    """Train, or go on with what was saved, until it is done or `closed`; how it ended, and why if it failed."""

    def on_step(step: Step) -> None:
        if closed.is_set():
            raise Cancelled

    path = folder / CHECKPOINT
    try:
        config = TrainConfig(**json.loads((folder / CONFIG).read_text("utf-8")))
        run = train(config, on_step=on_step, checkpoint=path, resume=path.exists(), save_seconds=SAVE_SECONDS)
        return {"status": run.status}
    except InputError as error:
        return {"status": "failed", "error": str(error)}
    except Exception as error:  # a defect: the page says so and lives on
        logging.exception("the run failed")
        text = f"gradlab failed on this run, which is its own fault ({type(error).__name__}: {error})."
        return {"status": "failed", "error": text}


def main() -> None:
    """One run in the current folder; Ctrl-C is the app's business, not this process's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder, closed = Path(), Event()
    try:
        with FileLock(folder / LOCKED, timeout=LOCK_SECONDS):
            (folder / OUTCOME).unlink(missing_ok=True)  # while the lock says that the run goes on
            Thread(target=_watch, args=(closed,), daemon=True).start()
            outcome = work(folder, closed)
            disk.write(folder / OUTCOME, json.dumps(outcome).encode())
    except Timeout:
        raise SystemExit("another process trains this run") from None


def is_locked(folder: Path) -> bool:
    """Whether a process trains the run of that folder, whoever started it."""
    if not (folder / LOCKED).exists():
        return False
    try:
        with FileLock(folder / LOCKED, timeout=LOOK_SECONDS, poll_interval=LOOK_SECONDS / 10):
            return False
    except Timeout:
        return True


def _watch(closed: Event) -> None:
    """Wait for the end of the input; past Python's buffer, whose lock the interpreter would miss when it ends."""
    while os.read(0, 64):
        pass
    closed.set()


if __name__ == "__main__":
    main()
