"""What a file of weights holds, whatever wrote it: recurrent layers, and what stands around them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cells import Cell
from ..errors import InputError
from ..layers import Layer

Params = dict[str, np.ndarray]

REVERSE = "_reverse"  # behind the number of a layer that reads a sequence from its end
ASSUMED = "do not tell {}, so tanh is assumed"  # whose nonlinearity


class AssumedActivation(UserWarning):
    """The weights do not tell a layer's nonlinearity, and nobody else did."""


def warn_of_guess(whose: str, stacklevel: int) -> None:
    """Warn that a nonlinearity is a guess."""
    advice = "give activation='tanh' or 'relu', whichever it was trained with"
    warnings.warn(f"the weights {ASSUMED.format(whose)}; {advice}", AssumedActivation, stacklevel)


@dataclass(frozen=True)
class ReadLayer:
    """One direction of a recurrent layer.

    number: which of its file's or its module's. assumed: whose nonlinearity is a guess, if any is. projection (P, H):
    what whoever reads its h sees of it; its own recurrence has that in W_hh. notes: how its weights came about.
    """

    cell: Cell
    params: Params
    number: str
    assumed: str = ""
    projection: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def said(self) -> tuple[str, ...]:
        """All that is to be known of it beside its cell."""
        projected = () if self.projection is None else (f"its h has the {len(self.projection)} projected ones in it",)
        return (*self.notes, *projected)

    @property
    def reverse(self) -> bool:
        """Whether it reads a sequence from its end."""
        return self.number.endswith(REVERSE)

    def warn(self, of_order: bool = True) -> None:
        """Warn, the caller's caller, of what the weights do not tell, and of_order, of x where it is to be reversed."""
        if self.assumed:
            warn_of_guess(self.assumed, stacklevel=4)
        if self.reverse and of_order:
            text = f"layer {self.number} reads a sequence from its end: reverse x along time, within each sample's own"
            warnings.warn(f"{text} length, and the states to have them in the order of x", UserWarning, stacklevel=3)


@dataclass(frozen=True)
class Entry:
    """Where a file holds one direction of a recurrent layer, and how to read it, for an activation or None.

    inputs, outputs: features it takes and gives. merge: how both directions become one, None where gradlab has no way.
    """

    module: str
    number: str
    inputs: int
    outputs: int
    read: Callable[[str | None], ReadLayer]
    merge: str | None = "concat"

    @property
    def reverse(self) -> bool:
        """Whether it reads from the end."""
        return self.number.endswith(REVERSE)

    @property
    def text(self) -> str:
        """In words: "layer 0 of 'encoder'"."""
        return f"layer {self.number}" + (f" of '{self.module}'" if self.module else "")

    def of(self, prefix: str | None) -> bool:
        """Whether its module has that name, or is within one that has; a dot may stand behind."""
        start = None if prefix is None else str(prefix).removesuffix(".")
        return start in (None, self.module) or self.module.startswith(f"{start}.")

    def pairs_with(self, other: Entry) -> bool:
        """Whether both are directions of one layer, this one the forward one."""
        return other.module == self.module and other.number == self.number + REVERSE


@dataclass(frozen=True)
class Block:
    """A layer in front of recurrent ones, between or behind them, with its arrays as the file has them.

    inputs, outputs: features it takes, 0 for symbols, and gives.
    """

    name: str
    layer: Layer
    params: Mapping[str, Any]
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Gap:
    """Where a file's layers do not go on, or not with anything that gradlab runs; what: what stands there."""

    what: str = ""


@dataclass(frozen=True)
class Found:
    """Items in the order in which data pass them; absent: what is said where no recurrent layer is among them.

    beside: names of all that is not recurrent, where the file does not tell its place.
    """

    items: Sequence[Entry | Block | Gap]
    absent: str
    beside: Sequence[str] = ()

    @property
    def entries(self) -> list[Entry]:
        """Each direction of recurrent layers."""
        return [item for item in self.items if isinstance(item, Entry)]

    def entry(self, prefix: str | None = None, layer: int | str | None = None) -> Entry:
        """The first one of a module and a number. Raises InputError where there is none."""
        if not self.entries:
            raise InputError(self.absent, "sd")
        fits = [entry for entry in self.entries if entry.of(prefix)]
        for entry in fits:
            if layer is None or entry.number == str(layer):
                return entry
        wanted = "layer" if layer is None else f"layer {layer}"
        wanted += "" if prefix is None else f" of '{prefix}'"
        there = ", ".join(entry.text for entry in self.entries)
        raise InputError(f"no recurrent {wanted} in the weights; there are: {there}", "layer" if fits else "prefix")

    def text(self, chosen: Entry, activation: str | None) -> str:
        """Which layer that is, what else there is, and what the weights do not tell."""
        read = chosen.read(activation)
        others = [entry.text for entry in self.entries if entry is not chosen]
        also = f"; the weights also hold {', '.join(others)}" if others else ""
        assumed = f"; they {ASSUMED.format(read.assumed)}: no activation was given" if read.assumed else ""
        return "; ".join([f"{read.cell!r} from {chosen.text}", *read.said]) + also + assumed
