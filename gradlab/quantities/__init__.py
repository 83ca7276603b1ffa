"""Recorded quantities: what analyze writes into its Dataset; one registered block each.

Dims in which "*" stands for the model axes. Logarithms are natural; -inf means exactly zero, NaN a step beyond the
sample's length.
"""

from . import chaos, costly, direct, every_run, inputs, predictions, rates, travel
from .base import QUANTITIES, Quantity, Recording, of_snapshots, quantity, record, requests, require_names
from .recorder import Recorder

__all__ = [
    "QUANTITIES",
    "Quantity",
    "Recorder",
    "Recording",
    "chaos",
    "costly",
    "direct",
    "every_run",
    "inputs",
    "of_snapshots",
    "predictions",
    "quantity",
    "rates",
    "record",
    "requests",
    "require_names",
    "travel",
]
