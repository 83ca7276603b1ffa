"""What watching a PyTorch model costs: `python3 -m studies.speed_watch`, with PyTorch installed.

A training step is measured plain, with idle hooks, and looked at, in turn, on one thread; medians of the rounds.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

import gradlab.torch as gt

ROUNDS, EVERY = 9, 50
SIZES = [(64, 100, 32, 1, 8), (128, 200, 32, 2, 8), (256, 200, 64, 2, 8)]  # units, steps, batch, layers, samples


class Net(nn.Module):
    """An LSTM that reads 16 features, and a read-out of its last step."""

    def __init__(self, units: int, layers: int) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(16, units, layers), nn.Linear(units, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(T, B, 16) -> (B, 1)."""
        out: torch.Tensor = self.out(self.lstm(x)[0][-1])
        return out


def seconds(step: Callable[[], object]) -> float:
    """The processor's, which others on the machine do not lengthen."""
    start = time.process_time()
    step()
    return time.process_time() - start


def training_step(net: Net, x: torch.Tensor, watch: gt.Watch | None, log: bool) -> Callable[[], object]:
    """Forward, backward, a look if there is a watch, and Adam."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss = net(x).pow(2).mean()
        loss.backward()
        row = None if watch is None else watch.step(loss)
        if row is not None and log:
            row.scalars()
        optimizer.step()

    return step


def measured(units: int, steps: int, batch: int, layers: int, samples: int) -> tuple[float, float, float]:
    """Seconds of a plain step, of one with idle hooks, and of one that is looked at and logged."""
    x = torch.randn(steps, batch, 16)
    plain, idle, busy = (Net(units, layers) for _ in range(3))
    turns = [
        training_step(plain, x, None, False),
        training_step(idle, x, gt.watch(idle, every=10**6), False),
        training_step(busy, x, gt.watch(busy, every=1, samples=samples), True),
    ]
    for turn in turns:
        turn()
    times = [[seconds(turn) for turn in turns] for _ in range(ROUNDS)]
    first, second, third = (median(column) for column in zip(*times, strict=True))
    return first, second, third


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    print(f"{'H, T, B, layers, samples':28} plain    idle hooks   a look   at every={EVERY}")
    for size in SIZES:
        plain, idle, busy = measured(*size)
        share = (busy - idle) / EVERY / plain
        row = f"{1e3 * plain:6.0f} ms {1e3 * (idle - plain):+8.1f} ms {1e3 * (busy - idle):7.0f} ms {share:9.2%}"
        print(f"{', '.join(map(str, size)):28} {row}")


if __name__ == "__main__":
    main()
