"""A file that holds no weights for gradlab is named for what it is."""

import io
import pickle
import shlex
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from gradlab.errors import InputError
from gradlab.importers import load_safetensors, load_weights

PICKLE = (
    "a pickle, as torch.save writes it, and opening one can run any program; convert it once, where you trust it: "
    "gradlab convert net.pt net.safetensors, where PyTorch is installed"
)


def archive(*members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for member in members:
            file.writestr(member, "content")
    return buffer.getvalue()


FILES = {
    "net.pt": (archive("net/data.pkl", "net/byteorder", "net/data/0", "net/version"), PICKLE),
    "old.pth": (pickle.dumps({"w": [1.0]}, protocol=2), PICKLE),
    "new.pkl": (pickle.dumps({"w": [1.0]}, protocol=5), PICKLE),
    "net.npz": (
        archive("W.npy", "b.npy"),
        "a NumPy archive of W, b; where these are PyTorch's names .* convert it: python -c",
    ),
    "many.npz": (archive(*(f"{i}.npy" for i in range(9))), "a NumPy archive of 0, 1, 2 and 6 more;"),
    "a.docx": (
        archive("[Content_Types].xml", "word/document.xml"),
        "an Office document and holds no weights; name a .saf",
    ),
    "all.zip": (
        archive("a/net.safetensors", "b.txt"),
        "a zip archive of a/net.safetensors, b.txt; if there is a .safetens",
    ),
    "none.zip": (archive(), "a zip archive of nothing; "),
    "half.zip": (archive("a.txt")[:40], "a zip archive that breaks off or is damaged; save or download it again"),
    "net.onnx": (
        b"\x08\x07\x12\x07pytorch" + bytes(40),
        "an ONNX model that breaks off or is damaged; export it again",
    ),
    "net.tflite": (b"\x1c\0\0\0TFL3" + bytes(40), r"a TFLite model, which has no layers; save the Keras .*net.keras"),
    "saved_model.pb": (b"\x08\x01\x12\x05hello", "a graph of TensorFlow, as a SavedModel has it; save the Keras model"),
    "script.pt": (
        archive("net/data.pkl", "net/constants.pkl", "net/code/__torch__.py"),
        r"a program of TorchScript, as torch.jit.save .*torch.jit.load\('net.pt'\).state_dict\(\)",
    ),
    "net.gguf": (b"GGUF" + bytes(40), "a GGUF file, of llama.cpp, which has no recurrent layers"),
    "net.mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(90), "a MATLAB file; save its arrays by PyTorch's"),
    "w.npy": (b"\x93NUMPY\x01\x00" + bytes(60), "one NumPy array; a layer has several: "),
}


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_is(name, tmp_path):
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"^{name} is {message}") as caught:
        load_weights(tmp_path / name)
    assert caught.value.field == "weights"


@pytest.mark.parametrize("length", range(0x80, 0x600, 0x80))
def test_half_a_safetensors_file_is_no_pickle(length):
    """The length of its header stands in front, and may begin like one."""
    for rest in (b"", b"{", bytes(50)):
        with pytest.raises(InputError, match="^the file is not a safetensors file"):
            load_weights(length.to_bytes(8, "little") + rest)


def test_a_numpy_archive_is_converted_as_the_message_says(tmp_path):
    tensors = {"weight_hh_l0": np.arange(9.0).reshape(3, 3).T, "weight_ih_l0": np.ones((3, 2))}
    np.savez(tmp_path / "net.npz", **tensors)
    with pytest.raises(InputError) as caught:
        load_weights(tmp_path / "net.npz")
    python, *arguments = shlex.split(str(caught.value).partition("convert it: ")[2])
    assert python == "python"
    subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True)
    found = load_safetensors(tmp_path / "net.safetensors")
    assert found.keys() == tensors.keys()
    for key, array in tensors.items():
        np.testing.assert_array_equal(found[key], array)
