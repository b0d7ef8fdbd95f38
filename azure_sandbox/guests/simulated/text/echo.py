"""echo and printf."""

from __future__ import annotations

import re

from ..program import Failure, Process, Unsupported, program
from .escapes import unescape


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
