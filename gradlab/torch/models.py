"""What of a model can be watched, and how."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..errors import InputError, echo
from .capture import Call, Capture, ModuleCapture
from .loops import CellCalls, CellCapture, CellRun, replayed_cell
from .replay import Samples, Stack, replayed

MODULES, CELLS = (nn.RNN, nn.LSTM, nn.GRU), (nn.RNNCell, nn.LSTMCell, nn.GRUCell)
WRAPPERS = {"_orig_mod": "torch.compile", "module": "DataParallel and DistributedDataParallel"}  # what they name it


def captures(model: nn.Module, calls: list[Any]) -> list[Capture]:
    """Hooks on every recurrent module and cell of a model. Raises InputError where there is none to watch."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model: expected a torch.nn.Module, got {echo(model)}", "model")
    _require_one_device(model)
    found = recurrent(model)
    if not found:
        kinds = ", ".join(sorted({type(module).__name__ for module in model.modules()}))
        raise InputError(f"model: expected nn.RNN, nn.LSTM, nn.GRU or their cells to watch, got {kinds}", "model")
    return [
        (ModuleCapture if isinstance(module, MODULES) else CellCapture)(name, module, calls)
        for name, module in found.items()
    ]


def recurrent(model: nn.Module) -> dict[str, Any]:
    """The recurrent modules and cells of a model by name; of a model that is one itself, by its kind."""
    found = {name: m for name, m in model.named_modules() if isinstance(m, (*MODULES, *CELLS))}
    return {own_name(name) or type(module).__name__.lower(): module for name, module in found.items()}


def _require_one_device(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
            text = f"model: expected each batch on one device, got DataParallel over {len(module.device_ids)} devices"
            raise InputError(f"{text}, which splits it; use DistributedDataParallel and watch one process", "model")


def own_name(name: str) -> str:
    """A module's name without what wrappers put in front."""
    first, _, rest = name.partition(".")
    return own_name(rest) if first in WRAPPERS else name


def replay(call: Call | CellCalls, samples: Samples, dtype: torch.dtype = torch.float64) -> Stack | CellRun:
    """A call once more, in double precision unless another is asked for."""
    return replayed(call, samples, dtype) if isinstance(call, Call) else replayed_cell(call, samples, dtype)
