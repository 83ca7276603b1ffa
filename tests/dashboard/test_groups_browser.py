"""Groups of samples in a real browser: a file whose samples are not alike, and the switch between them."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.pages import NARROW, PLOT, readable, settled, until
from tests.views import mixed_file

pytestmark = pytest.mark.browser


def curve_start(page: Page) -> float:
    """log10 of what is left at the first step, from the figure itself."""
    return float(page.evaluate(f"{PLOT}._fullData.find(t => t.line && t.line.width === 3).y[0]"))


def test_a_file_of_two_kinds_of_samples(open_page: Callable[..., Page]) -> None:
    page = open_page("hidden_size=8&gain=2&batch_size=11&steps=60")
    group = page.locator("#group")
    expect(group).to_be_hidden()
    page.click("#more > summary")
    file = {"name": "mixed.npy", "mimeType": "application/octet-stream", "buffer": mixed_file(4, 7)}
    page.locator("#upload-input input[type=file]").set_input_files(file)
    expect(group.locator("label")).to_have_text(["all 11 samples", "7 explode", "4 vanish"])
    settled(page)
    page.click("#more > summary")
    group.get_by_text("4 vanish").click()
    expect(page.locator("#verdict")).to_contain_text("vanishes")
    expect(page.locator("#details")).to_contain_text("This is of 4 of 11 samples, in which it vanishes.")
    expect(page.locator("#announcement")).to_contain_text("in which it vanishes")
    until(page, "location.search.endsWith('&group=vanishing')")
    page.reload()
    expect(page.locator("#details")).to_contain_text("This is of 4 of 11 samples, in which it vanishes.")
    group.locator("input:checked").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#verdict")).to_contain_text("explodes")
    until(page, f"{PLOT}._fullData.find(t => t.line && t.line.width === 3).y[0] > 1")
    expect(page.locator("#card")).to_contain_text("outweigh")
    settled(page)
    readable(page)
    page.set_viewport_size(NARROW)
    assert group.bounding_box()["width"] <= NARROW["width"] - 20  # type: ignore[index]


@pytest.mark.slow
def test_the_switch_goes_with_the_last_difference(open_page: Callable[..., Page]) -> None:
    page = open_page("hidden_size=8&gain=2&batch_size=11&steps=60")
    page.click("#more > summary")
    file = {"name": "mixed.npy", "mimeType": "application/octet-stream", "buffer": mixed_file(4, 7)}
    page.locator("#upload-input input[type=file]").set_input_files(file)
    page.locator("#group").get_by_text("7 explode").click()
    expect(page.locator("#details")).to_contain_text("in which it explodes")
    page.locator("#control-gain").fill("0.5")
    expect(page.locator("#group")).to_be_hidden()
    expect(page.locator("#verdict")).to_contain_text(re.compile("vanishes"))
    expect(page.locator("#details")).not_to_contain_text("in which")
    assert curve_start(page) < -2
    page.locator("#control-gain").fill("2")
    expect(page.locator("#group")).to_be_visible()
    expect(page.locator("#group input:checked")).to_have_value("")
