"""What one iteration shows: a row for each layer and direction of each watched module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from ..arrays import quiet
from ..diagnosis import Change
from ..engine.backward import Gradients, bptt
from ..engine.trajectory import Trajectory
from ..lazy import lazy
from ..quantities import Recorder, Recording
from ..registry import unknown
from ..runs.flow import curve, probed
from ..runs.labels import labelled
from ..runs.probe import finite_trajectory, probe_gradient
from ..runs.shares import joint, median, to_end
from ..runs.verdicts import Verdict, verdict
from .blame import Alarm, Finding
from .loops import CellRun
from .replay import Stack

KINDS = ("nan", "overflow", "vanishing", "exploding")
SEED = 0  # of the unit cotangents
LAGS = (10, 100, 1000)  # steps back at which the scalars tell what is left


@dataclass(frozen=True, eq=False)
class LayerRow:
    """One layer in one direction: its forward pass and the gradients of the loss.

    name: "encoder.l0", as PyTorch numbers its weights; of later calls of a module in one iteration "encoder.l0.call1".
    loss: None where it is not finite. output_error: how far the whole module's output, computed again, is off its own,
    over its largest value.
    """

    name: str
    traj: Trajectory
    loss: Gradients | None
    output_error: float

    @lazy
    def probe(self) -> Gradients:
        """Gradients of the unit cotangent at each sample's last step, from which verdicts are."""
        return bptt(self.traj, probe_gradient(self.traj, SEED))

    @lazy
    def verdict(self) -> Verdict:
        """What `gradlab.verdict` says of it."""
        return verdict(self._curve)

    @lazy
    def _curve(self) -> xr.Dataset:
        return curve(self.probe)

    @lazy
    def dataset(self) -> xr.Dataset:
        """All that `gradlab.analyze` records, with these weights on these data; `log_loss_grad_norm` is of the loss."""
        recorder = Recorder(self.traj)
        with quiet():
            probe = bptt(self.traj, probe_gradient(self.traj, SEED), observe=recorder)
            found = labelled(Recording(self.traj, probe, self.loss or probe, False, recorder), [])
        return found.assign_attrs(title=f"Gradient dynamics of {self.name}")

    def rerun(self, change: Change) -> xr.Dataset:
        """What a verdict is read from, with changed weights on the same data."""
        cell, traj = self.traj.cell, self.traj
        params = change.apply_weights(cell, traj.params)
        return probed(*finite_trajectory(cell, params, traj.x, traj.states[0], traj.lengths.values), SEED)

    @lazy
    def surface(self) -> np.ndarray:
        """ln ||dL/dstate_t|| (T+1,) of a unit gradient at each sample's last step, which stands at T; medians."""
        norms = to_end(_joint(self.probe), self.traj.valid_steps)
        return median(norms - norms[-1])

    @lazy
    def loss_surface(self) -> np.ndarray | None:
        """The same of the loss, as it is; None where that is not finite."""
        return None if self.loss is None else median(to_end(_joint(self.loss), self.traj.valid_steps))

    def scalars(self) -> dict[str, float]:
        """Numbers for a logger, by name.

        reach: steps back at which 1 % of a gradient at the last step is left; ln_rate: ln of the factor per step;
        ln_share_100: ln of what is left 100 steps back; ln_loss_grad_first, ln_loss_grad_last: ln ||dL/dstate|| of
        the loss at step 1 and at each sample's last, medians over samples; output_error.
        """
        share = self.surface[::-1]
        found = {"reach": self.verdict.reach, "ln_rate": self.verdict.fitted_log_rate}
        found |= {f"ln_share_{lag}": share[lag] for lag in LAGS if lag < len(share) - 1}
        found |= self._loss_ends | {"output_error": self.output_error}
        return {name: -np.inf if value is None else float(value) for name, value in found.items()}

    @property
    def _loss_ends(self) -> dict[str, float]:
        if self.loss is None:
            return {}
        norms = _joint(self.loss)
        last = np.take_along_axis(norms, self.traj.valid_steps[None], axis=0)[0]
        return {"ln_loss_grad_first": float(median(norms[1])), "ln_loss_grad_last": float(median(last))}


def _joint(gradients: Gradients) -> np.ndarray:
    """ln of the norms over all states together (T+1, B)."""
    return joint(np.moveaxis(gradients.log_norms, 1, -1))


@dataclass(frozen=True, eq=False)
class Row(Mapping[str, LayerRow]):
    """What one iteration shows: name of a layer -> its row. loss: as it was given to `step`.

    finding: where numbers come from that are not finite, if there are any. notes: what is to be known besides.
    """

    iteration: int
    loss: float
    layers: dict[str, LayerRow]
    finding: Finding | None = None
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> LayerRow:
        return self.layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True

    def scalars(self) -> dict[str, float]:
        """Numbers for a logger: {"encoder.l0/reach": 41.0, ...}, as `LayerRow.scalars` describes them."""
        return {f"{name}/{key}": value for name, layer in self.items() for key, value in layer.scalars().items()}

    def raise_if(self, *kinds: str) -> None:
        """Raise an Alarm, which names layer, step and sample, for one of KINDS that is there.

        "nan" and "overflow" are numbers that are not finite, "vanishing" and "exploding" the verdicts of layers.
        """
        for kind in kinds:
            if kind not in KINDS:
                raise unknown("alarm", kind, list(KINDS), "kinds")
        if self.finding is not None and self.finding.kind in kinds:
            raise Alarm(f"iteration {self.iteration}: {self.finding.text}", self.finding)
        for name, layer in self.items():
            if layer.verdict.word in kinds:
                raise Alarm(f"iteration {self.iteration}, {name}: {layer.verdict.headline}")


def layer_rows(stack: Stack | CellRun, call: int, scale: float) -> dict[str, LayerRow]:
    """The rows of one call, by name; call: which one of its module in this iteration.

    scale: what the loss was multiplied by before the backward pass.
    """
    finite = all(bool(torch.isfinite(g).all()) for g in stack.call.gradients.values())
    found, error = stack.backward(scale) if finite else {}, stack.output_error
    rows = {}
    for run in (run for runs in stack.runs for run in runs):
        name = f"{stack.call.name}.l{run.number}" + (f".call{call}" if call else "")
        rows[name] = LayerRow(name, run.traj, found.get(run.number), error)
    return rows
