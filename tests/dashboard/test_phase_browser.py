"""Phase, and theory and diagnosis in Explore, in a real browser."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Page, expect

from tests.pages import NARROW, PLOT, SMALL, WIDE, readable, settled, until

pytestmark = pytest.mark.browser

MAP = "document.querySelector('#phase-figure .js-plotly-plot')"
MARK = f"{MAP}._fullData.find(t => t.type === 'scatter')"
SETTLED = "!document.body.classList.contains('unsettled')"


def open_map(open_page: Callable[..., Page], query: str = "", viewport: dict[str, int] = WIDE, **options: Any) -> Page:
    page = open_page(query, viewport, path="phase", **options)
    drawn(page)
    return page


def drawn(page: Page) -> None:
    until(page, f"{SETTLED} && !document.body.classList.contains('busy') && {MAP}?._fullData?.length > 3")
    until(page, "location.search.includes('axes=')")


def search(page: Page) -> str:
    return page.evaluate("decodeURIComponent(location.search)")


def click_map(page: Page, x: float, y: float) -> None:
    """Click the map at values of its axes."""
    place = page.evaluate(
        f"""(() => {{
            const plot = {MAP}, box = plot.querySelector('.nsewdrag').getBoundingClientRect();
            const {{xaxis, yaxis}} = plot._fullLayout;
            return [box.x + xaxis.d2p({x}), box.y + yaxis.d2p({y})];
        }})()"""
    )
    page.mouse.move(place[0], place[1], steps=3)
    page.mouse.click(*place)


# Phase


def test_the_map_is_drawn_and_told(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page)
    expect(page.locator("h1")).to_have_text(
        re.compile(r"Ordered phase: the gradient vanishes, ×0\.6\d per step back\.")
    )
    expect(page.locator("#phase-details")).to_contain_text("χ1 = 0.399")
    expect(page.locator("#phase-where")).to_contain_text("Fails for trained or structured weights")
    assert "vanishes" in (page.locator("#phase-figure-frame").get_attribute("aria-label") or "")
    assert page.locator("nav [aria-current=page]").inner_text() == "Phase"
    assert search(page) == "?v=1&axes=w-b"
    assert page.evaluate("document.documentElement.scrollWidth") == 1440
    page.click(".phase .as-table summary")
    assert page.locator("#phase-table tbody tr").count() == 8


def test_a_drag_moves_the_point_and_the_address_follows(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page)
    thumb = page.locator(".phase [role=slider]").first.bounding_box()
    track = page.locator(".phase .slider").first.bounding_box()
    assert thumb and track
    y = thumb["y"] + thumb["height"] / 2
    page.mouse.move(thumb["x"] + thumb["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(track["x"] + 0.75 * track["width"], y, steps=4)
    until(page, "document.querySelector('h1').innerText.includes('explodes')")
    assert "gain" not in search(page)
    page.mouse.up()
    until(page, "location.search.includes('gain=')")
    until(page, f"{MARK}.x[0] === +new URLSearchParams(location.search).get('gain')")
    page.go_back()
    until(page, "document.querySelector('#control-sigma_w').value === '1'")
    expect(page.locator("h1")).to_contain_text("vanishes")
    drawn(page)
    assert "gain" not in search(page)


@pytest.mark.slow
def test_a_link_reproduces_the_map(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page)
    page.click("#phase-axes")
    page.get_by_role("option", name="Bias and input scale").click()
    page.click("#phase-activation")
    page.get_by_role("option", name="erf", exact=True).click()
    page.locator("#control-sigma_b").fill("0.4")
    until(page, "location.search.includes('bias_scale=0.4')")
    drawn(page)
    assert search(page) == "?v=1&activation=erf&bias_scale=0.4&axes=b-v"
    other = open_map(open_page, search(page).removeprefix("?"))
    assert other.locator("h1").inner_text() == page.locator("h1").inner_text()
    assert other.evaluate(f"{MARK}.x[0]") == 0.4
    expect(other.locator("#phase-role-sigma_w")).to_have_text("held all over the map")
    assert search(other) == search(page)


@pytest.mark.slow
def test_a_click_opens_the_point_in_explore(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page, f"{SMALL}&cell=lstm")
    expect(page.locator("#phase-notices")).to_contain_text("the plain cell with gaussian weights")
    click_map(page, 3.0, 0.5)
    page.wait_for_url(re.compile(r"/\?v=1"))
    settled(page)
    assert dict(parse_qsl(search(page)[1:])) == dict(parse_qsl(f"v=1&gain=3&bias_scale=0.5&{SMALL}"))
    expect(page.locator("#verdict")).to_contain_text("explodes")
    expect(page.locator("#theory")).to_have_text(re.compile(r"Theory ×1\.\d+ \(mean field\), measured ×1\.\d+"))
    page.go_back()
    page.wait_for_url("**/phase?*")
    drawn(page)
    assert page.evaluate(f"[{MARK}.x[0], {MARK}.y[0]]") == [3, 0.5]
    page.click("text=Open in Explore")
    page.wait_for_url(re.compile(r"/\?v=1&.*gain=3"))


@pytest.mark.slow
def test_where_nothing_hovers_a_tap_only_chooses(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page, "", NARROW, has_touch=True, is_mobile=True)
    expect(page.locator(".with-finger")).to_be_visible()
    click_map(page, 3.0, 0.5)
    until(page, "location.search.includes('gain=3')")
    assert page.evaluate("location.pathname") == "/phase"
    expect(page.locator("h1")).to_contain_text("explodes")


@pytest.mark.slow
def test_a_wrong_value_stands_beside_its_control(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page)
    before = page.locator("h1").inner_text()
    page.locator("#control-sigma_w").fill("-2")
    expect(page.locator(".phase .field.number").first).to_contain_text("expected at least 0")
    assert page.locator("h1").inner_text() == before
    assert "gain" not in search(page)
    page.locator("#control-sigma_w").fill("3")
    until(page, "location.search.includes('gain=3')")


@pytest.mark.slow
def test_the_keyboard_reaches_everything(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page)
    reached = set()
    for _ in range(24):
        page.keyboard.press("Tab")
        focus = "document.activeElement.id || document.activeElement.getAttribute('aria-label') || ''"
        reached.add(page.evaluate(focus))
    numbers = {"control-sigma_w", "control-sigma_b", "control-sigma_v", "Gain", "Bias scale", "Input scale"}
    assert numbers | {"phase-activation", "phase-axes", "phase-open"} <= reached
    page.locator(".phase [role=slider]").first.focus()
    page.keyboard.press("ArrowRight")
    until(page, "location.search.includes('gain=1.05')")
    page.locator("#phase-open").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/\?v=1&gain=1.05"))


@pytest.mark.slow
def test_the_run_travels_along_the_navigation(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{SMALL}&gain=2&pin=gain%3D3%26steps%3D60%26hidden_size%3D16%26batch_size%3D4")
    page.click("nav >> text=Phase")
    page.wait_for_url("**/phase?*")
    drawn(page)
    assert page.locator("#control-sigma_w").input_value() == "2"
    page.click("nav >> text=Explore")
    page.wait_for_url(re.compile(r"/\?v=1"))
    settled(page)
    assert "axes" not in search(page) and "hidden_size=16" in search(page)
    expect(page.locator("#notices")).to_be_empty()
    expect(page.locator(".pin-label")).to_have_count(1)


@pytest.mark.slow
def test_accessibility(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page, "oops=1")
    page.click(".phase .as-table summary")
    readable(page)


@pytest.mark.slow
def test_the_theme_reaches_the_map(open_page: Callable[..., Page]) -> None:
    page = open_map(open_page)
    light = page.evaluate(f"{MAP}._fullLayout.font.color")
    page.click("#theme-toggle")
    until(page, f"{MAP}._fullLayout.font.color !== '{light}'")


# theory and diagnosis in Explore


@pytest.mark.slow
def test_the_theory_line_is_switched_and_stays_so(open_page: Callable[..., Page]) -> None:
    page = open_page()
    shown = f"{PLOT}._fullData.some(t => (t.name || '').startsWith('theory'))"
    until(page, shown)
    page.click(".theory summary")
    expect(page.locator("#theory-where")).to_contain_text("Holds for wide networks")
    page.keyboard.press("Escape")
    expect(page.locator("#theory-where")).to_be_hidden()
    page.locator("#theory-line").click()
    until(page, f"!{shown}")
    assert search(page) == f"?{SMALL}"
    page.reload()
    settled(page)
    until(page, f"!{shown}")
    expect(page.locator("#theory")).to_contain_text("Theory ×")


@pytest.mark.slow
def test_a_remedy_is_tried_and_measured(open_page: Callable[..., Page]) -> None:
    page = open_page()
    first = page.locator(".try", has_text=re.compile("gain", re.IGNORECASE)).first
    expect(page.locator("#card")).to_contain_text("The slope of tanh is only")
    expect(page.locator(".advice li").first).to_contain_text("predicted ×")
    label = first.inner_text()
    first.focus()
    page.keyboard.press("Enter")
    until(page, "location.search.includes('gain=') && location.search.includes('pin=')")
    outcome = page.locator(".outcome")
    expect(outcome).to_have_text(re.compile(rf"{re.escape(label)}: predicted ×1\.00, measured ×\d\.\d\d\."))
    measured = outcome.inner_text().rpartition("×")[2].strip(".")
    assert f"×{measured}" in page.locator("#verdict").inner_text()
    expect(page.locator(".pin-label")).to_have_count(1)
    page.locator("#control-gain").fill("3")
    expect(page.locator("#verdict")).to_contain_text("explodes")
    until(page, SETTLED)
    expect(outcome).to_have_count(0)


@pytest.mark.slow
def test_the_card_follows_the_figure_on_narrow_screens(open_page: Callable[..., Page]) -> None:
    page = open_page(SMALL, NARROW)
    expect(page.locator(".try").first).to_be_visible()
    card, figure, tabs = (page.locator(name).bounding_box() for name in ("#card", "#figure", ".tabs"))
    assert card and figure and tabs
    assert figure["y"] + figure["height"] <= card["y"] + 1 and card["y"] + card["height"] <= tabs["y"] + 1
    assert page.evaluate("document.documentElement.scrollWidth") == 390
