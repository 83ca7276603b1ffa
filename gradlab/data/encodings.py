"""Text in bytes: UTF-8 as it is, everything else named and turned into UTF-8."""

import codecs
import re
from collections.abc import Iterator

from ..errors import InputError

FORMATS = ".csv, .npy, .wav (and other tables, arrays and sounds) or UTF-8 text"
WESTERN = "cp1252"  # which holds Latin-1
SAMPLE = 2**16  # bytes that an encoding is told by
_MARKS = {
    codecs.BOM_UTF8: ("utf-8", "UTF-8"),
    codecs.BOM_UTF32_LE: ("utf-32", "UTF-32"),  # before UTF-16's, with which it begins
    codecs.BOM_UTF32_BE: ("utf-32", "UTF-32"),
    codecs.BOM_UTF16_LE: ("utf-16", "UTF-16"),
    codecs.BOM_UTF16_BE: ("utf-16", "UTF-16"),
}
_HIGH = re.compile(rb"[\x80-\xff]")


def decoded(data: bytes) -> str:
    """UTF-8 as text. Raises InputError, with the first byte that is none."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}; readable are {FORMATS}"
        ) from None


def as_utf8(data: bytes, errors: str = "strict") -> tuple[bytes, str]:
    """The bytes as UTF-8 without a mark in front, and the name of their encoding.

    errors: "ignore" for a part of a file, which may end within a character. Raises InputError for what is no text.
    """
    codec, name = _encoding(data)
    try:
        text = data.decode(codec, errors)
    except UnicodeDecodeError as error:
        raise InputError(
            f"not {name} text: byte {error.start} is 0x{data[error.start]:02x}; save it as UTF-8"
        ) from None
    if "\0" in text:
        raise InputError(f"not text: it holds null characters; readable are {FORMATS}")
    return text.removeprefix("\ufeff").encode(), name


def _encoding(data: bytes) -> tuple[str, str]:
    """Codec and name: by the mark in front, else UTF-8 where it is that, else by zeros, else by likelihood."""
    for mark, found in _MARKS.items():
        if data.startswith(mark):
            return found
    head = data[:SAMPLE]
    if 4 * head.count(0) > len(head):  # of ASCII in UTF-16 every other byte is zero
        return ("utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"), "UTF-16"
    try:
        data.decode()
        return "utf-8", "UTF-8"
    except UnicodeDecodeError as error:
        if error.end == len(data) and "end of data" in error.reason:
            return "utf-8", "UTF-8"
    return _likely(data)


def _likely(data: bytes) -> tuple[str, str]:
    """What the lines are most likely in that are no ASCII; UTF-8 where nothing fits."""
    from charset_normalizer import from_bytes

    lines, size = [], 0
    for line in _beyond_ascii(data):
        lines.append(line)
        size += len(line)
        if size > SAMPLE:
            break
    sample = b"\n".join(lines)
    best = (_is_latin(sample) and from_bytes(sample, cp_isolation=[WESTERN]).best()) or from_bytes(sample).best()
    return (best.encoding, best.encoding) if best else ("utf-8", "UTF-8")


def _beyond_ascii(data: bytes) -> Iterator[bytes]:
    """The lines that are no ASCII; of a long one, what is around the first byte that is none."""
    end = 0
    while found := _HIGH.search(data, end):
        start, middle = max(end, data.rfind(b"\n", end, found.start()) + 1), found.start()
        end = data.find(b"\n", middle)
        end = len(data) if end < 0 else end
        yield data[max(start, middle - SAMPLE // 2) : min(end, middle + SAMPLE // 2)]


def _is_latin(sample: bytes) -> bool:
    """Whether most letters are ASCII's, as in languages with accents; a few signs tell no code page from another."""
    return 2 * sum(byte > 127 for byte in sample) < sum(map(str.isalpha, sample.decode("ascii", "ignore")))
