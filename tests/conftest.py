"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two threads on two busy cores wait for each other

pytest_plugins = ["tests.browser", "tests.computing", "tests.pages", "tests.plotting"]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's files and runs, not made yet."""
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
