"""Phase: where theory puts the border between fading and exploding gradients."""

from .page import HELP, LABEL, PATH, STAYS, layout, register

__all__ = ["HELP", "LABEL", "PATH", "STAYS", "layout", "register"]
