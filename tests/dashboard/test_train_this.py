""" "Train this" in Explore: the address that it opens, and what Train makes of it."""

import re
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import expect

from dashboard.pages.explore import settle as explore_settle
from dashboard.pages.train import address as train_address
from gradlab import make_cell, train
from gradlab.config import RunConfig
from gradlab.config.links import from_query, to_query
from gradlab.config.train import TrainConfig
from gradlab.data.uploads import find, store
from gradlab.importers import save_safetensors, to_state_dict

from ..pages import address, open_page  # noqa: F401 - fixtures
from ..views import request


def opened(config, pins=()):
    """What Train reads from the address behind the button."""
    found = explore_settle.settle(request(config, pins=list(pins)))["train_this"]
    path, _, query = found.partition("?")
    assert path == "/train"
    return train_address.read(f"?{query}")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cell": "lstm", "activation": "relu", "hidden_size": 24, "forget_bias": 1.5, "gain": 2.0},
        {"cell": "lstm", "forget_bias": "chrono", "recurrent_init": "orthogonal"},
        {"bias_scale": 0.5, "input_scale": 0.2, "leak": 0.5, "steps": 60, "batch_size": 7, "seed": 3},
        {"clip": "norm", "clip_threshold": 2.5},
        {"clip": "step_value", "clip_threshold": 0.1, "dtype": "float32"},
    ],
    ids=str,
)
def test_what_both_have_is_taken_over(own_cache, fields):
    here = opened(RunConfig(**fields))
    assert (here.config, here.notices) == (TrainConfig(**fields), ())


@pytest.mark.parametrize(
    ("fields", "taken", "said"),
    [
        ({"input": "sine"}, {}, "its input (the task brings one)"),
        ({"input_size": 5, "gain": 2.0}, {"gain": 2.0}, "its number of input features (the task sets it)"),
        ({"loss": "every"}, {}, "its loss at every step (the task says where it acts)"),
        ({"clip": "norm"}, {"clip": "norm"}, "its threshold 0.5x (a multiple of a norm there)"),
        ({"clip_threshold": "2x"}, {}, ""),
    ],
)
def test_what_training_lacks_is_left_out_and_said(own_cache, fields, taken, said):
    here = opened(RunConfig(**fields))
    assert here.config == TrainConfig(**taken)
    assert here.notices == ((f"Set up as in Explore. Left out: {said}.",) if said else ())


def test_all_that_is_left_out_is_said_at_once(own_cache):
    (text,) = opened(RunConfig(loss="every", input="sine")).notices
    left = ("its input (the task brings one)", "its loss at every step (the task says where it acts)")
    assert text == f"Set up as in Explore. Left out: {', '.join(left)}."


def weights(cell):
    content = save_safetensors(to_state_dict(cell, cell.init(0)))
    return str(find(store("own.safetensors", content), "own.safetensors"))


def test_own_weights_leave_their_cell_and_size(own_cache):
    cell = make_cell("gru", input_size=2, hidden_size=9)
    here = opened(RunConfig(weights=weights(cell), activation="relu"))
    assert here.config == TrainConfig(cell="gru", hidden_size=9, activation="relu")
    assert here.notices == ("Set up as in Explore. Left out: its own weights (Train draws some for the same cell).",)
    assert from_query(here.query).config.weights.endswith("own.safetensors"), "Explore gets them back"


def test_weights_of_a_training_run_leave_activation_and_leak_too(own_cache, tmp_path):
    path, fields = tmp_path / "run.safetensors", {"activation": "relu", "leak": 0.3, "hidden_size": 7}
    train(TrainConfig(steps=8, batch_size=2, iterations=2, **fields), checkpoint=path)
    kept = find(store("run.safetensors", path.read_bytes()), "run.safetensors")
    assert opened(RunConfig(weights=str(kept))).config == TrainConfig(**fields)


def test_weights_that_are_not_here_are_left_out_too(own_cache):
    here = train_address.read("?v=1&weights=far.safetensors&weights_sha=0123456789ab&gain=2&from=explore")
    assert here.config == TrainConfig(gain=2.0) and "its own weights" in here.notices[0]


def test_a_file_is_learnt_from_and_pins_come_back(own_cache):
    series = "a,b\n" + "1,2\n3,5\n" * 20
    path = str(find(store("two.csv", series.encode()), "two.csv"))
    pin = to_query(RunConfig(gain=3.0))
    here = opened(RunConfig(input=path, column="a"), [pin])
    assert (here.config.input, here.config.column, here.notices) == (path, "a", ())
    assert from_query(here.query).pins == [RunConfig(gain=3.0)]


def test_the_address_of_the_set_up_says_no_more_where_it_came_from(own_cache):
    query = opened(RunConfig(gain=2.0, loss="every")).query
    assert "from" not in dict(parse_qsl(query[1:]))
    assert train_address.read(query).notices == ()


@pytest.mark.browser
@pytest.mark.slow
def test_the_button_opens_train_and_the_way_back_is_free_of_notices(open_page):  # noqa: F811
    page = open_page("cell=lstm&hidden_size=16&batch_size=4&steps=60&loss=every&forget_bias=2")
    expect(page.locator("#train-this")).to_have_attribute("href", re.compile("cell=lstm.*from=explore"))
    page.click("#train-this")
    expect(page.locator("#control-train-forget_bias")).to_have_value("2")
    expect(page.locator("#control-train-cell")).to_have_value("lstm")
    expect(page.locator("#train-notices")).to_have_text(
        "Set up as in Explore. Left out: its loss at every step (the task says where it acts)."
    )
    page.click("nav >> text=Explore")
    expect(page.locator("#control-forget_bias")).to_have_value("2")
    expect(page.locator("#notices")).to_be_empty()
