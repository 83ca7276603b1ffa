"""The numeric tests as other processors would run them: `python -m tests.portable [ARGS]`; ARGS go to pytest.

NumPy picks its loops by what the processor can, which decides how sums are rounded. Here the newest instructions are
turned off step by step, down to those that every machine has, with one and with two threads for matrix products. A
result that is asserted has to hold in all of these.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

NUMERIC = ["cells", "engine", "products", "theory", "layers", "learning", "tasks", "quantities"]
NUMERIC += ["runs", "training", "diagnosis"]
THREADS = "1", "2"
OLDEST = "X86_V3"  # with it gone, only what NumPy is built for is left


def features() -> list[str]:
    """What NumPy has loops for and this processor can, oldest first; empty where that cannot be told."""
    try:
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    except ImportError:
        return []
    return [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]


def settings(able: Sequence[str]) -> Iterator[dict[str, str]]:
    """The environments: without what is newer than the oldest, then without it too; each with both thread counts."""
    newer = [name for name in able if name != OLDEST]
    for off in ([newer] if newer else []) + ([[*able]] if OLDEST in able else []):
        for threads in THREADS:
            yield {"NPY_DISABLE_CPU_FEATURES": " ".join(off), "OPENBLAS_NUM_THREADS": threads}


def main(args: Sequence[str]) -> int:
    """Run all settings, even where one fails; the worst exit code."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal"]
    folders = [f"tests/{name}" for name in NUMERIC]
    codes = [0]
    for setting in settings(features()):
        print("gradlab: tests with", " ".join(f"{name}='{value}'" for name, value in setting.items()), flush=True)
        codes.append(subprocess.call([*pytest, *folders, *args], env=os.environ | setting))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
