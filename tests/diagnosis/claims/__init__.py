"""Every sentence of a verdict and a diagnosis, read again and held against the numbers of its run."""

from . import causes, factors, remedies, verdicts
from .run import check

__all__ = ["causes", "check", "factors", "remedies", "verdicts"]
