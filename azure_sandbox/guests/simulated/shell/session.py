"""A session of the shell: lines that are read and run one by one, with prompts and completion where there is a terminal."""

from __future__ import annotations

import re

from ..control import Interrupted
from ..disk import DiskError
from ..program import PROGRAMS, is_there
from .builtins import NAMES
from .commands import Incomplete, SyntaxRefused
from .interpreter import Interpreter
from .state import Exit


class Session:
    """One shell that reads its standard input."""

    def __init__(self, shell: Interpreter) -> None:
        self._shell, self._state = shell, shell.state

    def interact(self, *, login: bool = False) -> int:
        """Run standard input line by line, with prompts where it is a terminal."""
        outer = self._state.process.control.complete
        self._state.process.control.complete = self._completions
        try:
            status = self._read_lines()
        finally:
            self._state.process.control.complete = outer
        if self._state.process.terminal:
            self._state.process.print("logout" if login else "exit")
        return status

    def _completions(self, text: str) -> list[str]:
        """What the last word of a line may become: a program's name where it is the first one of a command, or a file's."""
        before, word = re.split(r"^(.*[\s|;&<>(])?", text, maxsplit=1)[1:]
        words = re.split(r"[|;&(]", before or "")[-1].split()
        if "/" not in word and (not words or words in (["sudo"], ["which"], ["type"])):
            there = {name for name, found in PROGRAMS.items() if is_there(self._state.process.disk, found)}
            return sorted(name for name in there | set(NAMES) if name.startswith(word))
        folder, slash, start = word.rpartition("/")
        process = self._state.process
        path = process.path((folder.replace("~", process.user.home, 1) if folder[:1] == "~" else folder) + slash or ".")
        try:
            names = process.disk.names(path, process.user)
        except DiskError:
            return []
        found = []
        for name in names:
            if name.startswith(start) and (name[0] != "." or start):
                node = process.disk.stat(f"{path.rstrip('/')}/{name}", process.user)
                found.append(f"{folder}{slash}{name}{'/' if node is not None and 'content' not in node else ''}")
        return found

    def _read_lines(self) -> int:
        pending = ""
        while True:
            try:
                if self._state.process.terminal:
                    self._state.process.control.prompt = "> " if pending else self._prompt()
                    self._state.process.stdout(self._state.process.control.prompt)
                line = self._state.process.stdin.readline()
                if line.strip() and self._state.process.terminal:
                    self._state.process.control.history.append(line.rstrip("\n"))
                if not line:
                    return self._shell.main(pending) if pending else self._state.status
                pending += line
                self._shell.run(pending)
                pending = ""
            except Incomplete:
                continue
            except Exit as ended:
                return ended.status
            except SyntaxRefused as refused:
                self._state.complain(str(refused))
                self._state.status, pending = 2, ""
            except Interrupted:
                if not self._state.process.terminal:
                    raise
                self._state.process.control.interrupt.clear()
                self._state.process.print()
                self._state.status, pending = 130, ""

    def _prompt(self) -> str:
        process = self._state.process
        folder = process.directory
        if folder == process.user.home or folder.startswith(process.user.home + "/"):
            folder = "~" + folder[len(process.user.home) :]
        sign = "#" if process.user.is_root else "$"
        return f"{process.user.name}@{process.disk.machine.computer_name}:{folder}{sign} "
