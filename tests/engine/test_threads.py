"""BLAS has one thread in small products, as many as before in large ones, whoever asks at the same time."""

from threading import Barrier, Thread, get_ident

import numpy as np
import pytest

import gradlab
from gradlab.engine import threads
from gradlab.engine.threads import ONE_THREAD, TWO_PASSES, both, few_threads, two_passes_gain


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


class Controlled(Blas):
    """One that takes a number only from the thread that gave it one first, until that one is cleared."""

    def __init__(self):
        super().__init__()
        self.controlling = get_ident() + 1

    def set_num_threads(self, number):
        assert self.controlling is None
        self.controlling = get_ident()
        super().set_num_threads(number)

    def clear_controlling_thread(self, force):
        assert force
        self.controlling = None


def test_every_thread_may_set_the_number_and_nobody_keeps_that_to_itself(monkeypatch):
    library = Controlled()
    monkeypatch.setattr(threads, "blas_libraries", lambda: [library])
    for _ in range(2):
        with few_threads(1):
            assert library.num_threads == 1 and library.controlling is None
    assert library.given == [1, 8, 1, 8] and library.controlling is None


@pytest.mark.parametrize("together", [False, True])
def test_what_two_functions_return(together):
    names = both(lambda: get_ident(), lambda: get_ident(), together)
    assert names[0] == get_ident() and (names[1] != names[0]) == together
    for which in (0, 1):
        parts = [lambda: 1, lambda: 1 / 0]
        with pytest.raises(ZeroDivisionError):
            both(parts[which], parts[1 - which], together)


@pytest.mark.parametrize(("cores", "gains"), [(None, False), (1, False), (2, True), (16, True)])
def test_two_passes_gain_on_several_cores_with_products_of_a_middling_size(cores, gains, monkeypatch):
    monkeypatch.setattr(threads.os, "cpu_count", lambda: cores)
    for size, middling in ((TWO_PASSES - 1, False), (TWO_PASSES, True), (ONE_THREAD, True), (ONE_THREAD + 1, False)):
        assert two_passes_gain(size) == (gains and middling)


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
