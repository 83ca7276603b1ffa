"""The command line as its users meet it: what it prints where, its files, its exit codes."""

import json
import pydoc_data
import re
import shlex
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import gradlab
from gradlab.cells import CELLS, make_cell
from gradlab.cells.activations import ACTIVATIONS
from gradlab.cells.initializers import INITIALIZERS
from gradlab.cli.names import KINDS
from gradlab.cli.terminal import option_name
from gradlab.config import LOSSES, RunConfig, controls
from gradlab.config.links import from_query
from gradlab.config.presets import PRESETS
from gradlab.data import INPUTS
from gradlab.importers.trained import save_layer
from gradlab.learning.clipping import CLIP_MODES, CLIPPERS
from gradlab.learning.optimizers import OPTIMIZERS, SCHEDULES
from gradlab.quantities import QUANTITIES
from gradlab.tasks import TASKS
from tests.commands import CO2, ROOT, call, parsed, refused

GOLDEN = ROOT / "tests" / "golden"
SMALL = ("--hidden-size", "8", "--batch-size", "4", "--steps", "40")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NO_COLOR", raising=False)


def run(*arguments: object, command: str = "analyze") -> Result:
    return call(command, *arguments)


def small(*arguments: object) -> Result:
    return run(*SMALL, *arguments)


def answer(*arguments: object) -> dict:
    return parsed(small("--json", *arguments))


# --- What is printed


def test_without_options_it_prints_verdict_table_and_the_way_to_the_app() -> None:
    result = run()
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"The gradient vanishes: x0\.6\d per step back\.", lines[0])
    assert "steps back  share left  typical factor  saturated" in lines
    assert [line.split()[0] for line in lines if re.match(r" +\d", line)] == ["0", "1", "10", "30", "100"]
    assert lines[-1] == "See it in the app: gradlab-dashboard '?v=1'"


@pytest.mark.parametrize(("steps", "lags"), [(200, [0, 1, 10, 30, 100, 200]), (30, [0, 1, 10, 30]), (1, [0, 1])])
def test_the_table_goes_back_to_the_initial_state(steps: int, lags: list[int]) -> None:
    rows = answer("--steps", steps)["table"]
    assert [row["steps_back"] for row in rows] == lags
    assert rows[0]["log_share"] == 0
    assert (rows[-1]["typical_factor"], rows[-1]["saturation"]) == (None, None)


def test_the_table_shows_what_was_measured() -> None:
    ds = gradlab.analyze(hidden_size=8, batch_size=1, steps=40, cell="lstm")
    row = answer("--batch-size", 1, "--cell", "lstm")["table"][2]
    joint = np.logaddexp.reduce(2 * ds.log_grad_norm.isel(sample=0).values, axis=0) / 2
    assert row["steps_back"] == 10
    assert row["log_share"] == pytest.approx(joint[30] - joint[40])
    assert row["typical_factor"] == pytest.approx(float(ds.jacobian_frobenius.sel(step=30).squeeze()) / 4)
    assert row["saturation"] == pytest.approx(float(ds.gate_saturation.sel(gate="g", step=30)))


def test_an_overflow_is_reported_and_the_table_covers_the_finite_part() -> None:
    result = answer("--activation", "relu", "--gain", 1e30, "--steps", 100)
    assert result["overflow"][0]["gate"] == "g"
    assert result["table"][-1]["steps_back"] == result["verdict"]["steps"] < 40
    assert "overflowed at step" in small("--activation", "relu", "--gain", 1e30).stdout


def test_json_has_verdict_table_configuration_and_files(tmp_path: Path) -> None:
    result = answer("--cell", "gru", "-o", tmp_path / "run.nc")
    assert list(result) == [
        "verdict",
        "groups",
        "diagnosis",
        "table",
        "quantities",
        "layers",
        "cell",
        "config",
        "overflow",
        "files",
        "dashboard",
    ]
    assert result["verdict"]["word"] in result["verdict"]["headline"].replace("vanishes", "vanishing")
    assert RunConfig(**result["config"]) == RunConfig(cell="gru", hidden_size=8, batch_size=4, steps=40)
    assert result["files"] == [str(tmp_path / "run.nc")]


def test_json_has_every_group_of_samples(tmp_path: Path) -> None:
    """Samples that saturate the net beside some that hardly drive it: both kinds, whichever is the larger one."""
    noise = np.random.default_rng(0).normal(size=(80, 3, 1))
    np.save(tmp_path / "mixed.npy", np.concatenate([np.full((80, 5, 1), 1000.0), 0.001 * noise], axis=1))
    result = answer("--input", tmp_path / "mixed.npy", "--gain", 3, "--steps", 80, "--batch-size", 8)
    groups = result["groups"]
    assert groups["vanishing"]["sample"] == [0, 1, 2, 3, 4] and len(groups) > 1
    assert sorted(n for group in groups.values() for n in group["sample"]) == [*range(8)]
    assert all(group["samples"] == {word: len(group["sample"])} for word, group in groups.items())
    assert groups["vanishing"]["fitted_log_rate"] == result["verdict"]["fitted_log_rate"]
    assert [*answer()["groups"]] == ["vanishing"] and answer("--layers", 2)["groups"] == {}


def test_json_has_null_where_nothing_is_left() -> None:
    assert answer("--gain", 0)["table"][1]["log_share"] is None
    assert small("--gain", 0).stdout.splitlines()[0] == "The gradient vanishes: x0 per step back."


def test_quiet_prints_the_headline_only() -> None:
    result = small("-q", "--column", "no_note_on_this")
    assert re.fullmatch(r"The gradient \w+: x\S+ per step back\.\n", result.stdout)
    assert result.stderr == ""
    assert json.loads(small("-q", "--json").stdout)["table"]


def test_clipping_says_what_it_did_to_the_update() -> None:
    by_norm = small("--clip", "norm").stdout
    assert (
        "Clipping (update, by norm) leaves 0.5 of the update's norm and turns it by 0 degrees; the gradient" in by_norm
    )
    inside = small("--gain", 3, "--clip", "step_norm", "--clip-threshold", 0.5).stdout
    assert re.search(
        r"^Clipping \(inside backprop, by norm\) leaves \S.* and turns it by \d+ degrees\.$", inside, re.MULTILINE
    )
    assert "leaves nothing" in small("--gain", 0, "--input-scale", 0, "--activation", "relu", "--clip", "value").stdout


def test_an_option_that_does_not_apply_is_noted() -> None:
    assert small("--column", "a").stderr == "note: --column does not apply to this run and is ignored\n"
    assert small("--cell", "lstm", "--forget-bias", 1).stderr == ""


def test_the_link_survives_the_shell_and_finds_the_file(tmp_path: Path) -> None:
    file = tmp_path / "it's 100% $HOME & more.csv"
    file.write_text(CO2.read_text())
    program, query = shlex.split(answer("--input", file, "--column", "co2_ppm")["dashboard"])
    link = from_query(query)
    assert program == "gradlab-dashboard"
    assert (link.missing, link.notices, link.config.column) == ({}, [], "co2_ppm")
    assert Path(link.config.input).read_text() == file.read_text()


def test_a_copy_in_the_cache_is_said(tmp_path: Path) -> None:
    file, weights, kept = tmp_path / "a.csv", tmp_path / "net.safetensors", tmp_path / "cache" / "uploads"
    file.write_bytes(CO2.read_bytes())
    weights.write_bytes(save_layer(cell := make_cell("gru", input_size=1, hidden_size=3), cell.init(0)))
    assert small().stderr == "" and not kept.exists()
    assert small("-q", "--input", file).stderr == "" and not kept.exists()
    assert f"note: for the app, a copy of a.csv is kept in {kept}\n" in small("--input", file).stderr
    assert len(list(kept.iterdir())) == 1
    both = run("--steps", 20, "--input", file, "--column", "co2_ppm", "--weights", weights)
    assert f"note: for the app, a copy of net.safetensors and a.csv is kept in {kept}\n" in both.stderr
    assert len(list(kept.iterdir())) == 2


def test_a_run_the_app_cannot_show_has_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("--hidden-size", 2, "--batch-size", 1025, "--steps", 12)
    assert "the app cannot show this run: Samples: at most 1,024 in the app, got 1,025" in result.stderr
    assert (result.exit_code, "gradlab-dashboard" in result.stdout) == (0, False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "file"))
    result = small("--input", CO2)
    assert "the app cannot show this run: the copy of co2_mauna_loa.csv in " in result.stderr
    assert result.exit_code == 0


# --- Options


def test_every_field_of_the_configuration_is_an_option_with_its_names() -> None:
    text = run("--help").stdout
    for field, control in controls().items():
        value = "" if RunConfig.model_fields[field].annotation is bool else "[A-Z]"
        assert re.search(rf"^  {option_name(field)} {value}", text, re.MULTILINE)
        for name in control.choices() if control.choices else []:
            assert name in text
    headings = re.findall(r"^(\w[\w ]+):$", text, re.MULTILINE)
    assert headings == ["Start from", "Network", "Weights", "Data", "Gradient", "Run", "Output", "Help"]


def test_options_override_the_file_which_overrides_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('forget_bias = 2\ninput_scale = 0.5\nclip = "norm"\n')
    config = answer("--preset", "lstm_forget_1", "--config", file, "--clip", "off")["config"]
    changed = {"cell": "lstm", "recurrent_init": "uniform", "forget_bias": 2.0, "input_scale": 0.5}
    assert RunConfig(**config) == RunConfig(hidden_size=8, batch_size=4, steps=40, **changed)


@pytest.mark.parametrize("value", [("--forget-bias", "-1"), ("--forget-bias=-1",)])
def test_a_negative_number_is_a_value(value: tuple[str, ...]) -> None:
    assert answer("--cell", "lstm", *value)["config"]["forget_bias"] == -1


# --- Real input


def test_a_text() -> None:
    text = Path(pydoc_data.__file__).with_name("topics.py")
    result = small("--input", text, "--cell", "gru")
    assert result.exit_code == 0
    assert re.search(r"GRU\(\d{2,3} -> 8, tanh\), 40 steps, 4 samples of topics.py", result.stdout)


def test_a_series() -> None:
    assert answer("--input", CO2, "--column", "co2_ppm")["cell"] == "Elman(1 -> 8, tanh)"


def test_how_a_file_was_read_is_noted() -> None:
    assert "note: Read co2_mauna_loa.csv as a table (commas): " in small("--input", CO2).stderr
    assert "left out: 'date' (time stamp)\n" in small("--input", CO2).stderr
    assert small("--input", CO2, "--column", "co2_ppm", "--quiet").stderr == ""
    assert "note: Read" not in small().stderr


def test_a_sound(tmp_path: Path) -> None:
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
    with wave.open(str(tmp_path / "tone.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(tone.astype("<i2").tobytes())
    assert answer("--input", tmp_path / "tone.wav")["verdict"]["steps"] == 40


def test_one_layer_of_own_weights_or_all() -> None:
    deep = GOLDEN / "models" / "deep_both.safetensors"
    small = "--steps", 12, "--batch-size", 2, "--weights", deep
    whole = answer(*small)
    ways = [f"layer{n}/{way}" for n in (1, 2, 3) for way in ("forward", "backward")]
    assert {name for name in whole["layers"] if "/" in name} == set(ways) and whole["diagnosis"] is None
    one = answer(*small, "--layer", 1, "--prefix", "rnns")
    assert (one["cell"], one["config"]["layer"]) == ("GRU(8 -> 4, tanh)", "1") and one["diagnosis"]
    assert "--layer 1" not in one["dashboard"] and "layer=1" in one["dashboard"]
    said = run(*small, "--layer", "2_reverse").stderr
    assert (
        "note: the weights are GRU(8 -> 4, tanh) from layer 2_reverse of 'rnns.0'; the weights also hold layer 0"
        in said
    )
    assert re.match("error: --layer: .*no recurrent layer 5 in the weights", refused(run(*small, "--layer", 5)))
    assert re.match("error: --prefix: .*no recurrent layer of 'encoder'", refused(run(*small, "--prefix", "encoder")))
    assert "note: --layer does not apply to this run and is ignored" in run("--steps", 12, "--layer", 1).stderr


def test_own_weights() -> None:
    assert answer("--weights", GOLDEN / "encoder_lstm.safetensors")["cell"] == "LSTM(3 -> 4, tanh)"


def test_an_assumed_nonlinearity_is_said_once() -> None:
    weights = "--weights", GOLDEN / "rnn_relu_no_bias.safetensors"
    assumed = "; they do not tell nn.RNN's nonlinearity, so tanh is assumed: no activation was given"
    for given, cell, rest in (((), "tanh", assumed), (("--activation", "relu"), "relu", "")):
        note = f"note: the weights are Elman(3 -> 4, {cell}) from layer 0{rest}\n"
        said = run("--steps", 20, "--batch-size", 2, *weights, *given).stderr
        assert [line for line in said.splitlines(keepends=True) if "for the app, a copy" not in line] == [note]


# --- The rest


def test_list_shows_every_name_with_a_line() -> None:
    text = run(command="list").stdout
    registries = [CELLS, ACTIVATIONS, INITIALIZERS, INPUTS, LOSSES, CLIP_MODES, CLIPPERS, OPTIMIZERS, SCHEDULES]
    registries += [PRESETS, QUANTITIES, TASKS]
    for name in (name for registry in registries for name in registry):
        assert re.search(rf"^  {name}  +\S.{{7,}}$", text, re.MULTILINE), name
    assert list(KINDS) == [
        "cells",
        "activations",
        "initializers",
        "inputs",
        "losses",
        "clipping",
        "tasks",
        "optimizers",
        "schedules",
        "presets",
        "quantities",
    ]


def test_list_of_one_kind() -> None:
    text = run("inputs", command="list").stdout
    assert text.splitlines()[0] == "Inputs (--input; or a file):"
    assert len(text.splitlines()) == 1 + len(INPUTS)
    assert "unknown kind 'cell'. Did you mean 'cells'?" in refused(run("cell", command="list"))


def test_version_and_help() -> None:
    assert run(command="--version").stdout == f"gradlab {gradlab.__version__}\n"
    bare = call()
    assert bare.exit_code == 0
    assert bare.stdout == run(command="-h").stdout
    assert re.search(r"^  analyze +Measure .*\.\n  convert +Write .*\.\n  list +Show .*\.$", bare.stdout, re.MULTILINE)
