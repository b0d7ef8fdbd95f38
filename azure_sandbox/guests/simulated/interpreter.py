"""The interpreter of the simulated guest's shell: runs what syntax.py has parsed, as bash or, by the name sh, as dash."""

from __future__ import annotations

import ast
import fnmatch
import glob
import operator
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from .control import Interrupted
from .disk import DiskError
from .program import (
    PROGRAMS,
    Failure,
    Input,
    Output,
    Process,
    UnknownProgram,
    Unsupported,
    find,
    is_there,
    program,
)
from .syntax import (
    Command,
    Conditional,
    ForLoop,
    Group,
    Incomplete,
    Loop,
    Part,
    Pipeline,
    Redirection,
    Script,
    SimpleCommand,
    SyntaxRefused,
    Word,
    parse,
)

BUILTINS = (
    "break",
    "cd",
    "command",
    "continue",
    "exit",
    "export",
    "help",
    "history",
    "read",
    "set",
    "shift",
    "source",
    ".",
    ":",
    "type",
    "unset",
)
_NOT_IMPLEMENTED = frozenset(
    [
        "alias",
        "bg",
        "bind",
        "builtin",
        "declare",
        "dirs",
        "disown",
        "eval",
        "exec",
        "fc",
        "fg",
        "getopts",
        "hash",
        "jobs",
        "let",
        "local",
        "logout",
        "mapfile",
        "popd",
        "pushd",
        "readonly",
        "return",
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


class LoopControl(Exception):
    """`break` or `continue`, and how many loops it is for."""

    def __init__(self, kind: str, levels: int) -> None:
        super().__init__(kind)
        self.kind, self.levels = kind, levels


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
        self._tested = 0  # conditions that are being evaluated: there set -e does not count
        self._loops = 0

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

    def interact(self, *, login: bool = False) -> int:
        """Run standard input line by line, with prompts where it is a terminal."""
        outer = self._process.control.complete
        self._process.control.complete = self._completions
        try:
            status = self._read_lines()
        finally:
            self._process.control.complete = outer
        if self._process.terminal:
            self._process.print("logout" if login else "exit")
        return status

    def _completions(self, text: str) -> list[str]:
        """What the last word of a line may become: a program's name where it is the first one of a command, or a file's."""
        before, word = re.split(r"^(.*[\s|;&<>(])?", text, maxsplit=1)[1:]
        words = re.split(r"[|;&(]", before or "")[-1].split()
        if "/" not in word and (not words or words in (["sudo"], ["which"], ["type"])):
            there = {name for name, found in PROGRAMS.items() if is_there(self._process.disk, found)}
            return sorted(name for name in there | set(BUILTINS) if name.startswith(word))
        folder, slash, start = word.rpartition("/")
        process = self._process
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
                if self._process.terminal:
                    self._process.control.prompt = "> " if pending else self._prompt()
                    self._process.stdout(self._process.control.prompt)
                line = self._process.stdin.readline()
                if line.strip() and self._process.terminal:
                    self._process.control.history.append(line.rstrip("\n"))
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
        self._lists(parse(script))

    def _lists(self, script: Script) -> int:
        """Run lists; the status of the last one."""
        for pipelines in script:
            for number, pipeline in enumerate(pipelines):
                if (pipeline.joint == "&&") == (self.status != 0) and pipeline.joint:
                    continue
                self.status = self._pipeline(pipeline)
                if self._process.control.interrupt.is_set():
                    raise Interrupted
                last = number == len(pipelines) - 1 and not pipeline.negated
                if self.status and "e" in self._options and last and not self._tested:
                    raise Exit(self.status)
        return self.status

    def _pipeline(self, pipeline: Pipeline) -> int:
        self._tested += pipeline.negated
        status = self._commands(pipeline.commands)
        self._tested -= pipeline.negated
        return int(status == 0) if pipeline.negated else status

    def _commands(self, commands: list[Command]) -> int:
        if len(commands) == 1:
            return self._command(commands[0], self._process)
        statuses = []
        process = self._process
        for command in commands[:-1]:
            output: list[str] = []
            statuses.append(self._subshell(replace(process, stdout=output.append))._alone(command))
            process = replace(self._process, stdin=Input("".join(output)), terminal=False)
        statuses.append(self._subshell(process)._alone(commands[-1]))
        failed = [status for status in statuses if status]
        return failed[-1] if failed and "pipefail" in self._options else statuses[-1]

    def _compound(self, command: ForLoop | Loop | Conditional | Group, process: Process) -> int:
        """Run a compound command with its redirections."""
        written: list[tuple[str, list[str]]] = []
        own, before = self._process, self.status
        try:
            self._process = self._redirect(command.redirections, process, written, before)
            if isinstance(command, Group):
                return self._grouped(command)
            if isinstance(command, Conditional):
                return self._conditional(command)
            return self._loop(command)
        except Failure as failure:
            own.warn(failure)
            return failure.status
        finally:
            self._process = replace(own, directory=self._process.directory)
            for path, text in written:
                process.disk.write(path, "".join(text), process.user, append=True)

    def _grouped(self, command: Group) -> int:
        if not command.subshell:
            return self._lists(command.body)
        directory = self._process.directory
        try:
            return self._subshell(replace(self._process))._lists(command.body)
        except Exit as ended:
            return ended.status
        finally:
            self._process.directory = directory

    def _holds(self, condition: Script) -> bool:
        self._tested += 1
        try:
            return self._lists(condition) == 0
        finally:
            self._tested -= 1

    def _conditional(self, command: Conditional) -> int:
        for condition, body in command.branches:
            if self._holds(condition):
                return self._lists(body)
        self.status = 0
        return self._lists(command.otherwise)

    def _loop(self, command: ForLoop | Loop) -> int:
        status, before = 0, self.status
        values: Iterator[str] | None = None
        if isinstance(command, ForLoop):
            words = self._parameters[1:]
            if command.words is not None:
                words = [value for word in command.words for value in self._fields(word, before)]
            values = iter(words)
        self._loops += 1
        try:
            while self._goes_on(command, values):
                try:
                    status = self._lists(command.body)
                except LoopControl as control:
                    if control.levels > 1 and self._loops > 1:
                        raise LoopControl(control.kind, control.levels - 1) from control
                    status = 0
                    if control.kind == "break":
                        break
        finally:
            self._loops -= 1
        self.status = status
        return status

    def _goes_on(self, command: ForLoop | Loop, values: Iterator[str] | None) -> bool:
        if self._process.control.interrupt.is_set():
            raise Interrupted
        if isinstance(command, Loop):
            return self._holds(command.condition) != command.until
        value = next(values or iter(()), None)
        if value is not None:
            self._variables[command.name] = value
        return value is not None

    def _subshell(self, process: Process) -> Interpreter:
        shell = Interpreter(process, self._name, self._parameters)
        shell._variables, shell._exported = dict(self._variables), set(self._exported)
        shell._options, shell.status = set(self._options), self.status
        return shell

    def _alone(self, command: Command) -> int:
        try:
            return self._command(command, self._process)
        except Exit as ended:
            return ended.status
        except LoopControl:
            return 0

    def _command(self, command: Command, process: Process) -> int:
        return (
            self._simple(command, process) if isinstance(command, SimpleCommand) else self._compound(command, process)
        )

    def _simple(self, command: SimpleCommand, process: Process) -> int:
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
                return self._builtin(name, words[1:], replace(process, environment=assigned))
            if name in _NOT_IMPLEMENTED:
                raise Unsupported(self._name, f"{name} command")
            environment = {key: self._variables[key] for key in self._exported if key in self._variables} | assigned
            return replace(process, environment=environment, directory=self._process.directory).run(words)
        except UnknownProgram as unknown:
            script = self._file_of(unknown.name, process)
            if script is not None:
                return Interpreter(process, unknown.name, words).main(script)
            process.warn(self._not_found(unknown, process))
            return 126 if "/" in unknown.name and process.disk.stat(process.path(unknown.name), process.user) else 127
        except Failure as failure:
            process.warn(failure)
            return failure.status

    @staticmethod
    def _file_of(name: str, process: Process) -> str | None:
        """The text of a shell script that is named by its path and may be executed."""
        path = process.path(name)
        node = process.disk.stat(path, process.user) if "/" in name else None
        if node is None or "content" not in node or not process.disk.allows(path, process.user, 1):
            return None
        text = str(node["content"])
        return text if re.match(r"(#!\s*(/usr)?/bin/(env )?(ba|da)?sh\b|(?!#!))", text) else None

    def _not_found(self, unknown: UnknownProgram, process: Process) -> str:
        name = unknown.name
        if unknown.real:
            return f"{name}: the simulated guest has no {name}"
        if "/" in name:
            node = process.disk.stat(process.path(name), process.user)
            reason = "Permission denied"
            if node is None or "content" not in node:
                reason = "No such file or directory" if node is None else "Is a directory"
            elif process.disk.allows(process.path(name), process.user, 1):
                reason = "the simulated guest runs files that are scripts of sh or bash only"
            return f"{self._name}: {name}: {reason}"
        return f"sh: 1: {name}: not found" if self._name == "sh" else f"{self._name}: {name}: command not found"

    # Expansion

    def _value(self, name: str, before: int) -> str:
        if name == "?":
            return str(before)
        if name in ("@", "*"):
            return " ".join(self._parameters[1:])
        if name in ("#", "$"):
            return str(len(self._parameters) - 1) if name == "#" else "1234"
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

    def _part(self, part: Part, before: int) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "command":
            return self._substitute(part.text)
        if part.kind == "arithmetic":
            return str(self._calculate(part.text, before))
        return self._parameter(part, before) if part.operator else self._value(part.text, before)

    def _parameter(self, part: Part, before: int) -> str:
        """A variable with an operator: ${NAME:-word} and its like."""
        name, sign = part.text, part.operator
        known = name in self._variables or not _NAME.fullmatch(name)
        value = self._variables.get(name, "") if _NAME.fullmatch(name) else self._value(name, before)
        if sign == "#" and not part.word:
            return str(len(self._value(name, before)))
        word = self._text(list(part.word), before)
        if sign[0] in "#%":
            return _without(value, sign, word)
        given = bool(value) if sign[0] == ":" else known
        kind = sign[-1]
        if kind == "+":
            return word if given else ""
        if not given and kind == "=":
            self._variables[name] = word
        if not given and kind == "?":
            self._complain(f"{name}: {word or 'parameter null or not set'}")
            raise Exit(127)
        return value if given else word

    def _calculate(self, text: str, before: int) -> int:
        def number(found: re.Match[str]) -> str:
            value = self._variables.get(found[1], "") or "0"
            return f"({value})" if re.fullmatch(r"-?\d+", value) else "(0)"

        try:
            return _arithmetic(ast.parse(re.sub(r"\$?([A-Za-z_]\w*)", number, text).strip() or "0", mode="eval").body)
        except ZeroDivisionError as error:
            raise Failure(f'{self._name}: {text}: division by 0 (error token is "{text.strip()[-1:]}")') from error
        except (SyntaxError, ValueError) as error:
            raise Failure(f"{self._name}: {text}: syntax error: operand expected") from error

    def _text(self, word: Word, before: int) -> str:
        """A word as one text."""
        return "".join(self._part(part, before) for part in word)

    def _fields(self, word: Word, before: int) -> list[str]:
        """A word as fields: what comes from outside quotes is split at blanks, and names the files that it matches."""
        if word == [Part("text", "", True), Part("variable", "@", True)]:
            return self._parameters[1:]
        fields: list[list[tuple[str, bool]]] = []
        current: list[tuple[str, bool]] | None = None
        for part in word:
            text = self._part(part, before)
            if part.kind == "text" or part.quoted:
                current = [*(current or []), (text, part.quoted)]
                continue
            pieces = text.split()
            if text[:1].isspace() and current is not None:
                fields.append(current)
                current = None
            for number, piece in enumerate(pieces):
                current = [*(current or []), (piece, False)]
                if number < len(pieces) - 1 or text[-1:].isspace():
                    fields.append(current)
                    current = None
        return [name for field in (fields if current is None else [*fields, current]) for name in self._files(field)]

    def _files(self, field: list[tuple[str, bool]]) -> list[str]:
        """The files that a field's pattern matches; the field itself where it is no pattern or matches none."""
        plain = "".join(text for text, _ in field)
        if not any(character in text for text, quoted in field if not quoted for character in "*?["):
            return [plain]
        pattern = "".join(glob.escape(text) if quoted else text for text, quoted in field)
        found = ["/" if pattern.startswith("/") else ""]
        for name in filter(None, pattern.split("/")):
            found = [path for folder in found for path in self._matches(folder, name)]
        return found or [plain]

    def _matches(self, folder: str, pattern: str) -> list[str]:
        """The paths in a folder that match a pattern without a slash."""
        process = self._process
        try:
            names = process.disk.names(process.path(folder or "."), process.user)
        except DiskError:
            return []
        start = folder if folder in ("", "/") else f"{folder}/"
        return [
            start + name
            for name in names
            if fnmatch.fnmatchcase(name, pattern.replace("[^", "[!")) and (name[0] != "." or pattern[0] == ".")
        ]

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
            if redirection.operator in ("<<", "<<<"):
                text = f"{target}\n" if redirection.operator == "<<<" else target
                process = replace(process, stdin=Input(text), terminal=False)
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
        if name in ("break", "continue"):
            if not self._loops:
                raise Failure(f"{self._name}: {name}: only meaningful in a `for', `while', or `until' loop", 0)
            raise LoopControl(name, int(arguments[0]) if arguments and arguments[0].isdigit() else 1)
        if name == "read":
            return self._read(arguments, process)
        if name == "shift":
            del self._parameters[1:2]
            return 0
        if name == "help":
            process.stdout(_help(process))
            return 0
        if name == "history":
            if arguments:
                raise Unsupported(self._name, "history with arguments")
            process.stdout("".join(f"{number:>5}  {line}\n" for number, line in enumerate(process.control.history, 1)))
            return 0
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

    def _read(self, arguments: list[str], process: Process) -> int:
        """read [-r] [-p PROMPT] [NAME…]: one line of the input, split into the variables."""
        pairs, names = process.options(arguments, "rsp:", anywhere=False)
        options = dict(pairs)
        if process.terminal and "-p" in options:
            process.stderr(options["-p"])
        if process.terminal and "-s" in options:
            process.control.echo(False)
        line = process.stdin.readline()
        if process.terminal and "-s" in options:
            process.control.echo(True)
        ended = not line.endswith("\n")
        line = line.removesuffix("\n")
        line = line if "-r" in options else re.sub(r"\\(.)", r"\1", line)
        given = self._variables.get("IFS") if "IFS" not in process.environment else process.environment["IFS"]
        fields = _split(line, len(names) or 1, given)
        for name, value in zip(names or ["REPLY"], fields, strict=True):
            self._variables[name] = value
        return int(ended)

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
            if word == "--":
                self._parameters[1:] = list(words)
                break
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


def _help(process: Process) -> str:
    """What a trainee reads who types help."""
    names = sorted(name for name, found in PROGRAMS.items() if is_there(process.disk, found))
    lines = textwrap.wrap(" ".join([*names, *BUILTINS]), 100)
    return (
        "This machine is simulated: its shell and its programs are small ones of the sandbox's own, which answer as the\n"
        "real ones do and say what they do not have.\n\n"
        "Shell: pipes, > < <<, && ||, $( … ), ${NAME:-…}, $(( … )), * ? [ ], {1..3}, if, for, while, until, ( ), { }.\n"
        "Keys: Tab completes, arrows and Ctrl-P go through the history, Ctrl-C ends, Ctrl-D leaves, Ctrl-A Ctrl-E Ctrl-K\n"
        "Ctrl-U Ctrl-W edit, Ctrl-L clears.\n\n"
        "Programs:\n  " + "\n  ".join(lines) + "\n"
    )


def _without(value: str, sign: str, pattern: str) -> str:
    """A value without the beginning (#) or the end (%) that a pattern matches, the longest one where it is doubled."""
    expression = re.compile(fnmatch.translate(pattern))
    cuts = range(len(value) + 1)
    from_start = sign[0] == "#"
    for cut in cuts if (len(sign) == 1) == from_start else reversed(cuts):
        if expression.match(value[:cut] if from_start else value[cut:]):
            return value[cut:] if from_start else value[:cut]
    return value


def _split(line: str, count: int, separators: str | None) -> list[str]:
    """A line as so many fields; the last one has all that is left."""
    if separators == "":
        return [line, *[""] * (count - 1)]
    if separators is None or not separators.strip():
        fields = line.strip().split(maxsplit=count - 1) if count > 1 else [line.strip()]
    else:
        mark = f"[{re.escape(separators)}]"
        fields = re.split(mark, line, maxsplit=count - 1) if count > 1 else [line]
        if len(fields) == count and re.fullmatch(f".*{mark}", fields[-1]) and len(re.findall(mark, fields[-1])) == 1:
            fields[-1] = fields[-1][:-1]
    return [*fields, *[""] * (count - len(fields))]


_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_CALCULATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: lambda a, b: int(a / b),
    ast.Mod: lambda a, b: a - b * int(a / b),
}  # fmt: skip


def _arithmetic(node: ast.expr) -> int:
    """The value of an expression of whole numbers. Raises ValueError for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return -_arithmetic(node.operand) if isinstance(node.op, ast.USub) else _arithmetic(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _CALCULATIONS:
        value = _CALCULATIONS[type(node.op)](_arithmetic(node.left), _arithmetic(node.right))
        return (value + (1 << 63)) % (1 << 64) - (1 << 63)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        return int(_COMPARISONS[type(node.ops[0])](_arithmetic(node.left), _arithmetic(node.comparators[0])))
    raise ValueError(ast.dump(node))


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
