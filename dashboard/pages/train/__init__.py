"""Train: the gradient flow while a net learns."""

from .page import HELP, LABEL, PATH, STAYS, layout, register

__all__ = ["HELP", "LABEL", "PATH", "STAYS", "layout", "register"]
