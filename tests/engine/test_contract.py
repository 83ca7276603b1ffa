"""Every registered cell, on every array library, in both precisions, with and without model axes."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import gradlab
from gradlab import arrays
from gradlab.cells import CELLS, make_cell
from gradlab.cells.activations import ACTIVATIONS
from gradlab.errors import InputError

from ..contract import CHECKS, LIBRARIES, assert_near, each_way, random_problem
from ..strict import StrictArray, strict


@pytest.fixture
def xp(library):
    """The namespace of one array library; skips where it does not work."""
    return LIBRARIES[library]()


@each_way
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("cell", CELLS)
def test_cell(cell, check, xp, dtype, models):
    CHECKS[check](cell, xp, dtype, models)


# the stand-in as CuPy itself, fused kernels included


@pytest.fixture
def as_cupy(monkeypatch):
    """`import cupy` gives the stand-in, and a GPU seems to be there."""
    monkeypatch.setattr(strict, "__name__", "cupy")
    monkeypatch.setitem(sys.modules, "cupy", strict)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.special", SimpleNamespace(erf=strict.erf))
    arrays.gpu_problem.cache_clear()
    yield strict
    arrays.gpu_problem.cache_clear()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_step_and_pull_back_can_be_fused(cell, activation, as_cupy):
    problem = random_problem(make_cell(cell, input_size=1, hidden_size=1, activation=activation), ())
    expected = problem.bptt()
    grads = problem.moved(as_cupy, "float32").bptt()
    assert isinstance(grads.adjoints, StrictArray)
    assert_near(grads.adjoints.get(), expected.adjoints, "float32", factor=10)
    assert_near(
        gradlab.jacobian(grads.traj).dense().get(), gradlab.jacobian(expected.traj).dense(), "float32", factor=10
    )


@pytest.mark.parametrize("options", [{}, {"loss": "every", "clip": "step_norm"}, {"clip": "norm", "gain": 2.0}])
@pytest.mark.parametrize("cell", CELLS)
def test_analyze_on_the_device_agrees_with_the_host(cell, options, as_cupy):
    fields = {"cell": cell, "steps": 20, "batch_size": 3, "hidden_size": 5, **options}
    host, device = (gradlab.analyze(**fields, device=name) for name in ("cpu", "cuda"))
    assert (host.attrs["device"], device.attrs["device"]) == ("numpy", "cupy")
    assert set(device) == set(host)
    for name in host:
        np.testing.assert_allclose(device[name], host[name], rtol=1e-9, atol=1e-10, err_msg=name)


def test_auto_takes_the_gpu_where_one_works(as_cupy):
    params = make_cell("elman", input_size=2, hidden_size=3).init(device="auto")
    assert all(isinstance(p, StrictArray) for p in params.values())
    np.testing.assert_array_equal(params["W_hh"].get(), make_cell("elman", input_size=2, hidden_size=3).init()["W_hh"])


def test_without_a_gpu_auto_is_the_host_and_cuda_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    arrays.gpu_problem.cache_clear()
    try:
        assert arrays.device_namespace("auto") is np
        why = r"device 'cuda' cannot be used: CuPy is not installed; install .*gradlab\[cuda12\]"
        with pytest.raises(InputError, match=why):
            gradlab.analyze(steps=12, device="cuda")
        with pytest.raises(InputError, match="unknown device 'gpu'. Valid: cpu, cuda, auto"):
            arrays.to_device(np.zeros(2), "gpu")
    finally:
        monkeypatch.undo()
        arrays.gpu_problem.cache_clear()


def test_a_gpu_that_fails_is_named_with_its_reason(as_cupy, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected\ndetails")

    monkeypatch.setattr(strict, "ones", broken)
    why = r"no usable GPU \(cudaErrorNoDevice: no CUDA-capable device is detected\); check"
    with pytest.raises(InputError, match=why):
        arrays.device_namespace("cuda")
    assert arrays.device_namespace("auto") is np


# the stand-in itself


def test_arrays_of_two_libraries_do_not_mix():
    problem = random_problem("elman")
    moved = problem.moved(strict, "float64")
    with pytest.raises(InputError, match="x is a numpy array but .* are strict; move it with gradlab.to_device"):
        gradlab.unroll(moved.cell, moved.params, problem.x)
    with pytest.raises(InputError, match="dL_dh is a numpy array but the parameters are strict"):
        gradlab.bptt(moved.unroll(), problem.dL_dh)
    with pytest.raises(InputError, match="v is a numpy array"):
        gradlab.jacobian(moved.unroll()).apply(problem.unroll().states[1:])
    with pytest.raises(InputError, match="expected a NumPy or CuPy array, got list; wrap it in numpy.asarray"):
        gradlab.unroll(problem.cell, problem.params, problem.x.tolist())


@pytest.mark.parametrize(
    "mistake",
    [
        lambda a: np.asarray(a),
        lambda a: np.tanh(a),
        lambda a: np.sum(a),
        lambda a: np.zeros(3) + a,
        lambda a: a * np.zeros(3),
        lambda a: strict.maximum(a, np.zeros(3)),
        lambda a: np.add(np.zeros(3), 1, out=a),
        lambda a: strict.max(a, initial=0),
        lambda a: [0.0][a[0]],
        lambda a: a.__setitem__(0, np.zeros(())),
        lambda a: strict.fuse(lambda x: x[0])(a),
        lambda a: strict.fuse(lambda x: strict.ones_like(x))(a),
        lambda a: strict.fuse(lambda x: x.shape)(a),
        lambda a: strict.fuse(lambda x: {"y": x})(a),
        lambda a: strict.fuse(lambda x: (x, 1.0))(a),
        lambda a: strict.fuse(abs)(a),
        lambda a: strict.fuse(lambda x: 2.0**x)(a),
        lambda a: strict.dot(a, strict.ones((3, 4)), out=strict.zeros((4, 2))[:, 0]),
        lambda a: strict.dot(a, strict.ones((3, 4)), out=strict.zeros(4, dtype="float32")),
    ],
)
def test_the_stand_in_refuses_what_cupy_refuses(mistake):
    with pytest.raises((TypeError, ValueError)):
        mistake(strict.asarray([1.0, 2.0, 3.0]))


def test_the_stand_in_computes():
    a = strict.asarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))
    out = strict.empty((2, 3), dtype=strict.float32)
    assert strict.tanh(a, out=out) is out
    a[0] = 2 * a[1] - 1
    a += 1
    np.testing.assert_array_equal(a.get(), [[6, 8, 10], [4, 5, 6]])
    assert float(a[1, 2]) == 6.0
    assert str((a * 0.5).dtype) == "float32"
    assert bool((strict.fuse(lambda x, y: (x + y, -x))(a, a)[1] == -a).all())
    assert str(strict.fuse(lambda x: 0.1 * (x > 0))(a).dtype) == "float16"
    assert str(strict.fuse(lambda x: strict.where(x > 0, x, 0.1))(a).dtype) == "float32"
