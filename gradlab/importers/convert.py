"""A checkpoint of PyTorch as a .safetensors file, by PyTorch's own safe loader; nothing else here imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..data import read_file
from ..errors import InputError, about
from ..wording import counted

USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")  # where a checkpoint has it
INSTALL = "PyTorch is not installed here; run this where it is, after pip install gradlab there"
WHOLE = (
    "PyTorch's safe loader refuses it, as it holds more than tensors: {}. Where you trust it, load it in your own code "
    "and save what is needed: torch.save(model.state_dict(), 'net.pt')"
)


@dataclass(frozen=True)
class Converted:
    """The content of a .safetensors file, and in words what was taken and what left out."""

    data: bytes
    said: list[str]


def convert(path: str) -> Converted:
    """The tensors of a state dict in a file of torch.save; one within a checkpoint or a Lightning module is found.

    No pickle is opened but by torch.load(weights_only=True). Raises InputError where torch is missing, where that
    loader refuses the file, and where no tensors are in it.
    """
    content = read_file(path)
    try:
        import torch
    except ImportError:
        raise InputError(INSTALL, "source") from None
    with about("source", path):
        found = _loaded(torch, content)
        where, tensors = _state_dict(torch, found)
        return _converted(torch, found, where, tensors)


def _loaded(torch: Any, content: bytes) -> Any:
    import io

    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # of the loader, which raises many kinds
        first = str(error).partition("\n")[0].partition(". ")[0]
        raise InputError(WHOLE.format(first or type(error).__name__)) from None


def _state_dict(torch: Any, found: Any) -> tuple[str, Mapping[str, Any]]:
    """Where in a checkpoint the state dict is, "" for all of it, and its tensors; the largest of those not usual."""
    known = {where: tensors for where, tensors in _mappings(torch, found, "") if tensors}
    if not known:
        raise InputError(f"expected a state dict or a checkpoint that has one, got {_kind(found)} without tensors")
    for where in ("", *USUAL):
        if where in known:
            return where, known[where]
    return max(known.items(), key=lambda item: sum(tensor.numel() for tensor in item[1].values()))


def _mappings(torch: Any, found: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping within, by the names that lead to it, with the tensors that it holds itself."""
    if not isinstance(found, Mapping):
        return
    yield where, {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    for name, value in found.items():
        if "optim" not in str(name):
            yield from _mappings(torch, value, f"{where}.{name}".removeprefix("."))


def _converted(torch: Any, found: Any, where: str, tensors: Mapping[str, Any]) -> Converted:
    from safetensors.torch import save

    dense = {name: tensor for name, tensor in tensors.items() if _fits(torch, tensor)}
    if not dense:
        raise InputError(f"its tensors ({', '.join(list(tensors)[:3])}) are sparse or quantised; save them as float32")
    first: dict[Any, str] = {}
    tied = [f"{name} is {first[key]}" for name, t in dense.items() if first.setdefault(key := _place(t), name) != name]
    said = [f"Took {counted(len(dense), 'tensor')}" + (f" of '{where}'" if where else "")]
    if where and isinstance(found, Mapping):
        others = [str(name) for name in found if str(name) != where.partition(".")[0]]
        said += [f"left out {', '.join(others)}"] if others else []
    said += [f"left out, as sparse or quantised: {', '.join(tensors.keys() - dense.keys())}"] * (
        len(dense) < len(tensors)
    )
    said += [f"tied weights are stored twice: {', '.join(tied)}"] if tied else []
    return Converted(save({name: tensor.detach().clone().contiguous() for name, tensor in dense.items()}), said)


def _fits(torch: Any, tensor: Any) -> bool:
    return tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()


def _place(tensor: Any) -> tuple[Any, ...]:
    """What two tied tensors have in common."""
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _kind(found: Any) -> str:
    return f"a {type(found).__name__}"
