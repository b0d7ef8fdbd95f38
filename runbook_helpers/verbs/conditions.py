"""Conditions that limit a role assignment to repositories of a registry: written here, and read where they do nothing else."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

_REPOSITORIES = "Microsoft.ContainerRegistry/registries/repositories"
_ACTION = re.compile(r"(?:!|\bNOT\b)\s*\(\s*ActionMatches\s*\{[^}]*\}\s*\)", re.IGNORECASE)
_NAME = re.compile(
    rf"@(?:Request|Resource)\[\s*{_REPOSITORIES}:name\s*\]\s*(?:ForAnyOfAnyValues:)?"
    r"String(Equals|StartsWith|Like)(IgnoreCase)?\s*('(?:[^']|'')*'|\{(?:\s*'(?:[^']|'')*'\s*,?)*\s*\})",
    re.IGNORECASE,
)
_TEXT = re.compile("'((?:[^']|'')*)'")
_WORDS = {"equals": "", "startswith": "those that begin with ", "like": "those like "}


@dataclass(frozen=True)
class Names:
    """Names of repositories that a condition admits."""

    how: str
    """equals, startswith or like."""
    text: str
    folded: bool
    """Whether upper and lower case are one."""

    def admit(self, repository: str) -> bool:
        name, wanted = (each.lower() if self.folded else each for each in (repository, self.text))
        if self.how == "like":
            return fnmatch.fnmatchcase(name, wanted.replace("[", "[[]"))
        return name == wanted if self.how == "equals" else name.startswith(wanted)

    def __str__(self) -> str:
        return f"{_WORDS[self.how]}{self.text!r}"


def repository_condition(repositories: Iterable[str]) -> str:
    """The condition that limits Container Registry Repository Reader to repositories of a registry."""
    reads = " AND ".join(f"!(ActionMatches{{'{_REPOSITORIES}/{part}/read'}})" for part in ("content", "metadata"))
    texts = ["'" + each.replace("'", "''") + "'" for each in repositories]
    one = f"StringEqualsIgnoreCase {texts[0]}"
    several = f"ForAnyOfAnyValues:StringEqualsIgnoreCase {{{', '.join(texts)}}}"
    return f"(({reads}) OR (@Request[{_REPOSITORIES}:name] {several if texts[1:] else one}))"


def names_of(condition: str) -> list[Names] | None:
    """The names of repositories that a condition limits to; None where it says something else, or more."""
    rest = re.sub(r"[()\s]", "", _NAME.sub("n", _ACTION.sub("a", condition)))
    rest = re.sub("&&|AND", "&", re.sub(r"\|\||OR", "|", rest, flags=re.IGNORECASE), flags=re.IGNORECASE)
    if not re.fullmatch(r"a(&a)*(\|n)+", rest):
        return None
    return [
        Names(how.lower(), text.replace("''", "'"), bool(folded))
        for how, folded, texts in _NAME.findall(condition)
        for text in _TEXT.findall(texts)
    ]


def admits(condition: str | None, repository: str | None) -> bool | None:
    """Whether a condition admits a repository, or where that is None all of them; None where it cannot be read."""
    if condition is None or repository is None:
        return condition is None
    found = names_of(condition)
    return None if found is None else any(each.admit(repository) for each in found)


def repositories_of(condition: str | None) -> list[str]:
    """The repositories of a condition as `repository_condition` writes it; none where it is another."""
    texts = [each.text for each in names_of(condition or "") or ()]
    return texts if texts and condition == repository_condition(texts) else []


def limited_by(condition: str) -> str:
    """What a condition limits to, in words."""
    found = names_of(condition)
    if found is None:
        return f"by the condition {condition}"
    return f"to repositories: {', '.join(map(str, found))}"
