"""The keys of a terminal on a simulated machine that asyncssh's line editor does not have as a shell's user expects them."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from .control import Control
from .program import Input

Edited = tuple[str, int] | bool
_CLEAR = "\n\x1b[2J\x1b[H\x1b[m"  # the editor counts columns from a line's beginning, and past what ends in m
_SHOWN = 200  # words that Tab shows


class Terminal:
    """One session's terminal: its line editor, the program's control, and what is typed."""

    def __init__(self, channel: Any, control: Control, stdin: Input) -> None:
        self._channel, self._control, self._stdin = channel, control, stdin
        self._visible = True
        self._searched, self._found, self._position = "", "", 0
        self._listed = ""
        for key, handler in {
            "\x03": self._interrupt,
            "\x09": self._complete,
            "\x0c": self._clear,
            "\x12": self._search,
            "\x15": self._erase_to_start,
            "\x17": self._erase_word,
            "\x1bb": self._word_left,
            "\x1bf": self._word_right,
        }.items():
            channel.register_key(key, handler)

    def set_echo(self, visible: bool) -> None:
        """Show what is typed, or not."""
        self._visible = visible
        self._channel.set_echo(visible)

    def _interrupt(self, line: str, position: int) -> Edited:
        """Ctrl-C: what is typed stays on the screen and is not used; a program that runs ends."""
        self._channel.clear_input()
        self._channel.write(f"{line if self._visible else ''}^C")
        self._stdin.clear()
        self._control.interrupt.set()
        self._stdin.wake()
        return "", 0

    def _clear(self, line: str, position: int) -> Edited:
        self._channel.write(f"{_CLEAR}{self._control.prompt}")
        return line, position

    @staticmethod
    def _erase_to_start(line: str, position: int) -> Edited:
        return line[position:], 0

    @staticmethod
    def _erase_word(line: str, position: int) -> Edited:
        start = len(re.sub(r"\S+\s*$", "", line[:position])) if line[:position].strip() else 0
        return line[:start] + line[position:], start

    @staticmethod
    def _word_left(line: str, position: int) -> Edited:
        return line, len(re.sub(r"\w+\W*$", "", line[:position]))

    @staticmethod
    def _word_right(line: str, position: int) -> Edited:
        matched = re.compile(r"\W*\w*").match(line, position)
        return line, matched.end() if matched else position

    def _search(self, line: str, position: int) -> Edited:
        """Ctrl-R: the newest line that has what is typed in it; again, an older one."""
        if line != self._found or not self._found:
            self._searched, self._position = line, len(self._control.history)
        for number in reversed(range(self._position)):
            if self._searched in self._control.history[number] and self._control.history[number] != line:
                self._position, self._found = number, self._control.history[number]
                return self._found, len(self._found)
        return False

    def _complete(self, line: str, position: int) -> Edited:
        """Tab: complete a word as far as it is certain; a second time, show what it may become."""
        typed, rest = line[:position], line[position:]
        words = self._control.complete(typed)
        word = re.split(r"[\s|;&<>(]", typed)[-1]
        common = posixpath.commonprefix(words)
        if len(words) == 1:
            common += "" if common.endswith("/") else " "
        if words and len(common) > len(word):
            typed = typed[: len(typed) - len(word)] + common
            self._listed = typed + rest if len(words) > 1 else ""
            return typed + rest, len(typed)
        if not words or self._listed != line:
            self._listed = line
            return False
        names = [word.rstrip("/").rpartition("/")[2] + ("/" if word.endswith("/") else "") for word in words]
        more = [f"… {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
        self._channel.clear_input()
        self._channel.write(f"{line}\n{'  '.join(names[:_SHOWN] + more)}\n{self._control.prompt}")
        return line, position
