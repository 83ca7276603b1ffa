"""Finding, installing and doing without a browser."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import browser

ROOT = Path(__file__).parent.parent
TESTS = """
import pytest
@pytest.mark.browser
def test_marked(): pass
def test_using(browser): pass
def test_plain(): pass
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(browser, "find_browser", browser.cache(browser.find_browser.__wrapped__))
    monkeypatch.delenv("GRADLAB_CHROMIUM", raising=False)


def script(path: Path, exit_code: int = 0) -> str:
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in browsers are shell scripts")
def test_takes_the_first_that_starts(monkeypatch, tmp_path):
    broken, good = script(tmp_path / "broken", 127), script(tmp_path / "good")
    monkeypatch.setattr(browser, "candidates", lambda: iter([str(tmp_path / "absent"), broken, good]))
    assert browser.find_browser() == good


@pytest.mark.skipif(os.name == "nt", reason="the stand-in browsers are shell scripts")
def test_a_named_browser_is_the_only_candidate(monkeypatch, tmp_path):
    named = script(tmp_path / "mine")
    monkeypatch.setenv("GRADLAB_CHROMIUM", named)
    assert browser.find_browser() == named
    browser.find_browser.cache_clear()
    os.remove(named)
    assert browser.find_browser() is None
    assert browser.reason().startswith(f"GRADLAB_CHROMIUM={named} does not start; ")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in browsers are shell scripts")
def test_installs_once(monkeypatch, tmp_path, capsys):
    calls = tmp_path / "calls"
    count = [sys.executable, "-c", f"open({str(calls)!r}, 'a').write('x')"]
    monkeypatch.setattr(browser, "installers", lambda: iter([count, count]))
    monkeypatch.setattr(browser, "candidates", lambda: iter(()))
    monkeypatch.setattr(browser.sys, "prefix", str(tmp_path))
    browser.install_once()
    browser.install_once()
    assert calls.read_text() == "xx"
    assert capsys.readouterr().err.count("gradlab: no browser; trying once") == 2


@pytest.mark.skipif(os.name == "nt", reason="the stand-in browsers are shell scripts")
def test_stops_at_the_first_installer_that_works(monkeypatch, tmp_path):
    path = tmp_path / "chromium"
    make = ["sh", "-c", f"printf '#!/bin/sh\\n' > {path}; chmod +x {path}"]
    monkeypatch.setattr(browser, "installers", lambda: iter([make, ["false-and-never-reached"]]))
    monkeypatch.setattr(browser, "candidates", lambda: iter([str(path)]))
    monkeypatch.setattr(browser.sys, "prefix", str(tmp_path))
    browser.install_once()
    assert browser.find_browser() == str(path)


def run_tests(folder: Path, ci: bool) -> subprocess.CompletedProcess[str]:
    """Run three tests, two of which need a browser, where there is none."""
    (folder / "test_some.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = browser\n")
    env = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST")}
    env |= {"GRADLAB_CHROMIUM": "/nonexistent", "PYTHONPATH": str(ROOT)} | ({"CI": "1"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-p", "no:dash", "-p", "tests.browser", "--color=no"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.slow
def test_without_a_browser_the_last_line_counts_what_was_skipped(tmp_path):
    done = run_tests(tmp_path, ci=False)
    assert done.returncode == 0
    *_, summary, last = done.stdout.splitlines()
    assert "1 passed, 2 skipped" in summary
    assert last.startswith("2 browser tests skipped: GRADLAB_CHROMIUM=/nonexistent does not start; ")
    assert "sudo apt install chromium" in last


def test_without_a_browser_ci_fails(tmp_path):
    done = run_tests(tmp_path, ci=True)
    assert done.returncode == 1
    assert "1 passed, 2 errors" in done.stdout.splitlines()[-1]
