"""The app in a real browser: a server, pages that must not complain, and how to wait for them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import WSGIRequestHandler, make_server

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text("utf-8")
SMALL = "hidden_size=16&batch_size=4&steps=60"  # quick to compute
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
TIMEOUT = 20_000
PLOT = "document.querySelector('#figure .js-plotly-plot')"
expect.set_options(timeout=TIMEOUT)


class Quiet(WSGIRequestHandler):
    def log_request(self, *args: Any) -> None:
        """Not a line per request."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a free port, with a file cache of its own; slow machines draw live too."""
    from dashboard.app import create_app
    from dashboard.pages import explore_view

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(explore_view, "LIVE", 60.0)
        server = make_server("127.0.0.1", 0, create_app().server, threaded=True, request_handler=Quiet)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.port}/"
        server.shutdown()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens pages; in the end none of them may have complained or asked another machine."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def watch(page: Page) -> None:
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda r: None if r.url.startswith((address, "blob:", "data:")) else complaints.append(r.url)
        )

    def open_one(
        query: str = SMALL, viewport: dict[str, int] = WIDE, hint: bool = False, path: str = "", **options: Any
    ) -> Page:
        context = browser.new_context(viewport=viewport, permissions=["clipboard-read", "clipboard-write"], **options)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT)
        if not hint:
            context.add_init_script("localStorage.setItem('gradlab-hint', 'seen')")
        page = context.new_page()
        watch(page)
        page.goto(address + path + (f"?{query}" if query else ""))
        if not path:
            settled(page)
        return page

    yield open_one
    for context in contexts:
        context.close()
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


def serious(page: Page) -> list[Any]:
    """What axe-core finds that keeps people out."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [
        (v["id"], v["help"], [n["html"][:200] for n in v["nodes"]])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
