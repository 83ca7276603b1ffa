"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two threads on two busy cores wait for each other

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")  # a busy machine is no fault

pytest_plugins = ["tests.browser", "tests.computing", "tests.pages", "tests.plotting"]


# A cell of each kind: plain, gated, with peepholes, parametrised, with a late gate, without a matrix.
KINDS = ("elman", "lstm", "gru", "peephole_lstm", "antisymmetric", "gru_v1", "lru")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is tried on every cell is tried quickly on one of each kind.

    A cell's own tests are quick, and so is the contract of every cell in double precision.
    """
    from gradlab.cells import CELLS

    seldom = CELLS.keys() - set(KINDS)
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        everywhere = "test_contract" in item.nodeid and params.get("dtype") != "float32"
        everywhere = everywhere or item.nodeid.startswith("tests/cells")
        if not everywhere and any(v in seldom for v in params.values() if isinstance(v, str)):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's files and runs, not made yet."""
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
