"""What `analyze` costs against the passes that it describes, and what it costs beside four busy processes.

Run it with `python -m studies.speed_analyze`; it takes about a minute. Both are ratios of medians, taken in turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import numpy as np

import gradlab

SIZES = (("elman", 32, 64, 100), ("elman", 32, 512, 100), ("lstm", 32, 256, 100), ("gru", 32, 512, 50))  # cell, B, H, T
ROUNDS = 5
LEAST = 0.5  # s that are timed at once: many times the slices that a scheduler hands out in turn
BUSY = 4  # processes
FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # settings that would slow down OpenBLAS
CHILD = "GRADLAB_SPEED_CHILD"


def contenders(cell_name: str, batch: int, hidden: int, steps: int) -> dict[str, Callable[[], object]]:
    """The passes (unroll, bptt and the parameters' gradients), and analyze on the same network and input."""
    cell = gradlab.make_cell(cell_name, input_size=3, hidden_size=hidden)
    params, x = cell.init(0), np.random.default_rng(0).normal(size=(steps, batch, 3))
    loss = np.zeros((steps, batch, hidden))
    loss[-1] = 1.0
    return {
        "passes": lambda: gradlab.bptt(gradlab.unroll(cell, params, x), loss).params,
        "analyze": lambda: gradlab.analyze(cell=cell, params=params, x=x),
    }


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes, on average over those that fill a while."""
    start, calls = time.perf_counter(), 0
    while (taken := time.perf_counter() - start) < LEAST:
        run()
        calls += 1
    return taken / calls


@contextmanager
def busy_machine() -> Iterator[None]:
    """Beside processes that compute all the time."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measure(size: tuple[str, int, int, int]) -> tuple[float, float, float]:
    """Medians of the passes, of analyze, and of analyze on a busy machine, in seconds."""
    runs = contenders(*size)
    for run in runs.values():
        run()
    times = [{name: seconds(run) for name, run in runs.items()} for _ in range(ROUNDS)]
    with busy_machine():
        busy = median(seconds(runs["analyze"]) for _ in range(ROUNDS))
    return median(t["passes"] for t in times), median(t["analyze"] for t in times), busy


def main() -> int:
    """Print the table, from a process whose environment forces nothing."""
    if not os.environ.get(CHILD):
        env = {name: value for name, value in os.environ.items() if name not in FORCED} | {CHILD: "1"}
        return subprocess.run([sys.executable, "-m", "studies.speed_analyze"], env=env, check=False).returncode
    print("cell    B x H x T      passes  analyze  ratio  beside 4 busy processes")
    for size in SIZES:
        passes, whole, busy = measure(size)
        name = " x ".join(map(str, size[1:]))
        print(f"{size[0]:6}  {name:14} {passes:6.3f} s {whole:6.3f} s  {whole / passes:5.2f}  {busy / whole:5.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
