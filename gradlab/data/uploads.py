"""Files that the user uploaded, kept by hash between visits; the least recently used go first."""

import hashlib
import io
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import InputError
from . import disk

LIMIT = 200 * 1000**2  # bytes in all
_HASH = re.compile(r"[0-9a-f]{12}")
_OURS = re.compile(r"[0-9a-f]{12}-.+|.+\.partial")  # nothing else in the directory is ever deleted
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')  # not allowed in a file name on some system
_NAME_LENGTH = 60  # characters of up to 4 bytes; systems allow 255 bytes, the hash included


def store(name: str, data: bytes) -> str:
    """Keep a file; returns the first 12 hex digits of its SHA-256, by which `find` has it back.

    The same content under another name is kept beside it. Raises InputError if it cannot be kept.
    """
    if len(data) > LIMIT:
        raise InputError(
            f"{name} has {len(data) / 1e6:.0f} MB, more than the {LIMIT / 1e6:.0f} MB that are kept in all"
        )
    sha = _digest(io.BytesIO(data))
    path = directory() / f"{sha}-{_safe(name)}"
    if not _is_whole(path):
        _keep(data, path, name)
    _use(path)
    return sha


def find(sha: str, name: str = "") -> Path | None:
    """The stored file of that hash, counted as used now, the one of that name first; None without such a file.

    One whose content has another hash by now is passed over: it is damaged.
    """
    if not _HASH.fullmatch(sha):
        return None
    named = directory() / f"{sha}-{_safe(name)}"
    for path in sorted(directory().glob(f"{sha}-*"), key=lambda path: path != named):
        if _is_whole(path):
            _use(path)
            return path
    return None


def original_name(path: Path) -> str:
    """The name under which a file that `find` returned was stored; any other file's own, whatever it looks like."""
    name = key_name(path.name)
    return name if name != path.name and path.absolute().parent == directory().absolute() else path.name


def key_name(key: str) -> str:
    """The name under which a stored file was given, from its name in the cache; any other text as it is."""
    sha, _, name = key.partition("-")
    return name if _HASH.fullmatch(sha) and name else key


def directory() -> Path:
    """Where stored files are."""
    return user_cache() / "uploads"


def user_cache() -> Path:
    """$GRADLAB_CACHE, else the platform's place for what gradlab keeps for a user."""
    if chosen := os.environ.get("GRADLAB_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "gradlab"


def _safe(name: str) -> str:
    """The last part of the name, fit for any system; its end, which holds the extension, is kept."""
    last = re.split(r"[/\\]", name)[-1].encode("utf-8", "replace").decode()
    return _UNSAFE.sub("_", last)[-_NAME_LENGTH:] or "upload"


def _is_whole(path: Path) -> bool:
    """Whether a stored file is there with the content that it is named by."""
    try:
        with path.open("rb") as file:
            return path.name.startswith(_digest(file))
    except OSError:
        return False


def _digest(file: io.BufferedIOBase) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _use(path: Path) -> None:
    with suppress(OSError):  # a cache that can only be read still serves
        os.utime(path)


def _keep(data: bytes, path: Path, name: str) -> None:
    """Put a file where only the user can read it. Raises InputError if that fails."""
    what = f"the copy of {name} in {path.parent}"
    advice = "make room, or set GRADLAB_CACHE to a directory that can be written"
    with disk.writing(what, advice):
        disk.make_private(path.parent)
        disk.write(path, data, what, advice, private=True)
        _evict(path)


def _evict(kept: Path) -> None:
    """Delete the least recently used of the other files until all fit the limit."""
    room = LIMIT - kept.stat().st_size
    others = [path for path in kept.parent.iterdir() if _OURS.fullmatch(path.name) and path != kept]
    for path, size in _latest_first(others):
        room -= size
        if room < 0:
            with suppress(OSError):  # in use, or another process was faster
                path.unlink()


def _latest_first(paths: list[Path]) -> list[tuple[Path, int]]:
    """Path and size, by time of last use; what has vanished meanwhile is left out."""
    found = []
    for path in paths:
        with suppress(OSError):
            found.append((path, path.stat()))
    found.sort(key=lambda entry: entry[1].st_mtime_ns, reverse=True)
    return [(path, stat.st_size) for path, stat in found]
