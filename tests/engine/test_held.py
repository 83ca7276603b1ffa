"""Units that keep a share of their old state, and candidates that a factor multiplies: steps, gradients, Jacobians."""

import numpy as np
import pytest

import gradlab
from gradlab.cells import make_cell
from gradlab.errors import InputError

from ..contract import assert_near, each_models, naive_step, random_problem

SIZES = (34, 3, 2, 4)  # T, B, D, H: more than one chunk
STEP = 1e-5
each_cell = pytest.mark.parametrize("cell", ["elman", "lstm", "gru_v1", "antisymmetric"])


def factors(problem):
    """hold with zeros and ones among the shares, and candidate factors around 1."""
    rng, shape = np.random.default_rng(5), problem.initial.shape
    hold = np.clip(rng.uniform(-0.3, 1.3, (len(problem.x), *shape)), 0, 1)
    return {"hold": hold, "candidate_factor": rng.uniform(0.5, 1.5, (len(problem.x), *shape[1:]))}


@each_cell
def test_each_step_by_itself(cell):
    """What is held, of the step that a multiplied candidate gives."""
    problem = random_problem(cell, sizes=SIZES)
    own = factors(problem)
    traj = problem.unroll(**own)
    candidate, made = problem.cell.gates.index(problem.cell.candidate), problem.cell.weights(problem.params)
    for t in range(len(problem.x)):
        gates, _ = naive_step(problem.cell, problem.params, problem.x[t], traj.states[t])
        assert_near(traj.gates[t], gates)
        gates[candidate] *= own["candidate_factor"][t]
        new = np.stack(problem.cell.step(np, *gates, *traj.states[t], *made.get("p", ())))
        assert_near(traj.states[t + 1], own["hold"][t] * traj.states[t] + (1 - own["hold"][t]) * new)


@each_models
@pytest.mark.parametrize("lengths", [None, np.array([34, 5, 0])], ids=["full", "lengths"])
@each_cell
def test_gradients_and_jacobians(cell, lengths, models):
    """By central differences, and adjoints by the Jacobian: lambda_{t-1} = J_t^T lambda_t + dL_{t-1}."""
    problem = random_problem(cell, models, SIZES)
    own = factors(problem) | {"lengths": lengths}
    inside = np.ones((34, 3)) if lengths is None else np.arange(34)[:, None] < lengths
    loss = problem.dL_dh * inside.reshape(34, *(1,) * len(models), 3, 1)

    def value(arrays):
        params = {name: arrays[name] for name in problem.params}
        states = gradlab.unroll(problem.cell, params, arrays["x"], arrays["initial"], **own).states
        return float((states[1:, 0] * loss).sum() + (states[-1] * problem.dL_dfinal).sum())

    traj = problem.unroll(**own)
    grads = gradlab.bptt(traj, loss, problem.dL_dfinal)
    found = grads.params | {"x": grads.inputs, "initial": grads.adjoints[0]}
    arrays, rng = problem.params | {"x": problem.x, "initial": problem.initial}, np.random.default_rng(2)
    for name, array in arrays.items():
        direction = rng.normal(size=array.shape)
        above, below = (value(arrays | {name: array + h * direction}) for h in (STEP, -STEP))
        slope = float((found[name] * direction).sum())
        assert slope == pytest.approx((above - below) / (2 * STEP), rel=1e-6, abs=1e-7), name
    expected, jacobian = grads.adjoints[:-1].copy(), gradlab.jacobian(traj)
    expected[1:, 0] -= loss[:-1]
    assert_near(jacobian.apply_transpose(grads.adjoints[1:]), expected)
    part = traj.of_samples([2, 0])
    assert_near(gradlab.jacobian(part).dense(), jacobian.dense()[..., [2, 0], :, :])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_state_that_is_held_wholly_or_not_at_all(share):
    problem = random_problem("lstm")
    states = problem.unroll(hold=np.full((5, *problem.initial.shape), share)).states
    expected = problem.unroll().states[1:] if share == 0 else np.broadcast_to(problem.initial, states[1:].shape)
    np.testing.assert_array_equal(states[1:], expected)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.nan])
def test_a_share_is_from_0_to_1(wrong):
    problem = random_problem("lstm")
    hold = np.full((5, *problem.initial.shape), 0.5)
    hold[3, 0, 1, 2] = wrong
    with pytest.raises(InputError, match="hold: expected shares from 0 to 1, of the old state that stays"):
        problem.unroll(hold=hold)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hold": np.ones((5, 1, 2, 4))}, r"hold: expected shape \(5, 2, 2, 4\), got \(5, 1, 2, 4\)"),
        ({"hold": np.ones((5, 2, 2, 4), int)}, "hold: expected float32 or float64, got int64"),
        ({"candidate_factor": np.ones((4, 2, 4))}, r"candidate_factor: expected shape \(5, 2, 4\), got \(4, 2, 4\)"),
        ({"candidate_factor": np.ones((5, 2, 4), bool)}, "candidate_factor: expected float32 or float64, got bool"),
    ],
)
def test_factors_that_do_not_fit(given, message):
    with pytest.raises(InputError, match=message):
        random_problem("lstm").unroll(**given)


def test_factors_are_taken_in_the_parameters_precision():
    problem = random_problem("lstm").moved(np, "float32")
    own = factors(problem)
    traj = problem.unroll(**own)
    assert all(getattr(traj, name).dtype == traj.states.dtype == np.float32 for name in own)


def test_a_cell_whose_step_forms_its_candidate_takes_no_factor():
    cell = make_cell("gru", input_size=2, hidden_size=3)
    with pytest.raises(InputError, match="candidate_factor: the candidate of .* is no single gate's value"):
        gradlab.unroll(cell, cell.init(0), np.zeros((4, 1, 2)), candidate_factor=np.ones((4, 1, 3)))
