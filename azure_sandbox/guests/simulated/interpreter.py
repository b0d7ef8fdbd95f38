"""The interpreter of the simulated guest's shell: runs what syntax.py has parsed, as bash or, by the name sh, as dash."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .control import Interrupted
from .disk import DiskError
from .program import Failure, Input, Output, Process, UnknownProgram, Unsupported, find, program
from .syntax import Incomplete, Part, Pipeline, Redirection, SimpleCommand, SyntaxRefused, Word, parse

BUILTINS = ("cd", "command", "exit", "export", "set", "source", ".", ":", "type", "unset")
_NOT_IMPLEMENTED = frozenset(
    [
        "alias",
        "bg",
        "bind",
        "break",
        "builtin",
        "continue",
        "declare",
        "dirs",
        "disown",
        "eval",
        "exec",
        "fc",
        "fg",
        "getopts",
        "hash",
        "help",
        "history",
        "jobs",
        "let",
        "local",
        "logout",
        "mapfile",
        "popd",
        "pushd",
        "read",
        "readonly",
        "return",
        "shift",
        "shopt",
        "suspend",
        "times",
        "trap",
        "typeset",
        "ulimit",
        "umask",
        "unalias",
        "wait",
    ]
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Exit(Exception):
    """The script ends here."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Interpreter:
    """One shell: its variables, its folder and its options."""

    def __init__(self, process: Process, name: str = "bash", parameters: Sequence[str] = ()) -> None:
        self._process = process
        self._name = name
        self._parameters = [name, *parameters] if not parameters else list(parameters)
        self._variables = dict(process.environment)
        self._exported = set(process.environment)
        self._options: set[str] = set()
        self.status = 0

    def main(self, script: str) -> int:
        """Run a whole script; its exit status."""
        try:
            self._run(script)
        except Exit as ended:
            return ended.status
        except SyntaxRefused as refused:
            self._complain(str(refused))
            return 2
        return self.status

    def interact(self) -> int:
        """Run standard input line by line, with prompts where it is a terminal."""
        pending = ""
        while True:
            try:
                if self._process.terminal:
                    self._process.stdout("> " if pending else self._prompt())
                line = self._process.stdin.readline()
                if not line:
                    return self.main(pending) if pending else self.status
                pending += line
                self._run(pending)
                pending = ""
            except Incomplete:
                continue
            except Exit as ended:
                return ended.status
            except SyntaxRefused as refused:
                self._complain(str(refused))
                self.status, pending = 2, ""
            except Interrupted:
                if not self._process.terminal:
                    raise
                self._process.control.interrupt.clear()
                self._process.print()
                self.status, pending = 130, ""

    def _prompt(self) -> str:
        process = self._process
        folder = process.directory
        if folder == process.user.home or folder.startswith(process.user.home + "/"):
            folder = "~" + folder[len(process.user.home) :]
        sign = "#" if process.user.is_root else "$"
        return f"{process.user.name}@{process.disk.machine.computer_name}:{folder}{sign} "

    def _complain(self, message: str) -> None:
        self._process.warn(f"{self._name}: {message}")

    def _run(self, script: str) -> None:
        for pipelines in parse(script):
            for number, pipeline in enumerate(pipelines):
                if (pipeline.joint == "&&") == (self.status != 0) and pipeline.joint:
                    continue
                self.status = self._pipeline(pipeline)
                if self._process.control.interrupt.is_set():
                    raise Interrupted
                if self.status and "e" in self._options and number == len(pipelines) - 1:
                    raise Exit(self.status)

    def _pipeline(self, pipeline: Pipeline) -> int:
        if len(pipeline.commands) == 1:
            return self._command(pipeline.commands[0], self._process)
        statuses = []
        process = self._process
        for command in pipeline.commands[:-1]:
            output: list[str] = []
            statuses.append(self._subshell(replace(process, stdout=output.append))._alone(command))
            process = replace(self._process, stdin=Input("".join(output)), terminal=False)
        statuses.append(self._subshell(process)._alone(pipeline.commands[-1]))
        failed = [status for status in statuses if status]
        return failed[-1] if failed and "pipefail" in self._options else statuses[-1]

    def _subshell(self, process: Process) -> Interpreter:
        shell = Interpreter(process, self._name, self._parameters)
        shell._variables, shell._exported = dict(self._variables), set(self._exported)
        shell._options, shell.status = set(self._options), self.status
        return shell

    def _alone(self, command: SimpleCommand) -> int:
        try:
            return self._command(command, self._process)
        except Exit as ended:
            return ended.status

    def _command(self, command: SimpleCommand, process: Process) -> int:
        written: list[tuple[str, list[str]]] = []
        self.status, before = 0, self.status
        try:
            # As in bash, what follows `export NAME=` stays one word.
            declares = command.words[:1] == [[Part("text", "export", False)]]
            words = [
                field
                for word in command.words
                for field in ([self._text(word, before)] if declares else self._fields(word, before))
            ]
            assigned = {name: self._text(word, before) for name, word in command.assignments}
            process = self._redirect(command.redirections, process, written, before)
            if not words:
                self._variables |= assigned
                return self.status  # of the last $( … )
            return self._execute(words, assigned, process)
        except Failure as failure:
            self._process.warn(failure)
            return failure.status
        finally:
            for path, text in written:
                process.disk.write(path, "".join(text), process.user, append=True)

    def _execute(self, words: list[str], assigned: dict[str, str], process: Process) -> int:
        name = words[0]
        try:
            if name in BUILTINS:
                return self._builtin(name, words[1:], process)
            if name in _NOT_IMPLEMENTED:
                raise Unsupported(self._name, f"{name} command")
            environment = {key: self._variables[key] for key in self._exported if key in self._variables} | assigned
            return replace(process, environment=environment, directory=self._process.directory).run(words)
        except UnknownProgram as unknown:
            process.warn(self._not_found(unknown, process))
            return 127
        except Failure as failure:
            process.warn(failure)
            return failure.status

    def _not_found(self, unknown: UnknownProgram, process: Process) -> str:
        name = unknown.name
        if unknown.real:
            return f"{name}: the simulated guest has no {name}"
        if "/" in name:
            node = process.disk.stat(process.path(name), process.user)
            reason = (
                "No such file or directory" if node is None else "the simulated guest runs no files; use: bash FILE"
            )
            return f"{self._name}: {name}: {reason}"
        return f"sh: 1: {name}: not found" if self._name == "sh" else f"{self._name}: {name}: command not found"

    # Expansion

    def _value(self, name: str, before: int) -> str:
        if name == "?":
            return str(before)
        if name.isdigit():
            return self._parameters[int(name)] if int(name) < len(self._parameters) else ""
        if name not in self._variables and "u" in self._options:
            self._complain(f"{name}: unbound variable")
            raise Exit(1)
        return self._variables.get(name, "")

    def _substitute(self, script: str) -> str:
        output: list[str] = []
        shell = self._subshell(replace(self._process, stdout=output.append, terminal=False))
        self.status = shell.main(script)
        return "".join(output).rstrip("\n")

    def _part(self, kind: str, text: str, before: int) -> str:
        if kind == "text":
            return text
        return self._value(text, before) if kind == "variable" else self._substitute(text)

    def _text(self, word: Word, before: int) -> str:
        """A word as one text."""
        return "".join(self._part(part.kind, part.text, before) for part in word)

    def _fields(self, word: Word, before: int) -> list[str]:
        """A word as fields: what comes from outside quotes is split at blanks."""
        fields: list[str] = []
        current: str | None = None
        for part in word:
            text = self._part(part.kind, part.text, before)
            if part.kind == "text" or part.quoted:
                current = (current or "") + text
                continue
            pieces = text.split()
            if text[:1].isspace() and current is not None:
                fields.append(current)
                current = None
            for number, piece in enumerate(pieces):
                current = (current or "") + piece
                if number < len(pieces) - 1 or text[-1:].isspace():
                    fields.append(current)
                    current = None
        return fields if current is None else [*fields, current]

    def _redirect(
        self, redirections: list[Redirection], process: Process, written: list[tuple[str, list[str]]], before: int
    ) -> Process:
        for redirection in redirections:
            target = self._text(redirection.target, before)
            if redirection.operator == "<":
                if redirection.descriptor != 0:
                    raise Unsupported(self._name, f"redirection of descriptor {redirection.descriptor}")
                process = replace(process, stdin=Input(self._in(process).read_file(target)), terminal=False)
                continue
            if redirection.operator == ">&":
                outputs = {"1": process.stdout, "2": process.stderr}
                if target not in outputs:
                    raise Unsupported(self._name, f">&{target}")
                output = outputs[target]
            else:
                output = self._open(target, process, written, append=redirection.operator.endswith(">>"))
            if redirection.operator.startswith("&"):
                process = replace(process, stdout=output, stderr=output)
            elif redirection.descriptor == 1:
                process = replace(process, stdout=output)
            elif redirection.descriptor == 2:
                process = replace(process, stderr=output)
            else:
                raise Unsupported(self._name, f"redirection of descriptor {redirection.descriptor}")
        return process

    def _in(self, process: Process) -> Process:
        """The process with the shell's own name and folder, so that paths and messages are the shell's."""
        return replace(process, name=self._name, directory=self._process.directory)

    def _open(self, target: str, process: Process, written: list[tuple[str, list[str]]], *, append: bool) -> Output:
        special = {"/dev/null": lambda text: None, "/dev/stdout": process.stdout, "/dev/stderr": process.stderr}
        if target in special:
            return special[target]
        shell = self._in(process)
        try:
            process.disk.write(shell.path(target), "", process.user, append=append)
        except DiskError as error:
            raise Failure(f"{self._name}: {target}: {error}") from error
        collected: list[str] = []
        written.append((shell.path(target), collected))
        return collected.append

    # Builtins

    def _builtin(self, name: str, arguments: list[str], process: Process) -> int:
        process = replace(self._in(process))
        if name == "cd":
            return self._cd(arguments, process)
        if name == "exit":
            raise Exit(int(arguments[0]) % 256 if arguments and arguments[0].isdigit() else self.status)
        if name in ("export", "unset", "set", "type") and not arguments:
            raise Unsupported(self._name, f"{name} without arguments")
        if name in ("export", "unset"):
            return self._export(arguments, keep=name == "export")
        if name == "set":
            return self._set(arguments)
        if name in ("source", "."):
            if len(arguments) != 1:
                raise Unsupported(self._name, f"{name} with arguments")
            self._run(process.read_file(arguments[0]))
            return self.status
        if name in ("command", "type"):
            return self._lookup(name, arguments, process)
        return 0

    def _cd(self, arguments: list[str], process: Process) -> int:
        if arguments[:1] == ["-"]:
            raise Unsupported(self._name, "cd -")
        target = arguments[0] if arguments else self._variables.get("HOME", "/")
        node = process.disk.stat(process.path(target), process.user)
        if node is None:
            raise Failure(f"{self._name}: cd: {target}: No such file or directory")
        if "content" in node:
            raise Failure(f"{self._name}: cd: {target}: Not a directory")
        if not process.disk.allows(process.path(target), process.user, 1):
            raise Failure(f"{self._name}: cd: {target}: Permission denied")
        self._process = replace(self._process, directory=process.path(target))
        self._variables["PWD"] = self._process.directory
        return 0

    def _export(self, arguments: list[str], *, keep: bool) -> int:
        for argument in arguments:
            name, equals, value = argument.partition("=")
            if not _NAME.fullmatch(name):
                raise Unsupported(self._name, f"export or unset of {argument}")
            if not keep:
                self._variables.pop(name, None)
                continue
            self._exported.add(name)
            if equals:
                self._variables[name] = value
        return 0

    def _set(self, arguments: list[str]) -> int:
        words = iter(arguments)
        for word in words:
            names = [next(words, "")] if word in ("-o", "+o") else list(word[1:])
            if word[:1] not in "-+" or not names:
                raise Unsupported(self._name, f"set {word}")
            if names[-1:] == ["o"]:
                names[-1] = next(words, "")
            for name in names:
                short = {"errexit": "e", "nounset": "u"}.get(name, name)
                if short not in ("e", "u", "pipefail"):
                    raise Unsupported(self._name, f"option {name} of set")
                (self._options.add if word[0] == "-" else self._options.discard)(short)
        return 0

    def _lookup(self, name: str, arguments: list[str], process: Process) -> int:
        if name == "command" and arguments[:1] != ["-v"]:
            return self._execute(arguments, {}, process) if arguments else 0
        status = 0
        for wanted in arguments[1:] if name == "command" else arguments:
            try:
                if wanted in BUILTINS:
                    process.print(wanted if name == "command" else f"{wanted} is a shell builtin")
                    continue
                path = f"{find(process.disk, wanted).folder}/{wanted.rpartition('/')[2]}"
                process.print(path if name == "command" else f"{wanted} is {path}")
            except UnknownProgram:
                status = 1
                if name == "type":
                    self._complain(f"type: {wanted}: not found")
        return status


@program("bash", "sh")
def _shell(process: Process, arguments: list[str]) -> int:
    """bash [-e -u] [-c SCRIPT [NAME ARG…] | FILE ARG…]; without these it reads standard input."""
    pairs, operands = process.options(arguments, "ceusl", ["login"], anywhere=False)
    flags = {name for name, _ in pairs}
    if "-c" in flags:
        if not operands:
            raise Failure(f"{process.name}: -c: option requires an argument", 2)
        script: str | None = operands[0]
        shell = Interpreter(process, process.name, operands[1:])
    elif operands and "-s" not in flags:
        script = process.read_file(operands[0])
        shell = Interpreter(process, process.name, operands)
    else:
        script = None
        shell = Interpreter(process, process.name)
    shell._options |= {flag[1:] for flag in flags} & {"e", "u"}
    return shell.interact() if script is None else shell.main(script)
