"""Previews in a real browser: what a person sees while the whole run is under way, and which answer wins."""

import re
from collections.abc import Callable, Iterator
from threading import Event

import pytest
import xarray as xr
from playwright.sync_api import Page, expect

from dashboard.pages.explore import draw as explore_draw
from dashboard.work import runs
from gradlab.config import RunConfig
from tests.pages import NARROW, PLOT, WIDE, serious, settled, until
from tests.views import until as in_python

pytestmark = pytest.mark.browser

LONG = "hidden_size=16&batch_size=24&steps=60"
NOTE = "Preview: 8 of 24 samples"


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Nothing counts as quick but previews; whole runs wait until this is set."""
    go, analyzed = Event(), runs.analyzed

    def wait(config: RunConfig, samples: int) -> xr.Dataset:
        if samples == config.batch_size:
            assert go.wait(60)
        return analyzed(config, samples)

    monkeypatch.setattr(runs, "analyzed", wait)
    monkeypatch.setattr(explore_draw, "LIVE", 0.0)
    monkeypatch.setattr(explore_draw, "PREVIEW", 60.0)
    monkeypatch.setattr(explore_draw, "FOLLOWS", 60.0)
    yield go
    go.set()


def opened(open_page: Callable[..., Page], whole: Event, seed: int) -> Page:
    """A page with a whole run, for which the next change has to wait again."""
    whole.set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore_draw, "LIVE", 60.0)
        page = open_page(f"{LONG}&seed={seed}")
    whole.clear()
    return page


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [
        pytest.param(WIDE, "light", id="wide light"),
        pytest.param(NARROW, "dark", id="narrow dark", marks=pytest.mark.slow),
    ],
)
def test_a_preview_says_so_until_the_whole_run_replaces_it(
    open_page: Callable[..., Page], whole: Event, viewport: dict[str, int], scheme: str
) -> None:
    page = opened(open_page, whole, 41)
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    settled(page)
    if viewport == NARROW:
        page.click("#sheet-toggle")
    page.locator("#control-gain").fill("3" if viewport == WIDE else "2.9")
    if viewport == NARROW:
        page.click("#sheet-toggle")
    note = page.locator(".part-of-run")
    expect(note).to_have_text(NOTE)
    expect(note).to_be_in_viewport()
    expect(page.locator("#verdict")).to_contain_text("explodes")
    expect(page.locator("#announcement")).to_contain_text(f"{NOTE}. The gradient explodes")
    expect(page.locator("#figure-frame")).to_have_attribute("aria-label", re.compile(f"{NOTE}. The gradient explodes"))
    expect(page.locator("#card")).to_have_text("The diagnosis waits for the whole run.")
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    until(page, "location.search.includes('gain=')")
    whole.set()
    expect(note).to_have_count(0)
    settled(page)
    expect(page.locator("#verdict")).to_contain_text("explodes")
    expect(page.locator("#announcement")).not_to_contain_text("Preview")
    expect(page.locator("#card")).not_to_contain_text("waits")
    assert not serious(page)


@pytest.mark.slow
def test_a_newer_change_is_drawn_at_once_and_the_late_whole_run_never(
    open_page: Callable[..., Page], whole: Event
) -> None:
    page = opened(open_page, whole, 46)
    page.locator("#control-gain").fill("3")
    expect(page.locator("#announcement")).to_contain_text(
        f"{NOTE}. The gradient explodes"
    )  # the whole run is asked for
    page.locator("#control-gain").fill("0.5")
    expect(page.locator("#verdict")).to_contain_text("vanishes")
    expect(page.locator(".part-of-run")).to_have_count(1)
    page.evaluate("""
        window.verdicts = [];
        const heading = document.querySelector('#verdict');
        new MutationObserver(() => window.verdicts.push(heading.innerText)).observe(heading, { childList: true });
    """)
    whole.set()
    expect(page.locator(".part-of-run")).to_have_count(0)
    settled(page)
    assert page.evaluate("window.verdicts.length") >= 1
    assert not page.evaluate("window.verdicts.some((text) => text.includes('explodes'))")
    until(page, "location.search.includes('gain=0.5')")


@pytest.mark.slow
def test_where_the_whole_run_takes_too_long_it_waits_for_the_button(
    open_page: Callable[..., Page], whole: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(open_page, whole, 43)
    monkeypatch.setattr(explore_draw, "FOLLOWS", 0.0)
    page.locator("#control-gain").fill("3")
    expect(page.locator(".part-of-run")).to_have_text(NOTE)
    expect(page.locator("#run-bar")).to_contain_text("The whole run takes about 1 s.")
    expect(page.locator("#announcement")).to_contain_text(NOTE)
    whole.set()
    page.wait_for_timeout(600)
    expect(page.locator(".part-of-run")).to_have_count(1)
    page.click("#run")
    expect(page.locator(".part-of-run")).to_have_count(0)
    expect(page.locator("#run-bar")).to_be_hidden()


@pytest.mark.slow
def test_dragging_draws_previews(open_page: Callable[..., Page], whole: Event) -> None:
    page = opened(open_page, whole, 44)
    page.evaluate(f"window.drawings = 0; {PLOT}.on('plotly_afterplot', () => {{ window.drawings += 1; }})")
    thumb = page.locator("#field-gain [role=slider]").bounding_box()
    track = page.locator("#field-gain .slider").bounding_box()
    assert thumb and track
    y = thumb["y"] + thumb["height"] / 2
    page.mouse.move(thumb["x"] + thumb["width"] / 2, y)
    page.mouse.down()
    for n, share in enumerate((0.4, 0.55, 0.75)):
        page.mouse.move(track["x"] + share * track["width"], y, steps=3)
        until(page, f"window.drawings > {n}")
    expect(page.locator(".part-of-run")).to_have_count(1)
    page.wait_for_timeout(600)
    assert "gain" not in page.evaluate("location.search"), "the hand has not let go"
    page.mouse.up()
    whole.set()
    expect(page.locator(".part-of-run")).to_have_count(0)
    settled(page)
    until(page, "location.search.includes('gain=')")


@pytest.mark.slow
def test_the_run_of_a_page_that_is_closed_ends(open_page: Callable[..., Page], whole: Event) -> None:
    page = opened(open_page, whole, 48)
    page.locator("#control-gain").fill("3")
    in_python(lambda: runs.RUNS.results._flights)
    page.goto(page.evaluate("location.origin") + "/assets/icon.svg")
    in_python(lambda: not runs.RUNS.results._flights)


@pytest.mark.slow
def test_a_run_under_way_is_cancelled(
    open_page: Callable[..., Page], whole: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(open_page, whole, 47)
    monkeypatch.setattr(explore_draw, "PREVIEW", 0.0)
    page.locator("#control-gain").fill("3")
    expect(page.locator("#run-bar")).to_contain_text("This run takes about 1 s.")
    expect(page.locator("#cancel")).to_be_hidden()
    page.click("#run")
    expect(page.locator("#cancel")).to_be_visible()
    expect(page.locator("#run")).to_be_hidden()
    page.click("#cancel")
    expect(page.locator("#run")).to_be_visible()
    expect(page.locator("#run-bar")).to_contain_text("This run takes about 1 s.")
    expect(page.locator("#verdict")).not_to_contain_text("explodes")
    whole.set()
    page.click("#run")
    expect(page.locator("#verdict")).to_contain_text("explodes")
    expect(page.locator("#run-bar")).to_be_hidden()
