"""A Chromium for the browser tests: where it is found, how it is started, and what happens where there is none.

Loaded by conftest as a pytest plugin: the fixture `browser`, and tests that use it or are marked `browser` are
skipped where no browser is found (failed where CI is set). `python -m tests.browser` tries once to install one.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

# Without the network flags Chromium calls home at every start; without a sandbox it runs as root and in containers.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
ON_PATH = ("chromium", "chromium-browser", "google-chrome")
HINT = (
    "'.venv/bin/python -m playwright install --with-deps chromium' or, on Debian, 'sudo apt install chromium' "
    "installs one, and GRADLAB_CHROMIUM can name one"
)


def candidates() -> Iterator[str]:
    """Yield the paths where a Chromium may be, best first; one that GRADLAB_CHROMIUM names is the only one."""
    if named := os.environ.get("GRADLAB_CHROMIUM"):
        yield named
        return
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    yield own
    yield from filter(None, map(shutil.which, ON_PATH))


def starts(path: str) -> bool:
    """Say whether a browser is there and finds its libraries."""
    if sys.platform == "win32":  # there --version opens a window
        return Path(path).is_file()
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@cache
def find_browser() -> str | None:
    """Return the path of a Chromium that starts, None where there is none."""
    return next(filter(starts, candidates()), None)


def installers() -> Iterator[list[str]]:
    """Yield the commands that may install a Chromium on this machine."""
    yield [sys.executable, "-m", "playwright", "install", "chromium"]
    if shutil.which("apt-get") and os.geteuid() == 0:
        yield ["sh", "-c", "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y chromium"]


def install_once() -> None:
    """Try to install a browser where none is found; the environment remembers that it was tried."""
    tried = Path(sys.prefix) / "browser-install-tried"
    if "GRADLAB_CHROMIUM" in os.environ or find_browser() or tried.exists():
        return
    for command in installers():
        print("gradlab: no browser; trying once, for some minutes:", *command, file=sys.stderr, flush=True)
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=900)
        except subprocess.TimeoutExpired:
            continue
        find_browser.cache_clear()
        if find_browser():
            break
    tried.touch()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the browser once for all tests; each opens a context of its own."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        yield chromium
        chromium.close()


def reason() -> str:
    """Say what was looked for in vain, and what to do."""
    named = os.environ.get("GRADLAB_CHROMIUM")
    return f"{f'GRADLAB_CHROMIUM={named} does not start' if named else 'no browser found'}; {HINT}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs a browser where there is none; CI must have one."""
    needed = item.get_closest_marker("browser") or "browser" in getattr(item, "fixturenames", ())
    if not needed or find_browser():
        return
    if os.environ.get("CI"):
        pytest.fail(reason(), pytrace=False)
    pytest.skip(reason())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Say at the very end, below pytest's own last line, what was skipped for want of a browser."""
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return result
    if count := sum(reason() in str(report.longrepr) for report in reporter.stats.get("skipped", [])):
        reporter.write_line(f"{count} browser tests skipped: {reason()}.")
    return result


if __name__ == "__main__":
    try:
        install_once()
    except KeyboardInterrupt:
        sys.exit(130)
