"""Writes what PyTorch says about bidirectional and attending nets; `make_golden.py` says how to run this.

All float64, keys `CASE/NAME`, parameters in PyTorch's own layout, L = <dL_dy, outputs>; x (T, B, E), lengths (B,) where
samples are padded, outputs (T, B, F) arbitrary beyond them, NAME and grad/NAME for every parameter, grad/x.

`bidirectional.npz`: `rnn_tanh`, `gru`, `lstm`, two bidirectional layers each, every sequence over its own length
(packed). `attention.npz`: nn.MultiheadAttention in two heads, `plain`, `causal`, `padded`, `causal_padded`, besides
weights (B, h, T, T). `blocks.npz`: nn.TransformerEncoderLayer, cases `PLACE_ACTIVATION` with PLACE "pre" or "post".
"""

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from make_golden import LENGTHS, Arrays, random_tensor, save_npz, to_numpy
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

STEPS, SAMPLES, WIDTH, HEADS, HIDDEN = 7, 3, 6, 2, 5
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "tanh": torch.tanh,
    "silu": functional.silu,
}


def random_net(rng: np.random.Generator, net: nn.Module) -> nn.Module:
    """In float64, without dropout, with weights drawn by NumPy."""
    for weight in net.double().eval().parameters():
        weight.data = 0.6 * random_tensor(rng, *weight.shape)
    return net


def case_of(net: nn.Module, found: dict[str, torch.Tensor], outputs: torch.Tensor) -> Arrays:
    """All arrays of one net."""
    wanted = dict(net.named_parameters()) | {"x": found["x"]}
    loss = (outputs * found["dL_dy"][: len(outputs)]).sum()
    grads = torch.autograd.grad(loss, list(wanted.values()))
    return to_numpy(
        found | wanted | {f"grad/{n}": g for n, g in zip(wanted, grads, strict=True)} | {"outputs": outputs}
    )


def inputs(rng: np.random.Generator, width: int, outputs: int) -> dict[str, torch.Tensor]:
    """x, dL_dy that is zero beyond the lengths, and these."""
    lengths = torch.tensor(LENGTHS)
    alive = (torch.arange(STEPS)[:, None] < lengths)[..., None]
    dL_dy = random_tensor(rng, STEPS, SAMPLES, outputs) * alive
    return {"x": random_tensor(rng, STEPS, SAMPLES, width).requires_grad_(), "dL_dy": dL_dy, "lengths": lengths}


def bidirectional_case(rng: np.random.Generator, kind: type[nn.Module]) -> Arrays:
    """Two layers over packed sequences."""
    net = random_net(rng, kind(3, 4, num_layers=2, bidirectional=True))
    found = inputs(rng, 3, 8)
    packed = net(pack_padded_sequence(found["x"], found["lengths"], enforce_sorted=False))[0]
    return case_of(net, found, pad_packed_sequence(packed)[0])


def attention_case(rng: np.random.Generator, causal: bool, padded: bool) -> Arrays:
    """Multi-head self-attention under masks."""
    net, found = random_net(rng, nn.MultiheadAttention(WIDTH, HEADS)), inputs(rng, WIDTH, WIDTH)
    after = torch.triu(torch.ones(STEPS, STEPS, dtype=torch.bool), 1) if causal else None
    beyond = (torch.arange(STEPS)[:, None] >= found["lengths"]).T if padded else None
    x = found["x"]
    outputs, weights = net(x, x, x, key_padding_mask=beyond, attn_mask=after, average_attn_weights=False)
    if not padded:
        del found["lengths"]
    return case_of(net, found, outputs) | to_numpy({"weights": weights})


def block_case(rng: np.random.Generator, norm_first: bool, activation: str) -> Arrays:
    """A transformer's block over padded sequences."""
    options = {"norm_first": norm_first, "activation": ACTIVATIONS[activation]}
    net, found = random_net(rng, nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, **options)), inputs(rng, WIDTH, WIDTH)
    beyond = (torch.arange(STEPS)[:, None] >= found["lengths"]).T
    return case_of(net, found, net(found["x"], src_key_padding_mask=beyond))


def save(name: str, seed: int, cases: dict[str, Callable[[np.random.Generator], Arrays]]) -> None:
    """All cases of one file."""
    arrays: Arrays = {}
    for i, (case, make) in enumerate(cases.items()):
        arrays |= {f"{case}/{key}": array for key, array in make(np.random.default_rng([seed, i])).items()}
    save_npz(name, arrays)


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    kinds = {"rnn_tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    save("bidirectional", 700, {n: lambda rng, kind=kind: bidirectional_case(rng, kind) for n, kind in kinds.items()})
    masks = {"plain": (False, False), "causal": (True, False), "padded": (False, True), "causal_padded": (True, True)}
    save("attention", 800, {n: lambda rng, mask=mask: attention_case(rng, *mask) for n, mask in masks.items()})
    blocks = {
        f"{place}_{phi}": lambda rng, first=place == "pre", phi=phi: block_case(rng, first, phi)
        for place, phi in product(("pre", "post"), ACTIVATIONS)
    }
    save("blocks", 900, blocks)
