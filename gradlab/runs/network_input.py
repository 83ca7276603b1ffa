"""What a network of a RunConfig is driven by: numbers, or words and bytes that have vectors; sequences, or trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from io import StringIO
from itertools import chain

import numpy as np

from ..config import RunConfig
from ..config.architecture import embeds, is_tree, reads_trees
from ..data import input_text, numbered, read_text, stamp, text_tokens, vocabulary_text
from ..data.series import STREAM
from ..errors import InputError, about
from ..layers import Trees, grow
from ..layers.tree_text import read_tree
from ..wording import counted
from .build import whole_input
from .own_network import own_said

TREE_STREAM = int.from_bytes(b"trees", "big")
KEPT = 2  # files of trees that are kept as they were read
MOST_NODES = 10**6  # of all trees of a file
LONGEST_LINE = 2**17  # characters
NO_WORD = "no word"  # of a node without one


@dataclass(frozen=True)
class NetworkInput:
    """x (T, B, D), or whole numbers x (T, B), each a word or a byte of a `vocabulary` of so many; and the trees."""

    x: np.ndarray
    vocabulary: int | None = None
    trees: Trees | None = None

    def first(self, samples: int | None) -> NetworkInput:
        """The same of the first samples."""
        trees = self.trees and self.trees.of_samples(slice(samples))
        return replace(self, x=self.x[:, :samples], trees=trees)


def network_input(config: RunConfig) -> NetworkInput:
    """Of a network that is more than one cell. Raises InputError for a file that cannot be used."""
    if reads_trees(config):
        return _bank(config).sample(config)
    if embeds(config):
        tokens = text_tokens(config.input, config.tokens, config.column)
        x, vocabulary = tokens.windows(config.steps, config.batch_size, config.seed), len(tokens.vocabulary)
    else:
        x, vocabulary = whole_input(config), None
    return NetworkInput(x, vocabulary, _grown(config, *x.shape[:2]) if is_tree(config) else None)


def _grown(config: RunConfig, nodes: int, samples: int) -> Trees:
    """So many made trees, which the seed fixes."""
    return grow(config.tree, nodes, samples, np.random.default_rng([config.seed, TREE_STREAM]))


def vocabulary_size(config: RunConfig) -> int | None:
    """How many words or bytes have a vector; None where the input is numbers."""
    if reads_trees(config):
        return _bank(config).vocabulary
    return len(text_tokens(config.input, config.tokens, config.column).vocabulary) if embeds(config) else None


def said_of(config: RunConfig) -> str:
    """One line on how a file was read; empty for a generated input."""
    if reads_trees(config):
        return _bank(config).said
    if embeds(config) and config.weights is not None:
        return own_said(config)
    if embeds(config):
        return text_tokens(config.input, config.tokens, config.column).said
    return input_text(config.input, config.column, config.frames)


@dataclass(frozen=True)
class TreeBank:
    """Trees of a file: parents of the nodes of each, the numbers of their words, and how many words there are."""

    parents: list[list[int]]
    words: list[np.ndarray]
    vocabulary: int
    said: str

    def sample(self, config: RunConfig) -> NetworkInput:
        """Trees of at most `steps` nodes, as many as there are samples, none twice as long as there are enough."""
        fit = [i for i, own in enumerate(self.parents) if len(own) <= config.steps]
        if not fit:
            least = min(map(len, self.parents))
            raise InputError(f"every tree has more than {config.steps} nodes; take {least} steps or more", "steps")
        rng = np.random.default_rng([config.seed, STREAM])
        chosen = rng.choice(fit, config.batch_size, replace=len(fit) < config.batch_size)
        trees = Trees.of([self.parents[i] for i in chosen])
        return NetworkInput(trees.arrange([self.words[i] for i in chosen]), self.vocabulary, trees)


def _bank(config: RunConfig) -> TreeBank:
    return _read_bank(config.input, config.column, stamp(config.input))


@lru_cache(KEPT)
def _read_bank(path: str, column: str | None, at: tuple[int, int] | None) -> TreeBank:
    name, _, text = read_text(path, column)
    with about("input", name):
        read = list(_trees_of(text))
        sizes = [len(parents) for parents, _ in read]
        ids, vocabulary = numbered(word or NO_WORD for word in chain.from_iterable(words for _, words in read))
    words = np.split(ids, np.cumsum(sizes)[:-1])
    nodes = counted(min(sizes), "node") if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes):,} nodes"
    said = f"Read {name} as {counted(len(read), 'tree')} of {nodes}; words: {vocabulary_text(ids, vocabulary)}"
    return TreeBank([parents for parents, _ in read], words, len(vocabulary), said)


def _trees_of(text: str) -> Iterator[tuple[list[int], list[str]]]:
    """Parents and words of the tree on each line that is not empty. Raises InputError, with the line, for none."""
    count = 0
    for number, line in enumerate(StringIO(text, newline=None), 1):
        if len(line) > LONGEST_LINE:
            raise InputError(
                f"line {number} has {len(line):,} characters; expected one tree of {LONGEST_LINE:,} at most"
            )
        if line.strip():
            tree = read_tree(line, f"line {number}")
            count += len(tree[0])
            if count > MOST_NODES:
                raise InputError(f"more than {MOST_NODES:,} nodes; leave some of the trees out")
            yield tree
