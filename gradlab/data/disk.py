"""Files that are written whole or not at all, and folders that are their user's alone."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError

ELSEWHERE = "make room, or name a file elsewhere"
ABANDONED = 3600.0  # seconds after which what is unfinished belongs to nobody
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_WAITS = 100 if os.name == "nt" else 0  # for whoever reads the file before, 10 ms each


def write(
    path: str | os.PathLike[str],
    data: bytes,
    what: str = "",
    advice: str = ELSEWHERE,
    field: str | None = None,
    private: bool = False,
) -> None:
    """Write beside the file, flush to the disk, and only then rename: whatever happens, a whole one is there.

    A link is followed. The file keeps its permissions; a new one has the user's default, or, if `private`, is for the
    user alone. Raises InputError, "`what` cannot be written: why; `advice`", and leaves nothing but the file before;
    what is no regular file, such as a pipe, is refused.
    """
    with writing(what or str(path), advice, field):
        target = place(path)
        with _unfinished(target) as partial:
            _fill(partial, data, _mode(target, private))
            _rename(partial, target)
        _sync_folder(target.parent)


def place(path: str | os.PathLike[str]) -> Path:
    """Where a file goes, links followed. Raises OSError where nothing can be put, or what is there must stay."""
    try:
        target = Path(os.path.realpath(path))
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        target.parent.stat()
        return target
    except ValueError as error:  # a null byte in the name
        raise OSError(errno.EINVAL, f"it is no file name: {error}") from None
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a directory")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, no regular file")
    if not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, "it is write-protected")
    return target


def require_writable(path: Path, what: str, advice: str = ELSEWHERE, field: str | None = None) -> None:
    """Raise the InputError of `write` before long work, where it can be foreseen."""
    with writing(what, advice, field):
        target = place(path)
        sweep(target, ABANDONED)
        with _unfinished(target) as partial:
            _fill(partial, b"", 0o600)
            partial.unlink()


def sweep(path: Path, age: float = 0.0) -> None:
    """Remove what killed writers of a file left, `age` seconds ago or before; 0 only while nobody else writes it."""
    target = Path(os.path.realpath(path))
    for partial in target.parent.glob(f"{_prefix(target)}*.partial"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime >= age:
                partial.unlink()


@contextmanager
def writing(what: str, advice: str = ELSEWHERE, field: str | None = None) -> Iterator[None]:
    """Errors of the disk inside as one InputError: what cannot be written, why, and what to do."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{what} cannot be written: {error.strerror or error}; {advice}", field) from None


def make_private(folder: Path) -> None:
    """A folder that only the user can enter, made with those above it if need be.

    Raises OSError where it cannot be made, or is somebody else's, who could read and change what is put there.
    """
    for missing in [path for path in (*reversed(folder.parents), folder) if not path.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)
    if os.name != "nt":
        if {folder.lstat().st_uid, folder.stat().st_uid} != {os.geteuid()}:
            raise PermissionError(errno.EPERM, "the folder belongs to another user")
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            folder.chmod(0o700)


def _prefix(target: Path) -> str:
    """With which the names of a file's unfinished ones begin, short however long its own name is."""
    return f".gradlab-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]}-"


def _partial(target: Path) -> Path:
    """A new name in the same folder, which nobody can guess."""
    return target.with_name(f"{_prefix(target)}{secrets.token_hex(8)}.partial")


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A name for what is to become the file, and nothing under it if that fails."""
    partial = _partial(target)
    try:
        yield partial
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _mode(target: Path, private: bool) -> int | None:
    """Which permissions a file is to have; None for the user's default, which the system knows."""
    if private:
        return 0o600
    return stat.S_IMODE(target.stat().st_mode) if target.exists() else None


def _fill(partial: Path, data: bytes, mode: int | None) -> None:
    """Make a file, which nobody else can read before it has its own permissions, and put it on the disk."""
    with os.fdopen(os.open(partial, _NEW, 0o666 if mode is None else 0o600), "wb") as file:
        file.write(data)
        if mode is not None:
            partial.chmod(mode)
        file.flush()
        os.fsync(file.fileno())


def _rename(partial: Path, target: Path) -> None:
    """Rename; on Windows again and again for a while, as nothing can take the place of a file that is being read."""
    for _ in range(_WAITS):
        with suppress(PermissionError):
            os.replace(partial, target)
            return
        time.sleep(0.01)
    os.replace(partial, target)


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself last, where a folder can be opened (not on Windows)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
