"""Clipping: of the weight update, and of the adjoint inside backpropagation; one registered block each."""

from ..engine.step_clipping import STEP_MODES
from .norms import Norm, angle_between, flatten
from .update import CLIPPERS, UPDATE_MODES, ClippedUpdate, Clipper, clip_update, make_clipper

CLIP_MODES = ("off", *UPDATE_MODES, *STEP_MODES)

__all__ = [
    "CLIPPERS",
    "CLIP_MODES",
    "STEP_MODES",
    "UPDATE_MODES",
    "ClippedUpdate",
    "Clipper",
    "Norm",
    "angle_between",
    "clip_update",
    "flatten",
    "make_clipper",
]
