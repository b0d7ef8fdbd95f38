"""The syntax of the simulated guest's shell: a script becomes lists of pipelines of commands.

What a real shell has beyond that (loops, conditions, functions, patterns, here-documents, jobs) is refused in words
before anything of the script runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_NESTED = 30  # command substitutions
_OPERATOR = re.compile(r"&&|\|\||;;|\|&|&>>|&>|(?:\d*)(?:<<<|<<|>>|>&|<&|<>|>\||>|<)|[;&|()\n]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_BRACES = re.compile(r"\{[^{}]*(?:,|\.\.)[^{}]*\}")
_KEYWORDS = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "for",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "function",
        "select",
        "{",
        "}",
        "!",
        "time",
        "[[",
        "coproc",
    ]
)
_REDIRECTION = re.compile(r"\d*(?:<<<|<<|>>|>&|<&|<>|>\||>|<)|&>>?")


class SyntaxRefused(Exception):
    """A script that this shell does not run; the text says why."""


class Incomplete(SyntaxRefused):
    """A script that ends in the middle: more lines may complete it."""


@dataclass(frozen=True)
class Part:
    """A piece of a word: "text", a "variable" by its name, or a "command" whose output stands here."""

    kind: str
    text: str
    quoted: bool


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
    commands: list[SimpleCommand]


def refuse(what: str) -> SyntaxRefused:
    return SyntaxRefused(f"the simulated guest's shell has no {what}")


class _Reader:
    """Splits a text into operators (str) and words."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._nested = 0
        self._at = 0

    def tokens(self) -> list[str | Word]:
        found: list[str | Word] = []
        while self._skip_blanks():
            operator = _OPERATOR.match(self._text, self._at)
            if operator:
                self._at = operator.end()
                found.append(operator[0])
            else:
                found.append(self._word())
        return found

    def _skip_blanks(self) -> bool:
        while self._at < len(self._text):
            if self._text[self._at] in " \t\r":
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
            elif self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return True
        return False

    def _word(self) -> Word:
        parts: Word = []
        plain = ""

        def flush() -> None:
            nonlocal plain
            if plain:
                parts.append(Part("text", plain, False))
            plain = ""

        while self._at < len(self._text) and self._text[self._at] not in " \t\r\n;&|<>()":
            character = self._text[self._at]
            if character == "\\":
                if self._at + 1 >= len(self._text):
                    raise Incomplete("unexpected end of file after a backslash")
                if self._text[self._at + 1] != "\n":
                    flush()
                    parts.append(Part("text", self._text[self._at + 1], True))
                self._at += 2
            elif character in "'\"":
                flush()
                parts += self._single() if character == "'" else self._double()
            elif character == "$" and self._text[self._at + 1 : self._at + 2] in ("'", '"'):
                raise refuse("$'…' and $\"…\"")
            elif character in "$`":
                flush()
                parts.append(self._expansion(quoted=False))
            else:
                plain += character
                self._at += 1
        flush()
        return _checked(parts)

    def _single(self) -> Word:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise Incomplete("unexpected EOF while looking for matching `''")
        text, self._at = self._text[self._at + 1 : end], end + 1
        return [Part("text", text, True)]

    def _double(self) -> Word:
        self._at += 1
        parts: Word = [Part("text", "", True)]
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == '"':
                self._at += 1
                return parts
            if character in "$`":
                parts.append(self._expansion(quoted=True))
                continue
            if character == "\\" and self._text[self._at + 1 : self._at + 2] in ("$", "`", '"', "\\", "\n"):
                self._at += 1
                character = "" if self._text[self._at] == "\n" else self._text[self._at]
            parts.append(Part("text", character, True))
            self._at += 1
        raise Incomplete("unexpected EOF while looking for matching `\"'")

    def _expansion(self, *, quoted: bool) -> Part:
        rest = self._text[self._at + 1 : self._at + 2]
        if self._text[self._at] == "`":
            raise refuse("backquotes: write $( … )")
        if rest == "(":
            return self._substitution(quoted)
        if rest == "{":
            end = self._text.find("}", self._at)
            name = self._text[self._at + 2 : end] if end > 0 else ""
            if not (_NAME.fullmatch(name) or name == "?" or name.isdigit()):
                raise refuse("${ … } other than ${NAME}")
            self._at = end + 1
            return Part("variable", name, quoted)
        name_match = _NAME.match(self._text, self._at + 1)
        if name_match or rest == "?" or (rest and rest in "0123456789"):
            name = name_match[0] if name_match else rest
            self._at += 1 + len(name)
            return Part("variable", name, quoted)
        if rest and rest in "$!#@*-":
            raise refuse(f"${rest}")
        self._at += 1
        return Part("text", "$", True)

    def _substitution(self, quoted: bool) -> Part:
        if self._text.startswith("$((", self._at):
            raise refuse("arithmetic")
        self._nested += 1
        if self._nested > MAX_NESTED:
            raise refuse(f"more than {MAX_NESTED} $( … ) in each other")
        start = self._at + 2
        self._at = start
        depth = 1
        while depth:
            if not self._skip_blanks():
                raise Incomplete("unexpected EOF while looking for matching `)'")
            operator = _OPERATOR.match(self._text, self._at)
            if operator:
                depth += {"(": 1, ")": -1}.get(operator[0], 0)
                self._at = operator.end()
            else:
                self._word()
        self._nested -= 1
        return Part("command", self._text[start : self._at - 1], quoted)


def _checked(parts: Word) -> Word:
    """Refuse what a real shell would expand and this one does not; resolve a leading ~."""
    plain = "".join(part.text if part.kind == "text" and not part.quoted else "\0" for part in parts)
    if plain not in ("[", "]", "[[", "]]", "{", "}") and any(character in plain for character in "*?["):
        raise refuse("file name patterns: quote * ? [")
    if _BRACES.search(plain):
        raise refuse("brace expansion: quote { }")
    if plain == "~" or plain.startswith("~/"):
        return [Part("variable", "HOME", True), Part("text", parts[0].text[1:], True), *parts[1:]]
    if plain.startswith("~"):
        raise refuse("~user")
    return parts


def parse(text: str) -> list[list[Pipeline]]:
    """The and-or lists of a script."""
    script: list[list[Pipeline]] = []
    current: list[Pipeline] = []
    command = SimpleCommand()
    joint = ""
    piped = False  # the last operator wants a command behind it
    redirection = ""
    for token in [*_Reader(text).tokens(), "\n"]:
        if redirection:
            if isinstance(token, str):
                raise _unexpected(token)
            command.redirections.append(_redirection(redirection, token))
            redirection = ""
        elif not isinstance(token, str):
            _add_word(command, token)
        elif _REDIRECTION.fullmatch(token):
            redirection = token
        elif token in ("(", ")"):
            raise refuse("subshells and functions ( … )")
        elif token == "&":
            raise refuse("background jobs (&)")
        elif token in ("|&", ";;"):
            raise refuse(token)
        else:
            empty = command == SimpleCommand()
            if empty and token != "\n":
                raise _unexpected(token)
            if empty:
                continue  # an empty line, also one after && or |
            if not piped:
                current.append(Pipeline(joint, []))
            current[-1].commands.append(command)
            command = SimpleCommand()
            piped = token == "|"
            joint = token if token in ("&&", "||") else ""
            if token in (";", "\n"):
                script.append(current)
                current = []
    if current:
        raise Incomplete("unexpected end of file")
    return script


def _unexpected(token: str) -> SyntaxRefused:
    shown = "newline" if token == "\n" else token
    return SyntaxRefused(f"syntax error near unexpected token `{shown}'")


def _add_word(command: SimpleCommand, word: Word) -> None:
    first = word[0]
    if not command.words and first.kind == "text" and not first.quoted:
        assignment = _ASSIGNMENT.match(first.text)
        if assignment:
            rest = first.text[assignment.end() :]
            command.assignments.append((assignment[1], [Part("text", rest, False), *word[1:]]))
            return
        if len(word) == 1 and first.text in _KEYWORDS:
            raise refuse(f"`{first.text}'")
    command.words.append(word)


def _redirection(token: str, target: Word) -> Redirection:
    digits = token[: len(token) - len(token.lstrip("0123456789"))]
    operator = token[len(digits) :]
    if operator in ("<<", "<<<"):
        raise refuse("here-documents")
    if operator not in (">", ">>", "<", ">&", "&>", "&>>"):
        raise refuse(f"{operator} redirection")
    return Redirection(int(digits or (0 if operator == "<" else 1)), operator, target)
