"""What a watch keeps: a Dataset, a store that grows, a diagnosis, advice on clipping."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import gradlab
import gradlab.torch as gt
from gradlab.training import advise

from . import needed

B, D, H = 4, 3, 6


def losses(net, lengths):
    """A loss of the last output, for a batch of each length."""
    torch.manual_seed(1)
    for length in lengths:
        yield net(torch.randn(length, B, D))[0][-1].pow(2).sum()


def watched(net, lengths, **options):
    watch = gt.watch(net, **options)
    for loss in losses(net, lengths):
        net.zero_grad()
        loss.backward()
        watch.step(loss)
    return watch


def test_a_dataset_of_what_was_seen():
    net = nn.LSTM(D, H, 2)
    watch = watched(net, [12, 15, 15, 30, 20], every=2)
    ds = watch.dataset()
    assert list(ds.iteration) == [0, 1, 2, 3, 4] and list(ds.snapshot) == [0, 2, 4]
    assert list(ds.layer_name.values) == ["lstm.l0", "lstm.l1"]
    assert dict(ds.surface.sizes) == {"snapshot": 3, "layer": 2, "time": 21}
    assert list(np.isnan(ds.surface).sum("time").values[:, 0]) == [8, 5, 0]
    assert (ds.surface.isel(time=-1) == 0).all()
    assert float(ds.reach[2, 1]) == watch.last["lstm.l1"].verdict.reach
    assert np.isfinite(ds.loss).all() and ds.loss[0] == watch.record.losses[0]
    np.testing.assert_allclose(np.exp(ds.log_grad_norm_before), watch.record.norms)
    ends = ds.loss_surface.isel(time=-1, snapshot=-1, layer=1)
    assert float(ends) == pytest.approx(watch.last.scalars()["lstm.l1/ln_loss_grad_last"])


def test_the_figures_of_a_training_show_it():
    ds = watched(nn.GRU(D, H, 2), [20] * 6, every=2).dataset()
    figure = gradlab.plots.training_course(ds, layer=1)
    assert any("gru.l1" in annotation.text for annotation in figure.layout.annotations)


def test_a_store_grows_and_is_read_meanwhile(tmp_path, monkeypatch):
    from gradlab.torch import record

    monkeypatch.setattr(record, "SECONDS", 0.0)
    net, path = nn.GRU(D, H), tmp_path / "run.zarr"
    watch = gt.watch(net, every=1, path=path)
    for n, loss in enumerate(losses(net, [10, 14, 14, 12])):
        loss.backward()
        watch.step(loss)
        with xr.open_zarr(path, consolidated=False) as ds:
            assert ds.sizes["snapshot"] == ds.sizes["iteration"] == n + 1
            xr.testing.assert_equal(ds.load(), watch.dataset())
    watch.close()


def test_a_store_holds_the_rest_when_it_is_closed(tmp_path):
    path, net = tmp_path / "run.zarr", nn.GRU(D, H)
    watch = watched(net, [10] * 5, every=2, path=path)
    watch.close()
    with xr.open_zarr(path, consolidated=False) as ds:
        xr.testing.assert_equal(ds.load(), watch.dataset())


def test_layers_that_come_later(tmp_path, monkeypatch):
    from gradlab.torch import record

    monkeypatch.setattr(record, "SECONDS", 0.0)
    net = nn.GRU(D, H)
    with gt.watch(net, every=1, path=tmp_path / "run.zarr") as watch:
        for calls in (1, 2, 1):
            loss = sum(net(torch.randn(10, B, D))[0].sum() for _ in range(calls))
            loss.backward()
            watch.step(loss)
    with xr.open_zarr(tmp_path / "run.zarr", consolidated=False) as ds:
        assert list(ds.layer_name.values) == ["gru.l0", "gru.l0.call1"]
        assert list(np.isnan(ds.reach.values[:, 1])) == [True, False, True]
        xr.testing.assert_equal(ds.load(), watch.dataset())


def test_a_path_in_use_is_refused(tmp_path):
    with pytest.raises(gradlab.InputError, match="path: expected a new place to write to, but .* exists; name another"):
        gt.watch(nn.GRU(D, H), path=tmp_path)
    with pytest.raises(gradlab.InputError, match="the store .*cannot be written: No such file or directory"):
        gt.watch(nn.GRU(D, H), path=tmp_path / "none" / "run.zarr")


def test_a_diagnosis_runs_its_remedies_on_the_batch():
    torch.manual_seed(0)
    net = nn.LSTM(D, 16, 2)
    watch = watched(net, [40])
    found = watch.diagnose("lstm", layer=1)
    assert found.verdict.word == watch.diagnose(layer=1).verdict.word == "vanishing"
    assert found.remedies and all(r.verified is not None for r in found.remedies)
    change = found.remedies[0].change
    row = watch.layer(layer=1)
    params = change.apply_weights(row.traj.cell, row.traj.params)
    ds = gradlab.analyze(cell=row.traj.cell, params=params, x=row.traj.x, initial_state=row.traj.states[0])
    assert gradlab.verdict(ds).rate == pytest.approx(found.remedies[0].verified.rate)


def test_what_is_not_there_cannot_be_diagnosed():
    watch = gt.watch(nn.GRU(D, H))
    with pytest.raises(gradlab.InputError, match="expected a row to look at, got none yet: call watch.step"):
        watch.diagnose()
    watch = watched(nn.GRU(D, H), [20])
    with pytest.raises(gradlab.InputError, match="unknown layer 'encoder.l0'. Valid: gru.l0"):
        watch.diagnose("encoder")


def test_advice_on_clipping_from_norms():
    watch = watched(nn.GRU(D, H), [12] * 30, every=50)
    advice = watch.advise()
    assert advice == advise(watch.record.norms) and advice.share_clipped is None
    assert "clipped so far" not in str(advice) and advice.reason


def test_tensorboards_writer_takes_the_scalars(tmp_path):
    tensorboard = needed("torch.utils.tensorboard")
    watch = watched(nn.GRU(D, H), [12])
    with tensorboard.SummaryWriter(tmp_path) as writer:
        for name, value in watch.last.scalars().items():
            writer.add_scalar(name, value, watch.last.iteration)
    assert any(tmp_path.iterdir())
