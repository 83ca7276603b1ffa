"""Whether a namespace finds the numbers that NumPy finds: the largest relative error of each item and precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from ..arrays import Array, Namespace, namespace, quiet, to_numpy

LOGARITHM = "ln "  # how the names of quantities begin whose differences are relative errors already

Found = dict[str, Any]  # arrays, or numbers, by name


@dataclass(frozen=True)
class Item:
    """What is computed twice: `compute(xp, dtype)` from the same numbers, by the same calls.

    factor: by how much the tolerance exceeds 2^10 units in the last place, where rounding errors pile up.
    """

    name: str
    compute: Callable[[Namespace, str], Found]
    factor: float = 1.0


def tasks(
    xp: Namespace, dtypes: Sequence[str], items: Callable[[], Iterable[Item]]
) -> Callable[[], Iterator[tuple[str, Callable[[], dict[str, Any]]]]]:
    """A task for each item and precision."""

    def listed() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
        for item in items():
            on_host = cache(partial(item.compute, np))
            for dtype in dtypes:
                yield f"{item.name}, {dtype}", partial(compare, item, xp, dtype, on_host)

    return listed


def line(items: list[dict[str, Any]]) -> str:
    """How many agree, and the largest share of a tolerance that any of them takes."""
    if not items:
        return "nothing agrees"
    worst = max(items, key=lambda item: item["error"] / item["tolerance"])
    share = worst["error"] / worst["tolerance"]
    return f"{len(items)} agree, at most {share:.1%} of the tolerance ({worst['name']}: {worst['quantity']})"


def compare(item: Item, xp: Namespace, dtype: str, on_host: Callable[[str], Found]) -> dict[str, Any]:
    """The quantity with the largest error against NumPy's float64, beside the same quantity's in NumPy's `dtype`."""
    tolerance = item.factor * 2**10 * float(np.finfo(dtype).eps)
    with quiet():
        found, host, exact = item.compute(xp, dtype), on_host(dtype), on_host("float64")
    problems, errors = list[str](), dict[str, float]()
    for name, expected in exact.items():
        problem = _kind_problem(xp, found[name], host[name]) or _place_problem(found[name], host[name])
        if problem:
            problems.append(f"{name} {problem}")
            continue
        errors[name] = _error(name, found[name], expected, host[name])
    worst = max(errors, key=lambda name: errors[name], default="")
    if errors and not errors[worst] <= tolerance:
        problems.insert(0, f"{worst} is off by {errors[worst]:.2g}, and {tolerance:.2g} is allowed")
    result = {"ok": not problems, "tolerance": tolerance, "quantity": worst or None, "error": errors.get(worst)}
    result["error_of_numpy"] = _error(worst, host[worst], exact[worst], host[worst]) if errors else None
    return result | ({"problem": "; ".join(problems)} if problems else {})


def _kind_problem(xp: Namespace, found: Any, host: Any) -> str | None:
    """What is wrong with where an array lives, its type or its shape, seen beside NumPy's in the same precision."""
    if isinstance(found, float | int) and isinstance(host, float | int):
        return None
    if namespace(found) is not xp:
        return f"is no array of {xp.__name__}"
    if found.dtype != host.dtype:
        return f"is {found.dtype}, and NumPy's is {host.dtype}"
    return None if tuple(found.shape) == host.shape else f"has shape {tuple(found.shape)}, and NumPy's {host.shape}"


def _place_problem(found: Any, host: Any) -> str | None:
    """Where numbers are not finite they have to be NumPy's."""
    a, b = _plain(found), _plain(host)
    odd = ~(np.isfinite(a) & np.isfinite(b))
    differ = odd & ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not differ.any():
        return None
    at = tuple(int(i) for i in np.argwhere(differ)[0])
    return f"holds {a[at]} at {at}, and NumPy's {b[at]}"


def _error(name: str, found: Any, expected: Any, host: Any) -> float:
    """The largest error over the largest number, of those that are finite in either precision."""
    a, b, c = (_plain(x) for x in (found, expected, host))
    finite = np.isfinite(b) & np.isfinite(c)
    if not finite.any():
        return 0.0
    off, largest = np.abs(a[finite] - b[finite]).max(), np.abs(b[finite]).max()
    smallest = float(np.finfo(host.dtype if getattr(host, "dtype", np.dtype("i")).kind == "f" else float).tiny)
    scale = 1.0 if name.startswith(LOGARITHM) or largest == 0 else largest
    return 0.0 if off <= smallest else float(off / scale)


def _plain(x: Array | float) -> np.ndarray:
    return to_numpy(x).astype(float) if hasattr(x, "dtype") else np.asarray(x, float)
