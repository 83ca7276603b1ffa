"""A network of layers and data -> one labelled tree: a node for every layer with a cell, at the root the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from ..arrays import Array, quiet, require_finite, require_shape, to_numpy
from ..engine.forward import checked_lengths
from ..engine.lengths import Lengths
from ..engine.scaled import Scaled
from ..engine.threads import few_threads
from ..errors import InputError, echo
from ..layers import EmbeddingTape, EncoderDecoderTape, Layer, Pass, RecurrentTape, Trees, TreeTape
from ..layers.base import plain_lengths, tapes_within
from ..quantities import QUANTITIES, Recorder, Recording, requests, require_names
from ..quantities.inputs import by_lag
from ..registry import unknown
from ..wording import counted
from .labels import circumstances, labelled, variable
from .layer_nodes import Place, recorded
from .probe import unit_vectors
from .tree_nodes import LAG, by_depth, tree_dataset

OF_THE_WHOLE = ("log_input_grad_norm", "log_input_share")  # these stand at the root
SINGLE = "layer"  # the node of a network that is one layer
OF_LAYERS = ("influence",)  # can be asked for beside the quantities


@dataclass(frozen=True)
class Network:
    """A network of one model and what it is analysed on, as `gradlab.analyze` takes them, or with another probe."""

    net: Layer
    params: Mapping[str, Array]
    x: Any
    lengths: Any = None
    dL_dy: Array | None = None
    seed: int = 0
    record: Sequence[str] = ()
    without: Sequence[str] = ()
    on_progress: Callable[[float], None] | None = field(default=None, repr=False)
    probe: Array | None = None


def analyze_network(given: Network) -> xr.DataTree:
    """A Dataset for each recurrent layer, as of a single cell, and for each Tree; at the root what reaches the inputs.

    Raises InputError for anything that cannot be used, a forward pass that leaves the finite numbers included.
    """
    _require_names(given)
    if not isinstance(given.net, Layer):
        raise InputError(f"net: expected a layer such as gradlab.layers.Recurrent(cell), got {echo(given.net)}", "net")
    with quiet():  # what overflows is said below
        y, tape = given.net.forward(given.params, given.x, given.lengths)
    tapes: dict[str, Any] = tapes_within(tape, (RecurrentTape, TreeTape))
    _require_usable(tapes, y)
    dx, _ = given.net.backward_scaled(given.params, tape, _probe(given, y), Pass(observe=Recorder))
    probed = acting = {name: _found(t, given) for name, t in tapes.items()}
    with quiet():  # all that is the probe's, before another loss takes its place in the tapes
        root = _root(given, y, tape, dx)
        places: dict[str, dict[str, Any]] = {}
        for place in Place("", given.net, given.params, tape, given.lengths).within():
            places.setdefault(_path(place.path), {}).update(
                recorded(place, y, given.record)
            )  # a Residual has its layer's
    if given.dL_dy is not None:
        require_shape("dL_dy", given.dL_dy, tuple(y.shape))
        given.net.backward_scaled(given.params, tape, given.dL_dy, Pass(observe=Recorder))
        acting = {name: _found(t, given) for name, t in tapes.items()}
    with quiet():
        cells = {_path(name): _node(t, probed[name], acting[name], given) for name, t in tapes.items()}
    nodes = {
        path: cells.get(path, xr.Dataset()).assign(found) for path, found in places.items() if found or path in cells
    }
    return xr.DataTree.from_dict({"/": root, **_with_parents(nodes)})


def _require_names(given: Network) -> None:
    """Raise InputError for what nobody can ask for, or leave out, of a network."""
    if wrong := [name for name in given.record if name not in (*requests(), *OF_LAYERS)]:
        raise unknown("recording", wrong[0], [*requests(), *OF_LAYERS], "record")
    require_names((), given.without)


def _path(name: str) -> str:
    """Where the Dataset of a layer stands, by the prefix of its parameters."""
    return name.replace(".", "/") or SINGLE


def _found(tape: RecurrentTape | TreeTape, given: Network) -> Any:
    """What the last backward pass found in a layer: the adjoints of a Tree's nodes, or a recording."""
    return tape.adjoints if isinstance(tape, TreeTape) else _recording(tape, given)


def _node(tape: RecurrentTape | TreeTape, probe: Any, acting: Any, given: Network) -> xr.Dataset:
    """The Dataset of a layer, from what the passes of the probe and of the loss that acts have found."""
    if isinstance(tape, TreeTape):
        return tree_dataset(tape, probe, None if acting is probe else acting)
    with few_threads(tape.trajectory.product_size):
        return labelled(replace(probe, loss=acting.probe), [], (*given.without, *OF_THE_WHOLE))


def _with_parents(nodes: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Every node behind those above it: left out, they would come in an order of their own."""
    tree: dict[str, xr.Dataset] = {}
    for path, ds in nodes.items():
        names = path.split("/")
        for depth in range(1, len(names)):
            tree.setdefault("/".join(names[:depth]), xr.Dataset())
        tree[path] = ds
    return tree


def _require_usable(tapes: Mapping[str, RecurrentTape | TreeTape], y: Array) -> None:
    """Raise InputError for several models, and where a layer has left the finite numbers."""
    for name, tape in tapes.items():
        if tape.models if isinstance(tape, TreeTape) else tape.trajectory.models:
            raise InputError("net: a network is analysed one model at a time; give one model's params", "params")
        if isinstance(tape, TreeTape):
            tape.require_finite()
        elif overflow := tape.trajectory.overflow:
            first = min(overflow, key=lambda place: place.step)
            where = f"step {first.step} of layer {name or SINGLE} (gate {first.gate}, sample {first.sample})"
            raise InputError(f"the forward pass overflowed at {where}; use smaller weights, or fewer steps", "params")
    require_finite("y", y)


def _recording(tape: RecurrentTape, given: Network) -> Recording:
    """What quantities of a layer are computed from, after a backward pass that takes the place of the probe's."""
    if tape.gradients is None or not isinstance(tape.observer, Recorder):
        raise ValueError("no backward pass has been recorded here")
    wanted = frozenset(given.record)
    gradients, recorder = tape.gradients, tape.observer
    return Recording(tape.trajectory, gradients, gradients, False, recorder, given.seed, given.on_progress, wanted)


def _probe(given: Network, y: Array) -> Array:
    """dL/dy of L = u . y at each sample's last place, u a random unit vector per sample; unless another is given."""
    if given.probe is not None:
        return given.probe
    if y.ndim == 2:
        return unit_vectors(y, given.seed, tuple(y.shape))
    lengths = plain_lengths(given.net.output_lengths(given.lengths), y)
    own = checked_lengths(lengths, y, tuple(y.shape[1:-1]))
    return own.put_last(unit_vectors(y, given.seed, tuple(y.shape[1:])), len(y))


# the whole


def _root(given: Network, y: Array, tape: Any, dx: Any) -> xr.Dataset:
    """What reaches the inputs, over their places and by lag, and what the network was."""
    logs, inside = _inputs(given, y, tape, dx)
    trees = given.lengths if isinstance(given.lengths, Trees) else None
    share, of = by_lag(logs, inside) if trees is None else by_depth(logs, trees)
    arrays = {"log_input_grad_norm": logs, "log_input_share": share}
    about = {"log_input_share": {"relative_to": of} | ({} if trees is None else {"lag": LAG})}
    variables = {name: variable(QUANTITIES[name], array, 0, about.get(name, {})) for name, array in arrays.items()}
    places, samples = logs.shape
    coords = {"input_time": range(1, places + 1), "lag": range(len(share)), "sample": range(samples)}
    title = f"Gradient dynamics of a network over {counted(places, 'place')}"
    return xr.Dataset(variables, coords, {"title": title, "net": repr(given.net), **circumstances(y)})


def _inputs(given: Network, y: Array, tape: Any, dx: Any) -> tuple[np.ndarray, np.ndarray]:
    """ln ||dL/dx|| (T, B) of every place and which are a sample's own; of a pair, the source before the target."""
    if isinstance(dx, tuple):
        lengths = given.lengths or (None, None)
        pair = next(iter(tapes_within(tape, EncoderDecoderTape).values()))
        both = zip((pair.encoder, pair.decoder), dx, lengths, strict=True)
        logs, inside = zip(*(_stretch(_gradient(*part[:2]), part[2]) for part in both), strict=True)
        return np.concatenate(logs), np.concatenate(inside)
    logs, inside = _stretch(_gradient(tape, dx), given.lengths)
    if y.ndim == 3 and len(logs) == 1 < len(y):  # a vector that many steps follow
        logs = np.concatenate([logs, np.full((len(y) - 1, *logs.shape[1:]), np.nan)])
        inside = np.ones(logs.shape, dtype=bool)
    return logs, inside


def _gradient(tape: Any, dx: Scaled | None) -> Scaled:
    """dL/dx, or for symbols that by their vectors."""
    while dx is None:
        if isinstance(tape, EmbeddingTape) and tape.gradient is not None:
            return tape.gradient
        tape = next(iter(tape.children.values()))
    return dx


def _stretch(gradient: Scaled, lengths: Array | None) -> tuple[np.ndarray, np.ndarray]:
    """ln of the norms (T, B) of a stretch of inputs, NaN beyond a sample's own, and which are its own."""
    logs = to_numpy(gradient.log_norm(-1))
    logs = logs[None] if logs.ndim == 1 else logs
    lengths = plain_lengths(lengths, logs)
    inside = Lengths.of(None if lengths is None else to_numpy(lengths), len(logs), 0).inside
    inside = np.ones(logs.shape, dtype=bool) if inside is None else np.broadcast_to(inside, logs.shape)
    return np.where(inside, logs, np.nan), inside
