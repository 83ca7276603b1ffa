"""What no machine has the memory for is refused before anything is made, by the size that it grows with."""

import math

import pytest

import gradlab
from gradlab.config import RunConfig
from gradlab.config.train import TrainConfig
from gradlab.errors import InputError
from gradlab.runs import cost
from gradlab.training import train

from ..commands import call


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"steps": 10**9}, "steps"),
        ({"batch_size": 10**9}, "batch_size"),
        ({"hidden_size": 10**9}, "hidden_size"),
        ({"input_size": 10**9}, "input_size"),
        ({"steps": 10**6, "batch_size": 10**6}, "batch_size"),
    ],
)
def test_a_run_that_no_memory_holds(fields, name):
    said = f"^{name}: a run with {fields[name]:,} takes about [0-9,]+ GB of memory, this machine has [0-9]+; take less"
    with pytest.raises(InputError, match=said) as caught:
        gradlab.analyze(**fields)
    assert caught.value.field == name


@pytest.mark.parametrize("fields", [{"hidden_size": 10**8}, {"batch_size": 10**9}, {"layers": 1000, "steps": 10**8}])
def test_a_training_that_no_memory_holds(fields):
    with pytest.raises(InputError, match="GB of memory"):
        train(TrainConfig(**fields))


@pytest.mark.parametrize("option", ["--hidden-size", "--batch-size"])
@pytest.mark.parametrize("command", ["analyze", "lyapunov"])
def test_the_command_names_the_option(command, option):
    result = call(command, option, 10**9)
    assert result.exit_code == 2 and result.stderr.startswith(f"error: {option}: a run with 1,000,000,000 takes")


def test_the_exponents_of_a_long_run_need_no_more_memory_than_those_of_a_short_one(monkeypatch):
    monkeypatch.setattr(cost, "installed", lambda: 1e9)
    cost.require_memory(RunConfig())
    with pytest.raises(InputError, match="this machine has 1;"):
        cost.require_memory(RunConfig(steps=10**6))
    assert call("lyapunov", "--hidden-size", 2, "--batch-size", 1, "--steps", 20_000, "-q").exit_code == 0


def test_where_the_system_does_not_tell_its_memory_nothing_is_refused(monkeypatch):
    monkeypatch.delattr(cost.os, "sysconf")
    assert cost.installed.__wrapped__() == math.inf
