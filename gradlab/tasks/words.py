"""Texts, word by word: a tag for each, or a label for all of them."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data import Annotated, Vocabulary, labelled_texts, tagged_sentences
from ..errors import InputError, echo
from ..lazy import lazy
from ..wording import counted
from .base import Batch, Task, register
from .labelled import HELD_OUT, LISTED, SPLIT_SEED, Labelled, drawn


@dataclass(frozen=True)
class Words(Task):
    """The words of a file's texts as symbols: those that occur twice in what is learnt from, 0 for every other one."""

    path: str | os.PathLike[str] = ""

    loss = "cross_entropy"
    metric = "error rate"
    needs_file = own_format = True
    least_steps = 1
    symbols = True

    @property
    @abstractmethod
    def read(self) -> Annotated:
        """The file, as it was read."""

    @property
    @abstractmethod
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of texts to learn from, and held-out ones."""

    @property
    def said(self) -> str:
        """How the file was read."""
        return self.read.said

    @lazy
    def vocabulary(self) -> Vocabulary:
        """Of the texts that are learnt from, cut as the net sees them."""
        return Vocabulary(self.read.texts[n][: self.steps] for n in self.parts[0])

    @property
    def feature_names(self) -> list[str]:  # type: ignore[override]
        """The words that are told apart."""
        return self.vocabulary.words

    @property
    def input_size(self) -> int:
        """How many these are."""
        return len(self.vocabulary)

    @property
    def length(self) -> int:
        """Words of the longest text, at most `steps`."""
        return min(max(map(len, self.read.texts)), self.steps)

    def shown(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Symbols (T, B), 0 beyond the lengths (B,)."""
        return columns([self.vocabulary.codes(self.read.texts[n][: self.length]) for n in chosen], self.length)


def columns(rows: Sequence[np.ndarray], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of each sample as columns (T, B), 0 beyond the lengths (B,)."""
    table = np.zeros((length, len(rows)), dtype=np.int64)
    for b, row in enumerate(rows):
        table[: len(row), b] = row
    return table, np.array([len(row) for row in rows])


@register
@dataclass(frozen=True)
class Sentiment(Words, Labelled):
    """The label of a text: a file with a line "label<tab>text" or "label,text" for each.

    Texts beyond T words are cut. A fifth of each label is held out; words that do not occur twice in the others are
    unknown.
    """

    name = "sentiment"
    title = "Label texts"
    parts = Labelled.parts
    counts_as = ("label", "text")

    @lazy
    def read(self) -> Annotated:
        """The texts and their labels."""
        return labelled_texts(self.path)

    @property
    def named(self) -> list[str]:
        """The label of each text."""
        return [label for (label,) in self.read.answers]


@register
@dataclass(frozen=True)
class Tagging(Words):
    """The tag of every word: a file of lines "word tag", with an empty line behind each sentence.

    Sentences beyond T words are cut. A fifth of the sentences is held out, none of which has a tag that no other has;
    words that the others do not hold twice are unknown.
    """

    name = "tagging"
    title = "Tag words"
    output = "every"
    baseline_text = "tag frequencies alone"
    other_nulls = {"memoryless": "the word alone: the frequencies of its tags"}

    def __post_init__(self) -> None:
        super().__post_init__()
        count, tags = len(self.tags), len(self.class_names)
        if count < 2 or tags < 2:
            raise InputError(
                f"expected two sentences or more with two tags or more, got {counted(count, 'sentence')} with "
                f"{counted(tags, 'tag')}; add some to the file, with an empty line between sentences",
                "input",
            )
        self._require_known()

    @lazy
    def read(self) -> Annotated:
        """The sentences and their tags."""
        return tagged_sentences(self.path)

    @lazy
    def tags(self) -> list[np.ndarray]:
        """The number of each word's tag, of each sentence as the net sees it."""
        number = {name: n for n, name in enumerate(self.class_names)}
        return [np.array([number[tag] for tag in own[: self.length]]) for own in self.read.answers]

    @lazy
    def class_names(self) -> list[str]:  # type: ignore[override]
        """The tags, as the file spells them."""
        return sorted({tag for own in self.read.answers for tag in own[: self.length]})

    @property
    def output_size(self) -> int:
        """Tags."""
        return len(self.class_names)

    @lazy
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices to learn from, and held-out ones: a fifth, if so many leave every tag of theirs to the others."""
        left, held = self._sentences_with.copy(), list[int]()
        wanted = max(1, round(HELD_OUT * len(self.tags)))
        for n in np.random.default_rng(SPLIT_SEED).permutation(len(self.tags)):
            own = np.unique(self.tags[n])
            if len(held) < wanted and (left[own] > 1).all():
                left[own] -= 1
                held.append(n)
        held_out = np.sort(np.array(held, dtype=int))
        return np.setdiff1d(np.arange(len(self.tags)), held_out), held_out

    @lazy
    def _sentences_with(self) -> np.ndarray:
        """(O,) in how many sentences each tag occurs."""
        return np.bincount(np.concatenate([np.unique(own) for own in self.tags]), minlength=self.output_size)

    def _require_known(self) -> None:
        """Raise InputError for tags of a single sentence: held out, they would be unknown to the net."""
        once = [name for name, count in zip(self.class_names, self._sentences_with, strict=True) if count < 2]
        if once:
            more = f" and {len(once) - LISTED:,} more" if len(once) > LISTED else ""
            raise InputError(
                f"tags unknown: {', '.join(map(echo, once[:LISTED]))}{more} in one sentence alone, so what is held out "
                "could not be learnt; give them another sentence, or another tag",
                "input",
            )

    @property
    def baseline(self) -> float:
        """Cross-entropy of the held-out tags under the tags' frequencies."""
        return float(-np.log(self._shares)[self._tags_of(self.parts[1])].mean())

    def _tags_of(self, part: np.ndarray) -> np.ndarray:
        """Of some sentences, one after the other."""
        return np.concatenate([self.tags[n] for n in part])

    @lazy
    def _shares(self) -> np.ndarray:
        """(O,) of the tags to learn from."""
        counts = np.bincount(self._tags_of(self.parts[0]), minlength=self.output_size)
        return np.asarray(counts / counts.sum())

    @lazy
    def _by_word(self) -> np.ndarray:
        """(D, O) shares of each word's tags, to which `_shares` are added as if seen once more."""
        words = np.concatenate([self.vocabulary.codes(self.read.texts[n][: self.length]) for n in self.parts[0]])
        size = (self.input_size, self.output_size)
        pairs = np.bincount(words * size[1] + self._tags_of(self.parts[0]), minlength=size[0] * size[1])
        counts = pairs.reshape(size) + self._shares
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))

    def null_losses(self, batch: Batch) -> dict[str, np.ndarray]:
        """Nats (T, B)."""
        by_word = self._by_word[batch.x, batch.targets]
        return {"baseline": -np.log(self._shares[batch.targets]), "memoryless": -np.log(by_word)}

    def batch(self, rng: np.random.Generator, batch_size: int, held_out: bool = False) -> Batch:
        """Sentences drawn with replacement; when held out, each at most once."""
        chosen = drawn(rng, self.parts, batch_size, held_out)
        x, lengths = self.shown(chosen)
        return Batch(x, columns([self.tags[n] for n in chosen], self.length)[0], lengths)
