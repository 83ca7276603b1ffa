"""What a network learns by: losses, optimizers, clipping of the update, and Pascanu's regulariser."""

from .clipping import CLIP_MODES, CLIPPERS, UPDATE_MODES, ClippedUpdate, Clipper, clip_update, make_clipper
from .descent import descend
from .losses import LOSSES
from .norms import Norm, angle_between, flatten
from .optimizers import OPTIMIZERS, SCHEDULES
from .pascanu import omega

__all__ = [
    "CLIPPERS",
    "CLIP_MODES",
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULES",
    "UPDATE_MODES",
    "ClippedUpdate",
    "Clipper",
    "Norm",
    "angle_between",
    "clip_update",
    "descend",
    "flatten",
    "make_clipper",
    "omega",
]
