"""What theory predicts of a recurrent network's gradient: mean field and exact laws, each with where it fails.

Rates are ln of the factor per step of the gradient's norm (not squared). Sigmas are standard deviations, never
variances. `WHERE` says of every prediction where it holds and where it fails.
"""

from .gates import minimal_rnn_chi, zero_input_rate
from .laws import chrono_memory, gaussian_growth, newman_exponents, newman_stderr, pascanu_bound
from .nets import Prediction, predictions
from .phases import MeanField, correlation_map, critical_line, mean_field, phase_map
from .wall import ErrorWall, error_wall
from .where import WHERE, Where

__all__ = [
    "WHERE",
    "ErrorWall",
    "MeanField",
    "Prediction",
    "Where",
    "chrono_memory",
    "correlation_map",
    "critical_line",
    "error_wall",
    "gaussian_growth",
    "mean_field",
    "minimal_rnn_chi",
    "newman_exponents",
    "newman_stderr",
    "pascanu_bound",
    "phase_map",
    "predictions",
    "zero_input_rate",
]
