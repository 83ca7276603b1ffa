"""A text as numbers of its words or bytes, for networks that have a vector for each."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ..errors import InputError
from ..wording import counted, digits_text
from .files import VALUES
from .series import byte_codes, window_places

CHARACTER = "character"  # numbered as they sort
TOKENS = {  # how a text is read
    CHARACTER: "characters, each a feature",
    "word": "words, a vector each",
    "byte": "bytes, a vector each",
}
WORDS = 2000  # that have a vector of their own: the most frequent ones
UNKNOWN = "unknown"  # stands for all others
DIFFERENT = 10**6  # words of one text: where there are more, it is none
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Tokens:
    """A text of N words or bytes: ids (N,), each the place of one in `vocabulary`; said: how the file was read."""

    ids: np.ndarray
    vocabulary: list[str]
    said: str = ""

    def windows(self, steps: int, batch_size: int, seed: int = 0) -> np.ndarray:
        """(T, B) whole numbers: T words or bytes in a row from B random starts, as `Series.windows` draws them."""
        return self.ids[window_places(len(self.ids), steps, batch_size, seed)].astype(np.int64)


def words_of(text: str) -> Iterator[str]:
    """The words and the punctuation marks of a text, in lower case; an apostrophe within a word belongs to it."""
    return (found[0] for found in _WORD.finditer(text.lower()))


def numbered(words: Iterable[str], most: int = WORDS) -> tuple[np.ndarray, list[str]]:
    """The number (N,) of each word, and the vocabulary that it counts: the most frequent words, of equals the first.

    Where there are more than `most`, 0 is UNKNOWN, which stands for all others. Raises InputError for no word, and for
    more than data may have.
    """
    first: dict[str, int] = {}
    seen = array("i")
    for word in islice(words, VALUES + 1):
        seen.append(first.setdefault(word, len(first)))
        if len(first) > DIFFERENT:
            raise InputError(f"more than {DIFFERENT:,} different words; read it as characters or bytes", "tokens")
    if len(seen) > VALUES:
        raise InputError(f"more than {VALUES:,} words; cut the file, or read it as characters or bytes", "tokens")
    if not seen:
        raise InputError("no word in it; read it as characters or bytes", "tokens")
    own = np.array(seen, dtype=np.int32)
    order = np.argsort(-np.bincount(own), kind="stable")[:most]
    rest = [UNKNOWN] if len(first) > most else []
    number = np.zeros(len(first), dtype=np.int32)
    number[order] = np.arange(len(order)) + len(rest)
    names = list(first)
    return number[own], [*rest, *(names[i] for i in order)]


def read_tokens(data: bytes, text: str, tokens: str) -> Tokens:
    """A text, as it is and decoded, as words, bytes or characters; what is said lacks the name of the file."""
    if tokens == CHARACTER:
        letters, codes = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
        names = [chr(letter) for letter in letters]
        return Tokens(codes, names, f"{counted(len(codes), 'character')}, {len(names):,} different")
    if tokens == "byte":
        codes, symbols = byte_codes(data)
        names = [chr(b) if b < 128 else f"0x{b:02x}" for b in symbols]
        return Tokens(codes, names, f"{counted(len(data), 'byte')}, {len(names)} different")
    ids, vocabulary = numbered(words_of(text))
    return Tokens(ids, vocabulary, f"{counted(len(ids), 'word')}, {vocabulary_text(ids, vocabulary)}")


def vocabulary_text(ids: np.ndarray, vocabulary: list[str]) -> str:
    """How many words have a vector of their own, and how much of the text the others are."""
    if len(vocabulary) <= WORDS:
        return f"{len(vocabulary):,} different"
    rest = digits_text(100 * float((ids == 0).mean()), 2)
    return f"the {len(vocabulary) - 1:,} most frequent ones by name and the rest, {rest} % of all, as '{UNKNOWN}'"
