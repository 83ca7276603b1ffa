"""`gradlab theory` as its users meet it."""

import math

import pytest
from click.testing import Result

from gradlab import theory
from gradlab.cells.activations import ACTIVATIONS
from tests.commands import call, parsed, refused

EXAMPLE = ("--activation", "tanh", "--gain", "1.5", "--bias-scale", ".05", "--input-scale", "1")


def run(*arguments: object) -> Result:
    return call("theory", *arguments)


def answer(*arguments: object) -> dict:
    result = run(*arguments, "--json")
    assert result.stderr == ""
    return parsed(result)


def test_it_prints_phase_numbers_and_limits() -> None:
    result = run(*EXAMPLE)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "Ordered phase: the gradient vanishes, x0.87 per step back."
    assert "tanh, sigma_w = 1.5, sigma_b = 0.05, sigma_v = 1" in lines
    found = theory.mean_field("tanh", 1.5, 0.05, 1.0)
    table = {line[:13].strip(): line.split() for line in lines}
    for name, value in {
        "q*": found.q,
        "chi_1": found.chi,
        "depth scale": found.depth,
        "c*": 1,
        "depth of c*": found.depth_c,
        "critical gain": float(theory.critical_line("tanh", 0.05, 1.0)),
    }.items():
        assert table[name][len(name.split())] == f"{value:.6g}"
    assert f"its ln is {found.log_rate:.6g}" in result.stdout
    assert table["phase"][1] == "ordered"
    assert found.holds in lines and found.fails in lines
    assert "are standard deviations (sigma_w, sigma_b, sigma_v), never variances" in lines[-1]


@pytest.mark.parametrize(("options", "headline"), [
    (("--gain", 3), "Chaotic phase: the gradient explodes, x1.31 per step back."),
    (("--gain", 1, "--input-scale", 0), "Critical: the gradient keeps its norm."),
    (("--gain", 0), "Ordered phase: the gradient vanishes, x0 per step back."),
    (("--activation", "relu", "--gain", 1.5),
     "No lasting state: it grows without limit; the gradient changes x1.06 per step back."),
])  # fmt: skip
def test_quiet_prints_the_headline_only(options: tuple, headline: str) -> None:
    result = run("-q", *options)
    assert (result.exit_code, result.stdout, result.stderr) == (0, headline + "\n", "")
    assert run(*options).stdout.splitlines()[0] == headline


def test_words_follow_what_decided() -> None:
    still = run("--gain", 0).stdout
    assert "steps over which the squared norm falls by a factor e" in still
    assert "by chi_1 against 1" in still
    assert "the squared norm grows by" in run("--gain", 3).stdout
    divergent = run("--activation", "relu", "--gain", 1.5).stdout
    assert "q* has no limit" in divergent
    assert "by chi_1 against 1" not in divergent


def test_a_sine_of_a_large_gain() -> None:
    """q = 100^2 / 2 + 1, and only the input is left in common: c* = 1 / q."""
    found = answer("--activation", "sin", "--gain", 100)
    assert found["q"] == pytest.approx(5001)
    assert found["chi"] == pytest.approx(5000)
    assert found["c_star"] == pytest.approx(1 / 5001, rel=1e-6)
    assert (found["slope_c"], found["depth_c"]) == (0, 0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_json_of_every_activation(name: str) -> None:
    found, expected = answer("--activation", name, "--gain", 1.3), theory.mean_field(name, 1.3, 0.0, 1.0)
    assert list(found) == [
        "headline", "activation", "sigma_w", "sigma_b", "sigma_v", "phase", "q", "chi", "log_rate", "depth", "c_star",
        "slope_c", "depth_c", "fixed_points", "critical_sigma_w", "holds", "fails", "scales",
    ]  # fmt: skip
    assert (found["activation"], found["phase"]) == (name, expected.phase)
    for key in ("q", "chi", "log_rate", "depth", "c_star", "slope_c", "depth_c"):
        value = getattr(expected, key)
        assert found[key] == (value if math.isfinite(value) else None)


def test_json_where_numbers_are_missing() -> None:
    found = answer("--activation", "relu", "--gain", 1.5)
    assert (found["q"], found["c_star"], found["critical_sigma_w"]) == (None, None, None)
    assert found["chi"] == pytest.approx(1.125)


@pytest.mark.parametrize(("options", "message"), [
    (("--activation", "tanhh"), "error: --activation: unknown activation 'tanhh'. Did you mean 'tanh'?"),
    (("--gain", -1), "error: --gain: expected at least 0.0, got '-1'"),
    (("--gain", "wide"), "error: --gain: expected a number, got 'wide'"),
    (("--bias-scale", "nan"), "error: --bias-scale: expected a finite number, got 'nan'"),
    (("--gain", 2000), "error: --gain: expected a standard deviation (not a variance) from 0 to 1000, got 2000"),
    (("--input-scale", 1e9), "error: --input-scale: expected a standard deviation (not a variance) from 0 to 1000"),
    (("--sigma", 1), "No such option"),
])  # fmt: skip
def test_bad_input(options: tuple, message: str) -> None:
    assert message in refused(run(*options))


def test_help_names_its_options_and_an_example() -> None:
    text = run("--help").stdout
    assert all(word in text for word in ("--activation", "--gain", "--bias-scale", "--input-scale", "Examples:"))
    assert "theory" in call("--help").stdout
