"""Programs for text: cat, cut, head, tail, wc, grep, sed, sort, uniq, tr, base64, printf, xargs, seq."""

from __future__ import annotations

import base64
import binascii
import itertools
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .disk import DiskError
from .program import Failure, Process, UnknownProgram, Unsupported, program


def texts(process: Process, names: list[str]) -> Iterator[tuple[str, str]]:
    """The files that are named, or standard input, and their texts; what cannot be read is said, and left out."""
    for name in names or ["-"]:
        if name == "-":
            yield name, process.stdin.read()
            continue
        try:
            yield name, process.disk.read(process.path(name), process.user)
        except DiskError as error:
            process.failed = True
            process.warn(f"{process.name}: {_unreadable(process.name, name, str(error))}")


def _unreadable(program: str, name: str, reason: str) -> str:
    if program in ("head", "tail"):
        return (
            f"cannot open '{name}' for reading: {reason}"
            if reason != "Is a directory"
            else f"error reading '{name}': {reason}"
        )
    if program == "sed":
        return (
            f"can't read {name}: {reason}"
            if reason != "Is a directory"
            else f"couldn't edit {name}: not a regular file"
        )
    if program == "sort":
        return f"cannot read: {name}: {reason}"
    return f"{name}: {reason}"


def _lines(text: str) -> list[str]:
    """Lines without their ends; only a line feed ends one."""
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _usage(process: Process, message: str, status: int = 1) -> Failure:
    return Failure(f"{process.name}: {message}\nTry '{process.name} --help' for more information.", status)


def _short(pairs: list[tuple[str, str]], **long: str) -> list[tuple[str, str]]:
    """Options by their letters."""
    return [
        (long.get(name[2:].replace("-", "_"), name[1:]) if name[:2] == "--" else name[1:], value)
        for name, value in pairs
    ]


def _status(process: Process) -> int:
    return int(process.failed)


@program("cat")
def _cat(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "nu", ["number"])
    numbered = any(name != "-u" for name, _ in pairs)
    count = itertools.count(1)
    for _, text in texts(process, names):
        process.stdout(
            "".join(f"{next(count):>6}\t{line}" for line in text.splitlines(keepends=True)) if numbered else text
        )
    return _status(process)


@program("tac")
def _tac(process: Process, arguments: list[str]) -> int:
    for _, text in texts(process, process.options(arguments)[1]):
        process.stdout("".join(reversed(text.splitlines(keepends=True))))
    return _status(process)


@program("head", "tail")
def _head(process: Process, arguments: list[str]) -> int:
    if arguments and re.fullmatch(r"-\d+", arguments[0]):
        arguments = ["-n", arguments[0][1:], *arguments[1:]]
    pairs, names = process.options(arguments, "n:c:qv", ["lines=", "bytes=", "quiet", "silent", "verbose"])
    options = dict(_short(pairs, lines="n", bytes="c", quiet="q", silent="q", verbose="v"))
    by_bytes, count = ("c" in options), options.get("c", options.get("n", "10"))
    if not re.fullmatch(r"[-+]?\d+", count):
        raise Failure(f"{process.name}: invalid number of {'bytes' if by_bytes else 'lines'}: ‘{count}’")
    titled = "v" in options or (len(names) > 1 and "q" not in options)
    for number, (name, text) in enumerate(texts(process, names)):
        if titled:
            process.print(f"{chr(10) if number else ''}==> {'standard input' if name == '-' else name} <==")
        data = text.encode("utf-8", "surrogateescape")
        pieces: list[bytes] = (
            [data[i : i + 1] for i in range(len(data))] if by_bytes else data.splitlines(keepends=True)
        )
        process.stdout(b"".join(_part_of(process.name, pieces, count)).decode("utf-8", "surrogateescape"))
    return _status(process)


def _part_of(name: str, pieces: list[bytes], count: str) -> list[bytes]:
    number = abs(int(count))
    if name == "head":
        return pieces[: max(0, len(pieces) - number)] if count[0] == "-" else pieces[:number]
    return pieces[max(0, number - 1) :] if count[0] == "+" else pieces[max(0, len(pieces) - number) :]


@program("cut")
def _cut(process: Process, arguments: list[str]) -> int:
    names = ["only-delimited", "delimiter=", "fields=", "characters=", "bytes=", "complement", "output-delimiter="]
    pairs, operands = process.options(arguments, "sd:f:c:b:n", names)
    long = {"only_delimited": "s", "delimiter": "d", "fields": "f", "characters": "c", "bytes": "b"}
    options = dict(_short(pairs, **long, complement="C", output_delimiter="o"))
    kinds = [kind for kind in "fcb" if kind in options]
    if len(kinds) != 1:
        text = "only one list may be specified" if kinds else "you must specify a list of bytes, characters, or fields"
        raise _usage(process, text)
    kind = kinds[0]
    delimiter = options.get("d", "\t")
    if "d" in options and kind != "f":
        raise _usage(process, "an input delimiter may be specified only\n\twhen operating on fields")
    if len(delimiter) != 1:
        raise _usage(process, "the delimiter must be a single character")
    wanted = _ranges(process, options[kind], kind)
    between = options.get("o", delimiter if kind == "f" else "")
    for _, text in texts(process, operands):
        for line in _lines(text):
            # As GNU's cut, -c counts bytes.
            pieces = (
                line.split(delimiter)
                if kind == "f"
                else [chr(byte) for byte in line.encode("utf-8", "surrogateescape")]
            )
            if kind == "f" and len(pieces) == 1:
                if "s" not in options:
                    process.print(line)
                continue
            chosen = [piece for number, piece in enumerate(pieces, 1) if wanted(number) != ("C" in options)]
            joined = between.join(chosen)
            process.print(joined if kind == "f" else joined.encode("latin-1").decode("utf-8", "surrogateescape"))
    return _status(process)


def _ranges(process: Process, text: str, kind: str) -> Callable[[int], bool]:
    """The numbers of a list such as 1,3-5,7-."""
    ranges = []
    what = "field" if kind == "f" else "byte/character position"
    for entry in text.split(","):
        matched = re.fullmatch(r"(\d*)(-?)(\d*)", entry)
        if matched is None or entry in ("", "-"):
            if entry == "-":
                raise _usage(process, "invalid range with no endpoint: -")
            if entry == "":
                raise _usage(process, f"{what}s are numbered from 1")
            raise _usage(process, f"invalid {what.replace('position', 'position')} value ‘{entry}’")
        first, last = int(matched[1] or 1), int(matched[3]) if matched[3] else None
        if first == 0 or last == 0:
            raise _usage(
                process,
                f"{what}s are numbered from 1" if kind == "f" else "byte/character positions are numbered from 1",
            )
        last = last if matched[2] else first
        if last is not None and last < first:
            raise _usage(process, "invalid decreasing range")
        ranges.append((first, last))
    return lambda number: any(first <= number and (last is None or number <= last) for first, last in ranges)


@program("wc")
def _wc(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "lwcm", ["lines", "words", "bytes", "chars"])
    chosen = "".join(name for name, _ in _short(pairs, lines="l", words="w", bytes="c", chars="m")) or "lwc"
    rows = []
    for name, text in texts(process, names):
        size = len(text.encode("utf-8", "surrogateescape"))
        counts = {"l": text.count("\n"), "w": len(text.split()), "m": len(text), "c": size}
        rows.append((name if name != "-" or names else "", [counts[key] for key in "lwmc" if key in chosen]))
    if len(names) > 1:
        rows.append(("total", [sum(values) for values in zip(*(row[1] for row in rows), strict=True)]))
    # Columns are as wide as the size of the files; of standard input it is not known.
    alone = len(rows) == 1 and len(rows[0][1]) == 1
    sizes = (
        [len(text.encode("utf-8", "surrogateescape")) for _, text in texts(process, [n for n in names if n != "-"])]
        if names
        else []
    )
    width = 1 if alone else 7 if not names or "-" in names else len(str(sum(sizes)))
    for name, values in rows:
        process.print(" ".join(f"{value:>{width}}" for value in values) + (f" {name}" if name else ""))
    return _status(process)


# Regular expressions


_BRACKET = re.compile(r"\[(\^?)(\]?(?:\[:[a-z]+:\]|[^\]])*)\]")


def regular_expression(process: Process, pattern: str, *, extended: bool, flags: int = 0) -> re.Pattern[str]:
    """A POSIX regular expression as one of Python's."""
    classes = {
        "alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "space": r"\s", "upper": "A-Z", "lower": "a-z",
        "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f", "blank": r" \t",
    }  # fmt: skip
    out, at = [], 0
    while at < len(pattern):
        character = pattern[at]
        if character == "[":
            bracket = _BRACKET.match(pattern, at)
            if bracket is None:
                raise Failure(f"{process.name}: Unmatched [, [^, [:, [., or [=", 2)
            inside = re.sub(
                r"\[:([a-z]+):\]|([\[\]\\&|~])", lambda m: classes.get(m[1]) or f"\\{m[2] or ''}", bracket[2]
            )
            out.append(f"[{bracket[1]}{inside}]")
            at = bracket.end()
            continue
        if character == "\\" and at + 1 < len(pattern):
            following = pattern[at + 1]
            special = following in "(){}|+?"
            if special:
                out.append(f"\\{following}" if extended else following)
            elif following in "<>":
                out.append(r"\b")
            else:
                out.append(f"\\{following}")
            at += 2
            continue
        if not extended and character in "(){}|+?":
            out.append(f"\\{character}")
        elif not extended and character == "*" and not "".join(out).strip("^"):
            out.append("\\*")
        else:
            out.append(character)
        at += 1
    try:
        return re.compile("".join(out), flags)
    except re.error as error:
        raise Failure(f"{process.name}: {error}", 2) from error


@program("grep", "egrep", "fgrep")
def _grep(process: Process, arguments: list[str]) -> int:
    names = [
        "ignore-case",
        "quiet",
        "silent",
        "invert-match",
        "count",
        "fixed-strings",
        "extended-regexp",
        "only-matching",
    ]
    names += ["line-regexp", "word-regexp", "no-messages", "line-number", "no-filename", "with-filename", "regexp="]
    names += [
        "files-with-matches",
        "max-count=",
        "color=",
        "recursive",
        "after-context=",
        "before-context=",
        "context=",
    ]
    short = "qivcFEowxsnhHle:m:GA:B:C:"
    pairs, operands = process.options(arguments, short, names)
    letters = dict(zip((n.rstrip("=").replace("-", "_") for n in names), "iqqvcFEoxwsnhHelm~rABC", strict=True))
    flags = dict(_short(pairs, **letters))
    if "r" in flags:
        raise Unsupported("grep", "option --recursive")
    process.name = process.name if process.name == "grep" else _alias(process, flags)
    patterns = [value for name, value in _short(pairs, **letters) if name == "e"]
    if not patterns:
        if not operands:
            raise Failure("Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information.", 2)
        patterns = [operands.pop(0)]
    expressions = [_pattern(process, one, flags) for text in patterns for one in text.split("\n")]
    status, found_any = 0, False
    quiet = "s" in flags
    shown = process.stderr
    if quiet:
        process.stderr = lambda text: None
    prefixed = ("H" in flags or len(operands) > 1) and "h" not in flags
    for name, text in texts(process, operands):
        found_any |= _search(process, expressions, text, flags, name if name != "-" else "(standard input)", prefixed)
    process.stderr = shown
    status = 2 if process.failed else 0
    return 0 if found_any and (not status or "q" in flags) else status or 1


def _alias(process: Process, flags: dict[str, str]) -> str:
    flags["E" if process.name == "egrep" else "F"] = ""
    return "grep"


def _pattern(process: Process, text: str, flags: dict[str, str]) -> re.Pattern[str]:
    case = re.I if "i" in flags else 0
    if "F" in flags:
        expression = re.compile(re.escape(text), case)
    else:
        expression = regular_expression(process, text, extended="E" in flags, flags=case)
    if "w" in flags:
        return re.compile(rf"(?<!\w)(?:{expression.pattern})(?!\w)", case)
    return re.compile(rf"^(?:{expression.pattern})$", case) if "x" in flags else expression


def _search(
    process: Process, expressions: list[re.Pattern[str]], text: str, flags: dict[str, str], name: str, prefixed: bool
) -> bool:
    limit = int(flags["m"]) if flags.get("m", "").isdigit() else -1
    lines = _lines(text)
    hits: list[int] = []
    for number, line in enumerate(lines):
        if limit == len(hits):
            break
        if any(expression.search(line) for expression in expressions) != ("v" in flags):
            hits.append(number)
    if "q" in flags:
        return bool(hits)
    if "c" in flags:
        process.print((f"{name}:" if prefixed else "") + str(len(hits)))
        return bool(hits)
    if "l" in flags:
        if hits:
            process.print(name)
        return bool(hits)
    around = [int(flags.get(letter, flags.get("C", "0")) or 0) for letter in "BA"]
    last = -1
    for number in sorted(
        {n for hit in hits for n in range(max(0, hit - around[0]), min(len(lines), hit + around[1] + 1))}
    ):
        if any(around) and last >= 0 and number > last + 1:
            process.print("--")
        last = number
        mark = ":" if number in hits else "-"
        head = (f"{name}{mark}" if prefixed else "") + (f"{number + 1}{mark}" if "n" in flags else "")
        if "o" not in flags:
            process.print(head + lines[number])
        elif "v" not in flags:
            found = sorted((m.start(), m[0]) for e in expressions for m in e.finditer(lines[number]) if m[0])
            process.stdout("".join(f"{head}{match}\n" for _, match in found))
    return bool(hits)


# sed


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
    options = _short(pairs, quiet="n", silent="n", regexp_extended="E", expression="e", in_place="i")
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


# Order, characters, numbers


@program("sort")
def _sort(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(
        arguments,
        "nrufk:t:bVs",
        ["numeric-sort", "reverse", "unique", "ignore-case", "key=", "field-separator=", "version-sort"],
    )
    long = {"numeric_sort": "n", "reverse": "r", "unique": "u", "ignore_case": "f", "key": "k", "field_separator": "t"}
    given = _short(pairs, **long, version_sort="V")
    options, keys = dict(given), [value for name, value in given if name == "k"]
    lines = [line for _, text in texts(process, names) for line in _lines(text)]

    def key_of(line: str) -> list[object]:
        return [_sort_key(process, line, key, options) for key in keys or [""]]

    ordered = sorted(lines) if "s" not in options and "u" not in options else lines
    ordered = sorted(ordered, key=key_of)
    if "r" in options:
        ordered = sorted(sorted(lines, reverse=True), key=key_of, reverse=True) if "s" not in options else ordered[::-1]
    if "u" in options:
        ordered = [next(group) for _, group in itertools.groupby(ordered, key_of)]
    process.stdout("".join(f"{line}\n" for line in ordered))
    return 2 if process.failed else 0


def _sort_key(process: Process, line: str, key: str, options: dict[str, str]) -> object:
    letters = set(options)
    if key:
        matched = re.fullmatch(r"(\d+)([nfr]*)(?:,(\d+)([nfr]*))?", key)
        if matched is None or "r" in f"{matched[2]}{matched[4]}":
            raise Unsupported("sort", f"key {key}: it has N, N,N, and n and f behind them")
        letters |= set(f"{matched[2]}{matched[4] or ''}")
        first, last = int(matched[1]) - 1, int(matched[3]) if matched[3] else None
        separator = options.get("t")
        fields = line.split(separator) if separator else re.findall(r"\s*\S+", line)
        line = (separator or "").join(fields[first:last])
    if "V" in letters:
        return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", line)]
    if "n" in letters:
        found = re.match(r"\s*(-?\d*\.?\d+)", line)
        return float(found[1]) if found else 0.0
    return line.upper() if "f" in letters else line


@program("uniq")
def _uniq(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "cdui", ["count", "repeated", "unique", "ignore-case"])
    flags = {name for name, _ in _short(pairs, count="c", repeated="d", unique="u", ignore_case="i")}
    if len(names) > 1:
        raise Unsupported("uniq", "output file")
    for _, text in texts(process, names):
        for _, group in itertools.groupby(_lines(text), str.lower if "i" in flags else None):
            lines = list(group)
            if (len(lines) > 1 and "u" in flags) or (len(lines) == 1 and "d" in flags):
                continue
            process.print(f"{len(lines):>7} {lines[0]}" if "c" in flags else lines[0])
    return _status(process)


@program("tr")
def _tr(process: Process, arguments: list[str]) -> int:
    pairs, sets = process.options(arguments, "dscC", ["delete", "squeeze-repeats", "complement"], anywhere=False)
    flags = {name.lower() for name, _ in _short(pairs, delete="d", squeeze_repeats="s", complement="c")}
    if not sets:
        raise _usage(process, "missing operand")
    if len(sets) == 1 and not flags & {"d", "s"}:
        raise _usage(process, f"missing operand after ‘{sets[0]}’\nTwo strings must be given when translating.")
    if len(sets) > (1 if "d" in flags and "s" not in flags else 2):
        raise _usage(process, f"extra operand ‘{sets[1 if flags == {'d'} else 2]}’")
    first, second = _set(process, sets[0]), _set(process, sets[1]) if len(sets) > 1 else ""
    text = process.stdin.read()

    def chosen(character: str) -> bool:
        return (character in first) != ("c" in flags)

    if "d" in flags:
        text = "".join(character for character in text if not chosen(character))
    elif second:
        padded = second + second[-1] * (len(first) - len(second))
        table = dict(zip(reversed(first), reversed(padded[: len(first)]), strict=True))
        text = "".join((second[-1] if "c" in flags else table[c]) if chosen(c) else c for c in text)
    if "s" in flags:
        squeezed = second or ""
        text = "".join(
            c
            for number, c in enumerate(text)
            if not (number and text[number - 1] == c and (c in squeezed if squeezed else chosen(c)))
        )
    process.stdout(text)
    return 0


def _set(process: Process, text: str) -> str:
    """The characters of a set of tr's."""
    ranges = {
        "lower": "abcdefghijklmnopqrstuvwxyz", "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "digit": "0123456789",
        "space": "\t\n\v\f\r ", "blank": "\t ", "punct": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    }  # fmt: skip
    ranges |= {"alpha": ranges["upper"] + ranges["lower"]}
    ranges |= {"alnum": ranges["digit"] + ranges["alpha"]}
    out, at = "", 0
    while at < len(text):
        named = re.compile(r"\[:([a-z]+):\]").match(text, at)
        if named:
            if named[1] not in ranges:
                raise Failure(f"tr: invalid character class ‘{named[1]}’")
            out, at = out + ranges[named[1]], named.end()
            continue
        character, at = _character(text, at)
        if text[at : at + 1] == "-" and at + 1 < len(text):
            last, at = _character(text, at + 1)
            if ord(last) < ord(character):
                raise Failure(f"tr: range-endpoints of ‘{character}-{last}’ are in reverse collating sequence order")
            out += "".join(map(chr, range(ord(character), ord(last) + 1)))
        else:
            out += character
    return out


def _character(text: str, at: int) -> tuple[str, int]:
    if text[at] != "\\" or at + 1 >= len(text):
        return text[at], at + 1
    octal = re.compile(r"[0-7]{1,3}").match(text, at + 1)
    if octal:
        return chr(int(octal[0], 8)), octal.end()
    return _ESCAPES.get(text[at + 1], text[at + 1]), at + 2


_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "\\": "\\",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "0": "\0",
}


@program("base64")
def _base64(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "diw:", ["decode", "ignore-garbage", "wrap="])
    options = dict(_short(pairs, decode="d", ignore_garbage="i", wrap="w"))
    width = options.get("w", "76")
    if not width.isdigit():
        raise Failure(f"base64: invalid wrap size: ‘{width}’")
    if len(names) > 1:
        raise _usage(process, f"extra operand ‘{names[1]}’")
    for _, text in texts(process, names):
        if "d" in options:
            _decode(process, re.sub("[^A-Za-z0-9+/=]" if "i" in options else "\n", "", text))
            continue
        encoded = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        if width == "0":
            process.stdout(encoded)
        else:
            process.stdout("".join(f"{encoded[i : i + int(width)]}\n" for i in range(0, len(encoded), int(width))))
    return _status(process)


def _decode(process: Process, text: str) -> None:
    """What can be decoded is written also where the rest cannot."""
    good = re.match(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text)
    assert good
    try:
        process.stdout(base64.b64decode(good[0]).decode("utf-8", "surrogateescape"))
    except binascii.Error as error:
        raise Failure("base64: invalid input") from error
    rest = text[good.end() :]
    if rest:
        whole = re.match("[A-Za-z0-9+/]*", rest)
        partial = whole[0] if whole else ""
        if len(partial) > 1:
            process.stdout(
                base64.b64decode(partial + "=" * (-len(partial) % 4))[: len(partial) * 6 // 8].decode(
                    "utf-8", "surrogateescape"
                )
            )
        raise Failure("base64: invalid input")


@program("seq")
def _seq(process: Process, arguments: list[str]) -> int:
    separator = "\n"
    if arguments and arguments[0].startswith("-s"):
        separator = arguments[0][2:] or "".join(arguments[1:2])
        arguments = arguments[1 if arguments[0][2:] else 2 :]
    for argument in arguments:
        if not re.fullmatch(r"-?\d+", argument):
            if argument.startswith("-") or re.fullmatch(r"-?\d*\.\d+", argument):
                raise Unsupported("seq", f"{argument}: it counts whole numbers")
            raise _usage(process, f"invalid floating point argument: ‘{argument}’")
    if not 1 <= len(arguments) <= 3:
        raise _usage(process, "missing operand" if not arguments else f"extra operand ‘{arguments[3]}’")
    numbers = [int(argument) for argument in arguments]
    first, step, last = (
        (1, 1, *numbers)[-3:]
        if len(numbers) == 1
        else (numbers[0], numbers[1] if len(numbers) == 3 else 1, numbers[-1])
    )
    if step == 0:
        raise _usage(process, "invalid Zero increment value: ‘0’")
    values = range(first, last + (1 if step > 0 else -1), step)
    if len(values) > 1_000_000:
        raise Unsupported("seq", "more than a million numbers")
    process.stdout(separator.join(map(str, values)) + "\n" if values else "")
    return 0


@program("basename", "dirname")
def _basename(process: Process, arguments: list[str]) -> int:
    _, names = process.options(arguments)
    if not names:
        raise _usage(process, "missing operand")
    if process.name == "dirname":
        for name in names:
            process.print(posixpath.dirname(name.rstrip("/") or "/") or ".")
        return 0
    if len(names) > 2:
        raise _usage(process, f"extra operand ‘{names[2]}’")
    base = posixpath.basename(names[0].rstrip("/")) or "/"
    end = names[1] if len(names) > 1 else ""
    process.print(base.removesuffix(end) if base != end else base)
    return 0


def unescape(text: str) -> str:
    """A text in which backslashes stand for characters."""
    return re.sub(r"\\(0?[0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)", _escaped, text, flags=re.S)


def _escaped(found: re.Match[str]) -> str:
    text = found[1]
    if text[0] in "01234567":
        return chr(int(text, 8) % 256)
    if text[0] == "x" and len(text) > 1:
        return chr(int(text[1:], 16))
    return _ESCAPES.get(text, text if text in "\"'" else f"\\{text}")


@program("echo")
def _echo(process: Process, arguments: list[str]) -> int:
    end, escapes = "\n", False
    while arguments and re.fullmatch("-[neE]+", arguments[0]):
        flags = arguments.pop(0)
        end = "" if "n" in flags else end
        escapes = "e" in flags or (escapes and "E" not in flags)
    text = " ".join(arguments)
    if escapes:
        text, stop, _ = text.partition("\\c")
        text, end = re.sub(r"\\([1-7])", r"\\\\\1", text), "" if stop else end
    process.stdout((unescape(text) if escapes else text) + end)
    return 0


_CONVERSION = re.compile(r"%(?:%|([-+ 0#]*)(\d*)(?:\.(\d*))?([a-zA-Z]))")


@program("printf")
def _printf(process: Process, arguments: list[str]) -> int:
    arguments = arguments[1:] if arguments[:1] == ["--"] else arguments
    if not arguments:
        raise Failure("printf: usage: printf [-v var] format [arguments]", 2)
    form, values = arguments[0], arguments[1:]
    if form == "-v":
        raise Unsupported("printf", "option -v")
    unknown = [found[4] for found in _CONVERSION.finditer(form) if found[4] and found[4] not in "sdiuxXocb"]
    if unknown or "%" in _CONVERSION.sub("", form):
        raise Unsupported("printf", f"conversion %{''.join(unknown[:1])}: it has %s %d %i %u %x %X %o %c %b %%")
    wanted = sum(1 for found in _CONVERSION.finditer(form) if found[4])
    status = 0
    while True:
        taken = iter(values[:wanted])
        out, at = "", 0
        for found in _CONVERSION.finditer(form):
            out += unescape(form[at : found.start()])
            at = found.end()
            if found[4]:
                text, good = _converted(process, found, next(taken, None))
                out, status = out + text, status if good else 1
            else:
                out += "%"
        process.stdout(out + unescape(form[at:]))
        values = values[wanted:]
        if not values or not wanted:
            return status


def _converted(process: Process, found: re.Match[str], value: str | None) -> tuple[str, bool]:
    flags, width, precision, kind = found[1], found[2], found[3], found[4]
    if kind in "scb":
        text = unescape(value or "") if kind == "b" else (value or "")[: 1 if kind == "c" else None]
        text = text[: int(precision or 0)] if precision is not None else text
        return (text.ljust if "-" in flags else text.rjust)(int(width or 0)), True
    matched = re.fullmatch(r"\s*([+-]?(?:0[xX][0-9a-fA-F]+|\d+))(.*)", value or "0", re.S)
    if value and value[0] in "'\"" and len(value) > 1:
        number, good = ord(value[1]), True
    else:
        good = matched is not None and not matched[2]
        number = _integer(matched[1]) if matched else 0
    if not good:
        process.warn(f"bash: printf: {value}: invalid number")
    sign = "".join(x for x in flags if x in "-+ 0#").replace("-", "<") or ""
    digits = f"{abs(number):{'d' if kind in 'iu' else kind}}".rjust(int(precision or 0), "0")
    text = ("-" if number < 0 else "+" if "+" in sign else " " if " " in sign else "") + digits
    if "<" in sign:
        return text.ljust(int(width or 0)), good
    return (text.zfill if "0" in sign and precision is None else text.rjust)(int(width or 0)), good


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    value = (
        int(digits, 16)
        if digits[:2].lower() == "0x"
        else int(digits, 8 if digits[0] == "0" and digits.strip("01234567") == "" else 10)
    )
    return -value if text[0] == "-" else value


@program("xargs")
def _xargs(process: Process, arguments: list[str]) -> int:
    pairs, words = process.options(arguments, "n:I:rt0d:", ["no-run-if-empty", "max-args=", "null"], anywhere=False)
    options = dict(_short(pairs, no_run_if_empty="r", max_args="n", null="0"))
    if options.keys() & {"0", "d", "t"}:
        raise Unsupported("xargs", f"option -{min(options.keys() & {'0', 'd', 't'})}")
    text = process.stdin.read()
    command = words or ["echo"]
    if "I" in options:
        lines = [
            [word.replace(options["I"], line.strip()) for word in command] for line in _lines(text) if line.strip()
        ]
    else:
        items = [re.sub(r"\\(.)|'([^']*)'|\"([^\"]*)\"", lambda m: m[1] or m[2] or m[3] or "", item)
                 for item in re.findall(r"(?:\\.|'[^']*'|\"[^\"]*\"|[^\s\\'\"])+", text)]  # fmt: skip
        count = int(options["n"]) if options.get("n", "").isdigit() else len(items) or 1
        lines = [[*command, *items[i : i + count]] for i in range(0, len(items), count)]
        lines = lines or ([] if "r" in options else [command])
    status = 0
    for line in lines:
        try:
            status = 123 if process.run(line) else status
        except UnknownProgram as unknown:
            raise Failure(f"xargs: {unknown.name}: No such file or directory", 127) from unknown
    return status
