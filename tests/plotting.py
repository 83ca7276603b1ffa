"""What the tests of figures share: runs of every kind, synthetic Datasets, and a browser page for a figure."""

import math
from functools import cache

import numpy as np
import pytest
import xarray as xr

import gradlab
from gradlab import plots
from gradlab.plots.colours import THEMES
from gradlab.quantities import requests

from .pages import complaints, until

LN10 = math.log(10)
RUNS = {
    "elman": {},
    "exploding": {"gain": 3.0},
    "carried": {"activation": "identity", "recurrent_init": "orthogonal"},
    "lstm": {"cell": "lstm", "forget_bias": 1.0},
    "every": {"cell": "lstm", "loss": "every"},
    "gru": {"cell": "gru"},
    "norm": {"gain": 3.0, "clip": "norm"},
    "step": {"gain": 3.0, "clip": "step_norm"},
    "overflow": {"activation": "relu", "gain": 1e30, "steps": 40},
    "dead": {"activation": "relu", "gain": 0.5, "bias_scale": 1.0},
    "zero": {"gain": 0.0},
    "one sample": {"batch_size": 1},
    "one step": {"steps": 1, "hidden_size": 1, "batch_size": 1},
}
each_theme = pytest.mark.parametrize("theme", THEMES)
each_figure = pytest.mark.parametrize("figure", plots.FIGURES)
each_run = pytest.mark.parametrize("run", RUNS)


SMALL = {"steps": 60, "hidden_size": 16, "batch_size": 8}


@pytest.fixture(scope="session")
def runs():
    read = ("attention_sample", "head", "query", "key"), np.full((2, 2, 5, 7), 1 / 7)  # what a node of attention has
    return {
        name: gradlab.analyze(record=requests(), **{**SMALL, **fields}).assign(attention_weight=read)
        for name, fields in RUNS.items()
    }


@pytest.fixture(scope="session")
def shown(runs):
    """(run, figure) -> what that figure shows of the run."""

    @cache
    def compared(run):
        return gradlab.compare([gradlab.RunConfig(**{**SMALL, **RUNS[run]})], seeds=2)

    return lambda run, figure: compared(run) if figure == "comparison" else runs[run]


def synthetic(logs, unit_logs=None, factors=None, valid=None) -> xr.Dataset:
    """A Dataset with the joint log norms `logs` (time, sample) in its only state, all else plain."""
    logs = np.asarray(logs, dtype=float)
    times, samples = logs.shape
    units = np.zeros((times, 4)) if unit_logs is None else np.asarray(unit_logs, dtype=float)
    factors = np.ones(times - 1) if factors is None else np.asarray(factors, dtype=float)
    one_step = np.repeat(factors[:, None], samples, axis=1)
    return xr.Dataset(
        {
            "log_grad_norm": (("state", "time", "sample"), logs[None]),
            "jacobian_frobenius": (("step", "sample"), one_step * np.sqrt(units.shape[1])),
            "jacobian_spectral": (("step", "sample"), 1.5 * one_step),
            "log_grad_unit": (("time", "unit"), units),
            "valid_steps": ("sample", np.full(samples, times - 1) if valid is None else valid),
        },
        {
            "time": range(times),
            "step": range(1, times),
            "state": ["h"],
            "index": range(units.shape[1]),
        },
        {"overflow": "[]"},
    )


def fading(steps, rate=-1.0, samples=3) -> xr.Dataset:
    """ln norms that change by `rate` at every step back."""
    return synthetic(np.repeat(rate * np.arange(steps, -1.0, -1)[:, None], samples, axis=1))


def named(fig, name, axis="y") -> list:
    return [trace for trace in fig.data if trace.name == name and trace.yaxis == axis]


def words_of(fig) -> str:
    return "\n".join(annotation.text for annotation in fig.layout.annotations)


@pytest.fixture
def opened(warm_page, tmp_path):
    """Open HTML at a width; fails on console messages and on requests beyond the file."""
    complaints.clear()

    def open_html(html: str, width: int):
        (tmp_path / "page.html").write_text(html, "utf-8")
        warm_page.set_viewport_size({"width": width, "height": 900})
        warm_page.emulate_media(color_scheme="light")
        warm_page.goto(f"file://{tmp_path}/page.html")
        until(warm_page, "[...document.querySelectorAll('.plotly-graph-div')].every(d => d.querySelector('.xtick'))")
        return warm_page

    yield open_html
    assert not complaints
