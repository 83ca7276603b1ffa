"""See the gradient of a recurrent network through time: one-step Jacobians, adjoints, and why they vanish or explode.

The engine needs NumPy and SciPy only; what needs more (analyze, plots, importers) is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .arrays import to_device, to_numpy
from .cells import Cell, make_cell
from .engine.backward import Gradients, bptt
from .engine.forward import unroll
from .engine.jacobian import StateJacobian, jacobian
from .engine.trajectory import Trajectory
from .errors import Cancelled, InputError
from .products.lyapunov import LyapunovSpectrum, lyapunov, lyapunov_of_map
from .version import __version__

if TYPE_CHECKING:
    from . import plots
    from .config import RunConfig
    from .diagnosis import Diagnosis, diagnose
    from .engine.check_cell import check_cell
    from .importers import from_state_dict, load_safetensors, load_weights
    from .runs.analyze import analyze
    from .runs.comparison import compare
    from .runs.frames import frames
    from .runs.verdicts import Verdict, verdict
    from .tasks import make_task
    from .training import TrainConfig, TrainingRun, train

_LAZY = {
    "Diagnosis": "diagnosis",
    "RunConfig": "config",
    "TrainConfig": "training",
    "TrainingRun": "training",
    "Verdict": "runs.verdicts",
    "analyze": "runs.analyze",
    "check_cell": "engine.check_cell",
    "compare": "runs.comparison",
    "diagnose": "diagnosis",
    "frames": "runs.frames",
    "from_state_dict": "importers",
    "load_safetensors": "importers",
    "load_weights": "importers",
    "make_task": "tasks",
    "train": "training",
    "verdict": "runs.verdicts",
}
_LAZY_MODULES = ("layers", "learning", "plots", "products", "tasks", "theory")

__all__ = [
    "Cancelled",
    "Cell",
    "Diagnosis",
    "Gradients",
    "InputError",
    "LyapunovSpectrum",
    "RunConfig",
    "StateJacobian",
    "TrainConfig",
    "TrainingRun",
    "Trajectory",
    "Verdict",
    "__version__",
    "analyze",
    "bptt",
    "check_cell",
    "compare",
    "diagnose",
    "frames",
    "from_state_dict",
    "jacobian",
    "load_safetensors",
    "load_weights",
    "lyapunov",
    "lyapunov_of_map",
    "make_cell",
    "make_task",
    "plots",
    "to_device",
    "to_numpy",
    "train",
    "unroll",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
