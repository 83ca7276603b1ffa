"""Whoever shows an error asks for its field: nobody reads its words, so that these can be put in other ones."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradlab.config import RunConfig, controls
from gradlab.config.train import TrainConfig

ROOT = Path(__file__).parents[1]
TREES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8"))
    for package in ("gradlab", "dashboard")
    for path in sorted((ROOT / package).rglob("*.py"))
}
BAD_INPUT = re.compile("InputError|ConfigError|UnknownName|ValueError|BaseException")
SHOWN = {"message", "escape", "InputError", "Form", "stale", "_fail", "_damaged"}  # what the words may be handed to
CUT = {"strip", "splitlines", "removeprefix"}  # what may be done to them on the way


def error_names(function: ast.FunctionDef) -> Iterator[str]:
    """What bad input is called in a function: where it is caught, or as an argument."""
    for node in ast.walk(function):
        if isinstance(node, ast.ExceptHandler) and node.name and BAD_INPUT.search(ast.unparse(node.type)):
            yield node.name
        if isinstance(node, ast.arg) and node.annotation and BAD_INPUT.search(ast.unparse(node.annotation)):
            yield node.arg


def words_read(tree: ast.AST) -> Iterator[str]:
    """Places at which the text of an error is looked into, or goes where it might be."""
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        texts = {text for name in error_names(function) for text in (f"str({name})", f"{name}.args[0]")}
        assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
        texts |= {ast.unparse(node.targets[0]) for node in assigned if ast.unparse(node.value) in texts}
        for node in ast.walk(function):
            if isinstance(node, ast.expr) and ast.unparse(node) in texts and _is_read(node, above[node]):
                yield ast.unparse(above[node])


def _is_read(text: ast.expr, where: ast.AST) -> bool:
    if isinstance(where, ast.Attribute):
        return where.attr not in CUT
    if isinstance(where, ast.Call):
        return text in where.args and ast.unparse(where.func).rpartition(".")[2] not in SHOWN
    return isinstance(where, ast.Compare | ast.Subscript)


def test_nobody_reads_the_words_of_an_error() -> None:
    assert {name: found for name, tree in TREES.items() if (found := list(words_read(tree)))} == {}


@pytest.mark.parametrize(
    "code",
    [
        'text = str(error); re.sub("^steps: ", "", text)',
        're.match("steps", str(error))',
        'return "unknown column" in str(error)',
        'return str(error).partition(":")',
        "return blame(config, str(error))",
        'message = str(error); message.replace("a", "b")',
        'return error.args[0].startswith("steps")',
    ],
)
def test_reading_is_found(code: str) -> None:
    handler = f"    except InputError as error:\n        {code}"
    for function in (f"def f(error: InputError):\n    {code}", f"def f():\n    try:\n        g()\n{handler}"):
        assert len(list(words_read(ast.parse(function)))) == 1


def arguments(tree: ast.AST) -> set[str]:
    """Names of arguments of functions, and of fields of classes."""
    fields = (node.target for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and node.simple)
    return {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | {ast.unparse(field) for field in fields}


def without_field(tree: ast.AST) -> Iterator[str]:
    """Errors whose message begins with an argument or a field, as "steps: expected", and that do not say so."""
    known = {*arguments(tree), *controls(RunConfig), *controls(TrainConfig)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "InputError" and len(node.args) == 1:
            start = re.match(r"f?['\"](\w+): ", ast.unparse(node.args[0]))
            if start and start[1] in known and not node.keywords:
                yield ast.unparse(node)


def test_a_message_that_begins_with_a_field_carries_it() -> None:
    assert {name: found for name, tree in TREES.items() if (found := list(without_field(tree)))} == {}
