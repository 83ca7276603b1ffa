"""Watching a PyTorch model while it learns: the gradient of every step of its nn.RNN, nn.LSTM and nn.GRU modules.

The only room that imports PyTorch, which the extra `torch` brings.
"""

try:
    import torch as _torch  # noqa: F401 - to say at once where it is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("gradlab.torch needs PyTorch: pip install 'gradlab[torch]'", name="torch") from error

from .blame import Alarm, Finding
from .rows import LayerRow, Row
from .watching import Watch, watch

__all__ = ["Alarm", "Finding", "LayerRow", "Row", "Watch", "watch"]
