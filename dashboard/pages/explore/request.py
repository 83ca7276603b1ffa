"""What the browser asks for, and the run that it means once that has been computed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import xarray as xr

import gradlab
from gradlab.config import RunConfig
from gradlab.config.presets import PRESETS

from ... import form
from ...components import Component, figure
from ...work.runs import RUNS

MAX_PINS = 5


@dataclass(frozen=True)
class Request:
    """What the browser wants drawn.

    owner: the page as long as it is open, which shows one run at a time. first: whether it shows none yet. run: whether
    a person asked for it, however long it takes. search: the query that the address bar shows. theory: whether its line
    is in the figure.
    """

    raw: Mapping[str, Any]
    preset: str
    owner: str = ""
    pins: tuple[str, ...] = ()
    theme: str = "light"
    narrow: bool = False
    theory: bool = True
    first: bool = False
    run: bool = False
    search: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """From the browser's JSON."""
        preset = data["preset"] if data["preset"] in PRESETS else next(iter(PRESETS))
        asked = {field.name: data[field.name] for field in fields(cls)}
        return cls(**asked | {"preset": preset, "pins": tuple(data["pins"][:MAX_PINS])})

    @property
    def base(self) -> RunConfig:
        """The preset that controls are compared with."""
        return PRESETS[self.preset].config()


@dataclass(frozen=True)
class Run:
    """A run that has been computed, and the theme that it is shown in."""

    ds: xr.Dataset
    config: RunConfig
    theme: str

    def figure(self, name: str, label: str) -> Component:
        """A registered figure of it."""
        return figure(gradlab.plots.FIGURES[name](self.ds, theme=self.theme), label)


def finished(data: Mapping[str, Any]) -> Run | None:
    """The whole run that a request means; None while a control is wrong, or before it has been computed."""
    filled = form.read(data["raw"])
    if filled.errors or filled.config not in RUNS:
        return None
    return Run(RUNS.get(filled.config), filled.config, data["theme"])
