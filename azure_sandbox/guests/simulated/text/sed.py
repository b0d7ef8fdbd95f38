"""sed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..program import Failure, Process, Unsupported, program
from .reading import by_letter, texts
from .regular_expressions import regular_expression


@dataclass
class _SedCommand:
    first: str | re.Pattern[str]
    last: str | re.Pattern[str]
    negated: bool
    name: str
    expression: re.Pattern[str] | None = None
    replacement: str = ""
    flags: str = ""
    active: bool = False


@program("sed")
def _sed(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(
        arguments, "nEre:i", ["quiet", "silent", "regexp-extended", "expression=", "in-place"]
    )
    options = by_letter(pairs, quiet="n", silent="n", regexp_extended="E", expression="e", in_place="i")
    letters = {name for name, _ in options}
    scripts = [value for name, value in options if name == "e"] or operands[:1]
    if not scripts:
        raise Failure("Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...", 1)
    files = operands if "e" in letters else operands[1:]
    commands = [c for script in scripts for c in _sed_script(process, script, extended=bool(letters & {"E", "r"}))]
    if "i" in letters:
        for name, text in texts(process, files):
            process.write_file(name, _sed_run(commands, text, quiet="n" in letters))
    else:
        text = "".join(text for _, text in texts(process, files))
        process.stdout(_sed_run(commands, text, quiet="n" in letters))
    return 2 if process.failed else 0


def _sed_script(process: Process, script: str, *, extended: bool) -> list[_SedCommand]:
    commands, rest = [], script
    while rest := rest.lstrip(" \t\n;"):
        first, rest = _address(process, rest, extended)
        last: str | re.Pattern[str] = ""
        if first != "" and rest.startswith(","):
            last, rest = _address(process, rest[1:], extended)
        rest = rest.lstrip()
        negated = rest.startswith("!")
        rest = rest[negated:].lstrip()
        command = _SedCommand(first, last, negated, rest[:1])
        rest = rest[1:]
        if command.name == "s":
            rest = _substitution(process, command, rest, extended, len(script))
        elif command.name not in ("p", "d", "q"):
            raise Unsupported("sed", f"command {command.name or 'without a name'}: it has s, p, d and q")
        if rest.lstrip(" \t")[:1] not in ("", ";", "\n"):
            raise Failure(f"sed: -e expression #1, char {len(script) - len(rest) + 1}: extra characters after command")
        commands.append(command)
    return commands


def _address(process: Process, text: str, extended: bool) -> tuple[str | re.Pattern[str], str]:
    matched = re.match(r"\d+|\$", text)
    if matched:
        return matched[0], text[matched.end() :]
    matched = re.match(r"/((?:\\.|[^/\\])*)/", text)
    if matched:
        return regular_expression(process, matched[1].replace("\\/", "/"), extended=extended), text[matched.end() :]
    return "", text


def _substitution(process: Process, command: _SedCommand, text: str, extended: bool, end: int) -> str:
    mark = re.escape(text[:1])
    matched = (
        re.match(rf"{mark}((?:\\.|(?!{mark}).)*){mark}((?:\\.|(?!{mark}).)*){mark}([gpIi0-9]*)", text, re.S)
        if mark
        else None
    )
    if matched is None:
        raise Failure(f"sed: -e expression #1, char {end}: unterminated `s' command")
    pattern, command.replacement, command.flags = matched[1], matched[2].replace(f"\\{text[0]}", text[0]), matched[3]
    pattern = pattern.replace(f"\\{text[0]}", text[0]) if text[0] not in "(){}|+?" else pattern
    case = re.I if set(command.flags) & set("iI") else 0
    command.expression = regular_expression(process, pattern, extended=extended, flags=case)
    return text[matched.end() :]


def _sed_run(commands: list[_SedCommand], text: str, *, quiet: bool) -> str:
    lines = text.splitlines(keepends=True)
    output: list[str] = []
    for number, whole in enumerate(lines, 1):
        line, end = (whole[:-1], "\n") if whole.endswith("\n") else (whole, "")
        deleted = ended = False
        for command in commands:
            if _selected(command, line, number, len(lines)) == command.negated:
                continue
            if command.name == "d":
                deleted = True
                break
            if command.name == "q":
                ended = True
                break
            if command.name == "p":
                output.append(line + end)
            elif command.expression is not None:
                line, count = _substituted(command, line)
                if count and "p" in command.flags:
                    output.append(line + end)
        if not deleted and not quiet:
            output.append(line + end)
        if ended:
            break
    return "".join(output)


def _selected(command: _SedCommand, line: str, number: int, count: int) -> bool:
    def matches(address: str | re.Pattern[str]) -> bool:
        if isinstance(address, re.Pattern):
            return address.search(line) is not None
        return number == (count if address == "$" else int(address))

    if command.first == "":
        return True
    if command.last == "":
        return matches(command.first)
    if command.active:
        command.active = not matches(command.last)
        return True
    if not matches(command.first):
        return False
    last = command.last
    command.active = isinstance(last, re.Pattern) or last == "$" or int(last) > number
    return True


def _substituted(command: _SedCommand, line: str) -> tuple[str, int]:
    def replaced(found: re.Match[str]) -> str:
        def one(piece: re.Match[str]) -> str:
            if piece[0] == "&":
                return found[0]
            letter = piece[0][1]
            return found[int(letter)] or "" if letter.isdigit() else {"n": "\n", "t": "\t"}.get(letter, letter)

        return re.sub(r"\\.|&", one, command.replacement, flags=re.S)

    assert command.expression
    wanted = int("".join(filter(str.isdigit, command.flags)) or 1)
    if "g" in command.flags:
        return command.expression.subn(replaced, line)
    for count, found in enumerate(command.expression.finditer(line), 1):
        if count == wanted:
            return line[: found.start()] + replaced(found) + line[found.end() :], 1
    return line, 0
