"""BLAS has one thread in small products, as many as before in large ones, whoever asks at the same time."""

from threading import Barrier, Thread

import numpy as np
import pytest

import gradlab
from gradlab.engine import threads
from gradlab.engine.threads import ONE_THREAD, few_threads


class Blas:
    """A BLAS library that remembers how many threads it was given."""

    def __init__(self):
        self.num_threads, self.given = 8, []

    def set_num_threads(self, number):
        self.num_threads = number
        self.given.append(number)


@pytest.fixture
def blas(monkeypatch):
    library = Blas()
    monkeypatch.setattr(threads, "blas_libraries", lambda: [library])
    monkeypatch.setattr(threads, "_ONE_THREAD", threads._OneThread())
    return library


def test_small_products_take_one_thread_and_large_ones_as_many_as_before(blas):
    with few_threads(ONE_THREAD):
        assert blas.num_threads == 1
        with few_threads(10):
            assert blas.num_threads == 1
        assert blas.num_threads == 1
    assert blas.num_threads == 8
    with few_threads(ONE_THREAD + 1):
        assert blas.num_threads == 8
    assert blas.given == [1, 8]


def test_an_error_gives_the_threads_back(blas):
    with pytest.raises(ZeroDivisionError), few_threads(1):
        1 / 0  # noqa: B018
    assert blas.num_threads == 8


def test_simultaneous_uses_give_back_what_was_before_all_of_them(blas):
    inside = Barrier(4)

    def work():
        with few_threads(1):
            inside.wait(timeout=10)
            assert blas.num_threads == 1

    workers = [Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert blas.num_threads == 8 and blas.given == [1, 8]


def test_the_engine_asks_for_it(blas):
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3)
    traj = gradlab.unroll(cell, cell.init(0), np.ones((5, 2, 2)))
    grads = gradlab.bptt(traj, np.ones((5, 2, 3)))
    for work in (lambda: grads.params, lambda: grads.inputs, lambda: gradlab.jacobian(traj).spectral()):
        blas.given.clear()
        work()
        assert blas.given == [1, 8]


def test_arguments_may_be_named():
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3)
    traj = gradlab.unroll(cell=cell, params=cell.init(0), x=np.ones((5, 2, 2)))
    named = gradlab.bptt(dL_dh=np.ones((5, 2, 3)), traj=traj)
    np.testing.assert_array_equal(named.adjoints, gradlab.bptt(traj, np.ones((5, 2, 3))).adjoints)
