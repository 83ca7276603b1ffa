"""RunConfig, or a network and data -> labelled Dataset: the front door of the command line, studies and the app."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import xarray as xr

from .arrays import LN2, Array, device_namespace, quiet, require_finite, to_numpy
from .cells import Cell, make_cell
from .config import UPDATE_CLIPS, RunConfig, controls
from .data import input_chunks
from .engine.backward import bptt
from .engine.forward import BATCH_FIRST, unroll
from .engine.jacobian import FrobeniusNorms
from .engine.trajectory import Linearization, Overflow, Trajectory
from .errors import InputError
from .importers import load_weights, weights_text
from .learning.clipping import clip_update
from .learning.norms import angle_between
from .quantities import GateStatistics, Quantity, Recording
from .quantities import record as record_quantities
from .version import __version__

PROBE_STREAM = int.from_bytes(b"probe", "big")
OWN_FIELDS = ("loss", "clip", "clip_threshold", "seed")


@dataclass(frozen=True)
class Extra:
    """What to record on request, and whom to tell how far that is."""

    record: Sequence[str] = ()
    on_progress: Callable[[float], None] | None = None


def analyze(
    config: RunConfig | None = None,
    *,
    cell: str | Cell | None = None,
    params: Mapping[str, Array] | None = None,
    x: Array | None = None,
    dL_dh: Array | None = None,
    initial_state: Array | None = None,
    lengths: Array | None = None,
    record: Sequence[str] = (),
    on_progress: Callable[[float], None] | None = None,
    **fields: Any,
) -> xr.Dataset:
    """Record the gradient dynamics of one run.

    Call it with a RunConfig, with RunConfig's fields as keywords, or with a network of your own: `cell` (a Cell),
    `params`, `x` (T, B, D) and optionally `dL_dh` (T, B, H), `initial_state` (S, B, H), `lengths` (B,) and the fields
    loss, clip, clip_threshold and seed. The verdict's curve `log_grad_norm` always comes from a unit cotangent at the
    last step; another loss adds `log_loss_grad_norm`.

    record: what to measure besides, such as "products" (`gradlab list` shows all). on_progress: called with the share
    done while that takes long; what it raises, such as `gradlab.Cancelled`, ends the work.

    Returns an xarray.Dataset with the quantities of `gradlab.quantities`, log norms as natural logarithms.
    Raises InputError for anything that cannot be used.
    """
    if isinstance(cell, Cell):
        if config is not None or params is None or x is None:
            raise InputError("analyze(cell=<a Cell>) needs params= and x=, and no RunConfig")
        if wrong := set(fields) - set(OWN_FIELDS):
            raise InputError(
                f"with a cell of your own, {', '.join(sorted(wrong))} does not apply; give {', '.join(OWN_FIELDS)}"
            )
        _hint_batch_first(x)
        return _dataset(cell, params, x, RunConfig(**fields), Extra(record, on_progress), dL_dh, initial_state, lengths)
    if any(given is not None for given in (params, x, dL_dh, initial_state, lengths)):
        raise InputError("params=, x= and other arrays go with a Cell: cell=gradlab.make_cell(...)")
    if config is not None and (fields or cell is not None):
        raise InputError("give a RunConfig or its fields, not both; config.replace(...) changes fields")
    if config is not None and not isinstance(config, RunConfig):
        raise InputError(f"expected a RunConfig or keywords such as cell='lstm', got {config!r}")
    if config is None:
        config = RunConfig(**fields) if cell is None else RunConfig(cell=cell, **fields)
    dataset = _dataset(*build(config), config, Extra(record, on_progress))
    dataset.attrs["config"] = config.model_dump_json()
    if config.weights is not None:
        dataset.attrs["weights"] = weights_text(config.weights, config.activation)
    return dataset


def build(config: RunConfig) -> tuple[Cell, dict[str, Array], Array]:
    """The cell, its parameters and its input (T, B, D) that a RunConfig describes, on its device and in its dtype."""
    cell, params, chunks = stream(config, config.steps)
    return cell, params, next(chunks)


def stream(config: RunConfig, chunk: int) -> tuple[Cell, dict[str, Array], Iterator[Array]]:
    """The same with the input `chunk` steps at a time; noise is drawn as it is wanted."""
    xp = device_namespace(config.device)
    if config.weights is None:
        x, chunks = _input(config, chunk, config.input_size)
        own: dict[str, Any] = {"leak": config.leak} if controls()["leak"].applies_if(config) else {}
        own |= {"input_size": x.shape[-1], "hidden_size": config.hidden_size, "activation": config.activation}
        cell = make_cell(config.cell, **own)
        params = initial_parameters(cell, config)
    else:
        cell, params = load_weights(config.weights, activation=config.activation)
        x, chunks = _input(config, chunk, cell.input_size)
        if x.shape[-1] != cell.input_size:
            raise InputError(
                f"the weights expect {cell.input_size} input features, '{config.input}' has {x.shape[-1]}; "
                "choose another input or a column"
            )
    params = {name: xp.asarray(p, dtype=config.dtype) for name, p in params.items()}
    return cell, params, (xp.asarray(part, dtype=config.dtype) for part in chain([x], chunks))


def _input(config: RunConfig, chunk: int, input_size: int) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The first chunk of the input, and the others."""
    fields = {name: getattr(config, name) for name in ("steps", "batch_size", "column", "seed")}
    chunks = input_chunks(config.input, chunk=chunk, input_size=input_size, **fields)
    return next(chunks), chunks


def initial_parameters(cell: Cell, config: RunConfig) -> dict[str, Array]:
    """The weights that a RunConfig draws for a cell; a forget bias goes to cells that have a forget gate."""
    return cell.init(
        config.seed,
        recurrent_init=config.recurrent_init,
        gain=config.gain,
        bias_scale=config.bias_scale,
        input_scale=config.input_scale,
        forget_bias=config.forget_bias if cell.forget_gate else 0.0,
        t_max=max(config.steps, 3),
    )


def _hint_batch_first(x: Array) -> None:
    """A quiet word where x (T, B, D) has more samples than steps: it may be (B, T, D)."""
    if getattr(x, "ndim", 0) == 3 and x.shape[1] > x.shape[0]:
        steps, samples = x.shape[:2]
        warnings.warn(f"x is read as {steps} steps of {samples} samples; {BATCH_FIRST}", UserWarning, stacklevel=3)


def _dataset(
    cell: Cell,
    params: Mapping[str, Array],
    x: Array,
    config: RunConfig,
    extra: Extra,
    dL_dh: Array | None = None,
    initial_state: Array | None = None,
    lengths: Array | None = None,
) -> xr.Dataset:
    traj, overflow = finite_trajectory(cell, params, x, initial_state, lengths)
    probe = probe_gradient(traj, config.seed)
    loss = dL_dh if dL_dh is not None else (loss_at_every_step(traj, config.seed) if config.loss == "every" else None)
    passes = {"probe": probe} | ({} if loss is None else {"loss": loss})
    with quiet():
        frobenius, gates = FrobeniusNorms(traj.jacobian()), GateStatistics(traj)

    def observe(lin: Linearization) -> None:
        frobenius(lin)
        gates(lin)

    with quiet():
        plain = {"probe": bptt(traj, probe, observe=observe)}
        plain |= {} if loss is None else {"loss": bptt(traj, loss)}
        grads = plain["probe"], plain.get("loss", plain["probe"])
        unclipped = Recording(traj, *grads, False, frobenius, gates, config.seed, extra.on_progress)
        run, clipping = _clipped(unclipped, passes, config)
        recorded = record_quantities(run, extra.record)
        variables = {name: _variable(q, values, len(traj.models)) for name, (q, values) in recorded.items()}
        variables |= clipping | {"valid_steps": _valid_steps(traj)}
        coordinates = _coordinates(cell, traj)
        for q, _ in recorded.values():
            coordinates |= q.coords(run)
    return xr.Dataset(variables, coordinates, _attributes(cell, run, overflow)).transpose(
        "state", "gate", "path", "recurrent_gate", "parameter", "time", "step", ..., missing_dims="ignore"
    )


def _require_finite(traj: Trajectory, initial_state: Array | None) -> None:
    """Raise InputError where the data, not the forward pass, are the first to leave the finite numbers."""
    for name, array in traj.params.items():
        require_finite(name, array)
    require_finite("x", traj.x, traj.mask)
    if initial_state is not None:
        require_finite("initial_state", initial_state)


def finite_trajectory(
    cell: Cell, params: Mapping[str, Array], x: Array, initial_state: Array | None = None, lengths: Array | None = None
) -> tuple[Trajectory, list[Overflow]]:
    """The trajectory, cut for each sample before its first non-finite step, and where that was."""
    traj = unroll(cell, params, x, initial_state, lengths)
    _require_finite(traj, initial_state)
    overflow = traj.overflow
    if not overflow:
        return traj, overflow
    finite = np.full(traj.states.shape[2:-1], traj.steps)
    if lengths is not None:
        finite = np.minimum(finite, to_numpy(lengths))
    for place in overflow:
        finite[(*place.model, place.sample)] = place.step - 1
    return unroll(cell, params, x, initial_state, traj.xp.asarray(finite)), overflow


def probe_gradient(traj: Trajectory, seed: int) -> Array:
    """dL/dh (T, *M, B, H) of L = u . h at each sample's last step; u a random unit vector per sample."""
    xp, shape = traj.xp, traj.states.shape[2:]
    gradient = xp.zeros((traj.steps, *shape), dtype=traj.states.dtype)
    u = _unit_vectors(traj, seed, shape)
    if traj.mask is None:
        gradient[-1] = u
        return gradient
    last = traj.mask & ~xp.concatenate([traj.mask[1:], xp.zeros_like(traj.mask[:1])])
    return xp.where(last[..., None], u, gradient)


def loss_at_every_step(traj: Trajectory, seed: int) -> Array:
    """dL/dh (T, *M, B, H) of a loss at every step: an independent random unit vector per step and sample."""
    return _unit_vectors(traj, seed, (traj.steps, *traj.states.shape[2:]))


def _unit_vectors(traj: Trajectory, seed: int, shape: tuple[int, ...]) -> Array:
    u = np.random.default_rng([seed, PROBE_STREAM]).normal(size=shape)
    return traj.xp.asarray(u / np.linalg.norm(u, axis=-1, keepdims=True), dtype=traj.states.dtype)


def _clipped(
    unclipped: Recording, passes: dict[str, Array], config: RunConfig
) -> tuple[Recording, dict[str, xr.Variable]]:
    """The recording under the configured clipping, and what clipping did to the update."""
    traj, before = unclipped.traj, unclipped.loss
    if config.clip == "off":
        return unclipped, {}
    if traj.models:
        raise InputError("clip: the update is clipped for one model at a time; analyze each model alone")
    log_norm = float(before.log_update_norm)
    if config.clip in UPDATE_CLIPS:
        threshold = _threshold(config.clip_threshold, log_norm)
        mantissas, exponent, shift = _host(before.param_mantissas), int(before.param_exponent), 0.0
        if isinstance(config.clip_threshold, str):  # a multiple needs no plain values, which may overflow
            shift, exponent = exponent * LN2, 0
        update = clip_update(mantissas, config.clip, _threshold(config.clip_threshold, log_norm - shift), exponent)
        return unclipped, _clip_variables(threshold, log_norm, update.log_norm_after + shift, update.angle)
    threshold = _threshold(config.clip_threshold, 0.0)
    done = {name: bptt(traj, gradient, clip=(config.clip, threshold)) for name, gradient in passes.items()}
    run = replace(unclipped, probe=done["probe"], loss=done.get("loss", done["probe"]), clipped=True)
    angle = angle_between(*(list(_host(g.param_mantissas).values()) for g in (before, run.loss)))
    return run, _clip_variables(threshold, log_norm, float(run.loss.log_update_norm), angle)


def _threshold(threshold: float | str, log_norm: float) -> float:
    """The threshold as a number: itself, or a multiple ("0.5x") of a norm given by its logarithm."""
    if not isinstance(threshold, str):
        return float(threshold)
    with quiet():
        value = float(threshold[:-1]) * float(np.exp(log_norm))
    return float(np.clip(value, np.finfo(float).tiny, np.finfo(float).max))


def _host(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    return {name: to_numpy(array) for name, array in arrays.items()}


def _clip_variables(threshold: float, before: float, after: float, angle: float) -> dict[str, xr.Variable]:
    norms = {
        "long_name": "Norm of the whole parameter gradient, before and after clipping",
        "units": "1",
        "scale": "log",
    }
    return {
        "log_update_norm": xr.Variable("stage", [before, after], norms),
        "clip_angle": xr.Variable((), angle, {"long_name": "Angle between both gradients", "units": "rad"}),
        "clip_threshold": xr.Variable((), threshold, {"long_name": "Clipping threshold", "units": "1"}),
    }


def _variable(q: Quantity, values: Array, model_axes: int) -> xr.Variable:
    """A quantity as a labelled variable in host memory."""
    at = q.dims.index("*") if "*" in q.dims else len(q.dims)
    dims = (*q.dims[:at], *_model_dims(model_axes), *q.dims[at + 1 :])
    attributes = {"long_name": q.long_name, "symbol": q.symbol, "units": q.units, "scale": q.scale}
    return xr.Variable(dims, to_numpy(values), attributes)


def _model_dims(model_axes: int) -> tuple[str, ...]:
    return ("model",) if model_axes == 1 else tuple(f"model_{i}" for i in range(model_axes))


def _valid_steps(traj: Trajectory) -> xr.Variable:
    """Steps analysed per sample: its length, or the finite prefix where the forward pass overflowed."""
    sizes = traj.states.shape[2:-1]
    steps = np.full(sizes, traj.steps)
    if traj.lengths is not None:
        steps = np.broadcast_to(to_numpy(traj.lengths), sizes).copy()
    attributes = {"long_name": "Steps analysed", "units": "1"}
    return xr.Variable((*_model_dims(len(traj.models)), "sample"), steps, attributes)


def _coordinates(cell: Cell, traj: Trajectory) -> dict[str, Any]:
    names = {
        "state": cell.states,
        "gate": cell.gates,
        "recurrent_gate": cell.recurrent_gates,
        "path": tuple(traj.jacobian().paths()),
        "parameter": tuple(cell.shapes),
        "part": ("real", "imag"),
        "stage": ("before", "after"),
    }
    counts = {
        "time": range(traj.steps + 1),
        "step": range(1, traj.steps + 1),
        "sample": range(traj.states.shape[-2]),
        "unit": range(cell.hidden_size),
        "index": range(cell.hidden_size),
    }
    return {name: list(values) for name, values in (names | counts).items()}


def _attributes(cell: Cell, run: Recording, overflow: list[Overflow]) -> dict[str, Any]:
    traj = run.traj
    places = [{"sample": o.sample, "step": o.step, "gate": o.gate, "model": o.model} for o in overflow]
    return {
        "title": f"Gradient dynamics of {cell!r} over {traj.steps} steps",
        "cell": repr(cell),
        "cell_name": cell.name,
        "activation": cell.activation.name,
        "overflow": json.dumps(places),
        "spectral_residual": float(run.spectral[1].max()),
        "versions": json.dumps({"gradlab": __version__, "numpy": np.__version__, "python": platform.python_version()}),
        "device": traj.xp.__name__,
        "dtype": str(traj.states.dtype),
    }
