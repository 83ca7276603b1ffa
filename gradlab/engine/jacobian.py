"""One-step Jacobians J_t = E_t + D_t W of a trajectory as operators: products, norms, and their split by path."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from ..arrays import Array, over_largest, quiet, require_namespace, require_number, to_numpy
from ..errors import InputError
from ..lazy import lazy
from .frobenius import RowProducts, frobenius_norms
from .lanczos import largest_singular_values
from .linearize import Linearization, linearizations, linearize
from .operator import LateGate, Operator, Weights
from .steps import chunk_steps
from .threads import spare_threads
from .trajectory import Trajectory

CARRY = "carry"
ROUNDINGS = 16  # units in the last place that the bound on a spectral norm allows for
TINY = 1e-15  # spectral norms beyond this or its inverse are computed again from numbers near 1
SINGLE = 1e-4  # a tolerance that single precision reaches
BLOCK_VALUES = 2**18  # what the spectral norm treats together, in numbers per state variable: near the cache
DEVICE_VALUES = 2**26  # the same on a device, which wants more at once


def jacobian(traj: Trajectory) -> StateJacobian:
    """The one-step Jacobians of all T steps of a trajectory, as one operator."""
    return StateJacobian(traj)


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
        return replace(self, traj=self.traj.of_samples(samples))

    @property
    def product_size(self) -> int:
        """That of its trajectory."""
        return self.traj.product_size

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

    def seen_late(self, v: Array) -> Array:
        """What a late gate's weights see of tangents v_t (T, S, *M, B, H) at every step: (T, *M, B, H)."""
        out = self.traj.xp.empty((len(v), *v.shape[2:]), dtype=v.dtype)
        for part in self._parts():
            out[part.start : part.stop] = part.seen_late(v[part.start : part.stop])
        return out

    def each_step(self, start: int = 0, stop: int | None = None, backwards: bool = False) -> Iterator[StepJacobian]:
        """The Jacobians of steps start+1 ... stop one after the other, the last first if `backwards`."""
        stop = self.traj.steps if stop is None else stop
        chunk = chunk_steps(self.traj.states)
        edges = range(start, stop, chunk)
        for a in reversed(edges) if backwards else edges:
            part = self._part(linearize(self.traj, a, min(a + chunk, stop)))
            steps = range(part.start, part.stop)
            for t in reversed(steps) if backwards else steps:
                yield StepJacobian(t + 1, part.step(t))

    @spare_threads
    def split(self, u: Array) -> tuple[Array, Array]:
        """The paths' Frobenius norms and their shares of J^T u, both (P, T, *M, B) in the order of `paths()`.

        Share of a path = <path^T u, J^T u> / ||J^T u||^2: they sum to 1 and may be negative; NaN where J^T u = 0.
        """
        traj, xp, paths = self.traj, self.traj.xp, list(self.paths().values())
        products = RowProducts(self._weights)
        shape = (len(paths), traj.steps, *traj.states.shape[2:-1])
        norms, shares = (xp.empty(shape, dtype=traj.states.dtype) for _ in range(2))
        for lin in linearizations(traj):
            steps = slice(lin.start, lin.stop)
            cotangent, _ = over_largest(xp, u[steps], (1, -1))
            parts = {p: part for p, path in enumerate(paths) if not (part := path._part(lin)).is_zero}
            pulled = {p: part.apply_transpose(cotangent) for p, part in parts.items()}
            total = sum(pulled.values()) if pulled else xp.zeros_like(cotangent)
            with quiet():
                unit, _ = over_largest(xp, total, (1, -1))
                whole = _dots(total, unit)
                norms[:, steps], shares[:, steps] = 0, 0 * whole / whole  # NaN where nothing is passed back
                for p, part in parts.items():
                    norms[p, steps] = frobenius_norms(part, products)
                    shares[p, steps] = _dots(pulled[p], unit) / whole if len(parts) > 1 else whole / whole
        return norms, shares

    @spare_threads
    def _map(self, vectors: Array, name: str, transpose: bool) -> Array:
        traj, model_axes = self.traj, len(self.traj.models)
        require_namespace(traj.xp, **{name: vectors})
        expected = (traj.steps, *traj.states.shape[1:])
        if tuple(vectors.shape[-len(expected) :]) != expected or vectors.ndim > len(expected) + 1:
            raise InputError(f"{name}: expected shape {expected} or (K, *{expected}), got {tuple(vectors.shape)}", name)
        out = traj.xp.empty(vectors.shape, dtype=vectors.dtype)
        behind = (slice(None),) * (model_axes + 3)
        for part in self._parts():
            steps = (..., slice(part.start, part.stop), *behind)
            method = part.apply_transpose if transpose else part.apply
            out[steps] = method(vectors[steps])
        return out

    @spare_threads
    def dense(self) -> Array:
        """(T, *M, B, S*H, S*H), states major: the first H rows and columns belong to h."""
        traj, h = self.traj, self.traj.cell.hidden_size
        side = len(traj.cell.states) * h
        dense = traj.xp.empty((traj.steps, *traj.states.shape[2:-1], side, side), dtype=traj.states.dtype)
        for part in self._parts():
            part.dense(dense[part.start : part.stop])
        return dense

    @spare_threads
    def frobenius(self) -> Array:
        """||J_t||_F (T, *M, B), exact, in O(H) per step and sample from precomputed row products of W.

        ||E + sum_k diag(d_k) W_k||_F^2 = sum_i [sum_kl d_ki d_li (W_k W_l^T)_ii + 2 e_i sum_k d_ki (W_k)_ii + e_i^2],
        per block of states.
        """
        norms = FrobeniusNorms(self)
        for lin in linearizations(self.traj):
            norms(lin)
        return norms.values

    def spectral(self, tol: float = 1e-6) -> Array:
        """||J_t||_2 (T, *M, B): the largest singular values; `spectral_with_bound` says how exact they are."""
        return self.spectral_with_bound(tol)[0]

    @spare_threads
    def spectral_with_bound(self, tol: float = 1e-6, every: int = 1) -> tuple[Array, Array]:
        """||J_t||_2 and its relative residual bound, (T, *M, B) each; Golub-Kahan on many steps together.

        every: 1, or which of the steps alone, counted from the first, so that the results have fewer than T.

        A singular value lies within the bound. That it is the largest is very likely and not proven; the value found
        is never above the largest.

        A coarse `tol` is reached in single precision, whatever the trajectory's.
        """
        require_number("tol", tol, "a positive number", lambda x: 0 < x < math.inf)
        traj, xp = self.traj, self.traj.xp
        together = BLOCK_VALUES if xp is np else DEVICE_VALUES
        block = max(1, together // int(np.prod(traj.states.shape[1:])))
        coarse = "float32" if tol >= SINGLE else traj.states.dtype
        with quiet():
            found = [self._spectral_of(part, tol, coarse) for part in self._parts(block, every)]
        values, bounds = (xp.concatenate(arrays[::-1]) for arrays in zip(*found, strict=True))
        return values.astype(traj.states.dtype), bounds

    def _spectral_of(self, part: Operator, tol: float, dtype: Any) -> tuple[Array, Array]:
        """sigma_max (float64) and its bound for some steps, computed in `dtype`, near 1 where one is far from it."""
        values, bounds = self._near_one(part, tol, dtype)
        if not bool(((values > TINY) & (values < 1 / TINY)).all()) and not part.is_zero:
            scaled, exponents = part.near_one()
            values, bounds = self._near_one(scaled, tol, dtype)
            values = self.traj.xp.ldexp(values, exponents)
        return values, bounds

    def _near_one(self, part: Operator, tol: float, dtype: Any) -> tuple[Array, Array]:
        xp, sizes = self.traj.xp, self.traj.states.shape[1:]
        start = np.random.default_rng(0).normal(size=(sizes[0], *(1,) * (len(sizes) - 2), sizes[-1]))
        v = xp.zeros((len(part), *sizes), dtype=dtype) + xp.asarray(start, dtype=dtype)
        cast = part if dtype == part.dtype else part.astype(dtype)
        values, bounds = largest_singular_values(xp, cast.apply, cast.apply_transpose, v, (1, -1), tol)
        return values, xp.where(values > 0, bounds + ROUNDINGS * float(np.finfo(dtype).eps), bounds)

    @property
    def _chosen(self) -> tuple[str, ...]:
        return self.traj.cell.recurrent_gates if self.gates is None else self.gates

    @lazy
    def _weights(self) -> Weights:
        cell = self.traj.cell
        chosen = [(cell.gates.index(name), k) for k, name in enumerate(cell.gates[cell.early]) if name in self._chosen]
        return Weights(self.traj.xp, [g for g, _ in chosen], [self.traj.weights["W_hh"][k] for _, k in chosen])

    @lazy
    def _late_weights(self) -> Weights:
        return Weights(self.traj.xp, [len(self.traj.cell.gates) - 1], [self.traj.weights["W_hh"][-1]])

    def _parts(self, chunk: int | None = None, every: int = 1) -> Iterator[Operator]:
        return (self._part(lin) for lin in linearizations(self.traj, chunk, every))

    def _part(self, lin: Linearization) -> Operator:
        late = None
        if (cell := self.traj.cell).late:
            late = LateGate(lin, self._late_weights, cell.gates[-1] in self._chosen, self._weights.gates)
        return Operator(self.traj, lin, self._weights, self.carries, late)


def _dots(u: Array, v: Array) -> Array:
    """<u, v> over states and units: (C, S, *M, B, H) -> (C, *M, B)."""
    return (u * v).sum(axis=(1, -1))


@dataclass(frozen=True)
class StepJacobian:
    """J_t of one step t = 1..T on vectors (K, S, *M, B, H), K of them at once."""

    t: int
    part: Operator

    def apply(self, v: Array, out: Array | None = None) -> Array:
        """J_t v, written to `out` where that is given."""
        return self.part.apply(v[:, None], None if out is None else out[:, None])[:, 0]

    def apply_transpose(self, u: Array, out: Array | None = None) -> Array:
        """J_t^T u, written to `out` where that is given."""
        return self.part.apply_transpose(u[:, None], None if out is None else out[:, None])[:, 0]

    def dense(self, out: Array | None = None) -> Array:
        """J_t (*M, B, S*H, S*H), states major; written to `out` where that is given."""
        part = self.part
        if out is None:
            side = len(part.cell.states) * part.cell.hidden_size
            out = part.xp.empty((*part.shape, side, side), dtype=part.dtype)
        return part.dense(out[None])[0]

    def refuse(self) -> NoReturn:
        """Raise InputError that says where J_t is not finite, or too large to be multiplied."""
        with quiet():
            sizes = to_numpy(self.part.xp.abs(self.dense()).sum(axis=(-2, -1)))
        bad = np.argwhere(~np.isfinite(sizes))
        at = tuple(int(i) for i in (bad[0] if len(bad) else np.unravel_index(sizes.argmax(), sizes.shape)))
        model = f" of model {at[:-1]}" if at[:-1] else ""
        raise InputError(
            f"the Jacobian of step {self.t} is not finite, or too large to multiply, in sample {at[-1]}{model}; "
            f"choose a span without that step, or unroll with lengths of at most {self.t - 1} for that sample"
        )


class FrobeniusNorms:
    """||J_t||_F (T, *M, B) in `values`, filled chunk by chunk: by itself or while `bptt` passes."""

    def __init__(self, jacobian: StateJacobian) -> None:
        traj = jacobian.traj
        self.jacobian, self.products = jacobian, RowProducts(jacobian._weights)
        self.values = traj.xp.empty((traj.steps, *traj.states.shape[2:-1]), dtype=traj.states.dtype)

    def __call__(self, lin: Linearization) -> None:
        """Fill in the steps of one chunk."""
        self.values[lin.start : lin.stop] = frobenius_norms(self.jacobian._part(lin), self.products)
