"""A mutant put into a module that is imported already, by exchanging the code of its living functions."""

import ast
import gc
import inspect
from collections import defaultdict
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any


def functions_of(paths: set[Path]) -> dict[Path, list[FunctionType]]:
    """All functions that live in this process, by the file that they were written in."""
    found = defaultdict(list)
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and (path := Path(thing.__code__.co_filename)) in paths:
            found[path].append(thing)
    return found


def exchange(source: str, mutant: str, living: list[FunctionType]) -> set[str]:
    """Give the functions that a mutant changes their new code; their names, none where that cannot be all of it."""
    old, new = (compile(text, "", "exec") for text in (ast.unparse(ast.parse(source)), mutant))
    before, after = _functions(old), _functions(new)
    changed = {name for name, codes in before.items() if codes != after.get(name)}
    concerned = [f for f in living if f.__code__.co_qualname in changed]
    pairs = [(f, after.get(f.__code__.co_qualname, [])) for f in concerned]
    if _bodies(old) != _bodies(new) or not pairs:
        return set()
    if any(len(codes) != 1 or codes[0].co_freevars != f.__code__.co_freevars for f, codes in pairs):
        return set()
    for function, (code,) in pairs:
        function.__code__ = code
    return changed


def _functions(code: CodeType) -> dict[str, list[CodeType]]:
    """The code of all functions in a module's, by qualified name."""
    found = defaultdict(list)
    for inner in filter(inspect.iscode, code.co_consts):
        if _is_function(inner):
            found[inner.co_qualname].append(inner)
        for name, codes in _functions(inner).items():
            found[name] += codes
    return found


def _bodies(code: CodeType) -> list[Any]:
    """What a module and its classes do when they are made, without their functions."""
    own = [code.co_code, code.co_names, [c for c in code.co_consts if not inspect.iscode(c)]]
    inner = (c for c in code.co_consts if inspect.iscode(c) and not _is_function(c))
    return own + [_bodies(c) for c in inner]


def _is_function(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_OPTIMIZED)
