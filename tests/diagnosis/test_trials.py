"""Trying remedies: the same ones from everywhere, how near they come, and what stands against running them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import gradlab
from gradlab.cli import cli
from gradlab.diagnosis import Change, diagnose, rerunner
from gradlab.diagnosis.draws import Draws
from gradlab.diagnosis.trials import NEAR, ROUNDING, is_quick
from gradlab.runs.attributes import overflow
from gradlab.runs.build import build
from gradlab.runs.flow import flow
from gradlab.theory import critical_line
from gradlab.wording import counted
from tests.diagnosis.test_diagnosis import LSTM_FILE, SMALL, own_network

RUNS = [
    {"cell": "lstm", "forget_bias": bias, "recurrent_init": init, "input_scale": scale}
    for bias in (0.0, 1.0)
    for init, scale in (("gaussian", 1.0), ("uniform", 0.1))
]
RUNS += [{}, {"gain": 3.0}, {"cell": "gru"}, {"activation": "sigmoid"}, {"weights": str(LSTM_FILE)}]


def changes(found):
    return [(remedy.change.label, remedy.corrections) for remedy in found.remedies]


@pytest.mark.parametrize("fields", RUNS, ids=str)
def test_library_and_command_line_propose_the_same(fields):
    config = gradlab.RunConfig(**SMALL | fields)
    found = gradlab.diagnose(gradlab.analyze(config))
    assert changes(found) and all(remedy.verified for remedy in found.remedies)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in config.changes().items()]
    printed = json.loads(CliRunner().invoke(cli, ["analyze", *options, "--json", "-q"]).stdout)["diagnosis"]
    assert [(r["change"]["label"], r["corrections"]) for r in printed["remedies"]] == changes(found)


# how near they come


@pytest.mark.parametrize("seed", range(4))
def test_from_wherever_one_comes_the_edge_is_at_one_place(seed):
    runs = [gradlab.analyze(gain=gain, batch_size=4, seed=seed) for gain in (1.0, 3.0, 100.0)]
    found = [diagnose(ds).remedies[0] for ds in runs]
    edges = [remedy.change.fields["gain"] for remedy in found]
    assert max(edges) / min(edges) < 1.05
    for ds, remedy in zip(runs, found, strict=True):
        config = gradlab.RunConfig(batch_size=4, seed=seed)
        log_rate = Draws.of(ds, config, rerunner(config), lambda change: None).tuning(remedy.change).log_rate
        assert abs(log_rate) * (remedy.verified.steps - 1) <= NEAR + ROUNDING


def test_each_edge_says_whose_it_is():
    ds = gradlab.analyze(gain=3.0)
    own, orthogonal = diagnose(ds, rerun=False).remedies[:2]
    assert own.why.startswith("This net's edge, where weights x slope is 1: its measured rate, moved as theory of")
    assert "by theory of infinite width" not in own.why and "corrected" not in own.why
    assert "The gain is that of the edge in theory of infinite width, for this run's input." in orthogonal.why
    drive = float(ds.input_drive)
    edge = float(critical_line("tanh", 0.0, drive))
    assert orthogonal.change.fields["gain"] == pytest.approx(edge, rel=5e-3)
    tried = diagnose(ds).remedies[0]
    assert tried.corrections and tried.why.endswith("It is corrected by what runs measured.")


def test_a_prediction_that_is_corrected_says_how_often():
    found = diagnose(gradlab.analyze(**SMALL)).remedies[0]
    often = counted(found.corrections, "correction")
    assert found.corrections and f"predicted after {often}, x" in found.text
    assert found.reason.endswith(f"Predicted after {often}.")


# the runs


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cell": "lstm"},
        {"activation": "relu", "gain": 1e30},
        {"gain": 4.0, "clip": "step_norm", "clip_threshold": "0.5x"},
        {"gain": 4.0, "clip": "norm"},
        {"weights": str(LSTM_FILE)},
        {"dtype": "float32", "loss": "every"},
    ],
    ids=str,
)
def test_the_flow_alone_is_that_of_analyze(fields):
    config = gradlab.RunConfig(**SMALL | fields)
    whole, alone = gradlab.analyze(config), flow(*build(config), config)
    assert set(alone.data_vars) == {"log_grad_norm", "valid_steps"}
    for name in alone.data_vars:
        np.testing.assert_array_equal(whole[name].transpose(*alone[name].dims), alone[name])
    assert overflow(whole) == overflow(alone)
    assert alone.log_grad_norm.attrs == whole.log_grad_norm.attrs


def test_a_rerun_changes_fields_and_weights():
    config = gradlab.RunConfig(**SMALL, weights=str(LSTM_FILE))
    cell, params, x = build(config)
    change = Change("both", {"seed": 1}, ("scale_recurrent", 0.5))
    config = change.apply(config)
    expected = gradlab.analyze(cell=cell, params=params | {"W_hh": 0.5 * params["W_hh"]}, x=build(config)[2], seed=1)
    found = rerunner(config)(change)
    np.testing.assert_array_equal(found.log_grad_norm.transpose(*expected.log_grad_norm.dims), expected.log_grad_norm)


def test_each_run_is_announced_and_can_be_cancelled():
    ds, seen = gradlab.analyze(**SMALL), []

    def on_try(change):
        seen.append(change.label)
        if len(seen) == 3:
            raise gradlab.Cancelled

    with pytest.raises(gradlab.Cancelled):
        diagnose(ds, on_try=on_try)
    assert len(seen) == 3 and all(label.startswith("Gain") for label in seen)
    diagnose(ds, rerun=False, on_try=pytest.fail)


# what stands against it


def test_a_network_of_ones_own_needs_a_rerun():
    cell, params, x = own_network()
    ds = gradlab.analyze(cell=cell, params=params, x=x)
    found = diagnose(ds)
    assert found.untried == "These were not run, as the Dataset holds no configuration: give diagnose a rerun."
    assert found.untried in str(found) and found.remedies[0].verified is None

    def rerun(change):
        return flow(cell, change.apply_weights(cell, params), x, gradlab.RunConfig(**change.fields))

    assert diagnose(ds, rerun).untried == "" and diagnose(ds, rerun).remedies[0].verified.word == "carried"


def test_a_file_that_is_gone(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(LSTM_FILE.read_bytes())
    ds = gradlab.analyze(**SMALL, weights=str(path))
    kept = diagnose(ds)
    assert kept.remedies[0].verified and kept.untried == ""
    path.unlink()
    found = diagnose(ds)
    assert found.untried.startswith("These were not run, as the run cannot be repeated here: ")
    assert "net.safetensors" in found.untried
    assert found.remedies[0].verified is None and found.remedies[0].change.transform


def test_a_large_run(monkeypatch):
    ds = gradlab.analyze(**SMALL)
    size = ds.sizes["step"] * ds.sizes["sample"] * ds.sizes["unit"]
    monkeypatch.setattr("gradlab.diagnosis.trials.QUICK", size)
    assert is_quick(ds)
    monkeypatch.setattr("gradlab.diagnosis.trials.QUICK", size - 1)
    found = diagnose(ds)
    assert found.untried == "These were not run, as the run is large." and found.remedies[0].verified is None


def test_who_asks_for_no_runs_is_not_told_why():
    assert diagnose(gradlab.analyze(**SMALL), rerun=False).untried == ""
