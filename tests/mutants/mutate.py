"""One change in a module, of the kinds that a slip of the hand makes."""

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

COMPARE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
LOGIC = {ast.And: ast.Or, ast.Or: ast.And}
SKIPPED = (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.AnnAssign)  # words, names and types


@dataclass(frozen=True)
class Mutant:
    """A module with one change. line: where in the original; text: what is changed; place: the number of the change."""

    line: int
    text: str
    original: str
    place: int

    @property
    def line_text(self) -> str:
        """The line as it is written, without what it is indented by."""
        return self.original.splitlines()[self.line - 1].strip()

    @property
    def source(self) -> str:
        """The module as the mutant has it."""
        tree = ast.parse(self.original)
        node, parent, field = [*_places(tree)][self.place]
        new = _changed(node)
        if new is not node:
            _put(parent, field, node, new)
        return ast.unparse(ast.fix_missing_locations(tree))


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module's source, in order."""
    for place, (node, parent, field) in enumerate(_places(ast.parse(source))):
        yield Mutant(node.lineno, _change_text(node, parent, field), source, place)


def _change_text(node: ast.expr | ast.stmt, parent: ast.AST, field: str) -> str:
    """What is changed and into what; a number with what it stands in."""
    if not (isinstance(node, ast.Constant) and isinstance(parent, ast.expr | ast.keyword)):
        return f"{ast.unparse(node)}  ->  {ast.unparse(_changed(deepcopy(node)))}"
    before, new = ast.unparse(parent), _changed(deepcopy(node))
    _put(parent, field, node, new)
    after = ast.unparse(parent)
    _put(parent, field, new, node)
    return f"{before}  ->  {after}"


def _places(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST, str]]:
    """What can be changed, with the parent that holds it and in which field."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "decorator_list", "args") and not isinstance(tree, ast.Call):
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or isinstance(node, SKIPPED) or _is_aside(node, tree):
                continue
            if isinstance(node, ast.expr | ast.stmt) and _can_change(node):
                yield node, tree, field
            yield from _places(node)


def _is_aside(node: ast.AST, parent: ast.AST) -> bool:
    """Whether this is a docstring or a __repr__, or cannot be seen.

    That is whether a zip is strict, or a copy one too many; a seed; which negative number has `reshape` find a size.
    """
    match node, parent:
        case (
            ast.Expr(value=ast.Constant()) | ast.FunctionDef(name="__repr__") | ast.keyword(arg="strict" | "copy"),
            _,
        ):
            return True
        case (_, ast.Call(func=ast.Attribute(attr="default_rng"))):
            return True
        case (ast.UnaryOp(op=ast.USub(), operand=ast.Constant()), ast.Call(func=ast.Attribute(attr="reshape"))):
            return True
    return False


def _can_change(node: ast.expr | ast.stmt) -> bool:
    match node:
        case ast.Compare(ops=[op]):
            return type(op) in COMPARE
        case ast.BinOp():
            return type(node.op) in ARITHMETIC
        case ast.Constant():
            return isinstance(node.value, bool | int | float)
        case ast.Assign(targets=[ast.Subscript()]) | ast.AugAssign() | ast.Expr(value=ast.Call()):
            return True
    return isinstance(node, ast.BoolOp | ast.IfExp) or (isinstance(node, ast.UnaryOp) and not _is_number(node.operand))


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def _changed(node: ast.expr | ast.stmt) -> ast.expr | ast.stmt:
    """The node changed in place, or another one for it."""
    match node:
        case ast.Compare():
            node.ops = [COMPARE[type(node.ops[0])]()]
        case ast.BinOp():
            node.op = ARITHMETIC[type(node.op)]()
        case ast.BoolOp():
            node.op = LOGIC[type(node.op)]()
        case ast.IfExp():
            node.body, node.orelse = node.orelse, node.body
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant():
            node.value = node.value + 1  # type: ignore[operator]
        case ast.UnaryOp():
            return node.operand
        case _:
            return ast.copy_location(ast.Pass(), node)
    return node


def _put(parent: ast.AST, field: str, node: ast.AST, new: ast.AST) -> None:
    """Put another node in a node's place."""
    value = getattr(parent, field)
    if isinstance(value, list):
        value[next(i for i, old in enumerate(value) if old is node)] = new
    else:
        setattr(parent, field, new)
