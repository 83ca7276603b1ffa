"""The set-up script, with a stand-in for Python that answers the probe and notes what else it is asked."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import dev as real_dev

ROOT = Path(real_dev.__file__).parent
DEV = ROOT / "dev.py"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")

STAND_IN = """#!/bin/sh
# Environments get a copy of this very file as their Python.
case "$*" in
  -I*) printf '3\\n{minor}\\n%s\\n' "$0"; exit {probe_exit} ;;
esac
echo "$*" >> {folder}/log
case "$*" in
  "-m venv"*) for last; do :; done; rm -rf "$last"; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
  "-m pip"*) if [ -e {folder}/offline ]; then echo "Could not fetch numpy"; exit 1; fi ;;
  "-m ruff check"*) exit 3 ;;
  "-m dashboard"*) echo "app in $(pwd) with $*"; exit 7 ;;
  "-c import torch"|"-c import cupy") exit 1 ;;
  "-m gradlab.gpu_check"*) echo "checked with $*"; exit 1 ;;
  "studies/speed.py"*) echo "core=${{OPENBLAS_CORETYPE-none}}" ;;
esac
"""


def make_python(path: Path, minor: int = 12, probe_exit: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(STAND_IN.format(minor=minor, probe_exit=probe_exit, folder=path.parent.parent))
    path.chmod(0o755)
    return path


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("dev_in_checkout", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """dev.py in a checkout of its own, on a machine whose only Python is the stand-in."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("dev.py", "pyproject.toml", "requirements.lock", "requirements-test.lock"):
        shutil.copy(ROOT / name, checkout)
    module = load(checkout / "dev.py")
    python = make_python(tmp_path / "bin" / "python3.12")
    monkeypatch.setattr(module, "candidates", lambda: [[str(python)]])
    return module


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[], list[str]]:
    """What the stand-in was asked since the last call, one word a request."""

    def read() -> list[str]:
        log = tmp_path / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [
            re.sub(r".*requirements(-test)?\.lock", r"lock\1", line.removeprefix("-m ")).split()[0] for line in lines
        ]

    return read


def test_sets_up_once(dev, asked, capsys):
    dev.set_up("run")
    assert asked() == ["venv", "lock", "pip"]
    assert "only the first run does, and takes about two minutes" in capsys.readouterr().err
    dev.set_up("run")
    assert asked() == []
    assert capsys.readouterr() == ("", "")


def test_environment_for_tests_serves_the_app_too(dev, asked):
    dev.set_up("test")
    assert asked() == ["venv", "lock-test", "pip"]
    dev.set_up("run")
    assert asked() == []


def test_environment_for_the_app_is_extended_for_tests(dev, asked):
    dev.set_up("run")
    asked()
    dev.set_up("test")
    assert asked() == ["lock-test", "pip"]


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml", ".venv/gradlab-stamp"])
def test_changed_input_rebuilds(dev, asked, name):
    dev.set_up("run")
    asked()
    with open(Path(dev.ROOT, name), "a") as file:
        file.write("# changed\n")
    dev.set_up("run")
    assert asked() == ["venv", "lock", "pip"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda dev: os.remove(dev.STAMP),
        lambda dev: os.remove(dev.PYTHON),
        lambda dev: (os.remove(dev.PYTHON), os.symlink("/nonexistent/python", dev.PYTHON)),
        lambda dev: Path(dev.PYTHON).write_text(Path(dev.PYTHON).read_text().replace("n12", "n13")),
    ],
    ids=["no stamp", "no Python", "Python vanished", "other Python"],
)
def test_spoilt_environment_is_rebuilt(dev, asked, spoil):
    dev.set_up("run")
    asked()
    spoil(dev)
    dev.set_up("run")
    assert asked() == ["venv", "lock", "pip"]


def test_moved_checkout_is_rebuilt(dev, asked, monkeypatch):
    dev.set_up("run")
    asked()
    monkeypatch.setattr(dev, "ROOT", dev.ROOT + "/.")
    assert dev.installed() is None


def test_failing_pip_shows_its_last_lines_and_leaves_no_stamp(dev, tmp_path, capsys):
    (tmp_path / "offline").touch()
    assert dev.main(["dashboard"]) == 1
    err = capsys.readouterr().err
    assert "Could not fetch numpy\ngradlab: pip could not install; check network and disk space" in err
    assert dev.installed() is None


def test_interrupt_ends_with_one_line_and_leaves_no_stamp(dev, capsys, monkeypatch):
    dev.set_up("run")
    capsys.readouterr()

    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(dev, "pip_install", interrupt)
    assert dev.main(["test"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "gradlab: stopped; the same command goes on from here"
    assert dev.installed() is None


def test_missing_lock_is_one_line(dev, capsys):
    os.remove(dev.LOCKS["run"])
    dev.set_up("test")
    capsys.readouterr()
    assert dev.main(["dashboard"]) == 1
    assert re.fullmatch(r"gradlab: .*No such file.*requirements\.lock'\n", capsys.readouterr().err)


def only_on_path(dev, monkeypatch, folder):
    monkeypatch.setattr(dev, "candidates", real_dev.candidates)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python3")
    monkeypatch.setenv("PATH", str(folder) + os.pathsep + "/bin")


def test_finds_the_first_python_that_works(dev, monkeypatch, tmp_path):
    folder = tmp_path / "path"
    only_on_path(dev, monkeypatch, folder)
    monkeypatch.setattr(real_dev, "NEWEST", (3, 99))
    shim = make_python(folder / "python3.99")
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.99: command not found' >&2\nexit 127\n")
    make_python(folder / "python3.98", 10)
    make_python(folder / "python3.97", 97, probe_exit=1)
    good = make_python(folder / "python3.96", 96)
    make_python(folder / "python3.95", 95)
    assert dev.find_python() == str(good)


def test_no_python_is_new_enough(dev, monkeypatch, tmp_path):
    monkeypatch.setattr(dev, "candidates", lambda: [[str(make_python(tmp_path / "old" / "python3", 10))], ["/none"]])
    with pytest.raises(dev.SetupError, match=r"needs Python 3\.11 or newer, this is 3\.\d+ and PATH has none; get"):
        dev.find_python()


def test_python_without_ensurepip(dev, monkeypatch, tmp_path):
    python = make_python(tmp_path / "debian" / "python3", 13, probe_exit=1)
    monkeypatch.setattr(dev, "candidates", lambda: [[str(python)]])
    message = r"Python 3\.13 .* lacks ensurepip; .* 'sudo apt install python3-venv' \(or python3\.13-venv\)"
    with pytest.raises(dev.SetupError, match=message):
        dev.find_python()


def test_probe_of_this_python():
    version, path, makes_environments = real_dev.probe([sys.executable])
    assert version == sys.version_info[:2]
    assert Path(path).exists()
    assert sys.prefix == sys.base_prefix or not Path(path).is_relative_to(sys.prefix)
    assert isinstance(makes_environments, bool)


def test_windows_asks_the_launcher(monkeypatch):
    monkeypatch.setattr(real_dev, "os", SimpleNamespace(name="nt"))
    assert [c for c in real_dev.candidates() if c[-1] in ("-3.14", "-3.11")] == [["py", "-3.14"], ["py", "-3.11"]]


def test_runs_from_another_folder_and_passes_the_exit_code(dev, tmp_path):
    dev.set_up("run")
    command = [sys.executable, dev.__file__, "dashboard", "--port", "8051"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 7
    assert done.stdout == f"app in {os.path.realpath(dev.ROOT)} with -m dashboard --port 8051\n"
    assert done.stderr == ""


def test_check_runs_every_tool_and_fails_if_one_does(dev, asked):
    dev.set_up("test")
    asked()
    assert dev.main(["check"]) == 3
    assert asked() == ["ruff", "ruff", "mypy"]


def test_fuzz_prints_a_seed_unless_it_is_given_one(dev, capsys, monkeypatch):
    commands = []
    monkeypatch.setattr(dev, "hand_over", commands.append)
    dev.set_up("test")
    capsys.readouterr()
    dev.main(["fuzz", "-k", "links"])
    said = capsys.readouterr().err
    seed = re.fullmatch(r"gradlab: .* again: python3 dev.py fuzz (--hypothesis-seed=\d+)\n", said)
    assert seed and commands[0][-4:] == ["--hypothesis-profile=fuzz", seed[1], "-k", "links"]
    dev.main(["fuzz", seed[1]])
    assert commands[1] == [*commands[0][:-3], seed[1]] and capsys.readouterr().err == ""


def test_check_takes_no_arguments(dev, capsys):
    assert dev.main(["check", "gradlab"]) == 1
    assert capsys.readouterr().err == "gradlab: check takes no arguments, and got: gradlab\n"


def test_speed_installs_torch_and_drops_the_blas_setting(dev, tmp_path):
    dev.set_up("run")
    command = [sys.executable, dev.__file__, "speed"]
    done = subprocess.run(command, env=os.environ | {"OPENBLAS_CORETYPE": "Haswell"}, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "core=none\n"
    assert "OPENBLAS_CORETYPE is ignored" in done.stderr
    assert re.search(r"pip install .* torch==\d", (tmp_path / "log").read_text())


def with_nvidia_smi(folder: Path, shows: str) -> dict[str, str]:
    """An environment in which nvidia-smi, the first on PATH, shows that."""
    command = folder / "smi" / "nvidia-smi"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/bin/sh\necho '{shows}'\n")
    command.chmod(0o755)
    return os.environ | {"PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("version", "package"), [("12.4", "cupy-cuda12x"), ("13.0", "cupy-cuda13x"), ("14.2", "cupy-cuda13x")]
)
def test_gpu_installs_the_cupy_that_fits_the_driver(dev, tmp_path, version, package):
    dev.set_up("run")
    env = with_nvidia_smi(tmp_path, f"| NVIDIA-SMI 580.1    Driver Version: 580.1    CUDA Version: {version}  |")
    command = [sys.executable, dev.__file__, "gpu", "--out", "here.json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "checked with -m gradlab.gpu_check --out here.json\n"
    assert f"installing {package}[ctk]>=14" in done.stderr
    assert re.search(rf"pip install .* {package}\[ctk\]>=14", (tmp_path / "log").read_text())


@pytest.mark.parametrize(("shows", "got"), [("CUDA Version: 11.8", "CUDA 11"), ("NVIDIA-SMI has failed", "none")])
def test_gpu_without_a_driver_that_fits_is_one_sentence(dev, monkeypatch, capsys, tmp_path, shows, got):
    dev.set_up("run")
    capsys.readouterr()
    monkeypatch.setenv("PATH", with_nvidia_smi(tmp_path, shows)["PATH"])
    assert dev.main(["gpu"]) == 1
    expected = f"needs an NVIDIA GPU whose driver runs CUDA 12 or newer, and nvidia-smi shows {got}; see to the driver"
    assert expected in capsys.readouterr().err


def test_gpu_without_nvidia_smi_is_one_sentence(dev, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(dev.SetupError, match="and nvidia-smi shows none"):
        dev.cuda_extra()


def test_every_cuda_has_its_extra(dev):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {f"cuda{version}" for version in dev.CUDA} == {name for name in extras if name.startswith("cuda")}


@pytest.mark.parametrize(("argv", "code"), [([], 2), (["tset"], 2), (["--help"], 0)])
def test_usage(argv, code, capsys):
    assert real_dev.main(argv) == code
    assert "python3 dev.py dashboard [ARGS]" in capsys.readouterr().out


def old_pythons() -> list[Path]:
    """Pythons before 3.11, from PATH and pyenv; none on most machines."""
    on_path = [shutil.which(f"python{version}") for version in ("2.7", "3.6", "3.8", "3.9", "3.10")]
    pyenv = Path.home().glob(".pyenv/versions/*/bin/python")
    probed = [(path, subprocess.run([path, "-V"], capture_output=True, text=True)) for path in pyenv]
    old = [path for path, done in probed if re.match(r"Python (2|3\.([0-9]|10))\.", done.stdout + done.stderr)]
    return [Path(path) for path in on_path if path and ".pyenv" not in path] + old


def test_old_pythons_say_one_sentence():
    for python in old_pythons():
        done = subprocess.run([python, DEV, "test"], env={"PATH": "/nonexistent"}, capture_output=True, text=True)
        assert done.returncode == 1
        assert re.fullmatch(r"gradlab: needs Python 3\.11 or newer, this is [23]\.\d+ and .*\n", done.stderr), python


def test_source_keeps_to_old_syntax():
    tree = ast.parse(DEV.read_text(), feature_version=(3, 4))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.Nonlocal | ast.Starred | ast.YieldFrom)
        if isinstance(node, ast.FunctionDef):
            assert not node.returns and not node.args.kwonlyargs
            assert not any(argument.annotation for argument in node.args.args)
    assert DEV.read_text().isascii()


def pins(name: str) -> set[str]:
    return set(re.findall(r"^[a-z][^\\]*==[^\\]*", (ROOT / name).read_text(), re.MULTILINE))


def test_locks_agree_with_each_other_and_the_project():
    assert pins("requirements.lock") < pins("requirements-test.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]

    def missing(lock: str, requirements: list[str]) -> set[str]:
        names = {re.split("==", pin)[0] for pin in pins(lock)}
        return {re.split(r"[\[<>=]", requirement)[0] for requirement in requirements} - names

    run = project["project"]["dependencies"] + extras["build"]
    assert not missing("requirements.lock", run)
    assert not missing("requirements-test.lock", run + extras["test"] + extras["export"])
    assert project["build-system"]["requires"] == extras["build"]
    assert project["project"]["requires-python"] == ">=" + ".".join(map(str, real_dev.OLDEST))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_locks_hold_hashes_and_no_address(name):
    text = (ROOT / name).read_text()
    assert "://" not in text and "--index" not in text and "--find" not in text
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)
