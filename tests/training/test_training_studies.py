"""The studies of training, on seeds that no band was set on."""

import plotly.graph_objects as go
import pytest

from studies import adding, character_model, clip_temporal_order, co2_forecast


def assert_claims(rows, figure, count):
    assert len(rows) == count and isinstance(figure, go.Figure)
    for row in rows:
        assert row.passed, row


@pytest.mark.slow
def test_a_net_forecasts_held_out_years_better_than_persistence():
    assert co2_forecast.WANTED <= 0.25
    assert_claims(*co2_forecast.study(range(100, 102)), 2)


@pytest.mark.study
def test_clipping_rescues_long_sequences():
    rows, figure = clip_temporal_order.study(range(100, 106))
    assert [row.expected for row in rows] == [6, 6, 6, 0] and [row.tolerance for row in rows] == [1, 1, 1, 2]
    assert_claims(rows, figure, 4)


@pytest.mark.study
def test_adding_over_a_hundred_steps():
    assert_claims(*adding.study(range(100, 103)), 6)


@pytest.mark.study
def test_a_character_model_beats_the_frequencies_of_characters():
    assert character_model.WANTED <= 0.7
    assert_claims(*character_model.study(seed=100), 1)


def test_the_published_start():
    run = clip_temporal_order.TrainingRun(clip_temporal_order.TrainConfig(task="temporal_order", hidden_size=50))
    clip_temporal_order.start_as_published(run, 7)
    w = run.params["0.W_hh"][0]
    assert ((w != 0).sum(axis=1) == 15).all()
    assert max(abs(clip_temporal_order.np.linalg.eigvals(w))) == pytest.approx(0.95)
    for name in ("0.W_xh", "2.W_hy"):
        assert run.params[name].std() == pytest.approx(0.01, rel=0.15)
    assert not run.params["0.b_h"].any() and not run.params["2.b_y"].any()
