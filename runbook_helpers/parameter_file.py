"""Parameter files: YAML as they have it, plain values, lists and mappings. What else YAML can do is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

MOST_BYTES = 256 * 1024  # a fleet of 1000 VMs has 40 KiB


class StrictError(Exception):
    """A text is not taken; the reason never shows what stands in it."""


@dataclass(frozen=True)
class Unquoted:
    """A plain scalar that is no text to YAML 1.1: 0123456 is the number 42798 there, and no is false."""

    text: str
    kind: str
    value: Any

    def __str__(self) -> str:
        return self.text


_KINDS = {"bool": "true or false", "int": "a number", "float": "a number", "timestamp": "a date", "null": "nothing"}


class _StrictLoader(yaml.SafeLoader):
    """A loader without aliases, which make a small file a huge value, and without a name that stands twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise StrictError(f"line {line}: an alias (*name) is not taken; a text that begins with * stands in quotes")
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = _KINDS.get(node.tag.removeprefix("tag:yaml.org,2002:"))
        if kind is None or not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        try:
            value = super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError):  # 2026-13-45, a number of 5000 digits, !!bool x
            value = None
        return Unquoted(node.value, kind, value)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise StrictError(
                    f"line {key.start_mark.line + 1}: a merge (<<) is not taken; write the names themselves"
                )
        super().flatten_mapping(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        names = [key.value for key, _ in node.value]
        if len(set(names)) < len(names):
            raise StrictError(f"line {node.start_mark.line + 1} and below: a name is there twice")
        return mapping


def load(content: bytes) -> Any:
    """The value of a YAML text.

    Raises:
        StrictError: it is too long, no YAML, or more than plain values, lists and mappings.
    """
    if len(content) > MOST_BYTES:
        raise StrictError(f"it has more than {MOST_BYTES // 1024} KiB")
    try:
        return yaml.load(content.decode(), _StrictLoader)
    except yaml.MarkedYAMLError as error:
        # Not its own words: they show the line, and a line may hold a secret.
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise StrictError(where + _without_quotes(error.problem or "no YAML")) from error
    except RecursionError as error:
        raise StrictError("its lists are nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: 2024-13-45, a number of 5000 digits, no UTF-8
        raise StrictError("it has a character or a value that YAML does not allow") from error


def _without_quotes(problem: str) -> str:
    return re.sub(r"'(?!tag:yaml\.org,2002:python)[^']{2,}'", "…", " ".join(problem.split()))
