"""The gradient that a span of steps passes back, split by path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..arrays import LN2, Array, Namespace, log_norm, quiet
from ..engine.jacobian import CARRY, StateJacobian
from ..engine.scaled import Scaled
from ..engine.threads import spare_threads
from .scaled_vectors import ScaledVectors, pull_back
from .span import Progress, require_adjoint, stacked, stops_of

INTERACTION = "interaction"


@dataclass(frozen=True, repr=False)
class PathSplit:
    """The gradient that a span passes back, split by path.

    names: "carry" (every step's carry alone), each recurrent gate (the whole less the whole with that gate's path off),
    and "interaction", what remains. norms (P, *M, B): ln of the parts' norms. shares (P, *M, B): <part, whole> /
    ||whole||^2, which sum to 1 and may be negative; NaN where nothing is passed back. whole (*M, B): ln of its norm.
    off (G, *M, B): ln of the norm with each recurrent gate's path off.
    """

    names: tuple[str, ...]
    norms: Array
    shares: Array
    whole: Array
    off: Array

    def __repr__(self) -> str:
        return f"PathSplit({', '.join(self.names)}; shares {tuple(self.shares.shape)})"


@spare_threads
def path_split(
    jacobian: StateJacobian, t: int, s: int | Sequence[int], adjoint: Array, *, on_progress: Progress = None
) -> PathSplit:
    """(d state_t / d state_s)^T adjoint, split by path; adjoint (S, *M, B, H) = dL/d state_t at any scale.

    s: a step, or several, whose results then lie along a first axis. Raises InputError for spans out of range, adjoints
    of another shape and Jacobians that are not finite.
    """
    t, stops = stops_of(jacobian, t, s)
    require_adjoint(jacobian, adjoint)
    gates = [name for name in jacobian.paths() if name != CARRY]
    operators = [jacobian, replace(jacobian, gates=())]
    operators += [replace(jacobian, gates=tuple(g for g in gates if g != off)) for off in gates]
    pulled: list[dict[int, _Pulled]] = []
    for operator in operators:
        walk = pull_back(operator, adjoint[None], t, min(stops))
        pulled.append({r: _Pulled.of(jacobian.traj.xp, vectors) for r, vectors in walk if r in stops})
        if on_progress is not None:
            on_progress(len(pulled) / len(operators))
    found = [_split(("carry", *gates, INTERACTION), [at[r] for at in pulled]) for r in stops]
    return stacked(jacobian.traj.xp, found, s)


@dataclass(frozen=True)
class _Pulled:
    """A cotangent on its way, as it is now: (*M, B, S*H), float64, with one exponent per sample, and ln of its norm."""

    vector: Scaled
    log: Array

    @classmethod
    def of(cls, xp: Namespace, vectors: ScaledVectors) -> _Pulled:
        """The first of the vectors (S, *M, B, H)."""
        flat = xp.concatenate(list(vectors.mantissas[0]), axis=-1).astype(xp.float64)
        return cls(Scaled(flat, vectors.exponents[0][..., None].copy()), vectors.log_norms()[0])


def _split(names: tuple[str, ...], pulled: Sequence[_Pulled]) -> PathSplit:
    """`pulled`: the whole, the carry alone, and the whole with each gate off."""
    xp, top = pulled[0].vector.xp, pulled[0].vector.exponents
    with quiet():
        whole, carry, *off = (one.vector.over(top) for one in pulled)
        parts = [carry, *(whole - without for without in off)]
        parts = xp.stack([*parts, whole - sum(parts[1:], parts[0])])
        shares = (parts * whole).sum(axis=-1) / (whole * whole).sum(axis=-1)
    norms, logs = log_norm(xp, parts) + LN2 * top[..., 0], xp.stack([one.log for one in pulled])
    return PathSplit(names, norms, shares, logs[0], logs[2:])
