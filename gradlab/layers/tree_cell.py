"""A cell as trees have it: what it computes at a node, and on the edge from a node to its child.

    pre = V x + b + W read         of the node's own gates; read: the sum of the children's h, or these side by side
    f_k = sigmoid(V_f x + b_f + W_f h_k)        for each child k, where the cell has a forget gate
    new = step(gates, old)         old: the sum of f_k c_k, or of the children's h where the cell keeps a part of it

So a forget gate has moved from the cell's step to the edges, and `step` gets 1 in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import numpy as np

from ..arrays import Array, namespace
from ..cells import Activation, Cell
from ..engine.linearize import known, partials, slope_at
from ..engine.scaled import Scaled, stacked
from ..lazy import lazy

Terms = list[tuple[slice, Array]]  # (columns of a new state, what its adjoint is multiplied by)


class TreeCell:
    """A cell's parameters, gates side by side: a node's own ones first, that of an edge last.

    positions: how many children have a matrix of their own, 0 where their states are summed. own: the gates of a node
    as they stand here, edge: the one of an edge, or None. inputs (*M, G*H, D), bias (*M, 1, G*H), recurrent
    (*M, I*H, R) of a node's I gates, forget (*M, H, H).
    """

    def __init__(self, cell: Cell, params: Mapping[str, Array], positions: int) -> None:
        self.cell, self.positions, self.size = cell, positions, cell.hidden_size
        self.edge = None if cell.forget_gate is None else cell.gates.index(cell.forget_gate)
        own = [g for g in range(len(cell.gates)) if g != self.edge]
        self.own = sorted(own, key=lambda g: cell.nonlinearities[g].name)  # equal ones are neighbours
        self.order = self.own if self.edge is None else [*self.own, self.edge]
        xp, w = namespace(params["W_hh"]), params["W_hh"]
        self.inputs = xp.concatenate([params["W_xh"][g] for g in self.order], axis=-2)
        self.bias = xp.concatenate([params["b_h"][g] for g in self.order], axis=-1)[..., None, :]
        self.recurrent = (
            xp.concatenate([*w], axis=-1) if positions else xp.concatenate([w[g] for g in self.own], axis=-2)
        )
        self.forget = None if self.edge is None else w[self.edge]

    def columns(self, n: int) -> slice:
        """Those of the n-th state, or of the n-th gate as they stand here."""
        return slice(n * self.size, (n + 1) * self.size)

    @property
    def width(self) -> int:
        """How many columns a node's own gates have."""
        return len(self.own) * self.size

    @property
    def forgetting(self) -> Activation:
        """The nonlinearity of the edge's gate."""
        assert self.edge is not None
        return self.cell.nonlinearities[self.edge]

    @lazy
    def kept(self) -> list[int]:
        """The states of which a new state keeps a part."""
        arguments = [np.ones((1, 1))] * (len(self.cell.gates) + 2 * len(self.cell.states))
        _, by_state, *_ = self.cell.partials(np, *arguments)
        return sorted({self.cell.states.index(column) for _, column in by_state})

    def activate(self, gates: Array) -> None:
        """The nonlinearities of a node's own gates (*M, n, I*H), in place."""
        start = 0
        for phi, group in groupby(self.cell.nonlinearities[g] for g in self.own):
            stop = start + len(list(group)) * self.size
            phi.in_place(namespace(gates), gates[..., start:stop])
            start = stop

    def arguments(self, gates: Array, states: Array) -> list[Array]:
        """A node's gates (*M, n, I*H) and states (*M, n, S*H) apart, in the cell's order, 1 for the edge's gate."""
        xp = namespace(gates)
        one = xp.broadcast_to(xp.ones((1,) * gates.ndim, dtype=gates.dtype), (*gates.shape[:-1], self.size))
        apart = {g: gates[..., self.columns(n)] for n, g in enumerate(self.own)}
        values = [one if g == self.edge else apart[g] for g in range(len(self.cell.gates))]
        return values + [states[..., self.columns(s)] for s in range(len(self.cell.states))]

    def step(self, gates: Array, old: Array) -> Array:
        """Gate values and old states of n nodes -> their new states (*M, n, S*H)."""
        xp = namespace(gates)
        return xp.concatenate([*self.cell.step(xp, *self.arguments(gates, old))], axis=-1)

    def derivatives(self, gates: Array, pre: Array, old: Array, new: Array) -> list[Terms]:
        """By each of a node's own pre-activations, then by each of the states that are kept: what makes its adjoint."""
        xp, cell = namespace(gates), self.cell
        found = partials(cell, xp, [*self.arguments(gates, old), *self.arguments(gates, new)[len(cell.gates) :]])
        columns = [*(cell.gates[g] for g in self.own), *(cell.states[s] for s in self.kept)]
        terms: dict[str, Terms] = {column: [] for column in columns}
        slopes = {cell.gates[g]: self._slope(n, gates, pre) for n, g in enumerate(self.own)}
        full = (*gates.shape[:-1], self.size)
        for (row, column), value in found.items():
            if column in terms:
                slope = slopes.get(column)
                factor = value if slope is None else slope * value
                if getattr(factor, "shape", None) != full:
                    factor = xp.full(full, factor, dtype=gates.dtype)
                terms[column].append((self.columns(cell.states.index(row)), factor))
        return list(terms.values())

    def _slope(self, n: int, gates: Array, pre: Array) -> Array | None:
        """phi' of the n-th of a node's own gates."""
        columns, phi = self.columns(n), self.cell.nonlinearities[self.own[n]]
        return slope_at(namespace(gates), phi, gates[..., columns], known(pre[..., columns]))

    def by_gate(self, own: Scaled, edge: Scaled | None = None) -> Scaled:
        """Gradients (*M, gates * H, ...) of gates as they stand here -> (G, *M, H, ...), as parameters are.

        edge: that of the edge's gate, where it comes apart.
        """
        models = (slice(None),) * (self.inputs.ndim - 2)
        gates = self.order if edge is None else self.own
        blocks = {g: own.map(lambda m, n=n: m[(*models, self.columns(n))]) for n, g in enumerate(gates)}
        if edge is not None and self.edge is not None:
            blocks[self.edge] = edge
        return stacked([blocks[g] for g in range(len(self.cell.gates))])
