"""Writes what PyTorch says about nets of several layers and about losses; `make_golden.py` says how to run this.

`networks.npz`, float64: keys `CASE/NAME`, parameters in PyTorch's own layout. `stack`: a two-layer LSTM and a linear
layer, MSE of every step; `many_to_one`: the same net with the mean cross-entropy of the last step, every sequence over
its own length (packed); `embedded`: an embedding, an RNN, a layer norm and a linear layer, the mean cross-entropy of
the steps within the lengths. Outputs beyond a length are arbitrary.

    x (T, B, D), or symbols (T, B); targets; lengths (B,) but for `stack`
    NAME, grad/NAME for every parameter; grad/x (T, B, D) but for symbols; outputs, loss ()

`losses.npz`: keys `CASE/outputs`, `CASE/targets`, `CASE/value`, `CASE/gradient` for `mse`, `cross_entropy`,
`cross_entropy_masked` (target -100 where it does not count) and `binary_cross_entropy`, reduction "mean".
"""

import numpy as np
import torch
from make_golden import LENGTHS, Arrays, random_tensor, save_npz, to_numpy
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence


class Net(nn.Module):
    """Optionally an embedding, a recurrent layer, optionally a layer norm, and a linear layer."""

    def __init__(self, recurrent: nn.Module, outputs: int, symbols: int = 0) -> None:
        super().__init__()
        if symbols:
            self.embedding, self.norm = nn.Embedding(symbols, recurrent.input_size), nn.LayerNorm(recurrent.hidden_size)
        self.recurrent, self.head, self.symbols = recurrent, nn.Linear(recurrent.hidden_size, outputs), symbols

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(T, B, D) or symbols (T, B) -> outputs of every step (T, B, O)."""
        hidden = self.recurrent(self.embedding(x) if self.symbols else x)[0]
        return self.head(self.norm(hidden) if self.symbols else hidden)

    def last(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, O), from the last layer's h at each sequence's own end."""
        _, (h, _) = self.recurrent(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return self.head(h[-1])


def net_case(net: Net, found: dict[str, torch.Tensor], outputs: torch.Tensor, loss: torch.Tensor) -> Arrays:
    """All arrays of one net."""
    wanted = dict(net.named_parameters()) | ({} if net.symbols else {"x": found["x"]})
    grads = torch.autograd.grad(loss, list(wanted.values()))
    found = found | wanted | {f"grad/{name}": grad for name, grad in zip(wanted, grads, strict=True)}
    return to_numpy(found | {"outputs": outputs, "loss": loss})


def random_net(rng: np.random.Generator, net: Net) -> Net:
    """The net in float64 with weights drawn by NumPy."""
    for weight in net.double().parameters():
        weight.data = 0.6 * random_tensor(rng, *weight.shape)
    return net


def stack_case(rng: np.random.Generator) -> Arrays:
    """A two-layer LSTM and a linear layer, MSE of every step."""
    net = random_net(rng, Net(nn.LSTM(3, 4, num_layers=2), 2))
    x, targets = random_tensor(rng, 6, 3, 3).requires_grad_(), random_tensor(rng, 6, 3, 2)
    outputs = net(x)
    return net_case(net, {"x": x, "targets": targets}, outputs, functional.mse_loss(outputs, targets))


def many_to_one_case(rng: np.random.Generator) -> Arrays:
    """The same net, cross-entropy of each sequence's last step."""
    net = random_net(rng, Net(nn.LSTM(3, 4, num_layers=2), 3))
    x, lengths, targets = random_tensor(rng, 7, 3, 3).requires_grad_(), torch.tensor(LENGTHS), torch.tensor([2, 0, 1])
    outputs = net.last(x, lengths)
    found = {"x": x, "targets": targets, "lengths": lengths}
    return net_case(net, found, outputs, functional.cross_entropy(outputs, targets))


def embedded_case(rng: np.random.Generator) -> Arrays:
    """Symbols in, cross-entropy of the steps within each length."""
    net = random_net(rng, Net(nn.RNN(3, 4), 5, symbols=5))
    x, targets = torch.from_numpy(rng.integers(0, 5, (2, 7, 3)))
    lengths = torch.tensor(LENGTHS)
    outputs, alive = net(x), torch.arange(7)[:, None] < lengths
    loss = functional.cross_entropy(outputs[alive], targets[alive])
    return net_case(net, {"x": x, "targets": targets, "lengths": lengths}, outputs, loss)


def save_networks() -> None:
    """Nets of several layers."""
    cases = {"stack": stack_case, "many_to_one": many_to_one_case, "embedded": embedded_case}
    arrays: Arrays = {}
    for i, (case, make) in enumerate(cases.items()):
        arrays |= {f"{case}/{name}": array for name, array in make(np.random.default_rng([400, i])).items()}
    save_npz("networks", arrays)


def save_losses() -> None:
    """Losses and their gradients."""
    rng = np.random.default_rng(500)
    classes = torch.from_numpy(rng.integers(0, 4, (5, 3)))
    masked = torch.where(torch.from_numpy(rng.random((5, 3)) < 0.4), -100, classes)
    cases = {
        "mse": (functional.mse_loss, random_tensor(rng, 5, 3, 2)),
        "cross_entropy": (functional.cross_entropy, classes),
        "cross_entropy_masked": (functional.cross_entropy, masked),
        "binary_cross_entropy": (functional.binary_cross_entropy_with_logits, torch.from_numpy(rng.random((5, 3, 2)))),
    }
    arrays: Arrays = {}
    for case, (loss, targets) in cases.items():
        entropy = case.startswith("cross")
        outputs = (3 * random_tensor(rng, 5, 3, 4 if entropy else 2)).requires_grad_()
        value = loss(outputs.flatten(0, 1), targets.flatten()) if entropy else loss(outputs, targets)
        (gradient,) = torch.autograd.grad(value, outputs)
        found = {"outputs": outputs, "targets": targets, "value": value, "gradient": gradient}
        arrays |= to_numpy({f"{case}/{name}": tensor for name, tensor in found.items()})
    save_npz("losses", arrays)


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    save_networks()
    save_losses()
