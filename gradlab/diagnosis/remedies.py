"""What would help: changes that follow from a run's measured factors, each with the rate it is predicted to have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..config import RunConfig
from ..data import INPUTS
from ..runs.verdicts import FACTOR
from .changes import Change, Proposal, Retry, is_clip, scales_multipliers
from .edges import LOG_FACTORS, Function, chrono_log_rate, edge_gain, root, rounded, typical
from .factors import Factors
from .out_of_range import at_once, driven_out, log_excess

BIAS_SHIFTS = np.linspace(-12, 12, 49)
STEPS_SHOWN = 100
WEAKER = 0.1  # of the input, where no factor brings the rate to 1
UNIT_SCALE = ("gaussian", "glorot_uniform", "glorot_normal", "orthogonal")  # schemes whose gain is std * sqrt(H)
OWN_EDGE = "This net's edge, where weights x slope is 1: its measured rate, moved as theory of infinite width says."
THEORYS_EDGE = "The gain is that of the edge in theory of infinite width, for this run's input."
OUT_OF_RANGE = "The input and the biases alone drive the units out of range, whatever the recurrent weights are."
CORRECTED = "It is corrected by what runs measured."
BETTER = 0.8  # of the measured rate's distance to 1 in logarithms: what is nearer helps


def candidates(word: str, f: Factors, steps: int, config: RunConfig | None) -> Iterator[Proposal]:
    """What could help a run of `steps` steps that is diagnosed as `word`, best first.

    config: None where the weights are a cell's own; those and a file's are transformed, others drawn differently.
    Each is predicted to bring the rate nearer to 1, but clipping of the update, which leaves it, and says so, and what
    brings a forward pass back into range. None leaves the run as it is.
    """
    if word == "too short":
        yield from _longer(f, config)
    elif word != "carried":
        case = _Case(word, f, steps, config)
        for proposal in case.proposals():
            if proposal is not None and proposal.change.changes(config) and case.helps(proposal):
                yield proposal


def _longer(f: Factors, config: RunConfig | None) -> Iterator[Proposal]:
    if config is not None and config.input in INPUTS and math.isfinite(f.log_rate):
        change = Change(f"{STEPS_SHOWN} steps", {"steps": STEPS_SHOWN})
        yield Proposal(change, "A verdict needs at least 10 steps.", f.log_rate)


@dataclass(frozen=True)
class _Case:
    """A diagnosed run, and the remedies for it: a method each, None where it does not apply.

    Those with a number take by how much runs missed the predicted rate, and by how much a rounder number may move it.
    """

    word: str
    f: Factors
    steps: int
    config: RunConfig | None

    @property
    def grows(self) -> bool:
        return self.word in ("exploding", "chaotic", "transient growth", "overflow")

    @property
    def drawn(self) -> RunConfig | None:
        """The configuration of weights that can be drawn differently."""
        return self.config if self.config is not None and self.config.weights is None else None

    @property
    def log_rate(self) -> float:
        """The measured rate; where nothing could be measured, the bound that a slope of 1 gives."""
        if not math.isnan(self.f.log_rate):
            return self.f.log_rate
        return math.log(self.f.weights) if 0 < self.f.weights < math.inf else math.nan

    @property
    def held(self) -> float:
        """ln of a factor per step that leaves a third at the first step: carried, from below."""
        return -1 / max(self.steps, 1)

    @property
    def turned(self) -> bool:
        """Whether the rate on the whole is on the other side of 1 than the word: what brings it to 1 leads away."""
        return self.grows != (self.log_rate > 0)

    def helps(self, proposal: Proposal) -> bool:
        """Whether its rate is carried or clearly nearer to 1 than the measured one, or it is not for the rate."""
        nearer = max(BETTER * abs(self.log_rate), FACTOR / max(self.steps, 1))
        return is_clip(proposal) or driven_out(self.f) or abs(proposal.predicted_log_rate) < nearer

    def proposals(self) -> Iterator[Proposal | None]:
        """In the order of preference."""
        if driven_out(self.f):
            yield self.in_range()
        elif self.f.has_forget_gate:
            yield from (self.shift_forget_bias(), self.scale_through_gates(), self.chrono())
        elif self.f.carries:
            yield from (self.leak(), self.scale_multipliers(), self.scale_through_gates(), self.lstm())
        elif self.grows:
            yield from (self.gain(), self.clip(), self.bounded(), self.orthogonal(), self.lstm())
        else:
            yield from (self.milder(), self.no_biases(), self.never_off(), self.wider_slope(), self.gain(), self.lstm())
            yield from (self.orthogonal(), self.weaker_input())
        if self.f.carries:
            yield self.clip()

    # without a carry: theory's change of the typical factor moves the measured rate

    def moved(self, weights: Any, drive: Any) -> np.ndarray:
        """The measured rate moved to other scales; where theory has no answer, the slope is taken to stay as it is."""
        f = self.f
        change = typical(f.activation, weights, drive) - typical(f.activation, f.weights, f.drive)
        return self.log_rate + np.where(np.isfinite(change), change, np.log(np.asarray(weights) / f.weights))

    def scale_recurrent(self, miss: float = 0.0, error: float = 0.0) -> Proposal | None:
        """The gain, or a factor of the given weights, that brings the rate to 1."""
        f = self.f
        measured = 0 < f.weights < math.inf and math.isfinite(self.log_rate)
        if self.word == "dead units" or self.turned or not measured:  # theory knows no dead units
            return None
        found = root(lambda s: self.moved(f.weights * np.exp(s), f.drive) + miss, LOG_FACTORS)
        if found is None:
            return None
        why = OWN_EDGE if miss == 0 else f"{OWN_EDGE} {CORRECTED}"

        def predicted(factor: float) -> float:
            return float(self.moved(f.weights * factor, f.drive)[0]) + miss

        return self._scaled(found, error, predicted, why, self.scale_recurrent)

    def _scaled(
        self, log_factor: float, error: float, predicted: Callable[[float], float], why: str, retry: Retry
    ) -> Proposal:
        """The recurrent weights times a factor: as a gain where they are drawn."""
        now = self.drawn.gain if self.drawn is not None else 1.0
        amount = rounded(now * math.exp(log_factor), lambda amount: predicted(amount / now), error)
        if self.drawn is None:
            change = self._change(f"Recurrent weights x {amount:g}", ("scale_recurrent", amount))
        else:
            change = self._change(f"Gain {amount:g}", gain=amount)
        return Proposal(change, why, predicted(amount / now), retry=retry)

    def gain(self) -> Proposal | None:
        """The gain that the measured rate points at; far from any, as after a gain of 0 or 1000, the one of theory."""
        why = "At the edge weights x slope is 1."
        if self.word == "dead units":
            return None
        return self.scale_recurrent() or self.at_edge("", why, self.f.drive, self.f.activation)

    def at_edge(
        self, label: str, why: str, drive: float, phi: str, miss: float = 0.0, error: float = 0.0, **fields: Any
    ) -> Proposal | None:
        """Other weights at the gain of the edge, for a drive and an activation; made ones have another scale."""
        gain = edge_gain(phi, drive, miss) if self.drawn is not None and not self.f.makes_weights else None
        if self.drawn is None or gain is None:
            return None

        def predicted(gain: float) -> float:
            return float(typical(phi, gain, drive)[0]) + miss

        gain = rounded(gain, predicted, error)
        where = THEORYS_EDGE if miss == 0 else f"{THEORYS_EDGE} {CORRECTED}"
        retry = partial(self.at_edge, label, why, drive, phi, **fields)
        if self.drawn.recurrent_init not in UNIT_SCALE and "recurrent_init" not in fields:
            fields, label = fields | {"recurrent_init": "gaussian"}, f"{label}, gaussian weights"
        label = f"{label}, gain {gain:g}".removeprefix(", ")
        change = self._change(label[0].upper() + label[1:], **fields, gain=gain)
        return Proposal(change, f"{why} {where}", predicted(gain), retry=retry)

    def orthogonal(self) -> Proposal | None:
        """Orthogonal weights."""
        why = "An orthogonal matrix treats every direction alike."
        if self.drawn is None or self.drawn.recurrent_init == "orthogonal":
            return None
        return self.at_edge("Orthogonal weights", why, self.f.drive, self.f.activation, recurrent_init="orthogonal")

    def bounded(self) -> Proposal | None:
        """tanh, where the forward pass grows for want of a bound."""
        why = "A bounded activation keeps the forward pass finite."
        unbounded = self.f.one_sided or self.f.activation == "identity"
        return self.at_edge("tanh", why, self.f.drive, "tanh", activation="tanh") if unbounded else None

    def wider_slope(self) -> Proposal | None:
        """tanh, where the activation's slope is small everywhere."""
        why = f"tanh has a slope of up to 1, {self.f.activation} of up to {self.f.max_slope:.2g}."
        small = self.f.max_slope < 0.5
        return self.at_edge("tanh", why, self.f.drive, "tanh", activation="tanh") if small else None

    def never_off(self) -> Proposal | None:
        """leaky_relu, where units are dead."""
        why = "A unit that is switched off still passes 1 % and can come back."
        dead = self.word == "dead units" and self.f.activation != "leaky_relu"
        return self.at_edge("leaky_relu", why, self.f.drive, "leaky_relu", activation="leaky_relu") if dead else None

    def milder(self) -> Proposal | None:
        """An input of unit scale and no biases, where these drive the units to where it is flat, or out of range."""
        if self.drawn is None or not (self.word in ("dead units", "saturated") or driven_out(self.f)):
            return None
        why = (
            OUT_OF_RANGE
            if driven_out(self.f)
            else "The input and the biases hold the units where the activation is flat."
        )
        label, fields, drive = self._milder_drive()
        return self.at_edge(label, why, drive, self.f.activation, **fields) if fields else None

    def _milder_drive(self) -> tuple[str, dict[str, Any], float]:
        """Label and fields that make strong input and biases of drawn weights milder, and the drive that is left."""
        assert self.drawn is not None
        now = {"input_scale": self.drawn.input_scale, "bias_scale": self.drawn.bias_scale}
        strong = {"input_scale": (now["input_scale"] > 1, 1.0), "bias_scale": (now["bias_scale"] >= 1, 0.0)}
        fields = {name: value for name, (much, value) in strong.items() if much}
        label = " and ".join({"input_scale": "Input scale 1", "bias_scale": "biases 0"}[name] for name in fields)
        return label[:1].upper() + label[1:], fields, math.hypot(*(now | fields).values())  # inputs are standardised

    def in_range(self) -> Proposal | None:
        """Milder input and biases, where these alone drive the units out of range; with a carry the rate stays."""
        if self.drawn is not None and not self.f.carries:
            return self.milder()
        if not math.isfinite(self.log_rate):
            return None
        if self.drawn is not None:
            label, fields, _ = self._milder_drive()  # none of a mild one: no change
            return Proposal(self._change(label, **fields), OUT_OF_RANGE, self.log_rate)
        scale = rounded(math.exp(-log_excess(self.f)))
        change = self._change(f"Input weights x {scale:g}", ("scale_input", scale))
        return Proposal(change, OUT_OF_RANGE, self.log_rate, blind=at_once(self.f))

    def no_biases(self) -> Proposal | None:
        """Given biases set to 0, where units are dead or saturated; what the input alone drives is taken as 1."""
        if self.drawn is not None or self.word not in ("dead units", "saturated"):
            return None
        why = "Biases can hold units where the activation is flat, whatever the input is; at 0 the input decides."
        rate = float(typical(self.f.activation, self.f.weights, 1.0)[0])
        return Proposal(self._change("Biases 0 (b_h)", ("scale_bias", 0.0)), why, rate, blind=True)

    def weaker_input(self, miss: float = 0.0, error: float = 0.0) -> Proposal | None:
        """Less input, where it drives the units to small slopes."""
        f, now = self.f, self.drawn.input_scale if self.drawn is not None else 1.0
        if self.turned or not (
            f.drive > f.recurrence and 0 < f.weights < math.inf and now > 0 and math.isfinite(self.log_rate)
        ):
            return None

        def predicted(scale: float) -> float:
            return float(self.moved(f.weights, f.drive * scale / now)[0]) + miss

        found = root(lambda s: self.moved(f.weights, f.drive * np.exp(s)) + miss, LOG_FACTORS[LOG_FACTORS < 0])
        scale = rounded(now * (WEAKER if found is None else math.exp(found)), predicted, error)
        why = "The input drives the units to where the slope is small; a weaker one leaves them where it is large."
        if self.drawn is None:
            change = self._change(f"Input weights x {scale:g}", ("scale_input", scale))
        else:
            change = self._change(f"Input scale {scale:g}", input_scale=scale)
        return Proposal(change, why, predicted(scale), retry=self.weaker_input)

    # with a carry: the measured parts of the rate, carry and gates, move

    def scale_through_gates(self, miss: float = 0.0, error: float = 0.0) -> Proposal | None:
        """Smaller recurrent weights, where carry and gates together exceed 1."""
        f, wanted = self.f, math.exp(-miss) - self.f.carry
        if self.turned or not (self.grows and f.gates > 0 and f.carry >= 0 and wanted > 0):
            return None
        why = "What comes through the gates shrinks with the recurrent weights, until carry and gates make 1 together."

        def predicted(factor: float) -> float:
            return math.log(f.carry + factor * f.gates) + miss

        return self._scaled(math.log(wanted / f.gates), error, predicted, why, self.scale_through_gates)

    def scale_multipliers(self, miss: float = 0.0, error: float = 0.0) -> Proposal | None:
        """What each unit multiplies its own state by times a factor that brings the rate to 1, slopes as they are."""
        if self.turned or not math.isfinite(self.log_rate) or not (self.f.cell and scales_multipliers(self.f.cell)):
            return None
        why = "A unit's gradient is multiplied by its own weight at every step, whatever the other units do."

        def predicted(factor: float) -> float:
            return self.log_rate + math.log(factor) + miss

        return self._scaled(-self.log_rate - miss, error, predicted, why, self.scale_multipliers)

    def shift_forget_bias(self, miss: float = 0.0, error: float = 0.0) -> Proposal | None:
        """The forget bias at which the rate is carried."""
        f = self.f
        chrono = self.drawn is not None and isinstance(self.drawn.forget_bias, str)
        if chrono or self.turned or not (0 < f.keep < 1 and math.isfinite(self.log_rate)):
            return None
        shift = root(lambda s: self.shifted(s) + miss - self.held, BIAS_SHIFTS)
        return None if shift is None else self._with_bias(shift, lambda s: self.shifted(s) + miss, miss, error)

    def _with_bias(self, shift: float, log_rates: Function, miss: float, error: float) -> Proposal:
        """The forget bias after a shift, for rates that follow from shifts when runs have missed by so much."""
        now = float(self.drawn.forget_bias) if self.drawn is not None else 0.0

        def predicted(bias: float) -> float:
            return float(log_rates(np.asarray(bias - now)))

        verb = "Opens" if shift > 0 else "Closes"
        why = (
            f"{verb} the forget gate, now {self.f.keep:.2f} on average, to where carry and gates make about 1 together."
        )
        bias = rounded(now + shift, predicted, error)
        if self.drawn is None:
            change = self._change(f"Forget bias {bias:+g}", ("shift_forget_bias", bias))
        else:
            change = self._change(f"Forget bias {bias:g}", forget_bias=bias)
        rate = predicted(bias)
        return Proposal(change, why, rate, retry=partial(self.open_further, bias - now, miss, rate))

    def open_further(self, shift: float, before: float, rate: float, miss: float, error: float) -> Proposal | None:
        """The bias after runs at `shift` missed the predicted `rate` by `miss` in all, `before` of it known then.

        Where the sum of carry and gates knows none: the further a gate opens the less it forgets, in proportion.
        """
        again, measured = self.shift_forget_bias(miss, error), rate + miss - before
        if again is not None or not measured < 0:
            return again
        further = shift + math.log(measured / self.held)
        return self._with_bias(further, lambda s: self.held * np.exp(further - s), miss, error)

    def shifted(self, shift: np.ndarray) -> np.ndarray:
        """The rate after a shift of the forget gate's pre-activation, which the carry follows.

        What comes through the gates stays, unless the gate weighs the candidate against the state. A path that keeps
        off the carry while the gate is shut takes it once it is open: the rate is no lower than the gate's value.
        """
        f = self.f
        keep = 1 / (1 + (1 - f.keep) / f.keep * np.exp(-shift))
        weighed = f.cell is not None and f.cell.input_gate is None
        parts = f.carry * keep / f.keep + f.gates * ((1 - keep) / (1 - f.keep) if weighed else 1.0)
        return _log(np.where(np.asarray(shift) > 0, np.maximum(parts, keep), parts))

    def chrono(self) -> Proposal | None:
        """Chrono forget biases."""
        if self.drawn is None or self.drawn.forget_bias == "chrono" or self.grows:
            return None
        why = "Forget biases spread over all time scales up to the sequence's length (Tallec & Ollivier 2018)."
        return Proposal(
            self._change("Forget bias chrono", forget_bias="chrono"), why, chrono_log_rate(self.steps, self.f.drive)
        )

    def lstm(self) -> Proposal | None:
        """An LSTM in place of a net without gates."""
        if self.drawn is None:
            return None
        fields: dict[str, Any] = {"cell": "lstm", "forget_bias": "chrono", "recurrent_init": "uniform", "gain": 1.0}
        fields |= {} if self.f.bounded else {"activation": "tanh"}
        why = "The forget gate carries the cell state, whatever the activation's slope is."
        return Proposal(
            self._change("LSTM with chrono forget biases", **fields), why, chrono_log_rate(self.steps, self.f.drive)
        )

    def leak(self, miss: float = 0.0, error: float = 0.0) -> Proposal | None:
        """A smaller leak, which carries more and adds less."""
        gates, config = self.f.gates, self.drawn
        if config is None or self.grows or self.turned or not config.leak < 1:
            return None
        now = config.leak

        def log_rates(leak: np.ndarray) -> np.ndarray:
            return _log(1 - leak + gates * leak / now) + miss

        def predicted(leak: float) -> float:
            return float(log_rates(np.asarray(leak)))

        found = root(lambda s: log_rates(now * np.exp(s)) - self.held, LOG_FACTORS[LOG_FACTORS < 0])
        if found is None:
            return None
        leak = rounded(now * math.exp(found), predicted, error)
        change = self._change(f"Leak {leak:g}", leak=leak)
        return Proposal(change, "A smaller leak keeps more of the state.", predicted(leak), retry=self.leak)

    # anywhere

    def clip(self) -> Proposal | None:
        """Clipping of the update, which is for training and not for the flow."""
        if not self.grows or self.word == "overflow" or (self.config is not None and self.config.clip != "off"):
            return None
        why = (
            "Clipping bounds the weight update and keeps its direction, so that one steep step does not throw training "
            "off. It leaves the flow as it is, which still explodes, and does nothing against vanishing."
        )
        return Proposal(Change("Clip the update by norm", {"clip": "norm"}), why, self.log_rate)

    def _change(self, label: str, transform: tuple[str, float] | None = None, **fields: Any) -> Change:
        """A change; clipping inside backpropagation goes with it, as it would hide the flow."""
        return Change(label, fields | ({"clip": "off"} if self.f.clipped else {}), transform)


def _log(x: np.ndarray) -> np.ndarray:
    """ln of what is positive, else -inf."""
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(x, 0.0))
