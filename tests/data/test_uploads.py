"""Uploads are found by their hash, survive a visit, and never fill the disk."""

import hashlib
import os
import stat
import sys
from pathlib import Path

import pytest

from gradlab.data import uploads
from gradlab.data.uploads import find, key_name, original_name, store
from gradlab.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path))
    return tmp_path / "uploads"


def used_at(sha: str, seconds: int) -> None:
    os.utime(find(sha), (seconds, seconds))


def test_a_stored_file_is_found_with_its_name_and_content():
    sha = store("co2.csv", b"1,2\n")
    assert sha == hashlib.sha256(b"1,2\n").hexdigest()[:12]
    path = find(sha)
    assert path.read_bytes() == b"1,2\n"
    assert original_name(path) == "co2.csv"


def test_the_same_content_under_two_names_is_found_by_either(cache):
    sha = store("a-b.txt", b"x")
    assert sha == store("a-b.csv", b"x") == store("a-b.csv", b"x")
    assert sorted(map(original_name, cache.iterdir())) == ["a-b.csv", "a-b.txt"]
    assert [original_name(find(sha, name)) for name in ("a-b.csv", "a-b.txt")] == ["a-b.csv", "a-b.txt"]
    assert find(sha, "other") is not None


@pytest.mark.parametrize("name", ["my-co2.csv", "deadbeefcafe-data.csv", "0123456789ab-"])
def test_a_file_outside_the_cache_keeps_its_own_name(name, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), tmp_path / name, cache / "below" / name):
        assert original_name(path) == name


def test_a_name_that_looks_like_a_key_survives_the_cache():
    path = find(store("deadbeefcafe-data.csv", b"x"), "deadbeefcafe-data.csv")
    assert original_name(path) == key_name(path.name) == "deadbeefcafe-data.csv"


def test_a_file_of_the_cache_is_known_by_a_relative_path_too(cache, tmp_path, monkeypatch):
    path = find(store("co2.csv", b"x"))
    monkeypatch.chdir(cache)
    assert original_name(Path(path.name)) == "co2.csv"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADLAB_CACHE", ".")
    assert original_name(path) == original_name(find(store("co2.csv", b"x"))) == "co2.csv"


def test_the_name_in_a_key():
    assert [key_name(key) for key in ("0123456789ab-a-b.csv", "0123456789ab-", "noise", "01234-a.csv")] == [
        "a-b.csv", "0123456789ab-", "noise", "01234-a.csv"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sha", ["", "abc", "0" * 12, "0" * 13, "*" * 12, "../../../etc", "ABCDEF012345", "0" * 11 + "\n"]
)
def test_what_is_no_hash_or_not_there_is_not_found(sha):
    assert find(sha) is None
    store("a.txt", b"x")
    assert find(sha) is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../evil.csv", "evil.csv"),
        ("C:\\data\\co2.csv", "co2.csv"),
        ("a\0b\n?.csv", "a_b__.csv"),
        ("\ud800.csv", "_.csv"),
        ("..", ".."),
        ("", "upload"),
        ("\u00e9t\u00e9 " * 80 + ".npy", ("\u00e9t\u00e9 " * 80 + ".npy")[-60:]),
    ],
)
def test_a_name_cannot_leave_the_cache(name, kept, cache):
    path = find(store(name, b"x"))
    assert path.parent == cache and original_name(path) == kept


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_only_the_user_can_read(cache):
    path = find(store("a.csv", b"x"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_the_least_recently_used_goes_first(cache, monkeypatch):
    monkeypatch.setattr(uploads, "LIMIT", 100)
    first, second, third = (store(f"{i}.txt", bytes([i]) * 30) for i in range(3))
    for seconds, sha in enumerate([second, third, first], start=1):
        used_at(sha, seconds)
    (cache / "mine.txt").write_bytes(b"x" * 500)  # nobody's business
    (cache / "left.partial").write_bytes(b"x" * 5)  # of a process that was killed
    os.utime(cache / "left.partial", (0, 0))
    fourth = store("4.txt", b"4" * 30)
    assert [find(sha) is not None for sha in (first, second, third, fourth)] == [True, False, True, True]
    assert not (cache / "left.partial").exists() and (cache / "mine.txt").exists()


def test_finding_counts_as_use(monkeypatch):
    monkeypatch.setattr(uploads, "LIMIT", 100)
    first, second = store("1.txt", b"1" * 40), store("2.txt", b"2" * 40)
    used_at(first, 1)
    used_at(second, 2)
    find(first)
    store("3.txt", b"3" * 40)
    assert find(first) and not find(second)


def test_a_file_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(uploads, "LIMIT", 10_000_000)
    with pytest.raises(InputError, match="big.npy has 12 MB, more than the 10 MB that are kept in all"):
        store("big.npy", bytes(12_000_000))


def test_a_failed_write_leaves_nothing(cache, monkeypatch):
    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(
        InputError, match="copy of a.csv in .*uploads cannot be written: No space left.*set GRADLAB_CACHE"
    ):
        store("a.csv", b"x")
    assert list(cache.iterdir()) == []


def test_a_damaged_file_is_not_found_and_stored_anew():
    sha = store("a.csv", b"1,2,3\n")
    path = find(sha)
    for torn in (b"1,2", b"", b"1,2,4\n"):
        path.write_bytes(torn)
        assert find(sha) is None
        assert store("a.csv", b"1,2,3\n") == sha
        assert find(sha).read_bytes() == b"1,2,3\n"


def test_a_whole_file_is_found_beside_a_damaged_one():
    sha = store("a.csv", b"x")
    find(sha).write_bytes(b"y")
    store("b.csv", b"x")
    assert original_name(find(sha, "a.csv")) == "b.csv"


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits, and other owners")


@posix
def test_a_folder_that_others_could_enter_is_closed(cache):
    cache.mkdir(mode=0o755)
    cache.chmod(0o755)
    store("a.csv", b"x")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@posix
def test_the_folders_above_that_are_made_are_closed_too(tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir(mode=0o755)
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "theirs" / "a" / "b"))
    path = find(store("a.csv", b"x"))
    modes = [stat.S_IMODE(folder.stat().st_mode) for folder in list(path.parents)[:4]]
    assert modes == [0o700, 0o700, 0o700, 0o755]


@posix
def test_somebody_elses_folder_is_refused(cache, monkeypatch):
    cache.mkdir()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(InputError, match="the copy of a.csv in .* the folder belongs to another user.*GRADLAB_CACHE"):
        store("a.csv", b"x")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("platform", "variable", "place"),
    [
        ("linux", "XDG_CACHE_HOME", "gradlab/uploads"),
        ("linux", "HOME", ".cache/gradlab/uploads"),
        ("darwin", "HOME", "Library/Caches/gradlab/uploads"),
        ("win32", "LOCALAPPDATA", "gradlab/uploads"),
    ],
)
def test_the_platforms_own_place(platform, variable, place, tmp_path, monkeypatch):
    for name in ("GRADLAB_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    if variable == "HOME":
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
    store("a.csv", b"x")
    assert [original_name(path) for path in (tmp_path / place).iterdir()] == ["a.csv"]
