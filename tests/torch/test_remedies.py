"""A model on one batch, and a remedy judged by training with it and without."""

import copy

import pytest
import torch
from torch import nn

import gradlab
import gradlab.torch as gt
from gradlab.diagnosis import Change

T, B, D, H = 40, 8, 2, 8
OPENED = Change("Forget bias + 3", transform=("shift_forget_bias", 3.0))


class Net(nn.Module):
    """Says the sign of what was heard first."""

    def __init__(self, kind=nn.LSTM, **more):
        super().__init__()
        torch.manual_seed(0)
        self.rnn, self.norm, self.out = kind(D, H, **more), nn.BatchNorm1d(H), nn.Linear(H, 1)

    def forward(self, x):
        return self.out(self.norm(self.rnn(x)[0][-1]))[:, 0]


def batches(count=5):
    torch.manual_seed(1)
    xs = [torch.randn(T, B, D) for _ in range(count)]
    return [(x, x[0, :, 0]) for x in xs]


def test_one_batch_is_looked_at_and_the_model_stays_as_it_is():
    net, batch = Net(), batches(1)[0]
    nn.functional.mse_loss(net(batch[0]), batch[1]).backward()
    before = copy.deepcopy(net.state_dict())
    gradients = [p.grad.clone() for p in net.parameters()]
    state = torch.get_rng_state()
    row = gt.analyze(net, batch, nn.functional.mse_loss)
    assert list(row) == ["rnn.l0"] and "log_loss_grad_norm" in row["rnn.l0"].dataset
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before.values(), net.state_dict().values(), strict=True))
    assert all(torch.equal(a, p.grad) for a, p in zip(gradients, net.parameters(), strict=True))


def test_several_arguments():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(D, H)

        def forward(self, x, h):
            return self.rnn(x, h)[0]

    batch = (torch.randn(T, B, D), torch.randn(1, B, H)), torch.zeros(T, B, H)
    row = gt.analyze(Two(), batch, nn.functional.mse_loss)
    assert abs(row["rnn.l0"].traj.states[0]).max() > 0


def test_a_remedy_is_judged_in_training():
    net = Net()
    before = copy.deepcopy(net.state_dict())
    trial = gt.try_remedy(net, batches(), nn.functional.mse_loss, OPENED, iterations=30)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), net.state_dict().values(), strict=True))
    assert len(trial.with_it.losses) == len(trial.without.losses) == 30
    assert trial.with_it.dataset().reach[0] > trial.without.dataset().reach[0]
    assert trial.outcome in ("helped", "no difference", "harm")
    first, second = str(trial).splitlines()
    assert first.startswith("Forget bias + 3: over 30 iterations the loss came to ")
    assert second.startswith("Reach of rnn.l0 in steps: from ")
    again = gt.try_remedy(net, batches(), nn.functional.mse_loss, OPENED, iterations=30)
    assert again.with_it.losses == trial.with_it.losses


def test_a_watch_goes_on_while_copies_are_tried():
    net, (batch, *_) = Net(), batches()
    with gt.watch(net, every=1) as watch:
        loss = nn.functional.mse_loss(net(batch[0]), batch[1])
        loss.backward()
        watch.step(loss)
        remedies = watch.diagnose().remedies
        trial = gt.try_remedy(net, batches(), nn.functional.mse_loss, remedies[0], iterations=4)
        assert trial.label == remedies[0].change.label
        nn.functional.mse_loss(net(batch[0]), batch[1]).backward()
        assert list(watch.step(0.0)) == ["rnn.l0"]


TRANSFORMS = {"scale_recurrent": ("weight_hh",), "scale_input": ("weight_ih",), "scale_bias": ("bias_ih", "bias_hh")}


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_weights_are_changed_as_the_remedy_says(kind, transform):
    net = Net(kind, num_layers=2)
    change = Change("change", transform=(transform, 1.5))
    trial = gt.try_remedy(net, batches(), nn.functional.mse_loss, change, iterations=1)
    with torch.no_grad():
        for name, parameter in net.rnn.named_parameters():
            if name.startswith(TRANSFORMS[transform]):
                parameter.mul_(1.5)
        x, y = batches(1)[0]
        expected = float(nn.functional.mse_loss(net(x), y))
    assert trial.with_it.losses[0] == pytest.approx(expected, rel=1e-5)
    assert trial.without.losses[0] != pytest.approx(expected, rel=1e-5)


def test_clipping_as_a_remedy():
    change = Change("Clip the update by norm", {"clip": "norm"})
    trial = gt.try_remedy(
        Net(), batches(), nn.functional.mse_loss, change, 20, lambda parameters: torch.optim.SGD(parameters, lr=5.0)
    )
    assert trial.with_it.losses[0] == trial.without.losses[0] and trial.with_it.losses[1] != trial.without.losses[1]


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({}, Change("An LSTM", {"cell": "lstm"}), "remedy: 'An LSTM' draws weights anew or takes another cell"),
        ({}, "more", "remedy: expected one of Watch.diagnose.*remedies, got 'more'"),
        ({"proj_size": 3}, OPENED, "remedy: expected plain weights in rnn, got some that a parametrization or"),
        ({"bias": False}, OPENED, "remedy: 'Forget bias . 3' needs a bias, which rnn lacks; make it with bias=True"),
    ],
)
def test_what_cannot_be_tried(options, change, message):
    with pytest.raises(gradlab.InputError, match=message):
        gt.try_remedy(Net(**options), batches(), nn.functional.mse_loss, change, iterations=2)


def test_batches_that_are_no_pairs():
    net = Net()
    with pytest.raises(gradlab.InputError, match="batch: expected a pair .x, y., as a loader gives it, got .*Tensor"):
        gt.analyze(net, torch.zeros(T, B, D), nn.functional.mse_loss)
    with pytest.raises(gradlab.InputError, match="loss_fn: expected a tensor with one number, got .*Tensor"):
        gt.analyze(net, batches(1)[0], lambda y, target: y - target)
    with pytest.raises(gradlab.InputError, match="loader: expected batches .x, y., got none"):
        gt.try_remedy(net, [], nn.functional.mse_loss, OPENED)
