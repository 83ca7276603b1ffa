"""How a configuration draws a cell: one rule, whether the net is analysed or trained."""

import numpy as np
import pytest

from gradlab.config import RunConfig
from gradlab.runs.build import build, cell_of, draw_options
from gradlab.training import TrainConfig, TrainingRun

DRAWN = {"gain": 1.7, "bias_scale": 0.2, "input_scale": 0.6, "recurrent_init": "sparse", "leak": 0.4}


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru", "minimal_rnn", "peephole_lstm"])
@pytest.mark.parametrize("forget_bias", [0.0, 1.5, "chrono"])
def test_a_net_in_training_is_drawn_as_one_that_is_analysed(cell, forget_bias):
    config = TrainConfig(
        task="copy_memory", steps=15, hidden_size=6, batch_size=2, cell=cell, forget_bias=forget_bias, **DRAWN
    )
    run = TrainingRun(config)
    layer = run.network.layers[0]
    analysed, params, _ = build(run.untrained.replace(seed=5))
    assert layer.cell == analysed and getattr(layer.cell, "leak", 0.4) == 0.4
    for name, array in layer.cell.init(5, **layer.options).items():
        np.testing.assert_array_equal(array, params[name])


def test_chrono_reaches_as_far_as_the_longest_sequence_and_at_least_three_steps():
    config = RunConfig(cell="lstm", forget_bias="chrono")
    assert [draw_options(config, length)["t_max"] for length in (1, 3, 40)] == [3, 3, 40]
    assert "forget_bias" not in draw_options(RunConfig(cell="elman", forget_bias=2.0), 40)
    assert cell_of(config, 7).input_size == 7
