"""Loops over nn.RNNCell, nn.LSTMCell and nn.GRUCell: calls that hand on their state, as one recurrent layer.

A hook at h_t sees dL/dh_t in full, what comes back over the next step included. What the loss and everything else that
reads h_t adds is that less J_{t+1}^T lambda_{t+1}: attention's query, or an input made of the last output, counts as
such a read-out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..arrays import quiet
from ..engine.backward import Gradients, bptt
from ..engine.forward import unroll
from ..engine.jacobian import jacobian
from ..errors import InputError
from ..importers.pytorch import from_state_dict
from .capture import Capture, Held, adding, apart, arguments, as_tuple
from .replay import Run, Samples, numbers, relative_error

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
ROUNDINGS = 32  # units in the last place
READ = 1e-3  # of dL/dc: so much is no rounding, but a loss that reads the cell state


@dataclass(eq=False)
class Step:
    """One call of a cell. origin: the node of PyTorch's graph that made h. gradients: dL/dstate, by its name."""

    x: Held
    states: tuple[Held, ...]
    origin: Any
    gradients: dict[str, Tensor] = field(default_factory=dict)


@dataclass(eq=False)
class CellCalls:
    """Calls of a cell, each of which goes on from the state of the one before.

    initial: of the first, None for zeros. c_makes_h: whether PyTorch's graph makes h of the c that a hook sees.
    """

    name: str
    module: nn.RNNCellBase
    weights: dict[str, Held]
    initial: tuple[Held, ...] | None
    steps: list[Step]
    c_makes_h: bool

    @property
    def gradients(self) -> dict[str, Tensor]:
        """Those of any step, by state."""
        return {name: g for step in self.steps for name, g in step.gradients.items()}

    @property
    def batch(self) -> int:
        """B."""
        return len(_rows(self.steps[0].x.tensor))

    @property
    def sequences(self) -> tuple[Tensor, Tensor]:
        """Input and output, (T, B, F) each."""
        return self.stacked([s.x.value for s in self.steps]), self.stacked([s.states[0].value for s in self.steps])

    @property
    def loss_gradients(self) -> dict[str, Tensor]:
        """dL/dh (T, B, H) from the last step on that is not finite: those before it get theirs from it."""
        totals = self.stacked([s.gradients.get("h", torch.zeros_like(s.states[0].tensor)) for s in self.steps])
        bad = (~torch.isfinite(totals)).any(-1).any(-1).nonzero()
        origin = int(bad[-1]) if len(bad) else 0
        return {"output": torch.cat([torch.zeros_like(totals[:origin]), totals[origin:]])}

    def number_of(self, gradient: str, row: int, unit: int) -> str:
        """Of the only layer."""
        return "0"

    def stacked(self, tensors: list[Tensor]) -> Tensor:
        """(T, B, F) of the steps' own."""
        return torch.stack([_rows(tensor) for tensor in tensors])


class CellCapture(Capture):
    """Of an nn.RNNCell, nn.LSTMCell or nn.GRUCell, whose calls are joined to loops."""

    def _hook(self, module: nn.Module) -> list[Any]:
        return [module.register_forward_hook(apart(self._after), with_kwargs=True)]

    def _after(self, module: Any, given: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
        states = as_tuple(result)
        if self.sees(module, states[0]):
            x, hx = arguments(given, named)
            held = tuple(self.held("state", state) for state in states)
            step = Step(self.held("input", x), held, states[0].grad_fn)
            for name, state in zip("hc", states, strict=False):
                state.register_hook(adding(step.gradients, name))
            self._join(module, step, None if hx is None else as_tuple(hx), states)

    def _join(
        self, module: nn.RNNCellBase, step: Step, given: tuple[Tensor, ...] | None, states: tuple[Tensor, ...]
    ) -> None:
        """Go on with the loop whose last state this step was given, or begin another."""
        own = [calls for calls in self.calls if calls.name == self.name]
        origin = None if given is None else given[0].grad_fn
        for calls in reversed(own):
            if origin is not None and calls.steps[-1].origin is origin:
                calls.steps.append(step)
                return
        weights = own[0].weights if own else _weights(self.name, module)
        initial = None if given is None else tuple(self.held("initial state", state) for state in given)
        self.calls.append(CellCalls(self.name, module, weights, initial, [step], _is_below(step.origin, states[-1])))


def _is_below(node: Any, tensor: Tensor, depth: int = 3) -> bool:
    """Whether a node of PyTorch's graph is made of a tensor, by at most so many operations."""
    below = [n for n, _ in node.next_functions if n is not None]
    return any(n is tensor.grad_fn or (depth > 1 and _is_below(n, tensor, depth - 1)) for n in below)


def _weights(name: str, module: nn.RNNCellBase) -> dict[str, Held]:
    """Of a cell, by its names; those of a parametrization as it makes them."""
    if parametrize.is_parametrized(module) and any(True for p in module.parametrizations.values() for _ in p.buffers()):
        text = f"{name}: expected weights that reading leaves as they are, but a parametrization of them keeps a state"
        raise InputError(f"{text}, as spectral_norm does; use an nn.LSTM, nn.GRU or nn.RNN", "model")
    given = {key: getattr(module, key) for key in WEIGHTS}
    return {key: Held.of(f"{key} of {name}", w) for key, w in given.items() if w is not None}


@dataclass(frozen=True, eq=False)
class CellRun:
    """A loop over a cell in double precision, as `Stack` is of a module."""

    call: CellCalls
    samples: Samples
    runs: list[list[Run]]

    @property
    def output_error(self) -> float:
        """The largest difference of h to the module's own, over its largest value."""
        return relative_error(self.runs[0][0].output, numbers(self.call.sequences[1], self.samples))

    def backward(self, scale: float = 1.0) -> dict[str, Gradients]:
        """Gradients of the loss, which the module's own were `scale` times of, by "0", the only layer."""
        traj = self.runs[0][0].traj
        totals = {name: self._total(name) / scale for name in traj.cell.states}
        with quiet():
            direct, last = self._unwound(totals)
        final = np.stack([np.zeros_like(last), last]) if len(traj.cell.states) > 1 else None
        return {"0": bptt(traj, direct, final)}

    def _unwound(self, totals: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """What each step's h gets besides the next step's part (T, B, H), and the last c (B, H)."""
        traj, h, c = self.runs[0][0].traj, totals["h"], totals.get("c")
        rest = np.zeros_like(h) if c is None else c - self._through_h(h)
        last = rest[-1] if c is None else self._told(rest[-1], c[-1])
        direct, adjoint = h.copy(), np.stack([h[-1], last][: len(traj.cell.states)])
        for J in jacobian(traj).each_step(start=1, backwards=True):
            before = J.t - 2  # index of the step that J_t goes back to
            adjoint = J.apply_transpose(adjoint[None])[0]
            if c is not None:
                self._require_unread(rest[before] - adjoint[1], c[before], J.t - 1)
            direct[before] = self._told(h[before] - adjoint[0], h[before])
            adjoint[0] += direct[before]
        return direct, last

    @property
    def _precision(self) -> torch.finfo:
        """The module's."""
        return torch.finfo(self.call.steps[0].states[0].tensor.dtype)

    def _told(self, rest: np.ndarray, total: np.ndarray) -> np.ndarray:
        """What is left of a total, zero for samples of which rounding leaves as much."""
        size = np.abs(total).max(axis=-1, keepdims=True)
        noise = ROUNDINGS * self._precision.eps * size + self._precision.tiny
        return np.where(np.abs(rest).max(axis=-1, keepdims=True) > noise, rest, 0.0)

    def _through_h(self, h: np.ndarray) -> np.ndarray | float:
        """What of dL/dc comes by the same step's h: a hook at c sees it where c makes h, which a fused kernel hides."""
        if not self.call.c_makes_h:
            return 0.0
        traj = self.runs[0][0].traj
        return traj.gates[:, 3] * (1 - np.tanh(traj.states[1:, 1]) ** 2) * h

    def _require_unread(self, rest: np.ndarray, total: np.ndarray, step: int) -> None:
        """Raise InputError where something besides the next step, and h, reads the cell state."""
        if np.abs(rest).max() > READ * np.abs(total).max() + self._precision.tiny:
            text = f"{self.call.name}: expected c to be read by the next step alone, but a loss reads it at step {step}"
            raise InputError(f"{text}; read h there, or c at the last step", "model")

    def _total(self, name: str) -> np.ndarray:
        """dL/dstate as the hooks saw it (T, B, H), zero where nothing came."""
        place = "hc".index(name)
        pairs = ((step.gradients.get(name), step.states[place].tensor) for step in self.call.steps)
        return self._of([torch.zeros_like(state) if g is None else g for g, state in pairs])

    def _of(self, tensors: list[Tensor]) -> Any:
        return numbers(self.call.stacked(tensors), self.samples)


def replayed_cell(call: CellCalls, samples: Samples, dtype: torch.dtype) -> CellRun:
    """The loop once more for some samples of its batch."""
    weights = {f"{name}_l0": held.value.to("cpu", dtype) for name, held in call.weights.items()}
    cell, params = from_state_dict(weights, activation=getattr(call.module, "nonlinearity", "tanh"))
    x = numbers(call.sequences[0], samples, dtype)
    first = None if call.initial is None else call.stacked([held.value for held in call.initial])
    initial = None if first is None else numbers(first, samples, dtype)
    return CellRun(call, samples, [[Run("0", unroll(cell, params, x, initial), None)]])


def _rows(tensor: Tensor) -> Tensor:
    """(B, F), of one sample too."""
    return tensor[None] if tensor.dim() == 1 else tensor
