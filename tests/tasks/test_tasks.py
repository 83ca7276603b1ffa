"""Tasks: what each sample is, what its baseline is, honest splits, and files of every kind."""

import math
import pydoc_data.topics
import wave
from pathlib import Path

import numpy as np
import pytest

from gradlab.data import raw_series, reading
from gradlab.data.table import read_table
from gradlab.errors import InputError
from gradlab.learning.losses import LOSSES
from gradlab.tasks import TASKS, make_task
from gradlab.tasks.series import mackey_glass

CO2 = Path(__file__).parents[2] / "studies" / "data" / "co2_mauna_loa.csv"
GENERATED = [name for name in TASKS if not TASKS[name].needs_file]
each_task = pytest.mark.parametrize("name", GENERATED)


def rng(*seed):
    return np.random.default_rng(seed)


def many(name, steps=40, count=4000, **options):
    task = make_task(name, steps=steps, **options)
    return task, task.batch(rng(0, 7), count)


def read(batch):
    """What is read first."""
    return batch.x[0] if isinstance(batch.x, tuple) else batch.x


def scored(task, outputs, batch):
    return task.score(float(LOSSES[task.loss](outputs, batch.targets, task.own_steps(batch))[0]), outputs, batch)


# every task


@each_task
def test_shapes_and_seeds(name):
    task = make_task(name, steps=30)
    a, b, c = (task.batch(rng(seed), 5) for seed in (1, 1, 2))
    assert read(a).shape == (task.length, 5, task.input_size) and a.samples == 5
    np.testing.assert_array_equal(read(a), read(b))
    np.testing.assert_array_equal(a.targets, b.targets)
    assert not np.array_equal(read(a), read(c))
    lead = (task.target_steps or task.length, 5) if task.output == "every" else (5,)
    assert a.targets.shape in (lead, (*lead, task.output_size))


@each_task
def test_the_baseline_is_what_its_words_say_costs(name):
    task, batch = many(name)
    memoryless = task.baseline_text.startswith("without memory: ")
    assert memoryless or task.baseline_text in ("persistence: the last value again", "always the mean")
    if task.loss == "mse" and task.output == "last":
        found = float(((batch.targets - batch.targets.mean()) ** 2).mean())
    elif not memoryless:
        found = float(((batch.targets - batch.x) ** 2).mean())
    elif task.name == "copy_memory":
        blanks = (batch.targets == 8).mean(axis=1) == 1  # steps that are blank in every sample cost nothing
        found = float((~blanks).mean() * math.log(8))
    else:
        _, counts = np.unique(batch.targets, return_counts=True)
        shares = counts / counts.sum()
        found = float(-(shares * np.log(shares)).sum())
    assert found == pytest.approx(task.baseline, rel=0.05)


@each_task
def test_a_perfect_answer_scores_zero(name):
    task, batch = many(name, count=20)
    if task.loss == "cross_entropy":
        outputs = 200.0 * np.eye(task.output_size)[batch.targets]
    else:
        outputs = batch.targets if task.loss == "mse" else 2 * batch.targets - 1
    assert scored(task, outputs, batch) == pytest.approx(0, abs=1e-12)
    assert scored(task, -outputs - 0.5, batch) > 0


@each_task
def test_too_few_steps(name):
    least = TASKS[name].least_steps
    with pytest.raises(InputError, match=f"steps: {name} needs at least {least}, got {least - 1}"):
        make_task(name, steps=least - 1)


# what the samples are


@pytest.mark.parametrize("steps", [2, 7, 100])
def test_adding_marks_one_number_in_either_half(steps):
    task, batch = many("adding", steps, 500)
    marks = batch.x[..., 1]
    assert set(np.unique(marks)) <= {0, 1}
    assert (marks[: steps // 2].sum(axis=0) == 1).all() and (marks[steps // 2 :].sum(axis=0) == 1).all()
    np.testing.assert_allclose(batch.targets[:, 0], (batch.x[..., 0] * marks).sum(axis=0), rtol=1e-14)
    assert batch.x[..., 0].min() >= 0 and batch.x[..., 0].max() <= 1
    assert task.baseline == 1 / 6


def test_adding_as_first_published():
    task, batch = many("adding_hs97", 100, 4000)
    marks, values = batch.x[..., 1], batch.x[..., 0]
    samples = np.arange(4000)
    assert batch.lengths.min() == 100 and batch.lengths.max() == task.length == 110
    assert (marks[batch.lengths - 1, samples] == -1).all()
    marked = marks == 1
    assert (marked.sum(axis=0) == 2).all()
    assert marked[:10].any(axis=0).all() and not marked[49:].any()
    np.testing.assert_allclose(batch.targets[:, 0], 0.5 + (values * marked).sum(axis=0) / 4, rtol=1e-14)
    beyond = np.arange(110)[:, None] >= batch.lengths
    assert not batch.x[beyond].any()
    assert (marks[0][~marked[0]] == -1).all()
    assert values.min() < -0.99 and values.max() > 0.99


def test_copy_memory_says_the_symbols_again():
    task, batch = many("copy_memory", 30, 50)
    shown = batch.x.argmax(axis=-1)
    assert task.length == 50 and (batch.x.sum(axis=-1) == 1).all()
    np.testing.assert_array_equal(batch.targets[-10:], shown[:10])
    assert (shown[:10] < 8).all() and (batch.targets[:-10] == 8).all()
    assert (shown[39] == 9).all() and (np.delete(shown, 39, axis=0)[10:] == 8).all()
    assert task.baseline == pytest.approx(0.415888, abs=1e-6)


@pytest.mark.parametrize(
    ("steps", "first", "second"), [(10, (1, 2), (5, 6)), (30, (3, 6), (15, 18)), (25, (2, 5), (12, 15))]
)
def test_temporal_order_places_two_symbols(steps, first, second):
    _, batch = many("temporal_order", steps, 3000)
    shown = batch.x.argmax(axis=-1)
    letters = shown < 2
    assert (letters.sum(axis=0) == 2).all()
    places = np.sort(np.argsort(~letters, axis=0, kind="stable")[:2], axis=0)
    assert (places[0].min(), places[0].max() + 1) == first and (places[1].min(), places[1].max() + 1) == second
    v0, v1 = (shown[p, np.arange(3000)] for p in places)
    np.testing.assert_array_equal(batch.targets, v0 + 2 * v1)


@pytest.mark.parametrize(("name", "marks"), [("delayed_recall", 1), ("delayed_xor", 2)])
def test_marked_bits(name, marks):
    _, batch = many(name, 40, 500)
    bits, marked = batch.x[..., 0] > 0, batch.x[..., 1] == 1
    assert (marked.sum(axis=0) == marks).all() and marked[:4].any(axis=0).all()
    if marks == 2:
        assert marked[20:24].any(axis=0).all()
    np.testing.assert_array_equal(batch.targets[:, 0], (bits & marked).sum(axis=0) % 2)


def test_parity_of_everything_so_far():
    _, batch = many("parity", 12, 200)
    np.testing.assert_array_equal(batch.targets[..., 0], np.cumsum(batch.x[..., 0] > 0, axis=0) % 2)


# forecasting


def test_forecasts_ask_for_the_next_value():
    for name in ("sine", "mackey_glass"):
        _, batch = many(name, 30, 50)
        np.testing.assert_array_equal(batch.x[1:], batch.targets[:-1])


def test_mackey_glass_obeys_its_equation():
    """Against classical Runge-Kutta with small steps from the same past."""
    fine = mackey_glass(400, per_unit=80)
    np.testing.assert_allclose(mackey_glass(400, per_unit=40)[:5], fine[:5], atol=1e-3)
    assert 0.2 < fine.min() < 0.45 and 1.25 < fine.max() < 1.4
    assert fine.mean() == pytest.approx(0.93, abs=0.03)
    h, delay = 0.05, 340
    x = [1.2] * (delay + 1)

    def slope(now, past):
        return 0.2 * past / (1 + past**10) - 0.1 * now

    for n in range(20 * 60):
        past, after = x[n], x[n + 1]
        now, middle = x[-1], (past + after) / 2
        a = slope(now, past)
        b = slope(now + h / 2 * a, middle)
        c = slope(now + h / 2 * b, middle)
        x.append(now + h / 6 * (a + 2 * b + 2 * c + slope(now + h * c, after)))
    found = mackey_glass(10, transient=0)[:, 0]
    np.testing.assert_allclose(found, [x[delay + 1 + 120 * n] for n in range(10)], atol=1e-4)


def test_a_series_is_split_in_time_and_scaled_by_what_is_known():
    task = make_task("forecast", steps=24, path=CO2, column="co2_ppm")
    ppm = raw_series(CO2, "co2_ppm").values
    known, held = task.parts
    np.testing.assert_allclose(
        np.concatenate([known, held]) * float(np.diff(ppm, axis=0)[0, 0] / known[0, 0]), np.diff(ppm, axis=0)
    )
    assert (known**2).mean() == pytest.approx(1)
    assert len(held) == math.ceil(0.2 * (len(ppm) - 1))
    for held_out, part in enumerate(task.parts):
        batch = task.batch(rng(1), 200, bool(held_out))
        assert np.isin(batch.x, part).all() and np.isin(batch.targets, part).all()
    assert task.baseline == pytest.approx(float((held**2).mean()))


def test_a_stationary_series_is_standardised():
    known, held = make_task("mackey_glass", steps=24).parts
    assert known.mean() == pytest.approx(0, abs=1e-12) and known.std() == pytest.approx(1)
    assert abs(held.mean()) > 1e-6


def test_a_sound_is_forecast(tmp_path):
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        tone = (10_000 * np.sin(np.arange(2000) / 5)).astype("<i2")
        sound.writeframes(np.stack([tone, -tone], axis=1).tobytes())
    task = make_task("forecast", steps=50, path=path)
    assert (task.input_size, task.output_size) == (2, 2)
    assert make_task("forecast", steps=50, path=path, column="1").input_size == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "x\n" + "\n".join(str(n * n) for n in range(20)),
            "held-out end of the series has 4 values.*use 3 or less, or a longer series",
        ),
        ("x\n" + "1\n3\n" * 80 + "3\n" * 40, "the last 40 values, nothing changes.*leave out the flat end"),
        ("x\n" + "1\n" * 200, "every value before the held-out end is the same"),
        ("x\n1\n", "held-out end of the series has 0 values.*; learn from a longer series"),
        ("x\n1\n2\n", "held-out end of the series has 0 values.*; learn from a longer series"),
        ("a,b\n1,2\n3,4\n", "unknown column 'x'. .*Valid: a, b"),
    ],
)
def test_series_that_cannot_be_learnt(tmp_path, content, message):
    path = tmp_path / "series.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        make_task("forecast", steps=10, path=path, column="x")


# text


def test_the_text_is_split_and_its_baseline_is_the_unigram_entropy():
    task = make_task("language_model", steps=40, path=pydoc_data.topics.__file__)
    known, held = task.parts
    text = Path(pydoc_data.topics.__file__).read_bytes()
    assert len(known) + len(held) == len(text) and len(held) == round(0.1 * len(text))
    assert task.input_size == task.output_size == len(set(text))
    shares = np.bincount(held, minlength=task.input_size) / len(held)
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    assert entropy < task.baseline < entropy + 0.1
    batch = task.batch(rng(3), 6)
    shown = batch.x.argmax(axis=-1)
    np.testing.assert_array_equal(shown[1:], batch.targets[:-1])
    sample = bytes(task.codes[1][c] for c in shown[:, 0])
    assert sample in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt: the file is empty"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8 text"),
        ("a.txt", b"a", "held-out end of the text has 0 characters.*; learn from a longer text"),
        ("a.txt", b"too short", "held-out end of the text has 1 character, .*; learn from a longer text"),
        ("a.csv", b"x\n1\n2\n", "expected a text; numbers are forecast"),
    ],
)
def test_text_that_cannot_be_modelled(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        make_task("language_model", steps=5, path=tmp_path / name)


# labelled sequences

LABELLED = "label,t0,t1,t2,t3\n" + "".join(f"{'up' if k % 2 else 'down'},{k},{k + 1},{2 * k},\n" for k in range(40))


def labelled(tmp_path, content, steps=10, **options):
    path = tmp_path / "labelled.csv"
    path.write_text(content)
    return make_task("classification", steps=steps, path=path, **options)


def test_a_labelled_file(tmp_path):
    task = labelled(tmp_path, LABELLED)
    assert (task.input_size, task.output_size, task.length) == (1, 2, 3)
    assert task.class_names == ["down", "up"]
    known, held = task.parts
    assert len(held) == 8 and not set(known) & set(held)
    assert np.bincount(task.labels[held]).tolist() == [4, 4]
    assert task.baseline == pytest.approx(math.log(2))
    batch = task.batch(rng(1), 100, held_out=True)
    assert batch.x.shape == (3, 8, 1)  # every held-out sequence once
    assert labelled(tmp_path, LABELLED, steps=2).length == 2


def test_sequences_of_different_lengths(tmp_path):
    rows = ["a,1,2,3", "a,4,,", "b,5,6,", "b,7,8,9"]
    task = labelled(tmp_path, "kind,x,y,z\n" + "\n".join(rows), column="kind")
    assert sorted(task.rows[1].tolist()) == [1, 2, 3, 3]
    batch = task.batch(rng(0), 4)
    beyond = np.arange(3)[:, None] >= batch.lengths
    assert not batch.x[beyond].any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "label,x\na,1\na,2\n",
            "expected two classes or more with two sequences each, got 1 class in the column 'label'; ",
        ),
        ("label,x\na,1\na,2\nb,3\n", "got 2 classes in the column 'label': 'b' has 1; name the column that"),
        (
            "label,x\n" + "".join(f"0.{k},1\n" for k in range(100, 300)),
            "got 200 classes .*: '0.100' has 1, '0.101' has 1, '0.102' has 1 and 197 more as few; name the column that",
        ),
        ("kind,x\na,1\nb,2\n", "unknown column 'label'. .*Valid: kind, x"),
        ("label,x,y\na,,1\na,1,2\nb,1,2\nb,1,2\n", "line 2: a cell before the sequence's end is empty"),
        ("label,x\na,one\na,2\nb,2\nb,2\n", "line 2, column 'x': 'one' is not a number"),
        ("label\na\nb\n", "beside 'label' there is no column of values"),
    ],
)
def test_labelled_files_that_cannot_be_used(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        labelled(tmp_path, content)


# names


def test_names():
    with pytest.raises(InputError, match="unknown task 'ading'. Did you mean 'adding'"):
        make_task("ading", steps=10)
    with pytest.raises(InputError, match="adding has no option path. Its options: none"):
        make_task("adding", steps=10, path="x")
    with pytest.raises(InputError, match="forecast learns from a file: give its path"):
        make_task("forecast", steps=10)


@each_task
def test_features_and_classes_have_names(name):
    task, batch = many(name, count=50)
    assert len(task.feature_names) == task.input_size
    one = (read(batch).sum(axis=-1) == 1).all() and task.input_size > 1
    assert task.one_hot == one and len(set(task.feature_names)) == task.input_size
    classes = {"cross_entropy": task.output_size, "binary_cross_entropy": 2, "mse": 0}
    assert len(task.class_names) == classes[task.loss]


def test_the_class_of_a_temporal_order_names_the_symbols_in_their_order():
    task, batch = many("temporal_order", count=50)
    for sample, target in enumerate(batch.targets):
        shown = [task.feature_names[k] for k in batch.x[:, sample].argmax(axis=-1)]
        first, second = (sign for sign in shown if sign in "AB")
        assert task.class_names[target] == f"{first} then {second}"


def test_files_bring_their_names(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("x0,day,y\n" + "".join(f"{k * k % 7},d{k},{k * k % 11}\n" for k in range(60)))
    assert make_task("forecast", steps=5, path=path).feature_names == ["x0", "y"]
    read = []
    monkeypatch.setitem(reading.TABLES, "table", lambda *given: read.append(1) or read_table(*given))
    for column in ("y", "2"):
        assert make_task("forecast", steps=5, path=path, column=column).feature_names == ["y"]
    assert len(read) == 2
    assert labelled(tmp_path, LABELLED).class_names == ["down", "up"]
    text = tmp_path / "a.txt"
    text.write_bytes("é b\n\t".encode() * 20)
    task = make_task("language_model", steps=3, path=text)
    assert task.feature_names == ["tab", "newline", "space", "b", "0xa9", "0xc3"] == task.class_names


@pytest.mark.parametrize("name", ["mackey_glass", "sine", "forecast"])
def test_an_error_of_one_is_what_the_text_says(name):
    task = make_task(name, steps=64, **({"path": CO2, "column": "co2_ppm"} if name == "forecast" else {}))
    batch = task.batch(rng(5), 20_000)
    assert task.unit_text.startswith("1 is the ") and float((batch.x**2).mean()) == pytest.approx(1, abs=0.05)
    assert not make_task("adding", steps=20).unit_text
