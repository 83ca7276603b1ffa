"""`gradlab lyapunov` as its users meet it."""

import os
import re
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from gradlab.config import RunConfig
from gradlab.products.lyapunov import lyapunov
from gradlab.runs.build import build
from tests.commands import ROOT, call, parsed, posix, process, read_terminal, refused

GOLDEN = ROOT / "tests" / "golden"
SMALL = {"hidden_size": 8, "batch_size": 4, "steps": 300}


def run(*arguments: object) -> Result:
    small = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    return call("lyapunov", *small, *arguments)


def answer(*arguments: object) -> dict:
    result = run("--json", *arguments)
    assert result.stderr == ""
    return parsed(result)


@pytest.mark.parametrize("every", [(), ("--every", 40)])
def test_streamed_noise_is_the_input_that_analyze_has(every: tuple) -> None:
    cell, params, x = build(RunConfig(**SMALL))
    start = np.random.default_rng(0).normal(size=(1, 4, 8))
    expected = lyapunov(cell, params, x, every=every[1] if every else None, initial_state=start)
    found = answer(*every)
    np.testing.assert_allclose(found["exponents"], expected.exponents, atol=1e-9)
    np.testing.assert_allclose(found["stderr"], expected.stderr, atol=1e-9)
    np.testing.assert_allclose(found["spread"], expected.spread, atol=1e-9)
    assert (found["steps"], found["warmup"]) == (270, 30)
    assert found["config"]["hidden_size"] == 8


def test_without_input_the_net_does_not_rest_at_zero() -> None:
    """There it would show the logarithms of its weights' eigenvalues, and call any gain above 1 chaos."""
    found = answer("--gain", 2, "--input-scale", 0, "--exponents", 1)
    cell, params, _ = build(RunConfig(**SMALL, gain=2.0, input_scale=0.0))
    at_rest = np.log(np.abs(np.linalg.eigvals(params["W_hh"][0])).max())
    assert found["exponents"][0] < at_rest - 0.1


def test_the_report() -> None:
    result = run("--input-size", 2)
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"Not chaotic: the largest exponent is -0\.\d{4}, x0\.\d\d per step\.", lines[0])
    assert lines[1:3] == ["Kaplan-Yorke dimension: 0", "Entropy rate: 0 nats per step"]
    assert lines[3] == "The spectrum has not converged."
    assert re.match(r"note: \d of 8 standard errors are above 0\.01 or 1 %", lines[4])
    assert "Elman(2 -> 8, tanh), 270 steps after 30 not counted, 4 samples of noise; nats per step" in lines
    assert "index  exponent  standard error  spread over samples  factor per step" in lines
    assert [line.split()[0] for line in lines[-8:]] == [str(i) for i in range(1, 9)]


def test_how_a_file_was_read_is_noted(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("\n".join(f"{n * n % 17}" for n in range(400)))
    assert run("--input", tmp_path / "a.csv").stderr.startswith("note: Read a.csv as a table: 400 rows of '0'\n")


def test_chaos_is_called_so_and_a_long_table_is_cut() -> None:
    result = run("--gain", 3, "--hidden-size", 40, "--input-scale", 0.1)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Chaotic: the largest exponent is 0.")
    assert [line.split()[0] for line in lines[-3:]] == ["20", "...", "40"]


def test_one_of_something_is_not_many() -> None:
    lines = run("--batch-size", 1, "--steps", 2, "--warmup", 1).stdout.splitlines()
    assert "Elman(3 -> 8, tanh), 1 step after 1 not counted, 1 sample of noise; nats per step" in lines


def test_too_few_exponents_give_no_entropy_rate() -> None:
    result = run("--gain", 3, "--hidden-size", 40, "--input-scale", 0.1, "--exponents", 1)
    assert result.stdout.splitlines()[1:3] == ["Kaplan-Yorke dimension: unknown", "Entropy rate: unknown"]


def test_options_of_the_spectrum_and_of_the_network() -> None:
    found = answer("--exponents", 3, "--every", 5, "--warmup", 50, "--cell", "lstm", "--forget-bias", "chrono")
    assert len(found["exponents"]) == 3
    assert (found["steps"], found["warmup"], found["every"]) == (250, 50, 5)
    assert found["cell"] == "LSTM(3 -> 8, tanh)"
    assert found["kaplan_yorke"] == 0 or found["kaplan_yorke"] is None


def test_singular_jacobians_are_null_in_json() -> None:
    found = answer("--activation", "relu", "--bias-scale", 1)
    assert None in found["exponents"]
    assert any("-inf" in note for note in found["notes"])


def test_quiet_prints_the_headline_only() -> None:
    result = run("-q", "--leak", 0.5, "--cell", "gru")
    assert re.fullmatch(r"Not chaotic: the largest exponent is .* per step\.\n", result.stdout)
    assert result.stderr == ""
    assert run("--leak", 0.5, "--cell", "gru").stderr == "note: --leak does not apply to this run and is ignored\n"


def test_files_and_configurations(tmp_path: Path) -> None:
    file, toml = tmp_path / "x.npy", tmp_path / "run.toml"
    np.save(file, np.random.default_rng(0).normal(size=(500, 2)))
    toml.write_text("cell = 'minimal_rnn'")
    found = run("--input", file, "--config", toml, "--json")
    assert parsed(found)["cell"] == "MinimalRNN(2 -> 8, tanh)"
    assert found.stderr == "note: Read x.npy as an array of float64, 500 steps, 2 features\n"


def test_an_assumed_nonlinearity_is_a_note() -> None:
    weights = "--steps", 50, "--batch-size", 2, "--weights", GOLDEN / "rnn_relu_no_bias.safetensors"
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        found = call("lyapunov", *weights).stderr
    assert found.startswith("note: the weights do not tell nn.RNN's nonlinearity, so tanh is assumed; give activation=")
    assert call("lyapunov", *weights, "--activation", "relu").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--exponents", 9), "--exponents: expected a whole number from 1 to 8, the number of state variables, got 9"),
        (("--every", 0), "--every: expected a whole number from 1 on, got 0"),
        (("--every", -3), "--every: expected a whole number from 1 on, got -3"),
        (("--warmup", -1), "--warmup: expected a whole number from 0 on, got -1"),
        (("--warmup", 300), "--warmup: expected fewer than the 300 steps, got 300"),
        (("--exponents", "few"), "'few' is not a valid integer"),
        (("--cell", "lstn"), "--cell: unknown cell 'lstn'"),
        (("--clip", "norm"), "No such option '--clip'"),
        (("--activation", "relu", "--gain", 1e30), "the forward pass leaves the finite numbers at step"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    assert message in refused(run(*arguments))


@posix
def test_a_long_run_shows_its_progress_and_can_be_cancelled() -> None:
    import pty

    ours, theirs = pty.openpty()
    options = ("--steps=100000000", "--exponents=1", "--batch-size=1")
    running = process("lyapunov", *options, stderr=theirs, env={"TERM": "xterm", "COLUMNS": "80"})
    os.close(theirs)
    shown = b""
    while b"0 % of 100,000,000 steps" not in shown:
        shown += os.read(ours, 4096)
    running.send_signal(signal.SIGINT)
    assert read_terminal(ours).rstrip().endswith("cancelled")
    assert running.communicate(timeout=30)[0] == ""
    assert running.returncode == 130


def test_of_own_weights_one_layer():
    deep = "--weights", GOLDEN / "models" / "stack.safetensors", "--steps", 20, "--batch-size", 2
    assert "--layer: this is computed for a single cell; choose a layer of the weights, such as 0" in refused(
        call("lyapunov", *deep)
    )
    assert parsed(call("lyapunov", *deep, "--prefix", "rnns.1", "--layer", 0, "--json"))["cell"] == "GRU(4 -> 3, tanh)"
