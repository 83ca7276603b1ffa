"""Cells that the contract allows and no other test has: a slice that is empty, several states, unusual names."""

from dataclasses import dataclass

from gradlab.cells import Cell
from gradlab.cells.activations import ACTIVATIONS

SIGMOID, LINEAR = ACTIVATIONS["sigmoid"], ACTIVATIONS["identity"]


@dataclass(frozen=True, repr=False)
class Memory(Cell):
    """h' = 0.9 h + 0.1 phi(V x + b): nothing comes through recurrent weights."""

    name, title, gates, candidate = "throwaway_memory", "Memory", ("fresh",), "fresh"
    recurrent = slice(0, 0)

    @property
    def nonlinearities(self):
        return (self.activation,)

    def step(self, xp, fresh, h):
        return (0.9 * h + 0.1 * fresh,)

    def partials(self, xp, fresh, h, h_new):
        return {("h", "fresh"): 0.1 + 0 * h}, {("h", "h"): 0.9 + 0 * h}


@dataclass(frozen=True, repr=False)
class FeedForward(Cell):
    """h' = phi(V x + b): nothing is passed on at all."""

    name, title, gates, candidate = "throwaway_feedforward", "Feedforward", ("out",), "out"
    recurrent = slice(0, 0)

    @property
    def nonlinearities(self):
        return (self.activation,)

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
class Autonomous(Cell):
    """h' = phi(W h + b): it hears no input."""

    name, title, gates, candidate = "throwaway_autonomous", "Autonomous", ("a",), "a"
    driven = slice(0, 0)

    @property
    def nonlinearities(self):
        return (self.activation,)

    def step(self, xp, a, h):
        return (a,)

    def partials(self, xp, a, h, h_new):
        return {("h", "a"): 1 + 0 * h}, {}


@dataclass(frozen=True, repr=False)
class Decay(Cell):
    """h' = u h, with elementwise weights and a bias that nothing moves: neither input nor recurrent weights."""

    name, title, gates, candidate = "throwaway_decay", "Decay", ("b",), "b"
    driven = recurrent = slice(0, 0)
    elementwise = ("u",)

    @property
    def nonlinearities(self):
        return (self.activation,)

    def step(self, xp, b, h, u):
        return (u * h + b,)

    def partials(self, xp, b, h, h_new, u):
        return {("h", "b"): 1 + 0 * h}, {("h", "h"): u + 0 * h}, {("h", "u"): h}


@dataclass(frozen=True, repr=False)
class Oscillator(Cell):
    """Position h, velocity v and a slow trace m; the weights read v and m, not h."""

    name, title, gates, candidate = "throwaway_oscillator", "Oscillator", ("force",), "force"
    states, reads = ("h", "v", "m"), ("v", "m")

    @property
    def nonlinearities(self):
        return (self.activation,)

    def step(self, xp, force, h, v, m):
        new = 0.9 * v - 0.1 * h + 0.1 * force
        return h + 0.1 * new, new, 0.99 * m + 0.01 * h

    def partials(self, xp, force, h, v, m, h_new, v_new, m_new):
        one = 1 + 0 * h
        gates = {("h", "force"): 0.01 * one, ("v", "force"): 0.1 * one}
        states = {("h", "h"): 0.99 * one, ("h", "v"): 0.09 * one, ("v", "h"): -0.1 * one, ("v", "v"): 0.9 * one}
        return gates, states | {("m", "m"): 0.99 * one, ("m", "h"): 0.01 * one}


THROWAWAY = {cls.name: cls for cls in (Memory, FeedForward, GatedMemory, Autonomous, Decay, Oscillator)}
