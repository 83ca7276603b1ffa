"""Writes tests/golden/models/NAME.safetensors, models.npz and *.pt: what PyTorch says about nets of its own.

`make_golden.py` says how to run this. Of each of `nets()` its state dict, NAME/x (T, B, D), or symbols (T, B), and
NAME/y (T, B, F), what it gives in evaluation, in float64 where it can be cast. `checkpoint.pt`: a state dict with tied
weights within what a training loop saves; `module.pt`: a net that was pickled whole; `lightning.ckpt`; `legacy.pt`: of
the format before 1.6.
"""

from pathlib import Path

import numpy as np
import torch
from make_golden import random_tensor
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

MODELS = Path(__file__).parent / "golden" / "models"
T, B, D, H, V = 7, 3, 2, 4, 6


class Net(nn.Module):
    """Optionally vectors of symbols, recurrent layers one on the other, optionally a layer norm and a linear layer."""

    def __init__(self, *layers: nn.Module, symbols: bool = False, head: bool = False, norm: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, D) if symbols else nn.Identity()
        self.rnns = nn.ModuleList(layers)
        width = layers[-1](torch.zeros(1, 1, layers[-1].input_size))[0].shape[-1]
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.head = nn.Linear(width, 5) if head else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(T, B, D) or (T, B) -> (T, B, F)."""
        x = self.embedding(x)
        for layer in self.rnns:
            x, _ = layer(x)
        return self.head(self.norm(x))


class Steps(nn.Module):
    """Cells one on the other, step by step."""

    def __init__(self, *cells: nn.Module) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(T, B, D) -> (T, B, H)."""
        states: list = [None] * len(self.cells)
        outputs = []
        for step in x:
            for i, cell in enumerate(self.cells):
                states[i] = cell(step, states[i])
                step = states[i][0] if isinstance(states[i], tuple) else states[i]
            outputs.append(step)
        return torch.stack(outputs)


def under(change, kind: type[nn.Module] = nn.LSTM) -> Net:
    """A layer whose recurrent weights are made by something."""
    layer = kind(D, H)
    change(layer)
    return Net(layer)


def weight_norm_pruned(layer: nn.Module) -> None:
    """The direction of the norm is pruned."""
    nn.utils.weight_norm(layer, "weight_hh_l0")
    prune.random_unstructured(layer, "weight_hh_l0_v", 0.3)


def nets() -> dict[str, nn.Module]:
    """By name."""
    norm, old_norm = parametrizations.weight_norm, nn.utils.weight_norm
    spectral, old_spectral = parametrizations.spectral_norm, nn.utils.spectral_norm
    return {
        "projected": Net(nn.LSTM(D, H, 2, proj_size=3)),
        "projected_both": Net(nn.LSTM(D, H, 2, proj_size=3, bidirectional=True)),
        "deep_both": Net(nn.GRU(D, H, 3, bidirectional=True), head=True),
        "stack": Net(nn.LSTM(D, H), nn.GRU(H, 3), nn.LSTM(3, H), norm=True, head=True),
        "lm": Net(nn.LSTM(D, H, 2), symbols=True, head=True),
        "lstm_cells": Steps(nn.LSTMCell(D, H), nn.LSTMCell(H, 3)),
        "gru_cells": Steps(nn.GRUCell(D, H), nn.GRUCell(H, H)),
        "rnn_cell": Steps(nn.RNNCell(D, H)),
        "weight_norm": under(lambda layer: norm(layer, "weight_hh_l0")),
        "weight_norm_all": under(lambda layer: [norm(layer, n, dim=1) for n in ("weight_hh_l0", "weight_ih_l0")]),
        "weight_norm_old": under(lambda layer: old_norm(layer, "weight_hh_l0"), nn.GRU),
        "weight_norm_one": under(lambda layer: old_norm(layer, "weight_hh_l0", dim=None)),
        "spectral_norm": under(lambda layer: spectral(layer, "weight_hh_l0")),
        "spectral_norm_old": under(lambda layer: old_spectral(layer, "weight_hh_l0"), nn.GRU),
        "pruned": under(lambda layer: prune.random_unstructured(layer, "weight_hh_l0", 0.5)),
        "weight_norm_pruned": under(weight_norm_pruned),
    }


def write(name: str, net: nn.Module, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The file; returns its input and output."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.6 * random_tensor(rng, *parameter.shape))
    x = torch.from_numpy(rng.integers(0, V, (T, B))) if name == "lm" else random_tensor(rng, T, B, D)
    net.eval()
    net(x if name == "lm" else x.float())  # what hooks compute once
    save_file({key: tensor.contiguous() for key, tensor in net.state_dict().items()}, MODELS / f"{name}.safetensors")
    with torch.no_grad():
        single = name == "weight_norm_pruned"  # whose hooks leave a tensor behind when the rest is cast
        y = net(x.float()) if single else net.double()(x)
    return {f"{name}/x": x.numpy(), f"{name}/y": y.numpy()}


def write_checkpoints() -> None:
    """What `gradlab convert` reads."""
    net = Net(nn.LSTM(D, H), symbols=True)
    net.tied = nn.Linear(D, V, bias=False)
    net.tied.weight = net.embedding.weight
    sd, optimizer = net.state_dict(), torch.optim.Adam(net.parameters())
    training = {"epoch": 3, "model_state_dict": sd, "optimizer_state_dict": optimizer.state_dict()}
    torch.save(training, MODELS / "checkpoint.pt")
    torch.save(net, MODELS / "module.pt")
    lightning = {
        "epoch": 1,
        "state_dict": {f"model.{name}": tensor for name, tensor in sd.items()},
        "hyper_parameters": {},
    }
    torch.save(lightning, MODELS / "lightning.ckpt")
    torch.save(sd, MODELS / "legacy.pt", _use_new_zipfile_serialization=False)


def main() -> None:
    """Write everything."""
    torch.manual_seed(0)
    rng, golden = np.random.default_rng(0), {}
    for name, net in nets().items():
        golden |= write(name, net, rng)
    np.savez_compressed(MODELS / "models.npz", **golden)
    write_checkpoints()


if __name__ == "__main__":
    main()
