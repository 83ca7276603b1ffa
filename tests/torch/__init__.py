"""Tests of what watches PyTorch models: skipped where there is no PyTorch (failed where CI is set)."""

import os

import pytest

if not os.environ.get("CI"):
    pytest.importorskip("torch")
