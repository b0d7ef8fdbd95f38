"""The lexer of the simulated guest's shell: a text becomes operators and words."""

from __future__ import annotations

import re

from .commands import MAX_NESTED, NAME, Incomplete, Part, Word, refuse, unexpected

_OPERATOR = re.compile(r"&&|\|\||;;|\|&|&>>|&>|(?:\d*)(?:<<<|<<|>>|>&|<&|<>|>\||>|<)|[;&|()\n]")
_BRACES = re.compile(r"\{((?:[^{},]*,)+[^{},]*|-?\d+\.\.-?\d+)\}")
_PARAMETER = re.compile(r"(#)?([A-Za-z_][A-Za-z0-9_]*|[?#@*$]|\d+)(?:(:?[-=+?]|%%?|##?)(.*))?", re.S)
MAX_BRACES = 10_000  # words that {1..9} makes


class Lexer:
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
                raise unexpected("\n")
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
            found[position] = [Part("text", text, True)] if quoted else Lexer(text).document()
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
        name_match = NAME.match(self._text, self._at + 1)
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
        return Part("variable", matched[2], quoted, operator, tuple(Lexer(word).document()) if word else ())

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


def braces(word: Word) -> list[Word]:
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
