"""Lyapunov spectra against growth of volumes, eigenvalues, determinants, perturbed runs, and known exponents."""

import re
import tracemalloc
from itertools import combinations

import numpy as np
import pytest

import gradlab
from gradlab import make_cell, unroll
from gradlab.cells import CELLS
from gradlab.products import qr_frame as frames
from gradlab.products.lyapunov import lyapunov, lyapunov_of_map, lyapunov_of_trajectory
from gradlab.products.qr_frame import Frame

from ..contract import EPS, LIBRARIES, each_dtype, each_way, naive_step, random_problem, reference
from ..grids import thinned

each_cell = pytest.mark.parametrize("name", CELLS)
NEAR = {"float32": 2e-5, "float64": 1e-12}


def net(hidden=20, seed=0, activation="tanh", cell="elman", **options):
    cell = make_cell(cell, input_size=2, hidden_size=hidden, activation=activation)
    return cell, cell.init(seed, **options)


def driven(steps, batch=2, seed=1, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(steps, batch, 2))


def linear_net(matrix):
    cell, params = net(len(matrix), activation="identity")
    params["W_hh"][0] = matrix
    return cell, params


def compound(matrices, k):
    """All k x k minors: how a matrix maps volumes of dimension k."""
    rows, columns = (np.array(list(combinations(range(n), k))) for n in matrices.shape[-2:])
    return np.linalg.det(matrices[..., rows[:, None, :, None], columns[None, :, None, :]])


def log_volumes(jacobians, k):
    """ln of the volume (*M, B) that the engine's k first vectors span after J_T ... J_1 (T, *M, B, n, n)."""
    shape = jacobians.shape[1:-1]
    start = Frame(np, (1, *shape), np.dtype("float64"), k, None).vectors[:, 0]
    volume, logs = compound(np.moveaxis(start, 0, -1), k)[..., 0], 0.0
    with np.errstate(divide="ignore"):
        for jacobian in jacobians:
            volume = (compound(jacobian, k) @ volume[..., None])[..., 0]
            size = np.linalg.norm(volume, axis=-1)
            logs, volume = logs + np.log(size), volume / np.where(size > 0, size, 1)[..., None]
    return logs


# against growth of volumes, computed from complex-step Jacobians


@each_cell
@each_way
@pytest.mark.parametrize("every", [None, 1])
def test_k_exponents_sum_to_the_growth_of_volumes(name, library, dtype, models, every):
    problem, expected = reference(name, models)
    xp = LIBRARIES[library]()
    moved = problem.moved(xp, dtype)
    size = expected.jacobians.shape[-1]
    for k in (1, 3, size):
        found = lyapunov(moved.cell, moved.params, moved.x, k=k, every=every, warmup=0, initial_state=moved.initial)
        assert found.samples.shape == (k, *models, 2)
        assert found.samples.dtype == np.float64
        limit = NEAR[dtype] * size
        np.testing.assert_allclose(5 * found.samples.sum(axis=0), log_volumes(expected.jacobians, k), atol=limit)


@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize(("seed", "dtype"), thinned(range(3), EPS, 3))
def test_dead_units_give_minus_infinity_where_the_volume_is_zero(seed, dtype, every):
    cell, params = net(7, seed, "relu")
    traj = unroll(cell, {n: p.astype(dtype) for n, p in params.items()}, driven(27, 32, seed).astype(dtype))
    jacobians = gradlab.jacobian(traj).dense().astype(float)
    for k in range(1, 5):
        found = lyapunov_of_trajectory(traj, k=k, every=every, warmup=0)
        volumes, sums = log_volumes(jacobians, k) / 27, found.samples.sum(axis=0)
        np.testing.assert_array_equal(np.isneginf(sums), np.isneginf(volumes))
        alive = np.isfinite(volumes)
        np.testing.assert_allclose(sums[alive], volumes[alive], atol=5e-6 if dtype == "float32" else 1e-12)
        lost = int(np.isneginf(found.exponents).sum())
        assert any(re.match(f"{lost} of {k} exponents? (is|are) -inf", note) for note in found.notes) == (lost > 0)
    assert lost


def test_an_lstm_whose_output_gate_is_shut_has_only_its_cells():
    """o = 0 exactly: h is nothing, c is carried by f alone."""
    cell, params = net(6, cell="lstm", bias_scale=0.5)
    params["b_h"][3] = -2000
    x = driven(200)
    found = lyapunov(cell, params, x, every=1, warmup=1)
    forget = np.log(unroll(cell, params, x).gates[1:, 1]).mean(axis=0)
    assert np.isneginf(found.exponents[6:]).all()
    np.testing.assert_allclose(np.sort(found.samples[:6].sum(axis=0)), np.sort(forget.sum(axis=-1)), atol=1e-12)
    assert any("6 of 12 exponents are -inf: Jacobians are singular" in note for note in found.notes)


def test_all_dead():
    cell, params = net(4, activation="relu")
    params["b_h"] -= 100
    found = lyapunov(cell, params, driven(30))
    assert np.isneginf(found.exponents).all()
    assert (found.kaplan_yorke, found.entropy_rate) == (0, 0)


@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_the_sum_of_all_is_the_mean_log_determinant(name):
    cell, params = net(24, cell=name, gain=3.0)
    traj = unroll(cell, params, driven(300))
    found = lyapunov_of_trajectory(traj, every=1, warmup=20)
    exact = np.linalg.slogdet(gradlab.jacobian(traj).dense())[1][20:].mean(axis=0)
    np.testing.assert_allclose(found.samples.sum(axis=0), exact, atol=1e-9)
    assert (found.steps, found.warmup, found.every) == (280, 20, 1)


# eigenvalues, perturbed runs


@pytest.mark.parametrize("warmup", [0, None])
@pytest.mark.parametrize("steps", [100, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_a_linear_net_has_the_logarithms_of_its_eigenvalues(seed, steps, warmup):
    rng = np.random.default_rng(seed)
    basis, moduli = rng.normal(size=(8, 8)), np.exp(-0.4 * np.arange(8)) * rng.uniform(0.9, 1.1, 8)
    values = moduli * rng.choice([-1, 1], 8)
    cell, params = linear_net(basis @ np.diag(values) @ np.linalg.inv(basis))
    found = lyapunov(cell, params, steps=steps, warmup=warmup)
    np.testing.assert_allclose(found.exponents, np.sort(np.log(moduli))[::-1], atol=5 / steps)


def test_products_run_from_the_last_step_to_the_first():
    """J_2 J_1 and J_1 J_2 grow differently here: 4 a round or nothing at all."""
    first, second = np.array([[0, 2.0], [0, 0]]), np.array([[0, 0], [2.0, 0]])
    found = lyapunov_of_map(lambda x: 1 - x, lambda x: second if x[0] else first, np.zeros(2), steps=40, k=1, warmup=0)
    assert np.isclose(found.exponents[0], np.log(2), atol=0.1)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_joint_exponents_are_those_of_perturbed_runs(name):
    """Copies of the net a hair apart in h and c, stepped by the definition and orthonormalised as they go."""
    problem = random_problem(name, sizes=(150, 1, 2, 5))
    cell, params, k, hair = problem.cell, problem.params, 3, 1e-6
    state = problem.initial
    frame = Frame(np, state.shape, np.dtype("float64"), k, None).vectors[:, :, 0]
    logs = np.zeros(k)
    for x in problem.x:
        copies = np.stack([state[:, 0] + sign * hair * v for v in frame for sign in (1, -1)], axis=1)
        moved = naive_step(cell, params, np.repeat(x, 2 * k, axis=0), copies)[1]
        tangents = np.moveaxis(moved[:, ::2] - moved[:, 1::2], 1, -1).reshape(-1, k) / (2 * hair)
        q, r = np.linalg.qr(tangents)
        frame, logs = np.moveaxis(q.reshape(len(state), 5, k), -1, 0), logs + np.log(np.abs(np.diag(r)))
        state = naive_step(cell, params, x, state)[1]
    found = lyapunov(cell, params, problem.x, k=k, warmup=0, initial_state=problem.initial)
    np.testing.assert_allclose(found.samples[:, 0], np.sort(logs / 150)[::-1], atol=1e-6)


# the interval between orthonormalisations


@each_dtype
def test_the_interval_keeps_the_frame_from_collapsing(dtype, monkeypatch):
    seen, orthonormal = [], frames._orthonormal

    def watched(xp, columns):
        q, sizes = orthonormal(xp, columns)
        seen.append((sizes.max(axis=0) / sizes.min(axis=0)).max())
        return q, sizes

    monkeypatch.setattr(frames, "_orthonormal", watched)
    cell, params = net(40, gain=2.0)
    params = {name: p.astype(dtype) for name, p in params.items()}
    found = lyapunov(cell, params, driven(300, scale=0.1).astype(dtype), k=10)
    assert found.every > 1.5
    beyond = np.array(seen) > {"float32": 1e2, "float64": 1e6}[dtype]
    assert beyond.sum() < 0.1 * len(seen)  # those were done again
    exact = lyapunov(cell, params, driven(300, scale=0.1).astype(dtype), k=10, every=1)
    np.testing.assert_allclose(found.samples, exact.samples, atol=2e-4 if dtype == "float32" else 1e-9)


def test_a_given_interval_that_loses_digits_is_shortened_and_reported(monkeypatch):
    cell, params = net(60, gain=2.0)
    run = {"x": driven(120, 1, scale=0.1)}
    exact, given = lyapunov(cell, params, **run, every=1), lyapunov(cell, params, **run, every=10)
    np.testing.assert_allclose(given.exponents, exact.exponents, atol=1e-8)
    assert given.every < 4
    assert any("every=10 lets max|R_ii| / min|R_ii| pass 1e+06" in note for note in given.notes)
    monkeypatch.setitem(frames.LIMITS, 8, np.inf)  # without the limit it would be garbage
    assert np.abs(lyapunov(cell, params, **run, every=10).exponents - exact.exponents).max() > 0.1


@pytest.mark.parametrize(("every", "note"), [(256, []), (257, ["is more than the 256 steps that fit"])])
def test_a_given_interval_beyond_the_longest_is_reported(every, note):
    cell, params = linear_net(np.diag([1.0, 0.999]))
    found = lyapunov(cell, params, steps=600, every=every, warmup=0)
    remarks = [f"every={every} {text}; it was shortened to 256" for text in note]
    assert [text for text in found.notes if text.startswith("every")] == remarks


def test_a_given_interval_that_fits_is_kept():
    cell, params = net(40)
    found = lyapunov(cell, params, driven(210), k=3, every=7, warmup=0)
    assert found.every == 7
    assert not any("every" in note for note in found.notes)


@pytest.mark.parametrize("every", [None, 100])
@each_dtype
@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_no_growth_leaves_the_range_of_numbers(factor, dtype, every):
    cell, params = linear_net(factor * np.diag([1.0, 0.9, 0.5]))
    params = {name: p.astype(dtype) for name, p in params.items()}
    found = lyapunov_of_map(
        lambda x: x, lambda x: params["W_hh"][0], np.zeros(3, dtype), steps=500, every=every, warmup=100
    )
    np.testing.assert_allclose(found.exponents, np.log(factor * np.array([1.0, 0.9, 0.5])), atol=1e-6)


# where the input comes from


def test_an_array_an_iterator_and_no_input_agree():
    cell, params = net(6, cell="lstm")
    x, options = driven(300), {"every": 1, "warmup": 30}
    whole = lyapunov(cell, params, x, **options)
    chunks = lyapunov(cell, params, iter(np.split(x, [1, 7, 150, 151])), **options)
    np.testing.assert_allclose(chunks.samples, whole.samples, atol=1e-12)
    start = np.random.default_rng(3).normal(size=(2, 2, 6))
    nothing = lyapunov(cell, params, 0 * x, initial_state=start, **options)
    silent = lyapunov(cell, params, steps=300, initial_state=start, **options)
    np.testing.assert_allclose(silent.samples, nothing.samples, atol=1e-12)
    assert np.abs(silent.samples - whole.samples).max() > 0.01


def test_without_input_it_starts_away_from_the_fixed_point():
    cell, params = net(60, gain=3.0)
    found = lyapunov(cell, params, steps=400, k=1)
    assert found.samples.shape == (1, 1)
    assert 0.1 < float(found.exponents[0]) < 0.5 < np.log(np.abs(np.linalg.eigvals(params["W_hh"][0])).max())


@each_cell
def test_lengths_are_counted_per_sample(name):
    problem = random_problem(name, sizes=(40, 3, 2, 4))
    lengths = np.array([40, 25, 4])
    found = lyapunov_of_trajectory(problem.unroll(lengths=lengths), every=1, warmup=4)
    assert np.isnan(found.samples[:, 2]).all()
    for b, length in enumerate(lengths[:2]):
        alone = lyapunov(
            problem.cell,
            problem.params,
            problem.x[:length, b : b + 1],
            initial_state=problem.initial[:, b : b + 1],
            every=1,
            warmup=4,
        )
        np.testing.assert_allclose(np.sort(found.samples[:, b]), np.sort(alone.samples[:, 0]), atol=1e-11)
    np.testing.assert_allclose(found.exponents, found.samples[:, :2].mean(axis=1))


@pytest.mark.parametrize(("known", "expected"), [(True, (40, 4)), (False, (200, 100))])
def test_the_default_warmup(known, expected):
    cell, params = net(3)
    steps, warmup = expected
    x = driven(steps)
    found = lyapunov(cell, params, x if known else iter([x]))
    assert (found.warmup, found.steps) == (warmup, steps - warmup)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_steps():
    cell, params = net(4)

    def peak(steps):
        tracemalloc.start()
        lyapunov(cell, params, (driven(50, seed=i) for i in range(steps // 50)), k=1)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1000)
    assert peak(8000) - peak(2000) < 16 * 6000  # bytes; one step's states and gates alone have 128


@pytest.mark.study
def test_a_million_steps():
    cell, params = net(4)
    tracemalloc.start()
    found = lyapunov(cell, params, steps=10**6, k=1)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert found.steps == 10**6 - 1000
    assert len(found.running) <= 128
