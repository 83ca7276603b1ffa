"""A loop that is watched: when there is a row, that nothing else changes, and what wrappers and precisions do."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import gradlab
import gradlab.torch as gt
from gradlab.importers import to_state_dict

from .test_exact import off

T, B, D, H = 12, 4, 3, 5


class Net(nn.Module):
    """An embedding, a stack, and a read-out of the last step."""

    def __init__(self, **more):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(9, D, **more)
        self.encoder = nn.LSTM(D, H, 2, dropout=0.3)
        self.out = nn.Linear(H, 2)

    def forward(self, tokens):
        return self.out(self.encoder(self.embed(tokens))[0][-1])


def tokens(seed=0):
    return torch.randint(9, (T, B), generator=torch.Generator().manual_seed(seed))


def loss_of(net, seed=0):
    return nn.functional.cross_entropy(net(tokens(seed)), torch.arange(B) % 2)


def gradient(layer):
    return to_state_dict(layer.traj.cell, layer.loss.params)["weight_hh_l0"]


def trained(net, watch, iterations=4):
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    rows = []
    for n in range(iterations):
        optimizer.zero_grad()
        loss = loss_of(net, n)
        loss.backward()
        rows.append(watch.step(loss) if watch else None)
        optimizer.step()
    return rows


def test_there_is_a_row_now_and_then_and_training_stays_as_it_is():
    plain, watched = Net(), Net()
    trained(plain, None)
    with gt.watch(watched, every=2) as watch:
        rows = trained(watched, watch)
    assert [row and row.iteration for row in rows] == [0, None, 2, None]
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in watched.modules())
    assert all(row.notes == () and row["encoder.l1"].output_error < 1e-6 for row in rows[::2])


def test_scalars_have_one_prefix_for_each_layer():
    net = nn.GRU(D, H, bidirectional=True)
    with gt.watch(net) as watch:
        loss = net(torch.randn(150, B, D))[0].sum()
        loss.backward()
        scalars = watch.step(loss).scalars()
    names = [
        "reach",
        "ln_rate",
        "ln_share_10",
        "ln_share_100",
        "ln_loss_grad_first",
        "ln_loss_grad_last",
        "output_error",
    ]
    assert list(scalars) == [f"gru.l0{end}/{name}" for end in ("", "_reverse") for name in names]
    assert all(isinstance(value, float) for value in scalars.values())
    assert scalars["gru.l0/ln_share_100"] < scalars["gru.l0/ln_share_10"] < 0


def test_a_layer_is_a_dataset_as_of_analyze():
    net = nn.LSTM(D, H)
    with gt.watch(net, samples=3) as watch:
        x = torch.randn(T, B, D)
        loss = net(x)[0][-1].sum()
        loss.backward()
        layer = watch.step(loss)["lstm.l0"]
    cell, params = gradlab.from_state_dict({n: w.double() for n, w in net.state_dict().items()})
    ones = np.zeros((T, 3, H))
    ones[-1] = 1.0
    expected = gradlab.analyze(cell=cell, params=params, x=x[:, :3].double().numpy(), dL_dh=ones)
    np.testing.assert_allclose(layer.dataset.log_grad_norm, expected.log_grad_norm, atol=1e-12)
    np.testing.assert_allclose(layer.dataset.log_loss_grad_norm, expected.log_loss_grad_norm, atol=1e-12)
    assert layer.verdict == gradlab.verdict(layer.dataset) or layer.verdict.word == gradlab.verdict(layer.dataset).word


def test_several_calls_in_one_iteration_have_numbers():
    net = nn.GRU(D, H)
    x = torch.randn(2, T, B, D)
    with gt.watch(net, samples=B) as watch:
        with torch.no_grad():
            net(x[0])  # evaluation counts for nothing, nor does what no loss reads
        net(x[0])
        y, h = net(x[0])
        (y.sum() + net(x[1], h)[0].pow(2).sum()).backward()
        row = watch.step(0.0)
    assert list(row) == ["gru.l0", "gru.l0.call1"]
    assert off(gradient(row["gru.l0"]) + gradient(row["gru.l0.call1"]), net.weight_hh_l0.grad.numpy()) < 1e-6


def test_gradients_that_are_accumulated():
    net = Net()
    with gt.watch(net) as watch:
        for seed in range(2):
            loss = loss_of(net, seed) / 2
            loss.backward()
        row = watch.step(loss)
    total = gradient(row["encoder.l0"]) + gradient(row["encoder.l0.call1"])
    assert off(total, net.encoder.weight_hh_l0.grad.numpy()) < 1e-6


def test_two_backward_passes_through_one_call():
    net = nn.GRU(D, H)
    with gt.watch(net, samples=B) as watch:
        y = net(torch.randn(T, B, D))[0]
        y.sum().backward(retain_graph=True)
        y.pow(2).sum().backward()
        row = watch.step(0.0)
    assert off(gradient(row["gru.l0"]), net.weight_hh_l0.grad.numpy()) < 1e-6


def test_the_factor_of_mixed_precision_is_divided_out():
    net, scaler = Net(), torch.amp.GradScaler("cpu", init_scale=2.0**12)
    with gt.watch(net, scaler=scaler) as watch:
        loss = loss_of(net)
        scaler.scale(loss).backward()
        row = watch.step(loss)
    assert off(gradient(row["encoder.l0"]), net.encoder.weight_hh_l0.grad.numpy() / 2**12) < 1e-6
    assert watch.record.norms[0] < 10


def test_a_gradient_that_the_scaler_lets_overflow_is_no_alarm():
    net, scaler = Net(), torch.amp.GradScaler("cpu", init_scale=2.0**126)
    with gt.watch(net, every=100, scaler=scaler) as watch:
        rows = []
        for _ in range(2):
            loss = loss_of(net)
            (scaler.scale(loss) * 2.0**10).backward()
            rows.append(watch.step(loss))
    assert rows[0].finding is None and rows[0]["encoder.l1"].loss is None and rows[1] is None
    assert not np.isfinite(watch.record.norms).any()


def test_autocast():
    net = Net().eval()
    with gt.watch(net) as watch, torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of(net)
        loss.backward()
        row = watch.step(loss)
    assert 1e-5 < row["encoder.l1"].output_error < 0.05 and not row.notes


def test_an_output_that_is_not_the_one_computed_again_is_said():
    def draw(*_):  # what dropout would have had
        torch.rand(7)

    net = Net()
    with gt.watch(net) as watch:
        net.encoder.register_forward_pre_hook(draw)
        loss = loss_of(net)
        loss.backward()
        row = watch.step(loss)
    assert row["encoder.l1"].output_error > 0.01
    assert row.notes[0].startswith("encoder: computed again, its output is off by ")
    assert row.notes[0].endswith("more than torch.float32 rounds: the gradients are of the output computed again")


def test_dropout_by_cudnn_is_refused(monkeypatch):
    from gradlab.torch import replay

    net = Net()
    with gt.watch(net) as watch:
        loss = loss_of(net)
        loss.backward()
        monkeypatch.setattr(replay, "HOST", "another")
        with pytest.raises(
            gradlab.InputError, match="encoder: dropout between layers is drawn by cuDNN on .*dropout = 0"
        ):
            watch.step(loss)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: net])
def test_names_are_the_models_own(wrap):
    model = wrap(Net())
    with gt.watch(model) as watch:
        loss = loss_of(model)
        loss.backward()
        assert list(watch.step(loss)) == ["encoder.l0", "encoder.l1"]


def test_a_batch_split_over_devices_is_refused():
    model = nn.DataParallel(Net())
    model.device_ids = [0, 1]
    with pytest.raises(gradlab.InputError, match="got DataParallel over 2 devices, which splits it; use Distributed"):
        gt.watch(model)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.filterwarnings("ignore")  # of what PyTorch itself imports to compile
def test_a_compiled_model(backend):
    model = torch.compile(Net().eval(), backend=backend)
    with gt.watch(model) as watch:
        loss = loss_of(model)
        loss.backward()
        row = watch.step(loss)
    assert off(gradient(row["encoder.l0"]), model._orig_mod.encoder.weight_hh_l0.grad.numpy()) < 1e-6


def pruned(net):
    prune.random_unstructured(net.encoder, "weight_hh_l0", 0.5)


def normed(net):
    parametrizations.weight_norm(net.encoder, "weight_hh_l0")


def bounded(net):
    parametrizations.spectral_norm(net.encoder, "weight_hh_l1")


@pytest.mark.parametrize("change", [pruned, normed, bounded])
def test_weights_are_the_effective_ones(change):
    net, plain = Net(), Net()
    for each in (net, plain):
        torch.manual_seed(3)
        change(each)
    torch.manual_seed(4)
    with gt.watch(net, samples=B) as watch:
        loss = loss_of(net)
        loss.backward()
        row = watch.step(loss)
    torch.manual_seed(4)
    loss_of(plain).backward()
    for a, b in zip(net.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert row["encoder.l1"].output_error < 1e-6
    if change is pruned:
        found = gradient(row["encoder.l0"]) * net.encoder.weight_hh_l0_mask.numpy()
        assert off(found, net.encoder.weight_hh_l0_orig.grad.numpy()) < 1e-6


def test_sparse_gradients():
    net = Net(sparse=True)
    with gt.watch(net) as watch:
        loss = loss_of(net)
        loss.backward()
        watch.step(loss)
    dense = [p.grad.to_dense() if p.grad.is_sparse else p.grad for p in net.parameters()]
    assert watch.record.norms[0] == pytest.approx(float(sum((g**2).sum() for g in dense) ** 0.5))


def test_what_is_written_into_later_was_copied():
    net = nn.GRU(D, H)
    with gt.watch(net) as watch:
        x = torch.randn(T, B, D)
        y = net(x)[0]
        loss = y.mul_(2).sum()
        loss.backward()
        x.zero_()
        row = watch.step(loss)
    assert row["gru.l0"].output_error < 1e-6


def test_a_step_after_the_optimizers_is_refused():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with gt.watch(net) as watch:
        loss = loss_of(net)
        loss.backward()
        optimizer.step()
        with pytest.raises(
            gradlab.InputError, match="weight_ih_l0 of encoder: .*after backward.* before optimizer.step"
        ):
            watch.step(loss)


def test_a_first_step_without_a_backward_pass_is_refused():
    with gt.watch(Net()) as watch, pytest.raises(gradlab.InputError, match="expected a backward pass through encoder"):
        watch.step(1.0)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (None, {}, "model: expected a torch.nn.Module, got None"),
        (nn.Linear(2, 2), {}, "model: expected nn.RNN, nn.LSTM, nn.GRU or their cells to watch, got Linear"),
        (nn.GRU(2, 2), {"every": 0}, "every: expected a whole number from 1 on, got 0"),
        (nn.GRU(2, 2), {"samples": 0.5}, "samples: expected a whole number from 1 on, got 0.5"),
    ],
)
def test_what_cannot_be_watched(model, options, message):
    with pytest.raises(gradlab.InputError, match=message):
        gt.watch(model, **options)
