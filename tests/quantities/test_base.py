"""What stands between a recording and its quantities: what is computed once."""

from dataclasses import replace

import numpy as np
import pytest

import gradlab
from gradlab.quantities import Recorder, Recording
from gradlab.quantities.base import once


@pytest.fixture
def recording():
    cell = gradlab.make_cell("elman", input_size=2, hidden_size=3)
    traj = gradlab.unroll(cell, cell.init(0), np.ones((5, 2, 2)))
    recorder = Recorder(traj)
    grads = gradlab.bptt(traj, np.ones((5, 2, 3)), observe=recorder)
    return Recording(traj, grads, grads, False, recorder, seed=7)


def test_what_is_computed_once_is_computed_again_for_another_recording(recording):
    calls = []

    @once
    def counted(run):
        calls.append(run)
        return len(calls)

    assert [counted(recording), counted(recording)] == [1, 1]
    assert counted(replace(recording, seed=8)) == 2 and counted(recording) == 1
    assert calls[0] is recording and len(calls) == 2


def test_it_may_bear_the_name_of_a_field_or_a_property(recording):
    @once
    def seed(run):
        return run.seed + 1

    @once
    def jacobian(run):
        return "another one"

    assert seed(recording) == 8 and recording.seed == 7
    assert jacobian(recording) == "another one" and recording.jacobian.traj is recording.traj


def test_two_may_bear_one_name(recording):
    def of(value):
        @once
        def spectrum(run):
            return value

        return spectrum

    first, second = of(1), of(2)
    assert (first(recording), second(recording)) == (1, 2)
