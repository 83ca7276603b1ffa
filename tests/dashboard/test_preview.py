"""Previews: the first samples of a run that takes long, and how the whole run follows."""

from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

import gradlab
from dashboard.pages.explore import diagnosis, downloads, settle, tabs
from dashboard.pages.explore import draw as explore_draw
from dashboard.pages.explore.request import Run
from dashboard.work import runs
from gradlab.config import RunConfig
from gradlab.config.links import to_query
from gradlab.errors import InputError
from gradlab.runs import cost

from ..views import PATIENCE, SMALL, request, until, words

LONG = SMALL.replace(batch_size=32, cell="lstm")
NOTE = "Preview: 8 of 32 samples"
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing counts as quick but previews."""
    monkeypatch.setattr(explore_draw, "LIVE", 0.0)


def drawn(config: RunConfig, **more: bool) -> tuple[dict, dict]:
    """What a request changes, and what of that the browser sets."""
    changes = explore_draw.draw(request(config, **more))
    return changes, changes["drawn"]


@pytest.mark.parametrize("source", ["noise", "sine", "file"])
def test_a_preview_is_of_the_first_samples_of_the_same_run(source: str, tmp_path: Path) -> None:
    if source == "file":
        file = tmp_path / "series.csv"
        file.write_text("\n".join(["a", *(str(n * n % 17) for n in range(90))]))
        source = str(file)
    kept, config = runs.Runs(), LONG.replace(input=source, clip="norm")
    whole, part = kept.get(config), kept.preview(config)
    assert part.sizes["sample"] == runs.PREVIEW_SAMPLES < whole.sizes["sample"]
    first = whole.log_grad_norm.isel(sample=slice(runs.PREVIEW_SAMPLES))
    np.testing.assert_allclose(part.log_grad_norm, first, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(part.recurrent_singular_values, whole.recurrent_singular_values)


def test_a_preview_is_no_run_and_is_computed_once() -> None:
    kept = runs.Runs()
    assert kept.previewed(LONG) is None and kept.preview_seconds(LONG) < kept.seconds(LONG)
    part = kept.preview(LONG)
    assert kept.preview(LONG) is part is kept.previewed(LONG)
    assert LONG not in kept and LONG.replace(batch_size=runs.PREVIEW_SAMPLES) not in kept
    assert kept.preview_seconds(LONG) == 0 < kept.seconds(LONG)
    assert kept.seconds(LONG, LONG) == kept.seconds(LONG)


@pytest.mark.usefixtures("slow")
def test_a_long_run_is_previewed_and_follows() -> None:
    config = LONG.replace(seed=1)
    changes, browser = drawn(config)
    assert words(changes["details"]).startswith(f"{NOTE} ")
    assert changes["figure"].data and browser["strip"] and browser["follows"] and not browser["run"]
    assert browser["props"]["stage"] == {"className": "stage"}
    assert browser["props"]["run-bar"] == {"className": "run-bar hidden"}
    whole, browser = drawn(config, run=True)
    assert NOTE not in words(whole["details"])
    assert browser["run"] and not browser["follows"]
    assert NOTE not in words(drawn(config)[0]["details"]), "now it is known"


@pytest.mark.usefixtures("slow")
def test_a_very_long_run_is_previewed_and_waits_for_a_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore_draw, "FOLLOWS", 0.0)
    changes, browser = drawn(LONG.replace(seed=2))
    assert words(changes["details"]).startswith(f"{NOTE} ")
    assert not browser["follows"]
    assert browser["props"]["run-bar"] == {"className": "run-bar"}
    assert browser["props"]["run-text"] == {"children": "The whole run takes about 1 s."}


@pytest.mark.usefixtures("slow")
def test_a_link_starts_nothing_that_takes_longer_than_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    config = LONG.replace(seed=3)
    changes, browser = drawn(config, first=True)
    assert "figure" not in changes and changes["verdict"] == "Ready when you are"
    assert browser["props"]["run-bar"] == {"className": "run-bar"}
    between = (runs.RUNS.preview_seconds(config) + runs.RUNS.seconds(config)) / 2
    monkeypatch.setattr(explore_draw, "LIVE", between)
    changes, browser = drawn(config, first=True)
    assert words(changes["details"]).startswith(NOTE) and not browser["follows"]


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(
    "few", [{"batch_size": runs.PREVIEW_SAMPLES}, {"steps": runs.PREVIEW_SAMPLES - 1}, {}], ids=str
)
def test_what_no_preview_can_stand_for_asks_first(few: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    if not few:
        monkeypatch.setattr(explore_draw, "PREVIEW", 0.0)
    changes, browser = drawn(LONG.replace(seed=4, **few))
    assert "figure" not in changes and not browser["follows"]
    assert browser["props"]["run-text"] == {"children": "This run takes about 1 s."}


def test_a_quick_run_has_no_preview() -> None:
    changes, browser = drawn(LONG.replace(seed=5))
    assert NOTE not in words(changes["details"]) and not browser["follows"]


def test_where_many_runs_are_ahead_a_quick_one_is_previewed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    go, analyzed = Event(), runs.analyzed
    monkeypatch.setattr(runs, "analyzed", lambda config, samples: go.wait(PATIENCE) and analyzed(config, samples))
    monkeypatch.setattr(runs, "CROWDED", 4 * runs.RUNS.seconds(LONG.replace(seed=50)))
    waiting = [Thread(target=runs.RUNS.get, args=(LONG.replace(seed=n),)) for n in range(50, 55)]
    for thread in waiting:
        thread.start()
    until(runs.RUNS.is_crowded)
    monkeypatch.setattr(runs, "analyzed", analyzed)
    for first in (True, False):
        changes, browser = drawn(LONG.replace(seed=55 + first), first=first)
        assert words(changes["details"]).startswith(f"{NOTE} ") and browser["follows"]
    go.set()
    for thread in waiting:
        thread.join(PATIENCE)
    assert not runs.RUNS.is_crowded()
    assert NOTE not in words(drawn(LONG.replace(seed=57))[0]["details"])


@pytest.mark.usefixtures("slow")
def test_pins_that_are_not_known_wait_for_the_whole_run() -> None:
    config, known, unknown = (LONG.replace(seed=6, gain=gain) for gain in (1.0, 2.0, 3.0))
    runs.RUNS.get(known)
    asked = {"pins": (to_query(known), to_query(unknown))}
    names = [trace.name or "" for trace in explore_draw.draw(request(config, **asked))["figure"].data]
    assert any("gain 2" in name for name in names) and not any("gain 3" in name for name in names)
    assert unknown not in runs.RUNS
    whole = explore_draw.draw(request(config, run=True, **asked))["figure"].data
    assert any("gain 3" in (trace.name or "") for trace in whole)


@pytest.mark.usefixtures("slow")
def test_a_known_run_with_unknown_pins_is_not_replaced_by_its_preview() -> None:
    config = LONG.replace(seed=7)
    runs.RUNS.get(config)
    changes = explore_draw.draw(request(config, pins=(to_query(config.replace(gain=3.0)),)))
    assert "figure" not in changes


@pytest.mark.usefixtures("slow")
def test_what_is_of_whole_runs_waits_and_says_so() -> None:
    config = LONG.replace(seed=8)
    drawn(config)
    settled = settle.settle(request(config))
    assert settled["announcement"].startswith(f"{NOTE}. The gradient ")
    assert f" units. {NOTE}. The gradient " in settled["figure_label"]
    assert words(settled["table"]) == "The table waits for the whole run."
    assert settled["address"] == f"?{to_query(config)}"
    assert words(diagnosis.content(request(config), None)) == "The diagnosis waits for the whole run."
    assert "until the whole run is drawn" in words(tabs.panels("why", request(config))["why"])
    with pytest.raises(InputError, match="There is no finished run to download yet"):
        downloads.download("csv", request(config))
    drawn(config, run=True)
    settled = settle.settle(request(config))
    assert NOTE not in settled["announcement"] + settled["figure_label"]
    assert "steps back" in words(settled["table"])
    assert "waits" not in words(diagnosis.content(request(config), None))


def test_a_run_that_is_neither_known_nor_previewed_has_no_card() -> None:
    assert diagnosis.content(request(LONG.replace(seed=9)), None) == []


# what is left out for its cost


def test_what_is_left_out_of_a_large_run_is_said() -> None:
    ds = runs.RUNS.get(LONG).copy()
    ds["recurrent_eigenvalues"] = ds.recurrent_eigenvalues * np.nan
    assert " · ρ not computed · σ" in words(explore_draw.realised(ds))
    shown = words(tabs.weights.content(Run(ds, LONG, "light")))
    assert tabs.weights.LEFT_OUT in shown and "left out" in shown.replace(tabs.weights.LEFT_OUT, "")
    assert "nan" not in shown
    known = words(tabs.weights.content(Run(runs.RUNS.get(LONG), LONG, "light")))
    assert "left out" not in known


@pytest.mark.parametrize("cell", ["min_gru", "min_lstm", "indrnn", "lru"])
def test_cells_without_a_recurrent_matrix_show_their_diagonal_or_say_that_there_is_none(cell) -> None:
    config = RunConfig(cell=cell, steps=20, hidden_size=8, batch_size=2)
    ds = gradlab.analyze(config)
    realised, shown = words(explore_draw.realised(ds)), words(tabs.weights.content(Run(ds, config, "light")))
    assert (realised == "no recurrent weights") == (tabs.weights.NONE in shown) == cell.startswith("min_")
    if not cell.startswith("min_"):
        modulus = float(ds.spectral_radius.max())
        assert f"ρ {modulus:.2f}" in realised and "carry" in shown


# the prediction


@pytest.mark.parametrize(
    "cell, hidden, steps, batch, seconds",
    [
        ("elman", 64, 100, 32, 0.057),
        ("elman", 256, 500, 32, 0.62),
        ("elman", 64, 2000, 64, 1.8),
        ("gru", 128, 500, 8, 0.23),
        ("gru", 256, 500, 32, 1.65),
        ("lstm", 16, 2000, 64, 1.5),
        ("lstm", 128, 500, 32, 1.26),
        ("lstm", 256, 500, 8, 0.79),
        ("lstm", 256, 500, 32, 3.8),
        ("lstm", 512, 200, 32, 4.2),
    ],
)
def test_the_predicted_time_is_right_within_a_factor_of_two(
    cell: str, hidden: int, steps: int, batch: int, seconds: float
) -> None:
    """As measured on two quiet cores."""
    config = RunConfig(cell=cell, hidden_size=hidden, steps=steps, batch_size=batch)
    assert 0.5 < cost.work(config) / seconds < 2
    assert cost.work(config, batch) == cost.work(config)


def test_only_runs_that_take_a_while_tell_how_fast_the_machine_is() -> None:
    kept, large = runs.Runs(), LONG.replace(hidden_size=256, steps=500)
    before, quick = kept.seconds(large), RunConfig()
    kept._learn((quick, quick.batch_size), 3.0)  # the first run, which loads what it needs
    assert before < kept.seconds(large) < 1.4 * before
    for _ in range(9):
        kept._learn((large, large.batch_size), 3 * before)
    assert 2.7 * before < kept.seconds(large) <= 3.1 * before
