"""Explore: one net, live."""

from .page import HELP, LABEL, PATH, STAYS, layout, register

__all__ = ["HELP", "LABEL", "PATH", "STAYS", "layout", "register"]
