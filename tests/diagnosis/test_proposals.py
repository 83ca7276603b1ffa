"""What is proposed for given factors, and the rate that is predicted: closed forms of what each change does."""

import math
from dataclasses import replace

import pytest

import gradlab
from gradlab.cells import CELLS
from gradlab.diagnosis.changes import is_clip
from gradlab.diagnosis.edges import chrono_log_rate, edge_gain, typical
from gradlab.diagnosis.remedies import candidates
from tests.diagnosis.test_factors import SMALL, measured
from tests.throwaway_cells import THROWAWAY

STEPS = 50
HELD = -1 / STEPS  # ln of the factor per step that is aimed at with a carry: a third is left at the first step


def proposed(word, factors, given=False, **fields):
    """Label -> proposal, of a run whose weights are drawn, or given where there is no configuration."""
    config = None if given else gradlab.RunConfig(**SMALL | fields)
    return {p.change.label: p for p in candidates(word, factors, STEPS, config)}


def gated(cell, **factors):
    return replace(measured(cell), **{"keep": 0.5, "carry": 0.5, "gates": 0.2, "log_rate": math.log(0.7)} | factors)


def vanilla(activation="tanh", **factors):
    return replace(measured(activation=activation), **factors)


# with a carry


@pytest.mark.parametrize(("forget_bias", "given"), [(0.0, False), (1.5, False), (0.0, True)])
def test_the_forget_bias_at_which_carry_and_gates_make_the_rate_that_is_aimed_at(forget_bias, given):
    """LSTM: the carry is the gate's value, the rest stays; GRU: the rest is weighed by one less the gate's."""
    aim = math.exp(HELD)
    for cell, keep in (("lstm", aim - 0.2), ("gru", (aim - 0.2 / 0.5) / (1 - 0.2 / 0.5))):
        fields = {"given": True} if given else {"cell": cell, "forget_bias": forget_bias}
        found = next(iter(proposed("vanishing", gated(cell), **fields).values()))
        expected = forget_bias + math.log(keep / (1 - keep))
        amount = found.change.transform[1] if given else found.change.fields["forget_bias"]
        assert amount == pytest.approx(expected, abs=0.01), cell
        assert found.predicted_log_rate == pytest.approx(HELD, abs=1e-3)
        assert found.why.startswith("Opens the forget gate, now 0.50 on average")


def test_an_open_gate_carries_what_it_keeps_even_where_the_gradient_went_another_way():
    """The carry is far less than the gate's value: the rate is no lower than the gate, once open, be it by little."""
    aim = math.exp(HELD)
    for keep, carry in ((0.1, 0.01), (0.97, 0.5)):
        found = next(
            iter(proposed("vanishing", gated("lstm", keep=keep, carry=carry, gates=0.0), cell="lstm").values())
        )
        shift = math.log(aim / (1 - aim)) - math.log(keep / (1 - keep))
        assert found.change.fields["forget_bias"] == pytest.approx(shift, abs=0.01)


def test_a_gate_that_keeps_too_much_is_closed():
    exploding = gated("lstm", keep=0.9, carry=0.9, gates=0.4, log_rate=math.log(1.3))
    found = next(iter(proposed("exploding", exploding, cell="lstm", forget_bias=2.0).values()))
    keep = math.exp(HELD) - 0.4
    assert found.change.fields["forget_bias"] == pytest.approx(2 + math.log(keep / (1 - keep)) - math.log(9), abs=0.01)
    assert found.why.startswith("Closes the forget gate, now 0.90")


@pytest.mark.parametrize("given", [False, True])
def test_what_comes_through_the_gates_is_scaled_until_it_makes_1_with_the_carry(given):
    exploding = gated("lstm", carry=0.7, gates=0.6, log_rate=math.log(1.3))
    fields = {"given": True} if given else {"cell": "lstm", "gain": 3.0}
    found = proposed("exploding", exploding, **fields)["Recurrent weights x 0.5" if given else "Gain 1.5"]
    assert found.predicted_log_rate == pytest.approx(0.0, abs=1e-12)
    again = found.retry(math.log(1.25))  # a run was larger by so much: 0.7 + 0.6 s = 0.8
    assert again.predicted_log_rate == pytest.approx(0.0, abs=2e-3)
    assert (again.change.transform[1] if given else again.change.fields["gain"] / 3) == pytest.approx(1 / 6, abs=1e-3)


def test_without_a_carry_what_comes_through_the_gates_is_scaled_to_1():
    found = proposed("exploding", gated("lstm", carry=0.0, gates=1.6, log_rate=math.log(1.6)), cell="lstm", gain=2.0)
    assert found["Gain 1.25"].predicted_log_rate == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("forget_bias", [0.0, 1.5])
def test_where_no_sum_of_carry_and_gates_explains_a_run_the_gate_is_opened_in_proportion(forget_bias):
    """A gate that forgets four times as much as is aimed at is opened by ln 4 further."""
    vanishing = gated("lstm", keep=0.5, carry=0.5, gates=0.0, log_rate=math.log(0.5))
    first = next(iter(proposed("vanishing", vanishing, cell="lstm", forget_bias=forget_bias).values()))
    shift = first.change.fields["forget_bias"]
    for times in (4.0, 8.0):
        miss = times * HELD - first.predicted_log_rate  # more than any gate can make up for
        again = first.retry(miss, 0.0)
        assert again.change.fields["forget_bias"] == pytest.approx(shift + math.log(times), abs=0.01)
        assert again.predicted_log_rate == pytest.approx(HELD, rel=0.02)
        further = again.retry(miss + times * HELD - again.predicted_log_rate, 0.0)
        assert further.change.fields["forget_bias"] == pytest.approx(shift + 2 * math.log(times), abs=0.02)


@pytest.mark.parametrize("factors", [{"carry": 1.0}, {"carry": 1.1}, {"gates": 0.0}, {"carry": -0.1}], ids=str)
def test_no_weights_make_1_with_a_carry_of_1_or_more_or_where_nothing_comes_through_them(factors):
    exploding = gated("lstm", **{"carry": 0.7, "gates": 0.6, "log_rate": 0.5, "keep": 1.0} | factors)
    assert set(proposed("exploding", exploding, cell="lstm")) == {"Clip the update by norm"}


def test_a_gate_that_keeps_nearly_enough_is_opened_a_little():
    near = gated("lstm", keep=0.9, carry=0.9, gates=0.05, log_rate=math.log(0.95))
    found = next(iter(proposed("vanishing", near, cell="lstm", forget_bias=1.0).values()))
    keep = math.exp(HELD) - 0.05
    assert found.change.fields["forget_bias"] == pytest.approx(1 + math.log(keep / (1 - keep)) - math.log(9), abs=0.01)
    assert 1.1 < found.change.fields["forget_bias"] < 1.9 and found.why.startswith("Opens the forget gate, now 0.90")


@pytest.mark.parametrize("given", [False, True])
def test_what_units_multiply_their_own_state_by_is_scaled_by_the_rate(given):
    own = replace(measured("indrnn"), carries=True, carry=1.2, gates=0.0, log_rate=math.log(1.25))
    fields = {"given": True} if given else {"cell": "indrnn", "gain": 2.0}
    found = proposed("exploding", own, **fields)["Recurrent weights x 0.8" if given else "Gain 1.6"]
    assert found.predicted_log_rate == pytest.approx(0.0, abs=1e-12)
    again = found.retry(math.log(1.6), 0.0)
    assert (again.change.transform[1] if given else again.change.fields["gain"] / 2) == pytest.approx(0.5)
    assert again.predicted_log_rate == pytest.approx(0.0, abs=1e-12)


def test_a_carry_of_a_cell_that_is_not_known_has_no_proposals_of_its_own():
    unknown = replace(gated("lstm", carry=0.7, gates=0.6, log_rate=math.log(1.3)), cell=None)
    assert list(proposed("exploding", unknown, given=True)) == ["Recurrent weights x 0.5", "Clip the update by norm"]


@pytest.mark.parametrize(("leak", "gates"), [(0.4, 0.3867), (1.0, 0.5)])
def test_a_leak_is_never_made_larger(leak, gates):
    """Where the two make more than is aimed at, and where all of a state is replaced."""
    leaky = replace(measured(leak=0.4), carry=1 - leak, gates=gates, log_rate=math.log(0.7))
    assert not any(label.startswith("Leak ") for label in proposed("vanishing", leaky, leak=leak))


def test_a_leak_keeps_one_less_itself_and_adds_in_proportion():
    leaky = replace(measured(leak=0.4), carry=0.6, gates=0.1, log_rate=math.log(0.7))
    found = next(iter(proposed("vanishing", leaky, leak=0.4).values()))
    leak = (1 - math.exp(HELD)) / (1 - 0.1 / 0.4)  # 1 - l + 0.1 l / 0.4
    assert found.change.fields["leak"] == pytest.approx(leak, rel=0.01)
    assert found.predicted_log_rate == pytest.approx(HELD, rel=0.02)


def test_chrono_biases_are_for_what_vanishes_and_has_none():
    label = "Forget bias chrono"
    found = proposed("vanishing", gated("lstm", drive=0.3), cell="lstm")[label]
    assert found.predicted_log_rate == chrono_log_rate(STEPS, 0.3)
    assert label not in proposed("vanishing", gated("lstm"), cell="lstm", forget_bias="chrono")
    assert label not in proposed("exploding", gated("lstm", log_rate=0.5, gates=0.9), cell="lstm")
    assert label not in proposed("vanishing", gated("lstm"), given=True)


# without one


@pytest.mark.parametrize(("word", "rate"), [("vanishing", 0.8), ("exploding", 1.6)])
@pytest.mark.parametrize("given", [False, True])
def test_the_gain_of_a_linear_net_is_divided_by_its_rate(given, word, rate):
    linear = vanilla("identity", weights=0.9, log_rate=math.log(rate))
    fields = {"given": True} if given else {"activation": "identity", "gain": 2.0}
    expected = float(f"{(1 if given else 2.0) / rate:.3g}")
    found = proposed(word, linear, **fields)[f"Recurrent weights x {expected:g}" if given else f"Gain {expected:g}"]
    assert found.predicted_log_rate == pytest.approx(0.0, abs=5e-3)
    missed = found.retry(math.log(1.1))
    amount = missed.change.transform[1] if given else missed.change.fields["gain"] / 2
    assert amount == pytest.approx(1 / rate / 1.1, rel=5e-3) and missed.why.endswith("corrected by what runs measured.")


@pytest.mark.parametrize("weights", [0.0, 0.25, 4.0, math.inf])
def test_where_nothing_was_measured_a_slope_of_1_bounds_the_rate(weights):
    nothing = vanilla("identity", weights=weights, log_rate=math.nan, carries=False)
    found = proposed("overflow", nothing, activation="identity", gain=2.0)
    if weights < 1:  # larger ones lead away: that of theory is left
        assert [label for label in found if label.startswith("Gain")] == ["Gain 1"] * (found != {})
    elif weights < math.inf:
        assert found[f"Gain {2.0 / weights:g}"].predicted_log_rate == pytest.approx(0.0, abs=1e-4)
    else:
        assert not any(label.startswith("Gain") for label in found)


@pytest.mark.parametrize("miss", [-0.2, 0.3])
def test_an_edge_of_theory_is_corrected_by_what_runs_missed(miss):
    found = proposed("exploding", vanilla("relu", log_rate=0.5, drive=1.0), activation="relu")
    tanh = next(one for label, one in found.items() if label.startswith("Tanh"))
    again = tanh.retry(miss, 0.0)
    assert again.change.fields == tanh.change.fields | {"gain": edge_gain("tanh", 1.0, miss)}
    assert again.predicted_log_rate == pytest.approx(0.0, abs=5e-3) and again.why.endswith("by what runs measured.")
    rounder = tanh.retry(miss, 1.0)
    assert rounder.change.fields["gain"] == float(f"{edge_gain('tanh', 1.0, miss):.1g}")
    assert rounder.predicted_log_rate != pytest.approx(0.0, abs=5e-3)


@pytest.mark.parametrize(("activation", "offered"), [("relu", True), ("identity", True), ("tanh", False)])
def test_a_bound_is_for_what_grows_without_one(activation, offered):
    found = proposed("exploding", vanilla(activation, log_rate=0.5, drive=1.0), activation=activation)
    assert (f"Tanh, gain {edge_gain('tanh', 1.0):g}" in found) == offered


@pytest.mark.parametrize(("activation", "offered"), [("sigmoid", True), ("tanh", False), ("relu", False)])
def test_a_wider_slope_is_for_activations_whose_slope_is_small_everywhere(activation, offered):
    found = proposed("vanishing", vanilla(activation, log_rate=-1.0, drive=1.0), activation=activation)
    assert (f"Tanh, gain {edge_gain('tanh', 1.0):g}" in found) == offered


@pytest.mark.parametrize(
    ("fields", "changed", "drive"),
    [
        ({"input_scale": 3.0, "bias_scale": 0.5}, {"input_scale": 1.0}, math.hypot(1.0, 0.5)),
        ({"input_scale": 1.5, "bias_scale": 0.5}, {"input_scale": 1.0}, math.hypot(1.0, 0.5)),
        ({"input_scale": 0.5, "bias_scale": 1.0}, {"bias_scale": 0.0}, 0.5),
        ({"input_scale": 3.0, "bias_scale": 2.0}, {"input_scale": 1.0, "bias_scale": 0.0}, 1.0),
        ({"input_scale": 1.0, "bias_scale": 0.99}, {}, None),
    ],
    ids=str,
)
def test_a_milder_input_and_no_biases_where_these_are_strong_at_the_edge_of_what_is_left(fields, changed, drive):
    found = proposed("saturated", vanilla(log_rate=-1.0), **fields).values()
    milder = [p for p in found if "hold the units" in p.why]
    assert len(milder) == bool(changed)
    for one in milder:
        assert one.change.fields == changed | {"gain": edge_gain("tanh", drive)}
        words = [{"input_scale": "input scale 1", "bias_scale": "biases 0"}[name] for name in changed]
        assert one.change.label == f"{' and '.join(words).capitalize()}, gain {edge_gain('tanh', drive):g}"
        assert one.predicted_log_rate == pytest.approx(0.0, abs=5e-3)
    assert not [p for p in proposed("vanishing", vanilla(log_rate=-1.0), **fields).values() if "hold the" in p.why]


@pytest.mark.parametrize(("word", "offered"), [("dead units", True), ("saturated", True), ("vanishing", False)])
def test_given_biases_are_set_to_zero_where_units_are_dead_or_saturated(word, offered):
    factors = vanilla("identity", weights=0.99, log_rate=-1.0)
    found = proposed(word, factors, given=True)
    assert ("Biases 0 (b_h)" in found) == offered
    if offered:
        assert found["Biases 0 (b_h)"].predicted_log_rate == pytest.approx(math.log(0.99), abs=1e-6)
    assert "Biases 0 (b_h)" not in proposed(word, factors, activation="identity")


@pytest.mark.parametrize(("activation", "bounded"), [("tanh", True), ("hard_tanh", True), ("relu", False)])
def test_an_lstm_has_a_bounded_candidate(activation, bounded):
    found = proposed("vanishing", vanilla(activation), activation=activation)["LSTM with chrono forget biases"]
    lstm = {"cell": "lstm", "forget_bias": "chrono", "recurrent_init": "uniform", "gain": 1.0}
    assert found.change.fields == lstm | ({} if bounded else {"activation": "tanh"})


def test_a_leaky_unit_is_for_dead_ones():
    found = proposed("dead units", vanilla("relu", log_rate=-1.0, drive=1.0), activation="relu")
    assert found[f"Leaky_relu, gain {edge_gain('leaky_relu', 1.0):g}"].change.fields["activation"] == "leaky_relu"
    assert not any(label.startswith("Gain") for label in found)  # theory knows no dead units
    alive = proposed("vanishing", vanilla("relu", log_rate=-1.0, drive=1.0), activation="relu")
    assert not any(label.startswith("Leaky") for label in alive)


@pytest.mark.parametrize(("drive", "recurrence", "offered"), [(3.0, 1.0, True), (1.0, 3.0, False), (1.0, 1.0, False)])
def test_less_input_is_for_units_that_the_input_drives(drive, recurrence, offered):
    hard = vanilla(weights=0.9, log_rate=-0.3, drive=drive, recurrence=recurrence)
    for fields, label in (
        ({"given": True}, "Input weights x"),
        ({"input_scale": 2.0}, "Input scale"),
        ({"input_scale": 0.5}, "Input scale"),
    ):
        found = [p for name, p in proposed("vanishing", hard, **fields).items() if name.startswith(label)]
        assert len(found) == offered
        for one in found:
            assert one.predicted_log_rate == pytest.approx(0.0, abs=0.01)


def test_where_no_input_is_weak_enough_a_tenth_is_offered():
    hard = vanilla(weights=0.9, log_rate=-3.0, drive=3.0, recurrence=1.0)
    found = proposed("vanishing", hard, input_scale=2.0)["Input scale 0.2"]
    change = typical("tanh", 0.9, 0.3)[0] - typical("tanh", 0.9, 3.0)[0]
    assert found.predicted_log_rate == pytest.approx(-3.0 + change)


def test_an_input_of_nothing_cannot_be_less():
    hard = vanilla(weights=0.9, log_rate=-0.3, drive=3.0, recurrence=1.0)
    assert not any(label.startswith("Input") for label in proposed("vanishing", hard, input_scale=0.0))


@pytest.mark.parametrize("weights", [0.5, 0.9, 2.0])
def test_where_theory_knows_no_slope_it_is_taken_to_stay_as_it_is(weights):
    own = vanilla(activation="tanh", weights=weights, log_rate=math.log(0.8))
    found = proposed("vanishing", replace(own, activation="my own"), given=True)["Recurrent weights x 1.25"]
    assert found.predicted_log_rate == pytest.approx(0.0, abs=1e-12)


def test_other_schemes_become_gaussian_at_an_edge_of_theory_and_orthogonal_is_offered_once():
    found = proposed("exploding", vanilla(log_rate=0.5, drive=1.0), recurrent_init="uniform")
    assert f"Orthogonal weights, gain {edge_gain('tanh', 1.0):g}" in found
    drawn = proposed("exploding", vanilla("relu", log_rate=0.5, drive=1.0), activation="relu", recurrent_init="uniform")
    tanh = next(p for label, p in drawn.items() if label.startswith("Tanh"))
    assert tanh.change.fields["recurrent_init"] == "gaussian" and "gaussian weights" in tanh.change.label
    again = proposed("exploding", vanilla(log_rate=0.5, drive=1.0), recurrent_init="orthogonal")
    assert not any(label.startswith("Orthogonal") for label in again)


@pytest.mark.parametrize(("cell", "offered"), [(CELLS["elman"], True), (THROWAWAY["throwaway_squashed"], False)])
def test_an_edge_of_theory_is_for_weights_that_are_the_parameters(cell, offered):
    labels = proposed("exploding", vanilla(cell=cell, log_rate=0.5, drive=1.0))
    assert any(", gain" in label for label in labels) == offered


# anywhere


def test_what_is_no_nearer_to_1_is_not_proposed():
    """Nearer means by a fifth of the logarithm."""
    predicted = chrono_log_rate(STEPS, 100.0)
    for share, offered in ((1.2, False), (1.3, True)):
        found = proposed("vanishing", gated("lstm", log_rate=share * predicted, drive=100.0), cell="lstm")
        assert ("Forget bias chrono" in found) == offered


@pytest.mark.parametrize(
    ("word", "clip", "offered"),
    [
        ("exploding", "off", True),
        ("chaotic", "off", True),
        ("exploding", "norm", False),
        ("overflow", "off", False),
        ("vanishing", "off", False),
    ],
)
def test_the_update_is_clipped_where_it_explodes_and_is_not_clipped_yet(word, clip, offered):
    for factors, cell in ((vanilla(log_rate=0.5), "elman"), (gated("lstm", log_rate=0.5, gates=0.9), "lstm")):
        found = proposed(word, factors, cell=cell, clip=clip).values()
        assert [p.predicted_log_rate for p in found if is_clip(p)] == [0.5] * offered


def test_nothing_is_proposed_for_what_is_carried_and_more_steps_for_what_is_too_short():
    assert proposed("carried", vanilla()) == {}
    assert list(proposed("too short", vanilla(log_rate=-0.1))) == ["100 steps"]
    assert proposed("too short", vanilla(log_rate=math.nan)) == {}
    assert proposed("too short", vanilla(), given=True) == {}


@pytest.mark.parametrize("clipped", [False, True])
def test_clipping_inside_backpropagation_goes_with_every_change(clipped):
    for one in proposed("vanishing", vanilla(log_rate=-0.5, clipped=clipped)).values():
        assert ("clip" in one.change.fields) == clipped
