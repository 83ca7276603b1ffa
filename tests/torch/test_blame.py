"""Numbers that are not finite are traced to where they come from: module, layer, direction, gate, step and sample."""

import math
import re

import pytest
import torch
from torch import nn

import gradlab
import gradlab.torch as gt

T, B, D, H = 12, 4, 3, 5


class Model(nn.Module):
    """Two recurrent modules after each other."""

    def __init__(self, kind=nn.LSTM, **more):
        super().__init__()
        self.encoder, self.decoder = kind(D, H, **more), nn.GRU(H * (1 + more.get("bidirectional", False)), H)

    def forward(self, x):
        return self.decoder(self.encoder(x)[0])[0]


def one(model, x, loss_of, every=10, before=0):
    """The row of an iteration that `before` good ones went before."""
    with gt.watch(model, every=every) as watch:
        for n in range(before + 1):
            loss = loss_of(model(x)) if n == before else model(x).pow(2).sum()
            loss.backward()
            row = watch.step(loss)
    return row


@pytest.mark.parametrize("before", [0, 3])
def test_a_gradient_that_the_loss_breaks(before):
    def loss(y):
        return y.sum() + torch.sqrt(0 * y[7, 2]).sum()

    torch.manual_seed(0)
    row = one(Model(), torch.randn(T, B, D), loss, before=before)
    finding = row.finding
    assert row.iteration == before and math.isfinite(row.loss)
    assert (finding.kind, finding.source, finding.layer, finding.step, finding.sample) == (
        "nan",
        "loss",
        "decoder.l0",
        8,
        2,
    )
    text = f"iteration {before}: dL/dh of decoder.l0 holds nan at step 8, sample 2: the loss, not the recurrence"
    with pytest.raises(gt.Alarm, match=text) as alarm:
        row.raise_if("nan", "overflow")
    assert isinstance(alarm.value, gradlab.InputError) and alarm.value.finding is finding
    row.raise_if("overflow")
    assert row["decoder.l0"].verdict.word and "decoder.l0/ln_loss_grad_first" not in row.scalars()


@pytest.mark.parametrize(("unit", "layer"), [(1, "lstm.l1"), (H + 1, "lstm.l1_reverse")])
def test_the_direction_that_the_loss_breaks(unit, layer):
    lstm = nn.LSTM(D, H, 2, bidirectional=True)
    row = one_of(lstm, lambda y, final: torch.sqrt(0 * y[3, 1, unit]))
    assert (row.finding.layer, row.finding.step, row.finding.sample) == (layer, 4, 1)


@pytest.mark.parametrize(("state", "name"), [(0, "h"), (1, "c")])
def test_a_last_state_that_the_loss_breaks(state, name):
    lstm = nn.LSTM(D, H, 2, bidirectional=True)
    row = one_of(lstm, lambda y, final: y.sum() + torch.sqrt(0 * final[state][1, 2]).sum())
    assert (
        row.finding.text
        == f"dL/d{name} of the last state of lstm.l0_reverse holds nan at sample 2: the loss, not the recurrence"
    )


def one_of(module, loss_of):
    with gt.watch(module) as watch:
        loss = loss_of(*module(torch.randn(T, B, D)))
        loss.backward()
        return watch.step(loss)


def test_a_loss_that_is_not_finite_though_its_gradient_is():
    row = one(Model(), torch.randn(T, B, D), lambda y: y.sum() + torch.tensor(math.inf))
    assert (row.finding.kind, row.finding.source) == ("overflow", "loss")
    assert row.finding.text == "the loss is inf, though what it is made of is finite in every watched module"


def test_an_input_that_is_not_finite():
    x = torch.randn(T, B, D)
    x[5, 3, 0] = math.nan
    row = one(Model(), x, torch.sum)
    assert row.finding.text == "the input of encoder holds nan at step 6, sample 3: it comes from before it"
    assert not row.layers


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_forward_pass_that_overflows(bidirectional):
    model = Model(nn.RNN, nonlinearity="relu", bidirectional=bidirectional)
    end = "_reverse" if bidirectional else ""
    with torch.no_grad():
        getattr(model.encoder, f"weight_hh_l0{end}").copy_(1e9 * torch.eye(H))
    x = torch.zeros(T, B, D)
    x[0 if not bidirectional else -1, 2] = 10.0
    with torch.no_grad():
        getattr(model.encoder, f"weight_ih_l0{end}").fill_(1.0)
    row = one(model, x, torch.sum)
    place = 6 if not bidirectional else T - 5
    assert (row.finding.source, row.finding.layer, row.finding.step) == ("forward pass", f"encoder.l0{end}", place)
    assert f"left the finite numbers at step {place}, gate " in row.finding.text
    with pytest.raises(gt.Alarm, match="iteration 0: the forward pass of encoder.l0"):
        row.raise_if("overflow", "nan")


def test_a_gradient_that_overflows_on_its_way_back():
    rnn = exploding(1)
    with gt.watch(rnn) as watch:
        loss = rnn(torch.ones(100, B, 1))[0][-1].sum()
        loss.backward()
        row = watch.step(loss)
    assert row.finding.source == "backward pass" and row.finding.layer == "rnn.l0"
    assert "the gradient of rnn.l0 grows to 10^48 at step 1" in row.finding.text
    assert row["rnn.l0"].loss is not None


def exploding(size):
    """A module whose gradient becomes 3 times as large at every step back."""
    rnn = nn.RNN(size, H, nonlinearity="relu", bias=False)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(3 * torch.eye(H))
        rnn.weight_ih_l0.fill_(1e-30)
    return rnn


def test_a_gradient_that_overflows_between_two_modules_is_of_the_later_one():
    model = Model()
    model.encoder, model.decoder = nn.LSTM(D, H), exploding(H)
    torch.nn.init.constant_(model.encoder.bias_ih_l0, 1.0)  # what it says is positive
    row = one(model, torch.randn(100, B, D), lambda y: y[-1].sum())
    assert (row.finding.source, row.finding.layer) == ("backward pass", "decoder.l0")


def test_the_earlier_of_two_calls_that_overflows():
    rnn = exploding(1)
    with gt.watch(rnn) as watch:
        loss = rnn(torch.ones(100, B, 1))[0][-1].sum() + rnn(torch.ones(5, B, 1))[0].sum()
        loss.backward()
        row = watch.step(loss)
    assert "grows to 10^48 at step 1" in row.finding.text


def test_a_gradient_that_is_not_finite_elsewhere():
    class Rooted(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.rnn = nn.Parameter(torch.zeros(D)), nn.GRU(D, H)

        def forward(self, x):
            return self.rnn(x * torch.sqrt(self.scale))[0]

    row = one(Rooted(), torch.randn(T, B, D), torch.sum)
    assert row.finding.source == "elsewhere" and row["rnn.l0"].loss is not None
    assert re.fullmatch(r"the gradient of scale holds (-?inf|nan), which no watched module made", row.finding.text)


def test_a_forward_pass_that_overflows_in_double_precision():
    rnn = exploding(1).double()
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(1e200 * torch.eye(H).double())
    with gt.watch(rnn) as watch:
        loss = rnn(torch.ones(9, B, 1).double())[0].sum()
        loss.backward()
        row = watch.step(loss)
    assert (row.finding.source, row.finding.step) == ("forward pass", 3)


def test_an_update_that_multiplied_the_weights_is_named():
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with gt.watch(model, every=100) as watch:
        for n in range(6):
            y = model(torch.randn(T, B, D))
            loss = y.sum() if n < 5 else torch.log(0 * y).sum()
            optimizer.zero_grad()
            loss.backward()
            row = watch.step(loss)
            if n == 3:
                with torch.no_grad():
                    [p.mul_(17) for p in model.decoder.parameters()]
    assert row.iteration == 5
    assert row.finding.text.endswith("; iteration 3's update multiplied the scale of decoder's weights by 17")


def test_weights_that_an_update_broke():
    model = Model()
    with gt.watch(model, every=100) as watch:
        for n in range(3):
            loss = model(torch.randn(T, B, D)).sum()
            loss.backward()
            row = watch.step(loss)
            if n == 1:
                with torch.no_grad():
                    model.encoder.weight_hh_l0[3, 2] = math.inf
    assert (row.finding.source, row.finding.layer) == ("update", "encoder.l0")
    assert row.finding.text == "weight_hh_l0 of encoder holds inf, since iteration 1's update"


def test_it_is_told_once_and_then_when_it_is_due():
    model = Model()
    with gt.watch(model, every=4) as watch:
        rows = []
        for n in range(9):
            loss = model(torch.randn(T, B, D)).sum() * (1.0 if n in (0, 1, 6) else math.nan)
            model.zero_grad()
            loss.backward()
            rows.append(watch.step(loss))
    assert [row and row.finding is not None for row in rows] == [False, None, True, None, True, None, None, True, True]
    assert watch.last.iteration == 8 and list(watch.dataset().snapshot) == [0, 2, 4, 7, 8]


def test_what_was_written_into_is_not_blamed():
    model = nn.GRU(D, H)
    with gt.watch(model, every=4) as watch:
        for n in range(2):
            y = model(torch.randn(T, B, D))[0]
            loss = y.mul_(2).sum() + (math.nan if n else 0.0)
            loss.backward()
            row = watch.step(loss)
    assert row.finding.source == "unknown" and not row.layers
    assert row.finding.text.startswith("the loss is nan; the output of gru: expected it as the forward pass left it")


def test_an_iteration_that_reaches_nothing_is_noted():
    model = nn.GRU(D, H)
    with gt.watch(model, every=1) as watch:
        model(torch.randn(T, B, D))[0].sum().backward()
        watch.step(0.0)
        row = watch.step(0.0)
    assert not row.layers and row.notes == ("the backward pass reached nothing that is watched",)
    assert len(watch.dataset().snapshot) == 1


def test_verdicts_raise_too():
    model = Model()
    row = one(model, torch.randn(60, B, D), lambda y: y[-1].sum())
    with pytest.raises(gt.Alarm, match=r"iteration 0, encoder.l0: The gradient vanishes: x0\.\d+ per step back"):
        row.raise_if("nan", "vanishing")
    with pytest.raises(gradlab.InputError, match="unknown alarm 'Nan'.*nan"):
        row.raise_if("Nan")
