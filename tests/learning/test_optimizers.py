"""Optimizers against PyTorch's trajectories, and the same on every array library; schedules; what is refused."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from gradlab import to_numpy
from gradlab.errors import InputError
from gradlab.learning.optimizers import OPTIMIZERS, SCHEDULES

from ..contract import LIBRARIES, each_dtype, each_library

GOLDEN = Path(__file__).parents[1] / "golden" / "optimizers.npz"
RATE = 0.05
CASES = {  # golden case -> optimizer, options, schedule
    "sgd": ("sgd", {}, "constant"),
    "sgd_momentum": ("sgd", {"momentum": 0.9}, "constant"),
    "sgd_nesterov": ("sgd", {"momentum": 0.8, "nesterov": True}, "constant"),
    "rmsprop": ("rmsprop", {}, "constant"),
    "rmsprop_options": ("rmsprop", {"alpha": 0.9, "eps": 1e-3}, "constant"),
    "adam": ("adam", {}, "constant"),
    "adam_options": ("adam", {"beta1": 0.7, "beta2": 0.95, "eps": 1e-2}, "constant"),
    "adamw": ("adamw", {}, "constant"),
    "adamw_options": ("adamw", {"beta1": 0.8, "beta2": 0.9, "eps": 1e-4, "weight_decay": 0.3}, "constant"),
    "sgd_decay": ("sgd", {"weight_decay": 0.3}, "constant"),
    "sgd_nesterov_decay": ("sgd", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.3}, "constant"),
    "rmsprop_decay": ("rmsprop", {"weight_decay": 0.3}, "constant"),
    "adam_decay": ("adam", {"weight_decay": 0.3}, "constant"),
    "adam_cosine": ("adam", {}, "cosine"),
    "adam_step": ("adam", {}, "step"),
}
each_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def run(case, start, grads):
    """(steps, ...) parameters after each update, and the state."""
    name, options, schedule = CASES[case]
    optimizer, steps = OPTIMIZERS[name](**options), len(next(iter(grads.values())))
    state, path = optimizer.init(start), []
    for n in range(steps):
        rate = RATE * SCHEDULES[schedule](n, steps)
        optimizer.step(start, {name: g[n] for name, g in grads.items()}, state, rate)
        path.append({name: to_numpy(p).copy() for name, p in start.items()})
    return {name: np.stack([p[name] for p in path]) for name in start}, state


def problem(golden, case, xp=np, dtype="float64"):
    """(start, gradients) of the golden file, over as many updates as the case has."""
    steps = len(golden[f"{case}/0"])
    start = {i: xp.asarray(golden[f"start/{i}"].astype(dtype)) for i in "01"}
    return start, {i: xp.asarray(golden[f"grad/{i}"][:steps].astype(dtype)) for i in "01"}


@each_dtype
@each_library
@each_case
def test_trajectories_are_those_of_pytorch(case, library, dtype, golden):
    xp = LIBRARIES[library]()
    start, grads = problem(golden, case, xp, dtype)
    path, state = run(case, start, grads)
    for name, values in path.items():
        expected = golden[f"{case}/{name}"]
        assert len(expected) in (48, 50) and values.dtype == dtype
        assert np.abs(expected - golden[f"start/{name}"]).max() > 0.01
        if dtype == "float64":
            np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-12)
        else:
            np.testing.assert_allclose(values, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())
    assert int(state["updates"]) == len(expected)
    kept = {key: array for key, array in state.items() if key != "updates"}
    assert all(str(array.dtype) == dtype and type(array) is type(start["0"]) for array in kept.values())


@each_case
def test_models_are_updated_each_by_itself(case, golden):
    """Three models, (G, *M, ...), whose gradients are multiples of one another: each goes as it would alone."""
    start, grads = problem(golden, case)
    factors = (1.0, -3.0, 0.2)
    together = {i: np.stack([f * g for f in factors], axis=2) for i, g in grads.items()}
    path, _ = run(case, {i: np.stack([p] * 3, axis=1) for i, p in start.items()}, together)
    for m, factor in enumerate(factors):
        alone, _ = run(case, {i: p.copy() for i, p in start.items()}, {i: factor * g for i, g in grads.items()})
        for i, values in alone.items():
            np.testing.assert_array_equal(path[i][:, :, m], values)


@each_case
def test_a_copied_state_goes_on_bit_for_bit(case, golden):
    start, grads = problem(golden, case)
    whole, _ = run(case, {i: p.copy() for i, p in start.items()}, grads)
    name, options, schedule = CASES[case]
    optimizer, steps = OPTIMIZERS[name](**options), len(whole["0"])
    state = optimizer.init(start)
    for n in range(steps):
        optimizer.step(start, {i: g[n] for i, g in grads.items()}, state, RATE * SCHEDULES[schedule](n, steps))
        if n == steps // 2:  # as from a file: other arrays, other objects
            optimizer = OPTIMIZERS[name](**options)
            start, state = ({key: np.array(a) for key, a in arrays.items()} for arrays in (start, state))
    for i, p in start.items():
        np.testing.assert_array_equal(p, whole[i][-1])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_and_state_change_in_place_and_gradients_do_not(name):
    optimizer, rng = OPTIMIZERS[name](), np.random.default_rng(0)
    params, grads = ({"W": rng.normal(size=(2, 3)), "b": rng.normal(size=3)} for _ in range(2))
    state = optimizer.init(params)
    before, arrays = {n: g.copy() for n, g in grads.items()}, dict(params) | dict(state)
    assert not any(array.any() for array in state.values())
    optimizer.step(params, grads, state, 0.1)
    assert all(arrays[key] is array for key, array in (params | state).items())
    assert all(array.any() for array in state.values())
    assert all((grads[n] == before[n]).all() for n in grads)


@pytest.mark.parametrize("name", ["rmsprop", "adam"])
def test_the_first_update_has_the_size_of_the_rate(name):
    """Adam's first step is the rate, whatever the gradient's size; RMSprop's is ten times it, 1/sqrt(1 - alpha)."""
    params, g = {"W": np.zeros(3)}, np.array([1e-3, -5.0, 2e4])
    optimizer = OPTIMIZERS[name]()
    optimizer.step(params, {"W": g}, optimizer.init(params), 0.01)
    size = {"adam": 0.01, "rmsprop": 0.1}[name]
    np.testing.assert_allclose(params["W"], -size * np.sign(g), rtol=2e-4)


def test_weight_decay_is_decoupled_from_the_gradient():
    params = {"W": np.array([2.0, -4.0])}
    optimizer = OPTIMIZERS["adamw"](weight_decay=0.5)
    optimizer.step(params, {"W": np.zeros(2)}, optimizer.init(params), 0.1)
    np.testing.assert_allclose(params["W"], [1.9, -3.8], rtol=1e-15)


# schedules


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ("cosine", [1, (1 + math.sqrt(0.75)) / 2, 0.75, 0.5, 0.25, (1 - math.sqrt(0.75)) / 2]),
        ("step", [1, 1, 0.1, 0.1, 0.01, 0.01]),
    ],
)
def test_schedules(name, expected):
    assert [SCHEDULES[name](n, 6) for n in range(6)] == pytest.approx(expected, rel=1e-14)


def test_a_single_update_has_the_whole_learning_rate():
    assert [schedule(0, 1) for schedule in SCHEDULES.values()] == [1.0] * len(SCHEDULES)


def test_a_step_comes_after_each_third_even_where_that_is_no_whole_number():
    factors = [SCHEDULES["step"](n, 10) for n in range(10)]
    assert factors == pytest.approx([1] * 4 + [0.1] * 3 + [0.01] * 3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_at_a_learning_rate_of_zero_the_parameters_stay_bit_for_bit(name):
    """As at the end of a schedule; what the optimizer remembers goes on."""
    rng, optimizer = np.random.default_rng(0), OPTIMIZERS[name]()
    params = {"W": rng.normal(size=(3, 4))}
    before, state = params["W"].copy(), optimizer.init(params)
    optimizer.step(params, {"W": rng.normal(size=(3, 4))}, state, 0.0)
    np.testing.assert_array_equal(params["W"], before)
    assert all(array.any() for array in state.values())


# what is refused


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sgd", {"momentum": 1.0}, r"momentum: expected a number in \[0, 1\), got 1.0"),
        ("sgd", {"momentum": math.nan}, r"momentum: expected a number in \[0, 1\), got nan"),
        ("sgd", {"nesterov": True}, "nesterov: needs a momentum above 0, such as 0.9"),
        ("rmsprop", {"alpha": -0.1}, r"alpha: expected a number in \[0, 1\), got -0.1"),
        ("rmsprop", {"eps": 0.0}, "eps: expected a positive number, got 0.0"),
        ("adam", {"beta1": 1.0}, r"beta1: expected a number in \[0, 1\), got 1.0"),
        ("adam", {"beta2": 2.0}, r"beta2: expected a number in \[0, 1\), got 2.0"),
        ("adamw", {"eps": math.inf}, "eps: expected a positive number, got inf"),
        ("adamw", {"weight_decay": -1.0}, "weight_decay: expected a finite number of at least 0, got -1.0"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(InputError, match=message):
        OPTIMIZERS[name](**options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bad_updates_change_nothing(name):
    optimizer, params = OPTIMIZERS[name](), {"W": np.ones(2), "b": np.ones(2)}
    state = optimizer.init(params)
    for rate in (-0.1, math.nan, math.inf):
        with pytest.raises(InputError, match=f"learning_rate: expected a finite number of at least 0, got {rate}"):
            optimizer.step(params, {"W": np.ones(2), "b": np.ones(2)}, state, rate)
    with pytest.raises(InputError, match="gradients: expected those of W, b, got w, b"):
        optimizer.step(params, {"w": np.ones(2), "b": np.ones(2)}, state, 0.1)
    for shape in ((1,), (1, 2), (3,)):
        with pytest.raises(InputError, match=re.escape(f"gradient of b: expected shape (2,), got {shape}")):
            optimizer.step(params, {"W": np.ones(2), "b": np.ones(shape)}, state, 0.1)
    assert (params["W"] == 1).all() and not any(array.any() for array in state.values())


@pytest.mark.parametrize("name", ["cosine", "step"])
def test_a_schedule_needs_updates(name):
    for total in (0, -1, 2.5):
        with pytest.raises(InputError, match=f"total: expected a positive number of updates, got {total}"):
            SCHEDULES[name](0, total)
    with pytest.raises(InputError, match="iteration: expected .*, got -1"):
        SCHEDULES[name](-1, 3)


def test_unknown_names():
    with pytest.raises(InputError, match="unknown optimizer 'adm'. Did you mean 'adam'"):
        OPTIMIZERS["adm"]
    with pytest.raises(InputError, match="unknown schedule 'cosin'. Did you mean 'cosine'"):
        SCHEDULES["cosin"]


# weight decay


def test_the_two_kinds_of_decay_without_a_gradient():
    """adamw shrinks by 1 - rate weight_decay; adam divides the penalty's gradient by its own size."""
    after = {}
    for name in ("adam", "adamw"):
        params, optimizer = {"p": np.array([2.0, -4.0])}, OPTIMIZERS[name](weight_decay=0.1)
        optimizer.step(params, {"p": np.zeros(2)}, optimizer.init(params), RATE)
        after[name] = params["p"]
    np.testing.assert_allclose(after["adamw"], np.array([2.0, -4.0]) * (1 - RATE * 0.1), rtol=1e-15)
    np.testing.assert_allclose(after["adam"], [2.0 - RATE, -4.0 + RATE], rtol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan, "0.1"])
def test_a_weight_decay_is_a_finite_number_from_0_on(name, value):
    with pytest.raises(InputError, match="weight_decay: expected a finite number of at least 0, got") as error:
        OPTIMIZERS[name](weight_decay=value)
    assert error.value.field == "weight_decay"
