"""Tasks: what a net can be trained on; seeded generators, and files of the user's own."""

from . import labelled, memory, series, text
from .base import TASKS, Batch, Task, make_task

__all__ = ["TASKS", "Batch", "Task", "labelled", "make_task", "memory", "series", "text"]
