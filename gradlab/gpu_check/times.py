"""How long forward, BPTT and all recordings take, and how much memory; cuDNN's layers beside them where PyTorch is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Namespace
from ..cells import make_cell
from ..engine.backward import bptt
from ..engine.forward import unroll
from ..quantities import Recorder
from .problems import moved

Size = tuple[int, int, int, int]  # models (0: no model axis), B, H, T
SIZES: tuple[Size, ...] = ((0, 64, 256, 200), (0, 256, 1024, 200), (64, 32, 64, 100))
TORCH = {"lstm": "LSTM", "elman": "RNN", "gru": "GRU"}  # the same cells in PyTorch
INPUTS, REPEATS, SECONDS = 3, 5, 3.0  # at most so many repeats, and no new one after so many seconds

Run = Callable[[], Any]


def tasks(xp: Namespace, sizes: Sequence[Size]) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Each cell in each size, in float32."""
    for size in sizes:
        for name in TORCH:
            yield _label(name, size), partial(_ours, xp, name, size)
            if _torch() is not None and not size[0]:
                yield f"{_label(name, size)}, PyTorch", partial(_theirs, name, size)


def line(items: list[dict[str, Any]]) -> str:
    """The medians."""
    return ", ".join(f"{item['name']} {item['median_ms']:.1f} ms" for item in items) or "none"


def _label(name: str, size: Size) -> str:
    models, b, h, t = size
    return f"{name} {f'{models} x ' if models else ''}({b}, {h}, {t})"


def _ours(xp: Namespace, name: str, size: Size) -> dict[str, Any]:
    run = _analysis(xp, name, size)
    wait = xp.cuda.Device().synchronize if hasattr(xp, "cuda") else lambda: None
    pool = xp.get_default_memory_pool() if hasattr(xp, "cuda") else None
    if pool is not None:
        pool.free_all_blocks()
    found = _timed(run, wait)
    return found | {"peak_bytes": None if pool is None else int(pool.total_bytes())}


def _analysis(xp: Namespace, name: str, size: Size) -> Run:
    """Forward and backward with everything that a run records, in closed form."""
    models, b, h, t = size
    axes = (models,) if models else ()
    cell, rng = make_cell(name, input_size=INPUTS, hidden_size=h), np.random.default_rng(0)
    params = moved(xp, "float32", cell.init(0, recurrent_init="uniform", input_scale=0.1, models=axes))
    x, loss = moved(xp, "float32", (rng.normal(size=(t, *axes, b, INPUTS)), rng.normal(size=(t, *axes, b, h)) / 8))

    def run() -> Any:
        traj = unroll(cell, params, x)
        recorder = Recorder(traj)
        grads = bptt(traj, loss, observe=recorder)
        return grads.params, grads.inputs, grads.log_norms, recorder

    return run


def _timed(run: Run, wait: Run) -> dict[str, Any]:
    """Milliseconds until the device is done, after a run that does not count."""
    run()
    wait()
    times, end = list[float](), time.perf_counter() + SECONDS
    while len(times) < REPEATS and (not times or time.perf_counter() < end):
        start = time.perf_counter()
        run()
        wait()
        times.append((time.perf_counter() - start) * 1e3)
    return {"ok": True, "median_ms": statistics.median(times), "least_ms": min(times), "repeats": len(times)}


def _torch() -> Any:
    """PyTorch, where it sees a GPU."""
    try:
        import torch
    except Exception:  # it may be there and lack its own libraries
        return None
    return torch if torch.cuda.is_available() else None


def _theirs(name: str, size: Size) -> dict[str, Any]:
    """cuDNN's layer, forward and backward alone, in float32 throughout."""
    torch, (_, b, h, t) = _torch(), size
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    layer = getattr(torch.nn, TORCH[name])(INPUTS, h).cuda()
    x, loss = torch.randn(t, b, INPUTS, device="cuda", requires_grad=True), torch.randn(t, b, h, device="cuda") / 8

    def run() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x)[0].backward(loss)

    torch.cuda.reset_peak_memory_stats()
    return _timed(run, torch.cuda.synchronize) | {"peak_bytes": int(torch.cuda.max_memory_allocated())}
