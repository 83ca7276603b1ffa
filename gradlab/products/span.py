"""Spans of steps, and what all long products of Jacobians have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from ..arrays import Array, Namespace, require_namespace, require_shape
from ..engine.jacobian import StateJacobian
from ..errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Progress = Callable[[float], None] | None
Found = TypeVar("Found", bound="DataclassInstance")


def span_of(jacobian: StateJacobian, t: int | None, s: int) -> tuple[int, int]:
    """t and s as numbers; InputError unless 0 <= s <= t <= T."""
    steps = jacobian.traj.steps
    t = steps if t is None else t
    if not (hasattr(t, "__index__") and hasattr(s, "__index__") and 0 <= s <= t <= steps):
        raise InputError(f"span: expected whole numbers 0 <= s <= t <= {steps}, the number of steps, got s={s}, t={t}")
    return int(t), int(s)


def stops_of(jacobian: StateJacobian, t: int, s: int | Sequence[int]) -> tuple[int, list[int]]:
    """t and every s, each checked; InputError where there is none."""
    stops = list(s) if isinstance(s, Sequence) else [s]
    if not stops:
        raise InputError("s: expected a step or several, got none", "s")
    return span_of(jacobian, t, 0)[0], [span_of(jacobian, t, one)[1] for one in stops]


def side_of(jacobian: StateJacobian) -> int:
    """S * H."""
    return len(jacobian.traj.cell.states) * jacobian.traj.cell.hidden_size


def require_adjoint(jacobian: StateJacobian, adjoint: Array) -> None:
    """Raise InputError unless `adjoint` is a state (S, *M, B, H) in the trajectory's namespace."""
    require_namespace(jacobian.traj.xp, adjoint=adjoint)
    require_shape("adjoint", adjoint, tuple(jacobian.traj.states.shape[1:]))


def rows_times(xp: Namespace, matrix: Array, rows: Array, out: Array) -> Array:
    """rows @ matrix into `out`: each row is a cotangent that a Jacobian pulls back."""
    return xp.matmul(rows, matrix, out=out)


def stacked(xp: Namespace, found: list[Found], s: int | Sequence[int]) -> Found:
    """The results at several s along a first axis, or the only one's own."""
    if not isinstance(s, Sequence):
        return found[0]
    arrays: dict[str, list[Any]] = {f.name: [getattr(one, f.name) for one in found] for f in fields(found[0])}
    together: dict[str, Any] = {
        n: a[0] if a[0] is None or isinstance(a[0], tuple) else xp.stack(a) for n, a in arrays.items()
    }
    return type(found[0])(**together)
