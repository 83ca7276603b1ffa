"""What a link says, what the form shows and what a copied link says again are one number, to the last digit."""

from collections.abc import Callable
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Page, expect

from ..pages import SMALL, until

pytestmark = pytest.mark.browser
DIGITS = "0.012345678901234567"  # as Python and browsers write it
SEED = 2**62 + 1


@pytest.mark.slow
def test_explore_shows_and_runs_every_digit(open_page: Callable[..., Page]) -> None:
    page = open_page(f"{SMALL}&gain=1.{DIGITS[2:16]}&clip=norm&clip_threshold={DIGITS}&seed={SEED}")
    assert page.locator("#control-clip_threshold").input_value() == DIGITS
    assert page.locator("#control-gain").input_value() == f"1.{DIGITS[2:16]}"
    assert page.locator("#control-seed").input_value() == str(SEED)
    page.click("#copy-link")
    expect(page.locator("#copied")).to_have_text("Copied")
    copied = parse_qs(page.evaluate("navigator.clipboard.readText()").partition("?")[2])
    wanted = {"gain": f"1.{DIGITS[2:16]}", "clip_threshold": DIGITS, "seed": str(SEED)}
    assert {name: copied[name] for name in wanted} == {name: [text] for name, text in wanted.items()}


@pytest.mark.slow
def test_train_shows_and_runs_every_digit(open_page: Callable[..., Page]) -> None:
    page = open_page(f"learning_rate={DIGITS}&clip=norm&clip_threshold={DIGITS}", path="train")
    expect(page.locator("#control-train-learning_rate")).to_have_value(DIGITS)
    expect(page.locator("#control-train-clip_threshold")).to_have_value(DIGITS)
    until(page, "!document.querySelector('.busy, .unsettled')")
    page.click("#train-copy-link")
    expect(page.locator("#train-copied")).to_have_text("Copied")
    copied = parse_qs(page.evaluate("navigator.clipboard.readText()").partition("?")[2])
    assert copied["learning_rate"] == copied["clip_threshold"] == [DIGITS]
