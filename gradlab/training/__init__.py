"""Training: a network learns a task, and what its gradient does meanwhile is recorded."""

from ..config.train import TrainConfig
from .advisor import ClipAdvice, Effect, advise
from .loop import Step, TrainingRun, train
from .record import TrainingRecord
from .results import dataset, snapshot_dataset

__all__ = [
    "ClipAdvice",
    "Effect",
    "Step",
    "TrainConfig",
    "TrainingRecord",
    "TrainingRun",
    "advise",
    "dataset",
    "snapshot_dataset",
    "train",
]
