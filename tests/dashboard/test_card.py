"""Theory beside the measured rate, and the diagnosis card whose remedies become runs."""

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import gradlab
from dashboard import components, form, ids
from dashboard.pages.explore import diagnosis as explore_diagnosis
from dashboard.pages.explore import draw as explore_draw
from dashboard.pages.explore import settle as explore_settle
from dashboard.pages.explore import steer as explore_steer
from dashboard.pages.explore import theory as explore_theory
from dashboard.pages.explore.request import Request
from dashboard.work import runs
from gradlab import plots
from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_query
from gradlab.data.uploads import find, original_name, store
from gradlab.diagnosis import Change
from gradlab.errors import InputError
from gradlab.importers import load_weights, save_safetensors, to_state_dict
from gradlab.runs.shares import share_left
from gradlab.runs.verdicts import verdict
from tests import views
from tests.plotting import LN10, each_theme, fading, named
from tests.views import page, parts, words

SMALL = RunConfig(hidden_size=24, batch_size=4, steps=40)
LSTM = Path(__file__).parents[1] / "golden" / "encoder_lstm.safetensors"


pytestmark = pytest.mark.usefixtures("own_cache")


def request(config: RunConfig = SMALL, **more: Any) -> Request:
    return views.request(config, **more)


def predicted(ds: xr.Dataset, rate: float, label: str = "mean field: 1/2 ln chi_1") -> xr.Dataset:
    """The Dataset with a recorded prediction."""
    texts = {f"theory_{key}": ("theory", [text]) for key, text in (("label", label), ("holds", "H."), ("fails", "F."))}
    return ds.assign(theory_log_rate=("theory", [rate])).assign_coords(theory=["mean_field"], **texts)


# the line in the figure


@each_theme
def test_the_theory_line_falls_by_its_rate_from_the_last_step(theme):
    fig = plots.explore(predicted(fading(50), -0.8), theme=theme)
    (line,) = named(fig, "theory: mean field")
    assert line.line.dash not in ("solid", "dash") and line.line.width < 3
    np.testing.assert_allclose(line.y, -0.8 * np.arange(50, -1, -1) / LN10, rtol=1e-6)
    np.testing.assert_array_equal(line.x, np.arange(51))
    low, high = fig.layout.yaxis.range
    assert low < line.y.min() and high > 0
    assert any(a.text.startswith("theory ") for a in fig.layout.annotations)


def test_the_line_starts_where_the_analysis_does():
    ds = predicted(fading(50), -0.8)
    ds["valid_steps"][:] = 30
    (line,) = named(plots.gradient_flow(ds), "theory: mean field")
    np.testing.assert_allclose(line.y[:31], -0.8 * np.arange(30, -1, -1) / LN10, rtol=1e-6)
    assert np.isnan(line.y[31:]).all()


@pytest.mark.parametrize("rate", [np.nan, -np.inf])
def test_a_rate_that_cannot_be_drawn_leaves_the_figure_as_it_is(rate):
    with_theory, without = (plots.gradient_flow(ds) for ds in (predicted(fading(20), rate), fading(20)))
    assert [t.name for t in with_theory.data] == [t.name for t in without.data]


def test_the_line_can_be_switched_off():
    for on, count in ((True, 1), (False, 0)):
        drawn = explore_draw.show(request(theory=on))
        assert len(named(drawn["figure"], "theory: mean field")) == count
        assert words(drawn["theory"]).startswith("Theory ×")


def test_theory_and_measured_rate_stand_side_by_side():
    ds = runs.RUNS.get(SMALL)
    found = verdict(ds)
    said = words(explore_theory.line(ds, found))
    assert said == (f"Theory ×{np.exp(float(ds.theory_log_rate[0])):.2f} (mean field), measured ×{found.rate:.2f}")
    assert abs(float(ds.theory_log_rate[0]) - found.fitted_log_rate) < 0.1, "this net is one that theory is about"
    behind = words(explore_settle.settle(request())["theory_where"])
    assert "Holds for wide networks" in behind and "Fails for trained" in behind and "sigma" not in behind


@pytest.mark.parametrize("config", [RunConfig(cell="gru", gain=3.0, steps=60), RunConfig(gain=1000.0, steps=40)])
def test_a_prediction_that_misses_is_grey_and_says_why(config):
    drawn = explore_draw.show(request(config, run=True))
    (line,) = (t for t in drawn["figure"].data if (t.name or "").startswith("theory: "))
    assert line.line.color == plots.THEMES["light"].muted
    note = drawn["drawn"]["props"]["note"]["children"]
    assert note.startswith("Theory misses this run; its line is grey. ") and "Fails " in note
    fine = explore_draw.show(request())
    assert fine["drawn"]["props"]["note"]["children"] == ""
    (line,) = named(fine["figure"], "theory: mean field")
    assert line.line.color == plots.THEMES["light"].text


def test_no_theory_says_so():
    ds = fading(20)
    assert words(explore_theory.line(ds, verdict(runs.RUNS.get(SMALL)))) == explore_theory.NOTHING
    assert explore_theory.where(ds) == []
    assert explore_settle.settle(request(SMALL.replace(seed=77)))["theory_where"] == [], "not before the run"


def test_a_change_is_still_drawn_in_time():
    explore_draw.show(request(RunConfig()))
    took = []
    for seed in range(5):
        start = time.thread_time()
        explore_draw.show(request(RunConfig(gain=1 + 0.05 * seed)))
        took.append(time.thread_time() - start)
    assert min(took) < 0.15


# the card


def test_the_card_holds_cause_factors_and_buttons():
    runs.RUNS.get(SMALL)
    found = explore_diagnosis.diagnosed(SMALL)
    card = explore_diagnosis.content(request(), None)
    text = words(card)
    assert words(components.typeset(found.cause)) in text
    buttons = parts(card, "Button")
    assert 1 <= len(buttons) <= 3
    assert [b.id for b in buttons] == [ids.try_remedy(n) for n in range(len(buttons))]
    assert [b.children for b in buttons] == [remedy.change.label for remedy in found.remedies]
    assert text.count("predicted ×") == len(buttons) and "measured ×" not in text
    assert len(parts(card, "Tr")) == 1 + len(found.factors)


def test_no_card_before_the_run_and_none_for_a_wrong_control():
    assert explore_diagnosis.content(request(SMALL.replace(seed=555)), None) == []
    wrong = replace(request(), raw=form.raw(SMALL) | {"gain": -1})
    assert explore_diagnosis.content(wrong, None) == []


def test_a_run_that_is_carried_needs_no_remedy():
    config = SMALL.replace(activation="identity", recurrent_init="orthogonal")
    runs.RUNS.get(config)
    card = explore_diagnosis.content(request(config), None)
    assert "Slope and weights balance" in words(card) and not parts(card, "Button")


@pytest.mark.parametrize("fields", [{}, {"cell": "lstm", "forget_bias": 1.0, "steps": 200}], ids=["tanh", "lstm"])
def test_the_first_button_keeps_its_promise(fields):
    """What is predicted for it was corrected by running it, and the run after it is carried."""
    config = SMALL.replace(**fields)
    runs.RUNS.get(config)
    said = words(explore_diagnosis.content(request(config), None))
    assert re.search(r"predicted ×[\d.]+, carried in [678] of 8 fresh draws", said)
    assert verdict(runs.RUNS.get(explore_diagnosis.changed(config, 0)[0])).word == "carried"


@pytest.mark.parametrize("fields", [{}, {"cell": "lstm"}], ids=["tanh", "lstm"])
def test_the_remedies_are_those_of_the_library(fields):
    config = SMALL.replace(**fields)
    assert explore_diagnosis.diagnosed(config) == gradlab.diagnose(gradlab.analyze(config))


def test_remedies_of_a_large_run_are_estimates(monkeypatch):
    monkeypatch.setattr("gradlab.diagnosis.trials.QUICK", 0)
    config = SMALL.replace(seed=3)
    runs.RUNS.get(config)
    said = words(explore_diagnosis.content(request(config), None))
    assert "an estimate" in said and "fresh draws" not in said


def test_a_remedy_becomes_the_run_and_the_old_one_a_pin():
    runs.RUNS.get(SMALL)
    remedy = explore_diagnosis.diagnosed(SMALL).remedies[0]
    changes = explore_steer.try_remedy(request(), 0, page())
    new = form.read(changes["values"]).config
    assert new == remedy.change.apply(SMALL) != SMALL
    assert changes["pins"] == [to_query(SMALL)]
    assert changes["tried"] == {
        "query": to_query(new),
        "label": remedy.change.label,
        "predicted": remedy.predicted_log_rate,
    }
    measured = verdict(runs.RUNS.get(new))
    tried = explore_diagnosis.Tried(**changes["tried"])
    said = words(explore_diagnosis.content(request(new), tried))
    assert said.startswith(f"{remedy.change.label}: predicted ×{np.exp(remedy.predicted_log_rate):.2f}, measured ×")
    assert f"measured ×{measured.rate:.2f}." in said
    assert "measured ×" not in words(explore_diagnosis.content(request(), tried)), "not about another run"


def test_full_pins_stay_as_they_are():
    runs.RUNS.get(SMALL)
    pins = tuple(f"v=1&gain={n}" for n in range(explore_draw.MAX_PINS))
    assert explore_steer.try_remedy(request(), 0, page(pins=pins))["pins"] is explore_steer.no_update


def test_buttons_that_come_and_go_change_nothing():
    assert explore_steer.press(explore_steer.Pressed(**ids.try_remedy(0)), None, page()) == {}
    assert explore_steer.press(explore_steer.Pressed(**ids.reopen("v=1&gain=2")), None, page())["values"]["gain"] == 2.0


# weights from a file


@pytest.fixture
def slow_net() -> RunConfig:
    """An uploaded LSTM that forgets too fast."""
    cell, params = load_weights(LSTM)
    content = save_safetensors(to_state_dict(cell, params))
    path = find(store("mine.safetensors", content), "mine.safetensors")
    return RunConfig(weights=str(path), batch_size=4, steps=40)


def test_a_files_weights_are_transformed_into_a_new_file(slow_net):
    runs.RUNS.get(slow_net)
    found = explore_diagnosis.diagnosed(slow_net)
    said = words(explore_diagnosis.content(request(slow_net), None))
    assert re.search(r"predicted ×[\d.]+, ×[\d.]+ with these weights", said) and "fresh draws" not in said
    n, remedy = next((n, r) for n, r in enumerate(found.remedies) if r.change.transform)
    before = Path(slow_net.weights).read_bytes()
    changes = explore_steer.try_remedy(request(slow_net), n, page())
    new = form.read(changes["values"]).config
    assert new.weights != slow_net.weights and Path(slow_net.weights).read_bytes() == before
    assert original_name(Path(new.weights)) == f"mine, {remedy.change.label}.safetensors"
    assert changes["values"]["weights"] in [entry["value"] for entry in changes["options"]["weights"]]
    cell, params = load_weights(slow_net.weights)
    _, changed = load_weights(new.weights)
    for name, array in remedy.change.apply_weights(cell, params).items():
        np.testing.assert_allclose(changed[name], array, rtol=1e-6)
    assert any(not np.array_equal(changed[name], params[name]) for name in params)
    assert from_query(changes["tried"]["query"]).config == new
    assert abs(verdict(runs.RUNS.get(new)).log_rate) < abs(found.log_rate)


def test_of_a_deep_file_the_layer_at_hand_is_transformed():
    data = (LSTM.parent / "models" / "deep_both.safetensors").read_bytes()
    run = RunConfig(weights=str(find(store("deep.safetensors", data), "deep.safetensors")), layer="1", steps=40)
    runs.RUNS.get(run)
    found = explore_diagnosis.diagnosed(run)
    n, remedy = next((n, r) for n, r in enumerate(found.remedies) if r.change.transform)
    new, _ = explore_diagnosis.changed(run, n)
    assert (new.layer, new.prefix) == (None, None)
    cell, params = load_weights(run.weights, layer=1)
    for name, array in remedy.change.apply_weights(cell, params).items():
        np.testing.assert_allclose(load_weights(new.weights)[1][name], array, rtol=1e-6)


@pytest.mark.parametrize("change", [Change("recurrent weights x 0.5", {}, ("scale_recurrent", 0.5))])
def test_the_same_change_twice_goes_on_from_the_first(slow_net, change):
    once = explore_diagnosis.transformed(slow_net.weights, "tanh", change)
    twice = explore_diagnosis.transformed(once, "tanh", change)
    first, second = (load_weights(path)[1]["W_hh"] for path in (slow_net.weights, twice))
    np.testing.assert_allclose(second, 0.25 * first, rtol=1e-6)


@pytest.mark.parametrize("fields", [{"cell": "peephole_lstm"}, {"cell": "minimal_rnn"}, {"cell": "elman", "leak": 0.3}])
def test_a_trained_net_of_any_cell_is_transformed(fields, tmp_path):
    path = tmp_path / "run.safetensors"
    run = gradlab.train(**fields, activation="relu", steps=8, hidden_size=5, iterations=1, checkpoint=path)
    change = Change("recurrent weights x 0.5", {}, ("scale_recurrent", 0.5))
    new = explore_diagnosis.transformed(str(path), "tanh", change)
    cell, params = load_weights(new)
    assert cell == run.cell
    np.testing.assert_allclose(params["W_hh"], 0.5 * run.params["0.W_hh"], rtol=1e-6)
    with pytest.raises(InputError, match="^run, recurrent weights x 0.5.safetensors: prefix"):
        load_weights(new, prefix="a")


def test_a_remedy_that_cannot_be_kept_is_a_message(slow_net, monkeypatch):
    runs.RUNS.get(slow_net)
    n = next(n for n, r in enumerate(explore_diagnosis.diagnosed(slow_net).remedies) if r.change.transform)

    def refuse(name: str, content: bytes) -> str:
        raise InputError("cannot keep it; set GRADLAB_CACHE to a directory that can be written")

    monkeypatch.setattr(explore_diagnosis, "store", refuse)
    changes = explore_steer.try_remedy(request(slow_net), n, page())
    assert list(changes) == ["notices"] and "set GRADLAB_CACHE" in words(changes["notices"])
    monkeypatch.setattr(explore_diagnosis, "store", lambda name, content: "0" * 12)
    with pytest.raises(InputError, match="could not be kept; make room in the file cache and try again"):
        explore_diagnosis.changed(slow_net, n)


def test_the_share_left_is_that_of_the_curve_the_line_is_drawn_over():
    ds = gradlab.analyze(SMALL, record=["theory"])
    fig = plots.gradient_flow(ds)
    (line,) = named(fig, "theory: mean field")
    curve = share_left(ds).values / LN10
    assert line.y[-1] == curve[-1] == 0
    assert abs(line.y[1] - curve[1]) < 0.05 * SMALL.steps
