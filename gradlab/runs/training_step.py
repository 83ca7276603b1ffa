"""One step of training, forward and backward through time, and the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from ..arrays import Array, quiet, to_numpy
from ..config import RunConfig
from ..config.architecture import is_single
from ..engine.backward import bptt
from .architectures import network_of
from .build import build
from .networks import Network
from .probe import finite_trajectory, probe_gradient, unit_vectors


def step_seconds(config: RunConfig) -> float:
    """Measured time of a forward pass and the gradient of all parameters. Raises InputError as `analyze` does.

    It counts with a processor of its own: beside busy others the clock goes on while the processor's time does not.
    """
    step = training_step(config)
    with quiet():
        clock, processor = time.perf_counter(), time.process_time()
        step()
        return min(time.perf_counter() - clock, time.process_time() - processor)


def training_step(config: RunConfig) -> Callable[[], None]:
    """The step as a function; weights and input are made beforehand."""
    return _of_cell(config) if is_single(config) else _of_network(network_of(config))


def _of_cell(config: RunConfig) -> Callable[[], None]:
    cell, params, x = build(config)

    def step() -> None:
        traj, _ = finite_trajectory(cell, params, x)
        _fetch(bptt(traj, probe_gradient(traj, config.seed)).params)

    return step


def _of_network(given: Network) -> Callable[[], None]:
    def step() -> None:
        y, tape = given.net.forward(given.params, given.x, given.lengths)
        slope = unit_vectors(y, given.seed, y.shape) if given.dL_dy is None else given.dL_dy
        _fetch(given.net.backward(given.params, tape, slope)[1])

    return step


def _fetch(gradients: Mapping[str, Array]) -> None:
    """Wait until they are there, whichever device computes them."""
    for gradient in gradients.values():
        to_numpy(gradient)
