"""What the command line refuses, and how it says so."""

import re
from pathlib import Path

import pytest

from gradlab.config import RunConfig
from gradlab.config.train import TrainConfig
from tests.commands import CO2, call, refused

from .test_cli import GOLDEN, small

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cell", "lsmt"], r"^error: --cell: unknown cell 'lsmt'\. Did you mean 'lstm'\? Valid: antisymmetric"),
        (["--forget-bias", "x"], r"^error: --forget-bias: expected a number or 'chrono', got 'x'\n$"),
        (["--steps", "3.5"], r"^error: --steps: expected a whole number, got '3\.5'\n$"),
        (["--clip-threshold", "0x"], r"^error: --clip-threshold: expected a positive number or a multiple"),
        (["--preset", "ege"], r"^error: --preset: unknown preset 'ege'\. Did you mean 'edge'\?"),
        (
            ["--forget-biass", "1"],
            r"^error: No such option:? '?--forget-biass'?.*--forget-bias.*\nSee: gradlab analyze --help\n$",
        ),
        (["extra"], r"^error: Got unexpected extra argument \(extra\)\nSee: gradlab analyze --help\n$"),
        (["--input", "nois"], r"^error: --input: unknown input 'nois'\. Did you mean 'noise'\?"),
        (["--input", "none.csv"], r"^error: --input: file not found: none\.csv \(relative paths start at "),
        (
            ["--input", CO2, "--column", "co2"],
            r"^error: --column: co2_mauna_loa\.csv: unknown column 'co2'\. Did you mean 'co2_ppm'\?",
        ),
        (
            ["--input", CO2, "--steps", "900"],
            r"^error: --steps: the data .* fewer than the 900 asked for; use 814 or less\n$",
        ),
        (
            ["--weights", GOLDEN / "linear.safetensors"],
            r"^error: --weights: linear.safetensors: no recurrent layer .* they hold: bias \(4,\), weight",
        ),
        (["--config", "none.toml"], r"^error: none\.toml: cannot be read: No such file or directory\n$"),
        (
            ["-o", "run.zarr"],
            r"^error: --output: expected a file name that ends in \.nc or \.zarr\.zip, such as .*, got run\.zarr\n$",
        ),
        (["--html", "run"], r"^error: --html: expected a file name that ends in \.html, such as run\.html, got run\n$"),
        (
            ["-o", "none/run.nc"],
            r"^error: --output none/run\.nc: cannot be written: No such file or directory; make room.*\n$",
        ),
    ],
)
def test_bad_input_is_named_as_it_was_typed(arguments: list[object], message: str) -> None:
    assert re.search(message, refused(small(*arguments)), re.MULTILINE)


def test_every_wrong_field_has_a_line() -> None:
    lines = refused(call("analyze", "--cell", "lsmt", "--gain", "-1", "--hidden-size", "many")).splitlines()
    assert [line.split()[1] for line in lines] == ["--cell:", "--gain:", "--hidden-size:"]


def test_wrong_fields_of_a_file_are_named_as_they_stand_there(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("gian = 3\nhidden_size = 0\n")
    first, second = refused(call("analyze", "--config", file)).splitlines()
    assert f"{file}: hidden_size: expected at least 1, got 0" in first + second
    assert "unknown field 'gian'. Did you mean 'gain'?" in first + second
    file.write_text("gain: 3\n")
    assert f"error: {file}: not a TOML file:" in refused(call("analyze", "--config", file))


def test_unknown_commands_and_options_name_the_nearest() -> None:
    assert "analyze" in refused(call("analyse"))
    assert "--version" in refused(call("--versio"))


NUMERIC = [("analyze", field) for field, info in RunConfig.model_fields.items() if info.annotation in (int, float)]
NUMERIC += [("train", field) for field, info in TrainConfig.model_fields.items() if info.annotation in (int, float)]
NUMERIC += [("lyapunov", "exponents"), ("lyapunov", "every"), ("lyapunov", "warmup"), ("theory", "gain")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["lyapunov", "--exponents", "x" * 5000],
        ["x" * 5000],
        ["analyze", "x y\n" * 5000],
        ["analyze", "--" + "x" * 5000],
    ],
    ids=["value", "command", "argument", "option"],
)
def test_long_words_are_quoted_by_their_ends(arguments) -> None:
    lines = refused(call(*arguments)).splitlines()
    assert len(lines) == 2 and lines[0].startswith("error: ") and " ... " in lines[0] and len(lines[0]) < 1000


@pytest.mark.parametrize("digits", [75, 5000])
@pytest.mark.parametrize(("command", "field"), NUMERIC)
def test_long_numbers_are_quoted_by_their_ends(command, field, digits):
    option = f"--{field.replace('_', '-')}"
    small = ("--steps", 12, "--hidden-size", 2, "--batch-size", 1) if command == "lyapunov" else ()
    result = call(command, f"{option}=-1{'0' * digits}", *small)
    assert result.exit_code == 2 and option in result.stderr
    assert not re.search(r"\d{41}", result.stderr) and len(result.stderr) < 400
