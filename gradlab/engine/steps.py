"""What both time loops go by: chunks of steps, views of each step prepared ahead, and plans of what is done at each."""

from __future__ import annotations

from collections.abc import Callable

from ..arrays import Array

Views = list[Array]  # one array per step of a chunk
Plan = list[tuple[Callable[..., Array], Views, Views, Views]]  # function(left, right, out=out), in this order each step
CHUNK_BYTES = 2**19  # of one array over a chunk of steps; its dozen arrays stay near the cache


def chunk_steps(states: Array) -> int:
    """How many steps the loops treat together: 8 to 64, as many as fit the cache."""
    return int(min(64, max(8, CHUNK_BYTES // (states[0, 0].size * states.dtype.itemsize))))


def by_step(columns: Array) -> Views:
    """(n, C, *M, B, H) -> C views, each (n, *M, B, H), or (*M, B, H) for a single column."""
    return list(columns[0]) if len(columns) == 1 else [columns[:, i] for i in range(columns.shape[1])]


def carry_out(plan: Plan, i: int) -> None:
    """What the plan says for step i of its chunk."""
    for function, left, right, out in plan:
        function(left[i], right[i], out=out[i])
