"""The recurrent product of both time loops: in blocks of columns where that is faster, and the same numbers."""

import sys
from dataclasses import dataclass

import numpy as np
import pytest

import gradlab
from gradlab import arrays
from gradlab.cells import Cell
from gradlab.cells.activations import ACTIVATIONS
from gradlab.engine import step_product, threads
from gradlab.engine.step_product import StepProduct, column_blocks

from ..strict import strict


@pytest.fixture
def small_products_are_fast(monkeypatch):
    monkeypatch.setattr(step_product, "_small_products_are_fast", lambda: True)


def blocks(rows, n, m, dtype="float64", xp=np):
    return column_blocks(xp, rows, xp.zeros((n, m), dtype=dtype))


def test_only_large_weights_are_cut(small_products_are_fast):
    assert blocks(32, 128, 128) == 1
    assert blocks(64, 256, 256) == 256 // 32  # 64 * 256 * 61 is the largest small product
    assert blocks(64, 256, 256, "float32") == 256 // 32
    assert blocks(8, 512, 512) == 512 // 128
    assert blocks(32, 200, 200) == 200 // 100
    assert blocks(32, 256, 512) == 512 // 64


def test_blocks_are_not_narrower_than_two_cache_lines(small_products_are_fast):
    assert blocks(64, 512, 512) == 512 // 16
    assert blocks(64, 512, 512, "float32") == 1
    assert blocks(256, 512, 512) == 1


def test_weights_without_an_even_cut_stay_whole(small_products_are_fast):
    assert blocks(64, 257, 257) == 1


def test_other_libraries_and_kernels_take_the_whole(monkeypatch, small_products_are_fast):
    assert blocks(64, 256, 256, xp=strict) == 1
    monkeypatch.setattr(step_product, "_small_products_are_fast", lambda: False)
    assert blocks(64, 256, 256) == 1


class Blas:
    internal_api = "openblas"

    def __init__(self, architecture, num_threads):
        self.architecture, self.num_threads = architecture, num_threads


@pytest.mark.parametrize(
    ("loaded", "fast"),
    [([Blas("SkylakeX", 1)], True), ([Blas("SkylakeX", 2)], False), ([Blas("Haswell", 1)], False), ([], False)],
)
def test_blocks_want_one_thread_of_avx512(loaded, fast, monkeypatch):
    monkeypatch.setattr(step_product, "blas_libraries", lambda: loaded)
    assert step_product._small_products_are_fast() is fast


def test_the_engine_runs_without_threadpoolctl(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    threads.blas_libraries.cache_clear()
    try:
        assert blocks(64, 256, 256) == 1
    finally:
        monkeypatch.undo()
        threads.blas_libraries.cache_clear()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("leading", [(), (2,), (3, 2)])
def test_a_product_in_blocks_is_the_product(leading, dtype, small_products_are_fast):
    rng = np.random.default_rng(3)
    weights, r = rng.normal(size=(*leading, 150, 224)).astype(dtype), rng.normal(size=(64, 150)).astype(dtype)
    product, out = StepProduct(np, 64, weights), np.empty((*leading, 64, 224), dtype)
    assert product.blocks > 1
    product.multiply(product.factor(r), product.weights, out=product.target(out))
    np.testing.assert_allclose(out, r @ weights, rtol=0, atol=2000 * np.finfo(dtype).eps)


@dataclass(frozen=True, repr=False)
class BothRead(Cell):
    """Its one recurrent gate sees both states: c' = f c + g, h' = f c'."""

    name = title = "both"
    states = reads = ("h", "c")
    gates = ("g", "f")
    candidate = "g"
    recurrent = slice(0, 1)

    @property
    def nonlinearities(self):
        return (self.activation, ACTIVATIONS["sigmoid"])

    def step(self, xp, g, f, h, c):
        c_new = f * c + g
        return f * c_new, c_new

    def partials(self, xp, g, f, h, c, h_new, c_new):
        gates = {("h", "g"): f, ("h", "f"): f * c + c_new, ("c", "g"): 1.0, ("c", "f"): c}
        return gates, {("h", "c"): f * f, ("c", "c"): f}


def made(name, hidden_size):
    if name == "both":
        return BothRead(input_size=2, hidden_size=hidden_size, activation="tanh")
    return gradlab.make_cell(name, input_size=2, hidden_size=hidden_size)


def test_a_cell_that_reads_both_states_is_right():
    gradlab.check_cell(made("both", 4))


@pytest.mark.parametrize("models", [(), (2,)])
@pytest.mark.parametrize("cell_name", ["elman", "lstm", "peephole_lstm", "gru", "minimal_rnn", "both"])
def test_both_loops_find_the_same_in_blocks(cell_name, models, monkeypatch):
    cell = made(cell_name, 160)
    params = cell.init(5, models=models, bias_scale=0.3)
    rng = np.random.default_rng(7)
    x, loss = rng.normal(size=(11, *models, 64, 2)), rng.normal(size=(11, *models, 64, 160))

    def run(fast):
        monkeypatch.setattr(step_product, "_small_products_are_fast", lambda: fast)
        grads = gradlab.bptt(gradlab.unroll(cell, params, x), loss)
        return {"states": grads.traj.states, "adjoints": grads.adjoints, "inputs": grads.inputs, **grads.params}

    whole, cut = run(False), run(True)
    assert column_blocks(np, 64, params["W_hh"]) > 1
    for name, values in whole.items():
        np.testing.assert_allclose(cut[name], values, rtol=1e-10, atol=1e-12 * abs(values).max(), err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (5, 7, 11), (0, 4), (64, 64)])
def test_arrays_start_at_a_cache_line(shape, dtype):
    for made in (arrays.empty(np, shape, dtype), arrays.contiguous(np, np.ones(shape[::-1], dtype).T)):
        assert made.shape == shape and made.dtype == dtype and made.flags.c_contiguous and made.flags.writeable
        assert made.ctypes.data % arrays.CACHE_LINE == 0 or not made.size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_dots_overflow_and_underflow_in_silence(dtype):
    large, tiny = (np.full((2, 3), getattr(np.finfo(dtype), name), dtype) for name in ("max", "tiny"))
    assert np.isposinf(arrays.row_dots(np, large, large)).all()
    assert (arrays.row_dots(np, tiny, tiny) == 0).all()
