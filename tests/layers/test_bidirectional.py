"""Both directions at the same time: bit for bit what comes one after the other, errors and draws included."""

import threading
from functools import partial

import numpy as np
import pytest

from gradlab.cells import make_cell
from gradlab.engine.threads import ONE_THREAD, TWO_PASSES, both, few_threads, two_passes_gain
from gradlab.errors import Cancelled, InputError
from gradlab.layers import Bidirectional, Pass, Sequential
from gradlab.layers.recurrent import recurrent_tapes
from gradlab.quantities import Recorder

from ..strict import StrictArray

T, B, D, H = 20, 5, 3, 8
GRU = make_cell("gru", input_size=D, hidden_size=H)


@pytest.fixture(name="at_once")
def choose(monkeypatch):
    """A function that makes all directions run at the same time, or one after the other."""
    return lambda wanted: monkeypatch.setattr("gradlab.layers.bidirectional.two_passes_gain", lambda size: wanted)


def stack(cell="lstm", **options) -> Sequential:
    cells = [make_cell(cell, input_size=size, hidden_size=H) for size in (D, 2 * H)]
    return Sequential(Bidirectional(cells[0], **options), Bidirectional(cells[1], merge="sum", **options))


def gone_through(net, dtype="float64", models=(), lengths=None, **how) -> list:
    """All numbers of a pass forward and back, with what was recorded."""
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=(T, *models, B, size)).astype(dtype) for size in (D, H))
    params = net.init(1, models=models, dtype=dtype)
    y, tape = net.forward(params, x, lengths, Pass(rng=np.random.default_rng(2)))
    dx, grads = net.backward(params, tape, dy, Pass(observe=Recorder, **how))
    seen = [t.observer for t in recurrent_tapes(tape).values()]
    return [y, dx, *grads.values(), *(a for r in seen for a in (r.frobenius.values, r.gates.mean, r.gates.slope))]


@pytest.mark.parametrize(
    ("net", "given"),
    [
        (stack(), {}),
        (stack("gru_v1"), {"lengths": np.array([T, 1, 7, 0, 13]), "dtype": "float32"}),
        (stack("lstm", zoneout=0.3, dropout=0.2), {"models": (2,)}),
        (stack("elman", gain=30.0), {"clip": ("step_norm", 0.1)}),
    ],
    ids=["lstm", "lengths", "drawn", "clipped"],
)
def test_the_same_bit_for_bit(net, given, at_once):
    found = []
    for wanted in (False, True, True):
        at_once(wanted)
        found.append([a.tobytes() for a in gone_through(net, **given)])
    assert found[0] == found[1] == found[2]


def test_each_direction_has_a_thread_where_both_run_at_once(at_once):
    where = []

    class Seen(Recorder):
        def __init__(self, traj):
            where.append(threading.get_ident())
            super().__init__(traj)

    layer, x = Bidirectional(GRU), np.ones((T, B, D))
    params = layer.init(0)
    for wanted, count in ((True, 2), (False, 1)):
        at_once(wanted)
        where.clear()
        _, tape = layer.forward(params, x)
        layer.backward(params, tape, np.ones((T, B, 2 * H)), Pass(observe=Seen))
        assert len(where) == 2 and len(set(where)) == count


def test_what_observes_both_sees_the_forward_direction_first(at_once):
    layer, x, seen = Bidirectional(GRU), np.ones((T, B, D)), []
    params = layer.init(0)
    at_once(True)
    _, tape = layer.forward(params, x)
    layer.backward(params, tape, np.ones((T, B, 2 * H)), Pass(observe=lambda traj: lambda lin: seen.append(traj)))
    assert seen[0] is tape.forward.trajectory and seen[1] is tape.backward.trajectory


def test_on_a_device_one_direction_follows_the_other(at_once):
    at_once(True)
    assert Bidirectional(GRU)._at_once(np.ones((T, B, D)), Pass())
    assert not Bidirectional(GRU)._at_once(StrictArray(np.ones((T, B, D))), Pass())


@pytest.mark.parametrize("wanted", [True, False])
def test_errors_are_those_of_one_after_the_other(wanted, at_once):
    layer, x, dy = Bidirectional(GRU), np.ones((T, B, D)), np.ones((T, B, 2 * H))
    at_once(wanted)
    params = layer.init(0)
    with pytest.raises(InputError, match=r"x: expected shape \(T, B, 3\), time first"):
        layer.forward(params, x[..., :2])
    with pytest.raises(InputError, match="lengths: expected values from 0 to T=20, got 21 to 21"):
        layer.forward(params, x, np.full(B, T + 1))
    with pytest.raises(InputError, match=r"W_hh: expected shape .*, got \(3, 8, 7\)"):
        layer.forward(params | {"backward.W_hh": params["backward.W_hh"][..., :7]}, x)
    _, tape = layer.forward(params | {"backward.W_xh": np.full_like(params["backward.W_xh"], np.nan)}, x)
    with pytest.raises(InputError, match="the forward pass overflowed at step 1"):
        layer.backward(params, tape, dy)
    _, tape = layer.forward(params, x)
    for unit in (0, -1):
        wrong = dy.copy()
        wrong[..., unit] = np.nan
        with pytest.raises(InputError, match="dL_dh"):
            layer.backward(params, tape, wrong)


def test_both_returns_both_or_raises_the_first_error():
    def fail(error):
        raise error

    for together in (True, False):
        assert both(lambda: 1, lambda: 2, together) == (1, 2)
        with pytest.raises(Cancelled):
            both(partial(fail, Cancelled()), partial(fail, ValueError()), together)
        with pytest.raises(ValueError):
            both(lambda: 1, partial(fail, ValueError()), together)


def test_what_holds_for_one_thread_holds_for_the_other():
    """NumPy's handling of errors, and the one thread that BLAS has."""
    with np.errstate(divide="ignore"), few_threads(1):
        assert both(*[lambda: np.ones(1) / np.zeros(1)] * 2, True) == (np.inf, np.inf)


def test_two_threads_where_blas_leaves_them_a_core(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert two_passes_gain(TWO_PASSES) and two_passes_gain(ONE_THREAD)
    assert not two_passes_gain(TWO_PASSES - 1) and not two_passes_gain(ONE_THREAD + 1)
    for alone in (1, None):
        monkeypatch.setattr("os.cpu_count", lambda alone=alone: alone)
        assert not two_passes_gain(TWO_PASSES)
