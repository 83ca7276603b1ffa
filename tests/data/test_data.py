"""Generated inputs, files, and a message for everything that cannot be one."""

import io
import pydoc_data
import re
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlab.data import INPUTS, Batch, Series, column_names, load_input, parse, read_file
from gradlab.errors import InputError

CO2 = Path(__file__).parents[2] / "studies" / "data" / "co2_mauna_loa.csv"
TOPICS = Path(pydoc_data.__file__).parent / "topics.py"
TABLE = b"date,a,b\n2020-01,1,10\n2020-02,2,30\n2020-03,4,20\n"


def npy(array, allow_pickle=False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def wav(frames: bytes, width=2, channels=1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(8000)
        sound.writeframes(frames)
    return buffer.getvalue()


def series(name, data, column=None) -> np.ndarray:
    """The whole standardised series (N, D)."""
    parsed = parse(name, data, column)
    assert isinstance(parsed, Series)
    return parsed.table[parsed.rows]


def standardised(values) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    return (values - values.mean(axis=0)) / values.std(axis=0)


# generated inputs


@pytest.mark.parametrize("name", INPUTS)
def test_generated_inputs_have_unit_variance_and_follow_the_seed(name):
    sizes = {"steps": 200, "batch_size": 300, "input_size": 4}
    x = load_input(name, **sizes, seed=3)
    assert x.shape == (200, 300, 4) and x.dtype == np.float64
    assert np.mean(x) == pytest.approx(0, abs=0.02)
    assert np.mean(x**2) == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(x, load_input(name, **sizes, seed=3))
    assert not np.array_equal(x, load_input(name, **sizes, seed=4))


@pytest.mark.parametrize("name", INPUTS)
def test_a_generated_input_does_not_repeat_what_else_is_drawn_with_the_seed(name):
    x = load_input(name, steps=5, batch_size=4, input_size=3, seed=0)
    assert not np.array_equal(x, INPUTS[name](np.random.default_rng(0), 5, 4, 3))
    assert not np.array_equal(x, INPUTS[name](np.random.default_rng([0, 0]), 5, 4, 3))


def test_a_sine_keeps_one_frequency_per_sample():
    x = load_input("sine", steps=300, batch_size=6, input_size=2)
    # x(t+1) + x(t-1) = 2 cos(omega) x(t) with the same omega at every step and in every feature
    ratio = (x[2:] + x[:-2]) / x[1:-1]
    per_sample = np.median(ratio, axis=(0, 2))
    np.testing.assert_allclose(x[2:] + x[:-2], per_sample[:, None] * x[1:-1], atol=1e-9)
    assert len(np.unique(per_sample.round(6))) == 6
    assert not np.allclose(x[..., 0], x[..., 1])


# windows


def test_windows_are_consecutive_steps_from_different_starts():
    x = Series(np.arange(50.0)[:, None], np.arange(50)).windows(steps=10, batch_size=41)
    assert x.shape == (10, 41, 1)
    np.testing.assert_array_equal(np.diff(x[..., 0], axis=0), 1)
    assert sorted(x[0, :, 0]) == list(range(41))


def test_windows_follow_the_seed():
    one = Series(np.arange(500.0)[:, None], np.arange(500))
    np.testing.assert_array_equal(one.windows(5, 8, seed=1), one.windows(5, 8, seed=1))
    assert not np.array_equal(one.windows(5, 8, seed=1), one.windows(5, 8, seed=2))


def test_a_short_series_serves_several_samples():
    whole = Series(np.arange(7.0)[:, None], np.arange(7))
    np.testing.assert_array_equal(whole.windows(7, 3)[..., 0], np.arange(7)[:, None] * [1, 1, 1])
    assert whole.windows(6, 20).shape == (6, 20, 1)


def test_a_series_shorter_than_the_steps_says_how_many_there_are():
    with pytest.raises(InputError, match="the data have 3 steps, fewer than the 4 asked for; use 3 or less"):
        parse("a.csv", TABLE).windows(steps=4, batch_size=1)


# CSV


def test_csv_gives_every_numeric_column_standardised():
    np.testing.assert_allclose(series("a.CSV", TABLE), standardised([[1, 10], [2, 30], [4, 20]]))


@pytest.mark.parametrize(("column", "values"), [("a", [1, 2, 4]), ("b", [10, 30, 20]), ("2", [10, 30, 20])])
def test_a_column_goes_by_its_name_or_index(column, values):
    np.testing.assert_allclose(series("a.csv", TABLE, column)[:, 0], standardised(values))


@pytest.mark.parametrize(
    "text",
    [
        "1,10\n2,30\n4,20",
        "1;10\n2;30\n4;20\n",
        "1\t10\r\n2\t30\r\n4\t20\r\n",
        "\ufeffa,b\n1,10\n2,30\n4,20\n",
        '"a, first";b\n1;10\n2;30\n4;20\n',
        "a , b\n\n 1 , 10\n2,30 \n\n4,20\n\n",
        "note,a,b\nx,1,10\nx,2,30\nx,4,20\n",
        "2020-01-01,1,10\n2020-01-02,2,30\n2020-01-03,4,20\n",
        "day,1990,1991\n1,1,10\n1,2,30\n1,4,20\n",
        "month,a,b\n2020_01,1,10\n2020_02,2,30\n2020_03,4,20\n",
        "\tb\n1\t10\n2\t30\n4\t20\n",
        '"said ""1; 2""\t",b\n1,10\n2,30\n4,20\n',
    ],
    ids=[
        "no header",
        "semicolon",
        "tab",
        "byte order mark",
        "quoted",
        "blanks",
        "words",
        "dates",
        "years",
        "underscore",
        "a tab first",
        "signs in quotes",
    ],
)
def test_csv_in_every_usual_form(text):
    x = series("a.csv", text.encode())
    np.testing.assert_allclose(x[:, -2:], standardised([[1, 10], [2, 30], [4, 20]]))


def test_column_names_are_those_that_hold_numbers():
    assert column_names("a.csv", TABLE) == ["a", "b"]
    assert column_names("a.csv", b"1,2\n3,4\n") == ["0", "1"]
    assert column_names("a.csv", b"klass,x0\nup,1\ndown,2\n", labels=True) == ["klass", "x0"]
    assert column_names("a.csv", b"a,a,,b\n1,2,3,4\n") == ["0", "1", "2", "b"]
    assert column_names("a.npy", npy(np.ones((4, 3)))) == ["0", "1", "2"]
    assert column_names("a.wav", wav(b"\1\0" * 8, channels=2)) == ["0", "1"]
    assert column_names("a.txt", b"a,b") == []


def test_a_constant_feature_becomes_zero():
    expected = np.stack([np.zeros(3), standardised([1, 2, 4])], axis=1)
    np.testing.assert_allclose(series("a.csv", b"0.1,1\n0.1,2\n0.1,4\n"), expected)
    with pytest.raises(InputError, match="a.csv: every value is the same"):
        parse("a.csv", b"5\n5\n5\n")


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e300])
def test_standardising_neither_overflows_nor_underflows(scale):
    values = np.array([1.0, 2.0, 4.0, 1e5]) * scale
    np.testing.assert_allclose(series("a.npy", npy(values))[:, 0], standardised([1, 2, 4, 1e5]), rtol=1e-4)


BAD_CSV = {
    "empty": (b"", None, "a.csv: the file is empty"),
    "blank": (b"\n \n", None, "no row of data in it"),
    "header only": (b"a,b\n", None, "no row of data in it"),
    "ragged": (b"a,b\n1,2\n\n3,4,5\n", None, "line 4 has 3 cells, line 1 has 2"),
    "gap in the only column": (
        b"a\n1\n2\n\n4\n",
        None,
        "line 4 is empty, a gap in the only column; write a number there",
    ),
    "word in a numeric column": (b"a\n1\n2\nNA\n4\n", None, "line 4, column 'a': 'NA' is not a number"),
    "missing cell": (b"a,b\n1,2\n2,\n3,4\n", None, "line 3, column 'b': '' is not a number"),
    "word in the chosen column": (TABLE, "date", "line 2, column 'date': '2020-01' is not a number"),
    "point beside decimal commas": (b"a;b\n1;3,14\n2;1,5\n3;1.5\n", "b", "line 4, column 'b': '1.5' is not a number"),
    "NaN": (b"a,b\n1,2\n3,nan\n", None, "line 3, column 'b': 'nan' is not finite"),
    "infinity": (b"1\n-inf\n", None, "line 2, column '0': '-inf' is not finite"),
    "no numbers": (b"a,b\nx,y\n", None, "no column holds numbers; its columns: 'a', 'b' \\(words\\)"),
    "unknown column": (TABLE, "aa", "unknown column 'aa'. Did you mean 'a'\\? Valid: date, a, b"),
    "index too large": (TABLE, "3", "unknown column '3'. Valid: date, a, b"),
    "index of 5000 digits": (TABLE, "9" * 5000, "unknown column '9{17}...9{18}'. Valid: date, a, b"),
    "half of UTF-16": ("a,b\n1,2\n".encode("utf-16")[:-1], None, "not UTF-16 text: byte 16 is 0x0a; save it as UTF-8"),
    "zeros": (b"a,b\n1,\0\n", None, "not text: it holds null characters"),
    "endless cell": (b'a\n"' + b"1" * 200_000, None, "line . is not CSV: field larger than field limit"),
}


def test_empty_lines_around_a_column_are_no_gap():
    np.testing.assert_array_equal(series("a.csv", b"\n\na\n1\n2\n4\n\n\n"), series("a.csv", b"1\n2\n4"))


@pytest.mark.parametrize(("data", "column", "message"), BAD_CSV.values(), ids=BAD_CSV)
def test_bad_csv(data, column, message):
    with pytest.raises(InputError, match=f"^a.csv: .*{message.removeprefix('a.csv: ')}"):
        parse("a.csv", data, column)


# arrays


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "uint16", "bool", ">f4"])
def test_npy_of_any_real_dtype(dtype):
    values = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype)
    np.testing.assert_allclose(series("a.npy", npy(values)), standardised(values))
    np.testing.assert_allclose(series("a.npy", npy(values[:, 0])), standardised(values)[:, :1])
    np.testing.assert_allclose(series("a.npy", npy(values), "1"), standardised(values)[:, 1:])


def test_three_dimensions_are_samples_taken_as_they_are():
    values = np.arange(60.0).reshape(5, 4, 3)
    assert isinstance(parse("a.npy", npy(values)), Batch)
    np.testing.assert_array_equal(parse("a.npy", npy(values)).windows(steps=3, batch_size=2), values[:3, :2])
    one = parse("a.npy", npy(values), "1").windows(steps=5, batch_size=4)
    np.testing.assert_array_equal(one, values[..., 1:2])
    with pytest.raises(InputError, match="the data have 5 steps, fewer than the 6 asked for; use 5 or less"):
        parse("a.npy", npy(values)).windows(steps=6, batch_size=1)
    with pytest.raises(InputError, match="the data have 4 samples, fewer than the 32 .* use 4 or less"):
        parse("a.npy", npy(values)).windows(steps=5, batch_size=32)


BAD_NPY = {
    "empty": (b"", "a.npy: the file is empty"),
    "text": (b"1,2\n", "a.npy: not a .npy file; write it with numpy.save"),
    "archive": (b"PK\3\4", "a.npy: not a readable .npz \\(File is not a zip file\\); write it with numpy.savez"),
    "objects": (npy(np.array([1, None], object), allow_pickle=True), "not a plain array .*Object arrays"),
    "truncated": (npy(np.ones(100))[:-8], "not a plain array"),
    "complex": (npy(np.ones(3, complex)), "expected real numbers .* got complex128 in shape \\(3,\\)"),
    "words": (npy(np.array(["a", "b"])), "expected real numbers .* got <U1"),
    "scalar": (npy(np.array(1.0)), "in 1 to 3 dimensions, .* got float64 in shape \\(\\)"),
    "four dimensions": (npy(np.ones((2, 2, 2, 2))), "got float64 in shape \\(2, 2, 2, 2\\)"),
    "no element": (npy(np.ones((3, 0))), "got float64 in shape \\(3, 0\\)"),
    "NaN": (npy(np.array([[1, 2], [3, np.nan]])), "nan at index \\(1, 1\\); every value must be finite"),
    "infinity in samples": (npy(np.full((2, 2, 2), -np.inf)), "-inf at index \\(0, 0, 0\\)"),
}


@pytest.mark.parametrize(("data", "message"), BAD_NPY.values(), ids=BAD_NPY)
def test_bad_npy(data, message):
    with pytest.raises(InputError, match=message):
        parse("a.npy", data)


# sound


@pytest.mark.parametrize("channels", [1, 2])
def test_wav_has_its_channels_as_features(channels):
    pcm = np.random.default_rng(0).integers(-(2**15), 2**15, (50, channels)).astype("<i2")
    x = series("a.wav", wav(pcm.tobytes(), channels=channels))
    np.testing.assert_allclose(x, standardised(pcm))
    last = series("a.wav", wav(pcm.tobytes(), channels=channels), str(channels - 1))
    np.testing.assert_allclose(last, standardised(pcm)[:, -1:])


SOUND = wav(b"\1\0\2\0" * 100)
BAD_WAV = {
    "empty": (b"", "a.wav: the file is empty"),
    "text": (
        b"what is this, a song?",
        "a.wav: not a readable sound .*not recognised.* ffmpeg -i in.wav -c:a pcm_s16le out.wav",
    ),
    "header only": (SOUND[:30], "not a readable sound \\(Error in WAV file. No 'data' chunk marker\\)"),
    "unknown kind": (SOUND[:20] + b"\xf0" + SOUND[21:], "not a readable sound .*; convert it"),
    "truncated": (SOUND[:-50], "truncated: its header promises 200 steps, 175 are there"),
    "no frame": (wav(b""), "no sound in it"),
    "silence": (wav(b"\0\0" * 9), "every value is the same"),
    "no such channel": (wav(b"\1\0\2\0" * 9), "unknown column '1'. Valid: 0"),
}


@pytest.mark.parametrize(("data", "message"), BAD_WAV.values(), ids=BAD_WAV)
def test_bad_wav(data, message):
    with pytest.raises(InputError, match=message):
        parse("a.wav", data, "1" if "unknown column" in message else None)


# text


def test_text_is_one_hot_over_its_own_bytes():
    x = series("a.txt", "abca\u00e9".encode())
    assert x.shape == (6, 5)  # the last letter has two bytes, c3 a9
    np.testing.assert_array_equal(x.argmax(axis=1), [0, 1, 2, 0, 4, 3])
    np.testing.assert_allclose((x**2).mean(axis=1), 1)


def test_bad_text():
    with pytest.raises(InputError, match="a.md: not UTF-8 text: byte 3 is 0xe9; readable are .csv, .npy, .wav"):
        parse("a.md", "caf\u00e9".encode("latin-1"))
    with pytest.raises(InputError, match="a.txt: the file is empty"):
        parse("a.txt", b"")
    with pytest.raises(InputError, match="column 'b' was asked for, but text has no columns"):
        parse("a.txt", b"a,b\n1,2\n", "b")


# real input


def test_co2_at_mauna_loa():
    months = np.genfromtxt(CO2, delimiter=",", dtype=str, skip_header=1)
    years = np.char.partition(months[:, 0], "-")[:, 0].astype(int)
    ppm = months[:, 1].astype(float)
    expected = np.arange("1958-03", "2026-01", dtype="datetime64[M]").astype(str)
    np.testing.assert_array_equal(months[:, 0], expected)
    assert ppm[years == 1959].mean() == pytest.approx(315.98, abs=0.05)
    assert ppm[years == 2000].mean() == pytest.approx(369.71, abs=0.05)
    assert abs(np.diff(ppm)).max() < 4
    x = load_input(CO2, steps=120, batch_size=16, input_size=99, column="co2_ppm")
    assert x.shape == (120, 16, 1)
    np.testing.assert_array_equal(x, load_input(str(CO2), steps=120, batch_size=16, input_size=1))


def test_a_real_text():
    data = TOPICS.read_bytes()
    x = load_input(TOPICS, steps=200, batch_size=32, input_size=1)
    assert x.shape == (200, 32, len(set(data)))
    assert np.mean(x**2) == pytest.approx(1)
    window = bytes(np.array(sorted(set(data)), np.uint8)[x[:, 0].argmax(axis=1)])
    assert window in data


# what is no input at all


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nois", "unknown input 'nois'. Did you mean 'noise'\\? Valid: noise, sine, or a file: .csv, .npy, .wav"),
        ("nowhere.csv", "file not found: nowhere.csv \\(relative paths start at .+\\)"),
        (Path("no") / "where", "file not found: no.where"),
        ("a" * 5000, "unknown input 'a{17}...a{18}'. Valid: noise, sine"),
        ("a" * 5000 + ".csv", "cannot read a+ ... a+.csv: "),
        ("a\0.csv", r"'a\\x00.csv' is no file name"),
    ],
)
def test_an_input_that_is_not_there(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        load_input(source, steps=3, batch_size=1, input_size=1)


def test_a_directory(tmp_path):
    with pytest.raises(InputError, match=f"{re.escape(str(tmp_path))} is a directory; name a file in it"):
        load_input(tmp_path, steps=3, batch_size=1, input_size=1)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_bytes(TABLE)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match="cannot read .*a.csv: Permission denied"):
        read_file(tmp_path / "a.csv")


def test_a_file_may_have_no_extension(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("notes").write_text("to be or not to be")
    assert load_input("notes", steps=5, batch_size=2, input_size=1).shape == (5, 2, 7)


@given(
    st.sampled_from(["a.csv", "a.npy", "a.wav", "a.txt"]),
    st.sampled_from([b"", TABLE, npy(np.arange(9.0)), npy(np.ones((2, 2, 2))), SOUND]),
    st.binary(max_size=30),
    st.integers(0, 200),
    st.none() | st.text(max_size=3),
)
def test_any_bytes_are_data_or_an_input_error(name, start, rest, cut, column):
    data = start[:cut] + rest + start[cut + len(rest) :]
    try:
        x = parse(name, data, column).windows(steps=2, batch_size=2)
    except InputError:
        return
    assert x.shape[:2] == (2, 2) and np.isfinite(x).all()
