"""The app in a real browser: a server, pages that must not complain, and how to wait for them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import WSGIRequestHandler, make_server

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text("utf-8")
SMALL = "hidden_size=16&batch_size=4&steps=60"  # quick to compute
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
TIMEOUT = 20_000
PLOT = "document.querySelector('#figure .js-plotly-plot')"
OWN = ("http://127.0.0.1:", "file:", "blob:", "data:")
expect.set_options(timeout=TIMEOUT)
complaints: list[str] = []  # of all pages


class Quiet(WSGIRequestHandler):
    def log_request(self, *args: Any) -> None:
        """Not a line per request."""


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The app on a free port; one for all tests, so that the browser compiles its code once."""
    from dashboard.app import create_app

    server = make_server("127.0.0.1", 0, create_app().server, threaded=True, request_handler=Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def address(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with a file cache of this module's own; slow machines draw live too."""
    from dashboard.pages.explore import draw as explore_draw

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(explore_draw, "LIVE", 60.0)
        yield server


def new_page(browser: Browser, hint: bool = False, **options: Any) -> Page:
    """A page of its own context; the hint and the tour for newcomers have been seen unless they are wanted."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)
    context.set_default_timeout(TIMEOUT)
    if not hint:
        seen = "for (const name of ['hint', 'tour']) localStorage.setItem(`gradlab-${name}`, 'seen')"
        context.add_init_script(f"if (location.protocol === 'http:') {seen}")
    page = context.new_page()
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(OWN) else complaints.append(r.url))
    return page


@pytest.fixture(scope="session")
def warm_page(browser: Browser) -> Page:
    """The page that most tests use in turn: it has compiled the app's code and loads it in half the time."""
    return new_page(browser)


@pytest.fixture
def open_page(browser: Browser, warm_page: Page, address: str) -> Iterator[Callable[..., Page]]:
    """Opens pages; in the end none of them may have complained or asked another machine."""
    free, own = [warm_page], []
    complaints.clear()

    def open_one(
        query: str = SMALL, viewport: dict[str, int] = WIDE, path: str = "", scheme: str = "light", **options: Any
    ) -> Page:
        if free and not options:
            page = free.pop()
        else:
            own.append(page := new_page(browser, **options))
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        page.goto(address + path + (f"?{query}" if query else ""))
        if not path:
            settled(page)
        return page

    yield open_one
    for page in own:
        page.context.close()
    if not free:
        warm_page.evaluate("localStorage.clear()")
        warm_page.goto("about:blank")  # before the server ends
    assert not complaints


def until(page: Page, condition: str) -> None:
    """Wait until a JavaScript expression is true; Playwright's own way needs eval, which the page's policy forbids."""
    for _ in range(TIMEOUT // 20):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never true: {condition}; the page: {page.locator('h1').all_inner_texts()}")


def settled(page: Page) -> None:
    """The figure is drawn and what follows from it is done."""
    until(page, f"!document.body.classList.contains('busy') && {PLOT}?._fullData?.length > 3")
    expect(page.locator("#figure-frame")).to_have_attribute("aria-label", re.compile("units. (The|Too)"))


def readable(page: Page) -> None:
    """Nothing keeps people out and nothing is wider than the screen: wide and narrow, in both colour schemes."""
    for viewport in (WIDE, NARROW):
        page.set_viewport_size(viewport)
        if (sheet := page.locator("#sheet-toggle")).is_visible():
            sheet.click()
        for _ in range(2):
            scheme = page.evaluate("document.documentElement.dataset.mantineColorScheme")
            page.evaluate("document.querySelector('#theme-toggle').click()")  # a sheet may lie above it
            until(page, f"document.documentElement.dataset.mantineColorScheme !== '{scheme}'")
            assert not serious(page), (viewport, f"not {scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


def serious(page: Page) -> list[Any]:
    """What axe-core finds that keeps people out; what is dimmed while it waits for an answer comes back first."""
    waiting = "document.querySelector('.busy, .unsettled, [data-dash-is-loading=true]')"
    until(page, f"!{waiting} && !document.getAnimations().length")
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [
        (v["id"], v["help"], [n["html"][:200] for n in v["nodes"]])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
