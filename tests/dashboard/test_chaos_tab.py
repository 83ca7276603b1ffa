"""Chaos: figures of the Lyapunov spectrum, and the tab that computes it when asked, in each of its states."""

import time
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
import xarray as xr

import gradlab
from dashboard.pages.explore.request import Run
from dashboard.pages.explore.tabs import chaos, frame
from gradlab import InputError, plots
from gradlab.config import RunConfig
from gradlab.config.links import to_query
from gradlab.plots.colours import THEMES
from gradlab.products.lyapunov import LyapunovSpectrum, lyapunov
from gradlab.runs import spectrum as spectra
from gradlab.runs.build import build

from ..plotting import each_theme, words_of
from ..views import props_of, until

TINY = {"steps": 20, "hidden_size": 4, "batch_size": 3}
PATIENCE = 10.0  # s


def dataset(exponents=(0.2, 0.0, -0.5), errors=0.01) -> xr.Dataset:
    exponents = np.asarray(exponents, dtype=float)
    steps = np.arange(10, 101, 10)
    running = exponents + 0.1 / steps[:, None]
    return xr.Dataset(
        {
            "lyapunov_exponent": ("exponent", exponents),
            "lyapunov_stderr": ("exponent", np.full(len(exponents), errors)),
            "lyapunov_running": (("running_step", "exponent"), running),
        },
        {"exponent": range(1, len(exponents) + 1), "running_step": steps},
    )


def spectrum(exponents=(0.2, 0.0, -0.5), **changes) -> LyapunovSpectrum:
    ds, k = dataset(exponents), len(exponents)
    fields = {
        "exponents": ds.lyapunov_exponent.values,
        "stderr": ds.lyapunov_stderr.values,
        "samples": np.repeat(ds.lyapunov_exponent.values[:, None], 4, axis=1),
        "running": ds.lyapunov_running.values,
        "running_steps": ds.running_step.values,
        "steps": 1800,
        "warmup": 200,
        "every": 2.5,
        "kaplan_yorke": np.float64(min(2.4, k)),
        "entropy_rate": np.float64(0.2),
        "converged": True,
        "notes": [],
    }
    return LyapunovSpectrum(**fields | changes)


PLAN = spectra.Plan(2000, 4, 3, 3)


def outcome(plan=PLAN, **changes) -> spectra.Outcome:
    return spectra.Outcome(plan, spectrum(**changes))


# figures


@each_theme
def test_exponents_are_coloured_against_0_and_have_error_bars(theme):
    fig = plots.lyapunov(dataset(), theme)
    (dots,) = fig.data
    look = THEMES[theme]
    assert dots.marker.color == (look.above, look.below, look.below)
    np.testing.assert_allclose(dots.error_y.array, 0.01)
    assert dots.text[0] == "λ<sub>1</sub> = 0.200 ± 0.01, ×1.22 per step"
    assert "one standard error" in words_of(fig)
    low, high = fig.layout.yaxis.range
    assert low < -0.51 and high > 0.21


def test_unknown_errors_are_not_drawn_as_none():
    fig = plots.lyapunov(dataset(errors=np.nan))
    assert "errors unknown" in words_of(fig)
    assert "±" not in fig.data[0].text[0]


def test_lost_directions_stand_open_on_the_floor():
    fig = plots.lyapunov(dataset((0.1, -0.2, -np.inf)))
    (dots,) = fig.data
    assert dots.marker.symbol == ("circle", "circle", "circle-open")
    assert dots.y[2] == pytest.approx(fig.layout.yaxis.range[0])
    assert dots.text[2] == "λ<sub>3</sub> = −∞, ×0 per step"
    assert np.isfinite(dots.y).all()
    course = plots.lyapunov_course(dataset((0.1, -0.2, -np.inf)))
    assert "λ<sub>3</sub> −∞" in words_of(course)
    assert "inf" not in str([trace.text for trace in course.data])


def test_courses_of_the_leading_exponents_are_labelled_where_they_end():
    fig = plots.lyapunov_course(dataset(np.linspace(0.5, -3, 40)))
    assert len(fig.data) == 5
    assert [f"λ<sub>{n}</sub>" in words_of(fig) for n in (1, 5, 6)] == [True, True, False]
    assert len({trace.line.dash for trace in fig.data}) == 5
    assert "the leading one" in words_of(plots.lyapunov_course(dataset([0.3])))


def test_what_has_not_settled_at_first_does_not_set_the_axis():
    ds = dataset([0.1])
    ds.lyapunov_running[0] = 1e6
    ds = ds.assign_coords(running_step=[1, *range(20, 101, 9)][: ds.sizes["running_step"]])
    low, high = plots.lyapunov_course(ds).layout.yaxis.range
    assert high < 1


# words


@pytest.mark.parametrize(
    ("exponents", "text"),
    [
        ((0.2, -0.5), r"Chaotic: largest exponent +0.200 ± 0.01, x1.22 per step."),
        ((-0.2, -0.5), "Not chaotic: largest exponent -0.200 ± 0.01, x0.82 per step."),
        (
            (0.005, -0.5),
            "On the edge of chaos: largest exponent +0.005 ± 0.01, x1.01 per step; its sign cannot be told ",
        ),
        ((-np.inf, -np.inf), "Not chaotic: every difference is gone after a step"),
    ],
)
def test_headlines(exponents, text):
    assert chaos.headline(spectrum(exponents)).startswith(text)


def test_how_large_the_chaos_is():
    run = Run(gradlab.analyze(**TINY), RunConfig(**TINY), "light")
    text = chaos.rest(outcome(), run)
    assert "1 of 3 directions drifts apart, together by 0.2 nats per step" in text
    assert "about 2.4 of 3 dimensions (Kaplan-Yorke)" in text
    assert "per step over 20 steps" in text
    some = chaos.rest(outcome(spectra.Plan(2000, 4, 3, 9), kaplan_yorke=np.float64(np.nan)), run)
    assert "1 of the leading 3 directions" in some
    assert "needs more than 3 exponents" in some
    few = chaos.rest(outcome(spectra.Plan(2000, 4, 3, 9), entropy_rate=np.float64(np.nan)), run)
    assert "together by at least 0.2 nats per step" in few
    assert "Kaplan" not in chaos.rest(outcome(exponents=(-0.1, -0.2, -0.3)), run)


def test_the_caption_says_that_it_is_an_estimate_and_how_it_was_made():
    text = chaos.caption(outcome())
    assert text.startswith("An estimate: means over 1,800 steps after 200 uncounted ones, of 4 independent inputs")
    assert "one standard error" in text and "every 2.5 steps" in text
    assert "at every step" in chaos.caption(outcome(every=1.0))
    assert "may overlap" in chaos.caption(outcome(spectra.Plan(2000, 4, 3, 3, own=True)))
    doubtful = outcome(converged=False, notes=["too short", "a remark"])
    assert "a remark" in chaos.caption(doubtful) and "too short" not in chaos.caption(doubtful)


def test_the_table_holds_every_exponent():
    rows = chaos.rows(spectrum())
    assert [row["index"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["exponent, factor per step"] == "-0.500 ± 0.01, ×0.607 per step"


# what is computed


def test_the_first_plan_and_the_next():
    config = RunConfig()
    first = spectra.plan(config, None)
    assert first == spectra.Plan(spectra.STEPS, spectra.SAMPLES, 64, 64)
    short = spectra.Outcome(first, spectrum(converged=False, notes=["drifting"]))
    assert spectra.plan(config, short) == replace(first, steps=spectra.MORE * spectra.STEPS)
    large = spectra.plan(RunConfig(hidden_size=256), None)
    assert (large.k, large.size) == (spectra.FIRST, 256)
    unknown = spectra.Outcome(large, spectrum(kaplan_yorke=np.float64(np.nan)))
    assert spectra.plan(RunConfig(hidden_size=256), unknown) == replace(large, k=256)


def test_offers():
    config = RunConfig()
    first = chaos.offer(config, None)
    assert first.button == "Compute the spectrum"
    assert first.text == "All 64 exponents over 2,000 steps of 8 samples."
    assert chaos.offer(RunConfig(hidden_size=256), None).text.startswith("The leading 128 of 256 exponents")
    plan = spectra.plan(config, None)
    assert chaos.offer(config, spectra.Outcome(plan, spectrum())) is None
    more = chaos.offer(config, spectra.Outcome(plan, spectrum(converged=False, notes=["3 exponents drift"])))
    assert more.text.startswith("Not converged: 3 exponents drift. All 64 exponents over 8,000 steps")
    assert more.seconds == pytest.approx(spectra.MORE * first.seconds)


def test_own_data_are_used_as_far_as_they_go(tmp_path):
    path = tmp_path / "series.csv"
    np.savetxt(path, np.random.default_rng(0).normal(size=(400, 1)), delimiter=",")
    config = RunConfig(input=str(path), **TINY)
    plan = spectra.plan(config, None)
    assert (plan.steps, plan.samples, plan.own) == (50, 8, True)
    result = chaos.compute(config, None, lambda share: None)
    doubtful = replace(result, spectrum=replace(result.spectrum, converged=False, notes=["too few steps"]))
    assert chaos.offer(config, doubtful) is None  # there is nothing more to compute it from
    run = Run(gradlab.analyze(config), config, "light")
    assert "Not converged: too few steps." in props_of(chaos.show(doubtful, run))


def test_cut_samples_are_used_as_they_are(tmp_path):
    path = tmp_path / "batch.npy"
    np.save(path, np.random.default_rng(0).normal(size=(50, 3, 2)))
    plan = spectra.plan(RunConfig(input=str(path), **TINY), None)
    assert (plan.steps, plan.samples) == (50, 3)


def test_the_spectrum_is_that_of_the_runs_own_weights():
    config, told = RunConfig(**TINY, cell="lstm", forget_bias="chrono"), []
    found = chaos.compute(config, None, told.append)
    assert told[-1] == 1.0 and told == sorted(told)
    cell, params, _ = build(config)
    x = build(config.replace(steps=spectra.STEPS, batch_size=spectra.SAMPLES))[2]
    np.testing.assert_allclose(found.spectrum.exponents, lyapunov(cell, params, x).exponents, rtol=1e-12)
    assert found.plan.size == found.plan.k == 8


def test_an_overflow_is_a_sentence():
    with pytest.raises(InputError, match="finite"):
        chaos.compute(RunConfig(**TINY, activation="identity", gain=5.0), None, lambda share: None)


# the states of the tab


@pytest.fixture
def run(request):
    """A run of its own for each test, whose job ends with it."""
    seed = int.from_bytes(request.node.name.encode()[-3:], "big")
    config = RunConfig(**TINY, gain=2.5, seed=seed)
    yield Run(gradlab.analyze(config), config, "light")
    chaos.WORK.cancel(config)


def click(run: Run, part: str, compute=chaos.compute) -> dict:
    about = frame.About(to_query(run.config), run.theme)
    return frame.act(replace(chaos.WORK, compute=compute), getattr(chaos.WORK.ids, part), about)


def wait(run: Run) -> None:
    chaos.WORK.job(run.config).wait(PATIENCE)


def test_before(run):
    text = props_of(frame.content(chaos.WORK, run))
    assert "Compute the spectrum" in text and "All 4 exponents over 2,000 steps" in text
    assert chaos.WORK.job(run.config) is None  # on demand only, however quick


def test_running_then_cancelled(run):
    begun = Event()

    def slow(config, last, on_progress):
        while True:
            on_progress(0.5)
            begun.set()
            time.sleep(0.002)

    shown = click(run, "start", slow)
    assert shown["progress"] == "run-bar" and shown["offer"] == "run-bar hidden"
    assert not shown["tick"]
    assert begun.wait(PATIENCE)
    until(lambda: click(run, "tick")["share"] == "0.5")
    ticked = click(run, "tick")
    assert ticked["pace"].startswith("50 %, about")
    assert set(ticked) == {"share", "pace"}  # only the progress moves
    reloaded = frame.state(chaos.WORK, run)
    assert reloaded["share"] == "0.5" and not reloaded["tick"]
    shown = click(run, "cancel")
    assert shown["tick"] and shown["start"] == "Compute the spectrum" and shown["body"] == []


def test_done(run):
    click(run, "start")
    wait(run)
    shown = click(run, "tick")
    text = props_of(shown["body"])
    assert shown["tick"] and shown["progress"] == "run-bar hidden"
    assert text.count("role='img'") == 2
    assert "haotic" in text and "An estimate" in text and "Show as table" in text
    assert props_of(frame.content(chaos.WORK, run)).count("role='img'") == 2  # a page that is loaded again


def test_failed(run):
    def broken(config, last, on_progress):
        raise InputError("the forward pass leaves the finite numbers")

    click(run, "start", broken)
    wait(run)
    shown = click(run, "tick")
    assert "leaves the finite numbers" in props_of([shown["outcome"]])
    assert shown["start"] == "Try again" and shown["offer"] == "run-bar"


def test_not_converged_offers_more(run):
    def doubtful(config, last, on_progress):
        plan = spectra.plan(config, last)
        return spectra.Outcome(plan, spectrum((0.2, 0.0, -0.5, -1.0), converged=False, notes=["1 exponents drift"]))

    for steps in ("8,000", "32,000"):
        click(run, "start", doubtful)
        wait(run)
        shown = click(run, "tick")
        assert shown["start"] == "Compute more"
        assert f"Not converged: 1 exponents drift. All 4 exponents over {steps} steps" in str(shown["offer_text"])
        assert shown["body"]
