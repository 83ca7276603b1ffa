"""Folders of sounds by label, and the same packed: what is read, what is passed over, what is refused."""

import io
import os
import zipfile

import numpy as np
import pytest
import soundfile

from gradlab.data import BANDS, folder, folder_digest, labelled_sounds, read_input, stamp
from gradlab.errors import InputError

SECONDS, RATE = 0.25, 8000


def sound(hertz, channels=1, kind="WAV"):
    """A tone as a file."""
    tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(SECONDS * RATE) / RATE)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone] * channels, axis=1), RATE, format=kind)
    return file.getvalue()


FILES = {
    "low/a.wav": sound(300),
    "low/b.flac": sound(320, kind="FLAC"),
    "high/c.wav": sound(2000, channels=2),
    "high/d.ogg": sound(2100, kind="OGG"),
}


@pytest.fixture(name="place")
def made(tmp_path):
    """A folder with these files."""

    def make(files=FILES, name="sounds"):
        for file, data in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / name

    return make


@pytest.fixture(name="packed")
def zipped(tmp_path):
    def pack(files=FILES, start=""):
        with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as archive:
            for file, data in files.items():
                archive.writestr(start + file, data)
        return tmp_path / "sounds.zip"

    return pack


def same(ours, theirs):
    assert ours.labels == theirs.labels
    for a, b in zip(ours.frames, theirs.frames, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_sound_has_its_folder_s_name(place):
    found = labelled_sounds(place())
    assert found.labels == ["high", "high", "low", "low"]
    assert found.said == "Read sounds as 4 sounds of 92 mel frames with 2 labels"
    assert all(frames.shape == (23, BANDS) for frames in found.frames)
    loudest = [int(frames.mean(axis=0).argmax()) for frames in found.frames]
    assert min(loudest[:2]) > max(loudest[2:])


def test_channels_are_averaged(place):
    one, two = (labelled_sounds(place({"x/a.wav": sound(700, n)}, str(n))) for n in (1, 2))
    np.testing.assert_allclose(one.frames[0], two.frames[0], rtol=1e-12)


@pytest.mark.parametrize("start", ["", "sounds/", "home/sounds/"])
def test_a_packed_folder_is_the_same(place, packed, start):
    same(labelled_sounds(packed(start=start)), labelled_sounds(place()))


def test_what_is_hidden_or_beside_the_labels_is_passed_over(place, packed):
    more = {"README.txt": b"notes", ".git/config": b"x", "low/.DS_Store": b"x"}
    same(labelled_sounds(place(FILES | more, "more")), labelled_sounds(place()))
    same(labelled_sounds(packed(FILES | more | {"__MACOSX/low/a.wav": b"x"})), labelled_sounds(place()))


@pytest.mark.parametrize("start", ["", "sounds/", "home/sounds/"])
def test_a_packed_folder_of_one_label_is_the_same(place, packed, start):
    files = {"low/a.wav": FILES["low/a.wav"]}
    same(labelled_sounds(packed(files, start)), labelled_sounds(place(files)))


def test_a_packed_folder_with_what_is_beside_the_labels_is_the_same(place, packed):
    files = FILES | {"README.txt": b"notes"}
    same(labelled_sounds(packed(files, "home/sounds/")), labelled_sounds(place(files)))


@pytest.mark.parametrize("start", [None, "", "sounds/", "home/sounds/"])
@pytest.mark.parametrize("deeper", ["low/deep/e.wav", "low/deep/deeper/e.wav", "new/deep/e.wav"])
def test_a_folder_within_a_label_s_is_refused(place, packed, start, deeper):
    files = FILES | {deeper: sound(400)}
    with pytest.raises(InputError, match=r"sounds\S*: (low|new)/deep is a folder within a label's folder; expected"):
        labelled_sounds(place(files) if start is None else packed(files, start))


def test_an_empty_folder_within_a_label_s_is_refused_alike(place, packed):
    path, archive = place(), packed()
    (path / "low" / "deep").mkdir()
    with zipfile.ZipFile(archive, "a") as more:
        more.write(path / "low" / "deep", "low/deep/")
    for source in (path, archive):
        with pytest.raises(InputError, match="low/deep is a folder within a label's folder"):
            labelled_sounds(source)


def test_a_packed_folder_of_empty_folders_has_no_sound(place, packed):
    (path := place({"low/.keep": b""}, "home/sounds")).joinpath("high").mkdir()
    with zipfile.ZipFile(packed({}), "w") as archive:
        for entry in ("home/", "home/sounds/", "home/sounds/low/", "home/sounds/high/"):
            archive.writestr(entry, b"")
    for source in (path, archive.filename):
        with pytest.raises(InputError, match="no sound in it; expected a folder with a folder of sounds"):
            labelled_sounds(source)


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"low/notes.txt": b"hello there"}, r"sounds\S*: low/notes.txt: not a readable sound"),
        ({"low/cut.wav": sound(300)[:1000]}, "low/cut.wav: truncated"),
        ({"low/none.wav": b""}, "low/none.wav: not a readable sound"),
    ],
)
def test_the_file_that_is_no_sound_is_named(place, packed, kind, files, message):
    with pytest.raises(InputError, match=message) as told:
        labelled_sounds((place if kind == "folder" else packed)(FILES | files))
    assert told.value.field == "input"


def test_what_is_no_folder_of_sounds(place, packed, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.wav").write_bytes(FILES["low/a.wav"])
    damaged = tmp_path / "bad.zip"
    damaged.write_bytes(packed().read_bytes()[:3000])
    expected = "expected a folder with a folder of sounds for each label"
    for path, message in {
        "empty": f"empty: no sound in it; {expected}",
        "gone": f"gone: not found .*{expected}",
        "one.wav": f"one.wav: it is a file and no .zip; {expected}",
        "bad.zip": "bad.zip: not a readable .zip",
        "a\0b": "cannot be read",
    }.items():
        with pytest.raises(InputError, match=message):
            labelled_sounds(tmp_path / path)


@pytest.mark.skipif(os.name == "nt", reason="pipes as POSIX has them")
def test_a_pipe_in_a_folder_is_refused_unopened(place):
    path = place()
    os.mkfifo(path / "low" / "pipe.wav")
    with pytest.raises(InputError, match="pipe.wav is a pipe or a device"):
        labelled_sounds(path)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_more_than_there_is_room_for(place, packed, monkeypatch, kind):
    path = (place if kind == "folder" else packed)()
    monkeypatch.setattr(folder, "MOST_FILES", 3)
    with pytest.raises(InputError, match="4 files in it; expected at most 3"):
        labelled_sounds(path)
    monkeypatch.setattr(folder, "LIMIT", 9000)
    monkeypatch.setattr(folder, "MOST_FILES", 9)
    with pytest.raises(InputError, match="0 MB in it; sounds may have 0 MB together"):
        labelled_sounds(path)
    monkeypatch.undo()
    monkeypatch.setattr("gradlab.data.files.VALUES", 3000)
    with pytest.raises(InputError, match="high/d.ogg: 3,680 numbers|low/a.wav: 3,.* numbers|numbers; data may have"):
        labelled_sounds(path)


def test_a_zip_that_unpacks_to_far_more_is_refused(packed):
    with zipfile.ZipFile(packed(), "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("low/huge.wav", bytes(80_000_000))
        path = archive.filename
    with pytest.raises(InputError, match="80 MB in it; sounds may have 70 MB together"):
        labelled_sounds(path)


def test_a_folder_changes_with_what_is_in_it(place):
    path = place()
    before, stamped = folder_digest(path), stamp(path)
    assert folder_digest(path) == before and stamp(path) == stamped
    place({"low/a.wav": sound(310)})
    os.utime(path / "low" / "a.wav", ns=(1, stamped[0] + 1))
    assert folder_digest(path) != before and stamp(path) != stamped
    place({"low/a.wav": FILES["low/a.wav"], "low/e.wav": sound(400)})
    assert folder_digest(path) != before


def test_of_a_folder_no_more_is_looked_at_than_it_may_have(place, monkeypatch):
    path = place({f"low/{n}.wav": bytes(10**6) for n in range(5)} | {"README.txt": bytes(10**6)})
    assert 5e6 < stamp(path)[1] < 5.5e6
    monkeypatch.setattr("gradlab.data.files.MOST_FILES", 3)
    assert 3e6 < stamp(path)[1] < 3.5e6


def test_a_folder_is_no_other_input(place):
    with pytest.raises(InputError, match="is a directory; name a file in it"):
        read_input(place())
