"""The command `gradlab`, outside the package so that Ctrl-C ends it quietly while that is imported."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run `gradlab.cli`."""
    try:
        from gradlab.cli import main as run
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        sys.exit(130)
    run()
