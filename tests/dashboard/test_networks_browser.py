"""Networks in Explore, in a real browser: choosing one, its rows, its layers."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.pages import NARROW, readable, settled, until

pytestmark = pytest.mark.browser
STACK = "steps=24&batch_size=9&hidden_size=8&layers=2&cell=gru"


def rows(page: Page) -> list[str]:
    return page.locator(".layer-title").all_inner_texts()


def choose(page: Page, control: str, option: str) -> None:
    page.click(f"#{control}")
    page.get_by_role("option", name=option, exact=True).click()


def test_a_click_on_a_row_shows_that_layer_and_a_network_is_chosen(open_page: Callable[..., Page]) -> None:
    page = open_page(STACK)
    assert rows(page) == ["layer 2", "layer 1", "inputs"]
    expect(page.locator(".layer-row").nth(0)).to_have_attribute("aria-pressed", "true")
    assert page.locator("#card").is_hidden()
    page.locator(".layer-row").nth(1).click()
    expect(page.locator("#note")).to_have_text("Shown: layer 1. Click a row above to see another.")
    expect(page.locator(".layer-row").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#figure")).to_contain_text("recurrence")
    choose(page, "control-architecture", "transformer")
    until(page, "location.search.includes('architecture=transformer')")
    expect(page.locator(".layer-title")).to_have_text(["block 2", "block 1", "inputs"])
    expect(page.locator("#field-heads")).to_be_visible()
    expect(page.locator("#field-cell")).to_be_hidden()
    choose(page, "control-architecture", "recursive net (tree)")
    expect(page.locator("#control-cell")).to_have_attribute("aria-invalid", "true")  # a tree of GRUs is none
    choose(page, "control-cell", "lstm")
    expect(page.locator(".layer-title")).to_have_text(["tree", "inputs"])
    expect(page.locator("#verdict")).to_contain_text("level")
    until(page, "location.search.includes('architecture=tree') && location.search.includes('cell=lstm')")
    page.reload()
    settled(page)
    assert rows(page) == ["tree", "inputs"]


def test_rows_are_reached_by_keys_and_fit_a_narrow_screen(open_page: Callable[..., Page]) -> None:
    page = open_page(STACK + "&bidirectional=True", viewport=NARROW)
    last = page.locator(".layer-row").nth(2)
    last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#note")).to_have_text(re.compile("layer 1, forward"))
    assert page.evaluate("document.activeElement.className") == "layer-row"
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    readable(page)


CONTROLS = {  # of each network: control -> what is chosen, True for a switch
    "recurrent": {"layers": "2", "bidirectional": True, "residual": True, "layer_norm": True, "attention": "dot"},
    "transformer": {"layers": "2", "heads": "2", "norm": "after each sum (post-LN)", "causal": True},
    "tree": {"tree": "chain"},
}
SAID = {"after each sum (post-LN)": "post", True: "True"}


@pytest.mark.slow
@pytest.mark.parametrize("network", CONTROLS)
def test_every_control_of_a_network_sets_its_field(open_page: Callable[..., Page], network: str) -> None:
    page = open_page(f"steps=24&batch_size=9&hidden_size=8&architecture={network}")
    page.locator("#more summary").click()
    for name, value in CONTROLS[network].items():
        if value is True:
            page.locator(f"#control-{name}").click(force=True)
        elif value.isdigit():
            page.locator(f"#control-{name}").fill(value)
        else:
            choose(page, f"control-{name}", value)
        until(page, f"location.search.includes('{name}={SAID.get(value, value)}')")
        expect(page.locator(f"#field-{name}")).to_have_class(re.compile("changed"))
    settled(page)
    assert rows(page)[-1] == "inputs"
