"""`gradlab train` as its users meet it: what it prints where, its files, Ctrl-C, exit codes."""

import math
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import Result

from gradlab.cli import train as command
from gradlab.cli.terminal import Terminal, option_name
from gradlab.config import controls
from gradlab.training import Step, TrainConfig, TrainingRun, train
from gradlab.training.history import History
from tests.commands import CO2, call, is_plain, on_a_terminal, parsed, posix, process, refused
from tests.training.test_checkpoint_damaged import changed, facts_of

FIELDS = {"steps": 8, "hidden_size": 5, "batch_size": 4, "iterations": 40, "snapshot_every": 20, "evaluate_every": 20}
SMALL = tuple(word for field, value in FIELDS.items() for word in (option_name(field), str(value)))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return call("train", *arguments)


def answer(*arguments: object) -> dict:
    return parsed(run(*SMALL, "--json", *arguments))


# --- What is printed


def test_it_prints_the_outcome_a_table_and_where_the_run_is_kept() -> None:
    result = run(*SMALL)
    assert result.exit_code == 0 and is_plain(result.stdout + result.stderr)
    lines = result.stdout.splitlines()
    assert re.fullmatch(
        r"Adding: (not learnt yet|learnt)\. Held-out mean squared error \S+ after 40 iterations, "
        r"baseline 0\.167 \(without memory: always 1\)(; the last step alone \S+ \(\S+ ± \S+\))?\.",
        lines[0],
    )
    assert "Elman(2 -> 5, tanh), 8 steps" in lines
    assert [int(line.split()[0]) for line in lines if re.match(r" +\d", line)] == list(range(5, 41, 5))
    told = [line for line in lines if line.startswith(("without memory: ", "the last step alone: ", "state cut: "))]
    assert len(told) == 3 and all(re.search(r" \d\.\d+ +-?\d\.\d+ ± 0\.\d+( +not better)?$", line) for line in told)
    assert "± is half of the 95 % interval over 10 blocks of held-out data." in lines
    assert lines[-1] == "Saved adding.safetensors at iteration 40"
    told = result.stderr.splitlines()
    assert re.fullmatch(r"1 of 40  loss \S+  gradient \S+  \d+/s  \d+:\d\d left", told[0])
    assert told[-1].startswith("40 of 40  loss ") and told[-1].endswith("0:00 left") and len(told) == 2


def test_the_table_shows_what_was_recorded() -> None:
    rows = answer("--clip", "norm", "--clip-threshold", "0.5")["table"]
    shown = train(**FIELDS, clip="norm", clip_threshold=0.5).history
    assert [row["iteration"] for row in rows] == [5, 10, 15, 20, 25, 30, 35, 40]
    for n, row in enumerate(rows):
        part = slice(5 * n, 5 * n + 5)
        assert row["loss"] == pytest.approx(np.mean(shown.rows["loss"][part]))
        assert row["log_grad_norm"] == pytest.approx(np.median(shown.rows["log_grad_norm_before"][part]))
        assert row["clipped"] == pytest.approx(np.mean(shown.rows["clipped"][part]))
    assert [row["held_out"] for row in rows] == [None] * 3 + [shown.scores[0][2]] + [None] * 3 + [shown.scores[1][2]]


def test_json_is_one_object_with_all_of_it() -> None:
    found = answer()
    expected = train(**FIELDS)
    assert TrainConfig(**found["config"]) == expected.config
    assert [(s["iteration"], s["loss"], s["score"]) for s in found["scores"]] == expected.history.scores
    assert (found["status"], found["iteration"], found["skipped"]) == ("done", 40, 0)
    assert found["baseline"] == 1 / 6 and found["checkpoint"] == "adding.safetensors"
    assert found["word"] == expected.outcome and [null["name"] for null in found["nulls"]] == ["baseline", "memoryless"]
    null = expected.nulls[1]
    assert found["nulls"][1] == {
        "name": "memoryless", "text": "the last step alone: its number, where it is marked", "loss": null.loss,
        "gain": null.gain, "error": null.error, "blocks": 10, "margin": null.margin, "beaten": null.beaten,
    }  # fmt: skip
    assert found["state_cut"]["loss"] == expected.cut.loss
    assert found["outcome"].startswith("Adding: ") and "Norm before clipping" in found["advice"]["text"]


def test_quiet_is_the_outcome_alone() -> None:
    result = run(*SMALL, "-q", "--momentum", "0.5")
    assert (result.exit_code, result.stderr, len(result.stdout.splitlines())) == (0, "", 1)
    assert result.stdout.startswith("Adding: ")
    loud = run(*SMALL, "--checkpoint", "b.safetensors", "--momentum", "0.5")
    assert loud.stderr.startswith("note: --momentum does not apply to this run and is ignored\n")


def test_weight_decay_reaches_the_optimizer() -> None:
    """adamw shrinks the weights: by 0.01 where nothing is said, not at all at 0."""
    norms = {}
    for decay in (None, 0.0, 1.0):
        done = train(**FIELDS, optimizer="adamw", weight_decay=decay)
        norms[decay] = sum(float((p**2).sum()) for p in done.params.values())
    assert norms[1.0] < 0.99 * norms[0.0] and norms[None] < norms[0.0]
    result = run(*SMALL, "-q", "--weight-decay", "-1")
    assert result.exit_code and "weight_decay: expected at least 0" in result.stderr.replace(
        "--weight-decay", "weight_decay"
    )


def test_a_task_that_is_solved_is_called_so() -> None:
    fields = ("--steps", 5, "--hidden-size", 24, "--learning-rate", 0.01, "--iterations", 400, "--evaluate-every", 400)
    assert run(*fields, "-q").stdout.startswith("Adding: solved.")
    assert run(*SMALL[2:], "--steps", 8, "--task", "sine", "--iterations", 3, "-q").stdout.startswith(
        "Sine: not learnt"
    )


def test_what_the_run_came_to_is_said_in_a_word() -> None:
    run = train(**FIELDS)
    shown = "Held-out mean squared error {} after 40 iterations, baseline 0.167 (without memory: always 1){}."
    sure, even, worse = (0.17, 0.1, 0.01, 10), (0.17, 0.01, 0.01, 10), (0.17, -0.1, 0.01, 10)
    said = (
        (0.1, (sure, sure, even), "learnt", "", " It shows no need of its memory: with its state cut before every step "
         "the loss is 0.17 (+0.01 ± 0.023)."),
        (0.1, (sure, even, sure), "no better than the last step alone",
         "; the last step alone 0.17 (+0.01 ± 0.023)", ""),
        (0.1, (even, sure, sure), "not learnt yet", "", ""),
        (1e9, (worse,) * 3, "diverged; lower the learning rate", "", ""),
    )  # fmt: skip
    for loss, rivals, word, beside, memory in said:
        run.history.scores = [(20, 0.0, 0.0), (40, loss, loss)]
        run.history.rivals = [np.array(rivals)] * 2
        assert command.sentence(run) == f"Adding: {word}. {shown.format(format(loss, '.3g'), beside)}{memory}"
    run.history.scores = [(40, 0.1, 0.25)]
    assert "Held-out mean squared error 0.25 after 40 iterations; loss 0.1, baseline" in command.sentence(run)
    run.history.scores = []
    assert command.sentence(run) == "Adding: 40 iterations, too few for a held-out score."


def test_a_row_of_the_table_has_the_latest_of_its_scores() -> None:
    run = train(**FIELDS | {"evaluate_every": 2})
    found = {score: i for i, _, score in run.history.scores}
    assert [found[row["held_out"]] for row in command.table(run)] == [4, 10, 14, 20, 24, 30, 34, 40]


def test_the_pace_is_that_of_this_sitting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Iterations since it was started, however many went before a resume."""
    now, said, terminal = [100.0], [], Terminal(stderr=True)
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(terminal, "say", said.append)
    row = {"log_grad_norm_before": 0.0, "loss": 1.0, "clipped": 1.0}
    with command._display(terminal, TrainConfig(iterations=1030)) as show:
        now[0] += 0.5
        show(Step(1001, row, History()))
        now[0] += 4.5
        show(Step(1009, row, History()))  # too early for another line
        now[0] += 7.5
        show(Step(1010, row, History()))
    end = "loss 1  gradient 1 (clipped)"
    assert said == [f"1,001 of 1,030  {end}  2/s  0:14 left", f"1,010 of 1,030  {end}  1/s  0:25 left"]


def test_everything_recorded_is_saved() -> None:
    result = run(*SMALL, "-o", "run.nc")
    assert result.stdout.endswith("Saved adding.safetensors at iteration 40\nSaved run.nc\n")
    with xr.open_dataset("run.nc", engine="h5netcdf") as ds:
        assert dict(ds.sizes)["iteration"] == 40
        np.testing.assert_array_equal(ds.loss, train(**FIELDS).history.rows["loss"])
    assert {path.name for path in Path().iterdir()} == {"run.nc", "adding.safetensors"}


def test_advice_is_tried_on_demand() -> None:
    wild = ("--task", "sine", "--steps", 30, "--hidden-size", 16, "--batch-size", 4, "--gain", 2.5)
    wild += ("--optimizer", "sgd", "--learning-rate", 0.2, "--iterations", 120)
    result = run(*wild, "--advise")
    assert re.search(r"At \S+, the 90th percentile, [^<]*\nOver 120 iterations from the start the loss", result.stdout)
    assert "from the start" not in run(*wild, "--checkpoint", "b.safetensors").stdout
    short = run(*SMALL, "--iterations", 9, "--checkpoint", "c.safetensors")
    assert "Clipping" not in short.stdout and short.exit_code == 0


def test_quiet_advice_is_told_and_a_run_too_short_for_any_is_noted() -> None:
    quiet = run(*SMALL, "-q", "--advise").stdout.splitlines()
    assert quiet[0].startswith("Adding: ") and quiet[1].startswith("Clipping: ") and len(quiet) == 4
    short = run(*SMALL, "--iterations", 9, "--advise", "--checkpoint", "b.safetensors")
    assert "note: no advice on clipping: the run shows 9 gradient norms; advice needs at least 20" in short.stderr


def test_a_net_that_has_learnt_nothing_is_told_what_to_look_at() -> None:
    fields = ("--task", "temporal_order", "--steps", 30, "--hidden-size", 5, "--gain", 0.5, "--iterations", 40)
    lines = run(*fields, "--evaluate-every", 40).stdout.splitlines()
    assert re.match(r"The gradient vanishes: x0\.\d+ per step back\.", lines[1])
    assert lines[2] == "To see why: gradlab analyze --gain 0.5 --steps 30 --hidden-size 5 --input-size 6"
    assert call(*lines[2].removeprefix("To see why: gradlab ").split(), "-q").exit_code == 0
    wild = run(*fields, "--learning-rate", 10, "--evaluate-every", 40, "--checkpoint", "b.safetensors")
    assert "\nThe loss is above that of no learning at all: try a learning rate below 10.\n" in wild.stdout
    assert len(run(*fields, "-q", "--checkpoint", "c.safetensors").stdout.splitlines()) == 1


def test_overflow_is_told() -> None:
    wild = (*SMALL, "--activation", "relu", "--gain", 1e20, "--dtype", "float32")
    skipping = run(*wild)
    count = sum(train(**FIELDS, activation="relu", gain=1e20, dtype="float32").history.rows["skipped"])
    assert skipping.exit_code == 0 and count > 20
    assert f"\n{count:.0f} updates skipped because a number overflowed.\n" in skipping.stdout
    stopping = run(*wild, "--nonfinite", "stop", "--checkpoint", "b.safetensors")
    first = stopping.stdout.partition("\n")[0]
    assert first == f"Adding: {command.WORDS['broke']}. 1 iteration, too few for a held-out score."
    assert stopping.exit_code == 1 and "\nStopped at iteration 1: a number overflowed.\n" in stopping.stdout
    answer("--activation", "relu", "--gain", 1e20, "--checkpoint", "c.safetensors")


# --- Files to learn from


def test_a_series_and_a_text_are_learnt_from() -> None:
    series = run(*SMALL, "--input", CO2, "--column", "co2_ppm")
    assert "; 1 is the mean squared change from one step to the next.\n" in series.stdout
    assert series.stdout.startswith("Forecast a file: ") and Path("co2_mauna_loa.safetensors").exists()
    assert series.stderr.startswith("note: Read co2_mauna_loa.csv as a table (commas): 814 rows of 'co2_ppm'\n")
    Path("a.txt").write_text("to be or not to be " * 30)
    text = run(*SMALL, "--input", "a.txt")
    assert text.stdout.startswith("Model a text: ") and text.stderr.startswith("note: Read a.txt as text: 570 bytes")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, ["--input", CO2, "--column", "ppm"], r"error: --column: .*unknown column 'ppm'.* Valid: .*co2_ppm"),
        ("", ["--input", "a.txt"], "error: --input: a.txt: the file is empty"),
        ("abc", ["--input", "a.txt"], "error: --steps: the held-out end of the text has 0 characters"),
        (None, ["--input", "none.csv"], "error: --input: file not found: none.csv"),
        (None, ["--input", "."], r"error: --input: \. is a directory; name a file in it"),
        (None, ["--task", "forecast"], "error: --input: the task forecast learns from a file; name one"),
        (None, ["--task", "ading"], "error: --task: unknown task 'ading'. Did you mean 'adding'"),
        (None, ["--resume"], "error: adding.safetensors: cannot be read: No such file or directory"),
        (None, ["--checkpoint", "run.pt"], "error: --checkpoint: expected a file name that ends in .safetensors"),
        (None, ["--checkpoint", "no/run.safetensors"], "cannot be written: No such file or directory"),
        (None, ["-o", "run.csv"], "error: --output: expected a file name that ends in .nc or .zarr.zip, such"),
        (None, ["--layers", "0", "--batch-size", "x"], "error: --layers: .*\nerror: --batch-size: "),
    ],
)
def test_what_cannot_be_used(content: str | None, options: list, message: str) -> None:
    if content is not None:
        Path("a.txt").write_text(content)
    assert re.search(message, refused(run(*options)))
    assert not list(Path().glob("*.safetensors"))


def test_a_file_that_takes_the_place_of_a_task_is_noted() -> None:
    Path("a.csv").write_text("label,x,y\n" + "".join(f"{k % 2},{k * k % 7},{k % 5}\n" for k in range(90)))
    told = run(*SMALL, "--task", "adding", "--input", "a.csv").stderr
    note = "note: --task adding is ignored, as a file is given: forecast (Forecast a file) is learnt instead\n"
    hint = "note: a.csv has a column 'label', yet it is forecast; the task classification learns its classes\n"
    assert told.startswith(note + hint)
    assert run(*SMALL, "--input", "a.csv", "--checkpoint", "b.safetensors").stderr.startswith(hint)
    for chosen in (("--task", "forecast"), ("--column", "x"), ("--task", "classification")):
        told = run(*SMALL, "--input", "a.csv", *chosen, "--checkpoint", f"{chosen[1]}.safetensors").stderr
        assert told.startswith("note: Read a.csv as a table (commas): 90 ") and told.count("note: ") == 1


# --- Going on


def test_a_run_is_not_overwritten() -> None:
    run(*SMALL)
    before = Path("adding.safetensors").read_bytes()
    message = "error: adding.safetensors exists: go on from it with --resume, or name another file with --checkpoint\n"
    assert refused(run(*SMALL)) == message
    assert "the task forecast learns from a file" in refused(
        run(*SMALL, "--task", "forecast", "--checkpoint", "adding.safetensors")
    )
    assert Path("adding.safetensors").read_bytes() == before


def test_going_on_needs_no_fields_again() -> None:
    run(*SMALL, "--cell", "gru")
    result = run("--resume", "--iterations", 60)
    assert "Saved adding.safetensors at iteration 60" in result.stdout
    whole, resumed = train(**FIELDS | {"iterations": 60, "cell": "gru"}), TrainingRun.load(Path("adding.safetensors"))
    assert all(resumed.params[name].tobytes() == p.tobytes() for name, p in whole.params.items())
    message = "another training run: hidden_size is 5 there, 6 here"
    assert message in refused(run("--resume", "--hidden-size", 6))


@pytest.mark.filterwarnings("always")
def test_going_on_elsewhere_is_noted() -> None:
    run(*SMALL)
    path = Path("adding.safetensors")
    facts = facts_of(path)
    changed(path, facts | {"versions": facts["versions"] | {"threads": "64"}})
    said = run("--resume", "--iterations", 60).stderr.splitlines()[0]
    assert said.startswith("note: adding.safetensors was trained with threads 64; going on with threads 1 is the same")
    assert "note: " not in run("--resume", "--iterations", 70).stderr
    changed(path, without=["params.0.b_h"])
    assert "adding.safetensors: it lacks params.0.b_h. The file is damaged" in refused(run("--resume"))


@posix
def test_ctrl_c_keeps_the_run_and_it_goes_on_bit_for_bit() -> None:
    running = process("train", *SMALL, "--iterations", "100000000")
    first = running.stderr.readline()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and first.startswith("1 of 100,000,000  loss ") and "Traceback" not in err
    found = re.search(r"Saved adding.safetensors at iteration ([\d,]+)\n(.*)\n", out)
    assert found[2] == "Go on with: gradlab train --resume --checkpoint adding.safetensors"
    done = int(found[1].replace(",", ""))
    assert done < 100_000_000 and is_plain(out + first + err)
    result = run("--resume", "--iterations", done + 30)
    assert result.exit_code == 0
    whole = train(**FIELDS | {"iterations": done + 30, "evaluate_every": 10**9, "snapshot_every": 10**9})
    resumed = TrainingRun.load(Path("adding.safetensors"))
    assert resumed.iteration == done + 30
    assert all(resumed.params[name].tobytes() == p.tobytes() for name, p in whole.params.items())


@posix
@pytest.mark.slow
def test_a_terminal_sees_a_line_that_is_redrawn() -> None:
    text = on_a_terminal("train", *SMALL, "--iterations", "400", NO_COLOR="")
    assert re.search(r"\d+ of 400 +loss", text) and "\x1b[2K" in text and "Adding: " in text


# --- Help


def test_the_help_has_an_option_per_field_under_headings() -> None:
    text = run("--help").stdout
    for field in controls(TrainConfig):
        assert f"  {option_name(field)} " in text
    headings = [line[:-1] for line in text.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    assert headings == ["Start from", "Network", "Weights", "Data", "Gradient", "Training", "Run", "Output", "Help"]
    assert max(map(len, text.splitlines())) <= 110 and is_plain(text)
    for name in ("--resume", "--checkpoint"):
        assert text.index("Start from:") < text.index(f"  {name}") < text.index("Network:")


@pytest.mark.parametrize(
    ("log_norm", "text"), [(0.0, "1"), (5.0, "148"), (710.0, "2.2×10^308"), (math.inf, "not finite"), (math.nan, "-")]
)
def test_a_norm_of_any_size_is_written(log_norm: float, text: str) -> None:
    assert command.norm_text(log_norm) == text
