"""The diagnosis: classes known otherwise, measured factors, causes in words, and every kind of run."""

import html.parser
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab.cells import CELLS
from gradlab.cells.activations import ACTIVATIONS
from gradlab.diagnosis import Change, Remedy, diagnose, rerunner
from gradlab.diagnosis.factors import without_step_clipping
from gradlab.learning.clipping import CLIP_MODES
from gradlab.runs.shares import joint_log_norm
from gradlab.runs.verdicts import log_rate_per_step, standard_error, verdict
from studies.calibration import tables
from tests.grids import thinned
from tests.runs.test_verdicts import synthetic

ROOT = Path(__file__).parents[2]
LSTM_FILE = ROOT / "tests" / "golden" / "encoder_lstm.safetensors"
RELU_FILE = ROOT / "tests" / "golden" / "rnn_relu_no_bias.safetensors"
SMALL = {"hidden_size": 24, "batch_size": 4, "steps": 40}
CHAOTIC = SMALL | {"gain": 6.0}
WORDS = set(tables.WORDS)


def diagnosed(rerun=True, **fields):
    return diagnose(gradlab.analyze(**SMALL | fields), rerun)


def own_network(name="elman", gain=1.0, steps=60, **options):
    cell = gradlab.make_cell(name, input_size=3, hidden_size=24, **options)
    x = np.random.default_rng(1).normal(size=(steps, 4, 3))
    return cell, cell.init(2, gain=gain), x


# classes


# numbers


@pytest.mark.parametrize("spread", [0.02, 0.1])
def test_the_standard_error_is_that_of_the_median(spread):
    """The medians of many sets of samples scatter by as much as each set predicts."""
    rng, medians, errors = np.random.default_rng(3), [], []
    for _ in range(150):
        rates = 0.2 + spread * rng.normal(size=25)
        ds = synthetic(rates * np.arange(10, -1, -1.0)[:, None])
        medians.append(log_rate_per_step(ds))
        errors.append(standard_error(ds))
    assert np.mean(errors) == pytest.approx(np.std(medians), rel=0.2)


def test_the_standard_error_is_over_the_samples_that_are_alike():
    logs = np.linspace([1.0, 0.8, 1.2, 0.0], 0.0, 21)
    logs[:5, 3] = -np.inf
    rates = np.array([1.0, 0.8, 1.2]) / 20
    found = standard_error(synthetic(logs))
    assert found == pytest.approx(math.sqrt(math.pi / 2) * rates.std(ddof=1) / math.sqrt(3))
    assert math.isnan(standard_error(synthetic(logs[:, :1])))
    assert math.isnan(standard_error(synthetic(logs[:, 2:], lengths=[20, 20])))  # one alive, one dead: neither has one
    assert math.isnan(standard_error(synthetic(logs, lengths=[1, 1, 1, 1])))


@pytest.mark.parametrize("cell", ["elman", "lstm"])
@pytest.mark.parametrize("lengths", [None, [40, 25, 33, 40]], ids=["full", "lengths"])
def test_clipping_by_norm_inside_backpropagation_is_undone_exactly(cell, lengths):
    kind = gradlab.make_cell(cell, input_size=2, hidden_size=8)
    x = np.random.default_rng(0).normal(size=(40, 4, 2))
    own = {"cell": kind, "params": kind.init(0, gain=8.0), "x": x}
    own |= {"lengths": None if lengths is None else np.array(lengths)}
    plain = gradlab.analyze(**own)
    clipped = gradlab.analyze(**own, clip="step_norm", clip_threshold=0.3)
    undone = without_step_clipping(clipped)
    difference = joint_log_norm(undone) - joint_log_norm(plain)
    ends = np.asarray(lengths or [40] * 4)
    for sample, end in enumerate(ends):
        np.testing.assert_allclose(difference[: end + 1, sample], 0.0, atol=1e-9)
    assert without_step_clipping(plain) is plain
    assert float(joint_log_norm(clipped).max()) < float(joint_log_norm(plain).max()) - 1


def test_a_flow_that_clipping_holds_is_diagnosed_as_it_is_without():
    config = gradlab.RunConfig(**CHAOTIC, clip="step_norm", clip_threshold=1.0)
    found = diagnose(gradlab.analyze(config), rerunner(config))
    assert found.word == found.verdict.word == "carried"
    assert found.cause.startswith("Clipping inside backpropagation holds the norm; without it x1.")
    assert "chaotic" in found.cause
    assert found.remedies and all(r.change.fields["clip"] == "off" for r in found.remedies)
    assert found.remedies[0].verified.word == "carried"


# causes

CAUSES = {
    "input": ({}, "slope of tanh is only 0.6", "the input and the biases drive the units hard"),
    "state": (
        {"recurrent_init": "antisymmetric", "gain": 6.0, "hidden_size": 24, "seed": 15},
        "the state itself drives",
        "",
    ),
    "bound": ({"activation": "sigmoid"}, "The slope of sigmoid is at most 0.25", "weights"),
    "weights": ({"gain": 0.3}, "The weights are too small: their scale is 0.30", "spectral radius"),
    "off": ({"activation": "relu", "gain": 0.9}, "units are switched off at a time", "slope of relu"),
    "gates": ({"cell": "lstm"}, "A unit forgets too fast", "the forget gate is open to 0.5"),
    "leak": ({"leak": 0.3}, "forgets too fast", "the leak sets the carry"),
    "unstable": ({"activation": "identity", "gain": 1.5}, "it is unstable, not chaotic", "weights outweigh"),
    "chaos": ({"gain": 3.0}, "it is chaotic under this input", "a small difference doubles every 3"),
    "gates grow": ({"cell": "lstm", "gain": 8.0}, "Carry and gates together exceed 1", "chaotic"),
    "nothing": ({"gain": 0.0}, "exactly zero", "Every path back meets"),
    "balance": ({"gain": 1.95}, "Slope and weights balance: 0.53 (slope) x 1.95 (weights) is about 1", ""),
    "saturated": ({"input_scale": 20.0}, "drive the units hard", "slope of tanh is only 0.1"),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_the_cause_in_words(kind):
    fields, *parts = CAUSES[kind]
    found = diagnose(gradlab.analyze(**{"batch_size": 8} | fields))
    for part in parts:
        assert part in found.cause


def test_the_factors_are_what_was_measured():
    ds = gradlab.analyze(**SMALL, cell="lstm", forget_bias=1.0)
    factors = {f.name: f for f in diagnose(ds).factors}
    assert factors["forget gate"].value == pytest.approx(float(ds.gate_mean.sel(gate="f").mean()))
    assert factors["carry"].value + factors["through the gates"].value == pytest.approx(verdict(ds).rate)
    weights = math.sqrt(float((ds.recurrent_singular_values**2).mean()))
    assert factors["weight scale"].value == pytest.approx(weights)
    vanilla = {f.name: f.value for f in diagnosed().factors}
    assert vanilla["activation slope"] * vanilla["weight scale"] == pytest.approx(
        float(np.exp(np.log(gradlab.analyze(**SMALL).jacobian_frobenius).mean())) / math.sqrt(24)
    )


# every kind of run


@pytest.mark.parametrize(("cell", "gain"), thinned(CELLS, [0.5, 5.0]))
def test_every_cell_and_activation_has_a_diagnosis_that_reads(cell, gain):
    for activation in ACTIVATIONS:
        tiny = {"steps": 20, "hidden_size": 8, "batch_size": 2}
        found = diagnosed(rerun=False, cell=cell, activation=activation, gain=gain, **tiny)
        assert found.word in WORDS
        assert not re.search(r"nan\b|(?<!-)\binf\b", str(found))
        assert len(found.remedies) <= 3
        assert (found.word == "carried") == (not found.remedies), (cell, activation, gain)


@pytest.mark.parametrize("steps", range(1, 11))
def test_short_sequences(steps):
    found = diagnosed(steps=steps)
    assert (found.word == "too short") == (steps < 10)
    assert found.steps == steps
    assert "nan" not in str(found)
    if 1 < steps < 10:
        assert found.remedies[0].change.fields == {"steps": 100}


def test_an_overflow_that_leaves_nothing_still_has_remedies():
    config = gradlab.RunConfig(**SMALL, activation="relu", gain=1e300)
    found = diagnose(gradlab.analyze(config), rerunner(config))
    assert found.word == "overflow"
    assert found.remedies[0].verified.word == "carried"
    assert "overflow" in [f.name for f in found.factors]


@pytest.mark.parametrize("clip", CLIP_MODES)
@pytest.mark.parametrize("loss", ["last", "every"])
def test_losses_and_clippings(clip, loss):
    found = diagnosed(gain=6.0, clip=clip, loss=loss, clip_threshold=2.0)
    assert found.word == ("carried" if clip.startswith("step") else "chaotic")
    assert found.remedies
    config = gradlab.RunConfig(**CHAOTIC, clip=clip, loss=loss, clip_threshold=2.0)
    assert diagnose(gradlab.analyze(config), rerunner(config)).remedies[0].verified.word == "carried"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [[60, 31, 45, 12], [60, 0, 60, 1]], ids=str)
def test_lengths_and_precision(dtype, lengths):
    cell, params, x = own_network()
    params = {name: p.astype(dtype) for name, p in params.items()}
    ds = gradlab.analyze(cell=cell, params=params, x=x[:, :4].astype(dtype), lengths=np.array(lengths))
    found = diagnose(ds)
    assert found.word == "vanishing"
    assert "nan" not in str(found)


def test_what_is_read_back_from_a_file_has_the_same_diagnosis(tmp_path):
    ds = gradlab.analyze(**SMALL)
    ds.to_netcdf(tmp_path / "run.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as read:
        assert str(diagnose(read.load())) == str(diagnose(ds))


# bad input


def test_models_are_diagnosed_one_at_a_time():
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=8)
    x = np.random.default_rng(0).normal(size=(30, 4, 2))
    several = gradlab.analyze(cell=cell, params=cell.init(0, models=(3,)), x=x)
    with pytest.raises(gradlab.InputError, match=r"one model, got the axes model; diagnose ds\.isel\(model=0\)"):
        diagnose(several)
    assert diagnose(several.isel(model=1)).word in WORDS


@pytest.mark.parametrize("wrong", [None, {}, xr.Dataset()], ids=["None", "dict", "empty"])
def test_what_is_no_run_is_refused(wrong):
    with pytest.raises(gradlab.InputError, match=r"expected a Dataset of gradlab\.analyze"):
        diagnose(wrong)


# wording


def test_the_text_of_a_diagnosis():
    lines = str(diagnose(gradlab.analyze())).splitlines()
    assert lines[0] == "The gradient vanishes: x0.63 per step back."
    assert re.fullmatch(
        r"Diagnosis: vanishing; ln of the factor per step -0\.45\d\d \+- 0\.00\d \(standard error over samples\)\.",
        next(line for line in lines if line.startswith("Diagnosis")),
    )
    for start in ("Cause: The slope of tanh", "Measured:", "Try:", "1. Gain 1.9"):
        assert any(line.startswith(start) for line in lines)
    assert "Try:" not in str(diagnose(gradlab.analyze(gain=1.95)))


class Elements(html.parser.HTMLParser):
    """The elements and the text of a piece of HTML."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.styles, self.text = [], [], ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.styles += [value for name, value in attrs if name == "style"]

    def handle_data(self, data):
        self.text += data


def test_html_escapes_what_it_shows_and_has_no_colours_of_its_own():
    ds = gradlab.analyze(**SMALL)
    ds.attrs["activation"] = "<script>alert('x')</script>&"
    found = diagnose(ds)
    elements = Elements(found._repr_html_())
    assert "script" not in elements.tags
    assert "<script>alert('x')</script>&" in elements.text
    assert {"table", "strong", "ol", "li"} <= set(elements.tags)
    for style in elements.styles:
        assert not re.search(r"#|rgb|white|black", style)
    for remedy in found.remedies:
        assert remedy.text in elements.text
    assert found.cause in elements.text


def test_a_remedy_says_whether_it_was_run():
    remedy = Remedy(Change("Gain 2"), "why", math.log(0.5))
    assert remedy.text == "Gain 2: x0.50 per step back (predicted from this run, not verified)"
    run = replace(remedy, verified=verdict(synthetic(np.linspace(0.0, 0.0, 21))))
    assert run.text == "Gain 2: x0.50 per step back predicted, x1.00 when run with these weights: carried"
    texts = [replace(run, corrections=n).text.partition(", ")[0] for n in (1, 2)]
    assert texts == [f"Gain 2: x0.50 per step back predicted after {n}" for n in ("1 correction", "2 corrections")]
    in_draws = [replace(run, held=held, draws=draws).text.partition(", ")[2] for held, draws in ((6, 8), (5, 8))]
    assert in_draws == [
        "x1.00 when run: carried in 6 of 8 fresh draws",
        "x1.00 when run: carried in 5 of 8 fresh draws: depends on the draw",
    ]
