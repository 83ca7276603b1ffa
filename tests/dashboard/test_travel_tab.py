"""Travel: the numbers against the lag, their figures, and the tab that computes what is quick at once."""

import re

import numpy as np
import pytest
import xarray as xr

import gradlab
from dashboard.pages.explore.request import Run
from dashboard.pages.explore.tabs import frame, travel
from gradlab import Cancelled, plots
from gradlab.config import RunConfig
from gradlab.plots import lags

from ..plotting import LN10, each_theme, named, words_of
from ..views import props_of

STEPS, SAMPLES, UNITS = 40, 3, 4
LAGS = [1, 2, 5, 10, 20, 40]
TINY = {"steps": 20, "hidden_size": 4, "batch_size": 6}


def dataset(rates=(-0.5, -1.0, -2.0, -4.0), along=(0.4, 0.3, 0.2, 0.1), paths=None, **attrs) -> xr.Dataset:
    """A run whose product over k steps has the singular values exp(k * rate), in the same directions throughout."""
    rates = np.asarray(rates)
    back = np.arange(STEPS, -1.0, -1)
    frobenius = 0.5 * np.logaddexp.reduce(2 * back[:, None] * rates, axis=1)
    gradient = 0.5 * np.logaddexp.reduce(2 * back[:, None] * rates + np.log(along), axis=1)
    fan = np.multiply.outer(LAGS, rates)
    credit = rates[0] * (np.arange(1, STEPS + 1)[:, None] - np.arange(STEPS + 1.0))
    credit[credit > 0] = -np.inf
    everywhere = {"sample": SAMPLES}
    variables = {
        "log_grad_norm": (("state", "time"), gradient[None], everywhere),
        "log_product_norm": (("time",), frobenius, everywhere),
        "log_product_spectral": (("time",), back * rates.max(), everywhere),
        "log_singular_values": (("span", "index_sv"), fan, everywhere),
        "singular_alignment": (("span", "index_sv"), np.broadcast_to(along, fan.shape), everywhere),
    }
    ds = (
        xr.Dataset({name: (d, v) for name, (d, v, _) in variables.items()})
        .expand_dims(everywhere, axis=-1)
        .copy(deep=True)
    )
    ds["log_credit"] = ("loss_time", "time", "credit_sample"), np.where(credit <= 0, credit, -np.inf)[..., None]
    ds["valid_steps"] = "sample", np.full(SAMPLES, STEPS)
    ds = with_paths(ds, paths or {"carry": -1.0, "f": -0.5, "interaction": -np.inf})
    coordinates = {"time": range(STEPS + 1), "step": range(1, STEPS + 1), "span": LAGS, "state": ["h"]}
    return ds.assign_coords(coordinates | {"index": range(UNITS), "loss_time": range(1, STEPS + 1)}).assign_attrs(attrs)


def with_paths(ds: xr.Dataset, rates: dict) -> xr.Dataset:
    logs = np.array([[k * rate for rate in rates.values()] for k in LAGS])
    share = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    for name, values in {"span_path_log_norm": logs, "span_path_share": share}.items():
        ds[name] = ("span", "span_path", "sample"), np.repeat(values[..., None], SAMPLES, axis=-1)
    return ds.assign_coords(span_path=list(rates))


def estimated(ds: xr.Dataset) -> xr.Dataset:
    """The same with products from probes."""
    renamed = ds.rename(log_product_norm="log_product_norm_estimate").drop_vars("log_product_spectral")
    return renamed.assign(log_product_norm_stderr=0.1 + 0 * ds.log_product_norm)


# numbers against the lag


def test_product_curves_are_factors_over_the_lag():
    curves = lags.product_curves(dataset(rates=(-0.5,) * 4))
    k = np.arange(STEPS + 1)
    assert curves.keys() == {"typical", "largest", "gradient"}
    for values in curves.values():
        np.testing.assert_allclose(values, -0.5 * k, atol=1e-12)


def test_the_typical_factor_is_that_of_a_random_direction():
    rng = np.random.default_rng(5)
    rates = np.array([-0.1, -0.2, -0.3, -0.4])
    u = rng.normal(size=(200_000, 4))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    mean_square = ((u * np.exp(10 * rates)) ** 2).sum(axis=1).mean()
    assert lags.product_curves(dataset(rates=rates))["typical"][10] == pytest.approx(
        0.5 * np.log(mean_square), abs=0.01
    )


def test_samples_that_were_left_out_do_not_count():
    ds = dataset()
    ds.log_product_norm[:, 1:] = np.nan
    np.testing.assert_allclose(lags.product_curves(ds)["typical"], lags.product_curves(dataset())["typical"])


@pytest.mark.parametrize(("count", "ranks"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (64, [1, 2, 4, 8, 16, 32, 64])])
def test_the_fan_shows_ranks_that_double(count, ranks):
    assert list(lags.fan_curves(dataset(np.full(count, -1.0), np.full(count, 1 / count)))) == ranks


def test_what_arrives_along_the_largest_direction():
    ds = dataset(rates=(0.0, -np.log(4)), along=(0.2, 0.8))
    shares = lags.leading_shares(ds)
    np.testing.assert_allclose(shares["starts"], 0.2)
    for lag, arrives in zip(LAGS, shares["arrives"], strict=True):
        assert arrives == pytest.approx(0.2 / (0.2 + 0.8 * 16.0**-lag))


def test_what_arrives_is_unknown_where_backprop_was_clipped():
    ds = dataset()
    ds["log_grad_norm_before_clip"] = ds.log_grad_norm
    assert list(lags.leading_shares(ds)) == ["starts"]
    plots.singular_values(ds)
    assert "arrives" not in str(travel.fan_rows(ds))


def test_paths_that_nothing_takes_and_what_rounding_left_are_not_shown():
    ds = dataset(paths={"carry": -3.0, "f": -0.5, "i": -np.inf, "interaction": -2.0})
    assert lags.taken_paths(ds) == ["carry", "f", "interaction"]
    share, norm = lags.path_curves(ds)
    np.testing.assert_allclose(sum(share.values()), 1.0)
    assert np.isfinite(norm["carry"]).all()  # it is multiplied out by itself, however small
    assert np.isnan(norm["interaction"][-1]) and np.isfinite(norm["interaction"][0])


# figures


@each_theme
@pytest.mark.parametrize("figure", ["product_norms", "singular_values", "span_paths"])
def test_the_loss_is_on_the_right_and_far_ends_are_labelled(figure, theme):
    fig = plots.FIGURES[figure](dataset(), theme=theme)
    assert fig.layout.xaxis.range == (STEPS + 0.5, -0.5)
    assert "lag" in fig.layout.xaxis.title.text
    assert all(axis.type != "log" for axis in fig.select_yaxes())
    powers = fig.layout.yaxis2 if figure == "span_paths" else fig.layout.yaxis
    assert powers.tickprefix == "10<sup>"


def test_products_say_whether_they_are_exact_and_of_how_many_samples():
    ds = dataset()
    assert "exact, 3 samples" in words_of(plots.product_norms(ds))
    ds.log_product_norm[:, 1:] = np.nan
    assert "exact, 1 of 3 samples" in words_of(plots.product_norms(ds))
    words = words_of(plots.product_norms(estimated(dataset())))
    assert "estimate, 3 samples, random probes" in words
    assert "exact" not in words


def test_product_lines_have_their_values():
    fig = plots.product_norms(dataset(rates=(-1.0,) * 4))
    for name in ("typical", "largest", "gradient"):
        (trace,) = named(fig, name)
        np.testing.assert_allclose(trace.y, -trace.x / LN10, atol=1e-5)
    assert {t.line.dash for t in fig.data if t.mode == "lines" and t.name} == {"solid", "dash"}


def test_samples_that_end_early_are_mentioned():
    ds = dataset()
    ds["valid_steps"] = "sample", [STEPS, 7, STEPS]
    assert "1 of 3 samples end before step 40" in words_of(plots.product_norms(ds))


def test_the_fan_says_how_many_directions_there_are():
    ds = dataset()
    fig = plots.singular_values(ds)
    assert "all 4, median over 3 samples" in words_of(fig)
    for rank, rate in ((1, -0.5), (2, -1.0), (4, -4.0)):
        (trace,) = named(fig, f"σ<sub>{rank}</sub>")
        np.testing.assert_allclose(trace.y, rate * np.array(LAGS) / LN10, rtol=1e-6)
    ds.log_singular_values[..., 1:] = np.nan
    assert "leading 2 of 4, median over 1 sample" in words_of(plots.singular_values(ds.isel(index_sv=slice(2))))


@each_theme
def test_the_triangle_has_the_fixed_colour_scale_and_an_empty_half(theme):
    (trace,) = plots.credit(dataset(), theme).data
    assert (trace.zmin, trace.zmax) == (-12, 12)
    z = np.asarray(trace.z)
    t, k = np.arange(1, STEPS + 1)[:, None], np.arange(STEPS + 1)
    assert np.isnan(z[np.broadcast_to(k > t, z.shape)]).all()
    np.testing.assert_allclose(z[k <= t], (-0.5 * (t - k) / LN10)[k <= t], atol=1e-5)


def test_a_long_triangle_is_binned_and_says_so():
    steps, losses = 1000, np.arange(5, 1001, 5)
    logs = np.where(np.arange(steps + 1) <= losses[:, None], 0.0, -np.inf)
    ds = xr.Dataset(
        {"log_credit": (("loss_time", "time", "credit_sample"), logs[..., None])},
        {"loss_time": losses, "time": range(steps + 1), "step": range(1, steps + 1)},
    )
    fig = plots.credit(ds)
    assert np.shape(fig.data[0].z) == (200, 334)
    assert "200 of 1000 losses; each cell shows the largest of 3 steps" in words_of(fig)


def test_shares_far_beyond_1_do_not_flatten_the_rest():
    ds = dataset()
    ds.span_path_share[2] = 500.0
    low, high = plots.span_paths(ds).layout.yaxis.range
    assert (low, high) >= (-1.0, 1.0) and high <= 2.0


# the tab


def having(samples: int) -> xr.Dataset:
    return xr.Dataset(coords={"sample": range(samples)})


def test_few_samples_are_taken_at_first_and_more_when_asked():
    quick, slow = RunConfig(**TINY), RunConfig(cell="lstm", hidden_size=128)
    assert travel.samples(quick, None) == quick.batch_size
    assert travel.samples(slow, None) == travel.FEW
    assert travel.samples(slow.replace(batch_size=2), None) == 2
    offer = travel.offer(slow, having(travel.FEW))
    assert "11 samples over 100 steps" in offer.text  # more cannot be multiplied out
    assert offer.seconds > travel.offer(slow, None).seconds
    assert travel.offer(slow, having(11)) is None
    assert travel.offer(quick, having(quick.batch_size)) is None


def test_what_cannot_be_multiplied_out_is_estimated_from_all_samples():
    huge = RunConfig(cell="lstm", hidden_size=1024)
    assert travel.affordable(huge) == 0
    assert travel.samples(huge, None) == travel.FEW
    assert travel.samples(huge, having(travel.FEW)) == huge.batch_size


def test_the_default_run_appears_by_itself():
    assert travel.offer(RunConfig(), None).seconds <= frame.LIVE


def test_what_is_too_large_to_multiply_out_goes_without_singular_values(monkeypatch):
    asked = []
    monkeypatch.setattr(gradlab, "analyze", lambda config, record, on_progress: asked.append((config, record)))
    travel.compute(RunConfig(cell="lstm", hidden_size=1024), None, lambda share: None)
    travel.compute(RunConfig(), None, lambda share: None)
    (large, without), (_, everything) = asked
    assert large.batch_size == travel.FEW
    assert "singular_values" not in without and "products" in without
    assert set(everything) == set(travel.RECORDS)


def test_the_work_tells_its_progress_and_can_be_cancelled():
    told = []
    ds = travel.compute(RunConfig(**TINY), None, told.append)
    assert told == sorted(told) and told[-1] <= 1.0 and len(told) > 3
    assert {"log_product_norm", "log_singular_values", "log_credit", "span_path_share"} <= set(ds)

    def cancel(share):
        raise Cancelled

    with pytest.raises(Cancelled):
        travel.compute(RunConfig(**TINY), None, cancel)


def test_stages_follow_each_other():
    told = []
    tell = travel.in_stages(told.append, 2)
    for share in (0.5, 1.0, 0.5, 1.0, 0.1):  # one stage more than was expected
        tell(share)
    assert told == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_basis_never_makes_an_estimate_look_exact():
    config = RunConfig(batch_size=32)
    exact = travel.basis(dataset(), config)
    assert "3 samples, drawn like the 32 of the run above" in exact
    assert "not estimated" in exact
    assert "the samples of the run above" in travel.basis(dataset(), RunConfig(batch_size=SAMPLES))
    probes = travel.basis(estimated(dataset()), config)
    assert re.search(r"estimated from random probes, standard error .* up to 0\.1", probes)
    assert "Multiplied out" not in probes


def test_tables_tell_what_the_figures_show():
    ds = dataset(rates=(-LN10,) * 4)
    rows = {row["lag"]: row for row in travel.product_rows(ds)}
    assert list(rows) == ["1", "2", "5", "10", "20", "40"]
    assert rows["2"] == {"lag": "2", "typical": "0.01", "largest": "0.01", "gradient": "0.01"}
    assert rows["10"]["largest"] == "10^-10"
    fan = travel.fan_rows(dataset())
    assert fan[0] == {"lag": "1", "σ 1": "0.607", "σ 2": "0.368", "σ 4": "0.0183", "arrives along σ 1": "77 %"}
    assert fan[-1]["σ 4"] == "3.3×10^-70"
    credit = travel.credit_rows(ds)
    assert credit[0]["loss at step"] == "40" and credit[0]["0 back"] == "1" and credit[0]["2 back"] == "0.01"
    assert credit[-1] == {"loss at step": "1", "0 back": "1", "1 back": "0.1"} | dict.fromkeys(list(credit[0])[3:], "")
    assert [row["lag"] for row in travel.path_rows(ds)] == [str(k) for k in LAGS]


def test_the_tab_shows_what_is_quick_at_once():
    config = RunConfig(**TINY, seed=11)
    run = Run(gradlab.analyze(config), config, "light")
    text = props_of(frame.content(travel.WORK, run))
    assert text.count("Show as table") == 3  # an Elman net has one path only
    assert text.count("role='img'") == 3
    assert "the samples of the run above" in text
    lstm = config.replace(cell="lstm")
    assert props_of(frame.content(travel.WORK, Run(gradlab.analyze(lstm), lstm, "dark"))).count("Show as table") == 4


def test_the_tab_asks_before_it_takes_long(monkeypatch):
    monkeypatch.setattr(frame, "LIVE", 0.0)
    config = RunConfig(**TINY, seed=12)
    text = props_of(frame.content(travel.WORK, Run(gradlab.analyze(config), config, "light")))
    assert "6 samples over 20 steps. Takes about 1 s." in text
    assert travel.WORK.job(config) is None


def test_subscripts():
    first, sub, rest = travel.with_subscripts("‖s_T‖")
    assert (first, sub.children, rest) == ("‖s", "T", "‖")
