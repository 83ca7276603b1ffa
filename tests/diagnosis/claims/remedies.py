"""What the lines of remedies claim."""

import math

import gradlab
from gradlab.cells.activations import ACTIVATIONS
from gradlab.diagnosis import Remedy, is_clip
from gradlab.diagnosis.factors import without_step_clipping

from .numbers import HUNDRED, near, near_log
from .run import RATE, SIZE, Run, claim


@claim(r"No single change was found that carries the gradient reliably\.")
def nothing_carries(run: Run) -> None:
    """No remedy below is carried, when run or as predicted, nor is the run itself."""
    assert run.found.word not in ("carried", "too short")
    assert not any(carries(run, remedy) for remedy in run.found.remedies)


def carries(run: Run, remedy: Remedy) -> bool:
    """Whether the gradient is said to be carried with a remedy."""
    if is_clip(remedy):
        return False
    if remedy.verified is not None:
        return holds(remedy)
    straight = len(gradlab.verdict(without_step_clipping(run.ds)).pieces) <= 1
    return straight and abs(remedy.predicted_log_rate) * (len(run.flow.curve) - 1) <= HUNDRED


def holds(remedy: Remedy) -> bool:
    """Whether it is carried in most samples, and in six of eight fresh draws where there are draws."""
    found = remedy.verified
    assert found is not None
    most = 2 * found.samples.get("carried", 0) > sum(found.samples.values())
    return found.word == "carried" and most and (not remedy.draws or remedy.held >= 6)


@claim(rf"(\d)\. ([^:]*): {RATE} per step back \(predicted from this run, not verified\)")
def predicted(run: Run, place: str, label: str, rate: str) -> None:
    """The rate."""
    remedy = run.found.remedies[int(place) - 1]
    assert remedy.change.label == label and near_log(rate, remedy.predicted_log_rate) and remedy.verified is None


RUN = rf"(\d)\. ([^:]*): {RATE} per step back predicted(?: after (\d+) corrections?)?, {RATE} when run"


def run_holds(run: Run, place: str, label: str, rate: str, corrections: str | None, measured: str) -> Remedy:
    """Both rates; the word of the run goes with the second."""
    remedy = run.found.remedies[int(place) - 1]
    assert remedy.change.label == label and near_log(rate, remedy.predicted_log_rate)
    assert int(corrections or 0) == remedy.corrections and remedy.verified is not None
    log_rate = remedy.verified.fitted_log_rate
    log_rate = -math.inf if log_rate is None else log_rate
    assert near_log(measured, log_rate)
    if remedy.verified.word == "carried" and len(remedy.verified.pieces) == 1:
        assert abs(log_rate) * (remedy.verified.steps - 1) <= HUNDRED
    return remedy


@claim(rf"{RUN} with these weights: ([\w ]+)")
def verified(run: Run, *said: str) -> None:
    """In this run alone."""
    remedy = run_holds(run, *said[:-1])
    assert not remedy.draws and remedy.verified is not None and said[-1] == remedy.verified.word


@claim(rf"{RUN}: carried in (\d+) of (\d+) fresh draws(: depends on the draw|, not in this one)?")
def verified_in_draws(run: Run, *said: str) -> None:
    """In as many draws as it says; what fails in more than a quarter depends on the draw, else in this one alone."""
    *one, held, draws, doubt = said
    remedy = run_holds(run, *one)
    assert (int(held), int(draws)) == (remedy.held, remedy.draws) and remedy.held <= remedy.draws
    assert bool(doubt) == (not holds(remedy)) and (not doubt or ("depends" in doubt) == (remedy.held < 6))


@claim(r"(\d)\. Clip the update by norm: a safety measure for training")
def clipping(run: Run, place: str) -> None:
    """Only of what grows."""
    assert is_clip(run.found.remedies[int(place) - 1]) and run.free.word == "exploding"


@claim(r"These were not run, as .*")
def not_run(run: Run) -> None:
    """No remedy was."""
    assert all(remedy.verified is None for remedy in run.found.remedies)


GENERAL = (  # about no number of the run
    r"This net's edge, where weights x slope is 1: its measured rate, moved as theory of infinite width says\.",
    r"The gain is that of the edge in theory of infinite width, for this run's input\.",
    r"It is corrected by what runs measured\.",
    r"A verdict needs at least 10 steps\.",
    r"At the edge weights x slope is 1\.",
    r"An orthogonal matrix treats every direction alike\.",
    r"A bounded activation keeps the forward pass finite\.",
    r"A unit that is switched off still passes 1 % and can come back\.",
    r"The input and the biases hold the units where the activation is flat\.",
    r"Biases can hold units where the activation is flat, whatever the input is; at 0 the input decides\.",
    r"What comes through the gates shrinks with the recurrent weights, until carry and gates make 1 together\.",
    r"The input and the biases alone drive the units out of range, whatever the recurrent weights are\.",
    r"A unit's gradient is multiplied by its own weight at every step, whatever the other units do\.",
    r"Forget biases spread over all time scales up to the sequence's length \(Tallec & Ollivier 2018\)\.",
    r"The forget gate carries the cell state, whatever the activation's slope is\.",
    r"A smaller leak keeps more of the state\.",
)


@claim("|".join(GENERAL))
def general(run: Run) -> None:
    """Nothing."""


@claim(rf"tanh has a slope of up to 1, (\w+) of up to {SIZE}\.")
def wider_slope(run: Run, name: str, most: str) -> None:
    """The activation's largest slope."""
    assert name == run.ds.attrs["activation"] and near(most, ACTIVATIONS[name].max_slope)


@claim(r"The input drives the units to where the slope is small; a weaker one leaves them where it is large\.")
def weaker_input(run: Run) -> None:
    """The input's part is the larger one."""
    assert float(run.ds.input_drive) > run.recurrence


@claim(rf"(?:Opens|Closes) the forget gate, now {SIZE} on average, to where carry and gates make about 1 together\.")
def forget_bias(run: Run, keep: str) -> None:
    """Its mean."""
    assert near(keep, run.mean("gate_mean", run.forget))


@claim(
    r"Clipping bounds the weight update and keeps its direction, so that one steep step does not throw training off\. "
    r"It leaves the flow as it is, which still explodes, and does nothing against vanishing\."
)
def clipping_leaves_the_flow(run: Run) -> None:
    """It explodes."""
    assert run.free.word == "exploding"
