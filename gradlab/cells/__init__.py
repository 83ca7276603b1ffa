"""Recurrent cells, one per file; a file in this folder is found by being there."""

from importlib import import_module
from pkgutil import iter_modules

from .activations import ACTIVATIONS, Activation
from .base import CELLS, Cell, Partials, make_cell, register
from .initializers import INITIALIZERS

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "INITIALIZERS",
    "Activation",
    "Cell",
    "Partials",
    "discover",
    "make_cell",
    "register",
]


def discover() -> None:
    """Import every module on this package's path, each of which registers its cell."""
    for module in sorted(info.name for info in iter_modules(__path__)):
        import_module(f"{__name__}.{module}")


discover()
