"""Figures of a Dataset of `analyze` or `compare`: pure functions from the Dataset to a plotly Figure, without the app.

All take the Dataset first and a theme, "light" or "dark", and raise InputError where the Dataset lacks what they draw.
`FIGURES` holds them by name.
"""

from collections.abc import Callable

import plotly.graph_objects as go

from ..registry import Registry
from ..wording import power_text
from .attending import alignment
from .chaos import lyapunov, lyapunov_course
from .clipped import clipping
from .colours import THEMES, colour_of, colour_scale
from .compare import comparison
from .gradient import short_label, theory_misses
from .layers import layer_strips, network
from .marks import plot_text
from .overview import explore, gradient_flow, one_step, strip, unit_map
from .phase import STEPS as PHASE_STEPS
from .phase import phase_diagram
from .report import comparison_report, html_report, png, save, table, training_report
from .spectra import weights
from .tabs import data, gates, parameters, paths
from .training import course_table, layer_names, training_course
from .travel import credit, product_norms, singular_values, span_paths
from .tree import tree_figure

FIGURES: Registry[Callable[..., go.Figure]] = Registry("figure")
for _figure in (
    explore,
    gradient_flow,
    one_step,
    unit_map,
    weights,
    gates,
    paths,
    clipping,
    parameters,
    product_norms,
    singular_values,
    credit,
    span_paths,
    lyapunov,
    lyapunov_course,
    comparison,
    alignment,
):
    FIGURES.add(_figure.__name__, _figure)

__all__ = [
    "FIGURES",
    "PHASE_STEPS",
    "THEMES",
    "alignment",
    "clipping",
    "colour_of",
    "colour_scale",
    "comparison",
    "comparison_report",
    "course_table",
    "credit",
    "data",
    "explore",
    "gates",
    "gradient_flow",
    "html_report",
    "layer_names",
    "layer_strips",
    "lyapunov",
    "lyapunov_course",
    "network",
    "one_step",
    "parameters",
    "paths",
    "phase_diagram",
    "plot_text",
    "png",
    "power_text",
    "product_norms",
    "save",
    "short_label",
    "singular_values",
    "span_paths",
    "strip",
    "table",
    "theory_misses",
    "training_course",
    "training_report",
    "tree_figure",
    "unit_map",
    "weights",
]
