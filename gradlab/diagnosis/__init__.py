"""Why a gradient does what it does, and what would help: measured factors, remedies, and their verification."""

from .causes import Factor
from .changes import Change, Remedy, is_clip
from .draws import Rerun
from .factors import Exponent
from .findings import NOTHING, Diagnosis, diagnose
from .trials import is_quick, rerunner

__all__ = [
    "NOTHING",
    "Change",
    "Diagnosis",
    "Exponent",
    "Factor",
    "Remedy",
    "Rerun",
    "diagnose",
    "is_clip",
    "is_quick",
    "rerunner",
]
