"""What the check ran on."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from ..arrays import Namespace

PACKAGES = ("scipy", "cuda-pathfinder", "torch")


def tasks(xp: Namespace) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Software, and the device where there is one."""
    yield (
        "software",
        lambda: {"ok": True, "python": sys.version.split()[0], "system": platform.platform()} | _packages(xp),
    )
    if hasattr(xp, "cuda"):
        yield "device", lambda: {"ok": True} | _device(xp)


def line(items: list[dict[str, Any]]) -> str:
    """The device's name and the libraries' versions."""
    found = {key: value for item in items for key, value in item.items()}
    names = (f"{name} {found[name]}" for name in ("numpy", "scipy", "cupy") if found.get(name))
    return ", ".join([found.get("gpu", "no GPU"), *names])


def _packages(xp: Namespace) -> dict[str, Any]:
    known = {"numpy": np.__version__, xp.__name__: getattr(xp, "__version__", None)}
    return known | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device(xp: Namespace) -> dict[str, Any]:
    """Name and memory of the current GPU, and the versions of driver and runtime as CUDA numbers them (12040: 12.4)."""
    runtime, device = xp.cuda.runtime, xp.cuda.Device()
    name = runtime.getDeviceProperties(device.id)["name"]
    free, total = device.mem_info
    return {
        "gpu": name.decode() if isinstance(name, bytes) else name,
        "compute_capability": device.compute_capability,
        "memory_bytes": int(total),
        "free_bytes": int(free),
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
    }
