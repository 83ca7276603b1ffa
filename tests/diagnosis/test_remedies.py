"""Remedies: predicted from theory and measured factors, verified by running them, and what the command line shows."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.integrate import quad

import gradlab
from gradlab.cells import CELLS
from gradlab.cli import cli
from gradlab.diagnosis import Change, Remedy, diagnose, rerunner
from gradlab.diagnosis.draws import affected
from gradlab.diagnosis.edges import LOG_FACTORS, chrono_log_rate, edge_gain, root
from gradlab.errors import InputError
from gradlab.runs.build import build
from gradlab.runs.verdicts import verdict
from gradlab.theory import critical_line
from tests.diagnosis.test_diagnosis import LSTM_FILE, RELU_FILE, SMALL, diagnosed, own_network
from tests.throwaway_cells import THROWAWAY

# predictions


@pytest.mark.parametrize("name", ["tanh", "erf", "hard_tanh", "sin", "softsign"])
@pytest.mark.parametrize("drive", [0.2, 1.5])
def test_the_edge_is_theorys_critical_line(name, drive):
    assert edge_gain(name, drive) == pytest.approx(float(critical_line(name, 0.0, drive)), rel=5e-3)


@pytest.mark.parametrize(("steps", "drive"), [(50, 0.0), (200, 0.0), (100, 1.0)])
def test_what_chrono_biases_carry(steps, drive):
    """By drawing units, with gates that the input moves, and multiplying their values."""
    rng = np.random.default_rng(0)
    bias = np.log(rng.uniform(1, steps - 1, 4000))
    logs = sum(-np.logaddexp(0.0, -bias - drive * rng.normal(size=4000)) for _ in range(steps))
    assert chrono_log_rate(steps, drive) == pytest.approx(0.5 * math.log(np.mean(np.exp(2 * logs))) / steps, abs=2e-3)


@pytest.mark.parametrize("steps", [50, 1000])
def test_what_chrono_biases_carry_without_an_input_is_an_integral(steps):
    """The mean over u ~ U(1, T - 1) of (u / (1 + u))^2T."""
    mean = quad(lambda u: (u / (1 + u)) ** (2 * steps), 1, steps - 1, limit=200)[0] / (steps - 2)
    assert chrono_log_rate(steps, 0.0) == pytest.approx(0.5 * math.log(mean) / steps, rel=1e-5)


@pytest.mark.parametrize("steps", [2, 11, 100])
def test_a_prediction_carries_as_a_verdict_would_have_it(steps):
    """Up to a factor of 100 from the last step to the first, over T - 1 steps; clipping carries nothing."""
    limit = math.log(100) / (steps - 1)
    for sign in (1, -1):
        assert Remedy(Change("a"), "", sign * 0.999 * limit).carries(steps)
        assert not Remedy(Change("a"), "", sign * 1.001 * limit).carries(steps)
    assert not Remedy(Change("a", {"clip": "norm"}), "", 0.0).carries(steps)


def test_roots():
    assert root(lambda s: s - 1.3, LOG_FACTORS) == pytest.approx(1.3, abs=1e-3)
    assert root(lambda s: (s + 3) * (s - 1), LOG_FACTORS) == pytest.approx(1.0, abs=1e-3)
    assert root(lambda s: s * 0 + 1, LOG_FACTORS) is None
    assert root(lambda s: s * np.nan, LOG_FACTORS) is None


def test_a_forget_bias_needs_a_forget_gate():
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=2)
    with pytest.raises(gradlab.InputError, match="Elman has no forget gate; scale the recurrent weights instead"):
        Change("x", transform=("shift_forget_bias", 1.0)).apply_weights(cell, cell.init(0))


# remedies


def test_without_rerun_remedies_are_marked_as_predicted():
    found = diagnosed(rerun=False)
    assert 0 < len(found.remedies) <= 3 and found.untried == ""
    for remedy in found.remedies:
        assert remedy.verified is None
        assert remedy.text.endswith("(predicted from this run, not verified)")
        assert abs(remedy.predicted_log_rate) < abs(found.log_rate)


FIXED = [{}, {"gain": 3.0}, {"cell": "lstm"}, {"cell": "gru"}, {"activation": "relu"}, {"input_scale": 20.0}]
FIXED += [{"activation": "relu", "gain": 1e30}, {"leak": 0.2}, {"cell": "minimal_rnn"}, {"cell": "gru", "gain": 8.0}]


@pytest.mark.parametrize("fields", FIXED, ids=str)
def test_a_remedy_that_is_run_makes_the_gradient_carried(fields):
    """The verdict stored with it is that of the changed run."""
    config = gradlab.RunConfig(**{"batch_size": 4, "hidden_size": 32, "steps": 60} | fields)
    ds = gradlab.analyze(config)
    found = diagnose(ds, rerunner(config))
    best = found.remedies[0]
    of_the_same = gradlab.analyze(best.change.apply(config)).isel(sample=affected(ds))
    assert best.verified == replace(verdict(of_the_same), why="")
    assert best.verified.word == "carried"
    assert f"{best.verified.rate_text} when run: carried" in best.text


@pytest.mark.parametrize("cell", ["lstm", "peephole_lstm", "gru"])
@pytest.mark.parametrize("bias", [-4.0, -2.0])
def test_a_forget_gate_that_is_nearly_shut_is_opened(cell, bias):
    """Also where the gradient hardly takes the carry while the gate is shut."""
    config = gradlab.RunConfig(hidden_size=32, batch_size=4, steps=60, cell=cell, forget_bias=bias)
    best = diagnose(gradlab.analyze(config), rerunner(config)).remedies[0]
    assert best.change.fields["forget_bias"] > 1.5
    assert best.verified.word == "carried"


def test_where_nothing_carries_the_diagnosis_says_so():
    ds = gradlab.analyze(**SMALL)
    found = diagnose(ds, lambda change: ds)
    assert found.advice() == ["No single change was found that carries the gradient reliably."]
    assert found.advice()[0] in found._repr_html_()
    assert not diagnose(ds).nothing_carries
    exploding = gradlab.analyze(**SMALL, gain=6.0)
    clip_only = diagnose(exploding, lambda change: exploding)
    assert clip_only.nothing_carries
    assert clip_only.advice()[2] == "1. Clip the update by norm: a safety measure for training"


def test_what_does_not_help_when_run_is_left_out():
    config = gradlab.RunConfig(**SMALL)
    ds = gradlab.analyze(config)
    assert diagnose(ds, lambda change: ds).remedies == []
    exploding = gradlab.analyze(config.replace(gain=6.0))
    assert diagnose(ds, lambda change: exploding).remedies == []


def test_a_change_that_overflows_does_not_help():
    """Even where the finite part of the changed run is carried."""
    ds, carried = gradlab.analyze(**SMALL), gradlab.analyze(**SMALL, activation="identity", recurrent_init="orthogonal")
    assert diagnose(ds, lambda change: carried).remedies[0].verified.word == "carried"
    carried.attrs["overflow"] = json.dumps([{"sample": 0, "step": 9, "gate": "g", "model": []}])
    assert diagnose(ds, lambda change: carried).remedies == []


def test_a_remedy_that_misses_is_corrected_by_what_it_missed():
    """Sigmoid under gain: theory's edge is far off, the measured miss finds it."""
    cell, params, x = own_network(steps=100, activation="sigmoid")
    ds, tried = gradlab.analyze(cell=cell, params=params, x=x), []

    def rerun(change):
        tried.append(change.label)
        return gradlab.analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)

    first = next(r for r in diagnose(ds, rerun=False).remedies if r.change.label.startswith("Recurrent"))
    found = next(r for r in diagnose(ds, rerun).remedies if r.change.label.startswith("Recurrent"))
    assert first.change.label in tried
    assert found.change.transform[1] > first.change.transform[1]
    assert found.verified.word == "carried"
    assert sum(label.startswith("Recurrent") for label in tried) <= 4


FAR = [{"gain": 1000.0}, {"gain": 10.0, "input_scale": 0.01}, {"gain": 0.0}]
FAR += [{"activation": "relu", "bias_scale": 3.0, "gain": 0.5}]


@pytest.mark.parametrize("fields", FAR, ids=str)
def test_a_gain_is_found_from_far_away(fields):
    config = gradlab.RunConfig(batch_size=4, steps=80, **fields)
    found = diagnose(gradlab.analyze(config), rerunner(config))
    assert any("gain" in r.change.fields and r.verified.word == "carried" for r in found.remedies)


def test_clipping_says_what_it_does_and_does_not_do():
    found = diagnosed(gain=6.0)
    clip = next(r for r in found.remedies if "clip" in r.change.fields)
    assert clip.text == "Clip the update by norm: a safety measure for training"
    assert found.remedies[-1] is clip
    assert "It leaves the flow as it is" in clip.why
    assert not any("clip" in r.change.fields for r in diagnosed(gain=6.0, clip="norm").remedies)
    assert not any("clip" in r.change.fields for r in diagnosed().remedies)


def test_cancelling_a_rerun_ends_the_diagnosis():
    def rerun(change):
        raise gradlab.Cancelled

    with pytest.raises(gradlab.Cancelled):
        diagnose(gradlab.analyze(**SMALL), rerun)


# given weights


@pytest.mark.parametrize("file", [LSTM_FILE, RELU_FILE], ids=["lstm", "relu"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_weights_of_a_file_are_transformed_and_never_drawn(file, activation):
    config = gradlab.RunConfig(weights=str(file), activation=activation, steps=60, batch_size=70)
    found = diagnose(gradlab.analyze(config), rerunner(config))
    assert found.remedies or found.nothing_carries
    assert found.remedies or file != LSTM_FILE
    for remedy in found.remedies:
        assert set(remedy.change.fields) <= {"clip"}
        assert remedy.change.transform or remedy.change.fields
        cell, params = gradlab.load_weights(str(file), activation=activation)
        x = build(config)[2]
        again = gradlab.analyze(cell=cell, params=remedy.change.apply_weights(cell, params), x=x[:, :60])
        assert verdict(again).log_rate == pytest.approx(remedy.verified.log_rate, abs=0.1)


@pytest.mark.parametrize(("name", "gain"), [("elman", 1.0), ("elman", 4.0), ("lstm", 1.0), ("gru", 8.0)])
def test_a_network_of_ones_own_is_cured_by_a_transformation(name, gain):
    cell, params, x = own_network(name, gain)
    kept = {key: value.copy() for key, value in params.items()}

    def rerun(change):
        return gradlab.analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)

    found = diagnose(rerun(Change("as it is")), rerun)
    assert found.word in ("vanishing", "chaotic")
    assert found.remedies[0].change.transform is not None
    assert found.remedies[0].verified.word == "carried"
    for key, value in params.items():
        np.testing.assert_array_equal(value, kept[key])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_biases_that_switch_units_off_are_set_to_zero(activation):
    cell = gradlab.make_cell("elman", input_size=1, hidden_size=64, activation=activation)
    params = cell.init(0, gain=1.28 if activation == "relu" else 1.85)
    params["b_h"][..., :40] = -30.0
    x = np.random.default_rng(1).normal(size=(60, 8, 1))

    def rerun(change):
        return gradlab.analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)

    found = diagnose(rerun(Change("as it is")), rerun)
    assert found.word == ("dead units" if activation == "relu" else "saturated")
    assert found.remedies[0].change.transform == ("scale_bias", 0.0)
    assert found.remedies[0].verified.word == "carried"


@pytest.mark.parametrize("models", [(), (2,)], ids=["one", "models"])
def test_each_transformation_changes_what_it_names(models):
    cell = gradlab.make_cell("gru", input_size=2, hidden_size=3)
    params = cell.init(0, models=models, bias_scale=1.0)
    changes = {
        "W_hh": Change("a", transform=("scale_recurrent", 0.5)),
        "W_xh": Change("b", transform=("scale_input", 0.25)),
        "b_h": Change("c", transform=("shift_forget_bias", 1.5)),
    }
    for name, change in changes.items():
        changed = change.apply_weights(cell, params)
        assert [key for key in params if not np.array_equal(changed[key], params[key])] == [name]
    np.testing.assert_array_equal(changes["W_hh"].apply_weights(cell, params)["W_hh"], 0.5 * params["W_hh"])
    np.testing.assert_array_equal(changes["W_xh"].apply_weights(cell, params)["W_xh"], 0.25 * params["W_xh"])
    moved = changes["b_h"].apply_weights(cell, params)["b_h"] - params["b_h"]
    np.testing.assert_allclose(moved[cell.gates.index("z")], 1.5)
    assert np.count_nonzero(moved) == moved[0].size
    assert Change("nothing").apply_weights(cell, params).keys() == params.keys()


@pytest.mark.parametrize("gain", [0.3, 3.0])
@pytest.mark.parametrize("given", [False, True], ids=["drawn", "given"])
def test_the_weights_of_a_diagonal_cell_are_what_is_scaled(gain, given):
    """A linear IndRNN: the rate follows u exactly."""
    config = gradlab.RunConfig(cell="indrnn", activation="identity", gain=gain, steps=60, batch_size=4)
    cell, params, x = build(config)

    def rerun(change):
        return gradlab.analyze(cell=cell, params=change.apply_weights(cell, params), x=x, **change.fields)

    found = diagnose(rerun(Change("as it is")), rerun) if given else diagnose(gradlab.analyze(config))
    (remedy,) = (r for r in found.remedies if "x" in r.change.label or "Gain" in r.change.label)
    assert remedy.verified.word == "carried"
    log_rate = remedy.verified.fitted_log_rate if given else remedy.predicted_log_rate  # the latter of several draws
    assert abs(log_rate) < 0.01
    assert (remedy.change.transform is None) != given


@pytest.mark.parametrize("name", ["lru", "min_gru", "min_lstm"])
def test_where_no_weights_are_recurrent_none_can_be_scaled(name):
    cell = gradlab.make_cell(name, input_size=2, hidden_size=3)
    message = f"scale_recurrent: {cell.title} has no recurrent weights that a factor scales"
    with pytest.raises(InputError, match=message) as error:
        Change("a", transform=("scale_recurrent", 0.5)).apply_weights(cell, cell.init(0))
    assert error.value.field == "cell"


@pytest.mark.parametrize("name", ["W_hh", "W_xh"])
@pytest.mark.parametrize("models", [(), (2,)], ids=["one", "models"])
def test_made_weights_are_scaled_themselves(name, models):
    """Twice M makes less than twice M - M^T - gamma I, and much less than twice sigmoid(M)."""

    class SquashedInput(THROWAWAY["throwaway_squashed"]):
        def weights(self, params):
            return {**params, "W_xh": params["W_xh"] ** 3}

    antisymmetric = gradlab.make_cell("antisymmetric", input_size=2, hidden_size=5, gamma=3.0)
    cells = {
        "W_hh": [antisymmetric, THROWAWAY["throwaway_squashed"](2, 5, "tanh")],
        "W_xh": [SquashedInput(2, 5, "tanh")],
    }
    for cell in cells[name]:
        params = {key: np.abs(p) for key, p in cell.init(0, models=models).items()}
        change = Change("a", transform=({"W_hh": "scale_recurrent", "W_xh": "scale_input"}[name], 1.5))
        changed = change.apply_weights(cell, params)
        assert [key for key in params if not np.array_equal(changed[key], params[key])] == [name]
        before, after = (np.linalg.norm(cell.weights(p)[name]) for p in (params, changed))
        assert after / before == pytest.approx(1.5, rel=1e-3)
        assert np.linalg.norm(changed[name]) / np.linalg.norm(params[name]) != pytest.approx(1.5, rel=0.05)


def test_weights_that_no_multiple_makes_so_small_have_their_parameters_multiplied():
    """|sigmoid(s M)| >= 1/2 for s >= 0 where M is positive."""
    cell = THROWAWAY["throwaway_squashed"](2, 5, "tanh")
    params = cell.init(0)
    params["W_hh"] = np.abs(params["W_hh"])
    changed = Change("a", transform=("scale_recurrent", 0.1)).apply_weights(cell, params)
    np.testing.assert_array_equal(changed["W_hh"], 0.1 * params["W_hh"])


def test_nothing_of_what_a_cell_makes_weights_from_is_nothing():
    cell = THROWAWAY["throwaway_squashed"](2, 5, "tanh")
    changed = Change("a", transform=("scale_bias", 0.0)).apply_weights(cell, cell.init(0, bias_scale=1.0))
    assert not changed["b_h"].any() and changed["W_hh"].any()


@pytest.mark.parametrize("gain", [80.0, 400.0])
def test_a_gain_cures_an_antisymmetric_network_that_explodes(gain):
    config = gradlab.RunConfig(cell="antisymmetric", gain=gain, hidden_size=24, batch_size=4)
    found = diagnose(gradlab.analyze(config), rerunner(config))
    assert found.word in ("exploding", "chaotic")
    assert "the cell sets the carry" in found.cause and found.remedies[0].change.fields["gain"] < gain
    assert found.remedies[0].verified.word == "carried"


@pytest.mark.parametrize("gain", [0.2, 30.0])
def test_no_gain_of_theory_is_offered_where_weights_are_made(gain):
    """The edge is that of independent weights, which these are not; what is offered was measured or run."""
    cell = THROWAWAY["throwaway_squashed"]
    CELLS.add(cell.name, cell)
    try:
        config = gradlab.RunConfig(cell=cell.name, gain=gain, hidden_size=24, batch_size=4)
        found = diagnose(gradlab.analyze(config))
    finally:
        CELLS._things.pop(cell.name)
    assert found.word not in ("carried", "too short")
    assert not any(", gain" in r.change.label or "by theory for this input" in r.why for r in found.remedies)


# the command line


def run(*arguments):
    return CliRunner().invoke(cli, ["analyze", *[f"--{k.replace('_', '-')}={v}" for k, v in SMALL.items()], *arguments])


def test_the_command_prints_a_diagnosis_with_verified_remedies():
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith(("Diagnosis: vanishing", "Cause: ", "Try:"))][2] == "Try:"
    shape = r"^1\. .* predicted after \d corrections?, x\S+ when run: carried in [678] of 8 fresh draws$"
    assert re.search(shape, result.stdout, re.MULTILINE)
    assert lines[-1].startswith("See it in the app")


def test_a_large_run_is_not_repeated(monkeypatch):
    monkeypatch.setattr("gradlab.diagnosis.trials.QUICK", 0)
    result = run()
    assert "(predicted from this run, not verified)" in result.stdout
    assert "when run" not in result.stdout
    assert "These were not run, as the run is large." in result.stdout.splitlines()
    assert result.stderr == ""
    assert json.loads(run("--json").stdout)["diagnosis"]["remedies"][0]["verified"] is None


def test_the_json_holds_what_a_program_needs():
    found = json.loads(run("--json", "-q").stdout)["diagnosis"]
    assert set(found) == {"word", "stderr", "cause", "factors", "remedies", "untried", "exponent", "straight"}
    assert set(found["factors"][0]) == {"name", "value", "text"}
    best = found["remedies"][0]
    assert RunConfigFields >= set(best["change"]["fields"])
    assert best["verified"]["word"] == "carried"
    assert best["predicted_log_rate"] == pytest.approx(0.0, abs=0.1)
    given = json.loads(run("--weights", str(LSTM_FILE), "--json").stdout)["diagnosis"]["remedies"]
    assert given[0]["change"]["transform"][0] == "shift_forget_bias"


RunConfigFields = set(gradlab.RunConfig.model_fields)


def test_quiet_runs_nothing_twice(monkeypatch):
    monkeypatch.setattr("gradlab.diagnosis.trials.rerunner", lambda config: pytest.fail)
    result = run("-q")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)


def test_the_report_holds_the_diagnosis(tmp_path):
    assert run("-q", "--html", str(tmp_path / "run.html")).exit_code == 0
    page = (tmp_path / "run.html").read_text("utf-8")
    assert "Cause: The slope of tanh" in page
    assert "when run: carried" in page
