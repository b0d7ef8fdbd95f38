"""JMESPath, as far as `az --query` is used with it: names, indexes, projections, filters, lists, hashes, pipes.

Functions, slices and && || ! are refused in words.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from typing import Any

Expression = Callable[[Any], Any]
_TOKEN = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_]\w*)|"(?P<quoted>[^"]*)"|'(?P<raw>[^']*)'|`(?P<literal>[^`]*)`|(?P<number>-?\d+)"""
    r"""|(?P<sign>\[\?|\[\]|==|!=|<=|>=|[\[\]{}(),.:|*@<>]))"""
)
MAX_LENGTH = 2000


class QueryRefused(Exception):
    """An expression that is none, or that this az does not have."""


def query(text: str, value: Any) -> Any:
    """What an expression finds in a value. Raises QueryRefused."""
    if len(text) > MAX_LENGTH:
        raise QueryRefused("it is too long")
    parser = _Parser(text)
    expression = parser.pipe()
    if parser.peek():
        raise QueryRefused(f"invalid jmespath_type value: {text!r}")
    return expression(value)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            matched = _TOKEN.match(text, at)
            if matched is None or not matched.lastgroup:
                raise QueryRefused(f"invalid jmespath_type value: {text!r}")
            self._tokens.append((matched.lastgroup, matched[matched.lastgroup]))
            at = matched.end()
        self._text, self._at = text, 0

    def peek(self) -> str:
        """The sign that comes next, or the kind of what comes next; "" at the end."""
        if self._at >= len(self._tokens):
            return ""
        kind, text = self._tokens[self._at]
        return text if kind == "sign" else kind

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            raise QueryRefused(f"invalid jmespath_type value: {self._text!r}")
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _expect(self, sign: str) -> None:
        if self.peek() != sign:
            raise QueryRefused(f"invalid jmespath_type value: {self._text!r}")
        self._take()

    def pipe(self) -> Expression:
        left = self._chain()
        while self.peek() == "|":
            self._take()
            left = _then(left, self._chain())
        return left

    def _chain(self) -> Expression:
        first = self._first()
        return _then(first, self._rest()) if first else self._rest()

    def _first(self) -> Expression | None:
        kind = self.peek()
        if kind in ("name", "quoted"):
            name = self._take()
            if self.peek() == "(":
                raise QueryRefused(f"it has no functions: {name}()")
            return _member(name)
        if kind in ("raw", "literal", "number"):
            text = self._take()
            return _constant(json.loads(text) if kind != "raw" and _is_json(text) else text)
        if kind == "@":
            self._take()
            return lambda value: value
        if kind == "{":
            return self._hash()
        if kind == "*":
            self._take()
            rest = self._rest()
            return lambda value: _projected(list(value.values()), rest) if isinstance(value, dict) else None
        if kind in ("[", "[]", "[?"):
            return None
        raise QueryRefused(f"invalid jmespath_type value: {self._text!r}")

    def _rest(self) -> Expression:
        """What stands behind: members, indexes; a projection takes all that is behind it."""
        kind = self.peek()
        if kind == ".":
            self._take()
            nxt = self._list() if self.peek() == "[" else self._first()
            if nxt is None:
                raise QueryRefused(f"invalid jmespath_type value: {self._text!r}")
            return _then(nxt, self._rest())
        if kind == "[]":
            self._take()
            rest = self._rest()
            return lambda value: _projected(_flat(value), rest)
        if kind == "[?":
            self._take()
            condition = self._condition()
            self._expect("]")
            rest = self._rest()
            return lambda value: (
                _projected([x for x in value if condition(x)], rest) if isinstance(value, list) else None
            )
        if kind == "[":
            return self._bracket()
        return lambda value: value

    def _bracket(self) -> Expression:
        following = self._tokens[self._at + 1 : self._at + 3]
        if following and following[0][0] == "number" and following[1:] == [("sign", "]")]:
            self._take()
            index = int(self._take())
            self._take()
            return _then(_index(index), self._rest())
        if following == [("sign", "*"), ("sign", "]")]:
            self._at += 3
            rest = self._rest()
            return lambda value: _projected(value, rest) if isinstance(value, list) else None
        if following and following[0][0] == "number":
            raise QueryRefused("it has no slices")
        return _then(self._list(), self._rest())

    def _list(self) -> Expression:
        self._expect("[")
        members = [self.pipe()]
        while self.peek() == ",":
            self._take()
            members.append(self.pipe())
        self._expect("]")
        return lambda value: None if value is None else [member(value) for member in members]

    def _hash(self) -> Expression:
        self._expect("{")
        members: dict[str, Expression] = {}
        while True:
            name = self._take()
            self._expect(":")
            members[name] = self.pipe()
            if self.peek() != ",":
                break
            self._take()
        self._expect("}")
        return lambda value: None if value is None else {name: member(value) for name, member in members.items()}

    def _condition(self) -> Callable[[Any], bool]:
        left = self._chain()
        sign = self.peek()
        if sign not in ("==", "!=", "<", ">", "<=", ">="):
            return lambda value: left(value) not in (None, False, "", [], {})
        self._take()
        right = self._chain()
        return lambda value: _compared(sign, left(value), right(value))


def _then(first: Expression, second: Expression) -> Expression:
    return lambda value: second(first(value))


def _member(name: str) -> Expression:
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _constant(constant: Any) -> Expression:
    return lambda value: constant


def _index(index: int) -> Expression:
    def found(value: Any) -> Any:
        return value[index] if isinstance(value, list) and -len(value) <= index < len(value) else None

    return found


def _projected(values: Any, rest: Expression) -> Any:
    return None if values is None else [found for found in map(rest, values) if found is not None]


def _flat(value: Any) -> list[Any] | None:
    if not isinstance(value, list):
        return None
    return [x for each in value for x in (each if isinstance(each, list) else [each])]


def _compared(sign: str, left: Any, right: Any) -> bool:
    if sign in ("==", "!="):
        return bool(left == right) == (sign == "==")
    if not all(isinstance(x, (int, float)) for x in (left, right)):
        return False
    compare: Callable[[Any, Any], bool] = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}[
        sign
    ]
    return compare(left, right)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
