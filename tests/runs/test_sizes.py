"""Numbers of parameters, counted without drawing, against those that are drawn; runs of one size."""

from pathlib import Path

import pytest

from gradlab.cells import CELLS
from gradlab.config import RunConfig
from gradlab.errors import InputError
from gradlab.runs.architectures import network_of
from gradlab.runs.build import build
from gradlab.runs.sizes import matched, parameter_count

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = {"steps": 8, "batch_size": 2}
NETS = {
    "two layers": {"layers": 2, "residual": True, "layer_norm": True},
    "directions": {"cell": "lstm", "bidirectional": True, "layers": 2},
    "additive": {"cell": "gru", "attention": "additive"},
    "dot": {"attention": "dot", "bidirectional": True},
    "transformer": {"architecture": "transformer", "layers": 3},
    "one head": {"architecture": "transformer", "heads": 1, "norm": "post"},
    "tree": {"architecture": "tree", "cell": "lstm"},
    "ordered tree": {"architecture": "tree"},
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_has_as_many_as_are_drawn(cell):
    config = RunConfig(cell=cell, hidden_size=12, input_size=5, **SMALL)
    assert parameter_count(config) == sum(p.size for p in build(config)[1].values())


@pytest.mark.parametrize("size", [4, 12, 68])
@pytest.mark.parametrize("net", NETS)
def test_a_network_has_as_many_as_are_drawn(net, size):
    config = RunConfig(hidden_size=size, input_size=5, **SMALL, **NETS[net])
    assert parameter_count(config) == sum(p.size for p in network_of(config).params.values())


def test_an_input_from_a_file_counts_with_its_columns(tmp_path):
    (path := tmp_path / "a.csv").write_text("\n".join(["a,b", *(f"{n * n % 11},{n * n % 7}" for n in range(30))]))
    config = RunConfig(input=str(path), hidden_size=4, **SMALL)
    assert parameter_count(config) == 4 * 2 + 4 * 4 + 4 == sum(p.size for p in build(config)[1].values())


@pytest.mark.parametrize("fields", [{"tokens": "word"}, {"tokens": "byte"}, {"architecture": "tree"}], ids=str)
def test_words_have_vectors(tmp_path, fields):
    text = "(a (b c))\n(d e)\n" * 9 if "architecture" in fields else "to be or not to be, that is the question " * 9
    (path := tmp_path / "verse.txt").write_text(text)
    config = RunConfig(input=str(path), hidden_size=4, input_size=5, **SMALL, **fields)
    assert parameter_count(config) == sum(p.size for p in network_of(config).params.values())


@pytest.mark.parametrize("fields", [{"tokens": "word"}, {"architecture": "tree"}], ids=str)
def test_words_are_counted_anew_where_a_file_has_changed(tmp_path, fields):
    config = RunConfig(input=str(path := tmp_path / "verse.txt"), hidden_size=4, input_size=5, **SMALL, **fields)
    for text in ("(a (b c))\n" * 9, "(a (b (c (d (e f)))))\n" * 9):
        path.write_text(text)
        params = network_of(config).params
        assert parameter_count(config) == sum(p.size for p in params.values())


def test_own_weights_count_as_the_file_has_them():
    config = RunConfig(weights=str(GOLDEN / "encoder_lstm.safetensors"), **SMALL)
    assert parameter_count(config) == sum(p.size for p in build(config)[1].values())
    assert matched([RunConfig(**SMALL), config], "parameters")[1] == config


@pytest.mark.parametrize("others", ["cells", "nets"])
def test_each_run_comes_nearest_to_the_first(others):
    first = RunConfig(hidden_size=6, cell="lstm", **SMALL)
    each = [{"cell": name} for name in CELLS] if others == "cells" else NETS.values()
    for fields in each:
        config = RunConfig(**SMALL, **fields)
        same, found = matched([first, config], "parameters")
        step = found.heads if found.architecture == "transformer" else 1
        near = [config.replace(hidden_size=n * step) for n in range(1, 130 // step)]
        wanted = parameter_count(first)
        best = min(abs(parameter_count(other) - wanted) for other in near)
        assert same == first and found.replace(hidden_size=64) == config
        assert abs(parameter_count(found) - wanted) == best
        assert found.hidden_size % step == 0


def test_the_smallest_size_is_one():
    tiny, other = RunConfig(hidden_size=1, **SMALL), RunConfig(cell="lstm", **SMALL)
    assert matched([tiny, other], "parameters")[1].hidden_size == 1


def test_as_they_are_by_default():
    configs = [RunConfig(hidden_size=3), RunConfig(hidden_size=9)]
    assert matched(configs, "hidden size") == configs
    assert matched([], "parameters") == []


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="unknown equality 'params'. Did you mean 'parameters'") as error:
        matched([RunConfig()], "params")
    assert error.value.field == "equal"
    with pytest.raises(InputError, match="file not found"):
        parameter_count(RunConfig(input="/nowhere.csv", **SMALL))
    with pytest.raises(InputError, match=r"^LSTM: .*file not found") as error:
        matched([RunConfig(), RunConfig(cell="lstm", input="/nowhere.csv", **SMALL)], "parameters")
    assert error.value.field == "configs"


def test_nothing_of_that_size_is_drawn():
    """Its weights would take 300 GB."""
    large = RunConfig(architecture="transformer", hidden_size=60_000, **SMALL)
    assert parameter_count(large) > 4 * 10**10
