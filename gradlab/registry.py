"""Name -> thing, with errors that list the names and the nearest."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Generic, TypeVar

from .errors import UnknownName, echo

T = TypeVar("T")
LONGEST = 100  # letters of an unknown name that are compared


def unknown(kind: str, name: object, valid: list[str], field: str | None = None) -> UnknownName:
    """The error for an unknown name in `field`, the kind by default: the nearest valid one first, then all of them."""
    near = get_close_matches(str(name)[:LONGEST], valid, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return UnknownName(f"unknown {kind} {echo(str(name))}. {hint}Valid: {', '.join(valid)}", field or kind)


class Registry(Mapping[str, T], Generic[T]):
    """Things of one kind by name, in the order they were registered.

    field: the configuration field or argument that takes such a name, the kind by default.
    """

    def __init__(self, kind: str, field: str | None = None) -> None:
        self.kind, self.field = kind, field or kind
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Register `thing` under `name`; a second thing of that name is a defect."""
        if name in self._things:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._things[name] = thing
        return thing

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda thing: self.add(name, thing)

    def __getitem__(self, name: str) -> T:
        """The thing called `name`; raises UnknownName, an InputError and a KeyError, that names the nearest."""
        try:
            return self._things[name]
        except (KeyError, TypeError):
            raise unknown(self.kind, name, list(self._things), self.field) from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def describe(self) -> dict[str, str]:
        """Name -> first line of the thing's docstring."""
        return {name: (thing.__doc__ or "").strip().partition("\n")[0] for name, thing in self.items()}
