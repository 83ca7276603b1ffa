"""Files on disk: only regular ones, as a pipe may never end, and no more of a file than can be used."""

import os
import stat
from pathlib import Path
from typing import Any

from ..errors import InputError
from .uploads import original_name

LIMIT = 70 * 1000**2  # bytes of a file of data
VALUES = 2**23  # numbers that data may have: with what is computed on the way they take less than 500 MB


def read_file(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """A regular file's content. Raises InputError, with the reason, if it cannot be read; it is about "input".

    limit: bytes beyond which it is refused unread.
    """
    try:
        size = _regular_size(as_path(path))
        if limit is not None and size > limit:
            raise InputError(
                f"{path} has {size / 1e6:,.0f} MB; data may have {limit / 1e6:.0f} MB. Cut the file, or give arrays of "
                "your own to gradlab.analyze",
                "input",
            )
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"file not found: {path} (relative paths start at {Path.cwd()})", "input") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", "input") from None
    except ValueError as error:  # a null byte in the name
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} is no file name: {error}", "input") from None


def _regular_size(path: Path) -> int:
    """Bytes of a file. Raises InputError for whatever is none, before it is opened: a pipe would wait for ever."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is a directory; name a file in it", "input")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is a pipe or a device, which may have no end; save it as a file first", "input")
    return found.st_size


def named_content(path: str | os.PathLike[str], limit: int | None = None) -> tuple[str, bytes]:
    """The name that a person knows a file by, and what is in it; limit as in `read_file`."""
    data = read_file(path, limit)
    return original_name(Path(path)), data


def stamp(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What changes when a file does, its time and size; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


def as_path(path: Any) -> Path:
    """A file's name as a Path. Raises InputError for anything else."""
    if isinstance(path, str | os.PathLike):
        return Path(path)
    raise InputError(f"expected a file's name, got {path!r}", "input")


def require_few_values(count: int) -> None:
    """Raise InputError for more numbers than `VALUES`."""
    if count > VALUES:
        raise InputError(
            f"{count:,} numbers; data may have {VALUES:,}. Cut the file, or give arrays of your own to gradlab.analyze"
        )
