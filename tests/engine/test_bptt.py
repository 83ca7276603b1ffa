"""BPTT against dense products of Jacobians: chunks, lengths, truncation and clipping inside the backward pass."""

import numpy as np
import pytest

import gradlab
from gradlab.cells import CELLS, make_cell
from gradlab.errors import InputError

from ..contract import assert_near, joined, naive_jacobians, random_problem, reference

each_cell = pytest.mark.parametrize("name", CELLS)


# edges of size


@each_cell
@pytest.mark.parametrize(
    "sizes", [(1, 3, 2, 4), (1, 1, 1, 1), (63, 1, 3, 2), (64, 2, 1, 3), (65, 1, 1, 2), (129, 2, 2, 3)]
)
def test_adjoints_at_chunk_boundaries_and_smallest_sizes(name, sizes):
    problem = random_problem(name, sizes=sizes)
    grads = problem.bptt()
    assert_near(grads.adjoints, joined(problem, naive_jacobians(problem)), factor=4)


@each_cell
@pytest.mark.parametrize("steps", [1, 65])
@pytest.mark.slow
def test_gradients_over_more_than_one_chunk(name, steps):
    problem, expected = reference(name, (), (steps, 2, 1, 2))
    grads = problem.bptt()
    assert_near(grads.inputs, expected.gradients["x"])
    for key, gradient in grads.params.items():
        assert_near(gradient, expected.gradients[key])


@pytest.mark.parametrize("batch", [1, 700, 3000])
def test_wide_batches_take_shorter_chunks_and_give_the_same(batch):
    """A sample's gradient does not depend on the batch it is in."""
    problem = random_problem("lstm", sizes=(35, batch, 2, 3))
    first = gradlab.bptt(
        gradlab.unroll(problem.cell, problem.params, problem.x[:, :1], problem.initial[:, :1]), problem.dL_dh[:, :1]
    )
    grads = gradlab.bptt(problem.unroll(), problem.dL_dh)
    assert_near(grads.adjoints[:, :, :1], first.adjoints)
    assert_near(grads.inputs[:, :1], first.inputs)


def test_shapes_that_leave_axes_out():
    """x (T, D) is one sample; x without model axes is seen by every model."""
    problem = random_problem("gru", (3,))
    x = problem.x[:, 0]
    shared = gradlab.unroll(problem.cell, problem.params, x, problem.initial)
    repeated = gradlab.unroll(problem.cell, problem.params, np.repeat(x[:, None], 3, axis=1), problem.initial)
    np.testing.assert_array_equal(shared.states, repeated.states)
    one, three = (gradlab.bptt(traj, problem.dL_dh, problem.dL_dfinal) for traj in (shared, repeated))
    assert_near(one.inputs, three.inputs)
    for name in one.params:
        assert_near(one.params[name], three.params[name])
    single = random_problem("gru")
    traj = gradlab.unroll(single.cell, single.params, single.x[:, 0])
    assert traj.states.shape == (6, 1, 1, 4)
    assert_near(traj.states, gradlab.unroll(single.cell, single.params, single.x[:, :1]).states)


def test_two_model_axes():
    problem = random_problem("lstm", (2, 3))
    grads = problem.bptt()
    for index in np.ndindex(2, 3):
        alone = problem.of_model(index)
        assert_near(grads.adjoints[(slice(None), slice(None), *index)], alone.bptt().adjoints)
        assert_near(
            gradlab.jacobian(grads.traj).frobenius()[(slice(None), *index)],
            gradlab.jacobian(alone.unroll()).frobenius(),
        )
        for name, gradient in alone.bptt().params.items():
            assert_near(grads.params[name][(slice(None), *index)], gradient)


def test_the_initial_state_is_zero_by_default():
    problem = random_problem("lstm")
    traj = gradlab.unroll(problem.cell, problem.params, problem.x)
    assert not traj.states[0].any()
    explicit = gradlab.unroll(problem.cell, problem.params, problem.x, np.zeros_like(problem.initial))
    np.testing.assert_array_equal(traj.states, explicit.states)


def test_inputs_and_parameters_are_left_as_they_were():
    problem = random_problem("peephole_lstm")
    arrays = [problem.x, problem.initial, problem.dL_dh, problem.dL_dfinal, *problem.params.values()]
    before = [a.copy() for a in arrays]
    traj = problem.unroll(lengths=np.array([3, 5]))
    states = traj.states.copy()
    gradlab.bptt(traj, problem.dL_dh, problem.dL_dfinal, clip=("step_norm", 0.1))
    gradlab.jacobian(traj).spectral()
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    np.testing.assert_array_equal(traj.states, states)


def test_central_differences_through_unroll():
    """The public functions alone, no complex step: lengths, models, all together."""
    problem = random_problem("lstm", (3,))
    lengths = np.array([[5, 2], [4, 5], [1, 0]])

    def loss(**changed):
        arrays = {**problem.params, "x": problem.x, "initial": problem.initial, **changed}
        traj = gradlab.unroll(
            problem.cell, {n: arrays[n] for n in problem.params}, arrays["x"], arrays["initial"], lengths
        )
        inside = traj.lengths.inside[..., None]
        return float((traj.states[1:, 0] * problem.dL_dh * inside).sum() + (traj.states[-1] * problem.dL_dfinal).sum())

    grads = gradlab.bptt(problem.unroll(lengths=lengths), problem.dL_dh, problem.dL_dfinal)
    found = {**grads.params, "x": grads.inputs, "initial": grads.adjoints[0]}
    rng = np.random.default_rng(0)
    for name, gradient in found.items():
        array = {**problem.params, "x": problem.x, "initial": problem.initial}[name]
        direction = rng.normal(size=array.shape)
        slope = (loss(**{name: array + 1e-5 * direction}) - loss(**{name: array - 1e-5 * direction})) / 2e-5
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-7)


# lengths


def alone(problem, b, length, dtype, **options):
    """Sample b over its own length."""
    own = (slice(None), slice(b, b + 1))
    moved = problem.moved(np, dtype)
    traj = gradlab.unroll(moved.cell, moved.params, moved.x[:length, b : b + 1], moved.initial[own])
    return gradlab.bptt(traj, moved.dL_dh[:length, b : b + 1], moved.dL_dfinal[own], **options)


def padded(problem, lengths, dtype, garbage=np.nan, **options):
    """The batch with `garbage` in the padding of x and of dL_dh."""
    moved = problem.moved(np, dtype)
    beyond = np.arange(1, len(moved.x) + 1)[:, None] > lengths
    x, dL_dh = (np.where(beyond[..., None], garbage, a).astype(dtype) for a in (moved.x, moved.dL_dh))
    traj = gradlab.unroll(moved.cell, moved.params, x, moved.initial, lengths)
    return gradlab.bptt(traj, dL_dh, moved.dL_dfinal, **options)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
@each_cell
def test_each_padded_sequence_is_as_if_run_alone(name, dtype, rtol, garbage):
    problem = random_problem(name, sizes=(20, 4, 3, 4))
    lengths = np.array([20, 3, 17, 1])
    grads = padded(problem, lengths, dtype, garbage)
    total = {key: np.zeros(p.shape) for key, p in problem.params.items()}
    scale = {"rtol": rtol, "atol": rtol * np.abs(problem.bptt().adjoints).max()}
    for b, length in enumerate(lengths):
        own = alone(problem, b, length, dtype)
        np.testing.assert_allclose(
            grads.traj.states[: length + 1, :, b], own.traj.states[:, :, 0], rtol=rtol, atol=rtol
        )
        np.testing.assert_allclose(
            grads.traj.states[length:, :, b], own.traj.states[-1:, :, 0].repeat(21 - length, 0), rtol
        )
        np.testing.assert_allclose(grads.adjoints[: length + 1, :, b], own.adjoints[:, :, 0], **scale)
        np.testing.assert_allclose(grads.inputs[:length, b], own.inputs[:, 0], **scale)
        np.testing.assert_allclose(grads.log_norms[: length + 1, :, b], own.log_norms[:, :, 0], rtol=0, atol=10 * rtol)
        assert not grads.inputs[length:, b].any()
        assert np.isnan(grads.log_norms[length + 1 :, :, b]).all()
        total = {key: total[key] + own.params[key] for key in total}
    for key, gradient in grads.params.items():
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, total[key], rtol=rtol, atol=rtol * np.abs(total[key]).max(initial=0))


def test_a_sequence_of_length_zero_passes_its_final_gradient_through():
    problem = random_problem("lstm")
    grads = padded(problem, np.array([0, 5]), "float64")
    np.testing.assert_array_equal(grads.traj.states[:, :, 0], np.broadcast_to(problem.initial[:, 0], (6, 2, 4)))
    np.testing.assert_array_equal(grads.adjoints[0, :, 0], problem.dL_dfinal[:, 0])
    assert not grads.inputs[:, 0].any()
    assert np.isnan(grads.log_norms[1:, :, 0]).all()
    own = alone(problem, 1, 5, "float64")
    for key, gradient in grads.params.items():
        assert_near(gradient, own.params[key])


@pytest.mark.parametrize("options", [{"clip": ("step_norm", 0.5)}, {"clip": ("step_value", 0.2)}, {"truncate": 4}])
def test_clipping_and_truncation_of_padded_sequences_are_those_of_each_alone(options):
    problem = random_problem("lstm", sizes=(20, 3, 3, 4))
    lengths, total = np.array([20, 7, 16]), 0.0
    grads = padded(problem, lengths, "float64", **options)
    for b, length in enumerate(lengths):
        own = alone(problem, b, length, "float64", **options)
        assert_near(grads.adjoints[: length + 1, :, b], own.adjoints[:, :, 0])
        np.testing.assert_allclose(
            grads.log_norms_before[: length + 1, :, b], own.log_norms_before[:, :, 0], atol=1e-10
        )
        total = total + own.params["W_hh"]
    assert_near(grads.params["W_hh"], total)


def test_full_lengths_change_nothing():
    problem = random_problem("gru")
    full = gradlab.bptt(problem.unroll(lengths=np.array([5, 5])), problem.dL_dh, problem.dL_dfinal)
    np.testing.assert_array_equal(full.adjoints, problem.bptt().adjoints)
    np.testing.assert_array_equal(full.log_norms, problem.bptt().log_norms)


# truncation


@each_cell
@pytest.mark.parametrize("block", [1, 3, 5, 32, 60])
def test_truncation_is_detaching(name, block):
    """Blocks of k steps from t = 0, each run alone from the state that the block before left."""
    problem = random_problem(name, sizes=(40, 2, 3, 4))
    traj = problem.unroll()
    grads = gradlab.bptt(traj, problem.dL_dh, problem.dL_dfinal, truncate=block)
    total = {key: np.zeros(p.shape) for key, p in problem.params.items()}
    for start in range(0, 40, block):
        steps = slice(start, min(start + block, 40))
        part = gradlab.unroll(problem.cell, problem.params, problem.x[steps], traj.states[start])
        final = problem.dL_dfinal if steps.stop == 40 else None
        own = gradlab.bptt(part, problem.dL_dh[steps], final)
        first = 1 if start else 0  # the adjoint of the very first state belongs to the first block
        assert_near(grads.adjoints[start + first : steps.stop + 1], own.adjoints[first:])
        assert_near(grads.inputs[steps], own.inputs)
        total = {key: total[key] + own.params[key] for key in total}
    for key, gradient in grads.params.items():
        assert_near(gradient, total[key], scale=10)


def test_what_truncation_cuts_off_is_exactly_zero():
    problem = random_problem("lstm", sizes=(40, 2, 3, 4))
    last = np.zeros_like(problem.dL_dh)
    last[-1] = problem.dL_dh[-1]
    grads = gradlab.bptt(problem.unroll(), last, truncate=6)
    assert np.isfinite(grads.log_norms[37:, 0]).all()
    assert (grads.log_norms[:36] == -np.inf).all()


# clipping inside the backward pass


def clip_norm(adjoint, threshold):
    norm = np.sqrt((adjoint**2).sum(axis=(0, -1), keepdims=True))
    return np.where(norm > threshold, adjoint * threshold / norm, adjoint)


def clip_value(adjoint, threshold):
    return np.clip(adjoint, -threshold, threshold)


def clipped_loop(problem, clip, threshold):
    """(adjoints before, after) with the joint adjoint of each sample clipped at every step, dL_t included."""
    jacobians = naive_jacobians(problem)
    before, after, pulled = [], [], problem.dL_dfinal
    for t in range(len(jacobians), -1, -1):
        adjoint = pulled.copy()
        if t > 0:
            adjoint[0] += problem.dL_dh[t - 1]
        before.append(adjoint)
        after.append(clip(adjoint, threshold))
        if t > 0:
            pulled = joined(problem, jacobians[t - 1 : t], 0 * problem.dL_dh[:1], after[-1])[0]
    return np.stack(before[::-1]), np.stack(after[::-1])


@each_cell
@pytest.mark.parametrize("threshold", [0.3, 1.5, 1e6])
@pytest.mark.parametrize(("mode", "clip"), [("step_norm", clip_norm), ("step_value", clip_value)])
def test_clipping_each_step_is_the_naive_loop(name, mode, clip, threshold):
    problem = random_problem(name, sizes=(40, 2, 3, 4))
    before, after = clipped_loop(problem, clip, threshold)
    grads = problem.bptt(clip=(mode, threshold))
    assert_near(grads.adjoints, after, factor=4)
    np.testing.assert_allclose(grads.log_norms, np.log(np.linalg.norm(after, axis=-1)), atol=1e-10)
    np.testing.assert_allclose(grads.log_norms_before, np.log(np.linalg.norm(before, axis=-1)), atol=1e-10)
    if threshold == 1e6:
        np.testing.assert_allclose(grads.log_norms_before, grads.log_norms, rtol=1e-12)
        for key, gradient in problem.bptt().params.items():
            assert_near(grads.params[key], gradient)


def test_clipped_parameter_gradients_come_from_the_clipped_adjoints():
    """delta_t = D_t^T lambda_t with the clipped lambda: for a linear Elman net b's gradient is their sum."""
    problem = random_problem(make_cell("elman", input_size=1, hidden_size=1, activation="identity"))
    grads = problem.bptt(clip=("step_value", 0.4))
    assert_near(grads.params["b_h"][0], grads.adjoints[1:, 0].sum(axis=(0, 1)))
    assert_near(grads.inputs, grads.adjoints[1:, 0] @ problem.params["W_xh"][0])


def test_without_clipping_before_and_after_are_the_same():
    grads = random_problem("lstm").bptt()
    np.testing.assert_array_equal(grads.log_norms, grads.log_norms_before)


# bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dL_dh": np.zeros((4, 2, 4))}, r"dL_dh: expected shape \(5, 2, 4\), got \(4, 2, 4\)"),
        ({"dL_dh": np.zeros((2, 5, 4))}, r"dL_dh: expected shape \(5, 2, 4\), got \(2, 5, 4\)"),
        ({"dL_dfinal": np.zeros((2, 4))}, r"dL_dfinal: expected shape \(2, 2, 4\), got \(2, 4\)"),
        ({"truncate": 0}, "truncate: expected a positive whole number of steps, got 0"),
        ({"truncate": -3}, "truncate: expected a positive whole number of steps, got -3"),
        ({"clip": ("step_nrm", 1.0)}, "unknown adjoint clipping 'step_nrm'. Did you mean 'step_norm'"),
        ({"clip": ("step_norm", 0.0)}, "clip: expected a positive threshold, got 0.0"),
        ({"clip": ("step_norm", float("nan"))}, "clip: expected a positive threshold, got nan"),
    ],
)
def test_bad_arguments(arguments, message):
    problem = random_problem("lstm")
    with pytest.raises(InputError, match=message):
        gradlab.bptt(problem.unroll(), **{"dL_dh": problem.dL_dh, **arguments})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_loss_gradients_that_are_not_finite_say_where(bad):
    """A NaN must not read as an exact zero. Beyond a sample's length it is padding and is ignored."""
    problem = random_problem("lstm")
    problem.dL_dh[3, 1, 2] = bad
    with pytest.raises(InputError, match=r"dL_dh.*(nan|inf).*step 4.*sample 1"):
        gradlab.bptt(problem.unroll(), problem.dL_dh)
    assert np.isfinite(gradlab.bptt(problem.unroll(lengths=np.array([5, 3])), problem.dL_dh).adjoints).all()
    final = np.full_like(problem.dL_dfinal, bad)
    with pytest.raises(InputError, match="dL_dfinal.*(nan|inf)"):
        gradlab.bptt(problem.unroll(), np.zeros_like(problem.dL_dh), final)


def test_an_overflowed_trajectory_is_refused_with_the_place():
    cell = make_cell("elman", input_size=1, hidden_size=2, activation="identity")
    params = cell.init(0, recurrent_init="identity", gain=1e100)
    traj = gradlab.unroll(cell, params, np.ones((8, 2, 1)))
    with pytest.raises(
        InputError, match=r"overflowed at step 5 \(gate g, sample 0\); unroll with lengths of at most 4"
    ):
        gradlab.bptt(traj, np.zeros((8, 2, 2)))
