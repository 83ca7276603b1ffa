"""Tensors that PyTorch makes from others in every forward pass: the effective ones, from what a state dict holds.

weight_norm keeps a length g and a direction v (`w_g`, `w_v`, or `parametrizations.w.original0`, `original1`):
w = g v / |v|. spectral_norm keeps w and two vectors (`w_orig`, `w_u`, `w_v`, or `parametrizations.w.original`,
`w.0._u`, `w.0._v`): w / u^T w v. prune keeps `w_orig` and `w_mask`: their product. AWD-LSTM's weight drop keeps
`w_raw`, beside which a copy of the last training step may lie as `w`.
Source: torch.nn.utils.weight_norm, spectral_norm, prune and parametrizations; WeightDrop of Merity et al. 2018.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import quiet
from ..errors import InputError
from .tensors import host

_TENSOR = r"(?:.*\.)?(?:weight|bias)\w*"  # of a layer, without the suffix of a part
_PARAMETRIZED = re.compile(r"(?P<module>(?:.*\.)?)parametrizations\.(?P<leaf>\w+)\.(?P<part>original\d*|\d+\..+)")
REMOVE = "torch.nn.utils.parametrize.remove_parametrizations"


@dataclass(frozen=True)
class Scheme:
    """What tensors are called that one is made of: suffixes, the first of which tells; how; and what is said of it."""

    parts: tuple[str, ...]
    make: Callable[..., np.ndarray]
    said: str


def weight_norm(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """g v / |v|, with the norm over the axes that g has not; over all of them where g is one number."""
    axes = tuple(axis for axis in range(v.ndim) if g.ndim != v.ndim or g.shape[axis] != v.shape[axis])
    return np.asarray(v * (g / np.sqrt((v**2).sum(axis=axes, keepdims=True))))


def spectral_norm(w: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """w / u^T w v of a matrix, or of a tensor whose first axis is u's."""
    return np.asarray(w / (u @ w.reshape(len(u), -1) @ v))


SCHEMES = (
    Scheme(("_raw",), lambda raw: raw, "as weight drop keeps it"),
    Scheme(("_orig", "_mask"), np.multiply, "pruned"),
    Scheme(("_orig", "_u", "_v"), spectral_norm, "under spectral_norm"),
    Scheme(("_g", "_v"), weight_norm, "under weight_norm"),
)
PARAMETRIZED = (
    Scheme(("original0", "original1"), weight_norm, "under weight_norm"),
    Scheme(("original", "0._u", "0._v"), spectral_norm, "under spectral_norm"),
)


def effective(sd: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of a state dict as the network computes with them; name -> what is said of one that was made.

    One that the state dict does not tell is an InputError in its place, for whoever wants it.
    """
    plain, said = {str(name): value for name, value in sd.items()}, dict[str, str]()
    for module, leaf in dict.fromkeys(
        (m["module"], m["leaf"]) for name in plain if (m := _PARAMETRIZED.fullmatch(name))
    ):
        _parametrized(plain, said, module, leaf)
    while any(_made(plain, said, scheme) for scheme in SCHEMES):
        pass  # once more: one may be made of what was made itself, as a pruned v
    return plain, said


def _parametrized(plain: dict[str, Any], said: dict[str, str], module: str, leaf: str) -> None:
    """Put the tensor in the place of its parts."""
    start, target = f"{module}parametrizations.{leaf}.", module + leaf
    parts = {name.removeprefix(start): plain.pop(name) for name in list(plain) if name.startswith(start)}
    for scheme in PARAMETRIZED:
        if parts.keys() == set(scheme.parts):
            plain[target] = _value(target, scheme, [parts[part] for part in scheme.parts])
            said[target] = scheme.said
            return
    there = ", ".join(start + part for part in parts)
    plain[target] = InputError(
        f"{target} is under a parametrisation that the file does not tell ({there}); take it off before saving: "
        f"{REMOVE}(module, '{leaf}')",
        target,
    )


def _made(plain: dict[str, Any], said: dict[str, str], scheme: Scheme) -> bool:
    """Put every tensor of a scheme in the place of its parts; whether there was one."""
    first, *others = scheme.parts
    found = [name.removesuffix(first) for name in plain if re.fullmatch(_TENSOR + first, name)]
    found = [name for name in found if all(name + other in plain for other in others)]
    for name in found:
        target = _within(plain, name)
        plain[target] = _value(target, scheme, [plain.pop(name + part) for part in scheme.parts])
        said[target] = ", ".join(filter(None, [said.pop(name + scheme.parts[-1], ""), scheme.said]))
    return bool(found)


def _within(plain: Mapping[str, Any], name: str) -> str:
    """The name itself, or that of the module which a weight drop of its own stands around."""
    module, dot, leaf = name.rpartition(".")
    inner = f"{module}{dot}module."
    return inner + leaf if any(other.startswith(inner + "weight_") for other in plain) else name


def _value(name: str, scheme: Scheme, parts: list[Any]) -> Any:
    """The tensor, or the InputError that tells why it cannot be made."""
    try:
        arrays = [np.asarray(host(part), dtype=np.float64) for part in parts]
        with quiet():  # what is not finite is refused when it is read
            return scheme.make(*arrays).astype(_dtype(parts))
    except InputError as error:
        return error
    except (ValueError, TypeError) as error:
        shapes = ", ".join(str(tuple(np.shape(part))) for part in parts)
        return InputError(f"{name}: {scheme.said}, but its parts of shapes {shapes} do not fit ({error})", name)


def _dtype(parts: list[Any]) -> np.dtype:
    """Of all parts but masks together, float32 at least."""
    return np.result_type(np.float32, *(kind for kind in (host(part).dtype for part in parts) if kind.kind == "f"))
