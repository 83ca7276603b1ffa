"""What many steps do: long products of Jacobians in log scale, credit assignment, Lyapunov spectra.

d state_t / d state_s = J_t J_{t-1} ... J_{s+1}. Logarithms are natural and float64; -inf means exactly zero.
"""

from .norms import BUDGET, ProductNorms, affordable_samples, log_lags, log_norms
from .paths import INTERACTION, PathSplit, path_split
from .singular import SingularValues, singular_values

__all__ = [
    "BUDGET",
    "INTERACTION",
    "PathSplit",
    "ProductNorms",
    "SingularValues",
    "affordable_samples",
    "log_lags",
    "log_norms",
    "path_split",
    "singular_values",
]
