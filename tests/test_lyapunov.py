"""Lyapunov spectra against growth of volumes, eigenvalues, determinants, perturbed runs, and known exponents."""

import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from scipy.special import polygamma

import gradlab
from gradlab import Cancelled, InputError, frames, make_cell, to_numpy, unroll
from gradlab.cells import CELLS
from gradlab.exponents import kaplan_yorke
from gradlab.frames import Frame
from gradlab.lyapunov import lyapunov, lyapunov_of_map, lyapunov_of_trajectory
from studies import chaos_gradients, lyapunov_random_rnn
from studies.chaos_gradients import calibration, systems

from .contract import LIBRARIES, each_dtype, each_library, each_models, naive_step, random_problem, reference

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
@each_library
@each_dtype
@each_models
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
@each_dtype
@pytest.mark.parametrize("seed", range(3))
def test_dead_units_give_minus_infinity_where_the_volume_is_zero(seed, dtype, every):
    cell, params = net(7, seed, "relu")
    traj = unroll(cell, {n: p.astype(dtype) for n, p in params.items()}, driven(27, 32, seed).astype(dtype))
    jacobians = traj.jacobian().dense().astype(float)
    for k in range(1, 5):
        found = lyapunov_of_trajectory(traj, k=k, every=every, warmup=0)
        volumes, sums = log_volumes(jacobians, k) / 27, found.samples.sum(axis=0)
        np.testing.assert_array_equal(np.isneginf(sums), np.isneginf(volumes))
        alive = np.isfinite(volumes)
        np.testing.assert_allclose(sums[alive], volumes[alive], atol=5e-6 if dtype == "float32" else 1e-12)
        lost = int(np.isneginf(found.exponents).sum())
        assert any(f"{lost} of {k} exponents are -inf" in note for note in found.notes) == (lost > 0)
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
    exact = np.linalg.slogdet(traj.jacobian().dense())[1][20:].mean(axis=0)
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
    cell, params = net(100, gain=2.0)
    run = {"x": driven(120, 1, scale=0.1)}
    exact, given = lyapunov(cell, params, **run, every=1), lyapunov(cell, params, **run, every=10)
    np.testing.assert_allclose(given.exponents, exact.exponents, atol=1e-8)
    assert given.every < 4
    assert any("every=10 lets max|R_ii| / min|R_ii| pass 1e+06" in note for note in given.notes)
    monkeypatch.setitem(frames.LIMITS, 8, np.inf)  # without the limit it would be garbage
    assert np.abs(lyapunov(cell, params, **run, every=10).exponents - exact.exponents).max() > 0.1


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


@pytest.mark.slow
def test_a_million_steps():
    cell, params = net(4)
    tracemalloc.start()
    found = lyapunov(cell, params, steps=10**6, k=1)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert found.steps == 10**6 - 1000
    assert len(found.running) <= 128


# known exponents


@pytest.mark.parametrize("name", systems())
def test_maps_and_flows_have_their_published_exponents(name):
    """Within three standard errors, these are small, and the sum is exact."""
    for row in calibration(name, systems(seed=3)[name], steps=3000, warmup=500):
        assert row.passed, row
        assert row.tolerance < 0.05


def test_henon_map_from_one_orbit():
    system = systems()["Henon map"]
    found = lyapunov_of_map(system.step, system.jacobian, system.start[0], steps=4000)
    assert (np.abs(found.exponents - system.known) < 3 * found.stderr).all()
    assert (found.stderr < 0.01).all()
    np.testing.assert_allclose(found.exponents.sum(), np.log(0.3), atol=1e-12)
    np.testing.assert_allclose(found.kaplan_yorke, 1.258, atol=0.02)


def newman(n, steps):
    """Exponents of products of Gaussian matrices, variance 1/n, and the standard errors of `steps` of them."""
    half = (n - np.arange(n)) / 2
    return 0.5 * (np.log(2 / n) + polygamma(0, half)), np.sqrt(polygamma(1, half) / (4 * steps))


def gaussian_product(n, steps, seed=0, **options):
    rng = np.random.default_rng(seed)
    return lyapunov_of_map(
        lambda x: x, lambda x: rng.normal(0, n**-0.5, (n, n)), np.zeros(n), steps=steps, warmup=50, **options
    )


def test_gaussian_products_follow_newmans_law():
    found = gaussian_product(8, 3000, seed=1)
    exact, error = newman(8, found.steps)
    assert (np.abs(found.exponents - exact) < 4 * error).all()
    assert (np.abs(np.log(found.stderr / error)) < np.log(2)).all()  # from blocks of one run


@pytest.mark.slow
def test_long_gaussian_products_follow_newmans_law():
    found = gaussian_product(20, 20_000)
    exact, error = newman(20, found.steps)
    assert (np.abs(found.exponents - exact) < 4 * error).all()
    assert abs((found.exponents - exact).sum()) < 4 * np.sqrt((error**2).sum())
    assert found.converged


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 103))
@pytest.mark.parametrize(("gain", "theory"), [(1.5, 0.065217), (2.0, 0.154724), (3.0, 0.310249)])
def test_a_large_tanh_net_follows_mean_field(gain, theory, seed):
    cell = make_cell("elman", input_size=1, hidden_size=800)
    found = lyapunov(cell, cell.init(seed, gain=gain), steps=1500, warmup=500, k=1)
    assert -0.015 <= float(found.exponents[0]) - theory <= 0.005


@pytest.mark.slow
@pytest.mark.parametrize("study", [chaos_gradients, lyapunov_random_rnn])
def test_the_studies_find_what_they_claim(study):
    rows, figure = study.study()
    assert [str(row) for row in rows if not row.passed] == []
    assert figure.data


# what is made of the exponents


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([0.41922, -1.62319], 1 + 0.41922 / 1.62319),
        ([0.9056, 0, -14.5723], 2 + 0.9056 / 14.5723),
        ([-0.1, -0.2], 0),
        ([0.0, -1.0], 1),
        ([0.5, 0.2], 2),
        ([1.0, -0.4, -0.5, -1.0], 3.1),
        ([0.3, -np.inf], 1),
        ([-np.inf, -np.inf], 0),
    ],
)
def test_kaplan_yorke_dimension(exponents, dimension):
    np.testing.assert_allclose(kaplan_yorke(np.array(exponents)), dimension)


def test_a_dimension_needs_enough_exponents():
    assert np.isnan(kaplan_yorke(np.array([0.5, 0.2]), complete=False))
    np.testing.assert_allclose(kaplan_yorke(np.array([[1.0, -1], [-2, -2]]), complete=False), [1.5, 0])
    cell, params = net(40, gain=3.0)
    found = lyapunov(cell, params, steps=200, k=2)
    assert np.isnan(found.kaplan_yorke)
    assert any("need more exponents than these" in note for note in found.notes)
    assert found.entropy_rate == found.exponents.sum()


def test_errors_over_samples_and_finite_time_means():
    cell, params = net(10)
    found = lyapunov(cell, params, driven(300, 6))
    np.testing.assert_allclose(found.exponents, found.samples.mean(axis=-1))
    np.testing.assert_allclose(found.spread, found.samples.std(axis=-1, ddof=1))
    np.testing.assert_allclose(found.stderr, found.spread / np.sqrt(6))
    assert (np.diff(found.exponents) <= 0).all()
    assert (np.diff(found.running_steps) > 0).all()
    np.testing.assert_allclose(found.running[-1], found.exponents)
    half = lyapunov(cell, params, driven(300, 6)[: 30 + found.running_steps[-2]], warmup=30)
    np.testing.assert_allclose(found.running[-2], half.exponents, atol=1e-9)


def test_a_settled_spectrum_has_converged_and_a_short_or_drifting_one_not():
    rng = np.random.default_rng(0)

    def ramp(slope):
        step = iter(range(10**6))

        def jacobian(x):
            return np.exp(rng.normal(0, 0.1, (8, 1, 1)) + slope * next(step))

        return lyapunov_of_map(lambda x: x, jacobian, np.zeros((8, 1)), steps=900)

    assert ramp(0.0).converged
    assert ramp(0.0).notes == []
    assert any("exponents drift" in note for note in ramp(1e-3).notes)
    cell, params = net(30, gain=2.0)
    short = lyapunov(cell, params, driven(1))
    assert not short.converged
    assert "too few steps" in short.notes[0]
    noisy = lyapunov(cell, params, driven(60))
    assert any("standard errors are above 0.01" in note for note in noisy.notes)


def test_what_is_printed():
    cell, params = net(3, models=(2,))
    lines = str(lyapunov(cell, params, driven(1000, 4))).splitlines()
    assert lines[0] == "3 Lyapunov exponents over 900 steps, in nats per step"
    assert [line.count("+-") for line in lines[1:3]] == [3, 3]
    assert "dimension 0, entropy rate 0" in lines[1]
    assert "converged" in lines[3]


# progress


def test_progress_and_cancelling():
    cell, params = net(10)
    shares = []
    lyapunov(cell, params, driven(200), on_progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) > 5
    assert shares[-1] == 1

    def cancel(share):
        if share > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        lyapunov(cell, params, driven(200), on_progress=cancel)


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
    place = unroll(cell, params, driven(400)).overflow[0]
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
