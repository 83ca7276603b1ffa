"""A folder of sounds, with a folder inside for each label; or such a folder packed as a .zip."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import InputError, about
from ..wording import counted
from .array_files import ZIP
from .files import LIMIT, MOST_FILES, as_path, require_few_values, require_regular, unzipped
from .frames import BANDS
from .sound import read_sound
from .uploads import original_name

EXPECTED = "expected a folder with a folder of sounds for each label, such as sounds/bark/1.wav, or a .zip of it"


@dataclass(frozen=True)
class Sounds:
    """frames: the mel frames (F, BANDS) of each sound. labels: of each. said: how they were read."""

    frames: list[np.ndarray]
    labels: list[str]
    said: str


def labelled_sounds(path: str | os.PathLike[str]) -> Sounds:
    """All sounds DIR/label/name of a folder or a .zip, by name; channels are averaged.

    What begins with a dot, and what lies beside the labels' folders, is passed over; in a .zip the folder may be packed
    with those that it lies in. Raises InputError that names the file for any other one that is no sound, for a folder
    within a label's, and for more than there is room for.
    """
    place = as_path(path)
    name = original_name(place)
    frames, labels, count = list[np.ndarray](), list[str](), 0
    with about("input", name):
        for label, file, data in sound_files(place):
            with about("input", f"{label}/{file}"):
                read = read_sound(data, None, "mel").values
                count += len(read)
                require_few_values(count * BANDS)
            frames.append(read.reshape(len(read), -1, BANDS).mean(axis=1))
            labels.append(label)
        if not frames:
            raise InputError(f"no sound in it; {EXPECTED}")
        sizes = f"{counted(len(frames), 'sound')} of {counted(count, 'mel frame')}"
        said = f"Read {name} as {sizes} with {counted(len(set(labels)), 'label')}"
        return Sounds(frames, labels, said)


def sound_files(place: Path) -> Iterator[tuple[str, str, bytes]]:
    """Label, name and content of each file, by label and name. Raises InputError where there is too much."""
    try:
        if place.is_dir():
            return _of_folder(place)
        _require_few(1, require_regular(place))
        data = place.read_bytes()
    except FileNotFoundError:
        raise InputError(f"not found (relative paths start at {Path.cwd()}); {EXPECTED}") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:  # the last: a null byte in the name
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not data.startswith(ZIP):
        raise InputError(f"it is a file and no .zip; {EXPECTED}")
    return _of_zip(data)


def folder_digest(place: Path) -> str:
    """The SHA-256 of all files of a folder and of their names."""
    whole = hashlib.sha256()
    for label, file, data in sound_files(place):
        whole.update(f"{label}/{file}\0".encode("utf-8", "replace") + hashlib.sha256(data).digest())
    return whole.hexdigest()


def _of_folder(place: Path) -> Iterator[tuple[str, str, bytes]]:
    files = [file for folder in _shown(place) if folder.is_dir() for file in _shown(folder)]
    for file in files:
        _require_no_folder((file.parent.name, file.name), file.is_dir())
    _require_few(len(files), sum(require_regular(file) for file in files))
    return ((file.parent.name, file.name, _content(file)) for file in files)


def _shown(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not _is_hidden([path.name]))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from None


def _of_zip(data: bytes) -> Iterator[tuple[str, str, bytes]]:
    with unzipped(data, ".zip", "pack the folder again") as archive:
        entries = [(PurePosixPath(info.filename).parts, info) for info in archive.infolist()]
        shown = [(parts, info) for parts, info in entries if not _is_hidden(parts)]
        if not (files := [parts for parts, info in shown if not info.is_dir()]):
            return
        top, inside = _common_top(files), []
        for parts, info in sorted(((parts[top:], info) for parts, info in shown), key=itemgetter(0)):
            _require_no_folder(parts, info.is_dir())
            if len(parts) == 2:
                inside.append((*parts, info))
        _require_few(len(inside), sum(info.file_size for *_, info in inside))
        for label, file, info in inside:
            yield label, file, archive.read(info)


def _common_top(files: Sequence[tuple[str, ...]]) -> int:
    """How many folders all files lie in, where a label and a name remain of the one that lies deepest."""
    common = len(os.path.commonprefix([parts[:-1] for parts in files]))
    return max(0, min(common, max(map(len, files)) - 2))


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _require_no_folder(parts: Sequence[str], is_folder: bool) -> None:
    """Raise InputError for a path of more than a label and a file, as the label could be either folder's name."""
    if len(parts) + is_folder > 2:
        raise InputError(f"{'/'.join(parts[:2])} is a folder within a label's folder; {EXPECTED}")


def _require_few(count: int, size: int) -> None:
    if count > MOST_FILES:
        raise InputError(f"{count:,} files in it; expected at most {MOST_FILES:,}")
    if size > LIMIT:
        raise InputError(f"{size / 1e6:,.0f} MB in it; sounds may have {LIMIT / 1e6:.0f} MB together")
