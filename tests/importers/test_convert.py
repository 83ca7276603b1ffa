"""Checkpoints of PyTorch as .safetensors: by its safe loader, with what was taken said."""

import os
from pathlib import Path

import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.importers import load_safetensors

from ..commands import call

MODELS = Path(__file__).parents[1] / "golden" / "models"
TENSORS = {"embedding.weight", "tied.weight", *(f"rnns.0.{p}_{k}_l0" for p in ("weight", "bias") for k in ("ih", "hh"))}
SAID = {
    "checkpoint.pt": "Took 6 tensors of 'model_state_dict'; left out epoch, optimizer_state_dict; tied",
    "module.pt": "Took 6 tensors; tied weights are stored twice: tied.weight is embedding.weight; wrote",
    "lightning.ckpt": "Took 6 tensors of 'state_dict'; left out epoch, hyper_parameters; tied weights",
    "legacy.pt": "Took 6 tensors; tied weights are stored twice: tied.weight is embedding.weight; wrote",
}


def test_without_pytorch_it_says_where_to_run(monkeypatch, tmp_path):
    for name in ("torch", "gradlab.torch", "gradlab.torch.convert"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    run = call("convert", MODELS / "checkpoint.pt", tmp_path / "net.safetensors")
    assert run.exit_code == 2
    assert "PyTorch is not installed here; run this where it is, after pip install gradlab there" in run.stderr


@pytest.mark.parametrize("name", SAID)
def test_what_is_taken_is_said(name, tmp_path):
    pytest.importorskip("torch")
    target = tmp_path / "net.safetensors"
    run = call("convert", MODELS / name, target)
    assert run.exit_code == 0 and run.stdout.startswith(SAID[name])
    found = load_safetensors(target)
    assert {key.removeprefix("model.") for key in found} == TENSORS
    np.testing.assert_array_equal(
        *(array for key, array in found.items() if key.endswith(("embedding.weight", "tied.weight")))
    )


class Harmful:
    """What a file may hold instead of weights."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_nothing_in_a_file_is_run(tmp_path):
    torch = pytest.importorskip("torch")
    made = tmp_path / "made"
    calls = [Harmful(os.mkdir, str(made)), Harmful(eval, f"__import__('os').mkdir({str(made)!r})")]
    for harmful in calls:
        torch.save({"state_dict": {"w": torch.ones(2)}, "more": harmful}, tmp_path / "net.pt")
        call("convert", tmp_path / "net.pt", tmp_path / "net.safetensors")
        assert not made.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a state dict or a checkpoint that has one, got a list without tensors"),
        ({"a": {"b": 1}}, "got a dict without tensors"),
        (b"no pickle", "PyTorch's safe loader refuses it .*torch.save.model.state_dict.., 'net.pt'."),
    ],
)
def test_a_file_without_tensors(content, message, tmp_path):
    torch, convert = pytest.importorskip("torch"), pytest.importorskip("gradlab.torch.convert").convert
    if isinstance(content, bytes):
        (tmp_path / "net.pt").write_bytes(content)
    else:
        torch.save(content, tmp_path / "net.pt")
    with pytest.raises(InputError, match=message):
        convert(str(tmp_path / "net.pt"))


def test_sparse_tensors_are_left_out(tmp_path):
    torch, convert = pytest.importorskip("torch"), pytest.importorskip("gradlab.torch.convert").convert
    sd = {"w": torch.ones(2, 2), "s": torch.eye(2).to_sparse()}
    torch.save(sd, tmp_path / "net.pt")
    assert convert(str(tmp_path / "net.pt")).said[-1] == "left out, as sparse or quantised: s"
    torch.save({"s": sd["s"]}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"its tensors \(s\) are sparse or quantised; save them as float32"):
        convert(str(tmp_path / "net.pt"))
