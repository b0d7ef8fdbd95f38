"""What a script of the simulated guest's shell consists of: words, commands, pipelines; and why one is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_NESTED = 30  # command substitutions


class SyntaxRefused(Exception):
    """A script that this shell does not run; the text says why."""


class Incomplete(SyntaxRefused):
    """A script that ends in the middle: more lines may complete it."""


@dataclass(frozen=True)
class Part:
    """A piece of a word: "text", a "variable" by its name, a "command" whose output stands here, or "arithmetic".

    A variable may have an operator and its word, as in ${NAME:-word}; the operator # alone is ${#NAME}.
    """

    kind: str
    text: str
    quoted: bool
    operator: str = ""
    word: tuple[Part, ...] = ()


Word = list[Part]


@dataclass(frozen=True)
class Redirection:
    descriptor: int
    operator: str
    target: Word


@dataclass
class SimpleCommand:
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)


@dataclass(frozen=True)
class Pipeline:
    """`joint` is what stands before it: "" at the beginning of a list, "&&" or "||"."""

    joint: str
    commands: list[Command]
    negated: bool = False


Script = list[list[Pipeline]]


@dataclass
class ForLoop:
    """`for NAME in WORDS`; without words those of the script's parameters."""

    name: str
    words: list[Word] | None
    body: Script
    redirections: list[Redirection] = field(default_factory=list)


@dataclass
class Loop:
    """`while`, or `until` where the condition is to fail."""

    condition: Script
    body: Script
    until: bool
    redirections: list[Redirection] = field(default_factory=list)


@dataclass
class Conditional:
    """`if` and its `elif`s, and the `else`."""

    branches: list[tuple[Script, Script]]
    otherwise: Script
    redirections: list[Redirection] = field(default_factory=list)


@dataclass
class Group:
    """`{ …; }`, or `( … )` in a shell of its own."""

    body: Script
    subshell: bool
    redirections: list[Redirection] = field(default_factory=list)


Command = SimpleCommand | ForLoop | Loop | Conditional | Group


def refuse(what: str) -> SyntaxRefused:
    return SyntaxRefused(f"the simulated guest's shell has no {what}")


def unexpected(token: str) -> SyntaxRefused:
    shown = "newline" if token == "\n" else token
    return SyntaxRefused(f"syntax error near unexpected token `{shown}'")
