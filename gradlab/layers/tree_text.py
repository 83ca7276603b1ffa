"""Trees as text in brackets, as treebanks have them.

    tree = word | "(" [word] tree* ")"

The first word in brackets is the label of their node, and what follows are its children; a word that is not the first
is a leaf. So "(3 (2 It) (4 works))" is a node 3 with the children 2 and 4, which have a leaf each, and "((a) (b))" a
node without a label over the leaves a and b. Words are whatever holds no blank and no bracket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import InputError, echo

PIECE = re.compile(r"[()]|[^()\s]+")
EXAMPLE = "(a (b c))"


def read_tree(text: str, name: str) -> tuple[list[int], list[str]]:
    """Each node's parent, -1 for the root, and its word, "" without one; children before parents, from left to right.

    name: what an InputError calls the tree; it says at which character, counted from 1, something is wrong.
    """
    if not isinstance(text, str):
        raise InputError(f"{name}: expected a text such as '{EXAMPLE}', got {echo(text)}", "texts")
    reader = _Reader(name)
    for piece in PIECE.finditer(text):
        reader.take(piece[0], piece.start() + 1)
    return reader.finish()


@dataclass
class _Brackets:
    """Brackets that are not closed yet: where they opened, their label, and the numbers of their children."""

    place: int
    label: str = ""
    children: list[int] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not self.label and not self.children


class _Reader:
    """The nodes that are complete, and the brackets around what comes next."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parents: list[int] = []
        self.words: list[str] = []
        self.open: list[_Brackets] = []

    def take(self, piece: str, place: int) -> None:
        """A bracket or a word, which stands at a place."""
        if piece == ")":
            self._close(place)
        elif self.parents and not self.open:
            raise self._error(f"expected nothing behind the tree, got {echo(piece)}; give one tree a text", place)
        elif piece == "(":
            self.open.append(_Brackets(place))
        elif self.open and self.open[-1].empty:
            self.open[-1].label = piece
        else:
            self._add(piece, [])

    def finish(self) -> tuple[list[int], list[str]]:
        """Parents and words, once all is read."""
        if self.open:
            raise self._error("'(' is never closed; add ')'", self.open[-1].place)
        if not self.parents:
            raise InputError(f"{self.name} is empty; expected a word, or brackets such as '{EXAMPLE}'", "texts")
        return self.parents, self.words

    def _close(self, place: int) -> None:
        if not self.open:
            raise self._error("')' closes no '('", place)
        node = self.open.pop()
        if node.empty:
            raise self._error("expected a word or a tree in the brackets, got nothing", node.place)
        self._add(node.label, node.children)

    def _add(self, word: str, children: list[int]) -> None:
        """A node whose children are complete."""
        number = len(self.parents)
        self.parents.append(-1)
        self.words.append(word)
        for child in children:
            self.parents[child] = number
        if self.open:
            self.open[-1].children.append(number)

    def _error(self, text: str, place: int) -> InputError:
        return InputError(f"{self.name}, character {place}: {text}", "texts")
