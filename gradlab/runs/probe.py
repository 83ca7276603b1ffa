"""The forward pass that is analysed, and the loss gradients that probe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arrays import Array, namespace, require_finite
from ..cells import Cell
from ..engine.forward import unroll
from ..engine.trajectory import Overflow, Trajectory
from ..layers import Layer
from .overflows import first_explained

PROBE_STREAM = int.from_bytes(b"probe", "big")


def finite_trajectory(
    cell: Cell, params: Mapping[str, Array], x: Array, initial_state: Array | None = None, lengths: Array | None = None
) -> tuple[Trajectory, list[Overflow]]:
    """The trajectory, cut for each sample before its first non-finite step, and where that was."""
    traj = unroll(cell, params, x, initial_state, lengths)
    _require_finite(traj, initial_state)
    overflow = first_explained(traj)
    if not overflow:
        return traj, overflow
    finite = traj.valid_steps
    for place in overflow:
        finite[(*place.model, place.sample)] = place.step - 1
    return unroll(cell, params, x, initial_state, traj.xp.asarray(finite)), overflow


def _require_finite(traj: Trajectory, initial_state: Array | None) -> None:
    """Raise InputError where the data, not the forward pass, are the first to leave the finite numbers."""
    for name, array in traj.params.items():
        require_finite(name, array)
    require_finite("x", traj.x, traj.lengths.inside)
    if initial_state is not None:
        require_finite("initial_state", initial_state)


def probe_gradient(traj: Trajectory, seed: int) -> Array:
    """dL/dh (T, *M, B, H) of L = u . h at each sample's last step; u a random unit vector per sample."""
    return traj.lengths.put_last(unit_vectors(traj.states[0, 0], seed, traj.states.shape[2:]), traj.steps)


def loss_at_every_step(traj: Trajectory, seed: int) -> Array:
    """dL/dh (T, *M, B, H) of a loss at every step: an independent random unit vector per step and sample."""
    return unit_vectors(traj.states, seed, (traj.steps, *traj.states.shape[2:]))


def losses_everywhere(
    read: Layer, like: Array, shape: tuple[int, int, int], seed: int, samples: int | None = None, trees: Any = None
) -> tuple[Array, Array]:
    """dL/dy (T, B, F) of a loss at every place, and of the probe, a loss at what `read` makes of all places.

    shape: of all samples, of which the first are given; trees: of these, where `read` takes them.
    """
    every = unit_vectors(like, seed, shape)[:, :samples]
    one, tape = read.forward({}, every, trees)
    probe, _ = read.backward({}, tape, unit_vectors(like, seed, one.shape))
    assert probe is not None
    return every, probe


def unit_vectors(like: Array, seed: int, shape: tuple[int, ...]) -> Array:
    """Random vectors of norm 1 along the last axis, in the dtype and the library of `like`."""
    u = np.random.default_rng([seed, PROBE_STREAM]).normal(size=shape)
    return namespace(like).asarray(u / np.linalg.norm(u, axis=-1, keepdims=True), dtype=like.dtype)
