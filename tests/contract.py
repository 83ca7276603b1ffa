"""What every cell has to fulfil, against a naive reference: a loop over steps whose derivatives are complex steps.

The reference uses a cell's `step` and its gates' `value` only, in complex128. It is exact to rounding because f(a + ih)
carries f'(a) h in its imaginary part without any cancellation.
"""

from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
import pytest

import gradlab
from gradlab import bptt, make_cell, to_numpy, unroll
from gradlab.arrays import gpu_problem, namespace

from .strict import strict

STEP = 1e-40
EPS = {"float32": float(np.finfo(np.float32).eps), "float64": float(np.finfo(np.float64).eps)}
TOLERANCE = {dtype: 2**10 * eps for dtype, eps in EPS.items()}  # of the largest entry; short, tame trajectories
TIGHT = {"float32": 1e-6, "float64": 1e-9}  # of a spectral norm; far below the last digit it takes all steps there are
SIZES = (5, 2, 6, 4)  # T, B, D, H; none equals the number of models
MODELS = ((), (3,))
# how near to one another the largest singular values lie: the residual tells of one of them
CROWDED = {"antisymmetric": 0.01, "cornn": 1e-5, "indrnn": 1e-5, "lru": 1e-5, "min_gru": 1e-5, "min_lstm": 1e-5}


def cupy():
    """CuPy, where it works."""
    if gpu_problem():
        pytest.skip(gpu_problem())
    import cupy

    return cupy


LIBRARIES = {"numpy": lambda: np, "strict": lambda: strict, "cupy": cupy}
each_library = pytest.mark.parametrize("library", LIBRARIES)
each_dtype = pytest.mark.parametrize("dtype", EPS)
each_models = pytest.mark.parametrize("models", MODELS, ids=("one", "models"))


def ways():
    """Every library, precision and number of models; those that come quickly have each pair of two of them once."""
    for library, dtype, (name, models) in product(LIBRARIES, EPS, zip(("one", "models"), MODELS, strict=True)):
        quick = (library == "numpy") == ((dtype == "float64") == (not models))
        marks = () if quick else pytest.mark.slow
        yield pytest.param(library, dtype, models, id=f"{library}-{dtype}-{name}", marks=marks)


each_way = pytest.mark.parametrize(("library", "dtype", "models"), list(ways()))


def assert_near(found, expected, dtype="float64", scale=None, factor=1.0):
    """Equal within the tolerance of `dtype`, relative to the largest expected entry (or to `scale`)."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    limit = factor * TOLERANCE[dtype] * (np.abs(expected).max(initial=0.0) if scale is None else scale)
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit + np.finfo(dtype).tiny)


def assert_array(found, xp, dtype, expected, **options):
    """Namespace, dtype and shape, then values."""
    assert namespace(found) is xp
    assert str(found.dtype) == dtype
    assert_near(to_numpy(found), expected, dtype, **options)


@dataclass(frozen=True)
class Problem:
    """A cell with random parameters, inputs, distinct initial states and loss gradients, float64 NumPy."""

    cell: object
    params: dict
    x: np.ndarray
    initial: np.ndarray
    dL_dh: np.ndarray
    dL_dfinal: np.ndarray

    @property
    def models(self):
        return self.initial.shape[1:-2]

    def moved(self, xp, dtype):
        def move(a):
            return xp.asarray(a.astype(dtype))

        arrays = (move(a) for a in (self.x, self.initial, self.dL_dh, self.dL_dfinal))
        return Problem(self.cell, {n: move(p) for n, p in self.params.items()}, *arrays)

    def unroll(self, **options):
        return unroll(self.cell, self.params, self.x, self.initial, **options)

    def bptt(self, **options):
        return bptt(self.unroll(), self.dL_dh, self.dL_dfinal, **options)

    def of_model(self, index):
        """One model's own problem."""
        at = (slice(None), *index)
        arrays = (a[at] for a in (self.x, self.initial, self.dL_dh, self.dL_dfinal))
        return Problem(self.cell, {n: p[at] for n, p in self.params.items()}, *arrays)


def random_problem(cell, models=(), sizes=SIZES, seed=0):
    """Weights of a moderate scale, so that a short trajectory neither fades nor saturates."""
    T, B, D, H = sizes
    sized = {"input_size": D, "hidden_size": H}
    cell = make_cell(cell, **sized) if isinstance(cell, str) else replace(cell, **sized)
    rng = np.random.default_rng([seed, 77])
    params = {name: 0.5 * rng.normal(size=(n, *models, *shape)) for name, (n, shape) in cell.shapes.items()}
    states = (len(cell.states), *models, B, H)
    x, initial = rng.normal(size=(T, *models, B, D)), rng.normal(size=states)
    return Problem(cell, params, x, initial, rng.normal(size=(T, *models, B, H)), rng.normal(size=states))


# the naive reference, without model axes


def naive_step(cell, params, x_t, old):
    """(gates, new states) of one step, written from the definition; old (S, B, H)."""
    params = cell.weights(params)
    pre = [b + 0 * old[0] for b in params["b_h"]]
    r = np.concatenate([old[cell.states.index(name)] for name in cell.reads], axis=-1)
    for w, name in zip(params["W_xh"], cell.driven_gates, strict=True):
        pre[cell.gates.index(name)] = pre[cell.gates.index(name)] + x_t @ w.T
    for w, name in zip(params["W_hh"], cell.recurrent_gates, strict=True):
        seen = r
        if cell.late and name == cell.gates[-1]:
            others = [phi.value(np, a) for phi, a in zip(cell.nonlinearities, pre, strict=True)][:-1]
            seen = cell.middle(np, *others, *old)
        pre[cell.gates.index(name)] = pre[cell.gates.index(name)] + seen @ w.T
    gates = [phi.value(np, a) for phi, a in zip(cell.nonlinearities, pre, strict=True)]
    return np.stack(gates), np.stack(cell.step(np, *gates, *old, *params.get("p", ())))


def naive_states(cell, params, x, initial):
    states = [initial]
    for x_t in x:
        states.append(naive_step(cell, params, x_t, states[-1])[1])
    return np.stack(states)


def naive_loss(problem, **changed):
    """sum_t <dL_dh_t, h_t> + <dL_dfinal, state_T>, possibly complex; `changed` replaces x, initial or parameters."""
    params = {name: changed.get(name, p) for name, p in problem.params.items()}
    states = naive_states(problem.cell, params, changed.get("x", problem.x), changed.get("initial", problem.initial))
    return (states[1:, 0] * problem.dL_dh).sum() + (states[-1] * problem.dL_dfinal).sum()


def complex_slope(problem, name, array):
    """dL/d of every entry of one array."""
    slope = np.empty(array.shape)
    for index in np.ndindex(*array.shape):
        moved = array.astype(complex)
        moved[index] += 1j * STEP
        slope[index] = naive_loss(problem, **{name: moved}).imag / STEP
    return slope


def complex_jacobian(cell, params, x_t, old):
    """d new state / d old state of one step, (B, S*H, S*H)."""
    S, B, H = old.shape
    jacobian = np.empty((B, S * H, S * H))
    for column in range(S * H):
        moved = old.astype(complex)
        moved[column // H, :, column % H] += 1j * STEP
        new = naive_step(cell, params, x_t, moved)[1].imag / STEP
        jacobian[:, :, column] = np.moveaxis(new, 0, 1).reshape(B, S * H)
    return jacobian


def joined(problem, jacobians, direct=None, final=None):
    """Adjoints (T+1, S, B, H) by multiplying dense Jacobians; `direct`, `final` default to the problem's."""
    direct = problem.dL_dh if direct is None else direct
    adjoint = problem.dL_dfinal if final is None else final
    adjoints = []
    for t in range(len(jacobians), 0, -1):
        adjoint = adjoint.copy()
        adjoint[0] += direct[t - 1]
        adjoints.append(adjoint)
        pulled = (joint(adjoint, ())[:, None, :] @ jacobians[t - 1])[:, 0]
        adjoint = np.moveaxis(pulled.reshape(pulled.shape[0], adjoint.shape[0], -1), 1, 0)
    return np.stack([*adjoints, adjoint][::-1])


@dataclass(frozen=True)
class Reference:
    """All that the engine should find, model axes included."""

    states: np.ndarray
    gradients: dict
    jacobians: np.ndarray
    adjoints: np.ndarray


def naive_jacobians(problem):
    states = naive_states(problem.cell, problem.params, problem.x, problem.initial)
    pairs = zip(problem.x, states[:-1], strict=True)
    return np.stack([complex_jacobian(problem.cell, problem.params, x_t, old) for x_t, old in pairs])


def single_reference(problem):
    states = naive_states(problem.cell, problem.params, problem.x, problem.initial)
    arrays = problem.params | {"x": problem.x, "initial": problem.initial}
    gradients = {name: complex_slope(problem, name, array) for name, array in arrays.items()}
    jacobians = naive_jacobians(problem)
    return Reference(states, gradients, jacobians, joined(problem, jacobians))


@cache
def reference(cell, models, sizes=SIZES, seed=0):
    """(problem, Reference) of `random_problem` with the same arguments."""
    problem = random_problem(cell, models, sizes, seed)
    if not models:
        return problem, single_reference(problem)
    single = [single_reference(problem.of_model((m,))) for m in range(models[0])]
    gradients = {name: np.stack([s.gradients[name] for s in single], axis=1) for name in single[0].gradients}
    states, adjoints = (np.stack([getattr(s, n) for s in single], axis=2) for n in ("states", "adjoints"))
    return problem, Reference(states, gradients, np.stack([s.jacobians for s in single], axis=1), adjoints)


# the checks


def check_states(cell, xp, dtype, models):
    problem, expected = reference(cell, models)
    traj = problem.moved(xp, dtype).unroll()
    assert_array(traj.states, xp, dtype, expected.states)
    assert traj.gates.shape == (SIZES[0], len(traj.cell.gates), *models, SIZES[1], SIZES[3])
    assert namespace(traj.gates) is xp and str(traj.gates.dtype) == dtype
    assert traj.overflow == []


def check_gradients(cell, xp, dtype, models):
    problem, expected = reference(cell, models)
    grads = problem.moved(xp, dtype).bptt()
    assert_array(grads.adjoints, xp, dtype, expected.adjoints)
    assert_array(grads.adjoints[0], xp, dtype, expected.gradients["initial"])
    assert_array(grads.inputs, xp, dtype, expected.gradients["x"])
    assert set(grads.params) == set(problem.params)
    for name, gradient in grads.params.items():
        assert_array(gradient, xp, dtype, expected.gradients[name])


def check_log_norms(cell, xp, dtype, models):
    problem, expected = reference(cell, models)
    grads = problem.moved(xp, dtype).bptt()
    norms = np.log(np.linalg.norm(expected.adjoints, axis=-1))
    assert namespace(grads.log_norms) is xp and str(grads.log_norms.dtype) == "float64"
    np.testing.assert_allclose(to_numpy(grads.log_norms), norms, rtol=0, atol=20 * TOLERANCE[dtype])
    exact = np.ldexp(to_numpy(grads.mantissas).astype(float), to_numpy(grads.exponents)[:, None, ..., None])
    assert_near(exact, expected.adjoints, dtype)
    for name, value in grads.log_param_norms.items():
        gradient = np.moveaxis(expected.gradients[name], 0, -1).reshape(*models, -1)
        with np.errstate(divide="ignore"):  # a parameter may be empty
            expected_log = np.log(np.linalg.norm(gradient, axis=-1))
        np.testing.assert_allclose(to_numpy(value), expected_log, atol=20 * TOLERANCE[dtype])


def check_dense(cell, xp, dtype, models):
    problem, expected = reference(cell, models)
    assert_array(gradlab.jacobian(problem.moved(xp, dtype).unroll()).dense(), xp, dtype, expected.jacobians)


def check_products(cell, xp, dtype, models):
    """J v and J^T u for one and for K vectors, and <J v, u> = <v, J^T u>."""
    problem, expected = reference(cell, models)
    jacobian = gradlab.jacobian(problem.moved(xp, dtype).unroll())
    vectors = np.random.default_rng(5).normal(size=(2, *expected.states[1:].shape))
    both = xp.asarray(vectors.astype(dtype))
    dense = expected.jacobians
    for method, matrices in ((jacobian.apply, dense), (jacobian.apply_transpose, transposed(dense))):
        product = (matrices @ joint(vectors, models)[..., None])[..., 0]
        one, two = method(both[0]), method(both)
        assert namespace(one) is namespace(two) is xp
        assert str(one.dtype) == str(two.dtype) == dtype
        assert_near(joint(to_numpy(one), models), product[0], dtype)
        assert_near(joint(to_numpy(two), models), product, dtype)
    u, v = both[0], both[1]
    left, right = float((jacobian.apply(v) * u).sum()), float((v * jacobian.apply_transpose(u)).sum())
    assert left == pytest.approx(right, abs=TOLERANCE[dtype] * vectors[0].size)


def transposed(matrices):
    return np.swapaxes(matrices, -1, -2)


def joint(vectors, models):
    """(..., S, *M, B, H) -> (..., *M, B, S*H)."""
    moved = np.moveaxis(vectors, -3 - len(models), -2)
    return moved.reshape(*moved.shape[:-2], -1)


def check_norms(cell, xp, dtype, models):
    problem, expected = reference(cell, models)
    jacobian = gradlab.jacobian(problem.moved(xp, dtype).unroll())
    assert_array(jacobian.frobenius(), xp, dtype, np.linalg.norm(expected.jacobians, axis=(-2, -1)))
    sigma = np.linalg.svd(expected.jacobians, compute_uv=False)[..., 0]
    assert_array(jacobian.spectral(TIGHT[dtype]), xp, dtype, sigma, factor=2)
    for tol in (1e-2, 1e-6):
        found, bound = jacobian.spectral_with_bound(tol)
        assert namespace(bound) is xp and bound.shape == sigma.shape
        error = np.abs(to_numpy(found) / sigma - 1)
        assert (error <= to_numpy(bound) + TOLERANCE[dtype]).all()


def check_paths(cell, xp, dtype, models):
    """The paths sum to J; the carry is elementwise and a gate's path vanishes with its recurrent weights."""
    problem, expected = reference(cell, models)
    moved = problem.moved(xp, dtype)
    paths = gradlab.jacobian(moved.unroll()).paths()
    assert list(paths) == ["carry", *moved.cell.recurrent_gates]
    dense = {name: path.dense() for name, path in paths.items()}
    assert_array(sum(list(dense.values())[1:], dense["carry"]), xp, dtype, expected.jacobians)
    S, H = len(moved.cell.states), moved.cell.hidden_size
    blocks = to_numpy(dense["carry"]).reshape(*expected.jacobians.shape[:-2], S, H, S, H)
    assert not (blocks * (1 - np.eye(H)[:, None, :])).any()
    for name, matrix in dense.items():
        assert_near(to_numpy(paths[name].frobenius()), np.linalg.norm(to_numpy(matrix), axis=(-2, -1)), dtype)


def check_shares(cell, xp, dtype, models):
    """Norm and share of each path against their definitions."""
    problem, expected = reference(cell, models)
    jacobian = gradlab.jacobian(problem.moved(xp, dtype).unroll())
    norms, shares = jacobian.split(xp.asarray(expected.adjoints[1:].astype(dtype)))
    u = joint(expected.adjoints[1:], models)[..., None]
    whole = transposed(expected.jacobians) @ u
    dense = [to_numpy(path.dense()).astype(float) for path in jacobian.paths().values()]
    pulled = np.stack([transposed(d) @ u for d in dense])
    share = (pulled * whole).sum(axis=(-2, -1)) / (whole * whole).sum(axis=(-2, -1))
    assert_array(shares, xp, dtype, share, factor=4)
    assert_array(norms, xp, dtype, np.stack([np.linalg.norm(d, axis=(-2, -1)) for d in dense]))
    np.testing.assert_allclose(to_numpy(shares).sum(axis=0), 1, atol=20 * TOLERANCE[dtype])


def check_options(cell, xp, dtype, models):
    """Lengths, clipping and truncation: as on the host in float64, where other tests look at the values."""
    problem, _ = reference(cell, models)
    moved, lengths = problem.moved(xp, dtype), np.array([3, 5])
    for options in ({"clip": ("step_norm", 0.7)}, {"clip": ("step_value", 0.3)}, {"truncate": 2}):
        host = bptt(problem.unroll(lengths=lengths), problem.dL_dh, problem.dL_dfinal, **options)
        found = bptt(moved.unroll(lengths=xp.asarray(lengths)), moved.dL_dh, moved.dL_dfinal, **options)
        assert_array(found.adjoints, xp, dtype, host.adjoints, factor=4)
        for name, gradient in found.params.items():
            assert_array(gradient, xp, dtype, host.params[name], factor=4)
        np.testing.assert_allclose(to_numpy(found.log_norms), host.log_norms, atol=20 * TOLERANCE[dtype])
    jacobian = gradlab.jacobian(found.traj)
    assert_array(jacobian.dense(), xp, dtype, gradlab.jacobian(host.traj).dense())
    assert_array(jacobian.frobenius(), xp, dtype, gradlab.jacobian(host.traj).frobenius())
    expected = gradlab.jacobian(host.traj).spectral(TIGHT["float64"])
    assert_array(jacobian.spectral(TIGHT[dtype]), xp, dtype, expected, factor=2)


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_states,
        check_gradients,
        check_log_norms,
        check_dense,
        check_products,
        check_norms,
        check_paths,
        check_shares,
        check_options,
    )
}
