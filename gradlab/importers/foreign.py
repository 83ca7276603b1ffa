"""What a file is that is no .safetensors, as far as its first bytes, its members' names and its own name tell.

Nothing in it is opened: a pickle can run any program.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

DAMAGED = "an ONNX model that breaks off or is damaged; export it again"
NAMED = 3  # members of an archive, in a message
CONVERT = "gradlab convert net.pt net.safetensors, where PyTorch is installed"
CONVERT_NPZ = (
    'python -c "import numpy as n, safetensors.numpy as s; '
    "s.save_file({k: n.ascontiguousarray(a) for k, a in n.load('net.npz').items()}, 'net.safetensors')\""
)
PICKLE = (
    "a pickle, as torch.save writes it, and opening one can run any program; "
    f"convert it once, where you trust it: {CONVERT}"
)
SCRIPT = (
    "a program of TorchScript, as torch.jit.save writes it; where you trust it, save its weights: "
    "torch.save(torch.jit.load('net.pt').state_dict(), 'weights.pt'), then gradlab convert weights.pt net.safetensors"
)
KERAS = "save the Keras model that it was made from: model.save('net.keras')"
STARTS = {  # first bytes -> what such a file is, and what to do
    b"GGUF": "a GGUF file, of llama.cpp, which has no recurrent layers that gradlab knows; name a .safetensors file",
    b"MATLAB 5.0 MAT-file": "a MATLAB file; save its arrays by PyTorch's names of tensors as a .safetensors file",
    b"\x93NUMPY": "one NumPy array; a layer has several: save them by their names in PyTorch as a .safetensors file",
}


def described(name: str, data: bytes) -> str | None:
    """What the file is and what to do with it, to stand behind "NAME is "; None where nothing tells."""
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive(data)
    if _is_pickle(data):
        return PICKLE
    if data[4:8] == b"TFL3":
        return f"a TFLite model, which has no layers; {KERAS}"
    if name.lower().endswith(".onnx"):
        return DAMAGED
    if name.lower().endswith(".pb"):
        return f"a graph of TensorFlow, as a SavedModel has it; {KERAS}"
    return next((text for start, text in STARTS.items() if data.startswith(start)), None)


def _is_pickle(data: bytes) -> bool:
    """Protocol 2 to 5; the length that a .safetensors file begins with could be the same two bytes, and then zeros."""
    return data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and data[2:8] != bytes(6)


def _archive(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return "a zip archive that breaks off or is damaged; save or download it again"
    names = {member.rpartition("/")[2] for member in members}
    if "constants.pkl" in names:
        return SCRIPT
    if "data.pkl" in names:
        return PICKLE
    if members and all(member.endswith(".npy") for member in members):
        listed = _listed([member.removesuffix(".npy") for member in members])
        return f"a NumPy archive of {listed}; where these are PyTorch's names of its tensors, convert it: {CONVERT_NPZ}"
    if "[Content_Types].xml" in names:
        return "an Office document and holds no weights; name a .safetensors file"
    return f"a zip archive of {_listed(members)}; if there is a .safetensors file in it, unpack that one"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "") if names else "nothing"
