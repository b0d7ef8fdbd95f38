"""The syntax of the simulated guest's shell: a script becomes lists of pipelines of commands.

What a real shell has beyond that (functions, case, [[ … ]], arrays, jobs) is refused in words before anything of the
script runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_NESTED = 30  # command substitutions
_OPERATOR = re.compile(r"&&|\|\||;;|\|&|&>>|&>|(?:\d*)(?:<<<|<<|>>|>&|<&|<>|>\||>|<)|[;&|()\n]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_BRACES = re.compile(r"\{((?:[^{},]*,)+[^{},]*|-?\d+\.\.-?\d+)\}")
_PARAMETER = re.compile(r"(#)?([A-Za-z_][A-Za-z0-9_]*|[?#@*$]|\d+)(?:(:?[-=+?]|%%?|##?)(.*))?", re.S)
MAX_BRACES = 10_000  # words that {1..9} makes
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


class _Reader:
    """Splits a text into operators (str) and words."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._nested = 0
        self._at = 0
        self._documents: list[tuple[list[str | Word], int, bool]] = []
        """Here-documents that begin after this line: where their text goes, and whether leading tabs are left out."""

    def tokens(self) -> list[str | Word]:
        found: list[str | Word] = []
        while self._skip_blanks():
            operator = _OPERATOR.match(self._text, self._at)
            if not operator:
                found.append(self._word())
                continue
            self._at = operator.end()
            token = operator[0]
            if token.lstrip("0123456789") == "<<":
                tabs = self._text.startswith("-", self._at)
                self._at += tabs
                self._documents.append((found, len(found) + 1, tabs))
            found.append(token)
            if token == "\n":
                self._here_documents()
        if self._documents:
            raise Incomplete("here-document delimited by end-of-file")
        return found

    def _here_documents(self) -> None:
        """Take the lines up to each delimiter in the delimiter's place."""
        for found, position, tabs in self._documents:
            word = found[position] if position < len(found) else ""
            if isinstance(word, str):
                raise _unexpected("\n")
            delimiter, quoted = "".join(part.text for part in word), any(part.quoted for part in word)
            lines = []
            while True:
                if self._at >= len(self._text):
                    raise Incomplete(f"here-document delimited by end-of-file (wanted `{delimiter}')")
                end = self._text.find("\n", self._at)
                end = len(self._text) if end < 0 else end
                line, self._at = self._text[self._at : end], end + 1
                line = line.lstrip("\t") if tabs else line
                if line == delimiter:
                    break
                lines.append(f"{line}\n")
            text = "".join(lines)
            found[position] = [Part("text", text, True)] if quoted else _Reader(text).document()
        self._documents = []

    def document(self) -> Word:
        """The whole text, as a here-document or the word of ${NAME:-word} has it: expansions, and quotes are text."""
        parts: Word = [Part("text", "", True)]
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in "$`":
                parts.append(self._expansion(quoted=True))
                continue
            if character == "\\" and self._text[self._at + 1 : self._at + 2] in ("$", "`", "\\", "\n"):
                self._at += 1
                character = "" if self._text[self._at] == "\n" else self._text[self._at]
            parts.append(Part("text", character, True))
            self._at += 1
        return parts

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
            end = self._text.find("`", self._at + 1)
            if end < 0:
                raise Incomplete("unexpected EOF while looking for matching ``'")
            text, self._at = self._text[self._at + 1 : end], end + 1
            return Part("command", text, quoted)
        if self._text.startswith("$((", self._at):
            return self._arithmetic(quoted)
        if rest == "(":
            return self._substitution(quoted)
        if rest == "{":
            return self._parameter(quoted)
        name_match = _NAME.match(self._text, self._at + 1)
        if name_match or (rest and rest in "?#@*$0123456789"):
            name = name_match[0] if name_match else rest
            self._at += 1 + len(name)
            return Part("variable", name, quoted)
        if rest and rest in "!-":
            raise refuse(f"${rest}")
        self._at += 1
        return Part("text", "$", True)

    def _parameter(self, quoted: bool) -> Part:
        """${NAME}, and with an operator and its word."""
        start, depth = self._at + 2, 1
        self._at = start
        while depth:
            if self._at >= len(self._text):
                raise Incomplete("unexpected EOF while looking for matching `}'")
            depth += {"{": 1, "}": -1}.get(self._text[self._at], 0)
            self._at += 1
        text = self._text[start : self._at - 1]
        matched = _PARAMETER.fullmatch(text)
        if matched is None or (matched[1] and matched[3]):
            raise refuse(f"${{{text}}}: of ${{ … }} it has NAME, #NAME, and NAME with - = + ? # %")
        operator, word = matched[3] or matched[1] or "", _unquoted(matched[4] or "")
        return Part("variable", matched[2], quoted, operator, tuple(_Reader(word).document()) if word else ())

    def _arithmetic(self, quoted: bool) -> Part:
        start, depth = self._at + 3, 2
        self._at = start
        while depth:
            if self._at >= len(self._text):
                raise Incomplete("unexpected EOF while looking for matching `)'")
            depth += {"(": 1, ")": -1}.get(self._text[self._at], 0)
            self._at += 1
        text = self._text[start : self._at - 2]
        if not re.fullmatch(r"[\w\s+\-*/%()<>=!$]*", text):
            raise refuse("arithmetic other than + - * / % ( ) and comparisons")
        return Part("arithmetic", text, quoted)

    def _substitution(self, quoted: bool) -> Part:
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


def _unquoted(text: str) -> str:
    """The word of ${NAME:-"word"} without quotes around all of it."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _checked(parts: Word) -> Word:
    """Resolve a leading ~."""
    plain = "".join(part.text if part.kind == "text" and not part.quoted else "\0" for part in parts)
    if plain == "~" or plain.startswith("~/"):
        return [Part("variable", "HOME", True), Part("text", parts[0].text[1:], True), *parts[1:]]
    if plain.startswith("~"):
        raise refuse("~user")
    return parts


def _braces(word: Word) -> list[Word]:
    """The words that {a,b} and {1..3} stand for."""
    done: list[Word] = []
    waiting = [word]
    while waiting:
        current = waiting.pop(0)
        for number, part in enumerate(current):
            found = _BRACES.search(part.text) if part.kind == "text" and not part.quoted else None
            if found is None:
                continue
            first, dots, last = found[1].partition("..")
            values = found[1].split(",")
            if dots and "," not in found[1]:
                step = 1 if int(first) <= int(last) else -1
                if abs(int(last) - int(first)) >= MAX_BRACES:
                    raise refuse(f"more than {MAX_BRACES} words of {found[0]}")
                values = [str(value) for value in range(int(first), int(last) + step, step)]
            texts = [part.text[: found.start()] + value + part.text[found.end() :] for value in values]
            waiting[:0] = [[*current[:number], Part("text", text, False), *current[number + 1 :]] for text in texts]
            break
        else:
            done.append(current)
        if len(done) + len(waiting) > MAX_BRACES:
            raise refuse(f"more than {MAX_BRACES} words of braces")
    return done


def parse(text: str) -> Script:
    """The and-or lists of a script."""
    return _Parser([*_Reader(text).tokens(), "\n"]).whole()


class _Parser:
    """Makes commands of tokens."""

    def __init__(self, tokens: list[str | Word]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Script:
        script = self._script()
        if self._at < len(self._tokens):
            raise _unexpected(self._shown())
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
            raise _unexpected(self._shown())
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
                raise refuse("background jobs (&)") if token == "&" else _unexpected(token)

    def _required(self) -> Script:
        script = self._script()
        if not script:
            if self._peek() is None:
                raise Incomplete("unexpected end of file")
            raise _unexpected(self._shown())
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
        if not _NAME.fullmatch(text):
            raise SyntaxRefused(f"`{text}': not a valid identifier")
        self._at += 1
        words: list[Word] | None = None
        self._blank()
        token = self._peek()
        if isinstance(token, list) and token == [Part("text", "in", False)]:
            self._at += 1
            words = []
            while isinstance(token := self._peek(), list):
                words += _braces(token)
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
            raise _unexpected(self._keyword())
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
            raise _unexpected(self._shown())
        return command

    def _redirected(self, redirections: list[Redirection]) -> bool:
        """Take a redirection, where one comes next."""
        token = self._peek()
        if not isinstance(token, str) or not _REDIRECTION.fullmatch(token):
            return False
        self._at += 1
        target = self._peek()
        if not isinstance(target, list):
            raise _unexpected(self._shown() if target is not None else "\n")
        self._at += 1
        redirections.append(_redirection(token, target))
        return True


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
    command.words += _braces(word)


def _redirection(token: str, target: Word) -> Redirection:
    digits = token[: len(token) - len(token.lstrip("0123456789"))]
    operator = token[len(digits) :]
    if operator not in (">", ">>", "<", "<<", "<<<", ">&", "&>", "&>>"):
        raise refuse(f"{operator} redirection")
    return Redirection(int(digits or (0 if operator.startswith("<") else 1)), operator, target)
