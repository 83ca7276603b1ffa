"""The tabs below the figure, in order. Each has TITLE, content(run) and, where that takes a while, WORK."""

from . import chaos, clipping, data, travel, weights, why
from .base import Run

TABS = {"why": why, "weights": weights, "travel": travel, "chaos": chaos, "clipping": clipping, "data": data}

__all__ = ["TABS", "Run"]
