"""One run on a GPU that says whether it computes what NumPy does, what crosses to the host, and how long it takes.

`python3 -m gradlab.gpu_check` needs NumPy, SciPy and CuPy alone. docs/gpu/README.md says what the report holds.
"""

from .running import check

__all__ = ["check"]
