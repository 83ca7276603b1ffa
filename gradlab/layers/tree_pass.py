"""The passes over trees, level by level: forward from the leaves to the roots, and back.

Arrays are (*M, N, F) here, nodes or edges in the rows of `tree_levels`, gates and states side by side in F. One product
makes what all nodes get from their inputs, one per level what they get from their children; the gradients of the
parameters are products over all nodes at the end. A node's adjoint has an exponent of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..arrays import Array, Namespace, linear, namespace, outer_sum
from ..engine.linearize import known, slope_at
from ..engine.scaled import Scaled, map_rows, side_by_side, stacked, sum_products, sum_rows
from .base import ScaledParams
from .tree_cell import TreeCell
from .tree_levels import Level, Levels


@dataclass(frozen=True, eq=False)
class TreeRecord:
    """What the forward pass found.

    x (*M or 1s, N, D), pre (*M, N, G*H), of the edge's gate what the input gives; gates (*M, N, I*H), old and new
    (*M, N, S*H): what the cell's step got and gave. read (*M, N, R): what the recurrent weights saw. edge_pre,
    edge_gates (*M, E, H), without rows where no gate is on the edges.
    """

    cell: TreeCell
    levels: Levels
    x: Array
    pre: Array
    gates: Array
    old: Array
    new: Array
    read: Array
    edge_pre: Array
    edge_gates: Array

    @property
    def xp(self) -> Namespace:
        """The array namespace."""
        return namespace(self.pre)


def forward(cell: TreeCell, levels: Levels, x: Array) -> TreeRecord:
    """All levels, the leaves first, over inputs x (*M or 1s, N, D)."""
    xp = namespace(x)
    pre = linear(xp, x, cell.inputs) + cell.bias
    states, edges = len(cell.cell.states) * cell.size, 0 if cell.edge is None else len(levels.children)
    shapes = [(pre.shape[-2], width) for width in (cell.width, states, states, cell.recurrent.shape[-1])]
    made = [xp.zeros((*pre.shape[:-2], *shape), dtype=pre.dtype) for shape in [*shapes, *[(edges, cell.size)] * 2]]
    record = TreeRecord(cell, levels, x, pre, *made)
    for level in levels.levels:
        if level.runs:
            _read_children(record, level)
        gates = record.gates[..., level.nodes, :]
        gates[...] = pre[..., level.nodes, : cell.width]
        cell.activate(gates)
        record.new[..., level.nodes, :] = cell.step(gates, record.old[..., level.nodes, :])
    return record


def _read_children(record: TreeRecord, level: Level) -> None:
    """What a level's nodes get from their children: the recurrent part of `pre`, and the old states."""
    xp, cell, levels = record.xp, record.cell, record.levels
    below = record.new[..., levels.children[level.edges], :]
    h = below[..., : cell.size]
    read = _beside(levels, level, h, cell.positions) if cell.positions else level.gather(h, xp.add, xp.sum)
    record.read[..., level.nodes, :] = read
    record.pre[..., level.nodes, : cell.width] += xp.matmul(read, xp.swapaxes(cell.recurrent, -1, -2))
    if cell.forget is not None:
        pre = record.pre[..., levels.parents[level.edges], cell.width :]
        pre += xp.matmul(h, xp.swapaxes(cell.forget, -1, -2))
        gates = record.edge_gates[..., level.edges, :]
        gates[...] = record.edge_pre[..., level.edges, :] = pre
        cell.forgetting.in_place(xp, gates)
    for columns in map(cell.columns, cell.kept):
        kept = below[..., columns] if cell.forget is None else gates * below[..., columns]
        record.old[..., level.nodes, columns] = level.gather(kept, xp.add, xp.sum)


def _beside(levels: Levels, level: Level, h: Array, positions: int) -> Array:
    """h of a level's children (*M, edges, H) side by side (*M, nodes, positions * H), zeros where there is no child."""
    nodes, size = level.nodes.stop - level.nodes.start, h.shape[-1]
    read = namespace(h).zeros((*h.shape[:-2], nodes * positions, size), dtype=h.dtype)
    read[..., levels.slots(level, positions), :] = h
    return read.reshape(*h.shape[:-2], nodes, positions * size)


class TreeSweep:
    """The pass back, from the direct gradient of all nodes' h (*M, N, H), with one exponent each.

    adjoints (*M, N, S*H): dL/d states. deltas (*M, N, G*H): dL/d pre-activations, of the edge's gate summed over the
    children; edge_deltas (*M, E, H): of that gate, edge by edge.
    """

    def __init__(self, record: TreeRecord, direct: Scaled) -> None:
        self.record, self.xp, self.cell, self.levels = record, record.xp, record.cell, record.levels
        nodes, states = record.new.shape[-2:]
        others = self._zeros(nodes, states - self.cell.size).mantissas
        self.direct = direct.map(lambda m: self.xp.concatenate([m, others], axis=-1))
        self.adjoints, self.deltas = self._zeros(nodes, states), self._zeros(nodes, record.pre.shape[-1])
        self.from_above = self._zeros(len(self.levels.children) + 1, states)  # the last row is for the roots
        self.edge_deltas = self._zeros(*record.edge_gates.shape[-2:])
        self.terms = self.cell.derivatives(record.gates, record.pre, record.old, record.new)
        self.edge_terms = self._edge_terms() if record.edge_gates.size else ()
        for level in reversed(self.levels.levels):
            self._level(level)

    def _zeros(self, rows: int, width: int) -> Scaled:
        xp, lead, dtype = self.xp, self.record.pre.shape[:-2], self.record.pre.dtype
        return Scaled(xp.zeros((*lead, rows, width), dtype=dtype), xp.zeros((*lead, rows, 1), dtype=xp.int32))

    def _edge_terms(self) -> tuple[Array, Array]:
        """What the adjoint of a parent's old c is multiplied by, for that of the edge's gate and of the child's c."""
        record, gates = self.record, self.record.edge_gates
        slope = slope_at(self.xp, self.cell.forgetting, gates, known(record.edge_pre))
        c = record.new[..., self.levels.children, self.cell.columns(self.cell.kept[0])]
        return (c if slope is None else slope * c), gates

    def _level(self, level: Level) -> None:
        """From the adjoints of a level's nodes to their deltas, and to what their children get."""
        above, width = self.levels.above[level.nodes], self.cell.width
        adjoints = rows(self.from_above, above) + rows(self.direct, level.nodes)
        put(self.adjoints, level.nodes, adjoints)
        found = map_rows(partial(self._through_step, level.nodes), adjoints)
        own, kept = found.map(lambda m: m[..., :width]), found.map(lambda m: m[..., width:])
        deltas = self._to_children(level, own, kept) if level.runs else own
        put(self.deltas, level.nodes, deltas)

    def _through_step(self, nodes: slice, adjoints: Array) -> Array:
        """Adjoints of new states -> of a node's own pre-activations, and of the old states that are kept."""
        size = self.cell.size
        out = self.xp.zeros((*adjoints.shape[:-1], len(self.terms) * size), dtype=adjoints.dtype)
        for n, terms in enumerate(self.terms):
            for columns, factor in terms:
                out[..., n * size : (n + 1) * size] += factor[..., nodes, :] * adjoints[..., columns]
        return out

    def _to_children(self, level: Level, own: Scaled, kept: Scaled) -> Scaled:
        """What each child's states get, through the weights and as what was kept; returns the level's whole deltas."""
        within, cell = self.levels.within[level.edges], self.cell
        read = map_rows(self.xp.matmul, own, (cell.recurrent, (-2, -1)))
        apart = read.mantissas.reshape(*read.shape[:-2], -1, cell.size)  # a row for each position
        h = Scaled(apart[..., self.levels.slots(level, cell.positions), :], read.exponents[..., within, :])
        if cell.kept:
            kept = rows(kept, within)
        if cell.forget is None:
            put(self.from_above, level.edges, h + kept if cell.kept else h)
            return own
        found = map_rows(partial(self._through_edge, level.edges), kept)
        deltas, c = found.map(lambda m: m[..., : cell.size]), found.map(lambda m: m[..., cell.size :])
        put(self.edge_deltas, level.edges, deltas)
        h = h + map_rows(self.xp.matmul, deltas, (cell.forget, (-2, -1)))
        put(self.from_above, level.edges, side_by_side(h, c))
        return side_by_side(own, self._over_children(level, deltas))

    def _through_edge(self, edges: slice, kept: Array) -> Array:
        """The adjoint of the parent's old c -> of the edge's gate, and of the child's c."""
        return self.xp.concatenate([kept * term[..., edges, :] for term in self.edge_terms], axis=-1)

    def _over_children(self, level: Level, edges: Scaled) -> Scaled:
        """The sum over each node's children, at the largest of their exponents."""
        xp, sizes = self.xp, edges.exponents if edges.is_plain else edges.sizes(-1)
        top = level.gather(sizes, xp.maximum, xp.max)
        shared = edges.mantissas if edges.is_plain else edges.over(top[..., self.levels.within[level.edges], :])
        return Scaled(level.gather(shared, xp.add, xp.sum), top)


def rows(x: Scaled, at: Array | slice) -> Scaled:
    """Some rows of numbers with one exponent each."""
    return Scaled(x.mantissas[..., at, :], x.exponents[..., at, :])


def put(x: Scaled, at: slice, value: Scaled) -> None:
    """Numbers with one exponent each in place of some rows of x, from its first column on."""
    x.mantissas[..., at, : value.shape[-1]] = value.mantissas
    x.exponents[..., at, :] = value.exponents


def param_gradients(sweep: TreeSweep) -> ScaledParams:
    """Of W_xh, W_hh and b_h, shaped as these, with one exponent per model."""
    record, cell, xp = sweep.record, sweep.cell, sweep.xp
    product, branching = partial(outer_sum, xp), record.levels.branching
    own = rows(sweep.deltas, branching).map(lambda m: m[..., : cell.width])
    recurrent = sum_products(product, own[None], record.read[None, ..., branching, :])
    if cell.positions:
        w_hh = stacked([recurrent.map(lambda m, n=n: m[..., cell.columns(n)]) for n in range(cell.positions)])
    elif cell.forget is None:
        w_hh = cell.by_gate(recurrent)
    else:
        h = record.new[..., record.levels.children, : cell.size]
        w_hh = cell.by_gate(recurrent, sum_products(product, sweep.edge_deltas[None], h[None]))
    w_xh = sum_products(product, sweep.deltas[None], record.x[None])
    return {"W_xh": cell.by_gate(w_xh), "W_hh": w_hh, "b_h": cell.by_gate(sum_rows(sweep.deltas[None]))}


def input_gradient(sweep: TreeSweep) -> Scaled:
    """dL/dx (*M, N, D), with one exponent for each node."""
    return map_rows(sweep.xp.matmul, sweep.deltas, (sweep.cell.inputs, (-2, -1)))
