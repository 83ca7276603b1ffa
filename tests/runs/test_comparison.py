"""Runs that are compared: their numbers against `analyze` alone, over seeds, as they come, and in words."""

import csv
import io
import json
import math
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab import RunConfig
from gradlab.errors import InputError
from gradlab.quantities.course import course
from gradlab.runs import training_step
from gradlab.runs.comparison import AFTER, Seed, one_seed, plan
from gradlab.runs.cost import memory
from gradlab.runs.curves import csv_of_comparison
from gradlab.runs.netcdf import netcdf
from gradlab.runs.ranking import curve_rows, memory_text, order, ranking_rows, said, time_text
from gradlab.runs.shares import median
from gradlab.runs.sizes import parameter_count

SMALL = {"hidden_size": 8, "batch_size": 3, "steps": 20}
ELMAN, LSTM = RunConfig(**SMALL), RunConfig(cell="lstm", forget_bias=1.0, **SMALL)
ATTENTION = LSTM.replace(attention="dot")
BLOCKS = RunConfig(architecture="transformer", layers=2, causal=True, **SMALL)
TREE = RunConfig(architecture="tree", **SMALL)


@pytest.fixture(scope="module")
def compared():
    return gradlab.compare([ELMAN, LSTM, BLOCKS, TREE], seeds=3)


def seed(share, **known):
    """A seed with that share of the gradient by lag."""
    about = {"relative_to": "lag 0", "unit": "step", "log_rate": math.nan, "theory": "", "overflowed": False}
    return Seed(np.asarray(share, dtype=float), **(about | {"step_seconds": 0.01} | known))


def made(*curves, seeds=1, **known):
    """A Dataset of runs with these curves, each a list of one share by lag for every seed."""
    steps = max(len(share) for run in curves for share in run)
    chosen = plan([RunConfig(gain=n + 1.0, steps=steps) for n in range(len(curves))], seeds)
    found = {c: seed(s, **known) for n, run in enumerate(curves) for c, s in zip(chosen.of_run(n), run, strict=False)}
    return chosen.dataset(found)


def fading(rate, steps=120):
    return rate * np.arange(steps)


# the numbers


@pytest.mark.parametrize("config", [ELMAN, LSTM, ATTENTION, BLOCKS, TREE], ids=lambda c: f"{c.architecture} {c.cell}")
def test_a_seed_is_the_run_alone(config):
    found, alone = one_seed(config), gradlab.analyze(config, record=["theory"])
    shares = alone["log_input_share"]
    np.testing.assert_array_equal(found.share, median(shares.transpose("lag", "sample").values))
    assert found.relative_to == shares.attrs["relative_to"]
    assert found.unit == ("level" if config.architecture == "tree" else "step")
    if config is ELMAN:
        assert found.log_rate == float(alone.theory_log_rate[0]) and found.theory == "mean field"
    elif not isinstance(alone, xr.Dataset):
        assert math.isnan(found.log_rate) and found.theory == ""


def test_every_seed_is_the_runs_own_and_so_many_more(compared):
    for n in range(3):
        alone = one_seed(LSTM.replace(seed=n)).share
        np.testing.assert_array_equal(compared.log_input_share[1, n, :20], alone)
    levels = one_seed(TREE).share
    np.testing.assert_array_equal(compared.log_input_share[3, 0, : len(levels)], levels)
    assert np.isnan(compared.log_input_share[3, 0, len(levels) :]).all()
    later = gradlab.compare([LSTM.replace(seed=1)], seeds=2)
    np.testing.assert_array_equal(later.log_input_share[0], compared.log_input_share[1, 1:])


def test_slope_and_its_error_are_over_seeds(compared):
    each = np.array([course(share).log_rate for share in compared.log_input_share[1, :, :20].values])
    assert float(compared.slope[1]) == pytest.approx(each.mean(), rel=1e-12)
    assert float(compared.slope_stderr[1]) == pytest.approx(each.std(ddof=1) / math.sqrt(3), rel=1e-12)
    assert math.isnan(gradlab.compare([ELMAN], seeds=1).slope_stderr[0])


def test_slopes_by_hand():
    ds = made([fading(-0.5), fading(-0.3)], [fading(0.1), fading(0.1)], seeds=2)
    np.testing.assert_allclose(ds.slope, [-0.4, 0.1], rtol=1e-12)
    np.testing.assert_allclose(ds.slope_stderr, [0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose(ds.log_left[0], [-4, -20, -40, np.nan], rtol=1e-12)
    np.testing.assert_allclose(ds.log_factor, [-0.4 * 119, 0.1 * 119], rtol=1e-12)
    assert list(ds.verdict.values) == ["vanishing", "exploding"] and list(ds.span.values) == [119, 119]


def test_exactly_zero_is_minus_infinity():
    dead = np.append(fading(-0.1, 15), [-np.inf] * 5)
    ds = made([dead, dead], seeds=2)
    assert float(ds.slope[0]) == float(ds.log_factor[0]) == -np.inf and math.isnan(ds.slope_stderr[0])
    assert ranking_rows(ds)[0]["per step back"] == "x0" and ranking_rows(ds)[0]["at its end"] == "0 (19)"


def test_theory_is_the_middle_one():
    chosen = plan([ELMAN], 3)
    found = {
        c: seed(fading(-1, 20), log_rate=r, theory="mean field")
        for c, r in zip(chosen.wanted, (-1, -3, -2), strict=True)
    }
    ds = chosen.dataset(found)
    assert float(ds.theory_log_rate[0]) == -2 and str(ds.theory.values[0]) == "mean field"


def test_equal_parameters(compared):
    ds = gradlab.compare([ELMAN, LSTM, BLOCKS], seeds=1, equal="parameters")
    counts = [parameter_count(RunConfig(**json.loads(text))) for text in ds.config.values]
    assert list(ds.parameters.values) == counts and counts[0] == parameter_count(ELMAN)
    assert list(ds.hidden_size.values) == [RunConfig(**json.loads(text)).hidden_size for text in ds.config.values]
    assert list(compared.hidden_size.values) == [8] * 4 and ds.attrs["equal"] == "parameters"
    np.testing.assert_array_equal(ds.log_input_share[0, 0], compared.log_input_share[0, 0])


def test_clipping_inside_backpropagation_changes_the_curve():
    exploding = RunConfig(gain=4.0, **SMALL)
    ds = gradlab.compare([exploding, exploding.replace(clip="step_norm", clip_threshold=1.0)], seeds=1)
    assert float(ds.slope[1]) < 0.5 * float(ds.slope[0])


def test_an_overflow_has_its_word():
    ds = gradlab.compare([RunConfig(activation="relu", gain=gain, **SMALL) for gain in (1e200, 1e308, 1.0)], seeds=1)
    assert list(ds.verdict.values) == ["overflow", "overflow", "vanishing"]


# what a step of training costs


@pytest.mark.parametrize("config", [ELMAN, LSTM, ATTENTION, BLOCKS, TREE], ids=lambda c: f"{c.architecture} {c.cell}")
def test_a_step_is_forward_and_back_once(config, monkeypatch):
    """Its gradients are all fetched, and are those of the loss that the run's probe is."""
    fetched = []
    monkeypatch.setattr(training_step, "to_numpy", fetched.append)
    training_step.training_step(config)()
    assert sum(np.size(gradient) for gradient in fetched) == parameter_count(config)
    assert all(np.isfinite(gradient).all() for gradient in fetched) and any(np.any(g) for g in fetched)


def test_the_memory_of_a_step_is_predicted(compared):
    assert compared.step_bytes.attrs["long_name"].endswith("predicted, within a factor of 2")
    assert list(compared.step_bytes.values) == [memory(config) for config in (ELMAN, LSTM, BLOCKS, TREE)]


def test_the_least_disturbed_measurement_counts():
    chosen = plan([ELMAN], 2)
    found = {c: seed(fading(-1, 20), step_seconds=s) for c, s in zip(chosen.wanted, (2.0, 1.0), strict=True)}
    assert float(chosen.dataset(found).step_seconds[0]) == 1.0
    assert float(gradlab.compare([ELMAN], 1).step_seconds[0]) > 0


# as they come


def test_a_dataset_grows_as_seeds_come():
    chosen = plan([ELMAN, LSTM], 2)
    assert chosen.wanted == [ELMAN, LSTM, ELMAN.replace(seed=1), LSTM.replace(seed=1)]
    nothing = chosen.dataset({})
    assert np.isnan(nothing.log_input_share).all() and list(nothing.verdict.values) == ["", ""]
    assert said(nothing) is None and ranking_rows(nothing)[0]["per step back"] == ""
    some = chosen.dataset({config: one_seed(config) for config in chosen.wanted[:3]})
    assert said(some).details[-1] != "2 seeds of each."
    whole = chosen.dataset({config: one_seed(config) for config in chosen.wanted})
    for part in (nothing, some):
        assert part.sizes == whole.sizes and list(part) == list(whole)
        assert {name: part[name].dtype.kind for name in part} == {name: whole[name].dtype.kind for name in whole}
    np.testing.assert_array_equal(some.log_input_share[0], whole.log_input_share[0])
    assert said(whole).details[-1] == "2 seeds of each."


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, pytest.param(ProcessPoolExecutor, marks=pytest.mark.slow)])
def test_an_executor_computes_the_same(compared, pool):
    with pool(2) as executor:
        found = gradlab.compare([ELMAN, LSTM, BLOCKS, TREE], seeds=3, executor=executor)
    assert found.drop_vars("step_seconds").identical(compared.drop_vars("step_seconds"))


def test_saved_and_read_back_whole(compared):
    with xr.open_dataset(io.BytesIO(netcdf(compared))) as read:
        assert read.load().identical(compared)
        assert {name: v.dtype for name, v in read.variables.items()} == {
            n: v.dtype for n, v in compared.variables.items()
        }


def test_curves_as_csv(compared):
    head, *lines = csv.reader(io.StringIO(csv_of_comparison(compared)))
    assert head == ["lag", *(f"ln_share_left {name}" for name in compared.run.values)]
    assert [float(cell) for cell in lines[0]] == [0, 0, 0, 0, 0] and lines[19][4] == ""
    np.testing.assert_allclose(float(lines[7][2]), compared.log_input_share[1, :, 7].median(), rtol=1e-12)


# names and errors


def test_runs_are_called_as_they_are_given():
    ds = gradlab.compare({"plain": ELMAN, "gated": LSTM}, seeds=1)
    assert list(ds.run.values) == ["plain", "gated"]


@pytest.mark.parametrize(
    ("given", "text", "field"),
    [
        (([],), "expected 1 to 6 runs, got 0", "configs"),
        (([ELMAN] * 7,), "expected 1 to 6 runs, got 7; leave some out", "configs"),
        ((["lstm"],), "expected RunConfigs, got 'lstm'", "configs"),
        (({1: ELMAN, "1": LSTM},), "expected a name of its own for each run, got '1' twice", "configs"),
        (([ELMAN], 0), "expected a whole number from 1 on, got 0", "seeds"),
        (([ELMAN], 2.5), "expected a whole number from 1 on, got 2.5", "seeds"),
        (([ELMAN], True), "expected a whole number from 1 on, got True", "seeds"),
    ],
)
def test_what_cannot_be_compared_is_said(given, text, field):
    with pytest.raises(InputError, match=text) as error:
        gradlab.compare(*given)
    assert error.value.field == field


def test_one_run_is_no_sequence():
    with pytest.raises(InputError, match="expected RunConfigs in a list or a mapping, got one alone"):
        gradlab.compare(ELMAN)


def test_a_run_that_cannot_be_read_has_no_number_of_parameters(tmp_path):
    (path := tmp_path / "words.csv").write_bytes(b"\0" * 99)
    for wrong in ({"input": str(path)}, {"input": "/nowhere.csv"}, {"weights": "/nowhere.safetensors"}):
        chosen = plan({"own": RunConfig(**SMALL, **wrong), "plain": ELMAN}, 1)
        ds = chosen.dataset({ELMAN: one_seed(ELMAN)})
        assert math.isnan(ds.parameters[0]) and float(ds.parameters[1]) == parameter_count(ELMAN)
        assert ds.parameters.dtype == float and [*chosen.unreadable] == ["own"]
        rows = {row["run"]: row["parameters"] for row in ranking_rows(ds)}
        assert rows == {"own": "", "plain": f"{parameter_count(ELMAN):,}"} and said(ds) is not None


@pytest.mark.parametrize("first", [True, False])
def test_a_run_that_cannot_be_read_is_named_where_sizes_are_equal(first):
    runs = {"own": RunConfig(input="/nowhere.csv", **SMALL), "plain": ELMAN}
    with pytest.raises(InputError, match="^own: .*file not found") as error:
        plan(runs if first else dict(reversed(runs.items())), 1, "parameters")
    assert error.value.field == "configs"


# in order and in words


def test_ranked_by_slope_and_by_what_is_left():
    early = np.concatenate([fading(-1.0, 12), np.full(108, -11.0)])  # steep, then level
    ds = made([fading(-0.5)], [early], [fading(0.2)], [fading(-0.05, 40)])
    assert order(ds) == [2, 3, 1, 0]
    assert order(ds, "10") == [2, 3, 0, 1]
    assert order(ds, "100") == [2, 1, 0, 3]  # not known of the last one
    assert [row["after 50"] for row in ranking_rows(ds, "50")] == ["10^4", "10^-5", "10^-11", ""]


@pytest.mark.parametrize(
    ("curves", "headline", "details"),
    [
        (
            [[-0.5]],
            "Elman: the gradient vanishes, x0.61 per step back.",
            ["After 100 steps 10^-22 of its gradient is left."],
        ),
        ([[0.5]], "Elman: the gradient explodes, x1.65 per step back.", []),
        (
            [[-0.5], [-0.1]],
            "Gain 2 reaches farthest: x0.90 per step back.",
            [
                "After 100 steps 10^-4 of its gradient is left.",
                "Gain 1 loses most: x0.61 per step back, 10^-22 after 100.",
            ],
        ),
        ([[-0.5], [0.5]], "Gain 1 reaches farthest: x0.61 per step back.", ["Gain 2 explodes."]),
        ([[0.5], [0.3]], "Every gradient explodes, least that of gain 2: x1.35 per step back.", []),
        (
            [[0.0], [-0.02]],
            "Gain 1 reaches farthest: x1.00 per step back.",
            ["After 100 steps 1 of its gradient is left."],
        ),
        (
            [[0.03]],
            "Elman: the gradient is carried, x1.03 per step back.",
            ["After 100 steps its gradient is 20 times as large."],
        ),
    ],
)
def test_the_sentence_is_said_from_the_numbers(curves, headline, details):
    ds = made(*([fading(rate) for rate in run] for run in curves))
    found = said(ds)
    assert found.headline == headline
    assert set(details) <= set(found.details) and found.details[-1] == "1 seed of each."


def test_what_chance_explains_is_no_difference():
    alike = [fading(-0.50), fading(-0.54)], [fading(-0.51), fading(-0.55)]
    assert said(made(*alike, seeds=2)).headline.startswith("Gain 1 and gain 2 reach farthest: about x0.59")
    apart = [fading(-0.50), fading(-0.501)], [fading(-0.51), fading(-0.511)]
    assert said(made(*apart, seeds=2)).headline == "Gain 1 reaches farthest: x0.61 per step back."


def test_trees_are_told_by_what_is_left_at_their_end():
    ds = made([fading(-0.1)], [fading(-0.5, 7)], unit="level")
    assert said(ds).headline == "Gain 2 keeps most: 5 % is left 6 levels down."
    assert said(ds).details[0] == "Gain 1 keeps least: 10^-5 is left 119 levels down."


def test_no_run_loses_most_that_reaches_farthest_too():
    alike = said(made([fading(-0.50), fading(-0.54)], [fading(-0.51), fading(-0.55)], seeds=2))
    assert "reach farthest" in alike.headline and "loses most" not in " ".join(alike.details)
    same = said(made([fading(-0.5)], [fading(-0.5)]))
    assert "reach farthest" in same.headline and "loses most" not in " ".join(same.details)
    third = made(*([fading(rate)] for rate in (-0.5, -0.5, -0.9)))
    assert said(third).details[-2].startswith("Gain 3 loses most: x0.41 per step back")


@pytest.mark.parametrize(
    ("rates", "headline", "details"),
    [
        ([0.9, 1.5], "Every gradient explodes, least that of gain 1: 10^2 is left 6 levels down.", []),
        ([-0.9], "Elman: the gradient vanishes, x0.41 per level down.", []),
        ([0.9], "Elman: the gradient explodes, x2.46 per level down.", []),
        ([-0.9, -0.9], "Gain 1 keeps most: 0.45 % is left 6 levels down.", []),
        (
            [-0.9, 1.5, 1.6, 1.7, -1.5],
            "Gain 1 keeps most: 0.45 % is left 6 levels down.",
            ["Gain 5 keeps least: 0.012 % is left 6 levels down.", "Gain 4, gain 3 and gain 2 explode."],
        ),
    ],
)
def test_trees_in_words(rates, headline, details):
    found = said(made(*([fading(rate, 7)] for rate in rates), unit="level"))
    assert found.sentences == [headline, *details, "1 seed of each."]


@pytest.mark.parametrize("unit", ["step", "level"])
def test_exactly_nothing_left_has_its_sentence(unit):
    dead, back = np.append(fading(-0.1, 15), [-np.inf] * 5), {"step": "steps back", "level": "levels down"}[unit]
    alone = said(made([dead], unit=unit))
    assert alone.headline == f"Elman: of the gradient nothing is left 19 {back}." and alone.word == "vanishing"
    both = said(made([dead], [dead], unit=unit))
    assert both.sentences == ["Gain 1 and gain 2 keep nothing of the gradient.", "1 seed of each."]
    beside = said(made([dead], [fading(0.5, 20)], unit=unit))
    assert beside.sentences[:2] == ["Gain 1 keeps nothing of the gradient.", "Gain 2 explodes."]
    live = said(made([dead], [fading(-0.5, 20)], unit=unit))
    assert live.headline.startswith("Gain 2 keeps most" if unit == "level" else "Gain 2 reaches farthest")


def test_where_some_seeds_have_nothing_left_the_middle_one_tells():
    dead = np.append(fading(-0.1, 15), [-np.inf] * 5)
    ds = made([dead, dead, fading(-0.1, 20)], [dead, fading(-0.2, 20), fading(-0.3, 20)], seeds=3)
    assert said(ds).headline == "Gain 2 keeps most: 0.33 % is left 19 steps back."
    assert said(ds).details[0] == "Gain 1 keeps least: nothing is left 19 steps back."


def test_lags_of_trees_are_their_levels():
    found = {run: one_seed(run) for run in plan([TREE, TREE.replace(tree="random")], 2).wanted}
    for runs in ([TREE], [TREE, TREE.replace(tree="random")]):
        chosen = plan(runs, 2)
        own = {seed: found[seed] for seed in chosen.wanted}
        assert chosen.dataset(own).sizes["lag"] == max(len(seed.share) for seed in own.values()) < TREE.steps
        assert chosen.dataset({}).sizes["lag"] == 1
    beside = plan([TREE, ELMAN.replace(steps=50)], 1)
    assert beside.dataset({TREE: found[TREE]}).sizes["lag"] == 50


def test_what_is_lost_between_both_ends_is_said():
    valley = -0.3 * np.minimum(np.arange(120), 119 - np.arange(120))
    assert "In between it is lost: 10^-8 is left 59 steps back." in said(made([valley])).details


def test_the_curves_as_rows():
    texts = curve_rows(made([fading(-1.0, 30)], [fading(-1.0, 4)]))
    assert [row["steps back"] for row in texts] == ["0", "1", "2", "5", "10", "20", "29"]
    assert (texts[2]["gain 1"], texts[3]["gain 2"]) == ("0.14", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.5e-4, "850 µs"), (0.0067, "6.7 ms"), (0.25, "250 ms"), (1.2, "1.2 s"), (math.nan, "")]
)
def test_times(seconds, text):
    assert time_text(seconds) == text


@pytest.mark.parametrize(("nbytes", "text"), [(8.5e6, "8.5 MB"), (1.7e8, "170 MB"), (2.3e9, "2.3 GB")])
def test_bytes(nbytes, text):
    assert memory_text(nbytes) == text


def test_lags_are_those_that_are_told():
    assert list(made([fading(-1.0)]).after.values) == list(AFTER)
    assert math.isnan(seed(fading(-1.0, 1)).slope)  # one step has none
