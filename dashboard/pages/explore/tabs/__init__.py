"""The tabs below the figure, in order. Each has TITLE, content(run) and, where it has callbacks, register(app)."""

from . import chaos, clipping, data, travel, weights, why
from .base import Run

TABS = {"why": why, "weights": weights, "travel": travel, "chaos": chaos, "clipping": clipping, "data": data}

__all__ = ["TABS", "Run"]
