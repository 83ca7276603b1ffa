"""What needs no net: the losses of nulls are those that theory, or another computation, gives."""

import math
from pathlib import Path

import numpy as np
import pytest

from gradlab.tasks import TASKS, make_task
from gradlab.tasks.nulls import OTHER_NULLS, fitted, forecast_losses, lags

GENERATED = [name for name, task in TASKS.items() if not task.needs_file]


def losses(task, count=500, seed=5):
    batch = task.batch(np.random.default_rng(seed), count, held_out=True)
    return batch, task.null_losses(batch)


def of_series(path, values, steps=20, count=500):
    np.save(path / "series.npy", values)
    task = make_task("forecast", steps=steps, path=path / "series.npy")
    found = losses(task, count)[1]
    return task, {name: float(each.mean()) / float(found["baseline"].mean()) for name, each in found.items()}


def autoregressive(phi, count, seed):
    noise, x = np.random.default_rng(seed).standard_normal(count), np.zeros(count)
    for t in range(1, count):
        x[t] = phi * x[t - 1] + noise[t]
    return x


@pytest.mark.parametrize("name", GENERATED)
def test_nulls_have_a_loss_per_answer_and_the_first_is_the_baseline(name):
    task = make_task(name, steps=30)
    batch, found = losses(task, 4000)
    assert list(found) == ["baseline", *task.other_nulls]
    outputs = np.zeros((*found["baseline"].shape, task.output_size))
    blocks = task.blocks(batch)
    assert {each.shape for each in found.values()} == {outputs.shape[:-1]} == {blocks.shape}
    assert set(np.unique(blocks)) == set(range(10))
    assert found["baseline"].mean() == pytest.approx(task.baseline, rel=0.08)


@pytest.mark.parametrize("name", GENERATED)
def test_losses_of_each_answer_average_to_the_loss(name):
    from gradlab.learning.losses import LOSSES

    task = make_task(name, steps=24)
    batch = task.batch(np.random.default_rng(3), 7)
    lead = batch.targets.shape[:1] if task.output == "last" else batch.targets.shape[:2]
    outputs = np.random.default_rng(4).standard_normal((*lead, task.output_size))
    each, own = task.losses(outputs, batch), task.own_steps(batch)
    expected = float(LOSSES[task.loss](outputs, batch.targets, own)[0])
    assert (each.mean() if own is None else each[own].mean()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("columns", [1, 3, 80])
def test_nothing_foretells_white_noise_better_than_the_mean(tmp_path, columns):
    _, found = of_series(tmp_path, np.random.default_rng(11).standard_normal((3000, columns)))
    assert found["mean"] == pytest.approx(0.5, rel=0.08)
    assert all(found[name] > 0.97 * found["mean"] for name in OTHER_NULLS)


@pytest.mark.parametrize("phi", [0.5, 0.9, -0.7])
def test_an_autoregression_is_foretold_by_one(tmp_path, phi):
    """Its error over persistence's is (1 + phi) / 2; one value says all of it, so that the curve does as well."""
    _, found = of_series(tmp_path, autoregressive(phi, 8000, 12))
    assert found["autoregression"] == pytest.approx((1 + phi) / 2, rel=0.08)
    assert found["memoryless"] == pytest.approx(found["autoregression"], rel=0.04)


@pytest.mark.parametrize("columns", [1, 2])
def test_nothing_foretells_a_random_walk_better_than_persistence(tmp_path, columns):
    _, found = of_series(tmp_path, np.random.default_rng(13).standard_normal((3000, columns)).cumsum(axis=0))
    assert min(found.values()) > 0.97 and found["autoregression"] < 1.05


def test_a_column_that_follows_another_is_foretold_from_it(tmp_path):
    noise = np.random.default_rng(14).standard_normal(3001)
    _, found = of_series(tmp_path, np.stack([noise[1:], noise[:-1]], axis=1))
    assert found["autoregression"] == pytest.approx(0.25, rel=0.1) and found["memoryless"] > 0.45


def test_a_map_of_the_value_is_foretold_without_memory(tmp_path):
    x = np.full(2000, 0.3)
    for t in range(1, len(x)):
        x[t] = 3.9 * x[t - 1] * (1 - x[t - 1])
    _, found = of_series(tmp_path, x)
    assert found["memoryless"] < 1e-6 and found["autoregression"] > 0.1


def test_a_polynomial_foretells_mackey_glass_to_four_fifths_of_persistence():
    task = make_task("mackey_glass", steps=20)
    found = losses(task)[1]
    share = float(found["memoryless"].mean() / found["baseline"].mean())
    known, held = (part[:, 0] for part in task.parts)
    fit = np.polynomial.Polynomial.fit(known[:-1], known[1:], 9)
    assert share == pytest.approx(((fit(held[:-1]) - held[1:]) ** 2).mean() / task.baseline, rel=0.03)
    assert 0.78 < share < 0.82 and float(found["autoregression"].mean()) < 0.3 * task.baseline


@pytest.mark.parametrize("first", [0, 1])
def test_nulls_have_seen_no_more_than_the_net(first):
    known, shown = np.random.default_rng(18).standard_normal((2, 12 + first, 200, 2))
    before, later = forecast_losses(known, shown, first), shown.copy()
    later[first + 6 :] += 5
    after = forecast_losses(known, later, first)
    for name, each in before.items():
        assert each.shape == (11, 200)
        np.testing.assert_array_equal(after[name][:5], each[:5])
        assert (after[name][5] != each[5]).all()


def test_the_autoregression_looks_further_back_the_more_the_net_has_seen():
    found = losses(make_task("mackey_glass", steps=12), 2000)[1]["autoregression"].mean(axis=1)
    assert found[0] > 3 * found[8:].mean()


@pytest.mark.parametrize(("count", "steps", "blocks"), [(20, 2, 1), (60, 2, 2), (60, 10, 2), (300, 5, 10)])
def test_short_series_have_fewer_blocks(tmp_path, count, steps, blocks):
    np.save(tmp_path / "series.npy", np.random.default_rng(15).standard_normal(count))
    task = make_task("forecast", steps=steps, path=tmp_path / "series.npy")
    batch, found = losses(task)
    assert task.blocks(batch).max() + 1 == blocks and all(np.isfinite(each).all() for each in found.values())


def test_blocks_of_windows_are_stretches_of_the_held_out_end(tmp_path):
    task = make_task("mackey_glass", steps=7)
    batch, _ = losses(task, 3000)
    at = (batch.starts + np.arange(7)[:, None]).ravel()
    np.testing.assert_array_equal(np.sort(task.blocks(batch).ravel()), task.blocks(batch).ravel()[np.argsort(at)])


def test_a_column_that_never_changes_harms_no_other(tmp_path):
    noise = np.random.default_rng(16).standard_normal(1000)
    _, found = of_series(tmp_path, np.stack([noise, np.full(1000, 3.0)], axis=1))
    assert found["mean"] == pytest.approx(0.5, rel=0.15)


def test_least_squares_is_that_of_numpy_where_the_ridge_is_small():
    rng = np.random.default_rng(17)
    x, weights = rng.standard_normal((1, 500, 4)), rng.standard_normal((1, 4, 2))
    fit = fitted(x, x @ weights + 1)
    np.testing.assert_allclose(fit(x), x @ weights + 1, atol=1e-4)


def test_lags():
    assert [lags(100, 1, 6000), lags(10, 1, 6000), lags(100, 3, 6000), lags(100, 80, 6000), lags(9, 1, 4)] == [
        64, 10, 21, 2, 1
    ]  # fmt: skip


def test_pairs_of_symbols_foretell_a_text(tmp_path):
    (tmp_path / "text.txt").write_text("abcd" * 300)
    task = make_task("language_model", steps=10, path=tmp_path / "text.txt")
    _, found = losses(task)
    assert found["baseline"].mean() == pytest.approx(math.log(4), rel=0.01) and found["memoryless"].mean() < 0.01


def test_the_bit_alone_is_the_first_answer_of_parity():
    task = make_task("parity", steps=5)
    _, found = losses(task, 20_000)
    entropy = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))
    assert found["memoryless"].mean() == pytest.approx(entropy, abs=0.003)
    assert not losses(make_task("parity", steps=1))[1]["memoryless"].any()


def test_the_last_step_alone_adds_a_little():
    """It is marked in one of five: 1/6 - (1/12) / 5."""
    _, found = losses(make_task("adding", steps=10), 40_000)
    assert found["memoryless"].mean() == pytest.approx(0.15, rel=0.02)


def test_every_task_is_in_the_documentation_with_its_limit():
    text = (Path(__file__).parents[2] / "docs" / "learnt.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for name, task in TASKS.items():
        (row,) = (row for row in rows if f"`{name}`" in row.split("|")[1])
        limit = row.split("|")[3].strip()
        share = f"{task.solved_below:g}" if task.solved_below and task.metric != "error rate" else "1 %"
        assert limit == "-" if task.solved_below is None else limit.endswith(f"below {share}")
        assert len(row.split("|")[2].split(";")) == 1 + len(task.other_nulls)
