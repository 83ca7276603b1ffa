"""The figure of training runs: what every panel draws, for runs of every kind, in both themes."""

import math

import numpy as np
import pytest

from gradlab import InputError, plots
from gradlab.plots.colours import THEMES, series_style
from gradlab.plots.training import smooth
from gradlab.training import TrainConfig, TrainingRun, dataset, snapshot_dataset, train

from ..plotting import LN10, each_theme, words_of

SMALL = TrainConfig(
    steps=12, hidden_size=6, batch_size=4, iterations=40, snapshot_every=5, evaluate_every=10, learning_rate=0.01
)
KINDS = {
    "plain": {},
    "lstm": {"cell": "lstm", "clip": "norm", "clip_threshold": 0.5},
    "layers": {"cell": "gru", "layers": 2, "task": "temporal_order"},
    "every": {"task": "parity", "clip": "autoclip"},
    "lengths": {"task": "adding_hs97", "steps": 24},
    "step clip": {"clip": "step_norm", "clip_threshold": 0.01},
    "one": {"iterations": 1},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def runs():
    return {name: train(SMALL.replace(**fields)) for name, fields in KINDS.items()}


@pytest.fixture(scope="module")
def seen(runs):
    return {name: dataset(run) for name, run in runs.items()}


def on(fig, title):
    """The traces of the panel with that heading."""
    headings = [a.text for a in fig.layout.annotations if a.text.startswith("<b")]
    number = next(n for n, text in enumerate(headings, 1) if f">{title}<" in text.replace(" · ", "<"))
    return [trace for trace in fig.data if trace.yaxis == ("y" if number == 1 else f"y{number}")]


@each_theme
@each_kind
def test_every_run_is_drawn(seen, kind, theme):
    fig = plots.training_course(seen[kind], theme=theme)
    assert fig.layout.xaxis.range == (0, KINDS[kind].get("iterations", 40))
    assert fig.layout.paper_bgcolor == "rgba(0,0,0,0)" and fig.layout.plot_bgcolor == THEMES[theme].page
    assert all(len(trace.x) for trace in fig.data)
    fig.to_json()


def test_a_run_that_has_only_begun_is_drawn():
    run = TrainingRun(SMALL)
    plots.training_course(dataset(run))
    run.advance()
    plots.training_course(dataset(run))


def test_a_run_of_nothing_but_skipped_updates_is_drawn(seen):
    ds = seen["plain"]
    lost = ds.assign({name: ds[name] * np.nan for name in ("loss", "log_grad_norm_before", "log_grad_norm_after")})
    fig = plots.training_course(lost.assign(skipped=ds.skipped + 1))
    assert "40 not finite, skipped" in words_of(fig)


# loss


def test_loss_is_drawn_in_powers_of_ten_with_its_mean_and_held_out_dots(seen):
    ds = seen["plain"]
    raw, mean, held = on(plots.training_course(ds), "Loss")
    np.testing.assert_allclose(10.0**raw.y, ds.loss, rtol=1e-5)
    np.testing.assert_allclose(mean.customdata[-1], ds.loss[-5:].mean(), rtol=1e-5)
    np.testing.assert_allclose(10.0**held.y, ds.held_out_loss, rtol=1e-5)
    assert held.mode == "markers" and list(held.x) == [10, 20, 30, 40]
    assert held.cliponaxis is False, "whole at the right edge, too"


def test_baseline_and_solved_are_lines_with_words(seen):
    fig = plots.training_course(seen["plain"])
    lines = [shape.y0 for shape in fig.layout.shapes if shape.yref == "y"]
    np.testing.assert_allclose(lines, [math.log10(1 / 6), math.log10(0.02)])
    assert "0.167: without memory: always 1; 0.02: solved" in words_of(fig)


def test_the_smooth_line_is_a_trailing_mean_that_leaves_out_what_is_not_finite():
    y = np.array([1.0, 3.0, np.nan, 5.0, np.inf, 7.0, 9.0])
    np.testing.assert_allclose(smooth(y), [1, 2, np.nan, 3, np.nan, 5, 7])
    long = np.arange(1000.0)
    np.testing.assert_allclose(smooth(long)[[19, 20, 999]], [9.5, 10.5, 989.5])
    assert smooth(np.array([])).size == 0


def test_errors_of_classes_have_a_panel_of_their_own(seen):
    (wrong,) = on(plots.training_course(seen["layers"]), "Wrong answers")
    np.testing.assert_allclose(wrong.y, seen["layers"].held_out_score)
    assert "Wrong answers" not in words_of(plots.training_course(seen["plain"]))


# norm


def test_norms_before_and_after_with_threshold_and_marks(seen):
    ds = seen["lstm"]
    fig = plots.training_course(ds)
    before, after, marks = on(fig, "Gradient norm")
    np.testing.assert_allclose(before.y * LN10, ds.log_grad_norm_before, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after.y[-1] * LN10, ds.log_grad_norm_after[-5:].mean(), rtol=1e-5)
    np.testing.assert_array_equal(marks.x, ds.iteration[ds.clipped == 1])
    assert 0 < len(marks.x) < 40 and marks.name == "clipped"
    (threshold,) = [shape.y0 for shape in fig.layout.shapes if shape.yref == "y2"]
    assert threshold == pytest.approx(math.log10(0.5))
    share = 100 * float(ds.clipped.mean())
    assert f"{share:.0f} % clipped" in words_of(fig) and "threshold 0.5" in words_of(fig)


def test_without_clipping_there_are_no_marks(seen):
    fig = plots.training_course(seen["plain"])
    assert len(on(fig, "Gradient norm")) == 2
    assert "clipping is off" in words_of(fig) and "threshold" not in words_of(fig)


def test_thresholds_that_are_no_norm_are_not_drawn(seen):
    assert "threshold" not in words_of(plots.training_course(seen["every"]))


def test_skipped_updates_are_marked(seen):
    ds = seen["plain"].copy()
    ds["skipped"] = ds.skipped.copy(data=np.arange(40) == 7)
    ds["loss"] = ds.loss.where(ds.iteration != 8)
    fig = plots.training_course(ds)
    cross = on(fig, "Gradient norm")[-1]
    assert list(cross.x) == [8] and cross.marker.symbol == "x"
    assert "1 not finite, skipped" in words_of(fig)


# snapshots


def test_the_map_shows_what_is_left_of_the_last_steps_gradient(seen):
    ds = seen["plain"]
    (cells,) = on(plots.training_course(ds), "Gradient at step t")
    logs = ds.surface.isel(layer=0).values.T / LN10
    np.testing.assert_allclose(cells.z, logs - logs[-1], rtol=1e-4, atol=1e-5)
    assert list(cells.x) == [0, 5, 10, 15, 20, 25, 30, 35, 39, 40] and list(cells.y[[0, -1]]) == [-0.5, 12.5]
    assert (cells.zmin, cells.zmax) == (-12, 12)


def test_the_map_counts_from_the_last_step_that_is_known(seen):
    ds = seen["lengths"].copy(deep=True)
    assert ds.sizes["time"] == 24 + 2 + 1
    ds.surface[..., -1] = np.nan
    (cells,) = on(plots.training_course(ds), "Gradient at step t")
    np.testing.assert_allclose(cells.z[-1], 0, atol=1e-6)
    assert list(cells.y[[0, -1]]) == [-0.5, 25.5]
    ds.surface[..., :4] = np.nan
    fig = plots.training_course(ds)
    (cells,) = on(fig, "Gradient at step t")
    assert list(cells.y[[0, -1]]) == [3.5, 25.5] and "bottom: step 4, top: 25" in words_of(fig)


def test_long_sequences_are_binned(seen):
    ds = seen["plain"].isel(time=np.arange(900) % 13, step=np.arange(899) % 12)
    (cells,) = on(plots.training_course(ds), "Gradient at step t")
    assert cells.z.shape == (300, 9) and list(cells.y[:2]) == [-0.5, 2.5] and cells.y[-1] == 899.5


def test_gates_are_drawn_where_there_are_several(seen):
    ds = seen["lstm"]
    gates = on(plots.training_course(ds), "Mean gate")
    assert [trace.name for trace in gates] == list("ifgo")
    np.testing.assert_allclose(gates[1].y, ds.mean_gate.sel(gate="f", layer=0), rtol=1e-6)
    assert "f forget" in words_of(plots.training_course(ds)) and "m state in n" in words_of(
        plots.training_course(seen["layers"])
    )
    assert "Mean gate" not in words_of(plots.training_course(seen["plain"]))


def test_a_layer_is_chosen_and_named(seen):
    ds = seen["layers"]
    fig = plots.training_course(ds, layer=1)
    (cells,) = on(fig, "Gradient at step t")
    logs = ds.surface.isel(layer=1).values.T / LN10
    np.testing.assert_allclose(cells.z, logs - logs[-1], rtol=1e-4, atol=1e-4)
    assert "layer 2" in words_of(fig)
    with pytest.raises(InputError, match="layer: expected 0 to 1, got 2"):
        plots.training_course(ds, layer=2)


def test_looks_that_were_lost_leave_the_map_blank(seen):
    ds = seen["plain"].isel(snapshot=[0, 1, 4, 5])
    (trace,) = on(plots.training_course(ds), "Gradient at step t")
    assert list(trace.x) == [0, 5, 10, 20, 25, 30], "after 5 and 25 nothing was seen, though the run went on to 40"
    assert np.isnan(trace.z[:, 2]).all() and not np.isnan(trace.z[:, [0, 1, 3, 4]]).any()


def test_many_held_out_dots_are_small(seen):
    ds = seen["plain"]
    many = ds.isel(evaluation=np.zeros(100, int)).assign_coords(evaluation=np.arange(1, 101))
    sizes = [on(plots.training_course(run), "Loss")[-1].marker.size for run in (ds, many)]
    assert sizes[1] < sizes[0]


# several runs


@each_theme
def test_two_runs_are_told_apart(seen, theme):
    first, second = (seen[name].assign_attrs(label=name) for name in ("plain", "lstm"))
    fig = plots.training_course(first, [second.assign_attrs(label="<b>LSTM</b>")], theme)
    _, mine, _, _, other, _ = on(fig, "Loss")
    looks = [(trace.line.color, trace.line.dash) for trace in (mine, other)]
    assert looks == [series_style(0, THEMES[theme]), series_style(1, THEMES[theme])]
    text = words_of(fig)
    assert "plain" in text and "&lt;b&gt;LSTM&lt;/b&gt;" in text
    assert text.count("Gradient at step t") == 2


def test_runs_of_other_lengths_share_an_axis(seen):
    fig = plots.training_course(seen["one"], [seen["plain"]])
    assert fig.layout.xaxis.range == (0, 40)


def test_more_runs_than_colours_are_refused(seen):
    with pytest.raises(InputError, match="at most 5 runs beside the first, got 6"):
        plots.training_course(seen["plain"], [seen["plain"]] * 6)


def test_other_datasets_are_refused(seen):
    with pytest.raises(InputError, match="the figure needs clipped, which this Dataset lacks"):
        plots.training_course(seen["plain"].drop_vars("clipped"))
    with pytest.raises(InputError, match="unknown theme 'sepia'"):
        plots.training_course(seen["plain"], theme="sepia")


def test_long_runs_are_decimated_and_drawn_in_time(seen):
    rng, long = np.random.default_rng(0), np.arange(20_000) % 40
    ds = seen["lstm"].isel(iteration=long).assign_coords(iteration=np.arange(1, 20_001))
    ds["loss"] = ds.loss * rng.uniform(0.5, 2, 20_000)
    fig = plots.training_course(ds)
    assert max(len(trace.x) for trace in fig.data) <= 2000
    assert len(fig.to_json()) < 500_000


# words


def test_the_table_says_the_same(seen):
    (row,) = plots.course_table([seen["lstm"]])
    assert row["iterations"] == "40" and row["baseline"] == "0.167"
    assert row["training loss"] == f"{float(seen['lstm'].loss[-4:].mean()):.3g}"
    assert row["held out"].endswith("mean squared error") and row["clipped"].endswith(" %") and row["skipped"] == "0"
    (row,) = plots.course_table([dataset(TrainingRun(SMALL))])
    assert row["training loss"] == "" and row["held out"] == "" and row["clipped"] == "0 %"


def test_the_largest_error_is_drawn_where_it_is_the_score(seen):
    fig = plots.training_course(seen["lengths"])
    (dots,) = on(fig, "Largest error")
    np.testing.assert_allclose(10.0 ** np.array(dots.y), seen["lengths"].held_out_score, rtol=1e-6)
    assert "0.04: solved" in words_of(fig) and "Largest error" not in words_of(plots.training_course(seen["plain"]))


def test_the_table_says_what_needs_no_net(seen):
    (row,) = plots.course_table([seen["plain"]])
    losses = [f"{loss:.3g}" for loss in seen["plain"].rival_loss.values[-1]]
    names = ("without memory", "the last step alone", "state cut")
    assert row["held out, without a net"] == ", ".join(map(" ".join, zip(names, losses, strict=True)))


def test_the_table_says_where_a_late_loss_was_not_finite(seen):
    (row,) = plots.course_table([seen["plain"].assign(loss=seen["plain"].loss.where(seen["plain"].iteration != 40))])
    assert row["training loss"] == "not finite"


@each_kind
@each_theme
def test_a_snapshot_is_drawn_as_a_run_with_others_beside_it(runs, kind, theme):
    first = snapshot_dataset(runs[kind], 0).assign_attrs(label="first")
    last = snapshot_dataset(runs[kind], -1).assign_attrs(label="last")
    fig = plots.gradient_flow(first, theme, [last])
    assert "first" in words_of(fig) and "last" in words_of(fig)
