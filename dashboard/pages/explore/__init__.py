"""Explore: one net, live."""

from .page import HELP, LABEL, PATH, layout, register

__all__ = ["HELP", "LABEL", "PATH", "layout", "register"]
