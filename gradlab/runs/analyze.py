"""RunConfig, or a network and data -> labelled Dataset: the front door of the command line, studies and the app."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import xarray as xr

from ..arrays import BATCH_FIRST, Array, quiet
from ..cells import Cell
from ..config import RunConfig
from ..config.architecture import embeds, is_single
from ..engine.backward import bptt
from ..engine.threads import few_threads
from ..errors import InputError, echo
from ..layers import Layer
from ..quantities import Recorder, Recording, require_names
from ..wording import counted
from .architectures import described, network_of
from .build import build
from .clipped import clipped
from .cost import require_memory
from .labels import labelled
from .network_input import said_of
from .networks import Network, analyze_network
from .own_network import weights_said
from .probe import finite_trajectory, loss_at_every_step, probe_gradient

OWN_FIELDS = ("loss", "clip", "clip_threshold", "truncate", "seed")


@dataclass(frozen=True)
class Extra:
    """What to record on request, what to leave out, and whom to tell how far that is."""

    record: Sequence[str] = ()
    without: Sequence[str] = ()
    on_progress: Callable[[float], None] | None = None


@overload
def analyze(config: RunConfig | None = None, *, net: None = None, **given: Any) -> Any: ...


@overload
def analyze(*, net: Layer, **given: Any) -> xr.DataTree: ...


def analyze(
    config: RunConfig | None = None,
    *,
    cell: str | Cell | None = None,
    net: Layer | None = None,
    params: Mapping[str, Array] | None = None,
    x: Array | None = None,
    dL_dh: Array | None = None,
    dL_dy: Array | None = None,
    initial_state: Array | None = None,
    lengths: Any = None,
    record: Sequence[str] = (),
    without: Sequence[str] = (),
    on_progress: Callable[[float], None] | None = None,
    **fields: Any,
) -> xr.Dataset | xr.DataTree:
    """Record the gradient dynamics of one run.

    Call it with a RunConfig, with RunConfig's fields as keywords, or with a network of your own: `cell` (a Cell),
    `params`, `x` (T, B, D) and optionally `dL_dh` (T, B, H), `initial_state` (S, B, H), `lengths` (B,) and the fields
    loss, clip, clip_threshold, truncate and seed. The verdict's curve `log_grad_norm` always comes from a unit
    cotangent at the last step; another loss adds `log_loss_grad_norm`.

    net: a network of `gradlab.layers` of one model, with `params`, `x`, and optionally `lengths`, `dL_dy` (shaped as
    its output) and seed. A pair (source, what the decoder reads) is x, and a pair lengths, where the net takes one;
    `Trees` are lengths where it has a Tree. The unit cotangent is then at each sample's last place of the output.

    record: what to measure besides, such as "products" (`gradlab list` shows all); of a net also "influence", how much
    places of each TransformerBlock depend on each other. Spectral norms of the one-step Jacobians and eigenvalues of
    the weights are computed in full where named; else, of a large run, for as many samples and steps as a budget
    allows (attributes `samples` and `every` of `jacobian_spectral`), as they cost far more than the run itself.
    without: names of quantities to leave out; what needs them says so. on_progress: called with the share done while
    that takes long; what it raises, such as `gradlab.Cancelled`, ends the work.

    Returns an xarray.Dataset with the quantities of `gradlab.quantities`, log norms as natural logarithms. Of a net,
    and of a RunConfig of more than one cell, an xarray.DataTree with such a Dataset for every recurrent layer, under
    the name of its parameters ("1/forward"), and at the root, of the whole, `log_input_grad_norm` (input_time, sample)
    and `log_input_share` (lag, sample). Of a Tree the Dataset has `log_grad_norm` (state, node, sample), `node_depth`
    and `node_parent`, and a lag is a depth below the root. Raises InputError for anything that cannot be used.
    """
    extra = Extra(record, without, on_progress)
    arrays = {"params": params, "x": x, "dL_dh": dL_dh, "dL_dy": dL_dy, "initial_state": initial_state}
    own: dict[str, Any] = {name: v for name, v in (arrays | {"lengths": lengths}).items() if v is not None}
    if net is not None:
        return _of_net(net, own, fields, extra, config or cell)
    if isinstance(cell, Cell):
        return _of_cell(cell, own, fields, extra, config)
    if own:
        raise InputError("params=, x= and other arrays go with a Cell: cell=gradlab.make_cell(...), or with net=")
    return _of_config(config, ({} if cell is None else {"cell": cell}) | fields, extra)


def _of_net(net: Layer, own: Mapping[str, Any], fields: Mapping[str, Any], extra: Extra, more: Any) -> xr.DataTree:
    """Of a network of one's own; more: what else was given, which does not go with it."""
    _require_own("net", own, {"dL_dh", "initial_state"}, fields, ("seed",), more)
    return analyze_network(Network(net, **own, **fields, **vars(extra)))


def _of_cell(cell: Cell, own: Mapping[str, Any], fields: Mapping[str, Any], extra: Extra, more: Any) -> xr.Dataset:
    """Of a cell of one's own."""
    _require_own("cell", own, {"dL_dy"}, fields, OWN_FIELDS, more)
    _hint_batch_first(own["x"])
    return _dataset(cell, config=RunConfig(**fields), extra=extra, **own)


def _require_own(
    what: str, own: Mapping[str, Any], not_for_it: set[str], fields: Mapping[str, Any], known: Sequence[str], more: Any
) -> None:
    """Raise InputError unless a network of one's own comes with what it needs, and nothing else."""
    if more is not None or not {"params", "x"} <= own.keys():
        raise InputError(f"analyze({what}=...) needs params= and x=, and no RunConfig or other network")
    if wrong := (own.keys() & not_for_it) | (fields.keys() - set(known)):
        names = ", ".join(sorted(wrong))
        raise InputError(f"with a {what} of your own, {names} does not apply; give {', '.join(known)}", min(wrong))


def _of_config(config: RunConfig | None, fields: Mapping[str, Any], extra: Extra) -> xr.Dataset | xr.DataTree:
    """Of a RunConfig, or of the fields of one."""
    if config is not None and fields:
        raise InputError("give a RunConfig or its fields, not both; config.replace(...) changes fields")
    if config is not None and not isinstance(config, RunConfig):
        raise InputError(f"expected a RunConfig or keywords such as cell='lstm', got {echo(config)}")
    config = RunConfig(**fields) if config is None else config
    require_memory(config)
    found: xr.Dataset | xr.DataTree
    if is_single(config):
        found = _dataset(*build(config), config, extra)
    else:
        given = network_of(config, **vars(extra))
        found = analyze_network(given)
        name = described(config, config.input_size if embeds(config) else given.x.shape[-1])
        found.attrs |= {"network": name, "title": f"Gradient dynamics: {name}, {counted(len(given.x), 'step')}"}
    found.attrs["config"] = config.model_dump_json()
    if said := said_of(config):
        found.attrs["input"] = said
    if config.weights is not None:
        found.attrs["weights"] = weights_said(config)
    return found


def _hint_batch_first(x: Array) -> None:
    """A quiet word where x (T, B, D) has more samples than steps: it may be (B, T, D)."""
    if getattr(x, "ndim", 0) == 3 and x.shape[1] > x.shape[0]:
        steps, samples = x.shape[:2]
        read = f"{counted(steps, 'step')} of {counted(samples, 'sample')}"
        warnings.warn(f"x is read as {read}; {BATCH_FIRST}", UserWarning, stacklevel=4)


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
        plain = {"probe": bptt(traj, probe, truncate=config.block, observe=recorder)}
        plain |= {} if loss is None else {"loss": bptt(traj, loss, truncate=config.block)}
        grads = plain["probe"], plain.get("loss", plain["probe"])
        wanted, block = frozenset(extra.record), config.block
        unclipped = Recording(traj, *grads, False, recorder, config.seed, extra.on_progress, wanted, block)
        run, clipping = clipped(unclipped, passes, config)
        return labelled(run, overflow, extra.without, clipping)
