"""The nets of `gradlab.gpu_check`, every layer and every shape, for the tests of layers.

Derivatives are checked against central differences of fourth order in float64, a few entries of each array and one
random direction through all of them.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from gradlab.gpu_check.nets import NETS, T, lengths_of, random_input, random_params
from gradlab.gpu_check.problems import moved
from gradlab.layers import Pass
from gradlab.layers.recurrent import recurrent_tapes

STEP, ENTRIES = 3e-4, 3


@dataclass(frozen=True)
class Network:
    """A layer with all that its loss L = <dy, y> + <dL_dfinal, last state> depends on."""

    layer: Any
    params: dict
    x: Any
    lengths: Any = None
    initial: Any = None
    dL_dfinal: Any = None
    dy: Any = None

    def forward(self):
        how = Pass(np.random.default_rng(7), initial_state=self.initial)
        return self.layer.forward(self.params, self.x, self.lengths, how)

    def backward(self, tape, **how):
        return self.layer.backward(self.params, tape, self.dy, Pass(dL_dfinal=self.dL_dfinal, **how))

    def gradients(self):
        """{name: dL/d array}; "initial" where there is one, and "x", "source", "target" where they are real."""
        _, tape = self.forward()
        dx, grads = self.backward(tape)
        named = {"x": dx} if not isinstance(dx, tuple) else dict(zip(("source", "target"), dx, strict=True))
        if self.initial is not None:
            named["initial"] = next(iter(recurrent_tapes(tape).values())).initial_gradient
        return grads | {name: value for name, value in named.items() if value is not None}

    def loss(self, **changed):
        """L with some arrays replaced."""
        x = changed.get("x", self.x)
        if isinstance(x, tuple):
            x = (changed.get("source", x[0]), changed.get("target", x[1]))
        own = replace(
            self,
            x=x,
            initial=changed.get("initial", self.initial),
            params={name: changed.get(name, p) for name, p in self.params.items()},
        )
        y, tape = own.forward()
        final = 0.0
        if self.dL_dfinal is not None:
            final = (list(recurrent_tapes(tape).values())[-1].trajectory.states[-1] * self.dL_dfinal).sum()
        return (y * self.dy).sum() + final

    def arrays(self):
        """What a derivative can be taken with respect to, by name."""
        x = {"source": self.x[0], "target": self.x[1]} if isinstance(self.x, tuple) else {"x": self.x}
        found = self.params | {name: array for name, array in x.items() if array.dtype.kind == "f"}
        return found if self.initial is None else found | {"initial": self.initial}

    def of_model(self, m):
        """One model's own problem; a cell's parameters have their model axis behind the gates."""

        def behind_gates(name):
            return name.rpartition(".")[2] in ("W_xh", "W_hh", "b_h", "p")

        def pick(array):
            return None if array is None else array[:, m] if array.ndim > 3 else array[m]

        params = {name: p[:, m] if behind_gates(name) else p[m] for name, p in self.params.items()}
        own = {name: pick(getattr(self, name)) for name in ("x", "lengths", "initial", "dL_dfinal", "dy")}
        return replace(self, params=params, **own)

    def moved(self, xp, dtype):
        """The same on another library, real numbers in another precision."""
        names = ("params", "x", "lengths", "initial", "dL_dfinal", "dy")
        return replace(self, **{name: moved(xp, dtype, getattr(self, name)) for name in names})


@cache
def network(name, models=(), seed=0):
    """The net of that name with random parameters, input, initial state and loss gradients, float64 NumPy."""
    layer, kind = NETS[name]
    rng = np.random.default_rng([seed, 31])
    params, x = random_params(layer, rng, models), random_input(rng, kind, models, T)
    net = Network(layer, params, x, lengths_of(np, kind, padded=False))
    y, tape = net.forward()
    net = replace(net, dy=rng.normal(size=y.shape))
    if layer.stateful:
        starts = [t.trajectory.states[0] for t in recurrent_tapes(tape).values()]
        return replace(net, initial=rng.normal(size=starts[0].shape), dL_dfinal=rng.normal(size=starts[-1].shape))
    return net


def slope(function):
    """d function(h) / dh at 0, by central differences of fourth order."""
    one, two = (function(h) - function(-h) for h in (STEP, 2 * STEP))
    return (8 * one - two) / (12 * STEP)


@cache
def slopes(name, models, seed=0):
    """[(description, {array: direction}, dL along it)]: some entries of each array, and all arrays at once."""
    net, rng = network(name, models, seed), np.random.default_rng([seed, 32])
    directions = []
    for key, array in net.arrays().items():
        for entry in rng.permutation(array.size)[:ENTRIES]:
            direction = np.zeros(array.size)
            direction[entry] = 1
            directions.append((f"{key}[{entry}]", {key: direction.reshape(array.shape)}))
    together = {key: rng.normal(size=array.shape) for key, array in net.arrays().items()}
    directions.append(("together", together))

    def along(direction):
        return slope(lambda h: net.loss(**{key: net.arrays()[key] + h * d for key, d in direction.items()}))

    return [(text, direction, along(direction)) for text, direction in directions]
