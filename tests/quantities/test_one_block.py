"""A new quantity is one registered block: it is recorded, kept in snapshots, and shown wherever quantities are."""

import math

import numpy as np
import pytest

import gradlab
from dashboard.pages.explore import draw, tabs
from gradlab.plots import html_report
from gradlab.quantities import QUANTITIES, quantity
from gradlab.training import TrainConfig, TrainingRun, snapshot_dataset, train

from ..commands import call, parsed
from ..views import SMALL, request, words

NAME, LOG = "log_throwaway", -20 * math.log(10)
BLOCK = {"long_name": "What nobody has recorded before", "symbol": "ln z_t", "units": "furlongs", "scale": "log"}
CONFIG = SMALL.replace(seed=90125)  # of no other test: the app keeps its runs


@pytest.fixture
def block(monkeypatch, own_cache):
    """One block, registered for the time of a test."""
    monkeypatch.setattr(QUANTITIES, "_things", dict(QUANTITIES.items()))

    @quantity(("path", "step", "*", "sample"), BLOCK["symbol"], "log", BLOCK["units"], snapshot=True)
    def log_throwaway(run):
        """What nobody has recorded before."""
        return run.masked(np.full_like(run.path_split[0], LOG), steps=1)


def assert_labelled(variable):
    assert variable.dims == ("path", "step", "sample") and variable.path.values.tolist() == ["carry", "g"]
    assert variable.attrs == BLOCK
    np.testing.assert_allclose(variable, LOG, rtol=1e-6)


def test_it_is_recorded(block):
    assert_labelled(gradlab.analyze(CONFIG)[NAME])


def test_it_is_in_the_snapshots_of_a_training(block, tmp_path):
    fields = {"steps": 12, "hidden_size": 5, "batch_size": 20, "iterations": 4, "snapshot_every": 2}
    config = TrainConfig(**fields)
    run = train(config, checkpoint=tmp_path / "run.safetensors")
    for kept in (run, TrainingRun.load(tmp_path / "run.safetensors")):
        ds = snapshot_dataset(kept)
        assert_labelled(ds[NAME])
        assert ds.sizes["sample"] == 16
        assert isinstance(gradlab.plots.gradient_flow(ds).data, tuple)


def test_the_command_line_tells_it(block):
    told = parsed(call("analyze", "--json", "--steps", 20, "--hidden-size", 8))["quantities"][NAME]
    assert told.pop("median") == {"carry": pytest.approx(LOG), "g": pytest.approx(LOG)}
    assert told == BLOCK
    assert f"{NAME} " in call("list", "quantities").stdout and BLOCK["long_name"] in call("list", "quantities").stdout


@pytest.mark.usefixtures("computed_here")
def test_the_app_and_the_report_show_it(block):
    ds = gradlab.analyze(CONFIG)
    page = html_report(ds, "", [])
    row = "<tr><td>What nobody has recorded before</td><td>z_t</td><td>furlongs</td>"
    assert f"{row}<td>carry 10<sup>−20</sup>, g 10<sup>−20</sup></td></tr>" in page
    draw.draw(request(CONFIG))
    shown = words(tabs.panels("data", request(CONFIG))["data"])
    assert "What nobody has recorded beforez_tfurlongscarry 10" in shown


def test_without_its_block_it_is_nowhere():
    assert NAME not in QUANTITIES and NAME not in gradlab.analyze(CONFIG)
    assert NAME not in call("list", "quantities").stdout


@pytest.mark.parametrize(
    "more",
    [{"request": "more"}, {"applies": lambda run: True}, {"coords": lambda run: {"stage": []}}],
    ids=lambda more: next(iter(more)),
)
def test_a_snapshot_holds_what_every_run_has(more):
    with pytest.raises(ValueError, match="^rare: snapshots hold what every run has; leave out applies, request and"):

        @quantity(("step", "*"), "r", snapshot=True, **more)
        def rare(run):
            """Rare."""

    assert "rare" not in QUANTITIES
