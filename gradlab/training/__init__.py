"""Training: a network learns a task, and what its gradient does meanwhile is recorded."""

from ..config.train import TrainConfig
from .loop import Step, TrainingRun, train
from .results import dataset, snapshot_dataset

__all__ = ["Step", "TrainConfig", "TrainingRun", "dataset", "snapshot_dataset", "train"]
