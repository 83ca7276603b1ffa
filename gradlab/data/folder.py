"""A folder of sounds, with a folder inside for each label; or such a folder packed as a .zip."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import InputError, about
from ..wording import counted
from .array_files import ZIP
from .files import LIMIT, as_path, require_few_values, require_regular, unzipped
from .frames import BANDS
from .sound import read_sound
from .uploads import original_name

MOST_FILES = 10_000
EXPECTED = "expected a folder with a folder of sounds for each label, such as sounds/bark/1.wav, or a .zip of it"


@dataclass(frozen=True)
class Sounds:
    """frames: the mel frames (F, BANDS) of each sound. labels: of each. said: how they were read."""

    frames: list[np.ndarray]
    labels: list[str]
    said: str


def labelled_sounds(path: str | os.PathLike[str]) -> Sounds:
    """All sounds DIR/label/name of a folder or a .zip, by name; channels are averaged.

    What begins with a dot, and what lies beside the labels' folders, is passed over. Raises InputError that names the
    file for any other one that is no sound, and for more than there is room for.
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
    _require_few(len(files), sum(require_regular(file) for file in files))
    return ((file.parent.name, file.name, _content(file)) for file in files)


def _shown(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from None


def _of_zip(data: bytes) -> Iterator[tuple[str, str, bytes]]:
    with unzipped(data, ".zip", "pack the folder again") as archive:
        entries = [(PurePosixPath(info.filename), info) for info in archive.infolist() if not info.is_dir()]
        inside = [(path, info) for path, info in entries if len(path.parts) > 1 and not _is_hidden(path)]
        _require_few(len(inside), sum(info.file_size for _, info in inside))
        for path, info in sorted(inside, key=lambda entry: entry[0].parts[-2:]):
            yield path.parts[-2], path.name, archive.read(info)


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _require_few(count: int, size: int) -> None:
    if count > MOST_FILES:
        raise InputError(f"{count:,} files in it; expected at most {MOST_FILES:,}")
    if size > LIMIT:
        raise InputError(f"{size / 1e6:,.0f} MB in it; sounds may have {LIMIT / 1e6:.0f} MB together")
