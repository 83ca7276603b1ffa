"""Tests of what watches PyTorch models: skipped where there is no PyTorch (failed where CI is set)."""

import os
from importlib import import_module

import pytest


def needed(name):
    """A module that only some machines have; CI must have it."""
    return import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


needed("torch").set_num_threads(1)  # two threads on two busy cores wait for each other
