"""A recurrent cell over trees, as a layer: recursive nets and the Tree-LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, namespace, quiet, require_finite, require_namespace, require_size, require_type
from ..cells import Cell
from ..engine.forward import full_inputs
from ..engine.scaled import Scaled
from ..engine.threads import few_threads
from ..errors import InputError, echo
from ..lazy import lazy
from ..registry import unknown
from .base import GivenLengths, Layer, Pass, ScaledParams, require_gradient
from .recurrent import Recurrent
from .tree_cell import TreeCell
from .tree_pass import TreeRecord, TreeSweep, forward, input_gradient, param_gradients
from .trees import Trees

FORMS = {"child-sum": ("elman", "lstm"), "ordered": ("elman",)}  # and the cells that have them
EXAMPLE = "gradlab.layers.Trees.of([[2, 2, -1], ...])"


@dataclass
class TreeTape:
    """The trees, what the forward pass found, and the output; of the last backward pass what that found."""

    trees: Trees
    record: TreeRecord
    y: Array
    sweep: TreeSweep | None = None

    @property
    def cell(self) -> Cell:
        """The cell that ran over the trees."""
        return self.record.cell.cell

    @property
    def models(self) -> tuple[int, ...]:
        """The model axes."""
        return tuple(self.y.shape[1:-2])

    @lazy
    def overflow(self) -> tuple[int, int] | None:
        """The place and the tree of a lowest node whose states are not finite; None where all are."""
        xp, new = self.record.xp, self.record.new
        bad = ~xp.isfinite(new).all(axis=(*range(new.ndim - 2), -1))
        if not bool(bad.any()):
            return None
        place, sample = divmod(int(self.record.levels.places[bad.argmax()]), self.trees.samples)
        return place, sample

    def require_finite(self) -> None:
        """Raise InputError where the forward pass has left the finite numbers."""
        if self.overflow is not None:
            place, sample = self.overflow
            raise InputError(
                f"the forward pass overflowed at node {place} of tree {sample}; use smaller weights", "params"
            )

    @property
    def adjoints(self) -> Scaled:
        """dL/d states of every node (S, T, *M, B, H), with one exponent each; zeros beyond a tree's own nodes.

        Of an LSTM's (h, c) each with the other one of the same node held. Needs a backward pass.
        """
        if self.sweep is None:
            raise ValueError("there are no gradients yet: call backward first")
        xp, found = self.record.xp, self._to_places(self.sweep.adjoints)
        states = found.mantissas.reshape(*found.shape[:-1], len(self.cell.states), self.cell.hidden_size)
        return Scaled(xp.moveaxis(states, -2, 0), found.exponents[None])

    def _to_places(self, x: Scaled) -> Scaled:
        """Numbers of nodes (*M, N, F) at their places (T, *M, B, F)."""
        levels, steps = self.record.levels, self.trees.steps
        return Scaled(levels.to_places(x.mantissas, steps), levels.to_places(x.exponents, steps))


@dataclass(frozen=True, init=False)
class Tree(Layer):
    """h of every node (T, *M, B, H) of trees over the nodes' x (T, *M, B, D); `Trees` go where lengths go.

    form: "child-sum" has the sum of the children's h where a chain has h_{t-1}: h = phi(V x + W sum_k h_k + b) of an
    Elman cell (a leak keeps a part of the sum), and of an LSTM the Tree-LSTM: a forget gate for each child, of that
    child's h (Tai, Socher & Manning 2015). "ordered" has a matrix for each of at most `positions` children, 2 by
    default: h = phi(V x + W_1 h_1 + W_2 h_2 + b), W_hh (positions, *M, H, H) (Socher et al. 2013). Leaves start from
    zeros; beyond a tree's own nodes y is zero. options: as of `Recurrent`, without zoneout and dropout.
    """

    layer: Recurrent
    form: str
    positions: int
    takes_trees = True

    def __init__(self, cell: Cell, form: str = "child-sum", positions: int | None = None, **options: Any) -> None:
        if form not in FORMS:
            raise unknown("form", form, list(FORMS))
        object.__setattr__(self, "layer", Recurrent(cell, **options))
        _require_none_dropped(self.layer)
        if cell.name not in FORMS[form]:
            raise InputError(
                f"cell: a tree of the form '{form}' is defined for {' and '.join(FORMS[form])} cells, got {cell!r}",
                "cell",
            )
        if positions is not None and form != "ordered":
            raise InputError(f"positions: the form '{form}' does not tell children apart; leave it out", "positions")
        require_size("positions", 2 if positions is None else positions)
        object.__setattr__(self, "form", form)
        object.__setattr__(self, "positions", (positions or 2) if form == "ordered" else 0)

    def draw(self, rng: np.random.Generator, models: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The cell's parameters, drawn with a seed from rng, and further recurrent matrices with seeds of their own."""
        first, *others = [self.layer.draw(rng, models) for _ in range(max(1, self.positions))]
        return {**first, "W_hh": np.concatenate([own["W_hh"] for own in (first, *others)])}

    def _forward(
        self, params: Mapping[str, Array], x: Array, lengths: GivenLengths, how: Pass
    ) -> tuple[Array, TreeTape]:
        """h of every node."""
        models = self._require(params)
        xp, cell = namespace(params["W_hh"]), self.layer.cell
        require_namespace(xp, x=x, **params)
        require_type("x", x, "fiub", "real numbers")
        x = full_inputs(cell, x, models, params["W_hh"].dtype)
        trees = self._require_trees(lengths, x)
        levels = trees.levels.on(xp)
        with quiet(), few_threads(self._product_size(trees)):
            record = forward(TreeCell(cell, params, self.positions), levels, levels.to_rows(x))
        y = levels.to_places(record.new[..., : cell.hidden_size], trees.steps)
        return y, TreeTape(trees, record, y)

    def _backward(
        self, params: Mapping[str, Array], tape: TreeTape, dy: Scaled, how: Pass
    ) -> tuple[Scaled, ScaledParams]:
        """From the roots to the leaves."""
        if how.clip is not None:
            raise InputError("clip: nothing is clipped inside a tree; clip the update instead", "clip")
        tape.require_finite()
        xp, record, own = require_gradient(dy, tape.y), tape.record, tape.trees.own
        require_finite("dy", dy.mantissas, own.reshape(len(own), *(1,) * len(tape.models), -1))
        exponents = xp.broadcast_to(dy.exponents, (*dy.shape[:-1], 1))
        direct = Scaled(*(record.levels.to_rows(a) for a in (dy.mantissas.astype(tape.y.dtype), exponents)))
        with few_threads(self._product_size(tape.trees)):
            tape.sweep = TreeSweep(record, direct)
            return tape._to_places(input_gradient(tape.sweep)), param_gradients(tape.sweep)

    def _require(self, params: Mapping[str, Array]) -> tuple[int, ...]:
        """The model axes; InputError where a parameter does not fit."""
        cell, w = self.layer.cell, params.get("W_hh")
        if w is None or not self.positions:
            return cell.require(params)
        if len(w) != self.positions:
            raise InputError(f"W_hh: expected {self.positions} matrices, one for each position, got {len(w)}", "W_hh")
        return cell.require({**params, "W_hh": w[:1]})

    def _require_trees(self, trees: GivenLengths, x: Array) -> Trees:
        """The trees; InputError unless they are some, with the places of x (T, *M, B, D) and no child too many."""
        if not isinstance(trees, Trees):
            raise InputError(f"lengths: a Tree takes trees there, such as {EXAMPLE}, got {echo(trees)}", "lengths")
        if (len(x), x.shape[-2]) != (trees.steps, trees.samples):
            raise InputError(
                f"x: expected features at {trees.steps} places of {trees.samples} trees, (T, B, D), "
                f"got {tuple(x.shape)}",
                "x",
            )
        for place, sample in np.argwhere(trees.children > self.positions) if self.positions else ():
            raise InputError(
                f"lengths: node {place} of tree {sample} has {trees.children[place, sample]} children, but W_hh has "
                f"matrices for {self.positions}; give Tree(cell, 'ordered', positions={trees.children.max()})",
                "lengths",
            )
        return trees

    def _product_size(self, trees: Trees) -> int:
        """Multiply-adds of an average level's product."""
        return int(trees.lengths.sum()) * self.layer.cell.hidden_size**2 // len(trees.levels.levels)


def _require_none_dropped(layer: Recurrent) -> None:
    """Raise InputError for zoneout or dropout."""
    for name, used in {"zoneout": any(layer.zoneout.values()), "dropout": bool(layer.dropout)}.items():
        if used:
            raise InputError(f"{name}: a tree has none inside; put a Dropout layer before or behind it", name)
