"""What a tab is made from."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr
from dash.development.base_component import Component

import gradlab
from gradlab.config import RunConfig

from .... import components


@dataclass(frozen=True)
class Run:
    """What a tab is made from."""

    ds: xr.Dataset
    config: RunConfig
    theme: str


def figure(name: str, run: Run, label: str) -> Component:
    """A registered figure of the run."""
    return components.figure(gradlab.plots.FIGURES[name](run.ds, theme=run.theme), label)
