"""What a layer over trees cannot use, and what it says of it."""

import numpy as np
import pytest

from gradlab.cells import make_cell
from gradlab.errors import InputError
from gradlab.gpu_check.nets import D, H
from gradlab.layers import Dense, Last, Pass, Sequential, Tree, Trees

from ..contract import LIBRARIES, each_library
from .test_tree_layers import layer_of


def run(layer, x, trees, **how):
    y, tape = layer.forward(layer.init(0), x, trees)
    return layer.backward(layer.init(0), tape, y, Pass(**how))


def zeros(*shape):
    return np.zeros(shape)


PAIR, THREE = Trees.of([[1, -1], [1, -1]]), Trees.of([[-1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            lambda: Tree(make_cell("gru", input_size=2, hidden_size=2)),
            r"cell: a tree of the form 'child-sum' is defined for elman and lstm cells, got GRU\(2 -> 2, tanh\)",
        ),
        (
            lambda: Tree(make_cell("lstm", input_size=2, hidden_size=2), "ordered"),
            "'ordered' is defined for elman cells",
        ),
        (lambda: Tree(make_cell("peephole_lstm", input_size=2, hidden_size=2)), "elman and lstm cells, got Peephole"),
        (lambda: layer_of("lstm", zoneout={"h": 0.1}), "zoneout: a tree has none inside; put a Dropout layer before"),
        (
            lambda: layer_of("lstm", dropout=0.1),
            "dropout: a tree has none inside; put a Dropout layer before or behind",
        ),
        (lambda: Tree("lstm"), r"expected a cell such as make_cell\('lstm', ...\), got 'lstm'"),
        (lambda: layer_of("elman", form="sum"), "unknown form 'sum'. .*Valid: child-sum, ordered"),
        (
            lambda: layer_of("elman", positions=2),
            "positions: the form 'child-sum' does not tell children apart; leave it",
        ),
        (lambda: layer_of("ordered", positions=0), "positions: expected a positive integer, got 0"),
        (lambda: layer_of("elman", gian=2), "unknown option of a cell's init 'gian'"),
        (
            lambda: run(layer_of("elman"), zeros(2, 2, D), None),
            r"lengths: a Tree takes trees there, such as .*, got None",
        ),
        (lambda: run(layer_of("elman"), zeros(2, 2, D), np.array([2, 2])), "a Tree takes trees there, .* got array"),
        (
            lambda: run(layer_of("elman"), zeros(2, 3, D), PAIR),
            r"x: expected features at 2 places of 2 trees, .* \(2, 3, 3\)",
        ),
        (
            lambda: run(layer_of("elman"), zeros(3, 2, D), PAIR),
            r"x: expected features at 2 places of 2 trees, .* \(3, 2, 3\)",
        ),
        (lambda: run(layer_of("elman"), zeros(2, 2, D + 1), PAIR), r"x: expected shape \(T, B, 3\), time first"),
        (
            lambda: run(Sequential(Dense(D, D), Last()), zeros(2, 3, D), PAIR),
            r"lengths: expected shape \(3,\), got \(2,\)",
        ),
        (
            lambda: run(layer_of("ordered", positions=2), zeros(4, 1, D), THREE),
            "node 3 of tree 0 has 3 children, but W_hh has matrices for 2; give Tree.cell, 'ordered', positions=3",
        ),
        (
            lambda: run(layer_of("lstm"), zeros(2, 2, D), PAIR, clip=("step_norm", 1.0)),
            "clip: nothing is clipped inside a tree; clip the update instead",
        ),
        (
            lambda: layer_of("ordered").forward(layer_of("ordered", positions=2).init(0), zeros(2, 2, D), PAIR),
            "W_hh: expected 40 matrices, one for each position, got 2",
        ),
        (lambda: layer_of("ordered").forward({}, zeros(2, 2, D), PAIR), "expected W_xh, W_hh, b_h, got none"),
        (
            lambda: layer_of("elman").forward(
                layer_of("elman").init(0), zeros(2, 2, D), PAIR, Pass(initial_state=zeros(1))
            ),
            "initial_state: no layer of .* takes one; leave it out",
        ),
    ],
)
def test_bad_input(mistake, message):
    with pytest.raises(InputError, match=message):
        mistake()


@each_library
def test_an_overflow_names_its_lowest_node(library):
    xp, layer = LIBRARIES[library](), Tree(make_cell("elman", input_size=1, hidden_size=1, activation="identity"))
    params = {key: xp.asarray(np.full_like(p, 1e200)) for key, p in layer.init(0).items()}
    x = xp.asarray(np.where(np.arange(4)[:, None, None] < 3, 0.0, 1.0) * np.ones((4, 2, 1)))
    trees = Trees.of([[1, 2, 3, -1], [-1]])
    y, tape = layer.forward(params, x, trees)
    with pytest.raises(InputError, match="the forward pass overflowed at node 1 of tree 0; use smaller weights"):
        layer.backward(params, tape, xp.zeros_like(y))


def test_a_gradient_that_is_no_number_names_its_place():
    layer, dy = layer_of("lstm"), zeros(2, 2, H)
    _, tape = layer.forward(layer.init(0), zeros(2, 2, D), PAIR)
    dy[1, 0, 2] = np.nan
    with pytest.raises(InputError, match="dy holds nan at step 2, sample 0; it must be finite"):
        layer.backward(layer.init(0), tape, dy)


def test_adjoints_exist_after_a_backward_pass():
    layer = layer_of("lstm")
    _, tape = layer.forward(layer.init(0), zeros(2, 2, D), PAIR)
    with pytest.raises(ValueError, match="call backward first"):
        tape.adjoints  # noqa: B018
