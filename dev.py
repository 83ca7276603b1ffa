#!/usr/bin/env python3
"""Set gradlab up in .venv and run it; needs nothing but a Python >= 3.11.

    python3 dev.py dashboard [ARGS]   open the app
    python3 dev.py test [ARGS]        run the tests on two cores; ARGS go to pytest (-n 0: in one process)
    python3 dev.py test --portable    run the numeric tests as other processors would
    python3 dev.py fuzz [ARGS]        run the fuzzers with 10,000 random examples; ARGS go to pytest
    python3 dev.py check              run the linter, the formatter's check and the type checker
    python3 dev.py speed [ARGS]       run the benchmark against PyTorch
    python3 dev.py gpu [ARGS]         compare an NVIDIA GPU with NumPy and time it

The first run installs what the lock file pins; the next ones need no network.
"""
# This file has to parse on Python 2.7 too, or an old Python would answer with a SyntaxError instead of a sentence.
# Up to `find_python` it has to run there as well. Hence types in comments and no f-strings.

from __future__ import print_function

import hashlib
import os
import random
import re
import subprocess
import sys
import time

OLDEST = (3, 11)
NEWEST = (3, 14)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "gradlab-stamp")
PYPROJECT = os.path.join(ROOT, "pyproject.toml")
CUDA = (12, 13)  # for which the project has extras
# The test lock holds all that the run lock holds, in the same versions.
LOCKS = {"run": os.path.join(ROOT, "requirements.lock"), "test": os.path.join(ROOT, "requirements-test.lock")}
# The base executable: an environment must not be built on another one, which may be the very .venv that is rebuilt.
PROBE = """import sys
print(sys.version_info[0]); print(sys.version_info[1]); print(getattr(sys, "_base_executable", "") or sys.executable)
import ensurepip, venv"""


class SetupError(Exception):
    """What went wrong while setting up, in words for the user."""


def show(line):
    # type: (str) -> None
    """Put `line` in place of the last one shown so; only on a terminal."""
    if sys.stderr.isatty():
        print("\r" + line[:78].ljust(78), end="\r", file=sys.stderr)
        sys.stderr.flush()


def say(message):
    # type: (str) -> None
    """Print progress where it does not mix with a command's output."""
    show("")
    print("gradlab: " + message, file=sys.stderr)
    sys.stderr.flush()


def probe(command):
    # type: (list[str]) -> tuple[tuple[int, int], str, bool] | None
    """(version, path, able to make environments) of the Python that `command` starts, None where it starts none."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command + ["-I", "-c", PROBE], stdout=pipe, stderr=pipe, universal_newlines=True)
        lines = process.communicate()[0].splitlines()
        return (int(lines[0]), int(lines[1])), lines[2], process.returncode == 0
    except (OSError, ValueError, IndexError):  # not there, or a pyenv shim or Windows store stub that only complains
        return None


def candidates():
    # type: () -> list[list[str]]
    """List the commands that may start a Python, best first."""
    minors = range(NEWEST[1], OLDEST[1] - 1, -1)
    named = [["py", "-3.%d" % minor] if os.name == "nt" else ["python3.%d" % minor] for minor in minors]
    return [[sys.executable or "python3"]] + named + [["python3"]]


def find_python():
    # type: () -> str
    """Return the path of the first Python that is new enough and able to make environments."""
    found = [python for python in map(probe, candidates()) if python and python[0] >= OLDEST]
    for _version, path, makes_environments in found:
        if makes_environments:
            return path
    if found:
        text = "Python %d.%d (%s) cannot make environments, as it lacks ensurepip; on Debian and Ubuntu run"
        text += " 'sudo apt install python3-venv' (or python%d.%d-venv), then this again."
        raise SetupError(text % (found[0][0] + (found[0][1],) + found[0][0]))
    text = "needs Python %d.%d or newer, this is %d.%d and PATH has none; get Python %d.%d from"
    text += " https://www.python.org/downloads/ or your package manager, then run this again."
    raise SetupError(text % (OLDEST + tuple(sys.version_info[:2]) + NEWEST))


def fingerprint(kind):
    # type: (str) -> str
    """Hash what .venv was made from; the folder counts, as environments do not survive being moved."""
    python = probe([PYTHON])
    digest = hashlib.sha256(("%s %s" % (python and python[0], ROOT)).encode())
    for path in (LOCKS[kind], PYPROJECT):
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def installed():
    # type: () -> str | None
    """Name the lock that .venv holds, None where its stamp is missing or out of date or its Python is gone."""
    if not (os.path.exists(STAMP) and os.path.exists(PYTHON)):
        return None
    with open(STAMP) as file:
        stamp = file.read()
    return next((kind for kind in LOCKS if stamp == fingerprint(kind)), None)


def quietly(command, advice):
    # type: (list[str], str) -> None
    """Run a step of the set-up; a terminal shows its newest line, a failure its last lines and the advice."""
    lines = []  # type: list[str]
    pipe, both, nothing = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=ROOT, stdin=nothing, stdout=pipe, stderr=both, text=True, errors="replace"
    ) as process:
        for line in process.stdout or []:
            lines.append(line.rstrip())
            show(lines[-1].strip())
    if process.returncode:
        raise SetupError("\n".join(["set-up failed, the last lines were:"] + lines[-15:] + [advice]))


def pip_install(args):
    # type: (list[str]) -> None
    """Install into .venv."""
    pip = [PYTHON, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    quietly(pip + args, "gradlab: pip could not install; check network and disk space, then run this again.")


def set_up(kind):
    # type: (str) -> None
    """Make .venv hold the lock `kind` and gradlab itself, unless it does already."""
    held = installed()
    if held in (kind, "test"):
        return
    start = time.time()
    if held is None:
        python = find_python()
        say("setting up in .venv with %s; only the first run does, and takes about two minutes" % python)
        quietly([python, "-m", "venv", "--clear", VENV], "gradlab: could not make the environment %s." % VENV)
    else:
        os.remove(STAMP)
    say("installing what %s lists (downloads 100 to 200 MB)" % os.path.basename(LOCKS[kind]))
    pip_install(["-r", LOCKS[kind]])
    say("installing gradlab itself")
    pip_install(["--no-deps", "--no-build-isolation", "-e", ROOT])
    with open(STAMP, "w") as file:  # last: an interrupted set-up leaves no stamp and is done anew
        file.write(fingerprint(kind))
    say("set up in %.0f s" % (time.time() - start))


def hand_over(command, env=None):
    # type: (list[str], dict[str, str] | None) -> int
    """Become `command`, so that exit code, signals and terminal are its own (Windows: wait for it)."""
    os.chdir(ROOT)
    if os.name == "posix":
        os.execve(command[0], command, os.environ if env is None else env)
    process = subprocess.Popen(command, env=env)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the child got it too and ends in its own way
            pass


def dashboard(args):
    # type: (list[str]) -> int
    """Open the app."""
    set_up("run")
    return hand_over([PYTHON, "-m", "dashboard"] + args)


def test(args):
    # type: (list[str]) -> int
    """Run the tests, with a browser where one is found or can be installed."""
    set_up("test")
    if args[:1] == ["--portable"]:
        return hand_over([PYTHON, "-m", "tests.portable"] + args[1:])
    subprocess.call([PYTHON, "-m", "tests.browser"], cwd=ROOT)
    return hand_over([PYTHON, "-m", "pytest", "-n", "2", "--dist", "worksteal"] + args)


def fuzz(args):
    # type: (list[str]) -> int
    """Run the fuzzers; the examples are random, unless a seed is among the arguments."""
    set_up("test")
    if not any(arg.startswith("--hypothesis-seed") for arg in args):
        args = ["--hypothesis-seed=%d" % random.randrange(10**9)] + args
        say("10,000 examples in all; for the same ones again: python3 dev.py fuzz " + args[0])
    command = [PYTHON, "-m", "pytest", "-n", "2", "--dist", "worksteal", "tests/fuzz", "--hypothesis-profile=fuzz"]
    return hand_over(command + args)


def check(args):
    # type: (list[str]) -> int
    """Run linter, formatter and type checker, all of them even where one complains."""
    if args:
        raise SetupError("check takes no arguments, and got: " + " ".join(args))
    set_up("test")
    tools = [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]]
    codes = []
    for tool in tools:
        say(" ".join(tool))
        codes.append(subprocess.call([PYTHON, "-m"] + tool, cwd=ROOT))
    return max(codes)


def install_extra(name):
    # type: (str) -> None
    """Install what the project lists under one of its extras."""
    import tomllib  # here, because old Pythons have none

    with open(PYPROJECT, "rb") as file:
        packages = tomllib.load(file)["project"]["optional-dependencies"][name]
    say("installing %s (200 MB or more, a few minutes)" % " ".join(packages))
    pip_install(packages)


def speed(args):
    # type: (list[str]) -> int
    """Run the benchmark; PyTorch, which it compares with, is installed when first needed."""
    set_up("run")
    if subprocess.call([PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL):
        install_extra("bench")
    env = dict(os.environ)
    if env.pop("OPENBLAS_CORETYPE", None):
        say("OPENBLAS_CORETYPE is ignored, as it would slow down one side of the comparison")
    return hand_over([PYTHON, os.path.join("studies", "speed.py")] + args, env)


def cuda_extra():
    # type: () -> str
    """Name the extra whose CuPy fits the GPU's driver, as nvidia-smi tells; the newest of those that it can run."""
    try:
        pipe = subprocess.PIPE
        text = subprocess.Popen(["nvidia-smi"], stdout=pipe, stderr=pipe, universal_newlines=True).communicate()[0]
    except OSError:  # there is no such command
        text = ""
    found = re.search(r"CUDA Version: *(\d+)", text)
    fitting = [version for version in CUDA if found and version <= int(found.group(1))]
    if not fitting:
        text = (
            "needs an NVIDIA GPU whose driver runs CUDA %d or newer, and nvidia-smi shows %s; see to the driver first."
        )
        raise SetupError(text % (min(CUDA), "CUDA " + found.group(1) if found else "none"))
    return "cuda%d" % max(fitting)


def gpu(args):
    # type: (list[str]) -> int
    """Compare the GPU with NumPy; CuPy is installed when first needed."""
    set_up("run")
    if subprocess.call([PYTHON, "-c", "import cupy"], stderr=subprocess.DEVNULL):
        install_extra(cuda_extra())
    return hand_over([PYTHON, "-m", "gradlab.gpu_check"] + args)


COMMANDS = {"dashboard": dashboard, "test": test, "fuzz": fuzz, "check": check, "speed": speed, "gpu": gpu}


def main(argv):
    # type: (list[str]) -> int
    """Run the command that `argv` names and return its exit code."""
    if not argv or argv[0] not in COMMANDS:
        print(__doc__.strip())
        return 0 if argv in (["-h"], ["--help"]) else 2
    try:
        if sys.version_info < OLDEST:
            return hand_over([find_python(), os.path.abspath(__file__)] + argv)
        return COMMANDS[argv[0]](argv[1:])
    except (SetupError, OSError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
