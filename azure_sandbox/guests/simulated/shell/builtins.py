"""The builtins of the shell that change or show its state."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import replace

from ..program import PROGRAMS, Failure, Process, UnknownProgram, Unsupported, find, is_there
from .commands import NAME
from .state import Exit, LoopControl, State

Builtin = Callable[[State, list[str], Process], int]
BUILTINS: dict[str, Builtin] = {}
NOT_IMPLEMENTED = frozenset(
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


def builtin(name: str) -> Callable[[Builtin], Builtin]:
    """Register a function as the builtin of this name."""

    def register(function: Builtin) -> Builtin:
        BUILTINS[name] = function
        return function

    return register


@builtin(":")
def _nothing(state: State, arguments: list[str], process: Process) -> int:
    return 0


@builtin("cd")
def _cd(state: State, arguments: list[str], process: Process) -> int:
    if arguments[:1] == ["-"]:
        raise Unsupported(state.name, "cd -")
    target = arguments[0] if arguments else state.variables.get("HOME", "/")
    node = process.disk.stat(process.path(target), process.user)
    if node is None:
        raise Failure(f"{state.name}: cd: {target}: No such file or directory")
    if "content" in node:
        raise Failure(f"{state.name}: cd: {target}: Not a directory")
    if not process.disk.allows(process.path(target), process.user, 1):
        raise Failure(f"{state.name}: cd: {target}: Permission denied")
    state.process = replace(state.process, directory=process.path(target))
    state.variables["PWD"] = state.process.directory
    return 0


@builtin("exit")
def _exit(state: State, arguments: list[str], process: Process) -> int:
    raise Exit(int(arguments[0]) % 256 if arguments and arguments[0].isdigit() else state.status)


@builtin("break")
def _break(state: State, arguments: list[str], process: Process) -> int:
    return _leave_loop(state, "break", arguments)


@builtin("continue")
def _continue(state: State, arguments: list[str], process: Process) -> int:
    return _leave_loop(state, "continue", arguments)


def _leave_loop(state: State, name: str, arguments: list[str]) -> int:
    if not state.loops:
        raise Failure(f"{state.name}: {name}: only meaningful in a `for', `while', or `until' loop", 0)
    raise LoopControl(name, int(arguments[0]) if arguments and arguments[0].isdigit() else 1)


@builtin("read")
def _read(state: State, arguments: list[str], process: Process) -> int:
    """read [-r] [-p PROMPT] [NAME…]: one line of the input, split into the variables."""
    pairs, names = process.options(arguments, "rsp:", anywhere=False)
    options = dict(pairs)
    if process.terminal and "-s" in options:  # before who types sees the prompt
        process.control.echo(False)
    if process.terminal and "-p" in options:
        process.stderr(options["-p"])
    line = process.stdin.readline()
    if process.terminal and "-s" in options:
        process.control.echo(True)
    ended = not line.endswith("\n")
    line = line.removesuffix("\n")
    line = line if "-r" in options else re.sub(r"\\(.)", r"\1", line)
    given = state.variables.get("IFS") if "IFS" not in process.environment else process.environment["IFS"]
    fields = _split(line, len(names) or 1, given)
    for name, value in zip(names or ["REPLY"], fields, strict=True):
        state.variables[name] = value
    return int(ended)


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


@builtin("shift")
def _shift(state: State, arguments: list[str], process: Process) -> int:
    del state.parameters[1:2]
    return 0


@builtin("help")
def _help(state: State, arguments: list[str], process: Process) -> int:
    process.stdout(_help_text(process))
    return 0


def _help_text(process: Process) -> str:
    """What a trainee reads who types help."""
    names = sorted(name for name, found in PROGRAMS.items() if is_there(process.disk, found))
    lines = textwrap.wrap(" ".join([*names, *NAMES]), 100)
    return (
        "This machine is simulated: its shell and its programs are small ones of the sandbox's own, which answer as the\n"
        "real ones do and say what they do not have.\n\n"
        "Shell: pipes, > < <<, && ||, $( … ), ${NAME:-…}, $(( … )), * ? [ ], {1..3}, if, for, while, until, ( ), { }.\n"
        "Keys: Tab completes, arrows and Ctrl-P go through the history, Ctrl-C ends, Ctrl-D leaves, Ctrl-A Ctrl-E Ctrl-K\n"
        "Ctrl-U Ctrl-W edit, Ctrl-L clears.\n\n"
        "Programs:\n  " + "\n  ".join(lines) + "\n"
    )


@builtin("history")
def _history(state: State, arguments: list[str], process: Process) -> int:
    if arguments:
        raise Unsupported(state.name, "history with arguments")
    process.stdout("".join(f"{number:>5}  {line}\n" for number, line in enumerate(process.control.history, 1)))
    return 0


@builtin("export")
def _export(state: State, arguments: list[str], process: Process) -> int:
    _need(state, "export", arguments)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not NAME.fullmatch(name):
            raise Unsupported(state.name, f"export of {argument}")
        state.exported.add(name)
        if equals:
            state.variables[name] = value
    return 0


@builtin("unset")
def _unset(state: State, arguments: list[str], process: Process) -> int:
    _need(state, "unset", arguments)
    for name in arguments:
        if not NAME.fullmatch(name):
            raise Unsupported(state.name, f"unset of {name}")
        state.variables.pop(name, None)
    return 0


def _need(state: State, name: str, arguments: list[str]) -> None:
    if not arguments:
        raise Unsupported(state.name, f"{name} without arguments")


@builtin("set")
def _set(state: State, arguments: list[str], process: Process) -> int:
    _need(state, "set", arguments)
    words = iter(arguments)
    for word in words:
        if word == "--":
            state.parameters[1:] = list(words)
            break
        names = [next(words, "")] if word in ("-o", "+o") else list(word[1:])
        if word[:1] not in "-+" or not names:
            raise Unsupported(state.name, f"set {word}")
        if names[-1:] == ["o"]:
            names[-1] = next(words, "")
        for name in names:
            short = {"errexit": "e", "nounset": "u"}.get(name, name)
            if short not in ("e", "u", "pipefail"):
                raise Unsupported(state.name, f"option {name} of set")
            (state.options.add if word[0] == "-" else state.options.discard)(short)
    return 0


@builtin("type")
def _type(state: State, arguments: list[str], process: Process) -> int:
    _need(state, "type", arguments)
    return look_up(state, "type", arguments, process)


def look_up(state: State, name: str, arguments: list[str], process: Process) -> int:
    """Say where programs are, as `type` or `command -v` does."""
    status = 0
    for wanted in arguments:
        try:
            if wanted in NAMES:
                process.print(wanted if name == "command" else f"{wanted} is a shell builtin")
                continue
            path = f"{find(process.disk, wanted).folder}/{wanted.rpartition('/')[2]}"
            process.print(path if name == "command" else f"{wanted} is {path}")
        except UnknownProgram:
            status = 1
            if name == "type":
                state.complain(f"type: {wanted}: not found")
    return status


NAMES = (*BUILTINS, "command", "source", ".")
"""All builtins: these three run commands, so that the interpreter has them."""
