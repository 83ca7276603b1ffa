"""RunConfig, or a network and data -> labelled Dataset: the front door of the command line, studies and the app."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from ..arrays import BATCH_FIRST, Array, quiet
from ..cells import Cell
from ..config import RunConfig
from ..data import input_text
from ..engine.backward import bptt
from ..engine.threads import few_threads
from ..errors import InputError, echo
from ..importers import weights_text
from ..quantities import Recorder, Recording, require_names
from ..quantities import record as record_quantities
from ..wording import counted
from .build import build, chosen_activation
from .clipped import clipped
from .cost import require_memory
from .labels import attributes, coordinates, valid_steps, variable
from .probe import finite_trajectory, loss_at_every_step, probe_gradient

OWN_FIELDS = ("loss", "clip", "clip_threshold", "seed")


@dataclass(frozen=True)
class Extra:
    """What to record on request, what to leave out, and whom to tell how far that is."""

    record: Sequence[str] = ()
    without: Sequence[str] = ()
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
    without: Sequence[str] = (),
    on_progress: Callable[[float], None] | None = None,
    **fields: Any,
) -> xr.Dataset:
    """Record the gradient dynamics of one run.

    Call it with a RunConfig, with RunConfig's fields as keywords, or with a network of your own: `cell` (a Cell),
    `params`, `x` (T, B, D) and optionally `dL_dh` (T, B, H), `initial_state` (S, B, H), `lengths` (B,) and the fields
    loss, clip, clip_threshold and seed. The verdict's curve `log_grad_norm` always comes from a unit cotangent at the
    last step; another loss adds `log_loss_grad_norm`.

    record: what to measure besides, such as "products" (`gradlab list` shows all). Spectral norms of the one-step
    Jacobians and eigenvalues of the weights cost far more than the run itself: of a large one they are computed for as
    many samples and steps as a budget allows (attributes `samples` and `every` of `jacobian_spectral`), and in full
    where `record` names them. without: names of quantities to leave out; what needs them says so. on_progress:
    called with the share done while that takes long; what it raises, such as `gradlab.Cancelled`, ends the work.

    Returns an xarray.Dataset with the quantities of `gradlab.quantities`, log norms as natural logarithms.
    Raises InputError for anything that cannot be used.
    """
    if isinstance(cell, Cell):
        if config is not None or params is None or x is None:
            raise InputError("analyze(cell=<a Cell>) needs params= and x=, and no RunConfig")
        if wrong := set(fields) - set(OWN_FIELDS):
            raise InputError(
                f"with a cell of your own, {', '.join(sorted(wrong))} does not apply; give {', '.join(OWN_FIELDS)}",
                min(wrong),
            )
        _hint_batch_first(x)
        return _dataset(
            cell, params, x, RunConfig(**fields), Extra(record, without, on_progress), dL_dh, initial_state, lengths
        )
    if any(given is not None for given in (params, x, dL_dh, initial_state, lengths)):
        raise InputError("params=, x= and other arrays go with a Cell: cell=gradlab.make_cell(...)")
    if config is not None and (fields or cell is not None):
        raise InputError("give a RunConfig or its fields, not both; config.replace(...) changes fields")
    if config is not None and not isinstance(config, RunConfig):
        raise InputError(f"expected a RunConfig or keywords such as cell='lstm', got {echo(config)}")
    if config is None:
        config = RunConfig(**fields) if cell is None else RunConfig(cell=cell, **fields)
    require_memory(config)
    dataset = _dataset(*build(config), config, Extra(record, without, on_progress))
    dataset.attrs["config"] = config.model_dump_json()
    if said := input_text(config.input, config.column):
        dataset.attrs["input"] = said
    if config.weights is not None:
        dataset.attrs["weights"] = weights_text(config.weights, chosen_activation(config))
    return dataset


def _hint_batch_first(x: Array) -> None:
    """A quiet word where x (T, B, D) has more samples than steps: it may be (B, T, D)."""
    if getattr(x, "ndim", 0) == 3 and x.shape[1] > x.shape[0]:
        steps, samples = x.shape[:2]
        read = f"{counted(steps, 'step')} of {counted(samples, 'sample')}"
        warnings.warn(f"x is read as {read}; {BATCH_FIRST}", UserWarning, stacklevel=3)


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
    require_names(extra.record, extra.without)
    traj, overflow = finite_trajectory(cell, params, x, initial_state, lengths)
    probe = probe_gradient(traj, config.seed)
    loss = dL_dh if dL_dh is not None else (loss_at_every_step(traj, config.seed) if config.loss == "every" else None)
    passes = {"probe": probe} | ({} if loss is None else {"loss": loss})
    recorder = Recorder(traj)
    with quiet(), few_threads(traj.product_size):
        plain = {"probe": bptt(traj, probe, observe=recorder)}
        plain |= {} if loss is None else {"loss": bptt(traj, loss)}
        grads = plain["probe"], plain.get("loss", plain["probe"])
        unclipped = Recording(traj, *grads, False, recorder, config.seed, extra.on_progress, frozenset(extra.record))
        run, clipping = clipped(unclipped, passes, config)
        recorded = record_quantities(run, extra.without)
        variables = {
            name: variable(q, values, len(traj.models), q.about(run)) for name, (q, values) in recorded.items()
        }
        variables |= clipping | {"valid_steps": valid_steps(traj)}
        coords = coordinates(cell, traj.steps, traj.states.shape[-2])
        for q, _ in recorded.values():
            coords |= q.coords(run)
    return xr.Dataset(variables, coords, attributes(cell, run, overflow)).transpose(
        "state", "gate", "path", "recurrent_gate", "parameter", "time", "step", ..., missing_dims="ignore"
    )
