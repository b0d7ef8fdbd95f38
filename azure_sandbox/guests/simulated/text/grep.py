"""grep, egrep and fgrep."""

from __future__ import annotations

import re

from ..program import Failure, Process, Unsupported, program
from .reading import by_letter, lines_of, texts
from .regular_expressions import regular_expression


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
    flags = dict(by_letter(pairs, **letters))
    if "r" in flags:
        raise Unsupported("grep", "option --recursive")
    process.name = process.name if process.name == "grep" else _alias(process, flags)
    patterns = [value for name, value in by_letter(pairs, **letters) if name == "e"]
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
    lines = lines_of(text)
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
