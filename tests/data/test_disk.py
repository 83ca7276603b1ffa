"""Whatever becomes of the disk or the process, a file is the old one or the new one, and nothing else is left."""

import errno
import os
import re
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import gradlab
from gradlab import plots
from gradlab.cli.terminal import OutputFile
from gradlab.data import disk
from gradlab.data.uploads import store
from gradlab.errors import InputError
from gradlab.runs.saving import netcdf, zarr_zip
from gradlab.training import TrainConfig, train

ROOT = Path(__file__).parents[2]
TINY = TrainConfig(steps=8, hidden_size=5, batch_size=4, iterations=3)
posix = pytest.mark.skipif(os.name == "nt", reason="pipes, permissions and limits as POSIX has them")


@pytest.fixture(name="folder", autouse=True)
def own_folder(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("GRADLAB_CACHE", str(tmp_path / "folder" / "cache"))
    return tmp_path / "folder"


def everything_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# one file


def test_a_file_is_replaced_as_a_whole(folder):
    path = folder / "a.bin"
    for data in (b"old", b"a longer one", b""):
        disk.write(path, data)
        assert everything_in(folder) == {Path("a.bin"): data}


@posix
def test_permissions(folder):
    before = os.umask(0o027)
    try:
        disk.write(folder / "new", b"x")
        disk.write(folder / "private", b"x", private=True)
        disk.write(folder / "kept", b"x")
        (folder / "kept").chmod(0o604)
        disk.write(folder / "kept", b"y")
        disk.write(folder / "new", b"y", private=True)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"new": 0o600, "private": 0o600, "kept": 0o604}


@posix
def test_a_new_file_is_as_readable_as_any_other(folder):
    (folder / "touched").touch()
    disk.write(folder / "new", b"x")
    assert (folder / "new").stat().st_mode == (folder / "touched").stat().st_mode


@posix
def test_a_link_is_followed_and_stays(folder):
    (folder / "real").write_bytes(b"old")
    (folder / "link").symlink_to("real")
    (folder / "dangling").symlink_to("made")
    disk.write(folder / "link", b"new")
    disk.write(folder / "dangling", b"new")
    assert (folder / "link").is_symlink() and (folder / "real").read_bytes() == b"new"
    assert (folder / "dangling").is_symlink() and (folder / "made").read_bytes() == b"new"


@posix
def test_a_link_in_the_place_of_the_unfinished_file_is_not_followed(folder, monkeypatch):
    victim, path = folder / "victim", folder / "run.nc"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(disk.secrets, "token_hex", lambda size: "0" * 2 * size)
    disk._partial(path).symlink_to(victim)
    with pytest.raises(InputError, match="cannot be written: File exists"):
        disk.write(path, b"x")
    assert victim.read_bytes() == b"precious" and not path.exists()


@posix
def test_what_is_no_regular_file_is_refused_and_stays(folder):
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "circle").symlink_to("circle")
    (folder / "null").symlink_to("/dev/null")
    reasons = {
        "pipe": "it is a pipe or a device, no regular file",
        "null": "it is a pipe or a device, no regular file",
        "folder": "it is a directory",
        "circle": os.strerror(errno.ELOOP),
        "pipe/below": os.strerror(errno.ENOTDIR),
        "none/below": os.strerror(errno.ENOENT),
        "a\0b": "it is no file name",
        "\ud800": "it is no file name",
    }
    for name, reason in reasons.items():
        for act in (lambda path: disk.write(path, b"x"), lambda path: disk.require_writable(path, str(path))):
            with pytest.raises(InputError, match=f"cannot be written: {re.escape(reason)}.*; make room, or name a"):
                act(folder / name)
    assert (folder / "pipe").is_fifo() and sorted(os.listdir(folder)) == ["circle", "folder", "null", "pipe"]


def test_what_is_write_protected_is_refused(folder, monkeypatch):
    path = folder / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=f"^{path} cannot be written: it is write-protected; make room"):
        disk.write(path, b"x")
    assert everything_in(folder) == {Path("a"): b"old"}


@pytest.mark.parametrize("name", ["open", "fsync", "replace", "fdopen"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError("odd"), KeyboardInterrupt()]
)
def test_whatever_fails_the_old_file_stays(name, error, folder, monkeypatch):
    def fail(*arguments):
        raise error

    path = folder / "a"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt) as raised:
            disk.write(path, b"new", "the file", "do something", "path")
    if isinstance(error, OSError):
        why = error.strerror or "odd"
        assert str(raised.value) == f"the file cannot be written: {why}; do something" and raised.value.field == "path"
    assert everything_in(folder) == {Path("a"): b"old"}


def test_the_longest_name_that_a_file_may_have(folder):
    path = folder / ("n" * 255)
    disk.write(path, b"x")
    assert everything_in(folder) == {Path(path.name): b"x"}


def test_what_a_killed_writer_left_goes_when_nobody_can_be_writing_it(folder):
    path = folder / "a[1].nc"  # no pattern
    old, young, other = disk._partial(path), disk._partial(path), disk._partial(folder / "b.nc")
    for file in (old, young, other):
        file.write_bytes(b"half")
        os.utime(file, (0, 0) if file != young else None)
    disk.require_writable(path, "it")
    assert set(folder.iterdir()) == {young, other}
    disk.sweep(path)
    assert set(folder.iterdir()) == {other}


# every writer


@pytest.fixture(name="things", scope="module")
def things_to_write():
    ds = gradlab.analyze(steps=60, batch_size=8, hidden_size=8)
    return ds, plots.gradient_flow(ds), train(TINY)


def writers(folder, things):
    """What writes a file of more than 4096 bytes, by the name of the file."""
    ds, fig, run = things
    page = plots.html_report(ds, "headline", []).encode()
    return {
        "run.nc": lambda path: OutputFile(path, "--output", (".nc",)).write(netcdf(ds)),
        "run.zarr.zip": lambda path: OutputFile(path, "--output", (".zarr.zip",)).write(zarr_zip(ds)),
        "run.html": lambda path: OutputFile(path, "--html", (".html",)).write(page),
        "figure.html": lambda path: plots.save(fig, path),
        "figure.json": lambda path: plots.save(fig, path),
        "run.safetensors": run.save,
        "upload": lambda path: store("a.csv", b"1,2\n" * 5000),
    }


def failures(folder, things):
    """Messages of all writers, each of which must fail, first where there is no file and then where there is one."""
    messages = []
    for name, write in writers(folder, things).items():
        for _ in range(2):
            before = everything_in(folder)
            with pytest.raises(InputError) as raised:
                write(folder / name)
            messages.append(str(raised.value))
            assert everything_in(folder) == before
            (folder / name).write_bytes(b"old")
        (folder / name).unlink()
    return messages


def assert_says(reason, messages):
    assert len(messages) == 14
    for message in messages:
        assert re.search(f"cannot be written: {reason}; (make room|the last one is intact)", message), message


LIMITED = """
import os, resource, sys
from pathlib import Path
from tests.data.test_disk import failures, things_to_write

things = things_to_write.__wrapped__()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
print("\\n".join(failures(Path(sys.argv[1]), things)))
"""


@posix
def test_every_writer_under_a_limit_of_file_sizes(folder):
    command, env = [sys.executable, "-c", LIMITED, str(folder)], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert_says(os.strerror(errno.EFBIG), done.stdout.splitlines())


@contextmanager
def small_disk(folder):
    """A file system of one page in a folder; skips where this user may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only root may mount a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@posix
def test_every_writer_on_a_full_disk(folder, things):
    with small_disk(folder):
        assert_says(os.strerror(errno.ENOSPC), failures(folder, things))
