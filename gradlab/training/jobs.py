"""Training runs, each in a process and a folder of its own: started, paused, resumed, stopped, found again by an id.

A run outlives the page that started it, and as a folder the app itself: what was saved can be read and resumed later.
The folder holds the configuration, the checkpoint that the process writes about every second, and how it ended.
"""

import atexit
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import xarray as xr

from ..config.train import TrainConfig
from ..data import disk
from ..data.uploads import user_cache
from ..errors import InputError
from .network import require_trainable
from .record import TrainingRecord
from .results import dataset
from .turns import Turns
from .worker import CHECKPOINT, CONFIG, OUTCOME, is_locked

KEPT = 24  # runs
KEPT_BYTES = 500 * 1000**2
AT_ONCE = 4  # processes
SNAPSHOTS = 300  # of a run: what a checkpoint holds is written every second and drawn
READ = 4  # runs whose records are kept in memory
PATIENCE = 10.0  # seconds that a process has to save and end
STOPPED = "stopped.txt"  # marks a run that was ended for good
LOG = "log.txt"  # what the process says, if it says anything
_ID = re.compile(r"[0-9a-f]{8}")
_PACKAGES = Path(__file__).parents[2]  # where the process finds them, too
_WINDOW = 0x08000000 if sys.platform == "win32" else 0  # CREATE_NO_WINDOW


@dataclass(frozen=True)
class RunState:
    """How a run stands.

    status: "starting", "running", "pausing" or "stopping" while its process lives, "elsewhere" where that belongs to
    another app; then "paused", "stopped" by a hand, "done", "halted" by a number that is not finite, "interrupted"
    where the process ended without a word, "failed" with `error`, or "missing".
    """

    status: str
    error: str = ""

    @property
    def alive(self) -> bool:
        """Whether there is more to come by itself."""
        return self.status in ("starting", "running", "pausing", "stopping", "elsewhere")

    @property
    def resumable(self) -> bool:
        """Whether a new process can go on."""
        return self.status in ("paused", "interrupted", "failed")


@dataclass(frozen=True)
class Record:
    """What a run has shown by the time its checkpoint was written (seconds since the epoch)."""

    run: TrainingRecord
    ds: xr.Dataset
    written: float


class TrainingJobs:
    """The runs of this user; safe to use from any thread."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._records: OrderedDict[str, tuple[tuple[int, int], Record]] = OrderedDict()
        self._paces: dict[str, tuple[float, int, float]] = {}
        self._lock, self._turns = Lock(), Turns()

    def start(self, config: TrainConfig) -> str:
        """A new run in a new process; its id. Raises InputError for what cannot be trained, or too much at once."""
        require_drawable(config)
        require_trainable(config)  # says what is wrong with it before a process does
        run_id = secrets.token_hex(4)
        folder = self.folder(run_id)
        with self._lock:
            self._require_room()
            self._evict()
            try:
                with _kept_in(folder):
                    disk.make_private(self.folder())
                    disk.make_private(folder)
                    disk.write(folder / CONFIG, config.model_dump_json().encode())
                    self._launch(run_id)
            except InputError:
                shutil.rmtree(folder, ignore_errors=True)  # half a run is none
                raise
        return run_id

    def resume(self, run_id: str) -> None:
        """Go on with a run that paused, was interrupted or failed, in a new process; nothing where it is under way.

        Raises InputError where too much is under way, or another app has forgotten the run meanwhile.
        """
        with self._lock:
            if not self._state(run_id).resumable:
                return
            self._require_room()
            with _kept_in(self.folder(run_id)):
                disk.make_private(self.folder())
                self._launch(run_id)

    def pause(self, run_id: str) -> None:
        """Let the process save the run and end. Raises InputError where another app holds it."""
        with self._lock:
            self._require_ours(run_id)
            process = self._processes.get(run_id)
            if process is not None and process.stdin and not process.stdin.closed:
                process.stdin.close()

    def stop(self, run_id: str) -> None:
        """End a run for good; what it has shown stays. Raises InputError where another app trains it."""
        with self._lock:
            self._require_ours(run_id)
            if not (self._state(run_id).alive or self._state(run_id).resumable):
                return
            with _kept_in(self.folder(run_id)):
                (self.folder(run_id) / STOPPED).touch()
        self.pause(run_id)

    def state(self, run_id: str) -> RunState:
        """How the run stands."""
        with self._lock:
            return self._state(run_id)

    def config(self, run_id: str) -> TrainConfig | None:
        """What is trained; None where there is no such run."""
        if not _ID.fullmatch(run_id):
            return None
        try:
            return TrainConfig(**json.loads((self.folder(run_id) / CONFIG).read_text("utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def read(self, run_id: str) -> Record | None:
        """What was saved last; None before anything was. Raises InputError for what cannot be read."""
        with self._turns.of(run_id):
            return self._read(run_id)

    def _read(self, run_id: str) -> Record | None:
        path = self.folder(run_id) / CHECKPOINT
        try:
            stat = path.stat()
        except OSError:
            return None
        stamp = (stat.st_mtime_ns, stat.st_size)
        with self._lock:
            if (kept := self._records.get(run_id)) and kept[0] == stamp:
                self._records.move_to_end(run_id)
                return kept[1]
        run = TrainingRecord.load(path)
        record = Record(run, dataset(run, kept[1].ds if kept else None), stat.st_mtime)
        with self._lock:
            self._records[run_id] = (stamp, record)
            while len(self._records) > READ:
                self._records.popitem(last=False)
            self._follow(run_id, record)
        return record

    def pace(self, run_id: str) -> float | None:
        """Iterations per second between the last two readings; None while that cannot be told."""
        seen = self._paces.get(run_id)
        return seen[2] if seen and seen[2] > 0 else None

    def recent(self) -> list[str]:
        """Ids of the runs that are kept, the latest first."""
        used = []
        for path in _inside(self.folder()):
            with suppress(OSError):  # another app has just forgotten it
                used.append((path.stat().st_mtime, path.name))
        return [name for _, name in sorted(used, reverse=True) if _ID.fullmatch(name)]

    def began(self, run_id: str) -> float:
        """When the run was started, in seconds since the epoch; 0 where there is no such run."""
        try:
            return (self.folder(run_id) / CONFIG).stat().st_mtime
        except OSError:
            return 0.0

    def end(self) -> None:
        """Pause everything and wait for it; a process that does not end in time is killed."""
        with self._lock:
            processes = list(self._processes.values())
        for process in processes:
            if process.stdin:
                process.stdin.close()
        until = time.monotonic() + PATIENCE
        for process in processes:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def folder(self, run_id: str = "") -> Path:
        """Of one run, or of all."""
        return user_cache() / "training" / run_id

    def _launch(self, run_id: str) -> None:
        folder = self.folder(run_id)
        if (ended := self._processes.get(run_id)) and ended.stdin:
            ended.stdin.close()
        paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-m", "gradlab.training.worker"]
        with (folder / LOG).open("wb") as log:
            self._processes[run_id] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder, env=env, creationflags=_WINDOW
            )

    def _require_room(self) -> None:
        if sum(process.poll() is None for process in self._processes.values()) >= AT_ONCE:
            raise InputError(f"{AT_ONCE} runs are under way; pause or stop one of them first")

    def _require_ours(self, run_id: str) -> None:
        if self._state(run_id).status == "elsewhere":
            raise InputError("this run is trained by another gradlab app; pause or stop it there, or close that app")

    def _state(self, run_id: str) -> RunState:
        folder, process = self.folder(run_id), self._processes.get(run_id)
        if not _ID.fullmatch(run_id) or not folder.is_dir():
            return RunState("missing")
        stopped = (folder / STOPPED).exists()
        if process is not None and process.poll() is None:
            if process.stdin and process.stdin.closed:
                return RunState("stopping" if stopped else "pausing")
            return RunState("running" if (folder / CHECKPOINT).exists() else "starting")
        if is_locked(folder):
            return RunState("elsewhere")
        if stopped:
            return RunState("stopped")
        return _ended(folder, process.returncode if process else None)

    def _evict(self) -> None:
        """Forget the oldest runs that have ended until number and size are within bounds."""
        room, kept = KEPT_BYTES, 0
        for run_id in self.recent():
            folder = self.folder(run_id)
            room, kept = room - _size(folder), kept + 1
            with suppress(OSError):  # another app was faster
                if (room < 0 or kept >= KEPT) and not self._state(run_id).alive:
                    shutil.rmtree(folder)

    def _follow(self, run_id: str, record: Record) -> None:
        written, iteration, _ = self._paces.get(run_id, (0.0, 0, 0.0))
        steps, seconds = record.run.iteration - iteration, record.written - written
        self._paces[run_id] = (record.written, record.run.iteration, steps / seconds if written and seconds else 0.0)


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Errors of the disk as InputError, and that another app has forgotten the run in between."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot keep the run in {folder}: {error.strerror or error}") from None


def _inside(folder: Path) -> list[Path]:
    """What is in a folder; nothing where there is none."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; those that go while it is counted count for nothing."""
    size = 0
    for path in _inside(folder):
        with suppress(OSError):
            size += path.stat().st_size
    return size


_ENDINGS = {"done": "done", "cancelled": "paused", "stopped": "halted", "failed": "failed"}


def _ended(folder: Path, code: int | None) -> RunState:
    """How a process that is gone left its run."""
    try:
        outcome = json.loads((folder / OUTCOME).read_text("utf-8"))
        if not (code and _from_before(folder)):
            return RunState(_ENDINGS[outcome["status"]], outcome.get("error", ""))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    how = f" with code {code}" if code is not None else ""
    return RunState("interrupted", f"The process of this run ended{how} before it was done.{_last_words(folder)}")


def _from_before(folder: Path) -> bool:
    """Whether the outcome is an earlier process's: the log is begun with the last one."""
    return (folder / OUTCOME).stat().st_mtime_ns <= (folder / LOG).stat().st_mtime_ns


def _last_words(folder: Path) -> str:
    """The last line that the process has said."""
    try:
        said = (folder / LOG).read_text("utf-8", "replace").strip()
    except OSError:
        return ""
    return f" Its last words: {said.splitlines()[-1]}." if said else ""


def require_drawable(config: TrainConfig) -> None:
    """InputError for a run that records more than the app draws and keeps."""
    if (count := -(-config.iterations // config.snapshot_every)) > SNAPSHOTS:
        fewer = -(-config.iterations // SNAPSHOTS)
        raise InputError(
            f"snapshot_every: this run would keep {count:,} snapshots, the app keeps {SNAPSHOTS}; "
            f"use {fewer} or more, or train it from Python, where nothing is limited",
            "snapshot_every",
        )


TRAINING = TrainingJobs()
atexit.register(TRAINING.end)
