"""How fast the engine is, side by side with PyTorch in one process.

Run it with `python3 dev.py speed`, or directly where PyTorch is installed (extra `bench`). It prints a
table and writes speed.json and speed.html to the working directory (`--out FOLDER` for another).

Method: contenders take turns, so that a change in the machine's speed meets all of them; medians over the rounds; one
BLAS thread each; memory freed by one run is kept for the next (for both sides), as a fresh page costs more than a step.
Ours is forward + BPTT with every closed-form recording on: ||dL/dh_t||, the exact ||J_t||_F of every step and sample,
gate means and saturation, parameter and input gradients. PyTorch's nn.RNN and nn.LSTM do forward + backward only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import gradlab
from gradlab.engine.step_product import StepProduct
from gradlab.products import log_norms
from gradlab.quantities import Recorder
from gradlab.quantities.costly import SPECTRAL_TOL
from studies import speed_training as training

SIZES = ((32, 64, 100), (32, 128, 200), (64, 256, 200))  # B, H, T
LONG = ((32, 64, 200), *SIZES[1:])  # of long products
DTYPES = ("float32", "float64")
SMALL = (SIZES[:1], DTYPES[:1])
INPUTS = 3
# what the child process runs under: the processor detected afresh, one thread, freed memory kept
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**33)}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
CHILD = "GRADLAB_SPEED_CHILD"
FORCED = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}  # settings that would slow down one side

Size = tuple[int, int, int]
Contender = Callable[[], Any]
Maker = Callable[[str, Size, str], Contender]
Comparison = tuple[str, str, Maker, Maker, str, float | None, tuple[Size, ...], tuple[str, ...]]


def ours(cell_name: str, size: Size, dtype: str) -> Contender:
    """Forward and backward with all closed-form recordings."""
    net, loss = network(cell_name, size, dtype), arrays(size, dtype)[1]

    def run() -> Any:
        traj = gradlab.unroll(*net)
        recorder = Recorder(traj)
        grads = gradlab.bptt(traj, loss, observe=recorder)
        return traj, grads, grads.params, grads.inputs, recorder, grads.log_norms

    return run


def network(cell_name: str, size: Size, dtype: str) -> tuple[gradlab.Cell, dict[str, Any], np.ndarray]:
    """A cell, its parameters and its input."""
    cell = gradlab.make_cell(cell_name, input_size=INPUTS, hidden_size=size[1])
    params = cell.init(0, recurrent_init="uniform", input_scale=0.1, dtype=dtype)
    return cell, params, arrays(size, dtype)[0]


def arrays(size: Size, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """x (T, B, D) and dL/dh (T, B, H)."""
    b, h, t = size
    rng = np.random.default_rng(0)
    return rng.normal(size=(t, b, INPUTS)).astype(dtype), (rng.normal(size=(t, b, h)) / 8).astype(dtype)


def products(cell_name: str, size: Size, dtype: str) -> Contender:
    """The matrix products alone that forward, BPTT and the weights' gradient cannot do without: the floor."""
    b, h, t = size
    gates = {"elman": 1, "lstm": 4}[cell_name]
    rng = np.random.default_rng(0)
    product = StepProduct(np, b, rng.normal(size=(gates, h, h)).astype(dtype))
    factor = product.factor(rng.normal(size=(1, b, h)).astype(dtype))
    out = product.target(np.empty((gates, b, h), dtype))
    deltas, states = (rng.normal(size=(n, t * b, h)).astype(dtype) for n in (gates, 1))

    def run() -> Any:
        for _ in range(2 * t):
            product.multiply(factor, product.weights, out=out)
        return [d.T @ states[0] for d in deltas]

    return run


def fused(cell_name: str, size: Size, dtype: str) -> Contender:
    """nn.RNN or nn.LSTM: plain forward and backward."""
    layer = {"elman": torch.nn.RNN, "lstm": torch.nn.LSTM}[cell_name](INPUTS, size[1]).to(getattr(torch, dtype))
    x, loss = (torch.from_numpy(array) for array in arrays(size, dtype))
    x.requires_grad_()

    def run() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x)[0].backward(loss)

    return run


def cell_loop(cell_name: str, size: Size, dtype: str) -> Contender:
    """A loop over nn.LSTMCell that keeps dL/dh_t: how one gets these gradients from PyTorch."""
    cell = torch.nn.LSTMCell(INPUTS, size[1]).to(getattr(torch, dtype))
    x, loss = (torch.from_numpy(array) for array in arrays(size, dtype))

    def run() -> None:
        cell.zero_grad()
        h = c = torch.zeros(size[0], size[1], dtype=x.dtype)
        states = []
        for x_t in x:
            h, c = cell(x_t, (h, c))
            h.retain_grad()
            states.append(h)
        torch.autograd.backward(states, list(loss))
        [state.grad.norm(dim=-1) for state in states]

    return run


def jacobian_norms(cell_name: str, size: Size, dtype: str) -> Contender:
    """||J_t||_F at every step and sample, in closed form, forward included."""
    net = network(cell_name, size, dtype)
    return lambda: gradlab.jacobian(gradlab.unroll(*net)).frobenius()


def exponents(cell_name: str, size: Size, dtype: str) -> Contender:
    """The 8 leading Lyapunov exponents, forward included."""
    net = network(cell_name, size, dtype)
    return lambda: gradlab.lyapunov(*net, k=8)


def one_bptt(cell_name: str, size: Size, dtype: str) -> Contender:
    """Our forward and backward with the parameters' gradients alone."""
    net, loss = network(cell_name, size, dtype), arrays(size, dtype)[1]
    return lambda: gradlab.bptt(gradlab.unroll(*net), loss).params


def product_norms(cell_name: str, size: Size, dtype: str) -> Contender:
    """ln ||d state_T / d state_t||_F for all t, exactly."""
    jacobian = gradlab.jacobian(gradlab.unroll(*network(cell_name, size, dtype)))
    return lambda: log_norms(jacobian, method="exact", spectral=False)


def spectral_product_norms(cell_name: str, size: Size, dtype: str) -> Contender:
    """The same, and ln ||d state_T / d state_t||_2 with its residual."""
    jacobian = gradlab.jacobian(gradlab.unroll(*network(cell_name, size, dtype)))
    return lambda: log_norms(jacobian, method="exact")


def square_products(cell_name: str, size: Size, dtype: str) -> Contender:
    """One product (B*SH, SH) (SH, SH) per step: the floor of exact product norms."""
    b, h, t = size
    side = h * (1 if cell_name == "elman" else 2)
    rng = np.random.default_rng(0)
    rows, matrix = rng.normal(size=(b * side, side)).astype(dtype), rng.normal(size=(side, side)).astype(dtype)
    out = np.empty_like(rows)

    def run() -> None:
        for _ in range(t):
            np.matmul(rows, matrix, out=out)

    return run


def spectral_norms(cell_name: str, size: Size, dtype: str) -> Contender:
    """||J_t||_2 of all steps and samples, as every run records them."""
    jacobian = gradlab.jacobian(gradlab.unroll(*network(cell_name, size, dtype)))
    return lambda: jacobian.spectral(SPECTRAL_TOL)


def batched_svd(cell_name: str, size: Size, dtype: str) -> Contender:
    """The same from the singular values of the dense Jacobians, step by step."""
    dense = gradlab.jacobian(gradlab.unroll(*network(cell_name, size, dtype))).dense()
    return lambda: [np.linalg.svd(j, compute_uv=False)[..., 0] for j in dense]


def autodiff_norms(cell_name: str, size: Size, dtype: str) -> Contender:
    """The same by torch.func: vmap over samples of jacrev, one call per step."""
    h, gates = size[1], {"elman": 1, "lstm": 4}[cell_name]
    weights = torch.randn(gates * h, h, dtype=getattr(torch, dtype)) / h**0.5
    drive = torch.randn(gates * h, INPUTS, dtype=weights.dtype)
    x = torch.from_numpy(arrays(size, dtype)[0])

    def elman(state: torch.Tensor, x_t: torch.Tensor) -> torch.Tensor:
        return torch.tanh(weights @ state + drive @ x_t)

    def lstm(state: torch.Tensor, x_t: torch.Tensor) -> torch.Tensor:
        i, f, g, o = (weights @ state[:h] + drive @ x_t).chunk(4)
        c = torch.sigmoid(f) * state[h:] + torch.sigmoid(i) * torch.tanh(g)
        return torch.cat([torch.sigmoid(o) * torch.tanh(c), c])

    step = {"elman": elman, "lstm": lstm}[cell_name]
    jacobians, advance = torch.func.vmap(torch.func.jacrev(step)), torch.func.vmap(step)

    def run() -> list[torch.Tensor]:
        state = torch.zeros(size[0], h * (1 if cell_name == "elman" else 2), dtype=x.dtype)
        norms = []
        for x_t in x:
            norms.append(jacobians(state, x_t).norm(dim=(-2, -1)))
            state = advance(state, x_t)
        return norms

    return run


COMPARISONS: list[Comparison] = [  # title, cell, ours, theirs, what it is compared with, target ratio, sizes, dtypes
    ("Elman, all recordings", "elman", ours, fused, "nn.RNN", 0.6, SIZES, DTYPES),
    ("LSTM, all recordings", "lstm", ours, fused, "nn.LSTM", 0.75, SIZES, ("float64",)),
    ("LSTM, all recordings", "lstm", ours, fused, "nn.LSTM", None, SIZES, ("float32",)),
    ("LSTM, all recordings", "lstm", ours, cell_loop, "LSTMCell loop, retain_grad", 1.0, SIZES, ("float32",)),
    ("Elman, Jacobian norms", "elman", jacobian_norms, autodiff_norms, "vmap(jacrev)", 1 / 25, SIZES[:1], ("float32",)),
    ("LSTM, Jacobian norms", "lstm", jacobian_norms, autodiff_norms, "vmap(jacrev)", 1 / 25, SIZES[:1], ("float32",)),
    ("Elman, product norms", "elman", product_norms, square_products, "the products alone", 2.0, LONG, DTYPES),
    ("Elman, with spectral", "elman", spectral_product_norms, square_products, "the products alone", 3.0, LONG, DTYPES),
    ("LSTM, product norms", "lstm", product_norms, square_products, "the products alone", 2.0, LONG[:1], DTYPES),
    ("Elman, spectral norms", "elman", spectral_norms, batched_svd, "batched SVD", 1 / 20, SIZES[1:2], DTYPES),
    ("Elman, 8 exponents", "elman", exponents, one_bptt, "our forward + BPTT", 3.0, SIZES[1:2], DTYPES),
    ("LSTM, 8 exponents", "lstm", exponents, one_bptt, "our forward + BPTT", 3.0, SIZES[1:2], DTYPES),
    ("Elman, training step", "elman", training.plain, training.fused, "nn.RNN + Adam", 0.7, *SMALL),
    ("LSTM, training step", "lstm", training.plain, training.cell_loop, "LSTMCell loop", 1.0, *SMALL),
    ("Elman, recorded step", "elman", training.closed_forms, training.plain, "not recorded", 1.3, *SMALL),
    ("LSTM, recorded step", "lstm", training.closed_forms, training.plain, "not recorded", 1.3, *SMALL),
    ("Elman, with eigenvalues", "elman", training.snapshot, training.plain, "not recorded", None, *SMALL),
    ("LSTM, with eigenvalues", "lstm", training.snapshot, training.plain, "not recorded", None, *SMALL),
]


def compare(contenders: tuple[Contender, Contender], seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds of both, taking turns, for about `seconds` and at least five rounds."""
    for contender in contenders:
        contender()
    times: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while len(times[0]) < 5 or time.perf_counter() < end:
        for contender, record in zip(contenders, times, strict=True):
            start = time.perf_counter()
            contender()
            record.append((time.perf_counter() - start) * 1e3)
    return times


def measure(seconds: float) -> list[dict[str, Any]]:
    """One row per comparison, size and precision."""
    rows = []
    for title, cell, mine, theirs, peer, target, sizes, dtypes in COMPARISONS:
        for size in sizes:
            for dtype in dtypes:
                a, b = compare((mine(cell, size, dtype), theirs(cell, size, dtype)), seconds)
                ours_ms, peer_ms = float(np.median(a)), float(np.median(b))
                row: dict[str, Any] = {
                    "title": title,
                    "peer": peer,
                    "size": size,
                    "dtype": dtype,
                    "target": target,
                    "rounds": len(a),
                }
                row |= {"ours_ms": ours_ms, "peer_ms": peer_ms, "ratio": ours_ms / peer_ms}
                row["ratio_of_minima"] = min(a) / min(b)
                if mine is ours:
                    floor = products(cell, size, dtype)
                    row["products_ms"] = float(np.median(compare((floor, floor), seconds / 4)[0]))
                rows.append(row)
                print(line(row), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    """One comparison in words."""
    target = (
        ""
        if row["target"] is None
        else f"   target <= {row['target']:.2f}{'' if row['ratio'] <= row['target'] else '  MISSED'}"
    )
    size = "{},{},{}".format(*row["size"])
    floor = f"   products alone {row['products_ms'] / row['peer_ms']:.2f}" if "products_ms" in row else ""
    return (
        f"{row['title']:<22} {size:<11} {row['dtype']:<8} {row['ours_ms']:8.2f} ms  against {row['peer_ms']:9.2f} ms  "
        f"{row['peer']:<27} ratio {row['ratio']:.3f} (minima {row['ratio_of_minima']:.3f}){floor}{target}"
    )


def peak_memory() -> dict[str, float]:
    """Peak of traced allocations during an LSTM's analysis pass, over the trajectory's own arrays."""
    run = ours("lstm", SIZES[1], "float64")
    run()
    tracemalloc.start()
    traj = run()[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    own = sum(array.nbytes for array in (traj.states, traj.gate_inputs, traj.x))
    return {"peak_bytes": float(peak), "trajectory_bytes": float(own), "ratio": peak / own}


def explore_time() -> dict[str, float]:
    """Milliseconds from a changed control to the drawn figure at Explore's default size, on the server."""
    from gradlab.plots import explore

    times = []
    for i in range(21):
        config = gradlab.RunConfig(gain=1 + 0.05 * i)
        start = time.perf_counter()
        ds = gradlab.analyze(config)
        gradlab.verdict(ds)
        explore(ds).to_plotly_json()
        times.append((time.perf_counter() - start) * 1e3)
    return {"median_ms": float(np.median(times[1:])), "worst_ms": max(times[1:])}


def figure(rows: list[dict[str, Any]]) -> go.Figure:
    """Ratios as bars, with the targets as marks."""
    labels = [f"{r['title']} vs {r['peer']}<br>{r['size']} {r['dtype']}" for r in rows]
    fig = go.Figure(go.Bar(y=labels, x=[r["ratio"] for r in rows], orientation="h", name="measured"))
    fig.add_scatter(
        y=labels,
        x=[r["target"] for r in rows],
        mode="markers",
        name="target",
        marker={"symbol": "line-ns-open", "size": 14},
    )
    fig.update_layout(height=120 + 38 * len(rows), xaxis_title="time over the peer's (1 = equal)", xaxis_type="log")
    return fig


def environment() -> dict[str, Any]:
    """What the figures were measured on."""
    blas = [
        {key: info.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
        for info in threadpool_info()
    ]
    return {"numpy": np.__version__, "torch": torch.__version__, "blas": blas, "load": os.getloadavg()}


def child(out: Path, seconds: float) -> None:
    """The measurements proper."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        report: dict[str, Any] = {"environment": environment()}
        print(json.dumps(report["environment"]))
        report["rows"] = measure(seconds)
        report["memory"] = peak_memory()
        report["explore"] = explore_time()
    print(f"Peak memory: {report['memory']['ratio']:.2f} times the trajectory's own arrays   target <= 3")
    median, worst = report["explore"].values()
    print(f"Explore: {median:.0f} ms from control to figure (worst {worst:.0f})   target <= 150")
    (out / "speed.json").write_text(json.dumps(report, indent=1))
    figure(report["rows"]).write_html(out / "speed.html")


def main() -> int:
    """Start the measurements in a process with a clean environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(), help="folder for speed.json and speed.html")
    parser.add_argument("--seconds", type=float, default=4.0, help="time per comparison")
    arguments = parser.parse_args()
    if os.environ.get(CHILD):
        child(arguments.out, arguments.seconds)
        return 0
    env = {name: value for name, value in os.environ.items() if name not in FORCED}
    for name in FORCED & set(os.environ):
        print(f"{name}={os.environ[name]} is set here; it is left out for the benchmark.")
    command = [sys.executable, __file__, *sys.argv[1:]]
    return subprocess.run(command, env=env | KEPT_MEMORY | ONE_THREAD | {CHILD: "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
