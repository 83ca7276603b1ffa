"""Every architecture in training: its gradient, what is recorded of it, and that a break changes nothing."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gradlab import plots
from gradlab.errors import InputError
from gradlab.layers import Pass
from gradlab.layers.base import tapes_within
from gradlab.runs.verdicts import verdict
from gradlab.tasks import make_task
from gradlab.training import TrainConfig, TrainingRecord, TrainingRun, dataset, snapshot_dataset, train
from gradlab.training.network import build_network

DATA = Path(__file__).parents[2] / "studies" / "examples" / "data"
SMALL = {"steps": 13, "hidden_size": 8, "batch_size": 5, "iterations": 5, "snapshot_every": 2, "evaluate_every": 5}
TAGS, TEXTS = (
    {"task": task, "input": str(DATA / name)}
    for task, name in (("tagging", "tagged.txt"), ("sentiment", "reviews.csv"))
)
TREES, COPY = {"task": "arithmetic_trees"}, {"task": "copy_attention", "cell": "gru", "steps": 5}
TRANSFORMER = {"architecture": "transformer", "heads": 2, "activation": "gelu"}
NETS = {
    "one layer": {},
    "both directions": {"bidirectional": True, "cell": "gru", "layers": 2, "layer_norm": True, "residual": True},
    "attention": {"attention": "additive", "layers": 2, "dropout": 0.2},
    "attention to both": {"attention": "dot", "bidirectional": True, "dtype": "float32"},
    "transformer": {**TRANSFORMER, "layers": 2},
    "causal, post": {**TRANSFORMER, "norm": "post", "causal": True, "task": "parity", "dropout": 0.1, "clip": "agc"},
    "tree": {**TREES, "architecture": "tree"},
    "tree lstm": {**TREES, "architecture": "tree", "cell": "lstm", "dropout": 0.2},
    "chain": {**TREES, "cell": "lstm"},
    "transformer of trees": {**TREES, **TRANSFORMER},
    "encoder, decoder": COPY,
    "encoder, attention, decoder": {**COPY, "attention": "additive", "layers": 2, "residual": True},
    "tagger": {**TAGS, "bidirectional": True, "clip": "norm"},
    "tagging transformer": {**TAGS, **TRANSFORMER},
    "texts": {**TEXTS, "attention": "dot", "cell": "lstm"},
    "texts, transformer": {**TEXTS, **TRANSFORMER},
    "diagonal": {"cell": "indrnn", "hidden_size": 64},
}  # fmt: skip
each_net = pytest.mark.parametrize("net", NETS)


def config(net, **fields):
    return TrainConfig(**{**SMALL, **NETS[net], **fields})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run of a net, and its checkpoint."""
    folder = tmp_path_factory.mktemp("nets")

    @cache
    def run(net):
        path = folder / f"{net}.safetensors"
        return train(config(net), checkpoint=path), path

    return run


@each_net
def test_the_gradient_of_the_whole_by_differences(net):
    """Along random directions of all parameters at once."""
    run = TrainingRun(config(net, dtype="float64", dropout=0.0))
    batch = run.task.batch(np.random.default_rng(5), 4)
    start = {name: array.copy() for name, array in run.params.items()}

    def loss(step, direction):
        run.params = {name: array + step * direction[name] for name, array in start.items()}
        outputs, tape = run._forward(batch, Pass())
        return *run._loss(outputs, batch), tape

    for seed in range(3):
        rng = np.random.default_rng(seed)
        direction = {name: rng.normal(size=array.shape) for name, array in start.items()}
        _, slope, tape = loss(0.0, direction)
        _, grads = run.network.backward(run.params, tape, slope)
        expected = sum(float((grads[name] * direction[name]).sum()) for name in start)
        found = (loss(1e-5, direction)[0] - loss(-1e-5, direction)[0]) / 2e-5
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-9) and abs(expected) > 1e-6


@each_net
def test_it_learns_and_says_what_it_is(trained, net):
    run, _ = trained(net)
    assert run.status == "done" and not any(run.history.rows["skipped"])
    assert all(map(math.isfinite, run.history.rows["loss"])) and len(run.history.scores) == 1
    assert run.net_text and run.untrained.architecture == run.config.architecture


@each_net
def test_a_break_changes_nothing(trained, net, tmp_path):
    whole, _ = trained(net)
    path = tmp_path / "part.safetensors"
    part = train(config(net, iterations=3, snapshot_every=2), checkpoint=path)
    del part
    rest = train(checkpoint=path, resume=True, iterations=5)
    ours, theirs = rest.arrays(), whole.arrays()
    for name in ours:
        if name not in ("history.scores", "history.rivals"):  # the part has some of its own
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert rest.history.scores[-1] == whole.history.scores[-1]
    np.testing.assert_array_equal(rest.history.rivals[-1], whole.history.rivals[-1])


@each_net
def test_a_record_shows_what_the_run_does(trained, net):
    run, path = trained(net)
    record = TrainingRecord.load(path)
    assert record.tracks == run.tracks and record.net_text == run.net_text
    xr.testing.assert_identical(dataset(record), dataset(run))
    part = TrainingRecord.load(path)
    part.history.snapshots = part.history.snapshots[:1]
    xr.testing.assert_identical(dataset(record, dataset(part)), dataset(run))


@each_net
def test_every_layer_is_drawn(trained, net):
    run, _ = trained(net)
    ds = dataset(run)
    assert ds.layer_name.values.tolist() == [track.name for track in run.tracks]
    for layer in range(ds.sizes["layer"]):
        look = snapshot_dataset(run, layer=layer)
        assert np.isfinite(look.log_grad_norm).any() and verdict(look).word
        assert plots.gradient_flow(look).data and plots.training_course(ds, layer=layer).data
    with pytest.raises(InputError, match=f"layer: expected 0 to {ds.sizes['layer'] - 1}, got {ds.sizes['layer']}"):
        snapshot_dataset(run, layer=ds.sizes["layer"])


def test_layers_are_called_by_what_they_are():
    names = {net: [track.name for track in TrainingRun(config(net)).tracks] for net in NETS}
    assert names["one layer"] == names["chain"] == ["Layer 1"]
    assert names["both directions"][1:3] == ["Layer 1, backward", "Layer 2, forward"]
    assert names["transformer"] == ["Block 1", "Block 2"] and names["tree"] == ["Tree"]
    assert names["encoder, attention, decoder"] == ["Encoder 1", "Encoder 2", "Decoder 1", "Decoder 2"]


# what a track holds


def taped(net, **fields):
    """A run, a batch and the tape of its recorded backward pass."""
    run = TrainingRun(config(net, **fields))
    run.advance()
    fresh = TrainingRun(config(net, **fields))
    batch = fresh.task.batch(np.random.default_rng([0, 0]), fresh.config.batch_size)
    outputs, tape = fresh._forward(batch, Pass())
    fresh.network.backward(fresh.params, tape, fresh._loss(outputs, batch)[1])
    return run, fresh, batch, tape


def test_a_block_s_track_is_the_gradient_of_what_it_takes():
    """By differences: each position's gradient, from the loss as a function of what the second block takes."""
    run, fresh, batch, tape = taped("transformer")
    kinds = [type(layer).__name__ for layer in fresh.network.layers]
    at = len(kinds) - 1 - kinds[::-1].index("TransformerBlock")
    rest, own = fresh.network.layers[at:], fresh.network.layers[at:]
    given = tape.children[str(at)].x
    names = [str(n) for n in range(at, at + len(own))]

    def loss(x):
        for name, layer in zip(names, rest, strict=True):
            params = {k.removeprefix(f"{name}."): p for k, p in fresh.params.items() if k.startswith(f"{name}.")}
            x, _ = layer.forward(params, x)
        return fresh._loss(x, batch)[0]

    wanted = np.zeros(given.shape)
    for place in np.ndindex(given.shape):
        step = np.zeros(given.shape)
        step[place] = 1e-6
        wanted[place] = (loss(given + step) - loss(given - step)) / 2e-6
    look = snapshot_dataset(run, 0, layer=1).log_grad_norm
    np.testing.assert_allclose(look[1:, 0], np.log(np.linalg.norm(wanted, axis=-1)), atol=1e-4)
    assert np.isnan(look[0]).all() and look.state.values.tolist() == ["input"]


@pytest.mark.parametrize("net", ["tree", "tree lstm"])
def test_a_tree_s_track_goes_by_depth_and_ends_at_the_root(net):
    run, _, batch, tape = taped(net, dropout=0.0, dtype="float64")
    (tree,) = tapes_within(tape, type(tape.children["0"])).values()
    adjoints = tree.adjoints.plain()  # (S, T, B, H)
    norms = np.sqrt((adjoints**2).sum(axis=(0, -1)))
    look, depths = snapshot_dataset(run, 0), batch.lengths.depths
    for b in range(run.config.batch_size):
        deepest = depths[:, b].max()
        assert look.valid_steps[b] == deepest + 1
        for depth in range(deepest + 1):
            rms = np.sqrt((norms[depths[:, b] == depth, b] ** 2).mean())
            assert float(look.log_grad_norm[deepest + 1 - depth, 0, b]) == pytest.approx(math.log(rms), abs=1e-5)
        assert np.isnan(look.log_grad_norm[deepest + 2 :, 0, b]).all() and np.isnan(look.log_grad_norm[0]).all()
    fig, levels = plots.gradient_flow(look), int(look.valid_steps.max())
    (curve,) = [trace for trace in fig.data if trace.name == "h"]
    assert f"root at {levels}" in fig.layout.xaxis.title.text
    assert curve.y[-1] == 0 and np.isnan(curve.y[0]) and len(curve.y) == levels + 1
    surface = dataset(run).surface[0, 0].values
    root = [look.log_grad_norm.values[look.valid_steps[b], 0, b] for b in range(run.config.batch_size)]
    assert surface[-1] == pytest.approx(np.median(root)) and np.isnan(surface[0])
    assert "per level down" in verdict(look).headline or verdict(look).word == "too short"


def test_the_steps_of_encoder_and_decoder_are_their_own():
    run = train(config("encoder, decoder"))
    assert [track.steps for track in run.tracks] == [15, 10]
    surface = dataset(run).surface
    assert surface.sizes["time"] == 16 and not np.isnan(surface[:, 0]).any()
    assert np.isnan(surface[:, 1, 11:]).all() and not np.isnan(surface[:, 1, :11]).any()


# what does not fit


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"architecture": "tree"}, "architecture", "Adding has no trees; choose the task arithmetic_trees"),
        ({"architecture": "transformer", **COPY}, "architecture", "learnt by a recurrent encoder and decoder"),
        ({"bidirectional": True, **COPY}, "bidirectional", "goes on from the encoder's last state.*switch it off"),
        ({"attention": "dot", "task": "parity"}, "attention", "asks for one at every step; switch it off"),
        ({"bidirectional": True, "task": "sine"}, "bidirectional", "read the answers of Sine.*switch it off"),
        ({"architecture": "transformer", "task": "mackey_glass"}, "causal", "read the answers of .*switch causal on"),
        ({"architecture": "transformer", "clip": "step_norm"}, "clip", "inside the backpropagation of recurrent nets"),
        ({"architecture": "tree", "clip": "step_value", **TREES}, "clip", "clip the update, such as by norm"),
    ],
)
def test_a_net_that_cannot_learn_the_task(fields, field, message):
    chosen = TrainConfig(**{**SMALL, **fields})
    with pytest.raises(InputError, match=f"^{field}: .*{message}") as told:
        build_network(chosen, make_task(chosen.task, steps=chosen.steps))
    assert told.value.field == field


def test_a_causal_transformer_may_foretell():
    assert train(**SMALL, task="sine", architecture="transformer", causal=True).status == "done"


@pytest.mark.parametrize("net", ["transformer", "tree", "tree lstm", "both directions", "encoder, attention, decoder"])
def test_an_update_that_overflows_is_skipped(net):
    """In single precision, after steps that are far too long."""
    run = train(config(net, dtype="float32", optimizer="sgd", learning_rate=1e30, clip="off", dropout=0.0))
    assert run.status == "done" and any(run.history.rows["skipped"])
    assert all(np.isfinite(array).all() for array in run.params.values())
