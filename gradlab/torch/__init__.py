"""Watching a PyTorch model while it learns: the gradient of every step of its nn.RNN, nn.LSTM and nn.GRU modules.

The only room that imports PyTorch, which the extra `torch` brings.
"""

try:
    import torch as _torch  # noqa: F401 - to say at once where it is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("gradlab.torch needs PyTorch: pip install 'gradlab[torch]'", name="torch") from error

from .batches import analyze
from .blame import Alarm, Finding
from .record import Record
from .remedies import Trial, try_remedy
from .rows import LayerRow, Row
from .watching import Watch, watch

__all__ = [
    "Alarm",
    "Finding",
    "LayerRow",
    "Record",
    "Row",
    "Trial",
    "Watch",
    "analyze",
    "try_remedy",
    "watch",
]
