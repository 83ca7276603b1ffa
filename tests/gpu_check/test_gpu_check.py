"""The check of a GPU, on the stand-in: that it covers everything, finds what is broken, and keeps its time."""

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gradlab
from gradlab import layers
from gradlab.cells import ACTIVATIONS, CELLS
from gradlab.cells.elman import Elman
from gradlab.engine.scaled import Scaled
from gradlab.engine.step_clipping import STEP_MODES
from gradlab.errors import InputError
from gradlab.gpu_check import __main__ as command
from gradlab.gpu_check import agreement, check, machine, running, times
from gradlab.gpu_check.agreement import Item
from gradlab.gpu_check.crossings import counted
from gradlab.gpu_check.nets import NETS
from gradlab.layers import Layer
from gradlab.learning import CLIPPERS, LOSSES, OPTIMIZERS
from gradlab.learning.clipping import ByNorm

from ..strict import StrictArray, strict

ROOT = Path(__file__).parents[2]
TINY = ((0, 2, 4, 5), (2, 2, 4, 5))
SECTIONS = [
    *("machine", "basics", "cells", "activations", "layers", "clippers", "losses", "optimizers"),
    *("lengths", "extremes", "products", "regularisers", "crossings", "times"),
]


BOTH = ("float32", "float64")
SOME = ("elman", "lstm", "gru", "gru_v1", "lru")
ALL = pytest.param(BOTH, tuple(CELLS), marks=pytest.mark.slow, id="all")


@pytest.fixture(scope="module")
def report(dtypes, cells, tmp_path_factory):
    """The whole check on the stand-in, as its file has it."""
    out = tmp_path_factory.mktemp("gpu") / "gpu_check.json"
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CELLS, "_things", {name: CELLS[name] for name in cells})
        returned = check(strict, out, sizes=TINY, say=lines.append, dtypes=dtypes)
    read = json.loads(out.read_text("utf-8"))
    assert read == json.loads(json.dumps(returned))
    return read | {"lines": lines}


each_report = pytest.mark.parametrize(
    ("dtypes", "cells"), [pytest.param(("float32",), SOME, id="some"), ALL], scope="module"
)


@cache
def names(section):
    """The items of a section, none of which is run."""
    (found,) = (s for s in running.sections(strict, BOTH, TINY) if s.name == section)
    return [name for name, _ in found.tasks()]


@each_report
def test_the_stand_in_agrees(report):
    assert report["ok"] and report["verdict"].endswith(" items: all agree")
    assert (report["gradlab"], report["namespace"]) == (gradlab.__version__, "strict")
    assert [part["name"] for part in report["sections"]] == SECTIONS
    assert all(part["items"] and not part["not_run"] for part in report["sections"])
    assert report["lines"][-1] == report["verdict"] and len(report["lines"]) == len(SECTIONS) + 1


@each_report
def test_every_item_says_how_far_it_is_off(report):
    for part in report["sections"][1:-2]:
        for item in part["items"]:
            eps = np.finfo(item["name"].rpartition(", ")[2]).eps
            assert item["tolerance"] >= 2**10 * eps and 0 <= item["error"] <= item["tolerance"]
            assert item["quantity"] and item["error_of_numpy"] >= 0 and item["seconds"] >= 0


@pytest.mark.parametrize(
    ("section", "registry"),
    [
        *(("cells", CELLS), ("lengths", CELLS), ("extremes", CELLS), ("products", CELLS), ("layers", NETS)),
        *(("activations", ACTIVATIONS), ("clippers", CLIPPERS), ("losses", LOSSES), ("optimizers", OPTIMIZERS)),
    ],
)
def test_everything_registered_is_there_in_each_precision(section, registry):
    for name in registry:
        for dtype in BOTH:
            assert any(item.startswith(name) and item.endswith(dtype) for item in names(section)), name


def test_every_way_to_clip_a_step_is_there():
    for mode in STEP_MODES:
        assert sum(f"clipped by {mode}" in item for item in names("lengths")) == 2 * len(BOTH) * len(CELLS)


def inside(layer):
    """A layer and those that it is made of."""
    parts = (getattr(layer, f.name) for f in fields(layer))
    inner = [p for part in parts for p in (part if isinstance(part, tuple) else (part,)) if isinstance(p, Layer)]
    return [layer, *(one for part in inner for one in inside(part))]


LAYERS = [one for net, _ in NETS.values() for one in inside(net)]


def test_no_public_layer_is_missing():
    public = {kind for name in layers.__all__ if isinstance(kind := getattr(layers, name), type)}
    concrete = {kind for kind in public if issubclass(kind, Layer) and kind is not Layer}
    assert concrete == set(map(type, LAYERS))


def test_every_option_of_a_layer_has_more_than_one_value():
    """But for the number of symbols, an untied net's steps, and how weights are drawn."""
    values = defaultdict(set)
    for layer in LAYERS:
        for option in fields(layer):
            values[type(layer).__name__, option.name].add(repr(getattr(layer, option.name)))
    assert {key for key, found in values.items() if len(found) == 1} == {
        ("Embedding", "vocabulary"),
        ("Untied", "steps"),
        ("Recurrent", "options"),
    }


# what is broken is found


@dataclass(frozen=True, repr=False)
class Off(Elman):
    """An Elman net that is off by a thousandth, and only where it does not run on NumPy."""

    def partials(self, xp, *arrays):
        by_gate, by_state = super().partials(xp, *arrays)
        return {key: (1.001 if xp is strict else 1.0) * value for key, value in by_gate.items()}, by_state


class Raises(ByNorm):
    """A clipper that fails off the host."""

    def _clip(self, params, gradient):
        if isinstance(gradient.vector, StrictArray):
            raise RuntimeError("cudaErrorIllegalAddress")
        return super()._clip(params, gradient)


def test_what_is_broken_is_reported_and_stops_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(CELLS, "_things", {"off": Off})
    monkeypatch.setattr(CLIPPERS, "_things", {"norm": ByNorm, "raises": Raises})
    monkeypatch.setattr(command, "check", partial(check, dtypes=("float32",), sizes=TINY))
    monkeypatch.setattr(command, "device_namespace", {"cuda": strict}.get)
    assert command.main(["--out", str(tmp_path / "report.json")]) == 1
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    failed = {item["name"]: item["problem"] for part in report["sections"] for item in part["items"] if not item["ok"]}
    assert "is off by 0.00" in failed["off with models: Jacobians, float32"]
    assert "is off by" in failed["off: backward, float32"]
    assert failed["raises: growing updates, float32"] == "RuntimeError: cudaErrorIllegalAddress"
    assert not any(name.startswith(("tanh", "norm", "off: forward")) for name in failed)
    assert not report["ok"] and f"{len(failed)} DISAGREE OR FAILED" in report["verdict"]
    printed = capsys.readouterr().out
    assert "    raises: growing updates, float32: RuntimeError: cudaErrorIllegalAddress\n" in printed
    assert printed.splitlines()[-1] == report["verdict"]


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        (lambda a: (a + 1).get(), "a is no array of strict"),
        (lambda a: (a + 1) * strict.ones((), dtype="float64"), "a is float64, and NumPy's is float32"),
        (lambda a: a[:1] + 1, r"a has shape (1,), and NumPy's (3,)"),
        (lambda a: a / 0, "a holds inf at (0,), and NumPy's 2.0"),
        (lambda a: a + 1.01, "a is off by 0.0025, and 0.00012 is allowed"),
        (lambda a: None, "InputError: expected a NumPy or CuPy array, got NoneType"),
    ],
)
def test_what_an_item_finds_wrong(device, problem):
    def compute(xp, dtype):
        a = xp.asarray(np.arange(1, 4).astype(dtype))
        return {"a": a + 1 if xp is np else device(a), "b": 2 * a}

    task = agreement.tasks(strict, ("float32",), lambda: [Item("one", compute)])
    ((name, run),) = task()
    found = running._outcome(run)
    assert (name, found["ok"]) == ("one, float32", False)
    assert problem in found["problem"]


def test_numbers_that_are_not_finite_have_to_be_those_of_numpy():
    def compute(xp, dtype):
        return {"a": xp.asarray(np.array([np.inf, np.nan, 1.0, -np.inf], dtype))}

    ((_, run),) = agreement.tasks(strict, ("float32",), lambda: [Item("one", compute)])()
    assert run() | {"tolerance": 0} == {
        "ok": True,
        "tolerance": 0,
        "quantity": "a",
        "error": 0.0,
        "error_of_numpy": 0.0,
    }


# time


def test_it_keeps_its_time_and_says_what_was_left_out(monkeypatch, tmp_path):
    """Tasks of 10 s each on a clock of their own: 100 s, the first half of which are the first section's."""
    now, lines = [0.0], []

    def task():
        now[0] += 10
        return {"ok": True}

    def section(name, share, count):
        tasks = [(f"{name} {n}", task) for n in range(count)]
        return running.Section(name, share, lambda: tasks, lambda items: f"{len(items)} done")

    planned = [section("long", 0.5, 20), section("short", 0.3, 1), section("rest", 0.2, 20)]
    monkeypatch.setattr(running, "sections", lambda *_: planned)
    report = check(strict, tmp_path / "r.json", seconds=100, clock=lambda: now[0], say=lines.append)
    assert now[0] == report["seconds"] == 100
    assert [len(part["items"]) for part in report["sections"]] == [5, 1, 4]
    assert report["sections"][0]["not_run"] == [f"long {n}" for n in range(5, 20)]
    assert report["ok"] and report["verdict"] == "10 items: all agree; 31 not run, as the time was up"
    assert "15 NOT RUN" in lines[0] and "NOT RUN" not in lines[1] and lines[-1] == report["verdict"]


def test_the_shares_are_a_whole():
    assert sum(s.share for s in running.sections(strict, ("float32",), TINY)) == pytest.approx(1)
    assert running.SECONDS < 360


def test_a_list_of_items_that_cannot_be_made_is_an_item_that_failed(monkeypatch):
    def nothing():
        raise KeyError("no such cell")

    monkeypatch.setattr(running, "sections", lambda *_: [running.Section("s", 1, nothing, lambda items: "none")])
    report = check(strict, say=str)
    assert not report["ok"]
    assert report["sections"][0]["items"][0]["problem"] == "KeyError: 'no such cell'"


# the machine


def test_without_a_gpu_it_is_one_sentence(monkeypatch, capsys):
    def none(device):
        raise InputError("device 'cuda' cannot be used: CuPy is not installed")

    monkeypatch.setattr(command, "device_namespace", none)
    assert command.main([]) == 1
    assert capsys.readouterr() == ("", "device 'cuda' cannot be used: CuPy is not installed\n")


BARE = """
import sys
ALLOWED = {*sys.stdlib_module_names, "numpy", "scipy", "gradlab", "tests"}
class Block:
    def find_spec(self, name, path=None, target=None):
        if not name.startswith("_") and name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
from gradlab.gpu_check import __main__, check
from tests.strict import strict
report = check(strict, dtypes=("float32",), sizes=((0, 2, 4, 5),))
sys.exit(0 if report["ok"] and all(part["items"] for part in report["sections"]) else 1)
"""


@pytest.mark.slow
def test_numpy_and_scipy_are_all_it_needs_besides():
    done = subprocess.run([sys.executable, "-c", BARE], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_crossings_are_counted_with_their_lines():
    a = strict.asarray(np.arange(6.0, dtype=np.float32))
    with counted(strict) as found:
        float(a.sum()), bool(a.any()), int(a[0])
        gradlab.to_numpy(a)
        gradlab.arrays.exceeds(a, 100.0)
    float(a[0])
    assert (found.numbers, found.arrays, found.bytes) == (6, 1, 4 * 5 + 1 + 24)
    assert found.places == {"elsewhere": 7}
    with counted(strict) as found:
        assert Scaled.of(a).is_plain
    ((place, times_asked),) = found.places.items()
    assert place.startswith("engine/scaled.py:") and times_asked == 1


@each_report
def test_a_step_of_training_moves_numbers_only(report):
    for item in report["sections"][-2]["items"]:
        assert item["arrays"] == 0 and 0 < item["numbers"] < 300
        assert sum(item["places"].values()) <= item["numbers"]


class Device:
    """What CuPy says of a device."""

    id, mem_info, compute_capability = 0, (5, 7), "90"
    synchronized = 0

    def synchronize(self):
        type(self).synchronized += 1


def cuda():
    """The stand-in with those parts of CuPy that tell of a device."""
    runtime = SimpleNamespace(
        getDeviceProperties=lambda device: {"name": b"NVIDIA H200"},
        driverGetVersion=lambda: 12080,
        runtimeGetVersion=lambda: 12060,
    )
    pool = SimpleNamespace(free_all_blocks=lambda: None, total_bytes=lambda: 4096)
    parts = {"cuda": SimpleNamespace(Device=Device, runtime=runtime), "get_default_memory_pool": lambda: pool}
    own = {"__name__": "cupy", "__version__": "14.0.1"}
    return SimpleNamespace(**{name: value for name, value in vars(strict).items() if name not in own}, **own, **parts)


def test_the_device_is_named():
    found = {name: task() for name, task in machine.tasks(cuda())}
    assert found["device"] == {
        "ok": True,
        "gpu": "NVIDIA H200",
        "compute_capability": "90",
        "memory_bytes": 7,
        "free_bytes": 5,
        "driver": 12080,
        "runtime": 12060,
    }
    line = machine.line(list(found.values()))
    assert line.startswith("NVIDIA H200, numpy ") and line.endswith("cupy 14.0.1")


def test_times_wait_for_the_device(monkeypatch):
    monkeypatch.setattr(times, "_analysis", lambda *_: lambda: None)
    before = Device.synchronized
    found = times._ours(cuda(), "lstm", TINY[0])
    assert found["peak_bytes"] == 4096 and found["repeats"] == times.REPEATS
    assert Device.synchronized - before == 1 + times.REPEATS
    assert found["least_ms"] <= found["median_ms"]
