"""Compare in a real browser: from an example to a link, by hand, by keyboard, and on the way from Explore."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.pages import NARROW, SMALL, WIDE, readable, settled, until

pytestmark = pytest.mark.browser

RUN = "hidden_size=8&batch_size=3&steps=60"
PAIR = f"run={quote(RUN)}&run={quote(RUN + '&cell=lstm&forget_bias=1')}&seeds=2"
CURVES = "document.querySelector('#compare-figure .js-plotly-plot')"
NAMES = f"({CURVES}?._fullData || []).filter(t => t.mode === 'lines' && t.line.width > 2).map(t => t.name)"


def open_compare(
    open_page: Callable[..., Page], query: str = PAIR, viewport: dict[str, int] = WIDE, **options: Any
) -> Page:
    page = open_page(query, viewport, path="compare", **options)
    whole(page)
    return page


def whole(page: Page, *names: str) -> None:
    """Every seed has come, of the runs of these names, and the address says so."""
    if names:
        until(page, f"JSON.stringify({NAMES}) === JSON.stringify({[*names]})")
    settled_now = "!document.body.classList.contains('unsettled') && !document.body.classList.contains('busy')"
    until(page, f"{settled_now} && location.search.includes('run=') && {NAMES}.length > 0")
    expect(page.locator("#compare-progress")).to_be_empty()


def ranked(page: Page) -> list[str]:
    return page.locator("#compare-ranking tr th").all_inner_texts()


def test_the_main_walk(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page)
    expect(page.locator("h1")).to_have_text(re.compile(r"LSTM reaches farthest: ×0\.\d+ per step back\."))
    assert ranked(page) == ["LSTM", "Elman"]
    expect(page.locator("#compare-figure-frame")).to_have_attribute("aria-label", re.compile("LSTM reaches farthest"))
    page.click("#compare-preset")
    page.get_by_role("option", name="GRU", exact=True).click()
    page.click("#compare-add")
    whole(page, "Elman", "LSTM", "GRU")
    page.get_by_text("Equal parameters").click()
    until(page, "location.search.includes('equal=parameters')")
    whole(page, "Elman", "LSTM", "GRU")
    page.click("#compare-sort-10")
    expect(page.locator("#compare-by-10")).to_have_attribute("aria-sort", "descending")
    page.click("#compare-remove-2")
    whole(page, "Elman", "LSTM")
    first = page.locator("h1").inner_text(), page.locator("#compare-ranking").inner_text().split("\n")[0]
    other = open_compare(open_page, page.evaluate("location.search").removeprefix("?"))
    assert (other.locator("h1").inner_text(), other.locator("#compare-ranking").inner_text().split("\n")[0]) == first
    assert other.evaluate("location.search") == page.evaluate("location.search")


@pytest.mark.slow
def test_an_example_comes_at_one_click_and_back_leads_back(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page)
    page.locator("#compare-seeds").fill("1")
    page.click("#compare-example-clipping")
    whole(page, "no clipping", "inside backprop, by norm", "inside backprop, by value")
    expect(page.locator("#compare-notices")).to_contain_text("whose gradient explodes")
    page.go_back()
    whole(page, "Elman", "LSTM")
    expect(page.locator("#compare-notices")).to_be_empty()


@pytest.mark.slow
def test_a_field_changes_its_run(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page)
    page.click("#compare-slot-1 summary")
    expect(page.locator("#control-compare-1-forget_bias")).to_have_value("1")
    page.locator("#control-compare-1-forget_bias").fill("chrono")
    until(
        page,
        "decodeURIComponent(location.search).includes('forget_bias%3Dchrono') || "
        "decodeURIComponent(location.search).includes('forget_bias=chrono')",
    )
    page.locator("#control-compare-1-gain").fill("-1")
    expect(page.locator("#compare-slot-1")).to_contain_text("expected at least 0")
    expect(page.locator("#compare-failure")).to_contain_text("LSTM: Gain: expected at least 0")
    assert "gain" not in page.evaluate("location.search")
    page.locator("#control-compare-1-gain").fill("1")
    whole(page, "Elman", "LSTM")
    expect(page.locator("#compare-failure")).to_be_empty()
    page.click("#control-compare-1-cell")
    page.get_by_role("option", name="elman", exact=True).click()
    expect(page.locator("#control-compare-1-forget_bias")).to_be_hidden()


@pytest.mark.slow
def test_pins_of_explore_open_it_filled_and_a_run_leads_back(open_page: Callable[..., Page]) -> None:
    pin = quote("hidden_size=16&batch_size=4&steps=60&cell=lstm")
    page = open_page(f"{SMALL}&pin={pin}&seeds=2")
    expect(page.locator("#compare")).to_have_text("Compare pinned")
    page.click("#compare")
    page.wait_for_url("**/compare?*")
    whole(page, "Elman", "LSTM")
    page.click("#compare-slot-1 summary")
    page.click("#compare-explore-1")
    page.wait_for_url(re.compile(r"/\?v=1"))
    settled(page)
    expect(page.locator("#control-cell")).to_have_value("lstm")
    expect(page.locator(".pin-label")).to_have_count(1)


@pytest.mark.slow
def test_the_run_travels_along_the_navigation(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{SMALL}&gain=2")
    page.click("nav >> text=Compare")
    page.wait_for_url("**/compare?*")
    whole(page, "Elman")
    page.click("nav >> text=Explore")
    settled(page)
    until(page, f"location.search.replace('?v=1&', '') === '{SMALL}&gain=2'")


@pytest.mark.slow
def test_copies_and_downloads(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page)
    page.click("#compare-copy-python")
    expect(page.locator("#compare-copied")).to_have_text("Copied")
    assert "gradlab.compare(runs, seeds=2" in page.evaluate("navigator.clipboard.readText()")
    page.click("#compare-copy-link")
    until(page, "navigator.clipboard.readText().then(t => t === location.href)")
    page.click(".menu summary")
    with page.expect_download() as arrived:
        page.click("#compare-download-html")
    assert arrived.value.suggested_filename == "gradlab-comparison.html"


@pytest.mark.slow
def test_a_wrong_link_says_what_is_left_out(open_page: Callable[..., Page]) -> None:
    many = "&".join(f"run={quote(f'{RUN}&seed={n}')}" for n in range(8))
    page = open_compare(open_page, f"{many}&seeds=1&equal=size&run=oops%3D1")
    notices = page.locator("#compare-notices")
    expect(notices).to_contain_text("This link has 9 runs; the first 6 are shown.")
    expect(notices).to_contain_text("Ignored equal: expected hidden size or parameters")
    assert page.locator(".slot:visible").count() == 6


@pytest.mark.slow
def test_the_keyboard_reaches_everything(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page)
    reached = set()
    for _ in range(50):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label') || ''")
        )
    wanted = {"compare-example-cells", "compare-seeds", "compare-remove-1", "compare-preset", "compare-add"}
    assert wanted | {"compare-copy-link", "compare-sort-slope", "compare-sort-50"} <= reached
    page.locator("#compare-sort-50").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#compare-by-50")).to_have_attribute("aria-sort", "descending")


@pytest.mark.slow
def test_accessibility(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page, f"{PAIR}&oops=1")
    page.click("#compare-slot-1 summary")
    page.click(".compare .as-table summary")
    readable(page)


@pytest.mark.slow
def test_the_theme_and_a_narrow_screen_reach_the_figure(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page, PAIR, NARROW)
    light = page.evaluate(f"{CURVES}._fullLayout.font.color")
    page.click("#theme-toggle")
    until(page, f"{CURVES}._fullLayout.font.color !== '{light}'")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
