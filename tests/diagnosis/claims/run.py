"""What the sentences of a verdict and a diagnosis claim, each held against numbers taken from the Dataset anew.

`check` reads every sentence. One that no pattern knows fails, so that a new sentence brings its claim along.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from gradlab.cells import CELLS
from gradlab.diagnosis import Diagnosis
from gradlab.diagnosis.factors import without_step_clipping

from .numbers import Flow

SIZE = r"((?:over )?-?(?:10\^-?\d+|\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?: %|×10\^-?\d+)?))"  # a number as any text has it
RATE = r"x(\d[\d.]*(?:e[+-]?\d+)?)"

Claim = Callable[..., None]
CLAIMS: list[tuple[re.Pattern[str], Claim]] = []


@dataclass
class Run:
    """A run, its diagnosis, and the numbers that are spoken of."""

    ds: xr.Dataset
    found: Diagnosis

    @cached_property
    def flow(self) -> Flow:
        """As it is, which the verdict is about."""
        return Flow(self.ds)

    @cached_property
    def free(self) -> Flow:
        """Without clipping inside backpropagation, which the cause is about."""
        return Flow(without_step_clipping(self.ds))

    @property
    def overflow(self) -> list[dict[str, Any]]:
        """Places where samples left the finite numbers."""
        return json.loads(self.ds.attrs["overflow"])

    @property
    def grows(self) -> bool:
        """Whether the flow without clipping explodes."""
        return self.free.word == "exploding"

    @property
    def weights(self) -> float:
        """||W||_F / sqrt(H), root mean square of the singular values of all recurrent weights."""
        values = self.ds.recurrent_singular_values.values.astype(float)
        return (
            float(np.linalg.norm(values / values.max()) * values.max() / math.sqrt(values.size)) if values.any() else 0
        )

    @property
    def radius(self) -> float:
        """The largest eigenvalue of any recurrent weights."""
        parts = self.ds.recurrent_eigenvalues
        return float(np.hypot(parts.sel(part="real"), parts.sel(part="imag")).max())

    def log_typical(self, flow: Flow) -> float:
        """ln of ||J||_F / sqrt(SH), mean over steps and the group's samples; of the mean where a step is zero."""
        norms = flow.own.jacobian_frobenius
        with np.errstate(divide="ignore"):
            log = float(np.log(norms.astype(float)).mean())
            log = float(np.log(norms.mean())) if log == -math.inf else log
        return log - 0.5 * math.log(self.ds.sizes["state"] * self.ds.sizes["unit"])

    @property
    def slope(self) -> float:
        """What makes the typical factor together with the weights."""
        return math.exp(self.log_typical(self.free) - math.log(self.weights))

    @property
    def recurrence(self) -> float:
        """Root mean square of the state over steps, times the weights."""
        values = self.ds.state_rms.isel(state=0).values.astype(float)
        largest = np.nanmax(values, initial=0.0)
        return self.weights * float(largest * np.sqrt(np.nanmean((values / largest) ** 2))) if largest else 0.0

    def split(self, log_rate: float, flow: Flow) -> tuple[float, float]:
        """The parts of a rate by the carry and through the gates: mean shares of the group."""
        shares = flow.own.path_share.mean(["step", "sample"]).fillna(0.0)
        rate = math.exp(min(log_rate, 700))
        carry = float(shares.sel(path="carry"))
        return carry * rate, float(shares.sum() - carry) * rate

    def mean(self, name: str, gate: str | None) -> float:
        """Of a gate's recorded quantity, over steps."""
        return float(self.ds[name].sel(gate=gate).mean())

    @property
    def saturation(self) -> float:
        """Share of the saturated units of the forget gate, or of the candidate where there is none."""
        cell = CELLS[self.ds.attrs["cell_name"]]
        return self.mean("gate_saturation", cell.forget_gate or cell.candidate)

    @property
    def forget(self) -> str:
        """The forget gate."""
        gate = CELLS[self.ds.attrs["cell_name"]].forget_gate
        assert gate is not None
        return gate


def claim(pattern: str) -> Callable[[Claim], Claim]:
    """Register what a sentence of this form claims: a function of the run and of what its brackets hold."""

    def register(holds: Claim) -> Claim:
        CLAIMS.append((re.compile(pattern), holds))
        return holds

    return register


def check(ds: xr.Dataset, found: Diagnosis) -> None:
    """AssertionError, with the text, for a sentence that is unknown, ungrammatical, or not so."""
    run = Run(ds, found)
    for line in [*str(found).splitlines(), found.verdict.why]:
        try:
            _check_grammar(line)
            _check_line(run, line.strip())
        except (AssertionError, ValueError, KeyError) as error:
            raise AssertionError(f"{error!r} in: {line}\n{found}\n{found.verdict.why}") from error


def _check_grammar(line: str) -> None:
    assert not re.search(r"(?<![\d.,^/-])1 (steps|samples|units|levels)\b", line), "plural of one"
    assert not re.search(r"\bnan\b|(?<!-)\binf\b", line), "no number"
    assert not re.search(r"(?<![\d^e(.-])-0(\.0+)?(?![\d.])", line), "minus zero"


def _check_line(run: Run, rest: str) -> None:
    while rest:
        for pattern, holds in CLAIMS:
            if match := pattern.match(rest):
                holds(run, *match.groups())
                rest = rest[match.end() :].strip()
                break
        else:
            raise AssertionError(f"no claim is known for: {rest}")
