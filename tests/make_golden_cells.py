"""Writes what PyTorch's autograd says about cells that PyTorch has no layer of; `make_golden.py` says how to run this.

`antisymmetric.npz`, float64: keys `CASE/NAME` with CASE one of `CASES`, the loss and the names as in `rnn_tanh.npz`:

    x (T, B, D), dL_dh (T, B, H), h_0 (B, H), M (H, H), V (H, D), b (H,), epsilon (), gamma ()
    states (T+1, B, H)                           h_t = h_{t-1} + epsilon tanh((M - M^T - gamma I) h_{t-1} + V x_t + b)
    grad/x, grad/h_0, grad/M, grad/V, grad/b     dL/d of the arrays above
"""

import numpy as np
import torch
from make_golden import CASES, Arrays, random_tensor, save_npz, to_numpy

STEPS = {
    "batch": (0.3, 0.1),
    "one_step": (1.0, 0.0),
    "one_sample": (0.01, 0.01),
    "scalar": (0.5, 0.7),
    "long": (0.1, 0),
}


def antisymmetric_case(rng: np.random.Generator, case: str) -> Arrays:
    """All arrays of one case."""
    (T, B, D, H), (epsilon, gamma) = CASES[case], STEPS[case]
    sizes = {"M": (H, H), "V": (H, D), "b": (H,), "x": (T, B, D), "h_0": (B, H)}
    wanted = {name: random_tensor(rng, *size).requires_grad_() for name, size in sizes.items()}
    m, v, b, x, h = wanted.values()
    states, dL_dh = [h], random_tensor(rng, T, B, H)
    for x_t in x:
        h = states[-1]
        states.append(h + epsilon * torch.tanh(h @ (m - m.T - gamma * torch.eye(H).double()).T + x_t @ v.T + b))
    loss = (torch.stack(states[1:]) * dL_dh).sum()
    grads = torch.autograd.grad(loss, list(wanted.values()))
    found = wanted | {"dL_dh": dL_dh, "states": torch.stack(states)}
    found |= {f"grad/{name}": grad for name, grad in zip(wanted, grads, strict=True)}
    return to_numpy(found) | {"epsilon": np.array(epsilon), "gamma": np.array(gamma)}


def main() -> None:
    """Writes the file."""
    arrays: Arrays = {}
    for j, case in enumerate(CASES):
        found = antisymmetric_case(np.random.default_rng([4, j]), case)
        arrays |= {f"{case}/{name}": array for name, array in found.items()}
    save_npz("antisymmetric", arrays)


if __name__ == "__main__":
    main()
