"""Writes `golden/optimizers.npz` with PyTorch: 50 updates of every optimizer, with its options, and of the schedules.

`make_golden.py` says how to run this.

`start/I` and `grad/I` (50, ...), I = 0..1: the parameters before the first update, and the gradients, which depend on
nothing. `CASE/I` (50, ...): the parameters after each update. float64; the learning rate is RATE, times a schedule's
factor in the cases that name one.
"""

from collections.abc import Callable

import numpy as np
import torch
from make_golden import TORCH_VERSION, Arrays, random_tensor, save_npz
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

UPDATES, RATE = 50, 0.05
SCHEDULED = 48  # updates of the scheduled cases; a third of it is a whole number

CASES: dict[str, Callable[[list[torch.Tensor]], Optimizer]] = {
    "sgd": lambda p: SGD(p, RATE),
    "sgd_momentum": lambda p: SGD(p, RATE, momentum=0.9),
    "sgd_nesterov": lambda p: SGD(p, RATE, momentum=0.8, nesterov=True),
    "rmsprop": lambda p: RMSprop(p, RATE),
    "rmsprop_options": lambda p: RMSprop(p, RATE, alpha=0.9, eps=1e-3),
    "adam": lambda p: Adam(p, RATE),
    "adam_options": lambda p: Adam(p, RATE, betas=(0.7, 0.95), eps=1e-2),
    "adamw": lambda p: AdamW(p, RATE),
    "adamw_options": lambda p: AdamW(p, RATE, betas=(0.8, 0.9), eps=1e-4, weight_decay=0.3),
    "sgd_decay": lambda p: SGD(p, RATE, weight_decay=0.3),
    "sgd_nesterov_decay": lambda p: SGD(p, RATE, momentum=0.8, nesterov=True, weight_decay=0.3),
    "rmsprop_decay": lambda p: RMSprop(p, RATE, weight_decay=0.3),
    "adam_decay": lambda p: Adam(p, RATE, weight_decay=0.3),
}
SCHEDULES = {
    "adam_cosine": lambda optimizer: CosineAnnealingLR(optimizer, SCHEDULED),
    "adam_step": lambda optimizer: StepLR(optimizer, SCHEDULED // 3, gamma=0.1),
}


def gradients(rng: np.random.Generator) -> list[torch.Tensor]:
    """Of very different sizes, entry by entry, with exact zeros: where eps matters and where it does not."""
    found = []
    for shape in ((3, 2, 4), (5,)):
        sizes = 10.0 ** rng.uniform(-9, 3, shape)
        sizes[..., -1] = 0
        found.append(random_tensor(rng, UPDATES, *shape) * torch.from_numpy(sizes))
    return found


def trajectory(case: str, start: list[torch.Tensor], grads: list[torch.Tensor]) -> Arrays:
    """The parameters after every update."""
    params = [torch.nn.Parameter(p.clone()) for p in start]
    optimizer = CASES.get(case, CASES["adam"])(params)
    schedule = SCHEDULES[case](optimizer) if case in SCHEDULES else None
    path: list[list[np.ndarray]] = [[] for _ in params]
    for n in range(UPDATES if schedule is None else SCHEDULED):
        for p, g in zip(params, grads, strict=True):
            p.grad = g[n].clone()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        for p, values in zip(params, path, strict=True):
            values.append(p.detach().numpy().copy())
    return {f"{case}/{i}": np.stack(values) for i, values in enumerate(path)}


def main() -> None:
    """Writes the file."""
    assert torch.__version__.split("+")[0] == TORCH_VERSION, f"made with torch {TORCH_VERSION}, got {torch.__version__}"
    rng = np.random.default_rng(400)
    grads = gradients(rng)
    start = [random_tensor(rng, *g.shape[1:]) for g in grads]
    arrays = {f"start/{i}": p.numpy() for i, p in enumerate(start)}
    arrays |= {f"grad/{i}": g.numpy() for i, g in enumerate(grads)}
    for case in (*CASES, *SCHEDULES):
        arrays |= trajectory(case, start, grads)
    save_npz("optimizers", arrays)


if __name__ == "__main__":
    main()
