"""Tasks: what a net can be trained on; seeded generators, and files of the user's own."""

from . import arithmetic, labelled, memory, pairs, series, sounds, text, words
from .base import TASKS, Batch, Task, make_task

__all__ = [
    "TASKS",
    "Batch",
    "Task",
    "arithmetic",
    "labelled",
    "make_task",
    "memory",
    "pairs",
    "series",
    "sounds",
    "text",
    "words",
]
