"""What Lyapunov spectra refuse, and their recording on request."""

import numpy as np
import pytest

import gradlab
from gradlab import InputError, to_numpy, unroll
from gradlab.products.lyapunov import lyapunov, lyapunov_of_map

from ..contract import LIBRARIES, random_problem
from .test_lyapunov import driven, net

# bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 21}, "k: expected a whole number from 1 to 20, the number of state variables, got 21"),
        ({"k": 0}, "k: expected a whole number from 1 to 20"),
        ({"every": 0}, "every: expected a whole number from 1 on, got 0"),
        ({"every": 2.5}, "every: expected a whole number from 1 on, got 2.5"),
        ({"every": True}, "every: expected a whole number from 1 on, got True"),
        ({"warmup": -1}, "warmup: expected a whole number from 0 on, got -1"),
        ({"warmup": 40}, "warmup: expected fewer than the 40 steps, got 40"),
        ({"steps": 10}, r"give either x or steps= \(no input\), not both"),
        ({"x": None}, r"give either x or steps= \(no input\), not neither"),
        ({"x": None, "steps": 0}, "steps: expected a whole number from 1 on, got 0"),
        ({"x": driven(40)[:0]}, r"x: no steps in it; expected \(T, \*M, B, D\)"),
        ({"x": iter([])}, "x: no steps in it"),
        ({"x": iter([driven(30)])}, "no step is left to count: 30 steps, the first 100 of which are warmup"),
        ({"x": 7}, r"x: expected an array \(T, \*M, B, D\) or an iterator of such, got int"),
        ({"x": np.array(7.0)}, r"x: expected an array \(T, \*M, B, D\) or an iterator of such, got .*ndarray"),
        ({"initial_state": [[[0.0] * 20] * 2]}, "initial_state: expected a NumPy or CuPy array, got list"),
        ({"x": iter([np.zeros((4, 2, 3))])}, r"x: expected shape \(T, B, 2\)"),
        ({"x": iter(["text"])}, "expected a NumPy or CuPy array, got str"),
        ({"initial_state": np.zeros((1, 3, 20))}, r"initial_state: expected shape \(1, 2, 20\)"),
        ({"x": None, "steps": 9, "initial_state": np.zeros(20)}, r"initial_state: expected shape \(1, B, 20\)"),
    ],
)
def test_bad_input(options, message):
    cell, params = net(20)
    with pytest.raises(InputError, match=message):
        lyapunov(cell, params, **{"x": driven(40), **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x0": np.zeros((2, 2, 2))}, r"x0: expected shape \(n,\) or \(B, n\), got \(2, 2, 2\)"),
        ({"x0": np.zeros(0)}, r"x0: expected shape \(n,\) or \(B, n\), got \(0,\)"),
        ({"x0": [0.0, 0.0]}, "x0: expected a NumPy or CuPy array, got list"),
        ({"x0": np.array([0.0, np.nan])}, r"x0 holds nan at index \(1,\)"),
        ({"jacobian": lambda x: [[1.0, 0.0], [0.0, 1.0]]}, r"jacobian\(x\): expected a NumPy or CuPy array, got list"),
        ({"step": lambda x: [0.0, 0.0]}, r"step\(x\): expected a NumPy or CuPy array, got list"),
        ({"x0": np.zeros(2, int)}, "x0: expected float32 or float64, got int64"),
        ({"jacobian": lambda x: np.eye(3)}, r"jacobian\(x\): expected shape \(2, 2\), got \(3, 3\)"),
        ({"step": lambda x: x[:1]}, r"step\(x\): expected shape \(2,\), got \(1,\)"),
        ({"k": 3}, "k: expected a whole number from 1 to 2"),
        ({"steps": 0}, "steps: expected a whole number from 1 on"),
    ],
)
def test_bad_maps(options, message):
    given = {"step": lambda x: x, "jacobian": lambda x: np.eye(2), "x0": np.zeros(2), "steps": 10}
    with pytest.raises(InputError, match=message):
        lyapunov_of_map(**(given | options))


@pytest.mark.parametrize("every", [None, 1, 20])
def test_a_jacobian_that_is_not_finite_is_named(every):
    step = iter(range(1, 100))
    with pytest.raises(InputError, match="the Jacobian of step 33 is not finite in sample 1; its entries must be"):
        lyapunov_of_map(
            lambda x: x,
            lambda x: np.array([1.0, np.nan if next(step) == 33 else 1.0])[:, None, None] * np.eye(2),
            np.zeros((2, 2)),
            steps=99,
            every=every,
        )


def test_a_state_that_overflows_is_named():
    cell, params = net(20, activation="relu", gain=50.0)
    place = min(unroll(cell, params, driven(400)).overflow, key=lambda found: found.step)
    assert place.step > 64
    message = (
        f"the forward pass leaves the finite numbers at step {place.step} .gate {place.gate}, sample {place.sample}"
    )
    with pytest.raises(InputError, match=message):
        lyapunov(cell, params, driven(400))


# on request in analyze


@pytest.mark.parametrize("models", [(), (2,)])
def test_analyze_records_it_on_request(models):
    cell, params = net(5, cell="lstm", models=models)
    x = driven(80, 10)
    ds = gradlab.analyze(cell=cell, params=params, x=x, record=["lyapunov"])
    expected = lyapunov(cell, params, x[:, :8])
    model = ["model"] if models else []
    assert set(ds.lyapunov_exponent.dims) == {"exponent", *model}
    assert set(ds.lyapunov_running.dims) == {"running_step", "exponent", *model}
    np.testing.assert_allclose(ds.lyapunov_exponent.transpose("exponent", ...), expected.exponents, atol=1e-9)
    np.testing.assert_allclose(ds.lyapunov_stderr.transpose("exponent", ...), expected.stderr, atol=1e-9)
    np.testing.assert_allclose(ds.lyapunov_entropy, expected.entropy_rate, atol=1e-9)
    np.testing.assert_allclose(ds.lyapunov_dimension, expected.kaplan_yorke, atol=1e-9)
    assert ds.exponent.values.tolist() == list(range(1, 11))
    assert ds.running_step.values[-1] == 72


def test_a_run_that_overflows_at_once_has_none():
    cell, params = net(5, activation="relu", gain=1e300)
    ds = gradlab.analyze(cell=cell, params=params, x=driven(40), record=["lyapunov"])
    assert "lyapunov_exponent" not in ds


def test_the_result_is_in_host_memory():
    xp = LIBRARIES["strict"]()
    problem = random_problem("elman").moved(xp, "float64")
    found = lyapunov(problem.cell, problem.params, problem.x)
    assert isinstance(found.exponents, np.ndarray)
    assert to_numpy(problem.x).shape[0] == found.steps + found.warmup


@pytest.mark.parametrize(("longest", "recorded"), [(8, False), (9, True)])
def test_sequences_shorter_than_the_warmup_have_none(longest, recorded):
    cell, params = net(5)
    lengths = np.array([longest, 3])
    ds = gradlab.analyze(cell=cell, params=params, x=driven(80), lengths=lengths, record=["lyapunov"])
    assert ("lyapunov_exponent" in ds) == recorded


def test_an_orbit_that_diverges_is_told():
    """2^(2^10) overflows."""
    with pytest.raises(InputError, match=r"step\(x\) leaves the finite numbers at step 10; Lyapunov exponents need"):
        lyapunov_of_map(lambda x: x * x, lambda x: np.ones((1, 1)), np.array([2.0]), steps=500)
    rest = iter(range(1, 500))
    with pytest.raises(InputError, match="leaves the finite numbers at step 130"):
        lyapunov_of_map(
            lambda x: x + (np.nan if next(rest) == 130 else 0), lambda x: np.ones((1, 1, 1)), np.ones((1, 1)), steps=499
        )


def test_the_earliest_overflow_is_named_with_its_model():
    cell, params = net(4, activation="identity", models=(2,))
    params["W_hh"][:] = np.array([3.0, 1e3])[:, None, None] * np.eye(4)
    x = np.ones((400, 1, 2))
    places = unroll(cell, params, x[:, None]).overflow
    assert min(place.step for place in places if place.model == (1,)) < 120
    with pytest.raises(InputError, match=rf"at step {places[-1].step} .gate g, sample 0 of model \(1,\)"):
        lyapunov(cell, params, x)
