"""Explore of networks without a browser: rows, layers, tabs, card, previews, pins, files."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr

from dashboard import downloads, form
from dashboard.pages.explore import diagnosis, draw, settle, tabs
from dashboard.pages.explore import downloads as explore_downloads
from dashboard.pages.explore.tabs import TABS
from dashboard.work.runs import RUNS
from gradlab.config import RunConfig
from gradlab.config.links import to_query
from gradlab.data.uploads import find, store

from ..views import request, words

MODELS = Path(__file__).parents[1] / "golden" / "models"
TINY = RunConfig(steps=24, batch_size=9, hidden_size=8)
NETWORKS = {
    "stack": TINY.replace(layers=2, cell="gru"),
    "both": TINY.replace(bidirectional=True),
    "attention": TINY.replace(attention="dot"),
    "transformer": TINY.replace(architecture="transformer", layers=2),
    "tree": TINY.replace(architecture="tree", tree="random"),
}
pytestmark = pytest.mark.usefixtures("own_cache")


def drawn(name, **more):
    return draw.draw(replace(request(NETWORKS[name]), **more))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_drawn_with_a_row_for_each_layer(name):
    seen = drawn(name)
    strip = seen["drawn"]["strip"]
    assert [row["title"] for row in strip["rows"]][-1] == "inputs"
    assert strip["chosen"] == strip["rows"][0]["path"]
    assert "The gradient" in words(seen["verdict"]) and seen["figure"].data
    assert words(seen["theory"]) == "No theory here predicts the rate of such a net."
    assert "Click a row above to see another." in seen["drawn"]["props"]["note"]["children"]


@pytest.mark.parametrize("tab", TABS)
def test_own_weights_of_several_layers_are_such_a_network(tab):
    name = "projected_both.safetensors"
    path = find(store(name, (MODELS / name).read_bytes()), name)
    asked = request(TINY.replace(weights=str(path)))
    rows = [row["path"] for row in draw.draw(asked)["drawn"]["strip"]["rows"]]
    assert rows == ["layer2/forward", "layer2/backward", "layer1/forward", "layer1/backward", ""]
    assert words(tabs.content(tab, asked))
    one = draw.draw(request(TINY.replace(weights=str(path), layer="1")))
    assert one["figure"].data and "Click a row" not in words(one["drawn"]["props"].get("note"))


def test_another_layer_is_shown_and_one_that_is_gone_is_not_missed():
    top, low = drawn("stack"), drawn("stack", layer="layer1")
    assert low["drawn"]["strip"]["chosen"] == "layer1" and low["figure"] != top["figure"]
    assert drawn("stack", layer="block7")["drawn"]["strip"]["chosen"] == "layer2"
    inputs = drawn("transformer", layer="")
    assert inputs["drawn"]["strip"]["chosen"] == "" and words(inputs["realised"]) == ""


def test_levels_are_counted_not_steps():
    strip = drawn("tree")["drawn"]["strip"]
    assert strip["scale"] == "each box = 1 level" and strip["first"].startswith("level ")


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_tab_shows_what_it_can_and_says_what_it_cannot(name, tab):
    drawn(name)
    text = words(tabs.content(tab, request(NETWORKS[name])))
    if tab == "data":
        assert "24 steps of 9 samples" in text
    elif tab not in tabs.OF_LAYERS:
        assert "This is computed for a single cell: choose one layer, and nothing beside it." in text
    elif name in ("transformer", "tree"):
        assert "Choose a recurrent layer in the rows above" in text
    else:
        assert "multiplies the gradient" in text or "Eigenvalues tell" in text


def test_a_card_is_of_single_cells():
    drawn("stack")
    assert diagnosis.content(request(NETWORKS["stack"]), None) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_a_preview_has_the_first_samples(name):
    few = RUNS.preview(NETWORKS[name])
    assert isinstance(few, xr.DataTree) and few.sizes["sample"] == 8


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_said_and_kept_of_it(name):
    drawn(name)
    after = settle.settle(request(NETWORKS[name]))
    assert after["announcement"].startswith("The ") or after["announcement"].startswith("Too")
    assert after["theory_where"] == []
    assert "share left at the input" in words(after["table"])
    found = request(NETWORKS[name])
    for fmt in ("nc", "csv", "html"):
        content, file = explore_downloads.download(fmt, found)
        assert len(content) > 100 and file.endswith(f".{fmt}")
    data, file = explore_downloads.download("nc", found)
    assert file == {"transformer": "gradlab-transformer.nc", "stack": "gradlab-gru.nc"}.get(name, "gradlab-elman.nc")
    with xr.open_datatree(io.BytesIO(data)) as back:
        assert "log_input_share" in back
    assert downloads.sent(explore_downloads.download, "csv", found)[1] == ""


def test_pinned_networks_show_the_cell_next_to_their_loss_or_say_that_they_cannot():
    pins = tuple(to_query(NETWORKS[name]) for name in ("stack", "transformer"))
    seen = draw.draw(replace(request(TINY), pins=pins))
    assert draw.LEFT_OUT in seen["drawn"]["props"]["note"]["children"]
    names = {trace.name for trace in seen["figure"].data}
    assert draw.label(NETWORKS["stack"]) in names


def test_controls_appear_where_they_apply():
    looks = form.looks(form.Form(NETWORKS["transformer"]), RunConfig())
    hidden = {
        name for name in ("cell", "gain", "heads", "norm", "tree") if "hidden" in looks[f"field-{name}"]["className"]
    }
    assert hidden == {"cell", "gain", "tree"}


def test_a_conflict_stands_at_its_control_and_the_last_figure_stays():
    raw = form.raw(NETWORKS["transformer"]) | {"heads": 3}
    seen = draw.draw(replace(request(NETWORKS["transformer"]), raw=raw))
    assert "3 heads cannot share 8 units" in seen["drawn"]["props"]["control-heads"]["error"]
    assert "figure" not in seen
    hidden = form.read(form.raw(TINY) | {"heads": 3, "causal": True})
    assert hidden.errors == {} and hidden.config.architecture == "recurrent"


def test_rows_are_part_of_the_words_for_the_blind():
    strip = drawn("stack")["drawn"]["strip"]
    assert all(row["words"].startswith("The unrolled net") for row in strip["rows"])
