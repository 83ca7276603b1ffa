"""What the browser asks for, and the run that it means once that has been computed."""

from dataclasses import dataclass
from typing import Annotated

import xarray as xr
from pydantic import Field

import gradlab
from gradlab.config import RunConfig
from gradlab.config.presets import PRESETS

from ... import form
from ...components import Component, figure
from ...posts import Raw, Text, Theme
from ...work.runs import RUNS

MAX_PINS = 5
Pins = Annotated[tuple[Text, ...], Field(max_length=MAX_PINS)]


@dataclass(frozen=True)
class Request:
    """What the browser wants drawn.

    preset: a name, the first preset's where there is no other.
    owner: the page as long as it is open, which shows one run at a time. first: whether it shows none yet. run: whether
    a person asked for it, however long it takes. search: the query that the address bar shows. theory: whether its line
    is in the figure.
    """

    raw: Raw
    preset: Text
    owner: Text = ""
    pins: Pins = ()
    theme: Theme = "light"
    narrow: bool = False
    theory: bool = True
    first: bool = False
    run: bool = False
    search: Text = ""

    @property
    def base(self) -> RunConfig:
        """The preset that controls are compared with."""
        return PRESETS.get(self.preset, next(iter(PRESETS.values()))).config()


@dataclass(frozen=True)
class Run:
    """A run that has been computed, the theme that it is shown in, and the page that shows it."""

    ds: xr.Dataset
    config: RunConfig
    theme: Theme
    owner: Text = ""

    def figure(self, name: str, label: str) -> Component:
        """A registered figure of it."""
        return figure(gradlab.plots.FIGURES[name](self.ds, theme=self.theme), label)


def finished(request: Request) -> Run | None:
    """The whole run that a request means; None while a control is wrong, or before it has been computed."""
    filled = form.read(request.raw)
    if filled.errors or filled.config not in RUNS:
        return None
    return Run(RUNS.get(filled.config), filled.config, request.theme, request.owner)
