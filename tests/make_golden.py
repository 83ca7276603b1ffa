"""Writes tests/golden: what PyTorch 2.13.0 (CPU) says about its own recurrent layers, as a reference for the tests.

Neither the package nor its tests need PyTorch, only this script does. To make the files anew, in an environment apart:

    pip install torch==2.13.0 numpy safetensors
    python tests/make_golden.py

Shapes: T steps, B samples, D inputs, H units, S states (h; for the LSTM h, then c), G gates.

`rnn_tanh.npz`, `rnn_relu.npz`, `lstm.npz`, `gru.npz`, float64, keys `CASE/NAME` with CASE one of `CASES`. The loss is
L = sum_t <dL_dh_t, h_t>, t = 1..T, and h_0, c_0 are random:

    x (T, B, D), dL_dh (T, B, H)
    weight_ih_l0 (G*H, D), weight_hh_l0 (G*H, H), bias_ih_l0, bias_hh_l0 (G*H,)    PyTorch's own layout
    states (T+1, S, B, H)                                                          index 0 is the initial state
    adjoints (T+1, S, B, H)              dL/dstate_t, the partial with the other state of the same step held
    retained_c_grad (T+1, B, H)          LSTM only: dL/dc_t as `c.retain_grad()` has it, thus with dh_t/dc_t for t > 0
    jacobian (T, B, S*H, S*H)            d state_t / d state_{t-1} at index t-1, states major
    grad/x, grad/weight_ih_l0, ...       dL/d of the arrays above

`lstm_padded.npz`: a padded batch, every sequence run alone over its own length. The loss is the sum of <dL_dh_t, h_t>
over the steps within the length, plus <dL_dfinal, (h, c) at the last of them>. Names as above, without a case and
without Jacobian and retained_c_grad; x is not zero in the padding, dL_dh and grad/x are; states and adjoints are NaN
after a sequence's end. Besides:

    lengths (B,), dL_dfinal (S, B, H), final (S, B, H)

`NAME.safetensors`, float32 unless said: `encoder_lstm` (an LSTM at "encoder.rnn.", a linear layer at "head."), the same
in bfloat16 as `encoder_lstm_bfloat16`, `gru_two_layers`, `rnn_relu_no_bias`, and `linear` without a recurrent layer.
`state_dicts.npz`: for all but the last NAME/x (T, B, D) and NAME/output (T, B, H), the top layer's h from a zero state,
run in float64 with the file's weights.

`clipping.npz`: gradients `input/I`, I = 0..2, and per case `CASE/output/I`; `norm` and `norm_inactive` with `max_norm`
and `total_norm` (before clipping), `value` with `clip_value`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

GOLDEN = Path(__file__).parent / "golden"
TORCH_VERSION = "2.13.0"

KINDS: dict[str, tuple[Callable[..., nn.Module], Callable[..., nn.Module], dict[str, str]]] = {
    "rnn_tanh": (nn.RNN, nn.RNNCell, {"nonlinearity": "tanh"}),
    "rnn_relu": (nn.RNN, nn.RNNCell, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, nn.LSTMCell, {}),
    "gru": (nn.GRU, nn.GRUCell, {}),
}
CASES = {  # T, B, D, H
    "batch": (7, 3, 5, 4),
    "one_step": (1, 3, 5, 4),
    "one_sample": (6, 1, 2, 5),
    "scalar": (4, 2, 1, 1),
    "long": (40, 2, 2, 3),
}
PADDED_SIZES, LENGTHS = (7, 3, 5, 4), (4, 7, 1)

Arrays = dict[str, np.ndarray]
States = tuple[torch.Tensor, ...]


def random_tensor(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Standard normal, float64: drawn by NumPy, so that the inputs do not depend on the version of PyTorch."""
    return torch.from_numpy(rng.normal(size=shape))


def stack(path: list[States]) -> torch.Tensor:
    """(T+1, S, B, H) from the states of every step."""
    return torch.stack([torch.stack(states) for states in path]).detach()


@dataclass
class Problem:
    """A layer, the one-step cell that shares its weights, and all that the loss depends on."""

    layer: nn.Module
    cell: nn.Module
    x: torch.Tensor
    initial: States
    dL_dh: torch.Tensor
    dL_dfinal: torch.Tensor

    @classmethod
    def random(cls, kind: str, rng: np.random.Generator, sizes: tuple[int, int, int, int]) -> "Problem":
        """Random weights, input, initial states and dL_dh; dL_dfinal is zero."""
        T, B, D, H = sizes
        make_layer, make_cell, options = KINDS[kind]
        layer, cell = make_layer(D, H, **options).double(), make_cell(D, H, **options)
        for name, weight in layer.named_parameters():
            weight.data = 0.6 * random_tensor(rng, *weight.shape)
            setattr(cell, name.removesuffix("_l0"), weight)
        initial = tuple(random_tensor(rng, B, H) for _ in range(2 if kind == "lstm" else 1))
        x, dL_dh = random_tensor(rng, T, B, D).requires_grad_(), random_tensor(rng, T, B, H)
        return cls(layer, cell, x, initial, dL_dh, torch.zeros(len(initial), B, H).double())

    def step(self, x_t: torch.Tensor, states: States) -> States:
        """One step of the cell, with the states a tuple whatever the cell."""
        return self.cell(x_t, states) if len(states) == 2 else (self.cell(x_t, states[0]),)

    def path(self, start: States, t: int = 0) -> list[States]:
        """The states t..T, step by step, from those at t."""
        path = [start]
        for x_t in self.x[t:]:
            path.append(self.step(x_t, path[-1]))
        return path

    def loss_after(self, path: list[States], t: int = 0) -> torch.Tensor:
        """What the states t..T add to the loss, but for <dL_dh_t, h_t> itself."""
        direct = sum((gradient * states[0]).sum() for gradient, states in zip(self.dL_dh[t:], path[1:], strict=True))
        return direct + (torch.stack(path[-1]) * self.dL_dfinal).sum()

    def run_layer(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """By the layer's own loop: h_1..h_T (T, B, H), final states (S, B, H), loss."""
        stacked = torch.stack(self.initial)
        output, final = self.layer(self.x, stacked if len(stacked) == 1 else (stacked[:1], stacked[1:]))
        final = final if len(stacked) == 1 else torch.cat(final)
        return output, final, (output * self.dL_dh).sum() + (final * self.dL_dfinal).sum()

    def alone(self, b: int, length: int) -> "Problem":
        """Sample b over its own length."""
        own = slice(b, b + 1)
        return replace(
            self,
            x=self.x[:length, own],
            initial=tuple(state[own] for state in self.initial),
            dL_dh=self.dL_dh[:length, own],
            dL_dfinal=self.dL_dfinal[:, own],
        )


def leaves(states: States) -> States:
    """Copies that a graph can start from."""
    return tuple(state.detach().clone().requires_grad_() for state in states)


def adjoints_by_restart(problem: Problem, path: list[States]) -> torch.Tensor:
    """dL/dstate_t, (T+1, S, B, H), each from a run started at a copy of state_t: h_t there does not depend on c_t."""
    later = []
    for t, states in enumerate(path):
        start = leaves(states)
        later.append(torch.autograd.grad(problem.loss_after(problem.path(start, t), t), start))
    adjoints = stack(later)
    adjoints[1:, 0] += problem.dL_dh
    return adjoints


def retained_grads(problem: Problem) -> torch.Tensor:
    """dL/dstate_t as `retain_grad` on one unbroken graph has it, (T+1, S, B, H)."""
    path = problem.path(leaves(problem.initial))
    for states in path[1:]:
        for state in states:
            state.retain_grad()
    problem.loss_after(path).backward(inputs=[state for states in path for state in states])
    return stack([tuple(state.grad for state in states) for states in path])


def jacobians(problem: Problem, path: list[States]) -> torch.Tensor:
    """d state_t / d state_{t-1}, t = 1..T, (T, B, S*H, S*H)."""
    pairs = zip(problem.x.detach(), path[:-1], strict=True)
    return torch.stack([one_step_jacobian(problem, x_t, before) for x_t, before in pairs])


def one_step_jacobian(problem: Problem, x_t: torch.Tensor, before: States) -> torch.Tensor:
    """(B, S*H, S*H), states major; asserts that no sample depends on another."""

    def step(joint: torch.Tensor) -> torch.Tensor:
        return torch.cat(problem.step(x_t, joint.chunk(len(before), dim=1)), dim=1)

    joint = torch.cat(before, dim=1).detach()  # (B, S*H)
    blocks = torch.autograd.functional.jacobian(step, joint).transpose(1, 2)  # (B, B, S*H, S*H)
    own = torch.eye(len(joint), dtype=torch.bool)
    assert not blocks[~own].any()
    return blocks[own]


def gradients(problem: Problem, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """dL/dx and dL/d of every parameter, as `grad/NAME`."""
    wanted = {"x": problem.x, **dict(problem.layer.named_parameters())}
    found = torch.autograd.grad(loss, list(wanted.values()))
    return {f"grad/{name}": gradient for name, gradient in zip(wanted, found, strict=True)}


def check_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-13) -> None:
    """Asserts a largest difference, relative to the largest value or to 1."""
    assert (actual - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max()))


def check_retained(retained: torch.Tensor, states: torch.Tensor, adjoints: torch.Tensor) -> None:
    """`retain_grad` agrees with the restarts, but for the part of dL/dc_t through h_t = o_t tanh(c_t), t > 0."""
    expected = adjoints.clone()
    if states.shape[1] == 2:
        (h, c), lambda_h = states[1:].unbind(1), adjoints[1:, 0]
        expected[1:, 1] += h / c.tanh() * (1 - c.tanh() ** 2) * lambda_h
    check_close(retained, expected)


def to_numpy(tensors: Mapping[str, torch.Tensor]) -> Arrays:
    """Plain arrays under the same names."""
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def save_npz(name: str, arrays: Arrays) -> None:
    """One file of golden arrays."""
    np.savez_compressed(GOLDEN / f"{name}.npz", allow_pickle=False, **arrays)


def recurrent_case(problem: Problem) -> Arrays:
    """All arrays of one case."""
    path = problem.path(problem.initial)
    states, adjoints, retained = stack(path), adjoints_by_restart(problem, path), retained_grads(problem)
    output, _, loss = problem.run_layer()
    check_close(output, states[1:, 0], 1e-14)
    check_retained(retained, states, adjoints)
    found = {"x": problem.x, "dL_dh": problem.dL_dh, **dict(problem.layer.named_parameters())}
    found |= {"states": states, "adjoints": adjoints, "jacobian": jacobians(problem, path)}
    if states.shape[1] == 2:
        found["retained_c_grad"] = retained[:, 1]
    return to_numpy(found | gradients(problem, loss))


def save_recurrent() -> None:
    """One file per kind of layer."""
    for i, kind in enumerate(KINDS):
        arrays: Arrays = {}
        for j, (case, sizes) in enumerate(CASES.items()):
            found = recurrent_case(Problem.random(kind, np.random.default_rng([1, i, j]), sizes))
            arrays |= {f"{case}/{name}": array for name, array in found.items()}
        save_npz(kind, arrays)


def padded_problem() -> Problem:
    """An LSTM with a loss on the final states too; dL_dh is zero in the padding, x is not."""
    rng = np.random.default_rng(100)
    problem = Problem.random("lstm", rng, PADDED_SIZES)
    problem.dL_dfinal = random_tensor(rng, *problem.dL_dfinal.shape)
    for b, length in enumerate(LENGTHS):
        problem.dL_dh[length:, b] = 0
    return problem


def packed_loss(problem: Problem) -> torch.Tensor:
    """The padded batch's loss by PyTorch's packed sequences, a second way to the same numbers."""
    packed = pack_padded_sequence(problem.x, list(LENGTHS), enforce_sorted=False)
    h, c = problem.initial
    output, final = problem.layer(packed, (h[None], c[None]))
    return (pad_packed_sequence(output)[0] * problem.dL_dh).sum() + (torch.cat(final) * problem.dL_dfinal).sum()


def save_padded() -> None:
    """Every sequence of a padded batch run alone; asserts that packed sequences give the same gradients."""
    problem = padded_problem()
    found = {"x": problem.x, "lengths": torch.tensor(LENGTHS), "dL_dh": problem.dL_dh, "dL_dfinal": problem.dL_dfinal}
    states = torch.full((len(problem.x) + 1, *problem.dL_dfinal.shape), torch.nan).double()
    adjoints, final, loss = states.clone(), torch.empty_like(problem.dL_dfinal), torch.zeros(()).double()
    for b, length in enumerate(LENGTHS):
        alone = problem.alone(b, length)
        path = alone.path(alone.initial)
        states[: length + 1, :, [b]] = stack(path)
        adjoints[: length + 1, :, [b]] = adjoints_by_restart(alone, path)
        _, final[:, [b]], own_loss = alone.run_layer()
        loss = loss + own_loss
    found |= {"states": states, "adjoints": adjoints, "final": final, **dict(problem.layer.named_parameters())}
    found |= gradients(problem, loss)
    for name, gradient in gradients(problem, packed_loss(problem)).items():
        check_close(gradient, found[name])
    save_npz("lstm_padded", to_numpy(found))


def encoder_lstm() -> nn.Module:
    """An LSTM inside a module, beside a layer that is not recurrent."""
    return nn.ModuleDict({"encoder": nn.ModuleDict({"rnn": nn.LSTM(3, 4)}), "head": nn.Linear(4, 2)})


def save_state_dicts() -> None:
    """Weights as users have them, from PyTorch's own initialisation, and what the layers make of an input."""
    torch.manual_seed(0)
    lstm, gru, rnn = encoder_lstm(), nn.GRU(3, 4, num_layers=2), nn.RNN(3, 4, nonlinearity="relu", bias=False)
    rounded = encoder_lstm().bfloat16()
    save_file(nn.Linear(3, 4).state_dict(), GOLDEN / "linear.safetensors")
    layers = {
        "encoder_lstm": (lstm, lstm["encoder"]["rnn"]),
        "encoder_lstm_bfloat16": (rounded, rounded["encoder"]["rnn"]),
        "gru_two_layers": (gru, gru),
        "rnn_relu_no_bias": (rnn, rnn),
    }
    outputs: Arrays = {}
    for i, (name, (model, layer)) in enumerate(layers.items()):
        save_file(model.state_dict(), GOLDEN / f"{name}.safetensors")
        x = random_tensor(np.random.default_rng([200, i]), 6, 2, 3)
        outputs |= to_numpy({f"{name}/x": x, f"{name}/output": layer.double()(x)[0]})
    save_npz("state_dicts", outputs)


def clipped(inputs: list[torch.Tensor], clip: Callable[..., torch.Tensor | None], limit: float) -> Arrays:
    """The gradients after `clip`, and the total norm where it returns one."""
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in inputs]
    for parameter, gradient in zip(parameters, inputs, strict=True):
        parameter.grad = gradient.clone()
    total_norm = clip(parameters, limit)
    found = {f"output/{i}": parameter.grad for i, parameter in enumerate(parameters)}
    return to_numpy(found if total_norm is None else found | {"total_norm": total_norm})


def save_clipping() -> None:
    """The two ways of clipping an update, and a norm clip that has nothing to do."""
    rng = np.random.default_rng(300)
    inputs = [random_tensor(rng, *shape) for shape in ((4, 5), (4, 4), (4,))]
    arrays = to_numpy({f"input/{i}": gradient for i, gradient in enumerate(inputs)})
    cases = {
        "norm": (clip_grad_norm_, "max_norm", 1.5),
        "norm_inactive": (clip_grad_norm_, "max_norm", 100.0),
        "value": (clip_grad_value_, "clip_value", 0.5),
    }
    for case, (clip, limit_name, limit) in cases.items():
        found = {limit_name: np.array(limit), **clipped(inputs, clip, limit)}
        arrays |= {f"{case}/{name}": array for name, array in found.items()}
    save_npz("clipping", arrays)


def main() -> None:
    """Writes every file of tests/golden."""
    assert torch.__version__.split("+")[0] == TORCH_VERSION, f"made with torch {TORCH_VERSION}, got {torch.__version__}"
    torch.use_deterministic_algorithms(True)
    GOLDEN.mkdir(exist_ok=True)
    save_recurrent()
    save_padded()
    save_state_dicts()
    save_clipping()


if __name__ == "__main__":
    main()
