"""Whole numbers in $(( … )): their sums and comparisons."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip  # fmt: skip
_CALCULATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: lambda a, b: int(a / b),
    ast.Mod: lambda a, b: a - b * int(a / b),
}  # fmt: skip  # fmt: skip


def calculated(node: ast.expr) -> int:
    """The value of an expression of whole numbers. Raises ValueError for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return -calculated(node.operand) if isinstance(node.op, ast.USub) else calculated(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _CALCULATIONS:
        value = _CALCULATIONS[type(node.op)](calculated(node.left), calculated(node.right))
        return (value + (1 << 63)) % (1 << 64) - (1 << 63)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        return int(_COMPARISONS[type(node.ops[0])](calculated(node.left), calculated(node.comparators[0])))
    raise ValueError(ast.dump(node))
