"""`python3 -m gradlab.gpu_check` writes gpu_check.json and exits with 1 where something disagrees."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..arrays import DEVICES, device_namespace
from ..errors import InputError
from .running import check


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check as the arguments say; 1 where something disagrees, fails, or there is no such device."""
    parser = argparse.ArgumentParser(prog="python3 -m gradlab.gpu_check", description=(__doc__ or "").strip())
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"), help="the report (gpu_check.json)")
    parser.add_argument("--device", choices=DEVICES, default="cuda", help="what is compared with NumPy (cuda)")
    arguments = parser.parse_args(argv)
    try:
        xp = device_namespace(arguments.device)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if check(xp, arguments.out)["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
