"""Lyapunov spectra: the mean rates at which a product of Jacobians J_T ... J_1 stretches its leading directions.

lambda_i = lim 1/T sum_t ln |R_ii(t)|, from the QR method on the joint state (h and c of an LSTM together), driven by
the data. Source: Benettin et al. 1980; for driven recurrent nets Vogt et al. 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array, Namespace, namespace, quiet, require_finite, require_shape, require_type, to_numpy
from ..cells import Cell
from ..engine.forward import unroll
from ..engine.jacobian import jacobian
from ..engine.lengths import Lengths
from ..engine.threads import spare_threads
from ..engine.trajectory import Trajectory
from ..errors import InputError, echo
from ..wording import counted
from .qr_frame import LONGEST, Frame, Operator
from .spectrum import LyapunovSpectrum, spectrum

PIECE = 64  # steps whose Jacobians are held at a time
PIECE_VALUES = 2**22  # numbers of one state-sized array over a piece
RUNNING = 64  # sums kept along the way, at least, where there are as many
WARMUP, UNKNOWN_WARMUP = 1000, 100  # default steps not counted: at most; where nobody knows how many will come

Progress = Callable[[float], None]
Piece = tuple[list[Operator], Lengths]  # Jacobians of consecutive steps; which samples they count for


def lyapunov(
    cell: Cell,
    params: Mapping[str, Array],
    x: Array | Iterable[Array] | None = None,
    *,
    steps: int | None = None,
    k: int | None = None,
    every: int | None = None,
    warmup: int | None = None,
    initial_state: Array | None = None,
    on_progress: Progress | None = None,
) -> LyapunovSpectrum:
    """The k leading Lyapunov exponents (all by default) of a net driven by its input, in constant memory.

    x: (T, *M, B, D), or an iterator of such arrays for consecutive steps, or None with `steps` for no input. The first
    `warmup` steps are run but not counted: by default a tenth, at most 1000, or 100 of an iterator.
    every: steps between orthonormalisations, at most 256, shortened where max|R_ii| / min|R_ii| passes 1e6 (float64)
    or 1e2 (float32); by default as many as stay below. initial_state (S, *M, B, H): zeros by default; without input one
    sample of standard normal numbers, as zero may be a fixed point. on_progress: called with the share done where the
    number of steps is known.

    Raises InputError for wrong sizes, missing or empty input, and where a state or Jacobian is not finite.
    """
    models, size = cell.require(params), len(cell.states) * cell.hidden_size
    if (x is None) == (steps is None):
        raise InputError(f"give either x or steps= (no input), not {'both' if steps is not None else 'neither'}")
    _require_counts(size, k=k, every=every, warmup=warmup, steps=steps)
    if x is None and initial_state is None:
        initial_state = _random_state(cell, params, models)
    if initial_state is not None:
        namespace(initial_state, "initial_state")
        require_shape("initial_state", initial_state, (len(cell.states), *models, "B", cell.hidden_size))
    chunks, total = _chunks(cell, params, x, steps, initial_state, piece_steps(every))
    run: _Run | None = None
    for traj in _unrolled(cell, params, chunks, initial_state):
        if run is None:
            frame = Frame(traj.xp, traj.states.shape[1:], traj.states.dtype, k or size, every)
            run = _Run(frame, warmup, total, on_progress)
        run.over(_pieces(traj, every))
    if run is None:
        raise InputError("x: no steps in it; expected (T, *M, B, D) with T > 0", "x")
    return run.result()


@spare_threads
def lyapunov_of_trajectory(
    traj: Trajectory,
    *,
    k: int | None = None,
    every: int | None = None,
    warmup: int | None = None,
    on_progress: Progress | None = None,
) -> LyapunovSpectrum:
    """The same along a trajectory; steps beyond a sample's length are not counted."""
    size = len(traj.cell.states) * traj.cell.hidden_size
    _require_counts(size, k=k, every=every, warmup=warmup)
    frame = Frame(traj.xp, traj.states.shape[1:], traj.states.dtype, k or size, every)
    run = _Run(frame, warmup, traj.steps, on_progress)
    run.over(_pieces(traj, every))
    return run.result()


def lyapunov_of_map(
    step: Callable[[Array], Array],
    jacobian: Callable[[Array], Array],
    x0: Array,
    *,
    steps: int,
    k: int | None = None,
    every: int | None = 1,
    warmup: int | None = None,
    on_progress: Progress | None = None,
) -> LyapunovSpectrum:
    """The k leading Lyapunov exponents (all by default) of any map x -> step(x), in nats per step.

    x0 (n,) or (B, n): B orbits at once; step maps that shape to itself, jacobian to (n, n) or (B, n, n). For a flow,
    step is one step of an integrator: divide by its length. The options are those of `lyapunov`.
    Raises InputError for wrong shapes and sizes, and where an orbit or a Jacobian is not finite.
    """
    namespace(x0, "x0")
    require_type("x0", x0, "f", "float32 or float64")
    if x0.ndim not in (1, 2) or 0 in x0.shape:
        raise InputError(f"x0: expected shape (n,) or (B, n), got {tuple(x0.shape)}", "x0")
    require_finite("x0", x0)
    n = x0.shape[-1]
    _require_counts(n, k=k, every=every, warmup=warmup, steps=steps)
    shape = (1, x0.shape[0] if x0.ndim == 2 else 1, n)
    run = _Run(Frame(namespace(x0), shape, x0.dtype, k or n, every), warmup, steps, on_progress)
    run.over(_map_pieces(step, jacobian, x0, steps, piece_steps(every)))
    return run.result()


def default_warmup(steps: int | None) -> int:
    """Steps of a run that are not counted unless asked for; None: nobody knows how many there are."""
    return UNKNOWN_WARMUP if steps is None else min(WARMUP, steps // 10)


# where the Jacobians come from


def _random_state(cell: Cell, params: Mapping[str, Array], models: tuple[int, ...]) -> Array:
    w = params["W_hh"]
    state = np.random.default_rng(0).normal(size=(len(cell.states), *models, 1, cell.hidden_size))
    return namespace(w).asarray(state.astype(w.dtype))


def _chunks(
    cell: Cell, params: Mapping[str, Array], x: Any, steps: int | None, initial_state: Array | None, chunk: int
) -> tuple[Iterator[Array], int | None]:
    """The input a chunk of steps at a time, and its number of steps where that is known."""
    if steps is not None and initial_state is not None:
        w, batch = params["W_hh"], initial_state.shape[-2]
        nothing = namespace(w).zeros((chunk, batch, cell.input_size), dtype=w.dtype)
        return (nothing[: steps - a] for a in range(0, steps, chunk)), steps
    shape = getattr(x, "shape", None)
    if shape:
        return (x[a : a + chunk] for a in range(0, x.shape[0], chunk)), x.shape[0]
    if shape == () or not isinstance(x, Iterable):
        raise InputError(f"x: expected an array (T, *M, B, D) or an iterator of such, got {type(x).__name__}", "x")
    return iter(x), None


def _unrolled(
    cell: Cell, params: Mapping[str, Array], chunks: Iterator[Array], state: Array | None
) -> Iterator[Trajectory]:
    """One trajectory per chunk, each from the state that the one before ended in."""
    done = 0
    for chunk in chunks:
        traj = unroll(cell, params, chunk, state)
        if traj.overflow:
            first = min(traj.overflow, key=lambda place: place.step)
            model = f" of model {first.model}" if first.model else ""
            raise InputError(
                f"the forward pass leaves the finite numbers at step {done + first.step} (gate {first.gate}, sample "
                f"{first.sample}{model}); Lyapunov exponents need finite states: use a smaller gain or input"
            )
        state, done = traj.states[-1], done + traj.steps
        yield traj


def _pieces(traj: Trajectory, every: int | None) -> Iterator[Piece]:
    """The one-step Jacobians of a trajectory as operators on frames, and the mask of its steps."""
    jac, fitting = jacobian(traj), PIECE_VALUES // traj.states[0].size
    piece = piece_steps(every, min(PIECE, max(4, fitting)))
    for a in range(0, traj.steps, piece):
        b = min(a + piece, traj.steps)
        yield [one.apply for one in jac.each_step(a, b)], traj.lengths[a:b]


def piece_steps(every: int | None, piece: int = PIECE) -> int:
    """Steps to treat together: a multiple of `every`, as they end with an orthonormalisation."""
    every = min(max(every or 1, 1), LONGEST)
    return every * max(1, piece // every)


def _map_pieces(
    step: Callable[[Array], Array], jacobian: Callable[[Array], Array], x: Array, steps: int, piece: int
) -> Iterator[Piece]:
    xp, n, shape = namespace(x), x.shape[-1], tuple(x.shape)
    for a in range(0, steps, piece):
        operators: list[Operator] = []
        orbit = []
        with quiet():
            for _ in range(min(piece, steps - a)):
                matrix = jacobian(x)
                namespace(matrix, "jacobian(x)")
                require_shape("jacobian(x)", matrix, (*shape[:-1], n, n))
                operators.append(partial(_times, xp, matrix.reshape(-1, n, n)))
                x = step(x)
                namespace(x, "step(x)")
                require_shape("step(x)", x, shape)
                orbit.append(x)
        _require_finite_orbit(xp.stack(orbit), a)
        yield operators, Lengths()


def _require_finite_orbit(orbit: Array, done: int) -> None:
    """InputError that names the first of the steps done+1 ... after which a state is not finite."""
    bad = ~np.isfinite(to_numpy(orbit)).reshape(len(orbit), -1).all(axis=1)
    if bad.any():
        raise InputError(
            f"step(x) leaves the finite numbers at step {done + 1 + int(bad.argmax())}; Lyapunov exponents need an "
            "orbit that stays: use another x0"
        )


def _times(xp: Namespace, matrix: Array, vectors: Array) -> Array:
    """(B, n, n) times each of (K, 1, B, n)."""
    columns = xp.moveaxis(vectors[:, 0], 0, -1)
    return xp.moveaxis(xp.matmul(matrix, columns), -1, 0)[:, None]


# means over time


class _Run:
    """Sums of ln |R_ii| over the counted steps, kept along the way, in constant memory."""

    def __init__(self, frame: Frame, warmup: int | None, total: int | None, on_progress: Progress | None) -> None:
        self.frame, self.total, self.on_progress = frame, total, on_progress
        self.warmup = default_warmup(total) if warmup is None else warmup
        if total is not None and self.warmup >= total:
            raise InputError(f"warmup: expected fewer than the {total} steps, got {echo(self.warmup)}", "warmup")
        self.sums = frame.xp.zeros(frame.dead.shape, dtype=frame.xp.float64)
        self.counted = frame.xp.zeros(frame.dead.shape[1:], dtype=frame.xp.float64)
        self.done = self.intervals = 0
        self.spacing, self.marks = 1, list[tuple[int, np.ndarray, np.ndarray]]()

    @property
    def steps(self) -> int:
        """Counted steps so far."""
        return max(0, self.done - self.warmup)

    def over(self, pieces: Iterator[Piece]) -> None:
        """Through one piece after the other."""
        for operators, lengths in pieces:
            split = max(0, min(len(operators), self.warmup - self.done))
            for n, _ in self.frame.carry(operators[:split], self.done + 1):
                self._advance(n)
            if split and self.done == self.warmup:
                self.frame.revive()
            start = split
            for n, growth in self.frame.carry(operators[split:], self.done + 1):
                self.sums += growth
                self.counted += lengths[start : start + n].count(n)
                start += n
                self.intervals += 1
                self._advance(n)
                if not self.marks or self.steps >= self.marks[-1][0] + self.spacing:
                    self._mark()

    def _advance(self, n: int) -> None:
        self.done += n
        if self.on_progress is not None and self.total is not None:
            self.on_progress(self.done / self.total)

    def _mark(self) -> None:
        """Keep the sums so far; of too many, every second."""
        self.marks.append((self.steps, to_numpy(self.sums).copy(), to_numpy(self.counted).copy()))
        if len(self.marks) >= 2 * RUNNING:
            self.marks, self.spacing = self.marks[1::2], 2 * self.spacing

    def result(self) -> LyapunovSpectrum:
        """The spectrum, with its errors and remarks."""
        if (to_numpy(self.counted) == 0).all(axis=-1).any():
            raise InputError(
                f"no step is left to count: {counted(self.done, 'step')}, the first {self.warmup} of which are "
                "warmup; use a smaller warmup or more steps",
                "warmup",
            )
        if self.marks[-1][0] < self.steps:
            if self.steps - self.marks[-1][0] < self.spacing / 2:
                self.marks.pop()
            self._mark()
        times, sums, counts = (np.array(column) for column in zip(*self.marks, strict=True))
        every = self.steps / self.intervals
        return spectrum(times, sums, counts, self.frame.size, self.warmup, every, self._notes())

    def _notes(self) -> list[str]:
        frame = self.frame
        if frame.every == frame.asked:
            return []
        reason = f"lets max|R_ii| / min|R_ii| pass {frame.limit:.0e}, or numbers leave their safe range"
        if frame.every == LONGEST:
            reason = f"is more than the {LONGEST} steps that fit"
        return [f"every={frame.asked} {reason}; it was shortened to {frame.every}"]


def _require_counts(size: int, **counts: int | None) -> None:
    """Raise InputError unless each is a whole number in its range, or None."""
    lowest = {"warmup": 0}
    for name, value in counts.items():
        if value is None:
            continue
        low, high = lowest.get(name, 1), size if name == "k" else None
        whole = hasattr(value, "__index__") and type(value) is not bool
        if not whole or value < low or (high is not None and value > high):
            wanted = f"from {low} to {high}, the number of state variables" if high else f"from {low} on"
            raise InputError(f"{name}: expected a whole number {wanted}, got {echo(value)}", name)
