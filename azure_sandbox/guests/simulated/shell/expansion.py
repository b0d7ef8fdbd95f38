"""The expansion of a shell's words: variables, the output of commands, arithmetic, fields, the files that patterns match."""

from __future__ import annotations

import ast
import fnmatch
import glob
import re
from collections.abc import Callable
from dataclasses import replace

from ..disk import DiskError
from ..program import Failure, Process
from .arithmetic import calculated
from .commands import NAME, Part, Word
from .state import Exit, State


class Expansion:
    """The expansion of words in one shell; `run` runs the script of a $( … ) in a process and returns its status."""

    def __init__(self, state: State, run: Callable[[str, Process], int]) -> None:
        self._state, self._run = state, run

    def _value(self, name: str, before: int) -> str:
        if name == "?":
            return str(before)
        if name in ("@", "*"):
            return " ".join(self._state.parameters[1:])
        if name in ("#", "$"):
            return str(len(self._state.parameters) - 1) if name == "#" else "1234"
        if name.isdigit():
            return self._state.parameters[int(name)] if int(name) < len(self._state.parameters) else ""
        if name not in self._state.variables and "u" in self._state.options:
            self._state.complain(f"{name}: unbound variable")
            raise Exit(1)
        return self._state.variables.get(name, "")

    def _substitute(self, script: str) -> str:
        output: list[str] = []
        self._state.status = self._run(script, replace(self._state.process, stdout=output.append, terminal=False))
        return "".join(output).rstrip("\n")

    def _part(self, part: Part, before: int) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "command":
            return self._substitute(part.text)
        if part.kind == "arithmetic":
            return str(self._calculate(part.text, before))
        return self._parameter(part, before) if part.operator else self._value(part.text, before)

    def _parameter(self, part: Part, before: int) -> str:
        """A variable with an operator: ${NAME:-word} and its like."""
        name, sign = part.text, part.operator
        known = name in self._state.variables or not NAME.fullmatch(name)
        value = self._state.variables.get(name, "") if NAME.fullmatch(name) else self._value(name, before)
        if sign == "#" and not part.word:
            return str(len(self._value(name, before)))
        word = self.text(list(part.word), before)
        if sign[0] in "#%":
            return _without(value, sign, word)
        given = bool(value) if sign[0] == ":" else known
        kind = sign[-1]
        if kind == "+":
            return word if given else ""
        if not given and kind == "=":
            self._state.variables[name] = word
        if not given and kind == "?":
            self._state.complain(f"{name}: {word or 'parameter null or not set'}")
            raise Exit(127)
        return value if given else word

    def _calculate(self, text: str, before: int) -> int:
        def number(found: re.Match[str]) -> str:
            value = self._state.variables.get(found[1], "") or "0"
            return f"({value})" if re.fullmatch(r"-?\d+", value) else "(0)"

        try:
            return calculated(ast.parse(re.sub(r"\$?([A-Za-z_]\w*)", number, text).strip() or "0", mode="eval").body)
        except ZeroDivisionError as error:
            raise Failure(
                f'{self._state.name}: {text}: division by 0 (error token is "{text.strip()[-1:]}")'
            ) from error
        except (SyntaxError, ValueError) as error:
            raise Failure(f"{self._state.name}: {text}: syntax error: operand expected") from error

    def text(self, word: Word, before: int) -> str:
        """A word as one text."""
        return "".join(self._part(part, before) for part in word)

    def fields(self, word: Word, before: int) -> list[str]:
        """A word as fields: what comes from outside quotes is split at blanks, and names the files that it matches."""
        if word == [Part("text", "", True), Part("variable", "@", True)]:
            return self._state.parameters[1:]
        fields: list[list[tuple[str, bool]]] = []
        current: list[tuple[str, bool]] | None = None
        for part in word:
            text = self._part(part, before)
            if part.kind == "text" or part.quoted:
                current = [*(current or []), (text, part.quoted)]
                continue
            pieces = text.split()
            if text[:1].isspace() and current is not None:
                fields.append(current)
                current = None
            for number, piece in enumerate(pieces):
                current = [*(current or []), (piece, False)]
                if number < len(pieces) - 1 or text[-1:].isspace():
                    fields.append(current)
                    current = None
        return [name for field in (fields if current is None else [*fields, current]) for name in self._files(field)]

    def _files(self, field: list[tuple[str, bool]]) -> list[str]:
        """The files that a field's pattern matches; the field itself where it is no pattern or matches none."""
        plain = "".join(text for text, _ in field)
        if not any(character in text for text, quoted in field if not quoted for character in "*?["):
            return [plain]
        pattern = "".join(glob.escape(text) if quoted else text for text, quoted in field)
        found = ["/" if pattern.startswith("/") else ""]
        for name in filter(None, pattern.split("/")):
            found = [path for folder in found for path in self._matches(folder, name)]
        return found or [plain]

    def _matches(self, folder: str, pattern: str) -> list[str]:
        """The paths in a folder that match a pattern without a slash."""
        process = self._state.process
        try:
            names = process.disk.names(process.path(folder or "."), process.user)
        except DiskError:
            return []
        start = folder if folder in ("", "/") else f"{folder}/"
        return [
            start + name
            for name in names
            if fnmatch.fnmatchcase(name, pattern.replace("[^", "[!")) and (name[0] != "." or pattern[0] == ".")
        ]


def _without(value: str, sign: str, pattern: str) -> str:
    """A value without the beginning (#) or the end (%) that a pattern matches, the longest one where it is doubled."""
    expression = re.compile(fnmatch.translate(pattern))
    cuts = range(len(value) + 1)
    from_start = sign[0] == "#"
    for cut in cuts if (len(sign) == 1) == from_start else reversed(cuts):
        if expression.match(value[:cut] if from_start else value[cut:]):
            return value[cut:] if from_start else value[:cut]
    return value
