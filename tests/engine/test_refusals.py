"""What the engine refuses by name: arrays of another library, types, shapes and clips that it cannot use."""

import numpy as np
import pytest

import gradlab
from gradlab.engine.scaled import Scaled
from gradlab.errors import InputError

from ..contract import random_problem
from ..strict import strict

FITTING = {"x": (5, 2, 6), "initial_state": (2, 2, 4), "hold": (5, 2, 2, 4), "candidate_factor": (5, 2, 4)}


@pytest.mark.parametrize("name", [*FITTING, "lengths"])
def test_arrays_of_another_library_to_unroll(name):
    problem = random_problem("lstm")
    given = {"x": problem.x, name: strict.asarray(np.ones(FITTING.get(name, 2), float if name in FITTING else int))}
    with pytest.raises(InputError, match=f"{name} is a strict array but the parameters are numpy; move it with"):
        gradlab.unroll(problem.cell, problem.params, **given)


@pytest.mark.parametrize("name", ["dL_dh", "dL_dfinal"])
def test_arrays_of_another_library_to_bptt(name):
    problem = random_problem("lstm")
    given = {"dL_dh": problem.dL_dh, name: strict.asarray(getattr(problem, name))}
    with pytest.raises(InputError, match=f"{name} is a strict array but the parameters are numpy; move it with"):
        gradlab.bptt(problem.unroll(), **given)


def test_tangents_of_another_library():
    jacobian, v = gradlab.jacobian(random_problem("lstm").unroll()), strict.asarray(np.ones((5, 2, 2, 4)))
    for method, name in ((jacobian.apply, "v"), (jacobian.apply_transpose, "u")):
        with pytest.raises(InputError, match=f"{name} is a strict array but the parameters are numpy; move it with"):
            method(v)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dL_dh": np.ones((5, 2, 4), complex)}, "dL_dh: expected real numbers, got complex128"),
        ({"truncate": 2.5}, "truncate: expected a positive whole number of steps, got 2.5"),
        ({"truncate": "2"}, "truncate: expected a positive whole number of steps, got '2'"),
        ({"clip": "step_norm"}, r"clip: expected \(mode, threshold\) such as \('step_norm', 1.0\), got 'step_norm'"),
        ({"clip": ("step_norm",)}, r"clip: expected \(mode, threshold\) such as .*, got \('step_norm',\)"),
        ({"clip": ("step_norm", 1.0, 2.0)}, r"clip: expected \(mode, threshold\) .*, got \('step_norm', 1.0, 2.0\)"),
        ({"clip": ["step_norm", 1.0]}, r"clip: expected \(mode, threshold\) such as .*, got \['step_norm', 1.0\]"),
        ({"clip": ("step_norm", np.inf)}, "clip: expected a positive threshold, got inf"),
        (
            {"dL_dfinal": Scaled(np.ones((2, 2, 4)), np.zeros((2, 2, 1), np.int32))},
            r"dL_dfinal: expected exponents of shape \(1, 2, 1\), or 1 where shared, got \(2, 2, 1\)",
        ),
        (
            {"dL_dfinal": Scaled(np.ones((2, 2, 4)), np.zeros((1, 2, 1)))},
            "dL_dfinal: exponents: expected whole numbers, got float64",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_of_bptt(arguments, message):
    problem = random_problem("lstm")
    with pytest.raises(InputError, match=message):
        gradlab.bptt(problem.unroll(), **{"dL_dh": problem.dL_dh, **arguments})


@pytest.mark.parametrize(
    ("name", "shape"), [("initial_state", (2, 3, 4)), ("initial_state", (4,)), ("lengths", (3,)), ("lengths", ())]
)
def test_only_samples_that_seem_to_come_first_are_taken_for_that(name, shape):
    problem = random_problem("lstm")
    with pytest.raises(InputError, match=rf"{name}: expected shape \(.*\), got \({', '.join(map(str, shape))},?\)$"):
        gradlab.unroll(problem.cell, problem.params, problem.x, **{name: np.ones(shape, int)})


@pytest.mark.parametrize("steps", [0, 5])
def test_a_sample_may_have_any_length_up_to_all_steps(steps):
    problem = random_problem("lstm")
    assert problem.unroll(lengths=np.array([steps, 3])).valid_steps.tolist() == [steps, 3]
    assert problem.unroll(lengths=np.array([steps, 3], np.uint8)).valid_steps.tolist() == [steps, 3]


@pytest.mark.parametrize("shape", [(5, 1, 2, 6), (5, 3, 2, 6), (5, 2, 6)])
def test_an_input_with_the_models_axes_or_ones_or_none(shape):
    problem, x = random_problem("lstm", (3,)), np.random.default_rng(0).normal(size=shape)
    states = gradlab.unroll(problem.cell, problem.params, x).states
    full = np.broadcast_to(x if x.ndim == 4 else x[:, None], (5, 3, 2, 6))
    np.testing.assert_allclose(states, gradlab.unroll(problem.cell, problem.params, full).states, atol=1e-14)


@pytest.mark.parametrize("shape", [(5, 2, 2, 6), (5, 3, 1, 2, 6), (5, 3, 0, 6), (5, 3, 2, 1), (0, 3, 2, 6)])
def test_an_input_that_does_not_fit_the_models(shape):
    problem = random_problem("lstm", (3,))
    with pytest.raises(InputError, match=r"x: expected shape \(T, 3, B, 6\), time first, the input features last; got"):
        gradlab.unroll(problem.cell, problem.params, np.zeros(shape))
