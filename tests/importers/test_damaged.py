"""A damaged file of weights of any kind is read or refused with a sentence, and nothing else."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from gradlab.errors import InputError
from gradlab.importers import load_whole, weights_text

MODELS = Path(__file__).parents[1] / "golden" / "models"
FILES = [
    "both.onnx",
    "symbols.onnx",
    "flax.msgpack",
    "stack.safetensors",
    "weight_norm_pruned.safetensors",
    "stack.keras",
]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Cut off, or with some bytes changed."""
    if rng.random() < 0.15:
        return data[: rng.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(rng.choice([1, 2, 5, 20])):
        changed[rng.randrange(len(data))] = rng.choice([0, 255, rng.randrange(256)])
    return bytes(changed)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore:layer .* reads a sequence from its end", "ignore:the weights do not tell")
def test_a_damaged_file_is_read_or_refused(name):
    data, rng = (MODELS / name).read_bytes(), random.Random(name)
    for _ in range(20 if name.endswith("keras") else 60):
        content = damaged(data, rng)
        with suppress(InputError):
            weights_text(content)
        with suppress(InputError):
            load_whole(content, symbols=True)


def test_the_library_may_end_its_process_but_not_this_one(monkeypatch, tmp_path):
    crash = tmp_path / "crash.py"
    crash.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr("gradlab.importers.hdf5.READER", crash)
    with pytest.raises(InputError, match="an HDF5 file that breaks off or is damaged; save it again"):
        weights_text(b"\x89HDF\r\n\x1a\n" + b"crash")
