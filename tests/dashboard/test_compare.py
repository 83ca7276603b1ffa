"""Compare without a browser: slots, what a request shows as seeds come, downloads."""

import io
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import xarray as xr
from dash import no_update

import gradlab
from dashboard import downloads, ids
from dashboard.app import create_app
from dashboard.pages.compare import address, draw, examples, steer
from dashboard.pages.compare import downloads as compare_downloads
from dashboard.pages.compare.slots import FIELDS, Slot, key, slot
from dashboard.pages.explore import settle as explore_settle
from dashboard.work import seeds
from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_query
from gradlab.config.presets import PRESETS
from gradlab.data.uploads import store
from gradlab.plots import THEMES
from gradlab.runs.comparison import MOST, one_seed
from gradlab.runs.processes import Done
from gradlab.runs.sizes import parameter_count

from ..views import SMALL, parts, until, words
from ..views import request as explore_request

LSTM = SMALL.replace(cell="lstm", forget_bias=1.0)
GRU = SMALL.replace(cell="gru")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    seeds.SEEDS._kept.clear()
    seeds.SEEDS._failures.clear()
    yield
    seeds.SEEDS.give_up("a page")


def request(*runs: RunConfig, raw: dict[str, Any] | None = None, **more: Any) -> draw.Request:
    used = [slot(run) for run in runs]
    fields = {f"{n}-{name}": value for n, one in enumerate(used) for name, value in one.raw.items()}
    known: dict[str, Any] = {"seeds": 2, "equal": "hidden size", "owner": "a page"} | more
    return draw.Request(fields | (raw or {}), tuple(one.query for one in used), **known)


def shown(asked: draw.Request) -> dict[str, Any]:
    """What the page shows once all has come."""
    until(lambda: not draw.look(asked).missing)
    return draw.draw(asked, draw.look(asked))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[RunConfig, Future[Done]]:
    """The calls under way, which end when the test says so."""
    started: dict[RunConfig, Future[Done]] = {}

    def start(config: RunConfig) -> Future[Done]:
        started[config] = Future()
        return started[config]

    monkeypatch.setattr(seeds.SEEDS, "_compute", start)
    return started


# slots


def test_a_slot_is_its_run_but_for_its_fields() -> None:
    one = slot(LSTM)
    assert one.form.config == LSTM and not one.form.errors and one.raw["forget_bias"] == "1"
    for bias in ("chrono", 2.5):
        assert Slot(one.query, {**one.raw, "forget_bias": str(bias)}).form.config == LSTM.replace(forget_bias=bias)
    chrono = slot(LSTM.replace(forget_bias="chrono"))
    assert Slot(chrono.query, {**chrono.raw, "forget_bias": "3"}).form.config.forget_bias == 3


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("gain", "", "expected a value, got an empty field"),
        ("gain", -1, "expected at least 0"),
        ("forget_bias", "chorno", "expected a number or 'chrono'"),
        ("steps", 1e9, "at most 20,000 in the app"),
    ],
)
def test_a_wrong_field_takes_one_run_out_and_says_why(field: str, value: Any, text: str) -> None:
    drawn = shown(request(GRU, LSTM, raw={f"1-{field}": value}))
    assert text in drawn["drawn"]["props"][ids.control(key(1, field))]["error"]
    assert text in words(drawn["failure"]) and drawn["drawn"]["address"] is None
    assert "not computed" in words(drawn["ranking"]) and words(drawn["verdict"]).count("per step back")


def test_a_field_that_does_not_apply_is_hidden_and_means_nothing() -> None:
    drawn = shown(request(SMALL, raw={"0-forget_bias": "nonsense"}))
    looks = drawn["drawn"]["props"]
    assert "hidden" in looks[ids.field(key(0, "forget_bias"))]["className"]
    assert "hidden" not in looks[ids.field(key(0, "gain"))]["className"] and not drawn["failure"]


# what sets the runs


def state(*runs: RunConfig, search: str = "", preset: str = "gru") -> steer.CompareState:
    asked = request(*runs)
    return steer.CompareState([*asked.rows], asked.raw, search, preset)


def test_a_link_fills_the_slots() -> None:
    changes = steer.follow_link(address.View((SMALL, LSTM), 3, "parameters").address)
    assert [from_query(query).config for query in changes["rows"]] == [SMALL, LSTM]
    assert (changes["seeds"], changes["equal"], changes["notices"]) == (3, "parameters", [])
    assert changes["values"][key(1, "cell")] == "lstm" and key(2, "cell") not in changes["values"]


def test_a_preset_is_added_and_what_was_typed_stays() -> None:
    page = steer.CompareState([slot(SMALL).query], {**request(SMALL).raw, "0-gain": "-"}, "", "lstm_chrono")
    changes = steer.add(page)
    assert changes["values"][key(0, "gain")] == "-"
    assert from_query(changes["rows"][1]).config == PRESETS["lstm_chrono"].config()
    assert changes["values"][key(1, "forget_bias")] == "chrono"


def test_a_seventh_run_is_refused_and_the_last_one_stays() -> None:
    full = state(*(SMALL.replace(seed=n) for n in range(MOST)))
    assert words(steer.add(full)["notices"]) == "6 runs at most; take one out first." and "rows" not in steer.add(full)
    assert "The last run stays" in words(steer.remove(0, state(SMALL))["notices"])


def test_a_run_is_taken_out_with_what_was_typed_into_it() -> None:
    page = state(SMALL, LSTM, GRU)
    page.raw["2-gain"] = 2.5
    changes = steer.remove(1, page)
    assert [from_query(query).config.cell for query in changes["rows"]] == ["elman", "gru"]
    assert changes["values"][key(1, "gain")] == 2.5


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_an_example_has_one_input_one_probe_and_as_many_steps(name: str) -> None:
    runs = examples.EXAMPLES[name].runs
    assert 2 <= len(runs) <= MOST and len({*runs}) == len(runs)
    shared = ("steps", "batch_size", "input", "input_size", "seed", "hidden_size", "loss", "dtype")
    assert all(len({getattr(run, field) for run in runs}) == 1 for field in shared)
    assert address.read(address.View(runs).address) == (address.View(runs), [])
    assert all(not slot(run).form.errors and slot(run).form.config == run for run in runs)


# what a request shows


def test_the_whole_comparison() -> None:
    drawn = shown(request(SMALL, LSTM, GRU))
    ds = gradlab.compare([SMALL, LSTM, GRU], seeds=2)
    lines = {trace.name: trace for trace in drawn["figure"].data}
    np.testing.assert_allclose(lines["LSTM"].y, ds.log_input_share[1].median("seed") / np.log(10), rtol=1e-5, atol=1e-6)
    assert words(drawn["verdict"]).startswith("■LSTM reaches farthest: ×0.")
    assert words(drawn["announcement"]).startswith("LSTM reaches farthest") and "2 seeds of each." in words(
        drawn["details"]
    )
    assert drawn["label"].startswith("What is left of the gradient, by steps back. LSTM reaches farthest")
    assert (drawn["share"], drawn["progress"], drawn["drawn"]["more"], drawn["drawn"]["done"]) == ("1.0", "", False, 6)
    assert drawn["drawn"]["address"] == address.View((SMALL, LSTM, GRU), 2).address
    assert words(drawn["ranking"][0].children[0]) == "LSTM" and len(drawn["ranking"]) == 3
    assert drawn["columns"] == "data-table without-after-50 without-after-100 without-after-300"
    assert words(drawn["table"]).startswith("What is left so many steps back")


def test_the_ranking_follows_the_chosen_column(calls: dict[RunConfig, Future[Done]]) -> None:
    asked = request(SMALL, SMALL.replace(gain=2.0))
    draw.look(asked)
    steep, late = -np.minimum(np.arange(20.0), 11), -np.append(np.zeros(15), 3 * np.arange(1.0, 6))
    for config, call in calls.items():
        call.set_result(Done(replace(one_seed(config), share=steep if config.gain == 1 else late), 0.1))
    ranked = {by: draw.draw(replace(asked, by=by), draw.look(asked)) for by in ("slope", "10")}
    names = {by: [words(row.children[0]) for row in drawn["ranking"]] for by, drawn in ranked.items()}
    assert names == {"slope": ["gain 1", "gain 2"], "10": ["gain 2", "gain 1"]}
    assert {column for column, how in ranked["10"]["sorted"].items() if how == "descending"} == {"after 10"}


def test_each_row_has_the_colour_of_its_line() -> None:
    drawn = shown(request(SMALL, LSTM, theme="dark"))
    colours = {words(row.children[0]): row.children[0].children[0].style["background"] for row in drawn["ranking"]}
    assert colours == dict(zip(["Elman", "LSTM"], THEMES["dark"].series, strict=False))


def test_equal_parameters_are_shown_and_the_runs_stay_as_they_are() -> None:
    drawn = shown(request(LSTM, GRU, equal="parameters"))
    found = draw.look(request(LSTM, GRU, equal="parameters")).ds
    assert abs(int(found.parameters[1]) - parameter_count(LSTM)) < abs(parameter_count(GRU) - parameter_count(LSTM))
    assert drawn["drawn"]["address"] == address.View((LSTM, GRU), 2, "parameters").address
    assert drawn["drawn"]["props"][ids.part(ids.COMPARE.explore, "1")]["href"] == f"/?{to_query(GRU, [LSTM])}"


def test_links_of_a_run() -> None:
    looks = shown(request(SMALL, LSTM))["drawn"]["props"]
    explore, train = (looks[ids.part(getattr(ids.COMPARE, name), "1")]["href"] for name in ("explore", "train"))
    assert explore == f"/?{to_query(LSTM, [SMALL])}" and train.startswith("/train?") and "from=explore" in train
    assert looks[ids.part(ids.COMPARE.slot, "1")]["className"] == "slot"
    assert looks[ids.part(ids.COMPARE.slot, "2")]["className"] == "slot hidden"
    assert looks[ids.part(ids.COMPARE.name, "1")]["children"] == "LSTM"


def test_the_copies_repeat_the_comparison() -> None:
    copies = shown(request(SMALL, LSTM, equal="parameters"))["copies"]
    assert address.read(copies[ids.COMPARE.copy_link])[0].runs == (SMALL, LSTM)
    names: dict[str, Any] = {}
    python = copies[ids.COMPARE.copy_python].replace(".show()", "")
    exec(python, names)  # noqa: S102
    assert list(names["ds"].run.values) == ["Elman", "LSTM"] and names["ds"].attrs["equal"] == "parameters"
    assert names["ds"].sizes["seed"] == 2


# as seeds come


def test_curves_grow_as_seeds_finish(calls: dict[RunConfig, Future[Done]]) -> None:
    asked = request(SMALL, LSTM)
    first = draw.draw(asked, draw.look(asked))
    assert words(first["verdict"]) == "Computing …" and first["drawn"]["more"]
    assert [*calls] == [SMALL, LSTM, SMALL.replace(seed=1), LSTM.replace(seed=1)]
    calls[SMALL].set_result(Done(one_seed(SMALL), 0.1))
    some = draw.draw(asked, draw.look(asked))
    assert (some["progress"], some["share"], some["drawn"]["done"]) == ("1 of 4 seeds", "0.25", 1)
    assert {trace.name for trace in some["figure"].data} >= {"Elman"} and some["announcement"] is no_update
    for config, call in [*calls.items()][1:]:
        call.set_result(Done(one_seed(config), 0.1))
    assert not draw.draw(asked, draw.look(asked))["drawn"]["more"]


def test_a_tick_that_finds_nothing_new_leaves_the_page(
    calls: dict[RunConfig, Future[Done]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(SMALL, LSTM)
    monkeypatch.setattr(draw, "ctx", SimpleNamespace(triggered_id=ids.COMPARE.tick))
    for done, redrawn in ((-1, True), (0, False)):
        changes = draw.show(asked, draw.Tick(1.0, done))
        assert (changes["figure"] is not no_update) == redrawn
        assert changes["drawn"]["address"] == address.View((SMALL, LSTM), 2).address and changes["drawn"]["more"]
    calls[SMALL].set_result(Done(one_seed(SMALL), 0.1))
    assert draw.show(asked, draw.Tick(2.0, 0))["figure"] is not no_update


def test_the_newest_request_wins(calls: dict[RunConfig, Future[Done]]) -> None:
    draw.look(request(SMALL, LSTM))
    draw.look(request(SMALL, GRU))
    assert calls[LSTM].cancelled() and not calls[SMALL].cancelled() and not calls[GRU].cancelled()
    seeds.SEEDS.give_up("a page")
    assert all(call.cancelled() for call in calls.values())


def test_a_page_that_has_gone_ends_its_seeds(calls: dict[RunConfig, Future[Done]]) -> None:
    draw.look(request(SMALL, LSTM))
    client = create_app().server.test_client()
    client.post("/leave", data="somebody else")
    assert not any(call.cancelled() for call in calls.values())
    client.post("/leave", data="a page")
    assert all(call.cancelled() for call in calls.values()) and not seeds.SEEDS.under_way()


def test_a_run_that_fails_is_named_and_the_others_go_on(calls: dict[RunConfig, Future[Done]]) -> None:
    asked = request(SMALL, LSTM)
    draw.look(asked)
    calls[LSTM].set_exception(MemoryError())
    calls[SMALL].set_result(Done(one_seed(SMALL), 0.1))
    drawn = draw.draw(asked, draw.look(asked))
    assert words(drawn["failure"]).startswith("LSTM: this takes more than the 6 GB of memory")
    assert "Elman" in words(drawn["verdict"]) and calls[LSTM.replace(seed=1)].running() is False


def test_a_run_that_cannot_be_read_is_named_and_the_others_go_on(
    calls: dict[RunConfig, Future[Done]], own_cache: Any
) -> None:
    sha = store("own.csv", b"\0" * 99)
    (own,) = address.read(f"?{urlencode([('run', f'file=own.csv&sha={sha}&steps=3&batch_size=1')])}")[0].runs
    asked = request(own, LSTM)
    found = draw.look(asked)
    assert len(found.problems) == 1 and {config.cell for config in calls} == {"lstm"}
    for config, call in calls.items():
        call.set_result(Done(one_seed(config), 0.1))
    drawn = draw.draw(asked, draw.look(asked))
    assert "own.csv" in words(drawn["failure"]) and not drawn["drawn"]["more"]
    assert words(drawn["verdict"]).startswith("■LSTM") and "not computed" in words(drawn["ranking"])


def test_equal_runs_are_counted_once(calls: dict[RunConfig, Future[Done]]) -> None:
    asked = request(SMALL, SMALL, LSTM)
    assert draw.draw(asked, draw.look(asked))["progress"] == "0 of 4 seeds"
    calls[SMALL].set_result(Done(one_seed(SMALL), 0.1))
    drawn = draw.draw(asked, draw.look(asked))
    assert (drawn["progress"], drawn["share"]) == ("1 of 4 seeds", "0.25")


@pytest.mark.parametrize(
    ("large", "text"),
    [
        (SMALL.replace(hidden_size=5000), "Hidden size: at most 1,024 in the app"),
        (RunConfig(steps=20_000, hidden_size=1024, batch_size=1024), "the app allows 6 GB"),
    ],
)
def test_what_is_too_large_is_not_started(calls: dict[RunConfig, Future[Done]], large: RunConfig, text: str) -> None:
    found = draw.look(request(LSTM, large))
    assert {config.cell for config in calls} == {"lstm"} and large not in calls
    assert [problem for problem in found.problems.values() if text in problem]


def test_a_wrong_number_of_seeds_is_a_sentence(calls: dict[RunConfig, Future[Done]]) -> None:
    for wrong in (0, 65, 2.5, "", None, True, "x" * 99):
        with pytest.raises(gradlab.InputError, match="Seeds: expected a whole number from 1 to 64, got "):
            draw.look(request(SMALL, seeds=wrong))
    assert not calls


# downloads, and the way here


@pytest.mark.parametrize("fmt", ["nc", "csv", "html"])
def test_downloads_hold_the_comparison(fmt: str) -> None:
    asked = request(SMALL, LSTM)
    shown(asked)
    content, name = compare_downloads.download(fmt, asked)
    assert name == f"gradlab-comparison.{fmt}"
    if fmt == "nc":
        with xr.open_dataset(io.BytesIO(content)) as read:
            assert list(read.run.values) == ["Elman", "LSTM"] and read.sizes["seed"] == 2
    else:
        assert (b"reaches farthest" if fmt == "html" else b"ln_share_left LSTM") in content


def test_a_download_needs_a_curve(calls: dict[RunConfig, Future[Done]]) -> None:
    file, text = downloads.sent(compare_downloads.download, "csv", request(SMALL))
    assert file is no_update and "before a first curve has come" in words(text)
    assert "before a first curve" in words(downloads.sent(compare_downloads.download, "csv", None)[1])


def test_explore_opens_compare_with_its_run_and_pins() -> None:
    pins = [to_query(LSTM)]
    changes = explore_settle.settle(explore_request(SMALL, pins=pins))
    assert changes["compare_text"] == "Compare pinned"
    assert address.read(changes["compare"].removeprefix("/compare"))[0].runs == (SMALL, LSTM)
    alone = explore_settle.settle(explore_request(SMALL))
    assert alone["compare_text"] == "Compare"
    assert address.read(alone["compare"].removeprefix("/compare"))[0].runs == (SMALL,)


def test_every_field_of_a_slot_has_a_control() -> None:
    from dashboard.pages.compare.page import layout

    text = str([part.to_plotly_json() for part in (*parts(layout(), "Select"), *parts(layout(), "NumberInput"))])
    texts = str([part.to_plotly_json() for part in parts(layout(), "TextInput")])
    for n in range(MOST):
        for name in FIELDS:
            assert f"'{ids.control(key(n, name))}'" in (texts if name == "forget_bias" else text)
