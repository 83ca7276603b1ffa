"""Fixtures that every test may use."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two threads on two busy cores wait for each other

pytest_plugins = ["tests.browser", "tests.pages", "tests.plotting"]
