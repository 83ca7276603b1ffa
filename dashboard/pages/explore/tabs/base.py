"""What a tab is made from."""

from dash.development.base_component import Component

import gradlab

from .... import components
from ..request import Run

__all__ = ["Run", "figure"]


def figure(name: str, run: Run, label: str) -> Component:
    """A registered figure of the run."""
    return components.figure(gradlab.plots.FIGURES[name](run.ds, theme=run.theme), label)
