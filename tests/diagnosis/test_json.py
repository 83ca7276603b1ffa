"""A diagnosis and a verdict as JSON: strictly, of every kind of run, and the same from the command line."""

import json
from dataclasses import asdict

import pytest
from click.testing import CliRunner

import gradlab
from gradlab.cli import cli
from gradlab.config.presets import PRESETS
from gradlab.diagnosis import diagnose

TINY = {"hidden_size": 8, "batch_size": 2, "steps": 30}
EXTREMES = {
    "overflow": {"activation": "relu", "gain": 1e30},
    "overflow at once": {"activation": "relu", "gain": 1e300},
    "overflow in float32": {"activation": "relu", "gain": 1e30, "dtype": "float32"},
    "exactly zero": {"gain": 0.0},
    "zero after some steps": {"activation": "relu", "recurrent_init": "identity", "gain": 0.8},
    "dead": {"activation": "relu", "input_scale": 0.0},
    "one step": {"steps": 1},
    "two steps": {"steps": 2},
    "one sample": {"batch_size": 1},
    "one unit": {"hidden_size": 1},
    "large weights": {"cell": "lstm", "gain": 1e300},
    "large input": {"input_scale": 1e200},
    "an input that is too large": {"input_scale": 1e308, "activation": "relu"},
    "large biases": {"bias_scale": 1e300},
    "clipped inside": {"gain": 5.0, "clip": "step_value", "clip_threshold": 0.5},
}


def strictly(value):
    """Through JSON and back; ValueError for what JSON has no word for."""
    return json.loads(json.dumps(asdict(value), allow_nan=False))


@pytest.mark.parametrize("rerun", [True, False], ids=["run", "predicted"])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset(name, rerun):
    ds = gradlab.analyze(**PRESETS[name].fields | TINY)
    found = diagnose(ds, rerun)
    read = strictly(found)
    assert read["word"] == found.word and read["cause"] == found.cause
    assert read["verdict"] == strictly(gradlab.verdict(ds))
    assert [factor["name"] for factor in read["factors"]] == [factor.name for factor in found.factors]
    assert [remedy["change"]["label"] for remedy in read["remedies"]] == [r.change.label for r in found.remedies]


@pytest.mark.parametrize("kind", EXTREMES)
def test_what_numbers_have_no_place_for(kind):
    ds = gradlab.analyze(**TINY | EXTREMES[kind])
    found = diagnose(ds)
    assert strictly(found)["verdict"] == strictly(gradlab.verdict(ds))
    assert len(str(found)) < 4000
    if "zero" in kind:
        assert (found.verdict.log_rate, found.verdict.log_factor, found.verdict.rate) == (None, None, 0.0)
        assert found.verdict.rate_text == "x0" and "-inf, exactly zero" in str(found)


def test_one_sample_has_no_standard_error():
    assert strictly(diagnose(gradlab.analyze(**TINY | {"batch_size": 1}), rerun=False))["stderr"] is None


@pytest.mark.parametrize("fields", [{}, {"gain": 6.0}, {"cell": "lstm"}, {"gain": 0.0}, {"steps": 9}], ids=str)
def test_the_command_line_writes_the_same(fields):
    config = gradlab.RunConfig(**TINY | fields)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in config.changes().items()]
    printed = json.loads(CliRunner().invoke(cli, ["analyze", *options, "--json", "-q"]).stdout)
    found = diagnose(gradlab.analyze(config))
    verdict = {"headline": found.verdict.headline, "rate": found.verdict.rate}
    assert printed["diagnosis"] | {"verdict": printed["verdict"]} == strictly(found) | {
        "verdict": verdict | strictly(found.verdict)
    }
