"""Cells that the contract allows and no other test has: a slice that is empty, several states, unusual names, weights
made from other parameters.
"""

from dataclasses import dataclass

import numpy as np

from gradlab.arrays import namespace
from gradlab.cells import Cell
from gradlab.cells.activations import ACTIVATIONS

SIGMOID, LINEAR = ACTIVATIONS["sigmoid"], ACTIVATIONS["identity"]


class OneGate(Cell):
    """A cell whose only gate has the cell's activation."""

    @property
    def nonlinearities(self):
        return (self.activation,)


@dataclass(frozen=True, repr=False)
class Memory(OneGate):
    """h' = 0.9 h + 0.1 phi(V x + b): nothing comes through recurrent weights."""

    name, title, gates, candidate = "throwaway_memory", "Memory", ("fresh",), "fresh"
    recurrent = slice(0, 0)

    def step(self, xp, fresh, h):
        return (0.9 * h + 0.1 * fresh,)

    def partials(self, xp, fresh, h, h_new):
        return {("h", "fresh"): 0.1 + 0 * h}, {("h", "h"): 0.9 + 0 * h}


@dataclass(frozen=True, repr=False)
class FeedForward(OneGate):
    """h' = phi(V x + b): nothing is passed on at all."""

    name, title, gates, candidate = "throwaway_feedforward", "Feedforward", ("out",), "out"
    recurrent = slice(0, 0)

    def step(self, xp, out, h):
        return (out,)

    def partials(self, xp, out, h, h_new):
        return {("h", "out"): 1 + 0 * h}, {}


@dataclass(frozen=True, repr=False)
class GatedMemory(Cell):
    """h' = k h + (1 - k) phi(V x + b) with a gate k that the input alone opens."""

    name, title, gates, candidate, forget_gate = "throwaway_gated", "Gated memory", ("keep", "new"), "new", "keep"
    recurrent = slice(0, 0)

    @property
    def nonlinearities(self):
        return (SIGMOID, self.activation)

    def step(self, xp, keep, new, h):
        return (keep * h + (1 - keep) * new,)

    def partials(self, xp, keep, new, h, h_new):
        return {("h", "keep"): h - new, ("h", "new"): 1 - keep}, {("h", "h"): keep}


@dataclass(frozen=True, repr=False)
class Autonomous(OneGate):
    """h' = phi(W h + b): it hears no input."""

    name, title, gates, candidate = "throwaway_autonomous", "Autonomous", ("a",), "a"
    driven = slice(0, 0)

    def step(self, xp, a, h):
        return (a,)

    def partials(self, xp, a, h, h_new):
        return {("h", "a"): 1 + 0 * h}, {}


@dataclass(frozen=True, repr=False)
class Decay(OneGate):
    """h' = u h, with elementwise weights and a bias that nothing moves: neither input nor recurrent weights."""

    name, title, gates, candidate = "throwaway_decay", "Decay", ("b",), "b"
    driven = recurrent = slice(0, 0)
    elementwise = ("u",)

    def step(self, xp, b, h, u):
        return (u * h + b,)

    def partials(self, xp, b, h, h_new, u):
        return {("h", "b"): 1 + 0 * h}, {("h", "h"): u + 0 * h}, {("h", "u"): h}


@dataclass(frozen=True, repr=False)
class Oscillator(OneGate):
    """Position h, velocity v and a slow trace m; the weights read v and m, not h."""

    name, title, gates, candidate = "throwaway_oscillator", "Oscillator", ("force",), "force"
    states, reads = ("h", "v", "m"), ("v", "m")

    def step(self, xp, force, h, v, m):
        new = 0.9 * v - 0.1 * h + 0.1 * force
        return h + 0.1 * new, new, 0.99 * m + 0.01 * h

    def partials(self, xp, force, h, v, m, h_new, v_new, m_new):
        one = 1 + 0 * h
        gates = {("h", "force"): 0.01 * one, ("v", "force"): 0.1 * one}
        states = {("h", "h"): 0.99 * one, ("h", "v"): 0.09 * one, ("v", "h"): -0.1 * one, ("v", "v"): 0.9 * one}
        return gates, states | {("m", "m"): 0.99 * one, ("m", "h"): 0.01 * one}


@dataclass(frozen=True, repr=False)
class Mixed(Cell):
    """Partial derivatives of every form: numbers, NumPy's numbers, per unit alone (1, H), and of every step and sample.

    h' = u h + s a + c / 2,  c' = 0.9 c + u a + b h
    """

    name, title, gates, candidate = "throwaway_mixed", "Mixed", ("a", "b"), "a"
    states, elementwise = ("h", "c"), ("u", "s")

    @property
    def nonlinearities(self):
        return (self.activation, SIGMOID)

    def step(self, xp, a, b, h, c, u, s):
        return u * h + s * a + 0.5 * c, 0.9 * c + u * a + b * h

    def partials(self, xp, a, b, h, c, h_new, c_new, u, s):
        gates = {("h", "a"): s, ("c", "a"): u, ("c", "b"): h}
        states = {("h", "h"): u, ("h", "c"): 0.5, ("c", "c"): np.float64(0.9), ("c", "h"): b}
        return gates, states, {("h", "u"): h, ("h", "s"): a, ("c", "u"): a}


@dataclass(frozen=True, repr=False)
class Squashed(OneGate):
    """h' = phi(W h + V x + b), W = sigmoid(M) entry by entry: weights that are no linear function of the parameters."""

    name, title, gates, candidate = "throwaway_squashed", "Squashed", ("a",), "a"
    state_is_gate = True

    def step(self, xp, a, h):
        return (a,)

    def partials(self, xp, a, h, h_new):
        return {("h", "a"): 1}, {}

    def weights(self, params):
        return {**params, "W_hh": SIGMOID.value(namespace(params["W_hh"]), params["W_hh"])}

    def pull_back(self, params, grads):
        slope = SIGMOID.slope(namespace(params["W_hh"]), params["W_hh"])
        return {**grads, "W_hh": slope * grads["W_hh"]}


@dataclass(frozen=True, repr=False)
class DiagonalPlus(Cell):
    """h' = (1 - z) phi(W_c h + ...) + z h, z = sigmoid(W_z h + ...), W = U + diag(d): two parameters make one weight.

    d is an elementwise parameter of each gate, which the step itself does not use.
    """

    name, title, gates, candidate, forget_gate = "throwaway_diagonal", "Diagonal plus", ("c", "z"), "c", "z"
    elementwise = ("d_c", "d_z")

    @property
    def nonlinearities(self):
        return (self.activation, SIGMOID)

    def step(self, xp, c, z, h, d_c, d_z):
        return (c + z * (h - c),)

    def partials(self, xp, c, z, h, h_new, d_c, d_z):
        return {("h", "c"): 1 - z, ("h", "z"): h - c}, {("h", "h"): z}, {}

    def weights(self, params):
        xp, d = namespace(params["p"]), params["p"]
        return {**params, "W_hh": params["W_hh"] + xp.eye(self.hidden_size, dtype=d.dtype) * d[..., None]}

    def pull_back(self, params, grads):
        diagonal = namespace(grads["W_hh"]).diagonal(grads["W_hh"], axis1=-2, axis2=-1)
        return {"p": grads["p"] + diagonal, **{name: g for name, g in grads.items() if name != "p"}}


PARAMETRISED = {cls.name: cls for cls in (Squashed, DiagonalPlus)}
THROWAWAY = {
    cls.name: cls
    for cls in (Memory, FeedForward, GatedMemory, Autonomous, Decay, Oscillator, Mixed, *PARAMETRISED.values())
}
