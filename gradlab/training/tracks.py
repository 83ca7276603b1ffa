"""The layers of a net in training whose gradient is looked at: a track for each, whatever the architecture.

    recurrent            each layer and direction, with all that snapshots hold of a cell; the backward direction in its
                         own steps, the first of which is the sequence's end
    encoder and decoder  the layers of both
    transformer          what each block takes, by position
    tree                 the nodes by their depth: the deepest first, the root last

Where there is no cell at a step, a track has the gradient alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import to_numpy
from ..cells import Cell
from ..config.architecture import is_transformer, is_tree, reads_all
from ..config.train import TrainConfig
from ..engine.scaled import Scaled
from ..layers import RecurrentTape, Sequential, SequentialTape, TransformerBlock, Trees, TreeTape, recurrent_tapes
from ..layers.base import tapes_within
from ..quantities import Quantity, Recorder, Recording, of_snapshots
from ..quantities.rates import joint
from ..runs.architectures import width
from ..runs.build import cell_of
from ..runs.labels import names
from ..runs.tree_nodes import depth_norms
from ..tasks import Task
from .network import TaskFacts, features

SAMPLES = 16  # of the batch that a snapshot keeps
GRADIENT = "log_grad_norm"
BESIDE = ("units", "valid_steps")  # what a snapshot keeps of a track besides its quantities
DIRECTIONS = (", forward", ", backward")

Entries = dict[str, np.ndarray]


@dataclass(frozen=True)
class Track:
    """A layer whose gradient is looked at: what it is called, how many steps it has, and its cell, if it has one.

    unit: "step", "position", or "level" of a tree, of which the samples end together, at the root. state: what a
    gradient without a cell is of. apart: whether the loss reaches its steps by its end alone.
    """

    name: str
    steps: int
    units: int
    cell: Cell | None = None
    unit: str = "step"
    state: str = "h"
    apart: bool = False

    @property
    def quantities(self) -> dict[str, Quantity]:
        """What a snapshot holds of it."""
        known = of_snapshots()
        return known if self.cell else {GRADIENT: known[GRADIENT]}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that a snapshot holds of it."""
        return (*self.quantities, *BESIDE)

    @property
    def labels(self) -> dict[str, Any]:
        """Of the dimensions that count parts of the cell."""
        return dict(names(self.cell)) if self.cell else {"state": (self.state,)}

    def sizes(self, samples: int) -> dict[str, int]:
        """Of the dimensions of a snapshot of so many samples."""
        counts = {"step": self.steps, "time": self.steps + 1, "sample": samples}
        counts |= {"unit": self.units, "index": self.units}
        return counts | {name: len(labels) for name, labels in self.labels.items()}


def tracks(config: TrainConfig, task: Task | TaskFacts) -> list[Track]:
    """Those of a net that learns a task, in the order in which a snapshot has them."""
    units, apart = config.hidden_size, task.output == "last"
    if is_transformer(config):
        return [
            Track(f"Block {n}", task.length, units, unit="position", state="input", apart=apart)
            for n in range(1, config.layers + 1)
        ]
    if is_tree(config):
        return [Track("Tree", task.length, units, unit="level", apart=apart)]
    cells = [cell_of(config, size) for size in (features(config, task), *[width(config)] * (config.layers - 1))]
    if task.form == "pair":
        encoder = _stack("Encoder", cells, task.length, apart=not reads_all(config))
        return encoder + _stack("Decoder", cells, task.target_steps)
    return _stack("Layer", cells, task.length, apart, DIRECTIONS if config.bidirectional else ("",))


def _stack(
    name: str, cells: list[Cell], steps: int, apart: bool = False, directions: tuple[str, ...] = ("",)
) -> list[Track]:
    return [
        Track(f"{name} {n}{direction}", steps, cell.hidden_size, cell, apart=apart)
        for n, cell in enumerate(cells, 1)
        for direction in directions
    ]


def snapshot(iteration: int, network: Sequential, tape: SequentialTape, lengths: Any) -> dict[str, Any]:
    """What a recorded backward pass shows of every track; a few samples of it, float32. lengths: as of a `Batch`."""
    found: dict[str, Any] = {"iteration": np.asarray(iteration)}
    for n, entries in enumerate(_recorded(network, tape, lengths)):
        found |= {f"{n}.{name}": value for name, value in entries.items()}
    return found


def _recorded(network: Sequential, tape: SequentialTape, lengths: Any) -> Iterator[Entries]:
    """The entries of each track."""
    yield from map(_cells, recurrent_tapes(tape).values())
    yield from map(_levels, tapes_within(tape, TreeTape).values())
    for before, name in zip(network.names, network.names[1:], strict=False):
        if isinstance(network.children[name], TransformerBlock):
            yield _positions(tape.gradients[before], lengths)


def overflowed(tape: Any) -> bool:
    """Whether a state left the finite numbers in the forward pass."""
    if any(own.trajectory.overflow for own in recurrent_tapes(tape).values()):
        return True
    return any(own.overflow is not None for own in tapes_within(tape, TreeTape).values())


def recording_of(tape: RecurrentTape) -> Recording:
    """What every quantity of `gradlab.quantities` can be computed from.

    Raises ValueError unless the layer's last backward pass was observed: `backward(..., Pass(observe=Recorder))`.
    """
    if tape.gradients is None or not isinstance(tape.observer, Recorder):
        raise ValueError("nothing is recorded yet: call backward(..., Pass(observe=Recorder)) first")
    return Recording(tape.trajectory, tape.gradients, tape.gradients, tape.clipped, tape.observer)


def _cells(tape: RecurrentTape) -> Entries:
    recording = recording_of(tape)
    found = {name: _few(q, to_numpy(q.compute(recording))) for name, q in of_snapshots().items()}
    return found | _beside(tape.trajectory.cell.hidden_size, tape.trajectory.valid_steps)


def _few(q: Quantity, values: np.ndarray) -> np.ndarray:
    """The first samples of a quantity, float32; a net in training is one model."""
    samples = tuple(slice(SAMPLES if dim == "sample" else None) for dim in q.dims if dim != "*")
    return values[samples].astype(np.float32)


def _beside(units: int, valid_steps: np.ndarray) -> Entries:
    return {"units": np.asarray(units), "valid_steps": valid_steps[:SAMPLES]}


def _levels(tape: TreeTape) -> Entries:
    """Of a tree of n levels they are its steps 1 ... n, the root's the last; nothing is at step 0."""
    trees = tape.trees.of_samples(slice(SAMPLES))
    logs = joint(np.moveaxis(to_numpy(tape.adjoints.log_norm(-1)), 0, -1))[:, :SAMPLES]
    norms = depth_norms(np.where(trees.own, logs, np.nan), trees)
    levels, found = trees.depths.max(axis=0) + 1, np.full((trees.steps + 1, trees.samples), np.nan)
    for b, count in enumerate(levels):
        found[1 : count + 1, b] = norms[:count, b][::-1]
    return _gradient(found, tape.cell.hidden_size, levels)


def _positions(gradient: Scaled, lengths: Any) -> Entries:
    """Of what a block takes (T, B, H); position t stands at step t, and nothing at step 0."""
    logs = to_numpy(gradient.log_norm(-1))[:, :SAMPLES]
    valid = np.full(logs.shape[1], len(logs)) if lengths is None else _plain(lengths)[:SAMPLES]
    logs = np.where(np.arange(1, len(logs) + 1)[:, None] <= valid, logs, np.nan)
    return _gradient(np.pad(logs, ((1, 0), (0, 0)), constant_values=np.nan), gradient.shape[-1], valid)


def _plain(lengths: Any) -> np.ndarray:
    return np.asarray(lengths.lengths if isinstance(lengths, Trees) else lengths)


def _gradient(logs: np.ndarray, units: int, valid_steps: np.ndarray) -> Entries:
    """The entries of a track without a cell, from ln of norms (time, sample)."""
    return {GRADIENT: logs[:, None].astype(np.float32)} | _beside(units, valid_steps)
