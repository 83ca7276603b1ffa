"""The tabs below the figure, in order. Each has TITLE, content(run) and, where it has callbacks, register(app)."""

from . import clipping, data, weights, why
from .base import Run

TABS = {"why": why, "weights": weights, "clipping": clipping, "data": data}

__all__ = ["TABS", "Run"]
