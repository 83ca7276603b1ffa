"""The tour of Explore in a real browser: on the first visit, six steps, to be skipped, never again."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages import NARROW, SMALL, complaints, new_page, serious, settled

pytestmark = [pytest.mark.browser, pytest.mark.slow]
STEPS = 6


@pytest.fixture
def first_visit(browser: Browser, address: str) -> Iterator[Page]:
    """Explore as it opens for whoever has never been there."""
    complaints.clear()
    page = new_page(browser, hint=True)
    page.goto(address)
    settled(page)
    expect(page.locator(".tour")).to_be_visible()
    yield page
    page.context.close()
    assert not complaints


def again(page: Page) -> None:
    page.goto(page.url.partition("?")[0])
    settled(page)
    page.wait_for_timeout(900)  # three looks of the script
    expect(page.locator(".tour")).to_have_count(0)


def test_six_steps_each_point_at_something(first_visit: Page) -> None:
    page, seen = first_visit, set()
    for n in range(1, STEPS + 1):
        expect(page.locator(".tour small")).to_have_text(f"{n} of {STEPS}")
        expect(page.locator(".toured")).to_have_count(1)
        expect(page.locator(".toured")).to_be_in_viewport()
        seen.add(page.locator(".tour h2").inner_text())
        page.click(".tour-next")
    assert len(seen) == STEPS
    expect(page.locator(".tour, .toured")).to_have_count(0)
    again(page)


@pytest.mark.parametrize("by", ["click", "key"])
def test_it_is_skipped_for_good(first_visit: Page, by: str) -> None:
    page = first_visit
    page.click(".tour-skip") if by == "click" else page.keyboard.press("Escape")
    expect(page.locator(".tour, .toured")).to_have_count(0)
    again(page)


def test_it_keeps_nobody_out(first_visit: Page) -> None:
    page = first_visit
    assert not serious(page)
    page.set_viewport_size(NARROW)
    assert not serious(page)
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    page.locator(".tour-next").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".tour small")).to_have_text(f"2 of {STEPS}")


def test_a_link_has_a_subject_of_its_own(browser: Browser, address: str) -> None:
    page = new_page(browser, hint=True)
    page.goto(f"{address}?{SMALL}")
    settled(page)
    page.wait_for_timeout(900)
    expect(page.locator(".tour")).to_have_count(0)
    page.context.close()
