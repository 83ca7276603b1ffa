"""Texts with answers: sentences with a tag for every word, and texts with a label each."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, about, echo
from ..wording import counted
from .encodings import as_utf8
from .files import named_content
from .tokens import UNKNOWN, words_of

LIMIT = 20 * 1000**2  # bytes
MOST_WORDS = 2_000_000  # of a file: with what is computed on the way they take less than 500 MB
LONGEST_LINE = 2**17  # characters, which is what the reader of CSV takes
VOCABULARY = 10_000  # words that are told apart
KNOWN_FROM = 2  # times that a word has to occur: what occurs once teaches what an unknown word is like
_HEADINGS = {"label", "sentiment", "class", "target"}


@dataclass(frozen=True)
class Annotated:
    """texts: the words of each. answers: the tag of each word, or one label, of each. said: how the file was read."""

    texts: list[list[str]]
    answers: list[list[str]]
    said: str


class Vocabulary:
    """Words by number; 0 is every other one."""

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        """Of the words that occur twice at least, the most frequent."""
        counts = Counter(word for text in texts for word in text)
        known = [word for word, count in counts.most_common(VOCABULARY) if count >= KNOWN_FROM]
        self.words = [UNKNOWN, *known]
        self._codes = {word: n for n, word in enumerate(known, 1)}

    def __len__(self) -> int:
        return len(self.words)

    def codes(self, text: Sequence[str]) -> np.ndarray:
        """(T,) the number of each word."""
        return np.array([self._codes.get(word, 0) for word in text], dtype=np.int32)


def tagged_sentences(path: str | os.PathLike[str]) -> Annotated:
    """Sentences of lines "word tag", empty lines between them, as CoNLL's shared tasks have them.

    Of a line with more columns the first is the word and the last the tag. Raises InputError, with the line, for what
    is none.
    """
    name, data = named_content(path, LIMIT)
    with about("input", name):
        texts, tags, columns = _sentences(_lines(data))
        if not texts:
            raise InputError("no sentence in it; expected a word and its tag on every line")
        found = len({tag for own in tags for tag in own})
        words = counted(sum(map(len, texts)), "word")
        which = f", the last of {columns} columns as tags" if columns > 2 else ""
        said = f"Read {name} as {counted(len(texts), 'sentence')} of {words} with {counted(found, 'tag')}{which}"
        return Annotated(texts, tags, said)


def _sentences(lines: Iterator[tuple[int, str]]) -> tuple[list[list[str]], list[list[str]], int]:
    """The words and the tags of each sentence, and how many columns there are."""
    texts, tags, columns, first, count = [list[str]()], [list[str]()], 0, 0, 0
    for line, text in lines:
        cells = [cell.strip() for cell in text.split("\t")] if "\t" in text else text.split()
        if not any(cells):
            if texts[-1]:
                texts.append([])
                tags.append([])
            continue
        _require_tag(line, text, cells)
        columns, first = columns or len(cells), first or line
        if len(cells) != columns:
            raise InputError(f"line {line} has {counted(len(cells), 'column')}, line {first} has {columns}")
        count = _counted_words(count, 1)
        texts[-1].append(cells[0])
        tags[-1].append(cells[-1])
    whole = len(texts) - (not texts[-1])
    return texts[:whole], tags[:whole], columns


def _require_tag(line: int, text: str, cells: Sequence[str]) -> None:
    if len(cells) < 2 or not (cells[0] and cells[-1]):
        raise InputError(
            f"line {line}: expected a word and its tag with a blank or a tab between, got {echo(text.strip())}; "
            "write both, or leave the line empty to end a sentence"
        )


def labelled_texts(path: str | os.PathLike[str]) -> Annotated:
    """Texts of lines "label<tab>text", or "label,text" where no line has a tab.

    Of those with content the first may have headings, and is then passed over.

    Raises InputError, with the line, for what is none.
    """
    name, data = named_content(path, LIMIT)
    with about("input", name):
        texts, labels, count = [], [], 0
        for line, label, text in _labelled(data):
            words = list(words_of(text))
            if not label or not words:
                raise InputError(f"line {line}: the {'text' if label else 'label'} is empty; write both")
            count = _counted_words(count, len(words))
            texts.append(words)
            labels.append([label])
        if not texts:
            raise InputError("no text in it; expected a label and a text on every line")
        found = counted(len({label for (label,) in labels}), "label")
        said = f"Read {name} as {counted(len(texts), 'text')} of {counted(count, 'word')} with {found}"
        return Annotated(texts, labels, said)


def _labelled(data: bytes) -> Iterator[tuple[int, str, str]]:
    """Line, label and text of each line that is not empty, without the headings."""
    lines = list(_lines(data))
    tabs = any("\t" in text for _, text in lines)
    split = _by_tab if tabs else _by_comma
    for n, (line, cells) in enumerate(split(lines)):
        if len(cells) < 2:
            raise InputError(
                f"line {line}: expected a label and a text with a {'tab' if tabs else 'comma or a tab'} between, "
                f"got {echo(cells[0])}"
            )
        if n or cells[0].strip().lower() not in _HEADINGS:
            yield line, cells[0].strip(), cells[1]


def _by_tab(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    return ((line, text.split("\t", 1)) for line, text in lines if text.strip())


def _by_comma(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """As CSV has it: what is in quotes may hold commas, and so may a text without quotes."""
    reader, line = csv.reader((f"{text}\n" for _, text in lines), skipinitialspace=True, strict=True), 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield line, [cells[0], *([",".join(cells[1:])] if len(cells) > 1 else [])]
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"line {line} is not CSV: {error}; quotes stand around a whole text, and twice in it"
        ) from None


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    """The lines of a text in any encoding, counted from 1."""
    if not data:
        raise InputError("the file is empty")
    text = as_utf8(data)[0].decode().replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            raise InputError(f"line {number} has {len(line):,} characters; expected at most {LONGEST_LINE:,}")
        yield number, line


def _counted_words(count: int, more: int) -> int:
    """How many words there are by now. Raises InputError for too many."""
    if count + more > MOST_WORDS:
        raise InputError(f"more than {MOST_WORDS:,} words; leave some of the file out")
    return count + more
