"""The form E + D W of every Jacobian, forwards and transposed, on many steps at once or step by step.

`Operator` applies it to vectors and gives its matrices; `PullBack` takes a gradient back through
one step after the other, by plans that are made for a whole chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from ..arrays import Array, Namespace
from ..lazy import lazy
from .linearize import Linearization
from .scaled import EMPTY, size_exponents
from .trajectory import Trajectory

Key = TypeVar("Key", bound=Hashable)


class Weights:
    """The recurrent weights W_k (*M, H, R*H) of some gates, one by one and, contiguous, side by side."""

    def __init__(self, xp: Namespace, gates: list[int], weights: list[Array]) -> None:
        self.xp, self.gates = xp, dict(zip(gates, weights, strict=True))

    @lazy
    def rows(self) -> Array:
        """W (*M, n*H, R*H)."""
        return self.xp.concatenate(list(self.gates.values()), axis=-2)

    @lazy
    def columns(self) -> Array:
        """W^T (*M, R*H, n*H), for r W^T."""
        return self.xp.ascontiguousarray(self.xp.swapaxes(self.rows, -1, -2))

    @lazy
    def units(self) -> Array:
        """Each unit's own rows (*M, H, n, R*H), n at least 2 (one is zero), as single rows are not left to BLAS."""
        weights = list(self.gates.values())
        return self.xp.stack([*weights, self.xp.zeros_like(weights[0])][: max(2, len(weights))], axis=-2)

    @lazy
    def exponents(self) -> dict[int, Array]:
        """Those of the largest numbers in the rows of each W_k (*M, 1, H), 0 where all are zero."""
        return {k: size_exponents(self.xp, w, -1, nothing=0)[..., None, :] for k, w in self.gates.items()}

    @lazy
    def near_one(self) -> Weights:
        """The same over 2^exponents, row by row."""
        rows = {k: self.xp.swapaxes(e, -1, -2) for k, e in self.exponents.items()}
        return Weights(self.xp, list(rows), [self.xp.ldexp(w, -rows[k]) for k, w in self.gates.items()])

    def astype(self, dtype: Any) -> Weights:
        """The same in another precision."""
        return Weights(self.xp, list(self.gates), [w.astype(dtype) for w in self.gates.values()])


class LateGate:
    """What a late gate adds to an operator, D_l W_l (E_q + D_q W): its weights see q, made of states and other gates.

    rows: D_l by new state. carry: E_q by state, nothing where the gate's own path is left out. gates: D_q of those
    gates that the operator has.
    """

    def __init__(self, lin: Linearization, weights: Weights, own: bool, others: Iterable[int]) -> None:
        (self.gate,) = weights.gates
        self.weights, self.carry = weights, dict(lin.middle_carry) if own else {}
        self.rows = {s: d[self.gate - span.start] for s, (span, d) in lin.gates.items() if span.stop > self.gate}
        self.gates = {k: lin.middle_gates[k] for k in others if k in lin.middle_gates}

    @property
    def is_zero(self) -> bool:
        """Whether nothing of it is left."""
        return not self.carry and not self.gates

    def map(self, function: Callable[[Array], Array], weights: Weights | None = None) -> LateGate:
        """The same with a function of the arrays."""
        part = object.__new__(LateGate)
        part.gate, part.weights = self.gate, weights or self.weights
        for name in ("rows", "carry", "gates"):
            setattr(part, name, {key: function(d) for key, d in getattr(self, name).items()})
        return part


class Operator:
    """The operator on a range of steps: E and D of the chosen paths, with the weights."""

    def __init__(
        self, traj: Trajectory, lin: Linearization, weights: Weights, carries: bool, late: LateGate | None = None
    ) -> None:
        self.xp, self.cell, self.start, self.stop = traj.xp, traj.cell, lin.start, lin.stop
        self.length = len(lin)
        self.weights, self.carry = weights, lin.carry if carries else {}
        self.late = None if late is None or late.is_zero else late
        self.steps = traj.steps
        self.gates = {
            (s, k): d[k - span.start]
            for s, (span, d) in lin.gates.items()
            for k in self.weights.gates
            if span.start <= k < span.stop
        }
        h = traj.cell.hidden_size
        self.reads = [
            (traj.cell.states.index(name), slice(n * h, (n + 1) * h)) for n, name in enumerate(traj.cell.reads)
        ]
        self.places = {k: slice(n * h, (n + 1) * h) for n, k in enumerate(self.weights.gates)}  # side by side
        self.shape, self.dtype = traj.states.shape[2:-1], traj.states.dtype
        self.behind = (slice(None),) * (len(traj.models) + 2)
        self.whole: Operator | None = None  # the range that a single step is taken from, and where it lies there
        self.within = slice(None)

    def __len__(self) -> int:
        return self.length

    @property
    def is_zero(self) -> bool:
        """Whether it has no term at all, as the carry of a cell that keeps nothing."""
        return not self.gates and not self.carry and self.late is None

    @property
    def _is_fed(self) -> bool:
        """Whether the weights that see the states have a part in it."""
        return bool(self.gates) or (self.late is not None and bool(self.late.gates))

    def _copy(self) -> Operator:
        """A shallow copy that makes its own matrices; the module `copy` takes ten times as long, for every step."""
        part = object.__new__(Operator)
        part.__dict__.update(self.__dict__)
        part.__dict__.pop("by_unit", None)
        part.whole, part.within = None, slice(None)
        return part

    def astype(self, dtype: Any) -> Operator:
        """The same operator in another precision."""
        part = self._copy()
        part.dtype, part.weights = np.dtype(dtype), self.weights.astype(dtype)
        part.carry = {key: e.astype(dtype) for key, e in self.carry.items()}
        part.gates = {key: d.astype(dtype) for key, d in self.gates.items()}
        if self.late is not None:
            part.late = self.late.map(lambda d: d.astype(dtype), self.late.weights.astype(dtype))
        return part

    def near_one(self) -> tuple[Operator, Array]:
        """The same over 2^exponents (C, *M, B), which leave its largest numbers near 1, and those of W's rows, too."""
        part = self._copy()
        part.weights, terms = self.weights.near_one, _Factors(self.xp)
        part.carry = terms.note(self.carry)
        part.gates = terms.note(self.gates, {(s, k): self.weights.exponents[k] for s, k in self.gates})
        if self.late is not None:
            inner, part.late = _Factors(self.xp), self.late.map(lambda d: d, self.late.weights.near_one)
            part.late.carry = inner.note(self.late.carry)
            part.late.gates = inner.note(self.late.gates, self.weights.exponents)
            power = inner.bring()[..., None] + self.late.weights.exponents[self.late.gate]
            part.late.rows = terms.note(self.late.rows, dict.fromkeys(self.late.rows, power))
        return part, terms.bring()

    def of_samples(self, count: int) -> Operator:
        """The operator of the first samples alone."""
        part = self._copy()
        part.shape = (*self.shape[:-1], count)
        part.carry, part.gates = (
            {key: d[..., :count, :] for key, d in terms.items()} for terms in (self.carry, self.gates)
        )
        part.late = None if self.late is None else self.late.map(lambda d: d[..., :count, :])
        return part

    def step(self, t: int) -> Operator:
        """The operator of step t+1 alone."""
        part, i = self._copy(), t - self.start
        part.start, part.stop, part.length, part.whole, part.within = t, t + 1, 1, self, slice(i, i + 1)
        part.carry = {key: e[i : i + 1] for key, e in self.carry.items()}
        part.gates = {key: d[i : i + 1] for key, d in self.gates.items()}
        if self.late is not None:
            part.late = self.late.map(lambda d: d[i : i + 1])
        return part

    def _state(self, vectors: Array, s: int) -> Array:
        """The view of one state variable: (..., C, S, *M, B, H) -> (..., C, *M, B, H)."""
        return vectors[(..., s, *self.behind)]

    def apply(self, v: Array, out: Array | None = None) -> Array:
        """E v + D W v."""
        xp, terms = self.xp, _Terms(self.xp, self.xp.empty_like(v) if out is None else out)
        pre = self._pre(v)
        for (s, k), d in self.gates.items():
            terms.add(self._state(terms.out, s), s, d, pre[..., self.places[k]])  # type: ignore[index]
        if self.late is not None:
            late = _rows_times(xp, self._middle(v, pre), self.late.weights.columns)
            for s, d in self.late.rows.items():
                terms.add(self._state(terms.out, s), s, d, late)
        for (row, column), e in self.carry.items():
            terms.add(self._state(terms.out, row), row, e, self._state(v, column))
        return self._complete(terms)

    def _pre(self, v: Array) -> Array | None:
        """W v (..., C, *M, B, n*H), the gates side by side; None where they have no part in it."""
        if not self._is_fed:
            return None
        parts = [self._state(v, s) for s, _ in self.reads]
        seen = parts[0] if len(parts) == 1 else self.xp.concatenate(parts, axis=-1)
        return _rows_times(self.xp, seen, self.weights.columns)

    def seen_late(self, v: Array) -> Array:
        """E_q v + D_q W v (..., C, *M, B, H): what a late gate's weights see of it."""
        return self._middle(v, self._pre(v))

    def _middle(self, v: Array, pre: Array | None) -> Array:
        assert self.late is not None
        terms = _Terms(self.xp, self.xp.empty_like(self._state(v, 0)))
        for s, e in self.late.carry.items():
            terms.add(terms.out, 0, e, self._state(v, s))
        for k, d in self.late.gates.items():
            terms.add(terms.out, 0, d, pre[..., self.places[k]])  # type: ignore[index]
        return terms.out

    def apply_transpose(self, u: Array, out: Array | None = None) -> Array:
        """E^T u + W^T D^T u."""
        xp, terms = self.xp, _Terms(self.xp, self.xp.empty_like(u) if out is None else out)
        seen = None if self.late is None else _rows_times(xp, self._late_delta(u), self.late.weights.rows)
        if self._is_fed:
            pulled = _rows_times(xp, self._deltas(u, seen), self.weights.rows)
            for s, columns in self.reads:
                terms.put(self._state(terms.out, s), s, pulled[..., columns])
        for (row, column), e in self.carry.items():
            terms.add(self._state(terms.out, column), column, e, self._state(u, row))
        for column, e in (self.late.carry if self.late is not None else {}).items():
            terms.add(self._state(terms.out, column), column, e, seen)
        return self._complete(terms)

    def _late_delta(self, u: Array) -> Array:
        """D_l^T u (..., C, *M, B, H)."""
        assert self.late is not None
        terms = _Terms(self.xp, self.xp.empty_like(self._state(u, 0)))
        for s, d in self.late.rows.items():
            terms.add(terms.out, 0, d, self._state(u, s))
        return terms.out

    def _deltas(self, u: Array, seen: Array | None) -> Array:
        """D^T u (..., C, *M, B, n*H), the gates side by side, with what comes to them through `seen` by a late one."""
        first = self._state(u, 0)
        deltas = _Terms(self.xp, self.xp.empty((*first.shape[:-1], self.weights.rows.shape[-2]), dtype=u.dtype))
        for (s, k), d in self.gates.items():
            deltas.add(deltas.out[..., self.places[k]], k, d, self._state(u, s))
        for k, d in (self.late.gates if self.late is not None else {}).items():
            deltas.add(deltas.out[..., self.places[k]], k, d, seen)
        for k in deltas.missing(self.places):
            deltas.out[..., self.places[k]] = 0
        return deltas.out

    def _complete(self, terms: _Terms) -> Array:
        for s in terms.missing(range(len(self.cell.states))):
            self._state(terms.out, s)[...] = 0
        return terms.out

    def dense(self, out: Array) -> Array:
        """The matrices, written to `out` (C, *M, B, S*H, S*H), whose last two axes are contiguous."""
        h, side = self.cell.hidden_size, out.shape[-1]
        if not self.gates or len(self.reads) < len(self.cell.states):
            out[...] = 0
        if self.gates:
            coefficients = (self if self.whole is None else self.whole).by_unit[self.within]
            units = self.xp.swapaxes(out.reshape(*out.shape[:-3], -1, h, side), -3, -2)  # (C, *M, H, B*S, S*H)
            for s, columns in self.reads:
                target = units[..., s * h : (s + 1) * h]
                self.xp.matmul(coefficients, self.weights.units[..., columns], out=target)
        entries = out.reshape(*out.shape[:-2], side * side)
        for (row, column), e in self.carry.items():
            first = row * h * side + column * h
            entries[..., first : first + h * (side + 1) : side + 1] += e
        if self.late is not None:
            self._add_late(self.late, out)
        return out

    def _add_late(self, late: LateGate, out: Array) -> None:
        """out += D_l W_l (E_q + D_q W), the matrices."""
        xp, h, side = self.xp, self.cell.hidden_size, out.shape[-1]
        seen = xp.zeros((*out.shape[:-2], h, side), dtype=out.dtype)
        for k, d in late.gates.items():
            for s, columns in self.reads:
                seen[..., s * h : (s + 1) * h] += d[..., None] * self.weights.gates[k][..., None, :, columns]
        entries = seen.reshape(*seen.shape[:-2], h * side)
        for s, e in late.carry.items():
            entries[..., s * h : h * side : side + 1] += e
        product = xp.matmul(late.weights.rows[..., None, :, :], seen)
        for s, d in late.rows.items():
            out[..., s * h : (s + 1) * h, :] += d[..., None] * product

    @lazy
    def by_unit(self) -> Array:
        """D by unit, sample and state (C, *M, H, B*S, n), the gates as in `Weights.units`."""
        xp, states, gates = self.xp, len(self.cell.states), self.weights.units.shape[-2]
        d = xp.zeros((len(self), *self.shape, states, gates, self.cell.hidden_size), dtype=self.dtype)
        for (s, k), values in self.gates.items():
            d[..., s, list(self.places).index(k), :] = values
        return xp.ascontiguousarray(xp.moveaxis(d.reshape(*d.shape[:-4], -1, *d.shape[-2:]), -1, -3))


class _Factors:
    """Factors (C, *M, B, H) times powers of two, which are to be brought near 1 together."""

    def __init__(self, xp: Namespace) -> None:
        self.xp, self.noted = xp, list[tuple[dict[Any, Array], Mapping[Any, Array]]]()

    def note(self, factors: Mapping[Key, Array], powers: Mapping[Key, Array] | None = None) -> dict[Key, Array]:
        """Factors with the exponents of what they multiply, none for 0; `bring` fills in what is returned."""
        found = dict(factors)
        self.noted.append((found, dict.fromkeys(found, self.xp.int32(0)) if powers is None else powers))
        return found

    def bring(self) -> Array:
        """Take the largest exponent of each matrix (C, *M, B) out of all, and return it."""
        xp = self.xp
        terms = [(found, key, powers[key]) for found, powers in self.noted for key in found]
        sizes = (xp.where(found[key] != 0, xp.frexp(found[key])[1] + power, EMPTY) for found, key, power in terms)
        top = reduce(xp.maximum, (xp.max(size, axis=-1) for size in sizes))
        top = xp.where(top > EMPTY, top, 0)
        for found, key, power in terms:
            found[key] = xp.ldexp(found[key], power - top[..., None])
        return top


class _Terms:
    """Sums of products in targets of one shape, written in place: the first term of a target without an addition."""

    def __init__(self, xp: Namespace, out: Array) -> None:
        self.xp, self.out = xp, out
        self.written: set[Hashable] = set()
        self.scratch: Array | None = None

    def put(self, target: Array, name: Hashable, value: Array) -> None:
        """The first term of a target."""
        target[...] = value
        self.written.add(name)

    def add(self, target: Array, name: Hashable, left: Array, right: Array) -> None:
        """target += left * right."""
        if name not in self.written:
            self.xp.multiply(left, right, out=target)
            self.written.add(name)
            return
        if self.scratch is None:
            self.scratch = self.xp.empty_like(target)
        self.xp.multiply(left, right, out=self.scratch)
        self.xp.add(target, self.scratch, out=target)

    def missing(self, names: Iterable[Key]) -> list[Key]:
        """Targets that no term was written to."""
        return [name for name in names if name not in self.written]


def _rows_times(xp: Namespace, x: Array, w: Array) -> Array:
    """x w over every leading axis, x (..., *M, B, n), w (*M, n, m); one product without model axes."""
    if w.ndim == 2:
        return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])
    return xp.matmul(x, w)
