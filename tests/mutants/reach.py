"""Which functions of some files every test runs, and how long it takes."""

import sys
import threading
from collections import Counter, defaultdict
from pathlib import Path
from types import FrameType


class Reach:
    """Tests by name: the functions (file, qualified name) that they run, and their time in seconds."""

    def __init__(self, files: set[Path]) -> None:
        self.files = {str(file): file for file in files}
        self.functions: defaultdict[str, set[tuple[Path, str]]] = defaultdict(set)
        self.seconds: Counter[str] = Counter()

    def of_test(self, test: str) -> None:
        """What is run from now on is run by this test."""
        self.current = self.functions[test]
        threading.settrace(self._called)
        sys.settrace(self._called)

    def _called(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if code.co_filename in self.files:
            self.current.add((self.files[code.co_filename], code.co_qualname))

    def add_time(self, test: str, seconds: float) -> None:
        """A test, or a part of it, took so long."""
        self.seconds[test] += seconds

    def join(self, other: "Reach") -> None:
        """What another one knows of other tests."""
        self.functions.update(other.functions)
        self.seconds.update(other.seconds)

    def meets(self, test: str, functions: set[tuple[Path, str]]) -> bool:
        """Whether a test runs one of the functions."""
        return not functions.isdisjoint(self.functions[test])
