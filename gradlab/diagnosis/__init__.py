"""Why a gradient does what it does, and what would help: measured factors, remedies, and their verification."""

from .findings import NOTHING, Diagnosis, Rerun, diagnose, is_quick, rerunner
from .remedies import Change, Remedy, is_clip

__all__ = ["NOTHING", "Change", "Diagnosis", "Remedy", "Rerun", "diagnose", "is_clip", "is_quick", "rerunner"]
