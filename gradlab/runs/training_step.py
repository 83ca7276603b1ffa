"""What one step of training costs, forward and backward through time: its seconds and its bytes."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from threading import Lock

import numpy as np

from ..arrays import Array, device_namespace, quiet, to_numpy
from ..config import RunConfig
from ..config.architecture import is_single
from ..engine.backward import bptt
from .architectures import network_of
from .build import build
from .cost import memory
from .networks import Network
from .probe import finite_trajectory, probe_gradient, unit_vectors

MEASURED, PREDICTED = "measured", "predicted"
_alone = Lock()  # one measurement at a time: memory is counted for the whole process


def step_cost(config: RunConfig) -> tuple[float, float, str]:
    """Seconds and peak bytes of a forward pass and the gradient of all parameters, and how the bytes are known.

    Python counts what NumPy allocates, so the bytes are "measured"; beside other threads that allocate they are too
    many. On a GPU they are "predicted". Raises InputError as `analyze` does.
    """
    step, seen = training_step(config), device_namespace(config.device) is np
    with _alone, quiet():
        nbytes = _peak(step) if seen else memory(config)
        clock, processor = time.perf_counter(), time.process_time()
        step()
        seconds = min(time.perf_counter() - clock, time.process_time() - processor)
    return seconds, nbytes, MEASURED if seen else PREDICTED


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


def _peak(step: Callable[[], None]) -> float:
    """Bytes that are allocated at once, beyond what was there before."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        step()
        return float(tracemalloc.get_traced_memory()[1] - before)
    finally:
        if not tracing:
            tracemalloc.stop()
