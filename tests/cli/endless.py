"""`python -m tests.cli.endless ARGS`: the command line, where an analysis says that it has begun and does not end."""

import time

from gradlab.cli import main
from gradlab.config import RunConfig
from gradlab.runs import analyze as analysis


def analyze(config: RunConfig) -> None:
    """Stands in for analyze."""
    print("begun", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    analysis.analyze = analyze  # type: ignore[assignment]
    main()
