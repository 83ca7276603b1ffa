"""Places in a JSON value, and the value with something else at one of them."""

from collections.abc import Iterator
from typing import Any


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to everything in a JSON value."""
    yield path
    for key, inside in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        yield from paths(inside, (*path, key))


def changed(value: Any, path: tuple[Any, ...], junk: Any, leave_out: bool) -> Any:
    """The value with something else at a path, or with nothing there."""
    if not path:
        return junk
    copy = list(value) if isinstance(value, list) else dict(value)
    if leave_out and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(copy[path[0]], path[1:], junk, leave_out)
    return copy
