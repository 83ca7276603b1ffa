"""Cells of Flax give what Flax computes, from its msgpack files and under their names in a .safetensors file."""

import sys
from pathlib import Path

import msgpack
import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.importers import AssumedActivation, load_weights, save_safetensors, weights_text
from gradlab.importers.flax import read_msgpack

from .cases import outputs

MODELS = Path(__file__).parents[1] / "golden" / "models"
FILE = MODELS / "flax.msgpack"


@pytest.mark.parametrize("separator", [None, ".", "/"])
def test_a_file_gives_what_flax_computes(separator):
    with np.load(MODELS / "flax.npz") as file:
        x, y = (np.moveaxis(file[name], 0, 1) for name in "xy")
    arrays = read_msgpack(FILE.read_bytes())
    joined = {name.replace("/", separator or "/"): array for name, array in arrays.items()}
    source = FILE if separator is None else save_safetensors(joined)
    np.testing.assert_allclose(outputs(source, x), y, rtol=0, atol=1e-6)


def test_a_guessed_activation_is_told():
    assert weights_text(FILE).endswith(
        "they do not tell a cell's activation, so tanh is assumed: no activation was given"
    )
    with pytest.warns(AssumedActivation, match="the weights do not tell a cell's activation, so tanh is assumed"):
        load_weights(FILE, prefix="GRUCell_0")
    assert load_weights(FILE, prefix="GRUCell_0", activation="relu")[0].activation.name == "relu"


def part(**changes):
    """The file as a .safetensors with some arrays changed, or left out where None."""
    arrays = read_msgpack(FILE.read_bytes())
    arrays |= {name.replace("__", "/"): array for name, array in changes.items()}
    return save_safetensors({name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"params__GRUCell_0__hn__kernel": None, "params__GRUCell_0__hn__bias": None},
            "GRUCell_0 has hr, hz, in, ir, iz;",
        ),
        ({"params__GRUCell_0__hn__kernel": None}, "GRUCell_0 lacks hn.kernel; the file is not whole"),
        ({"params__GRUCell_0__ir__kernel": np.ones((3, 3), "f")}, r"GRUCell_0.ir.kernel|expected shape"),
        ({"params__GRUCell_0__in__bias": np.ones(9, "f")}, r"GRUCell_0.in.bias: expected shape \(3,\), got \(9,\)"),
        ({"params__GRUCell_0__in__bias": np.full(3, np.nan, "f")}, "GRUCell_0.in.bias: nan at index"),
    ],
)
def test_cells_that_are_not_whole(changes, message):
    with pytest.raises(InputError, match=message):
        load_weights(part(**changes), prefix="GRUCell_0", activation="tanh")


def test_files_without_a_cell_and_damaged_ones():
    with pytest.raises(InputError, match=r"no recurrent cell of Flax .* they hold: params/Dense_0/kernel \(2, 3\)"):
        load_weights(packed({"params": {"Dense_0": {"kernel": np.ones((2, 3), "f")}}}))
    data = FILE.read_bytes()
    with pytest.raises(InputError, match="a msgpack file that breaks off or is damaged"):
        load_weights(data[: len(data) // 2])
    deep = {"a": {}}
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(InputError, match="no recurrent cell of Flax"):
        load_weights(msgpack.packb(deep))


def packed(tree):
    """As flax.serialization writes it."""

    def encode(array):
        return msgpack.ExtType(1, msgpack.packb((array.shape, array.dtype.name, array.tobytes())))

    return msgpack.packb(tree, default=encode)


def test_without_the_package_the_kind_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(
        InputError, match="a msgpack file, as Flax writes it, which needs .* pip install 'gradlab.flax.'"
    ):
        load_weights(FILE)
