"""Training runs as page Train finds them in their folders, trained here instead of in processes of their own."""

import json

import numpy as np
import pytest

from dashboard import downloads, form, ondemand
from dashboard.pages.train import downloads as train_downloads
from dashboard.pages.train import steer as train_steer
from dashboard.pages.train.follow import Look
from dashboard.work import jobs
from gradlab import train
from gradlab.config.train import TrainConfig
from gradlab.training.jobs import TRAINING, TrainingJobs
from gradlab.training.worker import CHECKPOINT, CONFIG, OUTCOME

LOOK = {"theme": "light", "narrow": False}
SMALL = TrainConfig(
    task="adding", steps=12, hidden_size=6, batch_size=4, iterations=60, snapshot_every=10, evaluate_every=20
)
PAIR = [SMALL.replace(clip="norm", clip_threshold=0.5), SMALL]


@pytest.fixture(autouse=True)
def no_processes(own_cache, monkeypatch):
    monkeypatch.setattr(ondemand, "JOBS", jobs.Jobs())
    monkeypatch.setattr(TrainingJobs, "_launch", lambda self, run_id: None)
    TRAINING._records.clear()


def kept(config=SMALL, run_id="0000aaaa", outcome="done", iterations=None):
    """A run in its folder, trained here."""
    folder = TRAINING.folder(run_id)
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(config.model_dump_json())
    if iterations != 0:
        train(config.replace(iterations=iterations or config.iterations), checkpoint=folder / CHECKPOINT)
    (folder / OUTCOME).write_text(json.dumps({"status": outcome}))
    return run_id


@pytest.fixture(name="pair")
def kept_pair():
    return [kept(config, f"0000000{n}") for n, config in enumerate(PAIR)]


def page(config=SMALL, runs=()):
    return train_steer.TrainState(form.raw(config), list(runs), [])


def download(fmt, run_ids, theme="light"):
    """The file as the browser gets it, and the message."""
    return downloads.sent(train_downloads.download, fmt, run_ids, Look(theme, narrow=False))


def rivals(loss, *others):
    """What a net of that held-out loss is compared with, where the others have these: a thousandth is sure."""
    return [np.array([[other, other - loss, 4e-4, 10] for other in others])]
