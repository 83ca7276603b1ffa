"""Files of every kind that gradlab reads, as people and programs write them, and what can become of them."""

import io
import json
import zipfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import soundfile
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import save

from gradlab.cells import CELLS, make_cell
from gradlab.importers import save_layer, to_state_dict

from ..data.test_tables import workbook

Draw = Callable[[st.SearchStrategy[Any]], Any]
SUFFIXES = [".csv", ".tsv", ".txt", ".dat", ".npy", ".npz", ".xlsx", ".parquet", ".wav", ".flac", ".ogg", ".mp3"]
SUFFIXES += [".safetensors", ".csv.gz", ".CSV", ".", ".\u202e"]
WORDS = st.sampled_from(
    ["t", "time", "label", "a b", "\u00e9t\u00e9", "x" * 3000, "\u202e", "a\x07b", "-", "nan", "", '"']
)
NUMBERS = st.floats(allow_nan=False, width=32) | st.integers(-(10**6), 10**6)
ODD_NUMBERS = st.sampled_from(
    ["", "NaN", "-inf", "1e999", "5%", "$3", "1,234.5", "1.234,5", "1 234", "9" * 400, "\u0663"]
)
STAMPS = st.sampled_from(["2024-01-31", "12:30:00", "2024-01-31T12:30:00Z", "Jan 2024"])
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp1251", "shift-jis"]
RATES = [1, 999, 1000, 8000, 44100, 10**6, 2**31 - 1]
HUGE = [2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**40, -1]


def names() -> st.SearchStrategy[str]:
    """Of files."""
    begin = st.sampled_from(["a", "", "a b", "\u00e9", "..", "a/b", "a\0", "a\nb", "x" * 400, "\udcff"])
    return st.builds(str.__add__, begin, st.sampled_from(SUFFIXES) | st.text(max_size=5))


@st.composite
def tables(draw: Draw) -> bytes:
    """Text with a row per step, in some dialect."""
    separator, newline = draw(st.sampled_from(",;\t| ")), draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    width, decimal = draw(st.integers(1, 5)), draw(st.sampled_from(".,"))
    kinds = draw(
        st.lists(st.sampled_from([NUMBERS, NUMBERS, ODD_NUMBERS, WORDS, STAMPS]), min_size=width, max_size=width)
    )
    rows = draw(st.lists(st.tuples(*kinds), min_size=1, max_size=12)) * draw(st.sampled_from([1, 1, 30]))
    lines = [_line(row, separator, decimal) for row in rows]
    heads = [_line(draw(st.tuples(*[WORDS] * width)), separator, "")] * draw(st.integers(0, 2))
    before = draw(st.lists(st.sampled_from(["# note", "sep=;", "", "Logger 7", '"']), max_size=2))
    text = newline.join([*before, *heads, *lines]) + draw(st.sampled_from(["", newline]))
    return text.encode(draw(st.sampled_from(ENCODINGS)), "replace")


def _line(row: tuple[Any, ...], separator: str, decimal: str) -> str:
    cells = [str(cell).replace(".", decimal) if isinstance(cell, float) else str(cell) for cell in row]
    return separator.join(f'"{cell}"' if separator in cell else cell for cell in cells)


@st.composite
def annotated(draw: Draw) -> bytes:
    """Words with tags, or texts with labels, a line each."""
    separator, newline = draw(st.sampled_from("\t ,")), draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    cells = st.lists(WORDS | st.text(max_size=8), max_size=3)
    lines = draw(st.lists(cells.map(separator.join), max_size=12)) * draw(st.sampled_from([1, 1, 30]))
    return newline.join(lines).encode(draw(st.sampled_from(ENCODINGS)), "replace")


@st.composite
def folders(draw: Draw) -> bytes:
    """A packed folder of sounds by label."""
    file, names = (
        io.BytesIO(),
        st.sampled_from(["a/b.wav", "a/c.wav", "b/a.ogg", "x", "../a/b.wav", "a/b/", ".a/b", "/"]),
    )
    with zipfile.ZipFile(file, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for name in draw(st.lists(names | st.text(min_size=1, max_size=6), max_size=4, unique=True)):
            archive.writestr(name, draw(st.sampled_from(["WAV", "FLAC"]).map(_tone) | st.binary(max_size=50)))
    return file.getvalue()


@st.composite
def arrays(draw: Draw) -> bytes:
    """A .npy of any type, or several of them in a .npz."""
    dtypes = arrays_of.scalar_dtypes() | arrays_of.array_dtypes(max_size=3) | st.just(np.dtype("O"))
    shapes = arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
    made = [_array(draw(dtypes), draw(shapes), draw(st.integers(0, 9))) for _ in range(draw(st.integers(1, 3)))]
    if len(made) == 1:
        return _npy(made[0])
    file, packed = io.BytesIO(), draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(file, "w", packed) as archive:
        for n, array in enumerate(made):
            archive.writestr(f"{n}{draw(st.text(max_size=6))}.npy", _npy(array))
    return file.getvalue()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, (3, 0))  # in which the names of fields may be anything
    return file.getvalue()


def _array(dtype: np.dtype[Any], shape: tuple[int, ...], seed: int) -> np.ndarray:
    size = int(np.prod(shape)) * dtype.itemsize
    if dtype.hasobject:
        return np.full(shape, None)
    return np.frombuffer(np.random.default_rng(seed).bytes(size), dtype, -1 if dtype.itemsize else 0).reshape(shape)


@st.composite
def array_headers(draw: Draw) -> bytes:
    """A .npy with any header in front of some numbers."""
    sizes = st.integers(-2, 9) | st.sampled_from(HUGE)
    odd = st.sampled_from(["()", "[3]", "(3,", "None", "'x'", "(1.5,)", "(True,)", "(" * 300 + ")" * 300])
    shape = draw(st.builds(repr, st.lists(sizes, max_size=4).map(tuple)) | odd)
    types = ["'<f8'", "'>i4'", "'|O'", "'<U9'", "'<f16'", "'|V0'", "[('a', '<f8')]", "[('a', '<f8', (1000000000,))]"]
    types += ["None"]
    types += ["'<M8[s]'", "'|V99999999999'", "[('a', [('b', '<f8')])]", "[]", "'<c8'", "'|b1'", "{}", "'f8,f8'"]
    order = draw(st.sampled_from(["True", "False", "0", "'x'"]))
    text = f"{{'descr': {draw(st.sampled_from(types))}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text = draw(st.sampled_from([text, text[:-3], "{" * 200, "", "import os"])) + "\n"
    version = draw(st.sampled_from([b"\1\0", b"\2\0", b"\3\0", b"\0\0", b"\xff\xff"]))
    length = len(text).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + length + text.encode() + draw(st.binary(max_size=80))


@st.composite
def sounds(draw: Draw) -> bytes:
    """Short sounds in the formats of libsndfile."""
    kind = draw(st.sampled_from(["WAV", "FLAC", "OGG", "AIFF", "AU", "CAF", "W64", "RF64", "MP3"]))
    subtype = draw(st.sampled_from([None, *soundfile.available_subtypes(kind)]))
    steps, channels = draw(st.sampled_from([0, 1, 2, 50, 400])), draw(st.sampled_from([1, 2, 3, 9]))
    values = np.random.default_rng(steps).normal(size=(steps, channels)) / 4
    file = io.BytesIO()
    try:
        soundfile.write(file, values, draw(st.sampled_from(RATES)), subtype, format=kind)
    except soundfile.LibsndfileError:  # not every format has every number of channels
        return b"RIFF" + bytes(draw(st.integers(0, 60)))
    return file.getvalue()


def bracketed() -> st.SearchStrategy[bytes]:
    """Lines of words, of trees in brackets, and of what is nearly one."""
    pieces = st.sampled_from(["(", "(", ")", ")", " ", "a", "It", "didn't", ",", "3", "\u00e9", "\n", "(a b)", "\x1c"])
    tree = st.recursive(st.sampled_from(["a", "b,", "3"]), lambda part: st.lists(part, max_size=3).map(_tree))
    return st.lists(tree | pieces, max_size=30).map(lambda parts: "\n".join(parts).encode()) | st.lists(pieces).map(
        lambda parts: "".join(parts).encode()
    )


def _tree(parts: list[str]) -> str:
    return f"({' '.join(parts)})"


@cache
def _tone(kind: str) -> bytes:
    """A sound that is always the same: written once, as libsndfile may crash when it writes thousands."""
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(400.0)) / 4, 8000, format=kind)
    return file.getvalue()


def workbooks() -> st.SearchStrategy[bytes]:
    """Sheets of Excel."""
    cells = st.floats(allow_nan=False) | st.sampled_from(["x", "time", "", "1.5", "x" * 500, "&#7;", "&#10;"])
    rows = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), max_size=12))
    return rows.map(workbook)


@st.composite
def parquets(draw: Draw) -> bytes:
    """Tables in Parquet."""
    import pandas as pd

    rows = draw(st.integers(0, 9))
    kinds = {"float64", "int64", "str", "bool", "datetime64[ns]", "complex128", "category", "Int64"} - {"complex128"}
    columns = {
        draw(st.text(max_size=4)): pd.Series(range(rows)).astype(draw(st.sampled_from(sorted(kinds))))
        for _ in range(draw(st.integers(0, 4)))
    }
    frame, file = pd.DataFrame(columns), io.BytesIO()
    frame.index.name = draw(st.sampled_from([None, "time", ""]))
    frame.to_parquet(file)
    return file.getvalue()


@st.composite
def weights(draw: Draw) -> bytes:
    """Layers of gradlab, of PyTorch, and whatever else is in a .safetensors file."""
    name, sizes = draw(st.sampled_from(sorted(CELLS))), {"input_size": draw(st.integers(1, 3)), "hidden_size": 2}
    cell = make_cell(name, **sizes, activation=draw(st.sampled_from(["tanh", "relu"])))
    params = cell.init(0)
    if draw(st.booleans()) or name not in ("elman", "lstm", "gru"):
        return save_layer(cell, params)
    found = {draw(st.sampled_from(["", "net.", "a\x07."])) + key: a for key, a in to_state_dict(cell, params).items()}
    for key in draw(st.lists(st.sampled_from(sorted(found)), max_size=2)):
        dtype = draw(st.sampled_from(["float16", "float32", "int8", "bool", "complex64"]))
        shape = draw(arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=8))
        found[key] = np.zeros(shape, dtype)
    meta = draw(
        st.sampled_from([None, {"gradlab.layer": "{"}, {"gradlab.layer": "[" * 5000}, {"gradlab.training": "{}"}])
    )
    return save(found, meta)


@st.composite
def weight_headers(draw: Draw) -> bytes:
    """A .safetensors file with any header in front of some numbers."""
    inside = st.recursive(
        st.sampled_from([None, True, "F32", "x" * 2000, "a\x07", 0, -1, 1.5, *HUGE]),
        lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.sampled_from(ENTRY), parts, max_size=4),
        max_leaves=12,
    )
    entry = st.fixed_dictionaries({}, optional=dict.fromkeys(ENTRY, inside))
    likely = {"dtype": st.sampled_from(["F32", "BF16", "F8_E4M3", "I64"]), "data_offsets": st.just([0, 48])}
    likely["shape"] = st.sampled_from([[12], [3, 4], [3, 2, 2], [2**62, 4], [], [0]])
    keys = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "__metadata__", "params.0.W_hh", "params.9" * 9 + ".W_hh"]
    header = draw(st.dictionaries(st.sampled_from(keys), st.fixed_dictionaries(likely) | entry | inside, max_size=5))
    text = draw(st.sampled_from([json.dumps(header), "[" * 10_000, '{"a":' * 10_000, "", "nul"])).encode()
    length = draw(st.sampled_from([len(text), len(text) + 1, 2**40, 2**63, 2**64 - 1]))
    return length.to_bytes(8, "little") + text + draw(st.binary(max_size=60))


ENTRY = ["dtype", "shape", "data_offsets", "__metadata__", "gradlab.layer", "gradlab.training", "config"]


def files() -> st.SearchStrategy[bytes]:
    """All of them, and bytes that are nothing at all."""
    kinds = [tables(), tables(), arrays(), array_headers(), sounds(), workbooks(), weights(), st.binary(max_size=200)]
    kinds += [annotated(), folders()]
    kinds += [bracketed()]
    kinds += [parquets()] * bool(find_spec("pyarrow")) + [
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
    ]
    return damaged(st.one_of(kinds))


@st.composite
def damaged(draw: Draw, whole: st.SearchStrategy[bytes]) -> bytes:
    """A file as it is, or as a bad disk, a broken line or a malicious hand leaves it."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 3))):
        damage, at = draw(st.sampled_from(DAMAGES)), draw(st.integers(0, max(len(data) - 1, 0)))
        damage(data, at, draw(st.integers(0, 255)))
    return bytes(data)


def _cut(data: bytearray, at: int, byte: int) -> None:
    del data[at:]


def _drop(data: bytearray, at: int, byte: int) -> None:
    del data[at : at + 1 + byte % 16]


def _flip(data: bytearray, at: int, byte: int) -> None:
    data[at : at + 1] = bytes([byte])


def _blank(data: bytearray, at: int, byte: int) -> None:
    data[at : at + byte] = bytes(len(data[at : at + byte]))


def _enlarge(data: bytearray, at: int, byte: int) -> None:
    size = (2, 4, 8)[byte % 3]
    data[at : at + size] = (HUGE[byte % len(HUGE)] % 256**size).to_bytes(size, ("little", "big")[byte % 2])


def _repeat(data: bytearray, at: int, byte: int) -> None:
    data[at:at] = data[at : at + 20] * (1 + byte * byte)


def _insert(data: bytearray, at: int, byte: int) -> None:
    data[at:at] = (b'"', b"\0", b"\xff\xfe", b"\r", b",", b"\x93NUMPY", b"PK\3\4", b"RIFF")[byte % 8]


DAMAGES = (_cut, _drop, _flip, _flip, _blank, _enlarge, _enlarge, _repeat, _insert)
