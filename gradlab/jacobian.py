"""One-step Jacobians J_t = E_t + D_t W of a trajectory as operators: products, norms, and their split by path."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from .arrays import Array, Namespace, linear, quiet, require_namespace, to_numpy
from .errors import InputError
from .lanczos import largest_singular_values
from .trajectory import Linearization, Trajectory, chunk_steps

CARRY = "carry"
ROUNDINGS = 16  # units in the last place that the bound on a spectral norm allows for
TINY = 1e-15  # spectral norms beyond this or its inverse are left to the trajectory's own precision
SINGLE = 1e-4  # a tolerance that single precision reaches
BLOCK_VALUES = 2**22  # working set of the spectral norm, in numbers per state variable


@dataclass(frozen=True)
class StateJacobian:
    """d state_t / d state_{t-1} at t = 1..T, all steps, models and samples at once; index t-1 belongs to step t.

    Tangents and cotangents are (T, S, *M, B, H), or (K, T, S, *M, B, H) for K of them. Where a step lies beyond its
    sample's length, J is the identity. `carries` and `gates` say which terms of J = carry + sum over gates are in.
    """

    traj: Trajectory
    carries: bool = True
    gates: tuple[str, ...] | None = None

    def of_samples(self, samples: slice | list[int]) -> StateJacobian:
        """The Jacobians of some of the samples."""
        traj = self.traj
        lengths = None if traj.lengths is None else traj.lengths[..., samples]
        arrays = {name: getattr(traj, name)[..., samples, :] for name in ("x", "states", "gate_inputs")}
        return replace(self, traj=replace(traj, lengths=lengths, **arrays))

    def paths(self) -> dict[str, StateJacobian]:
        """Operators whose sum is J: `carry`, what each unit keeps by itself, and one per recurrent gate."""
        names = self.traj.cell.recurrent_gates if self.gates is None else self.gates
        split = {CARRY: replace(self, gates=())} if self.carries else {}
        return split | {name: replace(self, carries=False, gates=(name,)) for name in names}

    def apply(self, v: Array) -> Array:
        """J_t v_t at every step."""
        return self._map(v, "v", transpose=False)

    def apply_transpose(self, u: Array) -> Array:
        """J_t^T u_t at every step."""
        return self._map(u, "u", transpose=True)

    def each_step(self, start: int = 0, stop: int | None = None, backwards: bool = False) -> Iterator[StepJacobian]:
        """The Jacobians of steps start+1 ... stop one after the other, the last first if `backwards`."""
        stop = self.traj.steps if stop is None else stop
        chunk = chunk_steps(self.traj.states)
        edges = range(start, stop, chunk)
        for a in reversed(edges) if backwards else edges:
            part = _Part(self, self.traj.linearize(a, min(a + chunk, stop)))
            steps = range(part.start, part.stop)
            for t in reversed(steps) if backwards else steps:
                yield StepJacobian(t + 1, part.step(t))

    def split(self, u: Array) -> tuple[Array, Array]:
        """The paths' Frobenius norms and their shares of J^T u, both (P, T, *M, B) in the order of `paths()`.

        Share of a path = <path^T u, J^T u> / ||J^T u||^2: they sum to 1 and may be negative; NaN where J^T u = 0.
        """
        traj, xp, paths = self.traj, self.traj.xp, list(self.paths().values())
        products = _RowProducts(self)
        shape = (len(paths), traj.steps, *traj.states.shape[2:-1])
        norms, shares = (xp.empty(shape, dtype=traj.states.dtype) for _ in range(2))
        for lin in traj.linearizations():
            steps, cotangent = slice(lin.start, lin.stop), _normalised(xp, u[lin.start : lin.stop])
            parts = [_Part(path, lin) for path in paths]
            pulled = [part.apply_transpose(cotangent) for part in parts]
            total = sum(pulled[1:], pulled[0])
            with quiet():
                unit = _normalised(xp, total)
                for p, (part, vector) in enumerate(zip(parts, pulled, strict=True)):
                    norms[p, steps] = xp.sqrt(xp.maximum(part.squares(products), 0.0))
                    shares[p, steps] = (vector * unit).sum(axis=(1, -1)) / (total * unit).sum(axis=(1, -1))
        return norms, shares

    def _map(self, vectors: Array, name: str, transpose: bool) -> Array:
        traj, model_axes = self.traj, len(self.traj.models)
        require_namespace(traj.xp, **{name: vectors})
        expected = (traj.steps, *traj.states.shape[1:])
        if tuple(vectors.shape[-len(expected) :]) != expected or vectors.ndim > len(expected) + 1:
            raise InputError(f"{name}: expected shape {expected} or (K, *{expected}), got {tuple(vectors.shape)}")
        out = traj.xp.empty(vectors.shape, dtype=vectors.dtype)
        behind = (slice(None),) * (model_axes + 3)
        for part in self._parts():
            steps = (..., slice(part.start, part.stop), *behind)
            method = part.apply_transpose if transpose else part.apply
            out[steps] = method(vectors[steps])
        return out

    def dense(self) -> Array:
        """(T, *M, B, S*H, S*H), states major: the first H rows and columns belong to h."""
        traj, h = self.traj, self.traj.cell.hidden_size
        side = len(traj.cell.states) * h
        dense = traj.xp.zeros((traj.steps, *traj.states.shape[2:-1], side, side), dtype=traj.states.dtype)
        for part in self._parts():
            part.add_dense(dense[part.start : part.stop])
        return dense

    def frobenius(self) -> Array:
        """||J_t||_F (T, *M, B), exact, in O(H) per step and sample from precomputed row products of W.

        ||E + sum_k diag(d_k) W_k||_F^2 = sum_i [sum_kl d_ki d_li (W_k W_l^T)_ii + 2 e_i sum_k d_ki (W_k)_ii + e_i^2],
        per block of states.
        """
        norms = FrobeniusNorms(self)
        for lin in self.traj.linearizations():
            norms(lin)
        return norms.values

    def spectral(self, tol: float = 1e-6) -> Array:
        """||J_t||_2 (T, *M, B): the largest singular values; `spectral_with_bound` says how exact they are."""
        return self.spectral_with_bound(tol)[0]

    def spectral_with_bound(self, tol: float = 1e-6) -> tuple[Array, Array]:
        """||J_t||_2 and its relative residual bound, (T, *M, B) each; Golub-Kahan on many steps together.

        A singular value lies within the bound. That it is the largest is very likely and not proven; the value found
        is never above the largest.

        A coarse `tol` is reached in single precision, whatever the trajectory's.
        """
        if not tol > 0:
            raise InputError(f"tol: expected a positive number, got {tol}")
        traj, xp = self.traj, self.traj.xp
        block = max(1, BLOCK_VALUES // int(np.prod(traj.states.shape[1:])))
        coarse = "float32" if tol >= SINGLE else traj.states.dtype
        with quiet():
            found = [self._spectral_of(part, tol, coarse) for part in self._parts(block)]
        values, bounds = (xp.concatenate(arrays[::-1]) for arrays in zip(*found, strict=True))
        return values.astype(traj.states.dtype), bounds

    def _spectral_of(self, part: _Part, tol: float, dtype: Any) -> tuple[Array, Array]:
        """sigma_max and its bound on a range of steps, computed in `dtype`, or in full where one is far from 1."""
        xp, full, sizes = self.traj.xp, self.traj.states.dtype, self.traj.states.shape[1:]
        start = np.random.default_rng(0).normal(size=(sizes[0], *(1,) * (len(sizes) - 2), sizes[-1]))
        v = xp.zeros((part.stop - part.start, *sizes), dtype=dtype) + xp.asarray(start, dtype=dtype)
        cast = part if dtype == full else part.astype(dtype)
        values, bounds = largest_singular_values(xp, cast.apply, cast.apply_transpose, v, (1, -1), tol)
        if dtype != full and not bool(((values > TINY) & (values < 1 / TINY)).all()):
            return self._spectral_of(part, tol, full)
        rounding = ROUNDINGS * float(np.finfo(dtype).eps)
        return values, xp.where(values > 0, bounds + rounding, bounds)

    @cached_property
    def _weights(self) -> dict[int, tuple[Array, Array]]:
        """Gate -> its recurrent weights W_k (*M, H, R*H) and their transpose, contiguous both."""
        xp, cell = self.traj.xp, self.traj.cell
        names = cell.recurrent_gates if self.gates is None else self.gates
        pairs = {}
        for k, name in enumerate(cell.recurrent_gates):
            if name in names:
                w = xp.ascontiguousarray(self.traj.params["W_hh"][k])
                pairs[cell.gates.index(name)] = (w, xp.ascontiguousarray(xp.swapaxes(w, -1, -2)))
        return pairs

    def _parts(self, chunk: int | None = None) -> Iterator[_Part]:
        return (_Part(self, lin) for lin in self.traj.linearizations(chunk))


@dataclass(frozen=True)
class StepJacobian:
    """J_t of one step t = 1..T on vectors (K, S, *M, B, H), K of them at once."""

    t: int
    part: _Part

    def apply(self, v: Array) -> Array:
        """J_t v."""
        return self.part.apply(v[:, None])[:, 0]

    def apply_transpose(self, u: Array) -> Array:
        """J_t^T u."""
        return self.part.apply_transpose(u[:, None])[:, 0]

    def dense(self) -> Array:
        """J_t (*M, B, S*H, S*H), states major."""
        part = self.part
        side = len(part.cell.states) * part.cell.hidden_size
        dense = part.xp.zeros((1, *part.shape, side, side), dtype=part.dtype)
        part.add_dense(dense)
        return dense[0]

    def refuse(self) -> NoReturn:
        """Raise InputError that says where J_t is not finite, or too large to be multiplied."""
        with quiet():
            sizes = to_numpy(self.part.xp.abs(self.dense()).sum(axis=(-2, -1)))
        bad = np.argwhere(~np.isfinite(sizes))
        at = tuple(int(i) for i in (bad[0] if len(bad) else np.unravel_index(sizes.argmax(), sizes.shape)))
        model = f" of model {at[:-1]}" if at[:-1] else ""
        raise InputError(
            f"the Jacobian of step {self.t} is not finite, or too large to multiply, in sample {at[-1]}{model}; "
            f"end the span before that step, or unroll with lengths of at most {self.t - 1} for that sample"
        )


class FrobeniusNorms:
    """||J_t||_F (T, *M, B) in `values`, filled chunk by chunk: by itself or while `bptt` passes."""

    def __init__(self, jacobian: StateJacobian) -> None:
        traj = jacobian.traj
        self.jacobian, self.products = jacobian, _RowProducts(jacobian)
        self.values = traj.xp.empty((traj.steps, *traj.states.shape[2:-1]), dtype=traj.states.dtype)

    def __call__(self, lin: Linearization) -> None:
        """Fill in the steps of one chunk."""
        xp = self.jacobian.traj.xp
        squares = _Part(self.jacobian, lin).squares(self.products)
        self.values[lin.start : lin.stop] = xp.sqrt(xp.maximum(squares, 0.0))


class _RowProducts:
    """d -> sum_i sum_kl d_ki d_li (W_k W_l^T)_ii, from row products of the weights that are computed once."""

    def __init__(self, jacobian: StateJacobian) -> None:
        self.xp = jacobian.traj.xp
        weights = {k: w for k, (w, _) in jacobian._weights.items()}
        self.grams = {
            (k, m): ((wk * wm).sum(axis=-1) * (1 if k == m else 2))[..., None, :]
            for k, wk in weights.items()
            for m, wm in weights.items()
            if k <= m
        }

    def __call__(self, d: dict[int, Array]) -> Array:
        """d: gate -> (C, *M, B, H); returns (C, *M, B)."""
        xp, total = self.xp, 0.0
        pair = xp.empty_like(next(iter(d.values())))
        for (k, m), gram in self.grams.items():
            if k in d and m in d:
                xp.multiply(d[k], d[m], out=pair)
                total = total + linear(xp, pair, gram)
        return total[..., 0]  # type: ignore[index]


def _normalised(xp: Namespace, u: Array) -> Array:
    """u (C, S, *M, B, H) with its largest entry per step and sample brought to 1."""
    largest = xp.max(xp.abs(u), axis=(1, -1), keepdims=True)
    return u / xp.where(largest > 0, largest, xp.ones_like(largest))


class _Part:
    """The operator on a range of steps: E and D of the chosen paths, with the weights."""

    def __init__(self, jacobian: StateJacobian, lin: Linearization) -> None:
        traj = jacobian.traj
        self.xp, self.cell, self.start, self.stop = traj.xp, traj.cell, lin.start, lin.stop
        self.weights = jacobian._weights
        self.carry = lin.carry if jacobian.carries else {}
        self.gates = {
            (s, k): d[k - span.start]
            for s, (span, d) in lin.gates.items()
            for k in self.weights
            if span.start <= k < span.stop
        }
        self.reads = [traj.cell.states.index(name) for name in traj.cell.reads]
        self.shape, self.dtype = traj.states.shape[2:-1], traj.states.dtype
        self.behind = (slice(None),) * (len(traj.models) + 2)

    def astype(self, dtype: Any) -> _Part:
        """The same operator in another precision."""
        part = copy(self)
        part.weights = {k: (w.astype(dtype), wt.astype(dtype)) for k, (w, wt) in self.weights.items()}
        part.carry = {key: e.astype(dtype) for key, e in self.carry.items()}
        part.gates = {key: d.astype(dtype) for key, d in self.gates.items()}
        return part

    def step(self, t: int) -> _Part:
        """The operator of step t+1 alone."""
        part, i = copy(self), t - self.start
        part.start, part.stop = t, t + 1
        part.carry = {key: e[i : i + 1] for key, e in self.carry.items()}
        part.gates = {key: d[i : i + 1] for key, d in self.gates.items()}
        return part

    def _state(self, vectors: Array, s: int) -> Array:
        """The view of one state variable: (..., C, S, *M, B, H) -> (..., C, *M, B, H)."""
        return vectors[(..., s, *self.behind)]

    def _read_columns(self, column: int) -> slice:
        h = self.cell.hidden_size
        return slice(column * h, (column + 1) * h)

    def apply(self, v: Array) -> Array:
        """E v + D W v."""
        out = self.xp.zeros_like(v)
        parts = [self._state(v, s) for s in self.reads]
        r = parts[0] if len(parts) == 1 else self.xp.concatenate(parts, axis=-1)
        products = {k: linear(self.xp, r, w) for k, (w, _) in self.weights.items()}
        for (s, k), d in self.gates.items():
            self._state(out, s)[...] += d * products[k]
        for (row, column), e in self.carry.items():
            self._state(out, row)[...] += e * self._state(v, column)
        return out

    def apply_transpose(self, u: Array) -> Array:
        """E^T u + W^T D^T u."""
        out = self.xp.zeros_like(u)
        for k, (_, wt) in self.weights.items():
            terms = [d * self._state(u, s) for (s, gate), d in self.gates.items() if gate == k]
            if terms:
                pulled = linear(self.xp, sum(terms[1:], terms[0]), wt)
                for column, s in enumerate(self.reads):
                    self._state(out, s)[...] += pulled[..., self._read_columns(column)]
        for (row, column), e in self.carry.items():
            self._state(out, column)[...] += e * self._state(u, row)
        return out

    def add_dense(self, dense: Array) -> None:
        """Adds the matrices to `dense` (C, *M, B, S*H, S*H)."""
        h, units = self.cell.hidden_size, np.arange(self.cell.hidden_size)
        for (s, k), d in self.gates.items():
            w = self.weights[k][0][..., None, :, :]
            for column, read in enumerate(self.reads):
                block = dense[..., self._read_columns(s), read * h : (read + 1) * h]
                block += d[..., None] * w[..., self._read_columns(column)]
        for (row, column), e in self.carry.items():
            dense[..., row * h + units, column * h + units] += e

    def squares(self, products: _RowProducts) -> Array:
        """||J||_F^2 (C, *M, B)."""
        total = self.xp.zeros((self.stop - self.start, *self.shape), dtype=self.dtype)
        for row in range(len(self.cell.states)):
            d = {k: array for (s, k), array in self.gates.items() if s == row}
            if d:
                total += products(d)
            for (s, column), e in self.carry.items():
                if s == row:
                    total += self._carry_squares(e, column, d)
        return total

    def _carry_squares(self, e: Array, column: int, d: dict[int, Array]) -> Array:
        """One carry's share of its row: e^2, and the cross terms with the weights' diagonals where they meet."""
        inner = e
        if column in self.reads:
            position = self.reads.index(column)
            for k, gate in d.items():
                w = self.weights[k][0][..., self._read_columns(position)]
                inner = inner + 2 * gate * self.xp.diagonal(w, axis1=-2, axis2=-1)[..., None, :]
        return self.xp.einsum("...i,...i->...", e, inner)
