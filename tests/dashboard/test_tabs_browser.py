"""The tabs Travel and Chaos in a real browser: offer, progress, cancel, result, reload; and that all can read them."""

import re
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dashboard.pages.explore.tabs import chaos, frame
from dashboard.work.jobs import JOBS
from gradlab import InputError

from ..pages import readable, settled, until
from ..views import until as wait_for

pytestmark = pytest.mark.browser

TINY = "hidden_size=8&batch_size=4&steps=40"
FIGURES = {"travel": 4, "chaos": 2}
OPEN = Callable[..., Page]


def open_tab(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab.capitalize()).click()
    expect(page.locator(f"#panel-{tab} .work")).to_be_visible()


def drawn(page: Page, tab: str) -> None:
    """All figures of the tab are drawn."""
    plots = f"[...document.querySelectorAll('#panel-{tab} .js-plotly-plot')]"
    until(page, f"{plots}.length >= {FIGURES[tab]} && {plots}.every(p => p._fullData?.length > 0)")


def compute(page: Page, tab: str) -> None:
    open_tab(page, tab)
    if tab == "chaos":
        page.click("#chaos-work-start")
    drawn(page, tab)


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_running(address: str) -> Iterator[None]:
    yield
    wait_for(lambda: all(job.ended for job in JOBS._jobs.values()))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Spectra that take until they are let go; a share of 0.4 is done."""
    go = Event()

    def wait(config: Any, last: Any, on_progress: Callable[[float], None]) -> Any:
        while not go.wait(0.01):
            on_progress(0.4)
        return chaos.compute(config, last, on_progress)

    monkeypatch.setitem(chaos.WORK.__dict__, "compute", wait)
    yield go
    go.set()


@pytest.mark.slow
def test_travel_appears_by_itself(open_page: OPEN) -> None:
    page = open_page(f"{TINY}&cell=gru&seed=1")
    open_tab(page, "travel")
    drawn(page, "travel")
    panel = page.locator("#panel-travel")
    expect(panel).to_contain_text("Multiplied out, not estimated")
    for label in ("Norms of the product", "Singular values", "Credit", "Paths of the gradient"):
        assert panel.get_by_role("img", name=re.compile(label)).count() == 1
    panel.get_by_text("Show as table").first.click()
    expect(panel.locator("table").first).to_be_visible()


@pytest.mark.slow
def test_travel_asks_where_it_takes_long(open_page: OPEN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "LIVE", 0.0)
    page = open_page(f"{TINY}&seed=2")
    open_tab(page, "travel")
    expect(page.locator("#travel-work-offer")).to_contain_text("4 samples over 40 steps. Takes about 1 s.")
    page.click("#travel-work-start")
    expect(page.get_by_role("img", name=re.compile("Norms of the product"))).to_be_visible()
    expect(page.locator("#travel-work-offer")).to_be_hidden()


@pytest.mark.slow
def test_the_spectrum_comes_with_progress_and_is_found_again(open_page: OPEN, slow: Event) -> None:
    page = open_page(f"{TINY}&seed=3&gain=3")
    open_tab(page, "chaos")
    expect(page.locator("#chaos-work-progress")).to_be_hidden()
    page.click("#chaos-work-start")
    expect(page.locator("#chaos-work-pace")).to_contain_text("40 %")
    expect(page.locator("#chaos-work-offer")).to_be_hidden()
    assert page.get_by_role("progressbar").get_attribute("value") == "0.4"
    page.reload()
    settled(page)
    open_tab(page, "chaos")
    expect(page.locator("#chaos-work-pace")).to_contain_text("40 %")
    slow.set()
    drawn(page, "chaos")
    expect(page.locator("#panel-chaos .finding")).to_contain_text(re.compile("haotic: largest exponent|edge of chaos"))
    expect(page.locator("#panel-chaos")).to_contain_text("An estimate")
    expect(page.locator("#chaos-work-progress")).to_be_hidden()
    page.reload()
    settled(page)
    open_tab(page, "chaos")
    drawn(page, "chaos")


@pytest.mark.slow
def test_cancel_and_start_again(open_page: OPEN, slow: Event) -> None:
    page = open_page(f"{TINY}&seed=4")
    open_tab(page, "chaos")
    page.click("#chaos-work-start")
    expect(page.locator("#chaos-work-pace")).to_contain_text("40 %")
    page.click("#chaos-work-cancel")
    expect(page.locator("#chaos-work-start")).to_have_text("Compute the spectrum")
    expect(page.locator("#chaos-work-progress")).to_be_hidden()
    slow.set()
    page.click("#chaos-work-start")
    drawn(page, "chaos")


def test_a_failure_is_said_and_can_be_tried_again(open_page: OPEN, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: Any, last: Any, on_progress: Any) -> None:
        raise InputError("the forward pass leaves the finite numbers at step 807")

    page = open_page(f"{TINY}&seed=5")
    open_tab(page, "chaos")
    with monkeypatch.context() as patch:
        patch.setitem(chaos.WORK.__dict__, "compute", broken)
        page.click("#chaos-work-start")
        expect(page.locator("#chaos-work-outcome")).to_contain_text("at step 807")
    expect(page.locator("#chaos-work-start")).to_have_text("Try again")
    page.click("#chaos-work-start")
    drawn(page, "chaos")
    expect(page.locator("#chaos-work-outcome")).to_be_empty()


@pytest.mark.slow
def test_another_run_has_its_own_job_and_the_first_is_kept(open_page: OPEN, slow: Event) -> None:
    page = open_page(f"{TINY}&seed=6")
    open_tab(page, "chaos")
    page.click("#chaos-work-start")
    expect(page.locator("#chaos-work-pace")).to_contain_text("40 %")
    page.locator("#control-gain").fill("3")
    expect(page.locator("#chaos-work-progress")).to_be_hidden()
    page.locator("#control-gain").fill("1")
    expect(page.locator("#chaos-work-pace")).to_contain_text("40 %")
    page.get_by_role("tab", name="Why").click()  # while the other tab's ticks are under way
    expect(page.locator("#panel-why")).to_contain_text("add up to the measured rate")


@pytest.mark.slow
def test_the_keyboard_computes_a_spectrum(open_page: OPEN) -> None:
    page = open_page(f"{TINY}&seed=7")
    open_tab(page, "chaos")
    page.keyboard.press("Tab")
    for _ in range(8):
        if page.evaluate("document.activeElement.id") == "chaos-work-start":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    drawn(page, "chaos")


@pytest.mark.slow
@pytest.mark.parametrize("tab", FIGURES)
def test_everybody_can_read_it(open_page: OPEN, tab: str) -> None:
    page = open_page(f"{TINY}&cell=lstm&seed=8")  # a run whose spectrum nobody has computed yet
    compute(page, tab)
    for summary in page.locator(f"#panel-{tab}").get_by_text("Show as table").all():
        summary.click()
    readable(page)


@pytest.mark.slow
def test_figures_follow_the_theme(open_page: OPEN) -> None:
    page = open_page(f"{TINY}&seed=20")
    compute(page, "chaos")
    colour = "document.querySelector('#panel-chaos .js-plotly-plot')._fullLayout.font.color"
    light = page.evaluate(colour)
    page.click("#theme-toggle")
    until(page, f"{colour} !== '{light}'")
