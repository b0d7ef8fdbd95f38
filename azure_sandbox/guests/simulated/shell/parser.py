"""The parser of the simulated guest's shell: a script becomes lists of pipelines of commands.

What a real shell has beyond that (functions, case, [[ … ]], arrays, jobs) is refused in words before anything of the
script runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .commands import (
    MAX_NESTED,
    NAME,
    Command,
    Conditional,
    ForLoop,
    Group,
    Incomplete,
    Loop,
    Part,
    Pipeline,
    Redirection,
    Script,
    SimpleCommand,
    SyntaxRefused,
    Word,
    refuse,
    unexpected,
)
from .lexer import Lexer, braces

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
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
        "{",
        "}",
        "!",
        "case",
        "esac",
        "function",
        "select",
        "time",
        "[[",
        "coproc",
    ]
)
_REFUSED = frozenset(["case", "esac", "function", "select", "time", "[[", "coproc"])
_REDIRECTION = re.compile(r"\d*(?:<<<|<<|>>|>&|<&|<>|>\||>|<)|&>>?")


def parse(text: str) -> Script:
    """The and-or lists of a script."""
    return _Parser([*Lexer(text).tokens(), "\n"]).whole()


class _Parser:
    """Makes commands of tokens."""

    def __init__(self, tokens: list[str | Word]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Script:
        script = self._script()
        if self._at < len(self._tokens):
            raise unexpected(self._shown())
        return script

    def _peek(self) -> str | Word | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _keyword(self) -> str:
        """The keyword that comes next; "" where none does."""
        token = self._peek()
        if isinstance(token, list) and len(token) == 1 and token[0].kind == "text" and not token[0].quoted:
            return token[0].text if token[0].text in _KEYWORDS else ""
        return ""

    def _shown(self) -> str:
        token = self._peek()
        return token if isinstance(token, str) else self._keyword() or "word"

    def _expect(self, keyword: str) -> None:
        if self._peek() is None:
            raise Incomplete("unexpected end of file")
        if self._keyword() != keyword and self._peek() != keyword:
            raise unexpected(self._shown())
        self._at += 1

    def _blank(self) -> None:
        while self._peek() == "\n":
            self._at += 1

    def _script(self) -> Script:
        """Lists up to a keyword or parenthesis that ends them."""
        script: Script = []
        while True:
            self._blank()
            ends = self._keyword() in ("then", "else", "elif", "fi", "do", "done", "}")
            if self._peek() is None or self._peek() == ")" or ends:
                return script
            script.append(self._list())
            token = self._peek()
            if token in (";", "\n"):
                self._at += 1
            elif isinstance(token, str) and token != ")":
                raise refuse("background jobs (&)") if token == "&" else unexpected(token)

    def _required(self) -> Script:
        script = self._script()
        if not script:
            if self._peek() is None:
                raise Incomplete("unexpected end of file")
            raise unexpected(self._shown())
        return script

    def _list(self) -> list[Pipeline]:
        found, joint = [], ""
        while True:
            found.append(self._pipeline(joint))
            token = self._peek()
            if token not in ("&&", "||"):
                return found
            joint = str(token)
            self._at += 1
            self._blank()
            if self._peek() is None:
                raise Incomplete("unexpected end of file")

    def _pipeline(self, joint: str) -> Pipeline:
        negated = self._keyword() == "!"
        self._at += negated
        commands = [self._command()]
        while self._peek() == "|":
            self._at += 1
            self._blank()
            if self._peek() is None:
                raise Incomplete("unexpected end of file")
            commands.append(self._command())
        if self._peek() in ("|&", ";;"):
            raise refuse(str(self._peek()))
        return Pipeline(joint, commands, negated)

    def _command(self) -> Command:
        keyword = self._keyword()
        if keyword in _REFUSED:
            raise refuse(f"`{keyword}'")
        compound: dict[str, Callable[[str], ForLoop | Loop | Conditional | Group]]
        compound = {"for": self._for, "while": self._loop, "until": self._loop, "if": self._if, "{": self._group}
        if self._peek() == "(":
            compound["("], keyword = self._group, "("
        if keyword not in compound:
            return self._simple()
        self._depth += 1
        if self._depth > MAX_NESTED:
            raise refuse(f"more than {MAX_NESTED} commands in each other")
        self._at += 1
        command = compound[keyword](keyword)
        self._depth -= 1
        while self._redirected(command.redirections):
            pass
        return command

    def _for(self, _: str) -> ForLoop:
        name = self._peek()
        if not isinstance(name, list):
            raise refuse("for (( … ))") if name == "(" else Incomplete("unexpected end of file")
        text = "".join(part.text for part in name)
        if not NAME.fullmatch(text):
            raise SyntaxRefused(f"`{text}': not a valid identifier")
        self._at += 1
        words: list[Word] | None = None
        self._blank()
        token = self._peek()
        if isinstance(token, list) and token == [Part("text", "in", False)]:
            self._at += 1
            words = []
            while isinstance(token := self._peek(), list):
                words += braces(token)
                self._at += 1
        if self._peek() == ";":
            self._at += 1
        self._blank()
        return ForLoop(text, words, self._body())

    def _body(self) -> Script:
        self._expect("do")
        body = self._required()
        self._expect("done")
        return body

    def _loop(self, keyword: str) -> Loop:
        condition = self._required()
        return Loop(condition, self._body(), keyword == "until")

    def _if(self, _: str) -> Conditional:
        branches, otherwise = [], []
        while True:
            condition = self._required()
            self._expect("then")
            branches.append((condition, self._required()))
            keyword = self._keyword()
            if keyword == "elif":
                self._at += 1
                continue
            if keyword == "else":
                self._at += 1
                otherwise = self._required()
            self._expect("fi")
            return Conditional(branches, otherwise)

    def _group(self, keyword: str) -> Group:
        body = self._required()
        self._expect(")" if keyword == "(" else "}")
        return Group(body, keyword == "(")

    def _simple(self) -> SimpleCommand:
        command = SimpleCommand()
        if self._keyword() and self._keyword() not in ("!",):
            raise unexpected(self._keyword())
        while True:
            token = self._peek()
            if isinstance(token, list):
                self._at += 1
                _add_word(command, token)
            elif token == "(":
                raise refuse("functions ( … )")
            elif not self._redirected(command.redirections):
                break
        if command == SimpleCommand():
            raise unexpected(self._shown())
        return command

    def _redirected(self, redirections: list[Redirection]) -> bool:
        """Take a redirection, where one comes next."""
        token = self._peek()
        if not isinstance(token, str) or not _REDIRECTION.fullmatch(token):
            return False
        self._at += 1
        target = self._peek()
        if not isinstance(target, list):
            raise unexpected(self._shown() if target is not None else "\n")
        self._at += 1
        redirections.append(_redirection(token, target))
        return True


def _add_word(command: SimpleCommand, word: Word) -> None:
    first = word[0]
    if not command.words and first.kind == "text" and not first.quoted:
        assignment = _ASSIGNMENT.match(first.text)
        if assignment:
            rest = first.text[assignment.end() :]
            command.assignments.append((assignment[1], [Part("text", rest, False), *word[1:]]))
            return
    command.words += braces(word)


def _redirection(token: str, target: Word) -> Redirection:
    digits = token[: len(token) - len(token.lstrip("0123456789"))]
    operator = token[len(digits) :]
    if operator not in (">", ">>", "<", "<<", "<<<", ">&", "&>", "&>>"):
        raise refuse(f"{operator} redirection")
    return Redirection(int(digits or (0 if operator.startswith("<") else 1)), operator, target)
