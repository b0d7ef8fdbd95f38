"""base64."""

from __future__ import annotations

import base64
import binascii
import re

from ..program import Failure, Process, program
from .reading import by_letter, exit_status, texts, usage


@program("base64")
def _base64(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "diw:", ["decode", "ignore-garbage", "wrap="])
    options = dict(by_letter(pairs, decode="d", ignore_garbage="i", wrap="w"))
    width = options.get("w", "76")
    if not width.isdigit():
        raise Failure(f"base64: invalid wrap size: ‘{width}’")
    if len(names) > 1:
        raise usage(process, f"extra operand ‘{names[1]}’")
    for _, text in texts(process, names):
        if "d" in options:
            _decode(process, re.sub("[^A-Za-z0-9+/=]" if "i" in options else "\n", "", text))
            continue
        encoded = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        if width == "0":
            process.stdout(encoded)
        else:
            process.stdout("".join(f"{encoded[i : i + int(width)]}\n" for i in range(0, len(encoded), int(width))))
    return exit_status(process)


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
