"""Conditions on role assignments (attribute-based access control): read one, and ask whether it holds.

A condition is written in the language of Azure role assignment conditions, version 2.0, for instance::

    ((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'}))
     OR (@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWith 'samples/'))

Source: azure-docs, role-based-access-control/conditions-format. An attribute that a request does not have makes its
comparison false.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

REPOSITORY_NAME = "Microsoft.ContainerRegistry/registries/repositories:name"

MAX_DEPTH = 50  # parentheses and negations in each other

Condition = Callable[[str, Mapping[str, str]], bool]
"""Whether it holds for an action, and for the attributes of the request or resource by lower-case name."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<mark>[(){},]|!|&&|\|\|)
    | (?P<attribute>@(?:Request|Resource|Principal|Environment)\[(?P<name>[^\]]+)\])
    | '(?P<string>(?:[^']|'')*)'
    | (?P<word>[A-Za-z:]+)
    | (?P<number>-?\d+(?:\.\d+)?)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_QUANTIFIERS = {"": any, **{f"for{left}of{right}values": {"any": any, "all": all}[right]
                            for left in ("any", "all") for right in ("any", "all")}}  # fmt: skip
"""How many of the values on the right must satisfy a comparison. On the left there is always one value."""


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(re.sub(r"\\([*?])|(\[)", r"[\1\2]", pattern)))


def like(value: str, pattern: str) -> bool:
    """Whether a text is like a pattern: * is any text and ? any character, unless a backslash precedes it."""
    return bool(_pattern(pattern).match(value))


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "stringequals": lambda value, wanted: value == wanted,
    "stringstartswith": lambda value, wanted: value.startswith(wanted),
    "stringlike": like,
}


class ConditionError(ValueError):
    """A text that is no condition; says where it ceases to be one."""


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[re.Match[str]] = []
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ConditionError(f"unexpected {text[position : position + 20].strip()!r}")
            self._tokens.append(match)
            position = match.end()
        self._next = 0
        self._depth = 0

    def _peek(self) -> str:
        """The next token, in lower case; empty at the end."""
        return self._tokens[self._next].group().strip().lower() if self._next < len(self._tokens) else ""

    def _take(self) -> re.Match[str]:
        if self._next >= len(self._tokens):
            raise ConditionError("it ends too early")
        self._next += 1
        return self._tokens[self._next - 1]

    def _expect(self, mark: str) -> None:
        if self._peek() != mark:
            raise ConditionError(f"{mark!r} expected before {self._peek()!r}")
        self._take()

    def whole(self) -> Condition:
        condition = self._either()
        if self._peek():
            raise ConditionError(f"unexpected {self._peek()!r}")
        return condition

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._peek() in ("or", "||"):
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda action, has: any(part(action, has) for part in parts)

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._peek() in ("and", "&&"):
            self._take()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda action, has: all(part(action, has) for part in parts)

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConditionError(f"it is nested in more than {MAX_DEPTH} levels")
        condition = self._part()
        self._depth -= 1
        return condition

    def _part(self) -> Condition:
        word = self._peek()
        if word in ("!", "not"):
            self._take()
            inner = self._one()
            return lambda action, has: not inner(action, has)
        if word == "(":
            self._take()
            inner = self._either()
            self._expect(")")
            return inner
        if word in ("actionmatches", "suboperationmatches"):
            self._take()
            patterns = self._set()
            if word == "suboperationmatches":  # the sandbox's actions have no suboperations
                return lambda action, has: False
            return lambda action, has: any(like(action.lower(), pattern.lower()) for pattern in patterns)
        if word in ("exists", "notexists"):
            self._take()
            name = self._attribute()
            return lambda action, has: (name in has) == (word == "exists")
        return self._comparison()

    def _attribute(self) -> str:
        match = self._take()
        if not match["attribute"]:
            raise ConditionError(f"an attribute expected, not {match.group().strip()!r}")
        return match["name"].strip().lower()

    def _comparison(self) -> Condition:
        name = self._attribute()
        operator = (self._take()["word"] or "").lower()
        quantifier, _, plain = operator.rpartition(":")
        folded = plain.endswith("ignorecase")
        plain = plain.removesuffix("ignorecase")
        negated = "not" in plain
        compare = _COMPARE.get(plain.replace("not", ""))
        enough = _QUANTIFIERS.get(quantifier)
        if compare is None or enough is None:
            raise ConditionError(f"the operator {operator!r} is not known")
        wanted = self._set() if self._peek() == "{" else [self._string()]

        def holds(action: str, has: Mapping[str, str]) -> bool:
            if name not in has:
                return False
            value = has[name].lower() if folded else has[name]
            return enough(compare(value, each.lower() if folded else each) != negated for each in wanted)

        return holds

    def _string(self) -> str:
        match = self._take()
        if match["string"] is None:
            raise ConditionError(f"a string expected, not {match.group().strip()!r}")
        return match["string"].replace("''", "'")

    def _set(self) -> list[str]:
        self._expect("{")
        values = [self._string()]
        while self._peek() == ",":
            self._take()
            values.append(self._string())
        self._expect("}")
        return values


@lru_cache(maxsize=256)
def parse(text: str) -> Condition:
    """The condition that a text means. Raises ConditionError."""
    return _Parser(text).whole()
