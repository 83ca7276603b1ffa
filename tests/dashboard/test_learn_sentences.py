"""What Learn says, by value: every sentence with the numbers that the library measures."""

import math
import re
from itertools import product

import numpy as np
import pytest

import gradlab
from dashboard.pages.learn import stored
from dashboard.pages.learn.chapter import share_text
from dashboard.pages.learn.chapters import BY_SLUG, others, truncation
from gradlab.config import RunConfig
from gradlab.learning import flatten
from gradlab.plots.colours import LN10
from gradlab.runs.build import build
from gradlab.runs.probe import loss_at_every_step
from gradlab.runs.shares import share_left
from gradlab.training import dataset
from gradlab.wording import digits_text, factor_text, value_text


def left(lag=20, **fields):
    """ln of what is left so many steps back, from the library."""
    return float(share_left(gradlab.analyze(**fields)).values[-1 - lag])


def said(slug, **values):
    chapter = BY_SLUG[slug]
    found = chapter.measure(chapter.read(values))
    return chapter.say(found), chapter.truth(found), found


@pytest.mark.parametrize("gain", [0.5, 0.6, 4.0])
def test_what_is_nearer_to_one_reads_as_nearer(gain):
    text, _, found = said("activation", activation="tanh", gain=gain)
    best = min(found, key=lambda curve: abs(curve.logs[20]))
    shown = re.findall(r"(?:leaves|with) (\S+)", text)
    assert shown[0] == share_text(found[0].logs[20])
    assert best is found[0] or shown[0] != shown[1] == share_text(best.logs[20]) + "."


@pytest.mark.parametrize("activation, gain", [("sigmoid", 1.0), ("tanh", 3.0), ("relu", 1.4)])
def test_activation_says_what_the_library_measures(activation, gain):
    text, truth, _ = said("activation", activation=activation, gain=gain)
    expected = left(activation=activation, gain=gain)
    assert truth == pytest.approx(expected / LN10) and f"leaves {share_text(expected)} after 20 steps" in text


def test_start_says_what_the_library_measures():
    text, truth, found = said("start", recurrent_init="gaussian", activation="relu")
    expected = left(recurrent_init="gaussian", activation="relu")
    assert truth == pytest.approx(expected / LN10) and f"20 steps back {share_text(expected)}" in text
    assert f"to {np.abs(found.eigenvalues).max():.2g};" in text
    assert said("start", activation="identity")[1] == pytest.approx(0, abs=1e-9)


def test_a_gate_says_what_the_library_measures():
    text, truth, _ = said("gate", net="GRU", bias=2.0)
    fields = {"cell": "gru", "recurrent_init": "uniform", "input_scale": 0.1, "forget_bias": 2.0}
    assert truth == pytest.approx(left(**fields) / LN10)
    share = gradlab.analyze(**fields).path_share.sel(path="carry").median("sample").values[-50:]
    assert f"{100 * np.median(share):.0f} % of what a step passes back is carried" in text


def test_clipping_does_not_move_the_curve():
    for clip in ("norm", "value"):
        text, truth, found = said("clipping", clip=clip, threshold=0.1)
        np.testing.assert_array_equal(found.curves[0].logs, found.curves[1].logs)
        assert text.startswith(f"The curve has not moved: {share_text(left())} at 20 steps")
        assert "turned by" in text or clip == "norm"


@pytest.mark.parametrize("clip", ["norm", "value"])
@pytest.mark.parametrize("threshold", [0.05, 0.5, 2.0])
def test_norms_of_an_update_are_no_shares(clip, threshold):
    text, _, found = said("clipping", clip=clip, threshold=threshold)
    before, after = (value_text(math.exp(norm), 2) for norm in (found.before, found.after))
    assert f"of norm {before}, is cut to {after}" in text and "%" not in text.partition("of norm")[2]
    assert clip == "value" or after == digits_text(threshold, 2)


def test_a_product_is_that_of_the_factors():
    _, truth, found = said("product", units="1", back=20)
    assert truth == pytest.approx(np.log10(np.prod(found.factors[:20])))
    assert truth == pytest.approx(left(hidden_size=1, recurrent_init="identity", batch_size=1, steps=30) / LN10)
    text, _, found = said("product", units="2", back=7)
    longest, shortest = np.linalg.svd(found.products[7])[1]
    assert f"an ellipse {value_text(longest, 2)} long and {value_text(shortest, 2)} wide" in text


@pytest.mark.parametrize("back", [0, 7, 15, 29, 30])
def test_an_average_is_within_the_ellipse(back):
    text, _, _ = said("product", units="2", back=back)
    longest, shortest, average = (
        float(number.replace("×10^", "e")) / (100 if percent else 1)
        for number, percent in re.findall(r"([\d.]+(?:×10\^-\d+)?)( %)?(?= long| wide| of an average)", text)
    )
    assert shortest <= average <= longest


def test_blame_adds_up_to_all_of_it():
    text, truth, found = said("blame", step=33, gain=1.5)
    assert len(found.share) == 33 and found.share[-1] == pytest.approx(100)
    terms = np.exp(found.logs[33, 1:34])
    assert truth == pytest.approx(100 * terms[-5:].sum() / terms.sum())
    assert f"the latest 5 of 33 steps get {truth:.0f} %" in text


@pytest.mark.parametrize(
    "gain, input_scale, side", [(0.5, 0.0, "come together"), (3.0, 0.0, "parted"), (3, 2, "parted")]
)
def test_the_edge_says_which_side_it_is_on(gain, input_scale, side):
    text, truth, _ = said("edge", gain=gain, input_scale=input_scale)
    assert side in text and (truth > -6) == (side == "parted")
    assert ("above 1" in text) == (side == "parted")


def copies(gain, input_scale):
    """The net of the edge, its input, and both states at first (1, B, H)."""
    cell, params, x = build(RunConfig(gain=gain, input_scale=input_scale))
    rng = np.random.default_rng(0)
    first, aside = rng.normal(size=(2, 1, x.shape[1], cell.hidden_size))
    return cell, params, x[:50], first, first + 1e-6 * aside / np.linalg.norm(aside, axis=-1, keepdims=True)


@pytest.mark.parametrize(("gain", "input_scale"), [(0.5, 2.0), (0.5, 1.0), (0.7, 0.0), (1.0, 2.0)])
def test_copies_come_together_by_their_jacobians_however_near_they_are(gain, input_scale):
    text, truth, found = said("edge", gain=gain, input_scale=input_scale)
    cell, params, x, first, second = copies(gain, input_scale)
    off = (second - first)[0]
    for jacobian in gradlab.jacobian(gradlab.unroll(cell, params, x[:40], initial_state=first)).dense():
        off = np.einsum("bij,bj->bi", jacobian, off)
    expected = np.median(np.log(np.linalg.norm(off, axis=-1)))
    assert truth * LN10 == pytest.approx(expected, abs=1e-4)
    rate = (expected - math.log(1e-6)) / 40
    assert f"{factor_text(rate)} a step; " in text
    assert rate == pytest.approx(math.log(found.chi) / 2, abs=0.1) and factor_text(math.log(found.chi) / 2) in text


@pytest.mark.parametrize(("gain", "input_scale"), [(2.0, 0.0), (3.0, 0.0), (4.0, 2.0)])
def test_copies_part_as_two_runs_do(gain, input_scale):
    cell, params, x, *both = copies(gain, input_scale)
    ways = [gradlab.unroll(cell, params, x, initial_state=state).states[:, 0] for state in both]
    expected = np.median(np.log(np.linalg.norm(ways[1] - ways[0], axis=-1)), axis=-1)
    np.testing.assert_allclose(said("edge", gain=gain, input_scale=input_scale)[2].logs, expected, atol=1e-4)


@pytest.mark.parametrize("net, fields", truncation.NETS.items())
def test_truncation_says_by_how_much_the_gradient_is_off(net, fields):
    text, truth, found = said("truncation", net=net, block="10")
    base = {"loss": "every", "batch_size": 8, **fields}
    cell, params, x = build(RunConfig(**base))
    traj = gradlab.unroll(cell, params, x)
    losses = loss_at_every_step(traj, 0)
    cut, whole = (flatten([*gradlab.bptt(traj, losses, truncate=k).params.values()]) for k in (10, None))
    assert truth == pytest.approx(100 * np.linalg.norm(cut - whole) / np.linalg.norm(whole))
    assert f"off by {truth:.0f} %" in text
    reach = gradlab.verdict(gradlab.analyze(batch_size=8, **fields)).reach
    assert (f"reaches back {reach} steps" in text) == (reach < 99)


def test_a_unit_of_weight_one_forgets_a_pulse_slowly():
    text, truth, _ = said("state", units="1", shape="one-many", step=20)
    h = math.tanh(1.0)
    for _ in range(19):
        h = math.tanh(h)
    assert truth == pytest.approx(h) and f"the state is {h:.2g}, after 1 input and 20 outputs" in text
    assert "after 20 inputs and 1 output." in said("state", shape="many-one", step=20)[0]
    assert said("state", shape="one-one", step=20)[0].startswith("At step 1 ")


@pytest.mark.parametrize("net", others.NETS)
def test_the_others_say_what_compare_measures(net):
    text, truth, _ = said("others", net=net)
    ds = gradlab.compare([others.config({"net": net})], 1).log_input_share.isel(run=0, seed=0).values
    lag = min(60, len(ds) - 1)
    assert truth == pytest.approx(float(ds[lag]) / LN10, abs=1e-9) and f"{share_text(ds[lag])} is left {lag}" in text


def test_what_is_said_of_a_training_is_what_is_stored():
    for net, rule in product(stored.NETS, stored.RULES):
        text, truth, found = said("learning", net=net, rule=rule)
        run = stored.runs()[net, rule]
        assert truth == run.loss[-1] and found.runs[net] is run
        assert ("far below" in text) == (truth < 1 / 12)
    assert "far below" in said("learning", net="lstm", rule="adam")[0]


@pytest.mark.slow
@pytest.mark.parametrize("net", stored.NETS)
def test_stored_runs_repeat(net):
    ds = dataset(gradlab.train(stored.config(net, "adam").replace(iterations=40)))
    run = stored.runs()[net, "adam"]
    np.testing.assert_allclose(ds.held_out_loss.values, run.loss[:2], rtol=1e-4)
    np.testing.assert_allclose(
        ds.surface.isel(layer=0, snapshot=0)[:-1] - ds.surface.isel(layer=0, snapshot=0)[-1],
        run.surface[0][:-1],
        rtol=1e-3,
    )
