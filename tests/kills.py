"""Work that is killed at random moments, again and again: `python -m tests.kills WORK KILLS FOLDER`.

The work runs in a process that is forked from one which has loaded everything. After each kill, what it has left is
looked at; in the end the work is done once undisturbed, and must come out bit for bit as if nobody had been killed.
"""

import base64
import http.client
import json
import logging
import os
import random
import re
import signal
import socket
import sys
from pathlib import Path
from threading import Timer
from typing import Any

from click.testing import CliRunner

from gradlab.cli import cli
from gradlab.data.uploads import directory, find, store
from gradlab.training import TrainConfig, TrainingRun, train

FILES = {f"{n}.txt": b"a line of text\n" * (100_000 + n) for n in range(3)}
FORMATS = ("download-nc", "download-csv", "download-html", "train-download-nc", "train-download-safetensors")


class Work:
    """Something that goes on until it is killed. moments: seconds between which the kill comes."""

    moments = (0.005, 0.3)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def go_on(self) -> None:
        """What the killed process does."""
        raise NotImplementedError

    def meanwhile(self) -> None:
        """What the other process does until the kill."""

    def check(self) -> None:
        """Fail unless all that is left is whole."""

    def finish(self) -> None:
        """Do the work undisturbed, and fail unless the result is what it would have been without the kills."""

    def killed(self) -> None:
        """Once."""
        child = os.fork()
        if not child:
            self.go_on()
            os._exit(0)
        timer = Timer(random.uniform(*self.moments), os.kill, (child, signal.SIGKILL))
        timer.start()
        self.meanwhile()
        timer.join()
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "it ended before it was killed"
        self.check()


class Training(Work):
    """A training that is resumed after each kill."""

    moments = (0.005, 0.12)
    fields: dict[str, Any] = {
        "steps": 8,
        "hidden_size": 4,
        "batch_size": 4,
        "snapshot_every": 50,
        "evaluate_every": 500,
    }
    config = TrainConfig(**fields, iterations=1_000_000, dropout=0.2, clip="autoclip")

    @property
    def path(self) -> Path:
        """Of the checkpoint."""
        return self.folder / "run.safetensors"

    def train(self, config: TrainConfig) -> TrainingRun:
        """Go on, or begin."""
        return train(config, checkpoint=self.path, resume=self.path.exists(), save_seconds=0.01)

    def go_on(self) -> None:
        self.train(self.config)

    def check(self) -> None:
        if self.path.exists():
            TrainingRun.load(self.path)

    def finish(self) -> None:
        done = TrainingRun.load(self.path).iteration if self.path.exists() else 0
        config = self.config.replace(iterations=(done // 50 + 2) * 50)
        broken, whole = self.train(config), train(config)
        assert {name: a.tobytes() for name, a in broken.arrays().items()} == {
            name: a.tobytes() for name, a in whole.arrays().items()
        }
        assert len(broken.history.snapshots) == 1 + config.iterations // 50
        assert sorted(os.listdir(self.folder)) == ["run.safetensors"]


class Analyses(Work):
    """`gradlab analyze -o`, over and over."""

    name = "run.nc"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.contents = [self.analyze(seed) for seed in range(3)]

    def analyze(self, seed: int) -> bytes:
        """The file that it writes."""
        sizes = ["--steps", "9", "--hidden-size", "3", "--batch-size", "2", "--seed", str(seed), "-q"]
        done = CliRunner().invoke(cli, ["analyze", *sizes, "-o", str(self.folder / self.name)])
        assert done.exit_code == 0, done.stderr
        return (self.folder / self.name).read_bytes()

    def go_on(self) -> None:
        while True:
            for seed in range(3):
                self.analyze(seed)

    def check(self) -> None:
        assert (self.folder / self.name).read_bytes() in self.contents

    def finish(self) -> None:
        assert [self.analyze(seed) for seed in range(3)] == self.contents


class ZarrAnalyses(Analyses):
    """The same with Zarr."""

    name = "run.zarr.zip"


class Store(Work):
    """The cache of files, into which others go."""

    def go_on(self) -> None:
        while True:
            for path in directory().glob("*.txt"):
                path.unlink()
            for name, data in FILES.items():
                store(name, data)

    def check(self) -> None:
        kept = directory().glob("*.txt")
        assert all(find(path.name[:12], path.name[13:]) == path for path in kept)

    def finish(self) -> None:
        for name, data in FILES.items():
            path = find(store(name, data), name)
            assert path is not None and path.read_bytes() == data


class Server(Work):
    """The app, which is asked for one thing after the other until it is killed. bodies: what is posted, by name."""

    moments = (0.01, 0.6)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from tests.fuzz.posting import APP

        self.app = APP.server
        self.bodies = self.posts()
        self.answers = {name: self.app.test_client().post(PATH, json=body).json for name, body in self.bodies.items()}
        self.whole = 0

    def posts(self) -> dict[str, Any]:
        """What is asked."""
        raise NotImplementedError

    def same(self, name: str, answer: Any) -> bool:
        """Whether an answer is the one of an app that nobody kills."""
        return bool(answer == self.answers[name])

    def go_on(self) -> None:
        import waitress

        logging.disable()  # it warns of requests that come before its threads are there
        waitress.create_server(self.app, sockets=[self.socket], threads=4).run()

    def killed(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        super().killed()

    def meanwhile(self) -> None:
        port = self.socket.getsockname()[1]
        self.socket.close()  # the killed process has its own
        names = random.sample([*self.bodies], len(self.bodies)) * 1000
        for name in names:
            body = answered(port, self.bodies[name])
            if body is None:
                return
            assert self.same(name, json.loads(body)), name
            self.whole += 1

    def finish(self) -> None:
        assert self.whole, "no answer ever came before the kill"
        for name, body in self.bodies.items():
            assert self.same(name, self.app.test_client().post(PATH, json=body).json), name


PATH = "/_dash-update-component"


def answered(port: int, body: Any) -> bytes | None:
    """What a browser gets, None where the connection breaks off before all is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", PATH, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        return response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class Uploads(Server):
    """Files that are dropped on Explore, and forgotten once they are there."""

    def posts(self) -> dict[str, Any]:
        from dashboard import ids
        from tests.fuzz.posting import calls
        from tests.views import upload

        found = {name: calls(ids.upload("input"), upload(data))[0] for name, data in FILES.items()}
        for name, body in found.items():
            for place in body["state"]:
                place["value"] = name if place["property"] == "filename" else place["value"]
        return found

    def same(self, name: str, answer: Any) -> bool:
        path = find(*answer["response"]["control-input"]["value"].split("-", 1))
        whole = path is not None and path.read_bytes() == FILES[name]
        return whole and not path.unlink()

    def check(self) -> None:
        assert all(find(path.name[:12], path.name[13:]) == path for path in directory().glob("*.txt"))


def content(answer: Any) -> bytes:
    """Of the file that an answer sends, without the ids of a report's figures, which are other ones each time."""
    sent = next(part["data"] for part in answer["response"].values() if "data" in part)
    return re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"", base64.b64decode(sent["content"], validate=True))


class Downloads(Server):
    """Datasets, curves, a report and a checkpoint, by the buttons of Explore and Train."""

    def posts(self) -> dict[str, Any]:
        import gradlab
        from dashboard.work.runs import RUNS
        from tests.fuzz.posting import calls
        from tests.trained import kept
        from tests.views import SMALL

        kept()
        RUNS.results._keep((SMALL, SMALL.batch_size), gradlab.analyze(SMALL))
        return {button: calls(button, 1)[0] for button in FORMATS}

    def same(self, name: str, answer: Any) -> bool:
        return content(answer) == content(self.answers[name])

    def check(self) -> None:
        assert not [path for path in self.folder.rglob("*") if path.suffix in (".partial", ".tmp")]


WORKS: dict[str, type[Work]] = {
    "training": Training,
    "analyze -o": Analyses,
    "analyze -o, Zarr": ZarrAnalyses,
    "uploads": Uploads,
    "downloads": Downloads,
    "store": Store,
}


def main(work: str, kills: str, folder: str) -> None:
    """Kill a work so many times."""
    os.environ["GRADLAB_CACHE"] = str(Path(folder) / "cache")
    own = Path(folder) / "own"
    own.mkdir()
    killed = WORKS[work](own)
    for _ in range(int(kills)):
        killed.killed()
    killed.finish()
    print(f"{kills} kills")


if __name__ == "__main__":
    main(*sys.argv[1:])
