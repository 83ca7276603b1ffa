"""The training loop, recording as it goes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Array, Namespace, device_namespace, quiet, to_numpy
from ..config.architecture import is_tree
from ..config.train import TrainConfig
from ..engine.scaled import Scaled
from ..engine.threads import few_threads
from ..errors import Cancelled, InputError
from ..layers import Pass, RecurrentTape, Trees, recurrent_tapes
from ..lazy import lazy
from ..learning.clipping import CLIPPERS, ClippedUpdate, make_clipper
from ..learning.losses import LOSSES
from ..learning.norms import Norm, flatten
from ..learning.optimizers import OPTIMIZERS, SCHEDULES
from ..quantities import Recorder
from ..tasks import Batch, Task
from . import checkpoint, rivals
from .history import History
from .network import build_network, build_task, input_digest
from .record import TrainingRecord
from .tracks import overflowed, snapshot
from .whole import OfFile, require_room, require_task

WEIGHTS_STREAM, DROPOUT_STREAM, HELD_OUT_STREAM = (
    int.from_bytes(name, "big") for name in (b"weights", b"dropout", b"heldout")
)  # beside the batches, whose streams are numbered by iteration
HELD_OUT_SAMPLES = 500
SAVE_SECONDS = 10.0
ROUNDING = 1e-5  # of ln of a norm in float32
WIDE = 512  # a power of two that float64 keeps room for


@dataclass(frozen=True)
class Step:
    """What one iteration showed, for `on_step`: its number from 1 on, its row of the history, and the run so far."""

    iteration: int
    row: Mapping[str, float]
    history: History


class TrainingRun(TrainingRecord):
    """A network in training: a record that grows, and what makes it grow.

    Raises InputError for a configuration that cannot be trained, as `network.require_trainable` does.
    """

    task: Task

    def __init__(self, config: TrainConfig, iteration: int = 0) -> None:
        super().__init__(config, build_task(config), iteration)
        self.digest, self.versions = input_digest(config), checkpoint.versions()
        self.network = build_network(config, self.task)
        self.xp: Namespace = device_namespace(config.device)
        rng = np.random.default_rng([config.seed, WEIGHTS_STREAM])
        self.params = self.network.init(rng, dtype=config.dtype, device=config.device)
        own = {"momentum": config.momentum} if config.optimizer == "sgd" else {}
        own |= {} if config.weight_decay is None else {"weight_decay": config.weight_decay}
        self.optimizer = OPTIMIZERS[config.optimizer](**own)
        self.state = self.optimizer.init(self.params)
        updates = config.clip in CLIPPERS
        self.clipper = make_clipper(config.clip if updates else "off", config.clip_threshold if updates else None)
        self.step_clip = None if self.threshold is None or updates else (config.clip, self.threshold)
        self.most = 0.5 * math.log(np.finfo(config.dtype).max)  # ln of the largest norm whose square is finite

    def advance(self) -> Mapping[str, float]:
        """One iteration: the row that it adds to the history."""
        i, config = self.iteration, self.config
        batch = self.task.batch(np.random.default_rng([config.seed, i]), config.batch_size)
        taken = i % config.snapshot_every == 0 or i + 1 == config.iterations  # the last one shows what was learnt
        rate = config.learning_rate * SCHEDULES[config.schedule](i, config.iterations)
        row = dict.fromkeys(self.history.rows, math.nan) | {"learning_rate": rate, "skipped": 1.0, "clipped": 0.0}
        with quiet():
            row |= self._update(batch, rate, taken)
        self.iteration += 1
        self.history.add(row)
        if row["skipped"] and config.nonfinite == "stop":
            self.status = "stopped"
        elif self.iteration % config.evaluate_every == 0 or self.iteration == config.iterations:
            loss, score, rivals = self._judged()
            self.history.scores.append((self.iteration, loss, score))
            self.history.rivals.append(rivals)
        return row

    def _update(self, batch: Batch, rate: float, taken: bool) -> dict[str, float]:
        """Forward, backward, clip, step; what it showed. Nothing is updated where a number overflows."""
        stream = np.random.default_rng([self.config.seed, self.iteration, DROPOUT_STREAM])
        how = Pass(stream, clip=self.step_clip, observe=Recorder if taken else None)
        outputs, tape = self._forward(batch, how)
        value, gradient = self._loss(outputs, batch)
        row = {"loss": value}
        recurrent = recurrent_tapes(tape)
        if not math.isfinite(value) or overflowed(tape):
            return row
        _, grads = self.network.backward_scaled(self.params, tape, gradient, how)
        if taken:
            self.history.snapshots.append(snapshot(self.iteration, self.network, tape, batch.lengths))
        if self.config.omega > 0:
            row["omega"] = self._regularise(grads, recurrent)
        clipped = self._clip(grads)
        row |= {"log_grad_norm_before": clipped.log_norm_before, "log_grad_norm_after": clipped.log_norm_after}
        if not clipped.log_norm_after < self.most:  # optimizers keep squares
            return row
        ratio = self._step(clipped.grads, rate)
        if ratio is None:
            return row
        shortened = clipped.clipped or (self.step_clip is not None and any(map(_shortened, recurrent.values())))
        seen = {"clip_angle": clipped.angle, "clipped": float(shortened), "update_ratio": ratio}
        return row | seen | {"skipped": 0.0}

    def _clip(self, grads: Mapping[str, Scaled]) -> ClippedUpdate:
        """Clipped gradients in the dtype of the parameters; those beyond its range are inf unless clipping helped."""
        clipped = self.clipper.clip(self.params, *_at_one_exponent(grads))
        plain = {name: g.astype(self.params[name].dtype, copy=False) for name, g in clipped.grads.items()}
        return replace(clipped, grads=plain)

    def _step(self, grads: dict[str, Array], rate: float) -> float | None:
        """Update the parameters; norm of the change over theirs. None, and nothing changed, where one overflows."""
        params, state = ({name: a.copy() for name, a in old.items()} for old in (self.params, self.state))
        self.optimizer.step(params, grads, state, rate)
        before = flatten(list(self.params.values()))
        change = Norm.of(flatten(list(params.values())) - before)
        if not math.isfinite(change.mantissa):
            return None
        self.params, self.state = params, state
        return float(np.exp(change.log - Norm.of(before).log))

    def _regularise(self, grads: dict[str, Scaled], recurrent: Mapping[str, RecurrentTape]) -> float:
        """Add the regulariser's gradient to those of the recurrent layers' parameters; its value, of all layers."""
        from ..learning.pascanu import omega

        total = 0.0
        for name, tape in recurrent.items():
            assert tape.gradients is not None
            value, derivative = omega(tape.trajectory, tape.gradients, self.config.omega_form)
            for parameter, gradient in derivative.items():
                grads[f"{name}.{parameter}"] += Scaled.of(self.config.omega * gradient)
            total += float(value)
        return total

    def evaluate(self) -> tuple[float, float]:
        """Held-out loss and the task's score, on the same samples every time."""
        return self._judged()[:2]

    def _judged(self) -> tuple[float, float, np.ndarray]:
        """Held-out loss and score, and what the net is compared with, as `rivals.compared` has it."""
        batch = self._held_out()
        with quiet():
            outputs = self._outputs(batch)
            value, _ = self._loss(outputs, batch)
            shown = to_numpy(outputs)
            others = self._null_losses | {rivals.CUT: self._cut_losses(batch)}
            inside, blocks = self.task.own_steps(batch), self.task.blocks(batch)
            found = rivals.compared(self.task.losses(shown, batch), others, inside, blocks)
            return value, self.task.score(value, shown, batch), found

    def _held_out(self) -> Batch:
        rng = np.random.default_rng([self.config.seed, HELD_OUT_STREAM])
        return self.task.batch(rng, HELD_OUT_SAMPLES, held_out=True)

    @lazy
    def _null_losses(self) -> dict[str, np.ndarray]:
        return self.task.null_losses(self._held_out())

    def _outputs(self, batch: Batch, alone: bool = False) -> Array:
        """Of a batch, some samples at a time; alone: every answer from its own step alone."""
        forward = self._forward_alone if alone else self._forward
        parts = [forward(part, Pass())[0] for part in _parts(batch, self.config.batch_size)]
        return self.xp.concatenate(parts, axis=-2)

    def _cut_losses(self, batch: Batch) -> np.ndarray | None:
        """Of the net with its state cut before every step; None of pairs and trees, which are more than sequences."""
        if self.task.form == "pair" or is_tree(self.config):
            return None
        return self.task.losses(to_numpy(self._outputs(batch, alone=True)), batch)

    def _forward_alone(self, batch: Batch, how: Pass) -> tuple[Array, Any]:
        """Every step, or the last one of each sample where that is asked, as a sequence of one step."""
        if self.task.output == "last":
            last = -1 if batch.lengths is None else _lengths(batch.lengths) - 1
            return self._forward(Batch(batch.x[last, np.arange(batch.samples)][None], batch.targets), how)
        outputs, tape = self._forward(Batch(batch.x.reshape(1, -1, *batch.x.shape[2:]), batch.targets), how)
        return outputs.reshape(*batch.x.shape[:2], -1), tape

    def _forward(self, batch: Batch, how: Pass) -> tuple[Array, Any]:
        return self.network.forward(self.params, self._moved(batch.x), self._moved(batch.lengths), how)

    def _loss(self, outputs: Array, batch: Batch) -> tuple[float, Array]:
        own = self._moved(self.task.own_steps(batch))
        value, gradient = LOSSES[self.task.loss](outputs, self._moved(batch.targets), own)
        return float(value), gradient

    def _moved(self, value: Any) -> Any:
        """Arrays, and pairs of them, on the device; trees as they are."""
        if isinstance(value, tuple):
            return tuple(map(self._moved, value))
        return value if value is None or isinstance(value, Trees) else self.xp.asarray(value)

    def save(self, path: Path) -> None:
        """Write everything that going on needs; see `checkpoint.write`."""
        facts = {"iteration": self.iteration, "status": self.status, "versions": self.versions, "digest": self.digest}
        by_file = {name: getattr(self.task, name) for name in OfFile.model_fields}
        checkpoint.write(path, self.arrays(), self.config, **facts, task=by_file)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a checkpoint holds, on the host."""
        arrays = {f"params.{n}": to_numpy(a) for n, a in self.params.items()}
        arrays |= {f"optimizer.{n}": to_numpy(a) for n, a in self.state.items()}
        arrays |= {f"clipper.{n}": to_numpy(a) for n, a in self.clipper.state.items()}
        return arrays | super().arrays()

    @classmethod
    def load(cls, path: Path, config: TrainConfig | None = None, **fields: Any) -> TrainingRun:
        """A run as it was saved, to go on with; `config`, or `fields`, may differ in what does not change the training.

        Raises InputError for files that are no checkpoint, and names the fields of one that is another run's.
        """
        arrays, saved, facts = checkpoint.read(path)
        config = config or saved.replace(**fields)
        checkpoint.require_same(path, saved, config)
        require_room(path, arrays, config)
        run = cls(config, facts["iteration"])
        checkpoint.require_input(path, facts["digest"], run.digest, config.input)
        require_task(path, facts["task"], run.task)
        run.require_whole(path, arrays)
        run.versions = facts["versions"]
        _fill(run.params, checkpoint.part(arrays, "params."), run.xp)
        _fill(run.state, checkpoint.part(arrays, "optimizer."), run.xp)
        run.clipper.state.update(checkpoint.part(arrays, "clipper."))
        run.history = History.of(checkpoint.part(arrays, "history."))
        return run


def _lengths(lengths: Any) -> np.ndarray:
    """(B,) of samples that may be trees."""
    return np.asarray(lengths.lengths if isinstance(lengths, Trees) else lengths)


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    """The inputs of a batch, `size` samples at a time."""
    for start in range(0, batch.samples, size):
        yield batch.of_samples(slice(start, start + size))


def _at_one_exponent(grads: Mapping[str, Scaled]) -> tuple[dict[str, Array], int]:
    """Gradients over 2^exponent, and the exponent: 0 where float64 holds the largest and has room above it."""
    if all(g.is_plain for g in grads.values()):
        return {name: g.mantissas for name, g in grads.items()}, 0
    top = max(int(g.sizes(tuple(range(len(g.shape)))).max()) for g in grads.values() if g.mantissas.size)
    exponent = top if top > WIDE else 0
    wide = {name: Scaled(g.mantissas.astype("float64"), g.exponents) for name, g in grads.items()}
    return {name: g.over(exponent) for name, g in wide.items()}, exponent


def _shortened(tape: RecurrentTape) -> bool:
    """Whether clipping inside backpropagation took more than rounding from any adjoint."""
    assert tape.gradients is not None
    return bool((tape.gradients.log_norms_before - tape.gradients.log_norms > ROUNDING).any())


def _fill(target: dict[str, Array], arrays: Mapping[str, np.ndarray], xp: Namespace) -> None:
    """Saved arrays in the place of fresh ones, on the same device."""
    for name, array in arrays.items():
        target[name] = array if isinstance(target[name], np.ndarray) else xp.asarray(array)


def train(
    config: TrainConfig | None = None,
    *,
    on_step: Callable[[Step], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    save_seconds: float = SAVE_SECONDS,
    **fields: Any,
) -> TrainingRun:
    """Train a network as a TrainConfig, or its fields as keywords, describe.

    on_step: called after each iteration; when it raises Cancelled, the run ends as it is, status "cancelled".
    checkpoint: a file that is written after the first iteration, every `save_seconds` and at the end. resume: go on
    from it, with its own fields unless others are given; on the CPU, with as many threads, the result is bit for bit
    that of a run without a break. Raises InputError for what cannot be used, and while another training holds the
    checkpoint.
    """
    if config is not None and fields:
        raise InputError("give a TrainConfig or its fields, not both; config.replace(...) changes fields")
    path = None if checkpoint is None else Path(checkpoint)
    if resume and path is None:
        raise InputError("resume: name the checkpoint to go on from", "resume")
    before = path if resume else None
    with _held(path):
        run = TrainingRun.load(before, config, **fields) if before else TrainingRun(config or TrainConfig(**fields))
        with few_threads(run.config.batch_size * run.config.hidden_size**2):
            _note_versions(run, before)
            _loop(run, on_step, path, save_seconds)
            if path is not None:
                run.save(path)
    return run


def _held(path: Path | None) -> AbstractContextManager[None]:
    return nullcontext() if path is None else checkpoint.held(path)


def _note_versions(run: TrainingRun, resumed: Path | None) -> None:
    """What the run is trained with from here on; a warning where that is not what its checkpoint was."""
    now = checkpoint.versions()
    if resumed is not None:
        checkpoint.compare_versions(resumed, run.versions, now)
    run.versions = now


def _loop(run: TrainingRun, on_step: Callable[[Step], None] | None, path: Path | None, save_seconds: float) -> None:
    """Iterations until the run is done, stopped or cancelled."""
    saved = -math.inf
    try:
        while run.iteration < run.config.iterations and run.status == "running":
            row = run.advance()
            if on_step is not None:
                on_step(Step(run.iteration, row, run.history))
            if path is not None and time.monotonic() - saved > save_seconds:
                run.save(path)
                saved = time.monotonic()
        run.status = "done" if run.status == "running" else run.status
    except Cancelled:
        run.status = "cancelled"
