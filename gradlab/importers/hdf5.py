"""HDF5 files, as Keras writes weights: the arrays in them by path, and what they say of themselves."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError

START = b"\x89HDF\r\n\x1a\n"
READER = Path(__file__).with_name("hdf5_process.py")
REFUSED = 3  # its exit code
LONGEST = 60  # s that it may take
KEPT = 4  # files, as a process for each look would take a while
DAMAGED = "an HDF5 file that breaks off or is damaged; save it again"


@dataclass(frozen=True)
class HDF5:
    """Arrays by path, and attributes of groups by path and name, "" being the root."""

    arrays: Mapping[str, np.ndarray]
    attributes: Mapping[str, Mapping[str, Any]]


@lru_cache(KEPT)
def read_hdf5(data: bytes) -> HDF5:
    """All arrays of numbers that the file itself holds, read by a process of its own.

    Raises InputError where it is damaged or holds more than any network.
    """
    try:
        command = [sys.executable, "-I", str(READER)]
        ended = subprocess.run(command, input=data, capture_output=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(DAMAGED) from None
    if ended.returncode == REFUSED:
        raise InputError(f"an HDF5 file with {ended.stderr.decode('utf-8', 'replace')}")
    if ended.returncode:
        raise InputError(DAMAGED)
    with np.load(io.BytesIO(ended.stdout)) as read:
        told = json.loads(read["told"].tobytes())
        return HDF5({path: read[f"arr_{i}"] for i, path in enumerate(told["paths"])}, told["attributes"])
