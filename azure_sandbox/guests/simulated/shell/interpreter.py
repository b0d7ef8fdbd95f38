"""The interpreter of the simulated guest's shell: runs what the parser has made, as bash or, by the name sh, as dash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ..control import Interrupted
from ..program import Failure, Input, Process, UnknownProgram, Unsupported
from .builtins import BUILTINS, NAMES, NOT_IMPLEMENTED, look_up
from .commands import Command, Conditional, ForLoop, Group, Loop, Part, Pipeline, Script, SimpleCommand, SyntaxRefused
from .expansion import Expansion
from .parser import parse
from .redirection import Written, redirected, write_files
from .state import Exit, LoopControl, State


class Interpreter:
    """One shell that runs scripts."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._expansion = Expansion(state, lambda script, process: self._subshell(process).main(script))
        self._tested = 0  # conditions that are being evaluated: there set -e does not count

    def main(self, script: str) -> int:
        """Run a whole script; its exit status."""
        try:
            self.run(script)
        except Exit as ended:
            return ended.status
        except SyntaxRefused as refused:
            self.state.complain(str(refused))
            return 2
        return self.state.status

    def run(self, script: str) -> None:
        self._lists(parse(script))

    def _lists(self, script: Script) -> int:
        """Run lists; the status of the last one."""
        for pipelines in script:
            for number, pipeline in enumerate(pipelines):
                if (pipeline.joint == "&&") == (self.state.status != 0) and pipeline.joint:
                    continue
                self.state.status = self._pipeline(pipeline)
                if self.state.process.control.interrupt.is_set():
                    raise Interrupted
                last = number == len(pipelines) - 1 and not pipeline.negated
                if self.state.status and "e" in self.state.options and last and not self._tested:
                    raise Exit(self.state.status)
        return self.state.status

    def _pipeline(self, pipeline: Pipeline) -> int:
        self._tested += pipeline.negated
        status = self._commands(pipeline.commands)
        self._tested -= pipeline.negated
        return int(status == 0) if pipeline.negated else status

    def _commands(self, commands: list[Command]) -> int:
        if len(commands) == 1:
            return self._command(commands[0], self.state.process)
        statuses = []
        process = self.state.process
        for command in commands[:-1]:
            output: list[str] = []
            statuses.append(self._subshell(replace(process, stdout=output.append))._alone(command))
            process = replace(self.state.process, stdin=Input("".join(output)), terminal=False)
        statuses.append(self._subshell(process)._alone(commands[-1]))
        failed = [status for status in statuses if status]
        return failed[-1] if failed and "pipefail" in self.state.options else statuses[-1]

    def _compound(self, command: ForLoop | Loop | Conditional | Group, process: Process) -> int:
        """Run a compound command with its redirections."""
        written: Written = []
        own, before = self.state.process, self.state.status
        try:
            self.state.process = redirected(self.state, self._expansion, command.redirections, process, written, before)
            if isinstance(command, Group):
                return self._grouped(command)
            if isinstance(command, Conditional):
                return self._conditional(command)
            return self._loop(command)
        except Failure as failure:
            own.warn(failure)
            return failure.status
        finally:
            self.state.process = replace(own, directory=self.state.process.directory)
            write_files(written, process)

    def _grouped(self, command: Group) -> int:
        if not command.subshell:
            return self._lists(command.body)
        directory = self.state.process.directory
        try:
            return self._subshell(replace(self.state.process))._lists(command.body)
        except Exit as ended:
            return ended.status
        finally:
            self.state.process.directory = directory

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
        self.state.status = 0
        return self._lists(command.otherwise)

    def _loop(self, command: ForLoop | Loop) -> int:
        status, before = 0, self.state.status
        values: Iterator[str] | None = None
        if isinstance(command, ForLoop):
            words = self.state.parameters[1:]
            if command.words is not None:
                words = [value for word in command.words for value in self._expansion.fields(word, before)]
            values = iter(words)
        self.state.loops += 1
        try:
            while self._goes_on(command, values):
                try:
                    status = self._lists(command.body)
                except LoopControl as control:
                    if control.levels > 1 and self.state.loops > 1:
                        raise LoopControl(control.kind, control.levels - 1) from control
                    status = 0
                    if control.kind == "break":
                        break
        finally:
            self.state.loops -= 1
        self.state.status = status
        return status

    def _goes_on(self, command: ForLoop | Loop, values: Iterator[str] | None) -> bool:
        if self.state.process.control.interrupt.is_set():
            raise Interrupted
        if isinstance(command, Loop):
            return self._holds(command.condition) != command.until
        value = next(values or iter(()), None)
        if value is not None:
            self.state.variables[command.name] = value
        return value is not None

    def _subshell(self, process: Process) -> Interpreter:
        return Interpreter(self.state.copy(process))

    def _alone(self, command: Command) -> int:
        try:
            return self._command(command, self.state.process)
        except Exit as ended:
            return ended.status
        except LoopControl:
            return 0

    def _command(self, command: Command, process: Process) -> int:
        return (
            self._simple(command, process) if isinstance(command, SimpleCommand) else self._compound(command, process)
        )

    def _simple(self, command: SimpleCommand, process: Process) -> int:
        written: Written = []
        self.state.status, before = 0, self.state.status
        try:
            # As in bash, what follows `export NAME=` stays one word.
            declares = command.words[:1] == [[Part("text", "export", False)]]
            words = [
                field
                for word in command.words
                for field in (
                    [self._expansion.text(word, before)] if declares else self._expansion.fields(word, before)
                )
            ]
            assigned = {name: self._expansion.text(word, before) for name, word in command.assignments}
            process = redirected(self.state, self._expansion, command.redirections, process, written, before)
            if not words:
                self.state.variables |= assigned
                return self.state.status  # of the last $( … )
            return self._execute(words, assigned, process)
        except Failure as failure:
            self.state.process.warn(failure)
            return failure.status
        finally:
            write_files(written, process)

    def _execute(self, words: list[str], assigned: dict[str, str], process: Process) -> int:
        name = words[0]
        try:
            if name in NAMES:
                return self._builtin(name, words[1:], replace(process, environment=assigned))
            if name in NOT_IMPLEMENTED:
                raise Unsupported(self.state.name, f"{name} command")
            environment = {
                key: self.state.variables[key] for key in self.state.exported if key in self.state.variables
            } | assigned
            return replace(process, environment=environment, directory=self.state.process.directory).run(words)
        except UnknownProgram as unknown:
            script = self._file_of(unknown.name, process)
            if script is not None:
                return Interpreter(State.new(process, unknown.name, words)).main(script)
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
            return f"{self.state.name}: {name}: {reason}"
        return (
            f"sh: 1: {name}: not found" if self.state.name == "sh" else f"{self.state.name}: {name}: command not found"
        )

    def _builtin(self, name: str, arguments: list[str], process: Process) -> int:
        process = self.state.own(process)
        if name in BUILTINS:
            return BUILTINS[name](self.state, arguments, process)
        if name == "command":
            if arguments[:1] == ["-v"]:
                return look_up(self.state, name, arguments[1:], process)
            return self._execute(arguments, {}, process) if arguments else 0
        if len(arguments) != 1:
            raise Unsupported(self.state.name, f"{name} with arguments")
        self.run(process.read_file(arguments[0]))
        return self.state.status
