"""Results that are saved and read back: nothing is lost, of a Dataset or a tree, in any format."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from zarr.storage import ZipStore

import gradlab
from gradlab.layers import Attention, Bidirectional, Sequential, Transformer, Tree, Trees
from gradlab.runs.saving import FORMATS, zarr_zip
from gradlab.runs.spectrum import dataset as spectrum_dataset
from gradlab.training import dataset, snapshot_dataset, train

ENGINES = {".nc": "h5netcdf", ".zarr.zip": "zarr"}
T, B, D, H = 9, 3, 4, 4
SMALL = {"steps": T, "batch_size": 2, "hidden_size": H}


def inputs():
    return np.random.default_rng(0).normal(size=(T, B, D))


def network(*layers, **given) -> xr.DataTree:
    net = Sequential(*layers)
    return gradlab.analyze(net=net, params=net.init(0), x=inputs(), **given)


def cell(name="lstm"):
    return gradlab.make_cell(name, input_size=D, hidden_size=H)


def of_lengths() -> xr.DataTree:
    """NaN beyond a sample's own steps."""
    return network(Bidirectional(cell()), Attention(2 * H), lengths=np.array([T, 1, 4]))


def of_trees() -> xr.DataTree:
    trees = Trees.of([[2, 2, -1], [1, -1], [1, 2, 3, -1]])
    net = Tree(cell())
    return gradlab.analyze(net=net, params=net.init(0), x=inputs()[: trees.steps], lengths=trees)


@cache
def run():
    return train(task="adding", **SMALL, iterations=20, snapshot_every=10, evaluate_every=10)


def exponents() -> xr.Dataset:
    return spectrum_dataset(gradlab.lyapunov(cell("elman"), cell("elman").init(0), inputs(), k=2))


MADE = {
    "a run": lambda: gradlab.analyze(cell="lstm", record=["products", "theory"], **SMALL),
    "no gradient": lambda: gradlab.analyze(gain=0.0, **SMALL),
    "clipped": lambda: gradlab.analyze(clip="norm", loss="every", dtype="float32", **SMALL),
    "overflow": lambda: gradlab.analyze(activation="identity", gain=1e40, **SMALL),
    "two directions": of_lengths,
    "a transformer": lambda: network(Transformer(D, blocks=2, heads=2), record=["influence"]),
    "trees": of_trees,
    "exponents": exponents,
    "training": lambda: dataset(run()),
    "snapshots": lambda: snapshot_dataset(run()),
}
SELDOM = ("clipped", "overflow", "a transformer", "exponents", "snapshots")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in SELDOM else name for name in MADE]
made = cache(lambda name: MADE[name]())


def kinds(result) -> dict:
    """Of all variables, by their paths, in the order in which they come."""
    tree = result if isinstance(result, xr.DataTree) else xr.DataTree(result)
    return {(node.path, name): values.dtype for node in tree.subtree for name, values in node.data_vars.items()}


def require_same(back, result) -> None:
    """All of it, kinds of numbers and texts included."""
    xr.testing.assert_identical(back, result)
    assert kinds(back) == kinds(result)


def read(path: Path, result, engine: str):
    opened = xr.open_datatree if isinstance(result, xr.DataTree) else xr.open_dataset
    source = ZipStore(path, mode="r") if path.suffix == ".zip" else path
    with opened(source, engine=engine) as back:
        return back.load()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", ENGINES)
def test_a_result_is_read_back_whole(ending, name, tmp_path):
    result = made(name)
    path = tmp_path / f"run{ending}"
    path.write_bytes(FORMATS[ending](result))
    back = read(path, result, ENGINES[ending])
    require_same(back, result)
    assert [*kinds(back)] == [*kinds(result)]


def test_layers_keep_their_order(tmp_path):
    """Which is not the alphabet's."""
    tree = xr.DataTree.from_dict({f"/{n}/inner": xr.Dataset({"a": n}) for n in range(12)})
    for ending, engine in ENGINES.items():
        (tmp_path / f"run{ending}").write_bytes(FORMATS[ending](tree))
        assert [*read(tmp_path / f"run{ending}", tree, engine).children] == [str(n) for n in range(12)]


@pytest.mark.parametrize("name", ["a run", "trees"])
@pytest.mark.parametrize("version", [2, 3])
def test_it_is_read_back_whole_from_a_folder(version, name, tmp_path):
    result = made(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if version == 3 else "error")  # what zarr says of texts and of its own metadata
        result.to_zarr(tmp_path / "run.zarr", zarr_format=version)
        require_same(read(tmp_path / "run.zarr", result, "zarr"), result)


def test_what_is_saved_twice_is_the_same_file():
    for name in ("a run", "two directions"):
        assert zarr_zip(made(name)) == zarr_zip(made(name))


def test_booleans_and_infinities_are_kept(tmp_path):
    """Of all that results may hold."""
    values = {"flag": [True, False], "infinite": [-np.inf, np.nan], "text": ["é", ""], "whole": [0, -(2**62)]}
    ds = xr.Dataset({name: ("x", np.array(value)) for name, value in values.items()}, attrs={"n": 1, "s": "", "f": 0.5})
    for ending, engine in ENGINES.items():
        (tmp_path / f"run{ending}").write_bytes(FORMATS[ending](ds))
        require_same(read(tmp_path / f"run{ending}", ds, engine), ds)


def test_a_verdict_is_the_same_of_what_was_read_back(tmp_path):
    (tmp_path / "run.zarr.zip").write_bytes(zarr_zip(made("a run")))
    back = read(tmp_path / "run.zarr.zip", made("a run"), "zarr")
    assert gradlab.verdict(back) == gradlab.verdict(made("a run"))
