"""A server that ends while a page is open, and is started again."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest
from playwright.sync_api import Browser, expect

from ..commands import process
from ..pages import SMALL, new_page, settled, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
Start = Callable[[str], str]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Start, list[Popen[str]]]]:
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path))
    running: list[Popen[str]] = []

    def one(port: str) -> str:
        running.append(process("--port", port, "--no-browser", module="dashboard", stderr=DEVNULL))
        found = re.search(r"http://127\.0\.0\.1:\d+/", running[-1].stdout.readline())  # type: ignore[union-attr]
        assert found
        return found[0]

    yield one, running
    for app in running:
        app.kill()
        app.communicate()


def test_a_page_goes_on_by_itself(browser: Browser, start: tuple[Start, list[Popen[str]]]) -> None:
    run, running = start
    address, page = run("0"), new_page(browser)
    page.goto(f"{address}?{SMALL}")
    settled(page)
    end(running[0])
    page.locator("#control-gain").fill("3")
    expect(page.locator("#failure")).to_have_text("The server does not answer. Start it again, and this page goes on.")
    assert run(address.rsplit(":", 1)[1].strip("/")) == address
    expect(page.locator("#verdict")).to_contain_text("explodes")
    expect(page.locator("#failure")).to_be_empty()
    page.context.close()


def end(app: Popen[str]) -> None:
    app.send_signal(signal.SIGTERM)
    assert app.wait(30) == 0


def test_a_training_is_followed_again(browser: Browser, start: tuple[Start, list[Popen[str]]]) -> None:
    run, running = start
    address, page = run("0"), new_page(browser)
    page.goto(
        f"{address}train?v=1&task=adding&steps=20&hidden_size=8&batch_size=4&snapshot_every=100&evaluate_every=100&iterations=20000"
    )
    expect(page.locator("#train-verdict")).not_to_have_text("Loading …")
    page.click("#train-one")
    until(page, "document.querySelector('#train-course .js-plotly-plot')?._fullData?.length > 0")  # it has been saved
    end(running[0])
    expect(page.locator("#train-failure")).to_contain_text("The server does not answer.")
    assert run(address.rsplit(":", 1)[1].strip("/")) == address
    expect(page.locator("#train-failure")).to_be_empty()
    expect(page.locator("#train-resume")).to_be_visible()  # the run was saved when the server ended
    page.context.close()
