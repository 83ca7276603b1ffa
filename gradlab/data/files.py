"""Files on disk: only regular ones, as a pipe may never end, and no more of a file than can be used."""

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError, about
from .uploads import original_name

LIMIT = 70 * 1000**2  # bytes of a file of data
MOST_FILES = 10_000  # of a folder
VALUES = 2**23  # numbers that data may have: with what is computed on the way they take less than 500 MB
_LESS = "Cut the file, or give arrays of your own to gradlab.analyze"


def read_file(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """A regular file's content. Raises InputError, with the reason, if it cannot be read; it is about "input".

    limit: bytes beyond which it is refused unread.
    """
    with about("input"):
        try:
            _require_small(path, require_regular(as_path(path)), limit)
            return Path(path).read_bytes()
        except FileNotFoundError:
            raise InputError(f"file not found: {path} (relative paths start at {Path.cwd()})") from None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from None
        except InputError:
            raise
        except ValueError as error:  # a null byte in the name
            raise InputError(f"{str(path)!r} is no file name: {error}") from None


def require_regular(path: Path) -> int:
    """Bytes of a file. Raises InputError for what is no file, before it is opened, as a pipe would wait for ever."""
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is a directory; name a file in it")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is a pipe or a device, which may have no end; save it as a file first")
    return found.st_size


def _require_small(path: str | os.PathLike[str], size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise InputError(f"{path} has {size / 1e6:,.0f} MB; data may have {limit / 1e6:.0f} MB. {_LESS}")


def named_content(path: str | os.PathLike[str], limit: int | None = None) -> tuple[str, bytes]:
    """The name that a person knows a file by, and what is in it; limit as in `read_file`."""
    data = read_file(path, limit)
    return original_name(Path(path)), data


@contextmanager
def unzipped(data: bytes, suffix: str, advice: str) -> Iterator[zipfile.ZipFile]:
    """The archive that a file is. Raises InputError where it is damaged, which may show only inside."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except InputError:
        raise
    except (
        Exception
    ) as error:  # of zip and of what it packs with: a damaged or encrypted archive raises almost anything
        raise InputError(f"not a readable {suffix} ({error}); {advice}") from None


def stamp(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What changes when a file does, or one in a folder of folders: the latest time, and the size; None without one.

    Of a folder no more is looked at than it may have, as any folder may be named.
    """
    try:
        place = Path(path)
        found = [os.stat(file) for file in (place, *_within(place))]
    except (OSError, ValueError):
        return None
    return max(one.st_mtime_ns for one in found), sum(one.st_size for one in found)


def _within(place: Path) -> Iterator[Path]:
    """The folders in a folder, and the files in those, as far as they are read."""
    for pattern in ("[!.]*/", "[!.]*/[!.]*"):
        yield from islice(place.glob(pattern), MOST_FILES)


def as_path(path: Any) -> Path:
    """A file's name as a Path. Raises InputError for anything else."""
    if isinstance(path, str | os.PathLike):
        return Path(path)
    raise InputError(f"expected a file's name, got {path!r}", "input")


def require_few_values(count: int) -> None:
    """Raise InputError for more numbers than `VALUES`."""
    if count > VALUES:
        raise InputError(f"{count:,} numbers; data may have {VALUES:,}. {_LESS}")
