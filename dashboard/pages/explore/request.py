"""What the browser asks for, and the run that it means once that has been computed."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

import xarray as xr
from pydantic import Field

import gradlab
from gradlab.config import RunConfig
from gradlab.config.links import GROUP
from gradlab.config.presets import PRESETS
from gradlab.runs.group import labels, of_group
from gradlab.runs.rows import Row, dataset_of, rows

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
    is in the figure. layer: of a network the path of the one that is shown; None, or one that is not there, stands for
    the one next to the loss. group: of a single cell the word of the samples that are shown alone; one that no sample
    has, such as "", stands for all.
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
    layer: Text | None = None
    group: Text = ""

    @property
    def base(self) -> RunConfig:
        """The preset that controls are compared with."""
        return PRESETS.get(self.preset, next(iter(PRESETS.values()))).config()


@dataclass(frozen=True)
class Run:
    """A computed run, of all samples or those that are chosen, its theme, its page, and of a network the layer."""

    found: xr.Dataset | xr.DataTree
    config: RunConfig
    theme: Theme
    owner: Text = ""
    layer: Text | None = None

    @property
    def ds(self) -> xr.Dataset:
        """The run of a single cell; of a network the layer that is shown."""
        return self.found if isinstance(self.found, xr.Dataset) else dataset_of(self.found, self.row.path)

    @property
    def row(self) -> Row:
        """The layer of a network that is shown; a single cell has none."""
        if isinstance(self.found, xr.Dataset):
            raise ValueError("a single cell has no layers")
        return shown_row(self.found, self.layer)

    def figure(self, name: str, label: str) -> Component:
        """A registered figure of it."""
        return figure(gradlab.plots.FIGURES[name](self.ds, theme=self.theme), label)


def shown_row(found: xr.DataTree, layer: str | None) -> Row:
    """The layer of a path, or the one next to the loss where there is none."""
    layers = rows(found)
    return next((row for row in layers if row.path == layer), layers[0])


def chosen(found: xr.Dataset | xr.DataTree, group: str) -> xr.Dataset | xr.DataTree:
    """Of a single cell the samples of a group alone, where there are others, too."""
    return of_group(found, group) if isinstance(found, xr.Dataset) and group in labels(found) else found


def group_of(search: str) -> str:
    """The group that an address names; empty without one."""
    return dict(parse_qsl(search.removeprefix("?"))).get(GROUP, "")


def finished(request: Request) -> Run | None:
    """The whole run that a request means; None while a control is wrong, or before it has been computed."""
    filled = form.read(request.raw)
    if filled.errors or filled.config not in RUNS:
        return None
    found = chosen(RUNS.get(filled.config), request.group)
    return Run(found, filled.config, request.theme, request.owner, request.layer)
