"""Forward through time: cell, parameters and inputs -> Trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .activations import Activation
from .arrays import Array, Namespace, fused, namespace, quiet, require_namespace, require_shape
from .cells import Cell
from .errors import InputError
from .trajectory import Trajectory, elementwise, length_mask, project_inputs

__all__ = ["BATCH_FIRST", "Trajectory", "unroll"]

BATCH_FIRST = "batch first? use np.swapaxes(x, 0, 1)"


def unroll(
    cell: Cell,
    params: Mapping[str, Array],
    x: Array,
    initial_state: Array | None = None,
    lengths: Array | None = None,
) -> Trajectory:
    """Run the cell over x (T, *M, B, D) from initial_state (S, *M, B, H), zeros by default.

    x may lack the model axes (all models see one input) and, with shape (T, D), the sample axis (B = 1). lengths (B,) or
    (*M, B): steps beyond a sample's length leave its state as it is. The dtype follows the parameters.
    The forward pass may overflow: `Trajectory.overflow` says where. Raises InputError for wrong shapes, by name.
    """
    models = cell.require(params)
    xp = namespace(params["W_hh"])
    require_namespace(xp, x=x, initial_state=initial_state, lengths=lengths, **params)
    x = _inputs(cell, x, models, params["W_hh"].dtype)
    size = (*models, x.shape[-2], cell.hidden_size)
    states = xp.zeros((x.shape[0] + 1, len(cell.states), *size), dtype=params["W_hh"].dtype)
    if initial_state is not None:
        _require_batch("initial_state", initial_state, (len(cell.states), *size), x)
        states[0] = initial_state
    mask = None
    if lengths is not None:
        mask = length_mask(_lengths(lengths, x, size[:-1]), x.shape[0], len(models))
        x = xp.where(mask[..., None], x, xp.zeros((), dtype=x.dtype))  # padding may hold anything, NaN too
    with quiet():
        gates = project_inputs(cell, params, x, models)
        _run(cell, params, gates, states, mask)
    return Trajectory(cell, dict(params), x, states, gates, lengths)


def _inputs(cell: Cell, x: Array, models: tuple[int, ...], dtype: Any) -> Array:
    """x as (T, *M or 1s, B, D) in the parameters' dtype."""
    full = x[:, None] if x.ndim == 2 else x
    if full.ndim == 3:
        full = full.reshape(full.shape[0], *(1,) * len(models), *full.shape[1:])
    fits = full.ndim == 3 + len(models) and all(n in (1, m) for n, m in zip(full.shape[1:-2], models, strict=False))
    if not fits or full.shape[-1] != cell.input_size or 0 in full.shape:
        expected = ", ".join(["T", *map(str, models), "B", str(cell.input_size)])
        raise InputError(f"x: expected shape ({expected}), time first, the input features last; got {tuple(x.shape)}")
    return full.astype(dtype, copy=False)


def _require_batch(name: str, array: Array, expected: tuple[int, ...], x: Array) -> None:
    """`require_shape`, with a hint where x looks as if its samples came first."""
    try:
        require_shape(name, array, expected)
    except InputError as error:
        batch_first = x.shape[0] in array.shape
        raise InputError(f"{error}{f' ({BATCH_FIRST})' if batch_first else ''}") from None


def _lengths(lengths: Array, x: Array, size: tuple[int, ...]) -> Array:
    """lengths checked: one per sample (and model), each from 0 to T."""
    _require_batch("lengths", lengths, size if lengths.ndim > 1 else size[-1:], x)
    if int(lengths.min()) < 0 or int(lengths.max()) > x.shape[0]:
        raise InputError(f"lengths: expected values from 0 to T={x.shape[0]}, got {int(lengths.min())} to {int(lengths.max())}")
    return lengths


def _run(cell: Cell, params: Mapping[str, Array], gates: Array, states: Array, mask: Array | None) -> None:
    """The time loop: turns pre-activations without their recurrent part, in place, into gate values, and fills `states`."""
    xp = namespace(states)
    step, activate = fused(xp, cell.step), Nonlinearities(xp, cell)
    p, recurrent = elementwise(cell, params), cell.recurrent
    weights = xp.ascontiguousarray(xp.swapaxes(params["W_hh"], -1, -2)) * 1
    fed = activate.scale(gates, weights)
    product = xp.empty((weights.shape[0], *states.shape[2:]), dtype=states.dtype)
    matmul, add = xp.matmul, xp.add
    single = cell.reads == cell.states[:1]
    columns = [cell.states.index(name) for name in cell.reads]
    for t in range(gates.shape[0]):
        old, gate = states[t], gates[t]
        r = old[0] if single else xp.concatenate([old[s] for s in columns], axis=-1)
        part = gate[recurrent]
        matmul(r[None], fed, out=product)
        add(part, product, out=part)
        activate(gate)
        new = states[t + 1]
        for s, value in enumerate(step(*gate, *old, *p)):
            new[s] = value
        if mask is not None:
            new[...] = xp.where(mask[t, ..., None], new, old)
            gate[...] = xp.where(mask[t, ..., None], gate, xp.zeros((), dtype=gate.dtype))


class Nonlinearities:
    """The gates' nonlinearities in place, every tanh-like one in a single call: phi(a) = m tanh(s a) + k.

    The factors s are multiplied into pre-activations and recurrent weights before the loop. They are powers of two, so
    nothing is rounded by it.
    """

    def __init__(self, xp: Namespace, cell: Cell) -> None:
        self.xp = xp
        self.activations = cell.nonlinearities
        self.recurrent = cell.recurrent
        self.runs = list(_tanh_runs(cell.nonlinearities))

    def scale(self, gates: Array, weights: Array) -> Array:
        """Multiply s into the pre-activations (T, G, ...) in place and into the weights (G_h, ..., R*H), returned."""
        factors = [phi.tanh_form[0] if phi.tanh_form else 1.0 for phi in self.activations]
        for g, factor in enumerate(factors):
            if factor != 1:
                gates[:, g] *= factor
        for k, factor in enumerate(factors[self.recurrent]):
            weights[k] *= factor
        return weights

    def __call__(self, gate: Array) -> None:
        """Gate values of one step, in place of the scaled pre-activations (G, *M, B, H)."""
        for span in self.runs:
            self.xp.tanh(gate[span], out=gate[span])
        for row, phi in zip(gate, self.activations, strict=True):
            _finish(row, phi, self.xp)


def _finish(row: Array, phi: Activation, xp: Namespace) -> None:
    if phi.tanh_form is None:
        if phi.name != "identity":
            row[...] = phi.value(xp, row)
    elif phi.tanh_form[1:] != (1.0, 0.0):
        xp.multiply(row, phi.tanh_form[1], out=row)
        xp.add(row, phi.tanh_form[2], out=row)


def _tanh_runs(activations: tuple[Activation, ...]) -> list[slice]:
    """Neighbouring gates with a tanh form, as slices."""
    runs: list[slice] = []
    for g, phi in enumerate(activations):
        if phi.tanh_form is None:
            continue
        if runs and runs[-1].stop == g:
            runs[-1] = slice(runs[-1].start, g + 1)
        else:
            runs.append(slice(g, g + 1))
    return runs
