"""What sets the controls of Explore: links, files, presets."""

import hashlib
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest

from dashboard import controls, form, ids
from dashboard.pages.explore import steer as explore_steer
from gradlab.config.presets import PRESETS
from gradlab.data.uploads import store
from gradlab.errors import InputError

from ..views import SMALL, page, upload, walk, words

GOLDEN = Path(__file__).parents[1] / "golden"
pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_link_sets_everything_and_says_what_it_ignores() -> None:
    changes = explore_steer.follow_link(
        page(search="?v=1&gain=3&gian=2&" + "&".join(f"pin=seed%3D{n}" for n in range(7)))
    )
    assert changes["values"]["gain"] == 3 and changes["preset"] == "exploding_tanh"
    assert len(changes["pins"]) == 5
    text = words(changes["notices"])
    assert "unknown field 'gian'. Did you mean 'gain'?" in text
    assert "This link has 7 pins; the first 5 are shown." in text


def test_a_link_to_a_file_that_is_not_here_asks_for_it() -> None:
    content = b"rain\n" + b"1\n2\n" * 40
    sha = store("weather.csv", content)
    (next((Path(os.environ["GRADLAB_CACHE"]) / "uploads").iterdir())).unlink()
    here = page(search=f"?file=weather.csv&sha={sha}&steps=30&column=rain")
    changes = explore_steer.follow_link(here)
    assert changes["missing"] == "missing"
    assert "This link uses weather.csv." in changes["upload_messages"][ids.EXPLORE.missing]
    found = explore_steer.take_file(ids.EXPLORE.missing, upload(content), "weather.csv", here)
    assert found["missing"] == "missing hidden"
    assert found["values"]["input"] == f"{sha}-weather.csv" and found["values"]["column"] == "rain"
    assert explore_steer.columns(found["values"]["input"]) == ["rain"]
    other = explore_steer.take_file(
        ids.EXPLORE.missing, upload(content + b"3\n"), "weather.csv", page(search="?file=x.csv&sha=0")
    )
    assert list(other) == ["upload_messages"]
    assert "has not the content that this link means" in words(other["upload_messages"])


WEIGHTS = ["words.keras", "stack.h5", "both.weights.h5", "lstm.onnx", "flax.msgpack", "lm.safetensors"]


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("name", WEIGHTS)
def test_files_that_a_link_waits_for_are_told_by_their_content(name: str, renamed: bool) -> None:
    table, weights = b"a,b\n" + b"1,2\n3,5\n" * 20, (GOLDEN / "models" / name).read_bytes()
    sha, weights_sha = (hashlib.sha256(data).hexdigest()[:12] for data in (table, weights))
    here = page(search=f"?file=two.csv&sha={sha}&weights={name}&weights_sha={weights_sha}&steps=30")
    label = "a copy" if renamed else name
    half = explore_steer.take_file(ids.EXPLORE.missing, upload(weights), label, here)
    assert half["values"]["weights"] == f"{weights_sha}-{label}" and not words(half["notices"])
    assert half["upload_messages"][ids.EXPLORE.missing] == "This link uses two.csv."
    whole = explore_steer.take_file(ids.EXPLORE.missing, upload(table), "two.csv", here)
    assert whole["missing"] == "missing hidden" and whole["values"]["input"] == f"{sha}-two.csv"


def test_files_become_input_or_weights() -> None:
    taken = explore_steer.take_file("input", upload(b"a,b\n" + b"1,2\n3,5\n" * 20), "two.csv", page())
    assert taken["values"]["input"].endswith("-two.csv") and taken["values"]["column"] is None
    assert explore_steer.columns(taken["values"]["input"]) == ["a", "b"]
    assert explore_steer.columns("noise") == explore_steer.columns(None) == []
    assert taken["upload_messages"]["input"] == "Read two.csv as a table (commas): 40 rows of 'a', 'b'"
    assert taken["missing"] == "missing hidden", "another file than the link's may be used instead"
    assert [entry["label"] for entry in taken["options"]["input"]] == ["noise", "sine", "two.csv"]
    weights = (GOLDEN / "encoder_lstm.safetensors").read_bytes()
    taken = explore_steer.take_file("weights", upload(weights), "encoder.safetensors", page())
    assert taken["values"]["weights"].endswith("-encoder.safetensors")
    assert taken["upload_messages"]["weights"].startswith("LSTM(")
    plain = (GOLDEN / "rnn_relu_no_bias.safetensors").read_bytes()
    taken = explore_steer.take_file("weights", upload(plain), "plain.safetensors", page())
    assert "The file does not say tanh or ReLU" in taken["upload_messages"]["weights"]
    own = SMALL.replace(weights=form.file_path(taken["values"]["weights"]))
    assert form.applies("activation", own), "there it is chosen"
    array = io.BytesIO()
    np.save(array, np.ones((30, 2, 3)))
    taken = explore_steer.take_file("input", upload(array.getvalue()), "cut.npy", page())
    assert "read time first: 30 steps, 2 samples, 3 features" in taken["upload_messages"]["input"]


@pytest.mark.parametrize(
    "slot, content, name, text",
    [
        ("input", b"a,b\n1,2\n3\n", "ragged.csv", r"ragged\.csv: line 3 has 1 cells, line 1 has 2"),
        ("input", b"", "empty.csv", r"empty\.csv: the file is empty"),
        ("input", b"\xff\xfe\x00", "a.txt", "not UTF-8 text"),
        ("weights", b"\x80\x02", "net.safetensors", r"is a pickle.*gradlab convert net.pt"),
        ("weights", b"PK\x03\x04", "net.pt", "a zip archive that breaks off"),
        ("input", b"1\n" * 8_000_001, "huge.csv", r"16\.0 MB; the app takes 16 MB\. Cut the file"),
    ],
)
def test_files_that_cannot_be_used_change_only_the_message(slot: str, content: bytes, name: str, text: str) -> None:
    changes = explore_steer.take_file(slot, upload(content), name, page())
    assert list(changes) == ["upload_messages"]
    assert re.search(text, words(changes["upload_messages"][slot]))


def test_no_file_is_shut_out_without_a_word() -> None:
    zones = [part for part in walk([controls.block(name) for name in form.FILES]) if type(part).__name__ == "Upload"]
    assert len(zones) == 2 and not any(getattr(zone, "accept", None) for zone in zones)


def test_an_upload_that_breaks_off_is_an_error() -> None:
    with pytest.raises(InputError, match="did not arrive whole"):
        explore_steer.decode("data:;base64,AAA")


def test_presets_set_controls_and_some_open_a_tab() -> None:
    assert explore_steer.choose_preset("clipped_explosion", page())["tabs"] == "clipping"
    assert explore_steer.choose_preset("gru", page())["tabs"] is explore_steer.no_update
    assert set(explore_steer.CHIPS) <= set(PRESETS)
