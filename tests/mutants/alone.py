"""A pytest plugin, `-p tests.mutants.alone`: one module of the project is imported as the mutant has it.

$MUTANT_OF is the module's file, $MUTANT the file with the mutant's source. Processes that tests start do without.
"""

import os
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

original = SourceFileLoader.get_code


def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
    """The code of a module, of the mutant for the one that it is of."""
    if self.path != os.environ["MUTANT_OF"]:
        return original(self, fullname)
    return compile(Path(os.environ["MUTANT"]).read_text("utf-8"), self.path, "exec")


SourceFileLoader.get_code = get_code  # type: ignore[assignment, method-assign]
