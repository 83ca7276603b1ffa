"""What the tests of pages without a browser share: requests, component trees, files, patience."""

import base64
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from dash.development.base_component import Component

from dashboard import controls, form
from dashboard.pages.explore import steer as explore_steer
from dashboard.pages.explore.request import Request
from gradlab.config import RunConfig
from gradlab.data.uploads import store

SMALL = RunConfig(hidden_size=8, batch_size=3, steps=20)
PATIENCE = 30.0  # s


def request(config: RunConfig = SMALL, **more: Any) -> Request:
    return Request(form.raw(config), "vanishing_tanh", **more)


def data(config: RunConfig = SMALL, **more: Any) -> dict[str, Any]:
    """A request as the browser sends it."""
    state = {
        "owner": "a page",
        "pins": [],
        "theme": "light",
        "narrow": False,
        "theory": True,
        "first": False,
        "run": False,
        "search": "",
    }
    return {"raw": form.raw(config), "preset": "vanishing_tanh"} | state | more


def page(search: str = "", pins: tuple[str, ...] = ()) -> explore_steer.ExploreState:
    options = {name: controls.file_options(name, None) for name in form.FILES}
    return explore_steer.ExploreState("vanishing_tanh", search, options, pins)


def words(part: Any) -> str:
    """All text in a component tree."""
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list | tuple):
        return "".join(map(words, part))
    return words(getattr(part, "children", "")) if isinstance(part, Component) else str(part or "")


def walk(part: Any) -> Iterator[Component]:
    if isinstance(part, list | tuple):
        for child in part:
            yield from walk(child)
    elif isinstance(part, Component):
        yield part
        for prop in ("children", "rightSection"):
            yield from walk(getattr(part, prop, None))


def parts(tree: Any, kind: str) -> list[Component]:
    """Every component of a kind."""
    return [part for part in walk(tree) if type(part).__name__ == kind]


def props_of(tree: list[Component]) -> str:
    """All that the browser is sent."""
    return str([part.to_plotly_json() for part in tree])


def upload(content: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode()


def stored(name: str, content: bytes) -> str:
    return f"{store(name, content)}-{name}"


def mixed_file(driven: int, silent: int, steps: int = 60) -> bytes:
    """An input (T, B, 1) as .npy: samples that saturate a net, so that it vanishes, then silent ones."""
    file = io.BytesIO()
    np.save(file, np.repeat([1000.0, 0.0], [driven, silent])[:, None] * np.ones((steps, driven + silent, 1)))
    return file.getvalue()


def until(condition: Callable[[], Any]) -> Any:
    """What the condition says once it is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "never true"
        time.sleep(0.005)
    return found
