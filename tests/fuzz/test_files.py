"""Whatever bytes a file holds and whatever it is called: an array and how it was read, or a sentence."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.uploads import keep
from gradlab.config import RunConfig, from_toml
from gradlab.data import (
    Batch,
    Series,
    column_names,
    input_text,
    labelled_rows,
    labelled_sounds,
    labelled_texts,
    load_input,
    parse,
    raw_series,
    tagged_sentences,
    text_codes,
    text_tokens,
)
from gradlab.errors import InputError
from gradlab.importers import load_safetensors, load_weights, weights_text
from gradlab.runs.network_input import network_input, said_of

from .examples import answer, fuzzed
from .made import damaged, files, names, weight_headers, weights

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a file that fails
COLUMNS = st.none() | st.sampled_from(["0", "label", "time", "-1", "9" * 5000, "a\x07"]) | st.text(max_size=4)


def driven(path: Path, column: str | None, **fields: Any) -> Any:
    """What a small network is driven by, and what is said of it."""
    config = RunConfig(input=str(path), column=column, steps=9, batch_size=3, **fields)
    return network_input(config), said_of(config)


OF_PATHS: list[Callable[..., Any]] = [
    lambda path, column: load_input(path, steps=2, batch_size=2, input_size=1, column=column),
    lambda path, column: input_text(path, column),
    lambda path, column: raw_series(path, column),
    lambda path, column: labelled_rows(path, column or "label"),
    lambda path, column: text_codes(path),
    lambda path, column: tagged_sentences(path),
    lambda path, column: labelled_texts(path),
    lambda path, column: labelled_sounds(path),
    lambda path, column: load_input(path, steps=2, batch_size=2, input_size=1, column=column, frames="mel"),
    lambda path, column: raw_series(path, column, frames="mel"),
    lambda path, column: text_tokens(path, "word", column),
    lambda path, column: text_tokens(path, "byte", column),
    lambda path, column: driven(path, column, architecture="tree"),
    lambda path, column: driven(path, column, layers=2, tokens="word"),
    lambda path, column: from_toml(path),
]
NUMBER = count()  # of a file: no two have one name, as what was read is kept by name, time and size


@pytest.fixture(scope="module", name="folder")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(autouse=True)
def cache(own_cache: Path) -> None:
    """Of uploads."""


def finite(found: Series | Batch) -> bool:
    values = found.table if isinstance(found, Series) else found.values
    return bool(values.size and np.isfinite(values).all())


@fuzzed("files")
@given(files(), names(), COLUMNS)
@example(b'a\n"' + b"1" * 200_000, "a.csv", None)
@example(b"1,2\n" + b"x" * 100_000 + b",3\n4,5\n5,6\n7,8\n", "a.csv", None)
def test_files_are_read_or_refused(folder: Path, data: bytes, name: str, column: str | None) -> None:
    found = answer(parse, name, data, column)
    assert isinstance(found, InputError) or (finite(found) and found.said.startswith("Read "))
    answer(column_names, name, data)
    answer(column_names, name, data, labels=True)
    answer(keep, "input", name, data)
    path = folder / f"{next(NUMBER)}{Path(name.replace(chr(0), '')).suffix[:20]}"
    path.write_bytes(data)
    for read in OF_PATHS:
        answer(read, path, column)
    path.unlink()


@fuzzed("weights")
@given(damaged(st.one_of(weights(), weight_headers())) | files())
@pytest.mark.filterwarnings("ignore:the weights do not tell", "ignore:layer .* reads a sequence from its end")
def test_weights_are_read_or_refused(data: bytes) -> None:
    found = answer(load_weights, data)
    assert isinstance(found, InputError) or all(np.isfinite(array).all() for array in found[1].values())
    answer(weights_text, data)
    answer(load_safetensors, data)
    answer(keep, "weights", "a.safetensors", data)
