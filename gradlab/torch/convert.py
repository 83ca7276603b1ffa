"""A checkpoint of PyTorch as a .safetensors file, by PyTorch's own safe loader."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save

from ..data import read_file
from ..errors import InputError, about
from ..wording import counted

USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")  # where a checkpoint has it
REFUSED = (
    "PyTorch's safe loader refuses it ({}). Where you trust it, load it in your own code and save what is needed: "
    "torch.save(model.state_dict(), 'net.pt')"
)


class Inert:
    """Stands for every class and function that a file names beside tensors: keeps what it is given, and does nothing.

    So a module that was saved whole gives its tensors, and none of its own code is run.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """Whatever the arguments."""
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.kept: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.kept = state if isinstance(state, Mapping) else {}

    def tensors(self, name: str = "") -> Iterator[tuple[str, Any]]:
        """Parameters and buffers of a module and all within, by name, as its state dict has them."""
        passing = self.kept.get("_non_persistent_buffers_set", ())
        skipped = passing if isinstance(passing, set | tuple | list) else ()
        for own in ("_parameters", "_buffers"):
            found = {key: value for key, value in self.kept.get(own, {}).items() if key not in skipped}
            yield from ((f"{name}{key}", value) for key, value in found.items() if value is not None)
        for key, module in self.kept.get("_modules", {}).items():
            if isinstance(module, Inert):
                yield from module.tensors(f"{name}{key}.")


@dataclass(frozen=True)
class Converted:
    """The content of a .safetensors file, and in words what was taken and what left out."""

    data: bytes
    said: list[str]


def convert(path: str) -> Converted:
    """The tensors of a state dict in a file of torch.save; one within a checkpoint or a Lightning module is found.

    No pickle is opened but by torch.load(weights_only=True). Raises InputError where that loader refuses the file, and
    where no tensors are in it.
    """
    content = read_file(path)
    with about("source", path):
        found = _loaded(content)
        where, tensors = _state_dict(found)
        return _converted(found, where, tensors)


def _loaded(content: bytes) -> Any:
    """What is in a file, by the safe loader, with `Inert` for all that it would refuse."""
    try:
        with torch.serialization.safe_globals([(Inert, name) for name in _named(content)]):
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # of the loader, which raises many kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = next((line for line in lines if "Unpickler" in line), lines[0]).strip()
        raise InputError(REFUSED.format(reason.partition(". ")[0])) from None


def _named(content: bytes) -> list[str]:
    """What a file names that the loader does not know; nothing of one in the format before PyTorch 1.6."""
    try:
        return list(torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content)))
    except ValueError:
        return []


def _state_dict(found: Any) -> tuple[str, Mapping[str, Any]]:
    """Where in a checkpoint the state dict is, "" for all of it, and its tensors; the largest of those not usual."""
    known = {where: tensors for where, tensors in _mappings(found, "") if tensors}
    if not known:
        raise InputError(f"expected a state dict or a checkpoint that has one, got {_kind(found)} without tensors")
    for where in ("", *USUAL):
        if where in known:
            return where, known[where]
    return max(known.items(), key=lambda item: sum(tensor.numel() for tensor in item[1].values()))


def _mappings(found: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping within, by the names that lead to it, with the tensors that it holds itself; of a module all."""
    if isinstance(found, Inert):
        yield where, {name: value for name, value in found.tensors() if isinstance(value, torch.Tensor)}
    if not isinstance(found, Mapping):
        return
    yield where, {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    for name, value in found.items():
        if "optim" not in str(name):
            yield from _mappings(value, f"{where}.{name}".removeprefix("."))


def _converted(found: Any, where: str, tensors: Mapping[str, Any]) -> Converted:
    dense = {name: tensor for name, tensor in tensors.items() if _fits(tensor)}
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


def _fits(tensor: Any) -> bool:
    return tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()


def _place(tensor: Any) -> tuple[Any, ...]:
    """What two tied tensors have in common."""
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _kind(found: Any) -> str:
    return f"a {type(found).__name__}"
