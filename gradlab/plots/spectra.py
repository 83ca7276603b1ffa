"""Spectra of the recurrent weights: eigenvalues in the complex plane and singular values."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ..errors import InputError
from .colours import THEMES, Theme, series_style
from .marks import Trace, line, plain_numbers
from .panels import BOTTOM, LINE, base_layout, corner, heading, quiet_title, words
from .series import require

LEFT_OUT = 'left out for their cost; analyze(..., record=["recurrent_eigenvalues"])'
SYMBOLS = {"circle": "●", "square": "■", "diamond": "◆", "cross": "✚", "triangle-up": "▲", "x": "✖"}


def weights(ds: xr.Dataset, theme: str = "light") -> go.Figure:
    """Eigenvalues of the recurrent weights with the unit circle, and their singular values, for every recurrent gate.

    Raises InputError for a Dataset without them, a cell without recurrent weights, or an unknown theme.
    """
    require(ds, "recurrent_eigenvalues", "recurrent_singular_values")
    if not ds.sizes["recurrent_gate"]:
        raise InputError("no gate of this cell has recurrent weights: there is no spectrum to draw")
    look, names = THEMES[theme], [str(name) for name in ds.recurrent_gate.values]
    eigenvalues = ds.recurrent_eigenvalues.transpose("recurrent_gate", "index", "part").values
    singular = ds.recurrent_singular_values.transpose("recurrent_gate", "index").values
    traces: list[Trace] = []
    for n, name in enumerate(names):
        traces += _gate_traces(n, name, eigenvalues[n], singular[n], look)
    modulus = float(np.hypot(eigenvalues[..., 0], eigenvalues[..., 1]).max())
    known = not np.isnan(modulus)
    layout = _spectra_layout(1.08 * max(1.0, modulus) if known else 1.08, look)
    key = [_key(names, look)] if len(names) > 1 else []
    texts = {
        0.0: ("Eigenvalues", f"largest modulus {modulus:.3g}" if known else LEFT_OUT),
        0.56: ("Singular values", f"largest {singular.max():.3g}"),
    }
    layout["annotations"] = [
        words("<br>".join([heading(title, "", look), caption, *key]), look.muted, **corner(-26, x=x))
        for x, (title, caption) in texts.items()
    ]
    return go.Figure({"data": traces, "layout": layout})


def _gate_traces(n: int, name: str, eigenvalues: np.ndarray, singular: np.ndarray, look: Theme) -> list[Trace]:
    colour, dash = series_style(n, look)
    re, im = (part.astype(np.float32) for part in eigenvalues.T)
    moduli = [f"{name}: modulus {modulus:.3g}" for modulus in np.hypot(re, im).tolist()]
    marker = {"color": colour, "symbol": list(SYMBOLS)[n % len(SYMBOLS)], "size": 5, "opacity": 0.85}
    points = {"type": "scatter", "mode": "markers", "name": name, "x": re, "y": im, "marker": marker}
    spectrum = line(np.arange(1, len(singular) + 1), singular, name, colour, plain_numbers, width=2, dash=dash)
    return [points | {"text": moduli, "hoverinfo": "text"}, spectrum | {"xaxis": "x2", "yaxis": "y2"}]


def _key(names: list[str], look: Theme) -> str:
    """Symbol and name of every gate in one line."""
    symbols = list(SYMBOLS.values())
    return "  ".join(
        f'<span style="color:{series_style(n, look)[0]}">{symbols[n % len(symbols)]}</span> {name}'
        for n, name in enumerate(names)
    )


def _spectra_layout(radius: float, look: Theme) -> dict[str, Any]:
    """A square complex plane with the unit circle on the left, the spectrum with a line at 1 on the right."""
    style = {"color": look.muted, "width": 1, "dash": "dot"}
    circle = {"type": "circle", "x0": -1, "x1": 1, "y0": -1, "y1": 1, "line": style}
    one = {"type": "line", "xref": "x2 domain", "x0": 0, "x1": 1, "yref": "y2", "y0": 1, "y1": 1, "line": style}
    plane = {"range": [-radius, radius], "constrain": "domain", "nticks": 6, "showgrid": True}
    across = {"domain": [0, 0.44], "constraintoward": "left", "title": quiet_title("real part (up: imaginary)", look)}
    return base_layout(look) | {
        "height": 250 + 3 * LINE + BOTTOM,
        "margin": {"l": 34, "r": 14, "t": 3 * LINE + 8, "b": BOTTOM},
        "xaxis": plane | across,
        "yaxis": plane | {"scaleanchor": "x", "constraintoward": "top"},
        "xaxis2": {"domain": [0.56, 1], "anchor": "y2", "title": quiet_title("index, largest first", look)},
        "yaxis2": {"anchor": "x2", "rangemode": "tozero"},
        "shapes": [circle, one],
    }
