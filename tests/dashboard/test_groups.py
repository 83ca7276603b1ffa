"""Explore of samples that are not alike: the switch between groups, and what follows it."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from dash import no_update

from dashboard import ids
from dashboard.pages.explore import diagnosis, draw, settle, steer, tabs
from dashboard.pages.explore import downloads as explore_downloads
from dashboard.pages.explore.request import chosen
from dashboard.work import runs
from gradlab.config import RunConfig
from gradlab.config.links import from_query
from gradlab.data.uploads import find, store
from gradlab.diagnosis.draws import affected

from ..views import SMALL, mixed_file, page, request, words

DRIVEN, SILENT = 4, 7


@pytest.fixture
def mixed(own_cache) -> RunConfig:
    """A run of which 4 samples vanish and 7 explode."""
    sha = store("mixed.npy", mixed_file(DRIVEN, SILENT))
    return RunConfig(input=str(find(sha, "mixed.npy")), gain=2.0, hidden_size=8, batch_size=DRIVEN + SILENT, steps=60)


def drawn(config, group="", **more):
    return draw.draw(replace(request(config), group=group, **more))


def switch(drawing):
    """What the switch shows, what is chosen, and whether it is there."""
    props = drawing["drawn"]["props"][ids.EXPLORE.group]
    return [entry["label"] for entry in props["data"]], props["value"], "hidden" not in props["className"]


def test_all_samples_come_first_then_each_group(mixed):
    drawing = drawn(mixed)
    assert switch(drawing) == (["all 11 samples", "7 explode", "4 vanish"], "", True)
    assert "explodes" in words(drawing["verdict"])
    assert "This is of 7 of 11 samples, in which it explodes; it vanishes in 4." in words(drawing["details"])


@pytest.mark.parametrize(("group", "verb", "count"), [("vanishing", "vanishes", 4), ("exploding", "explodes", 7)])
def test_everything_follows_the_group(mixed, group, verb, count):
    drawing, asked = drawn(mixed, group), replace(request(mixed), group=group)
    assert switch(drawing)[1:] == (group, True)
    assert verb in words(drawing["verdict"])
    said = f"This is of {count} of 11 samples, in which it {verb}."
    assert words(drawing["details"]).startswith(said)
    curve = next(trace for trace in drawing["figure"].data if trace.line.width == 3)
    assert (curve.y[0] > 1) == (group == "exploding")
    after = settle.settle(asked)
    assert verb in after["announcement"] and said in after["announcement"] and said in after["figure_label"]
    assert verb in words(after["table"])
    assert said in explore_downloads.download("html", asked)[0].decode()


def test_the_card_is_of_the_group(mixed):
    draw.draw(request(mixed))
    cards = {group: words(diagnosis.content(replace(request(mixed), group=group), None)) for group in GROUPS}
    assert "outweigh" in cards["exploding"] and "outweigh" not in cards["vanishing"]
    for group, count in {"vanishing": DRIVEN, "exploding": SILENT}.items():
        assert diagnosis.diagnosed(mixed, group).verdict.samples == {group: count}


GROUPS = ("", "exploding", "vanishing")


def test_remedies_are_for_the_samples_of_the_group(mixed):
    """Changed runs have all samples; judged are those that the group has in this run."""
    ds = runs.RUNS.get(mixed)
    assert list(affected(chosen(ds, "vanishing"))) == [*range(DRIVEN)]
    assert list(affected(chosen(ds, "exploding"))) == list(affected(ds)) == [*range(DRIVEN, DRIVEN + SILENT)]


@pytest.mark.parametrize("tab", ["why", "clipping", "data"])
def test_what_is_of_all_samples_says_so(mixed, tab):
    draw.draw(request(mixed))
    shown = {group: words(tabs.panels(tab, replace(request(mixed), group=group))[tab]) for group in GROUPS}
    assert "of all 11 samples" in shown["vanishing"] and "all 11 samples" not in shown[""]


def test_the_units_are_of_all_samples(mixed):
    for group in GROUPS:
        said = [note.text for note in drawn(mixed, group)["figure"].layout.annotations]
        assert any("rms over all 11 samples" in text for text in said)


def test_the_data_are_downloaded_whole(mixed):
    drawn(mixed)
    content, _ = explore_downloads.download("nc", replace(request(mixed), group="vanishing"))
    with xr.open_dataset(content, engine="h5netcdf") as ds:
        assert ds.sizes["sample"] == DRIVEN + SILENT and np.isfinite(ds.fitted_log_rate).sum() >= SILENT


@pytest.mark.parametrize("group", GROUPS)
def test_the_address_names_the_group_and_brings_it_back(mixed, group):
    drawn(mixed, group)
    address = settle.settle(replace(request(mixed), group=group))["address"]
    assert address.endswith(f"&group={group}") if group else "group" not in address
    assert steer.follow_link(page(address))["group"] == group and not from_query(address).notices
    again = settle.settle(replace(request(mixed), group=group, search=address))
    assert again["address"] is no_update and again["copies"][ids.EXPLORE.copy_link] == address


def test_an_address_forgets_a_group_that_is_gone(mixed):
    drawn(mixed, "carried")
    search = settle.settle(replace(request(mixed), group="vanishing"))["address"]
    assert "group" not in settle.settle(replace(request(mixed), group="carried", search=search))["address"]


def test_where_all_are_alike_there_is_no_switch(own_cache):
    whole = drawn(SMALL)
    assert switch(whole) == (["all 3 samples"], "", False)
    for group in ("vanishing", "exploding", "nonsense"):
        drawing = drawn(SMALL, group)
        assert switch(drawing) == switch(whole) and drawing["figure"] == whole["figure"]


def test_a_group_that_is_gone_is_not_missed(mixed):
    assert switch(drawn(mixed, "carried")) == switch(drawn(mixed))


def test_a_network_has_none(own_cache):
    assert not switch(drawn(SMALL.replace(layers=2), "vanishing"))[2]


def test_a_preview_waits_with_its_groups(mixed, monkeypatch):
    monkeypatch.setattr(draw, "LIVE", 0.0)
    monkeypatch.setattr(runs.RUNS, "preview_seconds", lambda config: 0.0)
    drawing = drawn(mixed.replace(seed=5), "vanishing")
    assert "Preview: 8 of 11 samples" in words(drawing["details"])
    assert drawing["drawn"]["props"][ids.EXPLORE.group] == {"className": "group hidden"}
