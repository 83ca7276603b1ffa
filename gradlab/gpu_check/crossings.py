"""How often a number or an array moves from the device to the host, and from which line of gradlab."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array, Namespace
from ..cells import make_cell
from ..layers import Dense, Last, Recurrent, Sequential
from ..learning import LOSSES, OPTIMIZERS, make_clipper
from ..quantities import Recorder
from .problems import moved, random_problem

ROOM = Path(__file__).parents[1]
PLACES = 12  # of the lines that move most, how many are listed
LONG = (200, 16, 3, 32)  # T, B, D, H


@dataclass
class Crossings:
    """Single numbers and arrays that crossed, the bytes of both, and the lines that asked for them."""

    numbers: int = 0
    arrays: int = 0
    bytes: int = 0
    places: Counter[str] = field(default_factory=Counter)

    def note(self, array: Array) -> None:
        """One more."""
        self.numbers += array.size == 1
        self.arrays += array.size != 1
        self.bytes += array.size * array.dtype.itemsize
        self.places[_place()] += 1


@contextmanager
def counted(xp: Namespace) -> Iterator[Crossings]:
    """Counts what `get` of the namespace's arrays moves; CuPy's float(), int() and bool() of an array go by it, too."""
    found, kind = Crossings(), xp.ndarray
    own, get = vars(kind).get("get"), kind.get

    def counting(self: Array, *args: Any, **kwargs: Any) -> Any:
        found.note(self)
        return get(self, *args, **kwargs)

    kind.get = counting
    try:
        yield found
    finally:
        if own is None:
            del kind.get
        else:
            kind.get = own


def _place() -> str:
    """The line of gradlab that asks, outside the file that all of them ask through."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOM) and path.name != "arrays.py" and path.parent != Path(__file__).parent:
            return f"{path.relative_to(ROOM).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


def tasks(xp: Namespace) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """A run of each of some cells, and a training step; none where arrays cannot cross, as NumPy's cannot."""
    if not hasattr(xp.ndarray, "get"):
        return
    for name in ("elman", "lstm", "gru"):
        yield f"{name}: forward", partial(_forward, xp, name)
        yield f"{name}: backward with recordings", partial(_backward, xp, name)
    for mode in ("off", "norm"):
        yield f"training step, clipping {mode}", partial(_step, xp, mode)


def line(items: list[dict[str, Any]]) -> str:
    """The largest numbers of crossings."""
    if not items:
        return "nothing crosses"
    worst = max(items, key=lambda item: item["numbers"] + item["arrays"])
    return f"at most {worst['numbers']} numbers and {worst['arrays']} arrays ({worst['name']}, {LONG[0]} steps)"


def _summary(found: Crossings) -> dict[str, Any]:
    places = dict(found.places.most_common(PLACES))
    return {"ok": True, "numbers": found.numbers, "arrays": found.arrays, "bytes": found.bytes, "places": places}


def _forward(xp: Namespace, name: str) -> dict[str, Any]:
    problem = random_problem(name, sizes=LONG, scale=0.2).moved(xp, "float32")
    with counted(xp) as found:
        problem.unroll()
    return _summary(found)


def _backward(xp: Namespace, name: str) -> dict[str, Any]:
    problem = random_problem(name, sizes=LONG, scale=0.2).moved(xp, "float32")
    traj = problem.unroll()
    with counted(xp) as found:
        grads = problem.bptt(traj, observe=Recorder(traj))
        _ = grads.params, grads.inputs, grads.log_norms
    return _summary(found)


def _step(xp: Namespace, mode: str) -> dict[str, Any]:
    """The second step of a training, as the first one sets things up."""
    t, b, d, h = LONG
    net = Sequential(Recurrent(make_cell("lstm", input_size=d, hidden_size=h)), Last(), Dense(h, 1))
    rng, adam, clipper = np.random.default_rng(7), OPTIMIZERS["adam"](), make_clipper(mode)
    params = moved(xp, "float32", net.init(0))
    x, targets = moved(xp, "float32", (rng.normal(size=(t, b, d)), rng.normal(size=(b, 1))))
    state = adam.init(params)

    def step() -> None:
        y, tape = net.forward(params, x)
        grads = net.backward(params, tape, LOSSES["mse"](y, targets)[1])[1]
        adam.step(params, clipper.clip(params, grads).grads, state, 0.01)

    step()
    with counted(xp) as found:
        step()
    return _summary(found)
