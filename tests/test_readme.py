"""The README and CONTRIBUTING are true: their examples run, their commands parse, their files exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gradlab.cells
from gradlab.cells import CELLS
from gradlab.cli import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def blocks(text, language):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [content for kind, content in found if kind == language]


def test_the_library_example_runs():
    first, second, *_ = blocks(README, "python")
    names = {}
    exec(first, names)  # noqa: S102
    assert names["traj"].states.shape == (101, 2, 8, 64)
    assert names["ds"].log_grad_norm.sizes["time"] == 101
    exec(second, names)  # noqa: S102
    assert names["norms"].shape == (101, 8)
    assert names["chaos"].exponents[0] == pytest.approx(0.693, abs=0.01)
    assert names["spectrum"].exponents.shape == (8,)
    assert names["ds"].surface.sizes == {"snapshot": 4, "layer": 1, "time": 31}


def test_the_example_of_compared_runs_runs():
    names = {}
    exec(blocks(README, "python")[3], names)  # noqa: S102
    ds = names["ds"]
    assert list(ds.run.values) == ["LSTM", "with attention"] and float(ds.slope[0]) < float(ds.slope[1])
    assert "log_recurrent_grad_norm" in names["tree"]["layer1"]


def test_the_example_of_recurrence_and_attention_runs():
    names = {}
    exec(blocks(README, "python")[4], names)  # noqa: S102
    reached = {name: float(tree.log_input_grad_norm[-101].median()) for name, tree in names["trees"].items()}
    assert max(reached["LSTM"], reached["both directions"]) < np.log(1e-8)
    assert min(reached["LSTM, attention"], reached["transformer"]) > np.log(1e-4)


def test_the_example_of_a_network_of_ones_own_lowers_its_loss():
    names = {}
    exec(blocks(README, "python")[2], names)  # noqa: S102
    assert names["outputs"].shape == (8, 2) and names["dx"].shape == (30, 8, 3)
    outputs, _ = names["net"].forward(names["params"], names["x"])
    assert names["LOSSES"]["cross_entropy"](outputs, names["classes"])[0] < names["loss"]


def test_the_commands_run(tmp_path, own_cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = [line for line in "\n".join(blocks(README, "")).splitlines() if line.startswith("gradlab ")]
    assert len(commands) == 16
    for command in commands:
        if "model." not in command:
            arguments = [str(ROOT / a) if a.startswith("studies/") else a for a in shlex.split(command)[1:]]
            result = CliRunner().invoke(cli, arguments)
            assert result.exit_code == 0, result.output
    assert (tmp_path / "run.nc").exists()
    assert (tmp_path / "run.html").exists()


def test_the_set_up_commands_are_named():
    first_screen = "\n".join(README.splitlines()[:30])
    assert "python3 dev.py dashboard" in first_screen
    assert "python3 dev.py test" in first_screen


def test_the_pictures_exist():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).exists()


@pytest.fixture
def new_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(gradlab.cells, "__path__", [*gradlab.cells.__path__, str(tmp_path)])
    yield tmp_path
    CELLS._things.pop("update_gate", None)


def test_the_tutorial_adds_a_cell(new_cells):
    (source,) = blocks(CONTRIBUTING, "python")
    (new_cells / "update_gate.py").write_text(source, "utf-8")
    gradlab.cells.discover()
    gradlab.check_cell("update_gate")
    result = CliRunner().invoke(cli, ["analyze", "--cell", "update_gate", "--forget-bias", "1", "-q"])
    assert result.exit_code == 0, result.output
    assert "update_gate" in CliRunner().invoke(cli, ["list"]).output
