"""Learn in a real browser: guess, show, play, go on; by keyboard, by finger, at every width."""

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Page, expect

from dashboard.pages.learn.chapters import BY_SLUG, CHAPTERS
from tests.pages import NARROW, WIDE, readable, serious, settled, until

pytestmark = pytest.mark.browser

PLOT = "document.querySelector('#learn-figure .js-plotly-plot')"
REST = "!document.body.classList.contains('busy') && !document.body.classList.contains('unsettled')"
LATEST = "window.gradlab.drawing.latest()"


def drawn(page: Page, slug: str) -> None:
    """The chapter's figure stands as it was asked for last."""
    until(page, f"{LATEST}?.chapter === '{slug}' && {REST} && {PLOT}?._fullData?.length > 0")


def open_chapter(open_page: Callable[..., Page], slug: str, viewport: dict[str, int] = WIDE, **options: str) -> Page:
    page = open_page(f"chapter={slug}", viewport, path="learn", **options)
    drawn(page, slug)
    return page


def tell(page: Page, slug: str) -> None:
    page.click("#learn-show")
    until(page, "document.querySelector('#learn-body').className === 'body told'")
    drawn(page, slug)


def test_a_guess_is_kept_and_the_figure_answers(open_page: Callable[..., Page]) -> None:
    page = open_chapter(open_page, "product")
    expect(page.locator("h1")).to_have_text(BY_SLUG["product"].title)
    until(page, "document.querySelectorAll('.learn .text mjx-container svg').length > 2")
    expect(page.locator("#learn-controls")).to_be_hidden()
    page.locator("#learn-guess").focus()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    expect(page.locator("#learn-said")).to_have_text("1 %")
    tell(page, "product")
    expect(page.locator("#learn-judged")).to_contain_text("You said 1 %; it is 0.017 %")
    expect(page.locator("#learn-seen")).to_contain_text("5 steps back multiply")
    page.reload()
    drawn(page, "product")
    expect(page.locator("#learn-judged")).to_contain_text("You said 1 %")
    page.click("text=All questions")
    expect(page.locator("#learn-index li", has_text=BY_SLUG["product"].title)).to_contain_text("✓")
    expect(page.locator(".words dt").first).to_be_visible()


def test_the_marker_stands_where_its_value_is_on_the_axis(open_page: Callable[..., Page]) -> None:
    page = open_chapter(open_page, "product")
    box = page.locator("#learn-guess").bounding_box()
    assert box
    x, target = (
        box["x"] + box["width"] / 2,
        page.evaluate(
            f"{PLOT}.querySelector('.nsewdrag').getBoundingClientRect().y + {PLOT}._fullLayout.yaxis.d2p(-5)"
        ),
    )
    start = page.evaluate(
        f"{PLOT}.querySelector('.nsewdrag').getBoundingClientRect().y + {PLOT}._fullLayout.yaxis.d2p(-1)"
    )
    column = page.evaluate(
        f"{PLOT}.querySelector('.nsewdrag').getBoundingClientRect().x + {PLOT}._fullLayout.xaxis.d2p(20)"
    )
    assert x == pytest.approx(column, abs=2)
    page.mouse.move(x, start)
    page.mouse.down()
    page.mouse.move(x, target, steps=5)
    page.mouse.up()
    until(page, "document.querySelector('#learn-guess').value === '-5'")


@pytest.mark.slow
def test_a_slider_plays_and_the_sentence_follows(open_page: Callable[..., Page]) -> None:
    page = open_chapter(open_page, "product")
    tell(page, "product")
    page.click(".play")
    expect(page.locator("#learn-seen")).to_contain_text(re.compile("^(7|8|9) steps"))
    page.click(".play")
    expect(page.locator(".play")).to_have_text("Play")
    drawn(page, "product")
    value = page.locator("[data-value=back]").inner_text()
    expect(page.locator("#learn-seen")).to_contain_text(f"{value} steps")


@pytest.mark.slow
def test_controls_change_the_figure_and_what_explore_opens(open_page: Callable[..., Page]) -> None:
    page = open_chapter(open_page, "activation")
    tell(page, "activation")
    page.locator("#learn-controls").get_by_text("tanh", exact=True).click()
    expect(page.locator("#learn-seen")).to_contain_text("Tanh leaves")
    expect(page.locator("#learn-judged")).to_be_hidden()
    page.locator(".knob [role=slider]").focus()
    page.keyboard.press("ArrowRight")
    until(page, f"{LATEST}.values.gain === 1.1")
    drawn(page, "activation")
    page.click("#learn-explore")
    page.wait_for_url(re.compile(r"/\?v=1"))
    settled(page)
    assert dict(parse_qsl(page.evaluate("location.search.slice(1)"))) == {"v": "1", "gain": "1.1"}


@pytest.mark.slow
def test_chapters_follow_each_other_without_a_new_page(open_page: Callable[..., Page]) -> None:
    page = open_chapter(open_page, CHAPTERS[0].slug)
    page.evaluate("window.same = true")
    page.click(".ways .next")
    drawn(page, CHAPTERS[1].slug)
    expect(page.locator("h1")).to_have_text(CHAPTERS[1].title)
    expect(page.locator("h1")).to_be_focused()
    assert page.evaluate("window.same && location.search") == f"?chapter={CHAPTERS[1].slug}"
    page.go_back()
    drawn(page, CHAPTERS[0].slug)
    expect(page.locator("h1")).to_have_text(CHAPTERS[0].title)
    page.click("nav >> text=Phase")
    page.wait_for_url("**/phase**")
    assert "chapter" not in page.evaluate("location.search")


@pytest.mark.slow
@pytest.mark.parametrize("slug", BY_SLUG)
def test_every_chapter_is_for_everybody(open_page: Callable[..., Page], slug: str) -> None:
    page = open_chapter(open_page, slug)
    readable(page)
    tell(page, slug)
    readable(page)


@pytest.mark.slow
def test_the_list_is_for_everybody(open_page: Callable[..., Page]) -> None:
    page = open_page("chapter=nothing", path="learn")
    expect(page.locator("#learn-notices")).to_contain_text("There is no chapter 'nothing'")
    expect(page.locator("#learn-index li")).to_have_count(len(CHAPTERS))
    readable(page)


@pytest.mark.slow
def test_a_finger_moves_the_marker(open_page: Callable[..., Page]) -> None:
    page = open_chapter(open_page, "activation", NARROW)
    tell(page, "activation")
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    small = page.evaluate(
        "[...document.querySelectorAll('.learn a, .learn button, .learn label')].filter(e => e.offsetParent && "
        "!e.matches('.unseen')).map(e => [e.innerText, e.getBoundingClientRect().height]).filter(([t, h]) => h < 24)"
    )
    assert small == []


@pytest.mark.slow
def test_presenting_is_larger_and_goes_by_keys(open_page: Callable[..., Page]) -> None:
    page = open_chapter(open_page, CHAPTERS[0].slug)
    size = "parseFloat(getComputedStyle(document.querySelector('.learn .text')).fontSize)"
    before = page.evaluate(size)
    page.click(".present")
    expect(page.locator("header")).to_be_hidden()
    assert page.evaluate(size) > 1.2 * before
    page.locator("#learn-guess").focus()
    page.keyboard.press("ArrowRight")  # moves the marker
    expect(page.locator("h1")).to_have_text(CHAPTERS[0].title)
    page.locator("#learn-show").focus()
    page.keyboard.press("ArrowRight")
    drawn(page, CHAPTERS[1].slug)
    expect(page.locator("h1")).to_have_text(CHAPTERS[1].title)
    page.keyboard.press("ArrowLeft")
    drawn(page, CHAPTERS[0].slug)
    assert not serious(page)
    page.keyboard.press("Escape")
    expect(page.locator("header")).to_be_visible()
