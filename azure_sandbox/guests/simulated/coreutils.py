"""Small programs of every Ubuntu: files, tests, users, time."""

from __future__ import annotations

import posixpath
import re
import time
from typing import Any

from .control import Interrupted
from .disk import ADMIN_ID, DiskError
from .program import Failure, Process, UnknownProgram, Unsupported, find, program

GROUP_IDS = {"root": 0, "adm": 4, "sudo": 27, "docker": 118}


@program("tee")
def _tee(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "a", ["append"])
    text = process.stdin.read()
    process.stdout(text)
    for name in names:
        process.write_file(name, text, append=bool(pairs))
    return 0


@program("ls")
def _ls(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "la1dhA")
    flags = {name[1] for name, _ in pairs}
    status = 0
    for name in names or ["."]:
        path = process.path(name)
        node = process.disk.stat(path, process.user)
        if node is None:
            process.warn(f"ls: cannot access '{name}': No such file or directory")
            status = 2
            continue
        entries = [(name, path)]
        if "content" not in node and "d" not in flags:
            try:
                found = process.disk.names(path, process.user)
            except DiskError as error:
                process.warn(f"ls: cannot open directory '{name}': {error}")
                status = 2
                continue
            entries = [(x, posixpath.join(path, x)) for x in found if not x.startswith(".") or flags & {"a", "A"}]
            if len(names) > 1:
                process.print(f"{name}:")
        for shown, full in entries:
            entry = process.disk.stat(full, process.user)
            process.print(f"{_long(entry)} {shown}" if "l" in flags and entry else shown)
    return status


def _long(node: dict[str, Any]) -> str:
    letters = "".join(letter if node["mode"] >> (8 - number) & 1 else "-" for number, letter in enumerate("rwxrwxrwx"))
    size = len(node.get("content", "").encode("utf-8", "surrogateescape")) if "content" in node else 4096
    moment = time.strftime("%b %e %H:%M", time.gmtime(node["time"]))
    return f"{'-' if 'content' in node else 'd'}{letters} 1 {node['owner']} {node['group']} {size:>6} {moment}"


@program("mkdir")
def _mkdir(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "pm:", ["parents", "mode="])
    options = {name.lstrip("-")[0]: value for name, value in pairs}
    for name in names:
        try:
            mode = int(options.get("m", "755"), 8)
            process.disk.make_directory(process.path(name), process.user, parents="p" in options, mode=mode)
        except DiskError as error:
            raise Failure(f"mkdir: cannot create directory ‘{name}’: {error}") from error
    return 0


@program("touch")
def _touch(process: Process, arguments: list[str]) -> int:
    for name in process.options(arguments)[1]:
        try:
            process.disk.write(process.path(name), "", process.user, append=True)
        except DiskError as error:
            raise Failure(f"touch: cannot touch '{name}': {error}") from error
    return 0


@program("rm")
def _rm(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "rfRv", ["recursive", "force"])
    flags = {name.lstrip("-")[0].lower() for name, _ in pairs}
    for name in names:
        node = process.disk.stat(process.path(name), process.user)
        if node is None and "f" in flags:
            continue
        try:
            if node is not None and "content" not in node and "r" not in flags:
                raise DiskError("Is a directory")
            process.disk.remove(process.path(name), process.user)
        except DiskError as error:
            raise Failure(f"rm: cannot remove '{name}': {error}") from error
    return 0


@program("cp", "mv")
def _cp(process: Process, arguments: list[str]) -> int:
    _, names = process.options(arguments, "f")
    if len(names) != 2:
        raise Unsupported(process.name, "operands other than one source and one target")
    source, target = names
    node = process.disk.stat(process.path(target), process.user)
    if node is not None and "content" not in node:
        target = posixpath.join(target, posixpath.basename(source))
    process.write_file(target, process.read_file(source))
    if process.name == "mv":
        process.disk.remove(process.path(source), process.user)
    return 0


@program("chmod", "chown")
def _chmod(process: Process, arguments: list[str]) -> int:
    _, names = process.options(arguments)
    if len(names) < 2:
        raise Failure(f"{process.name}: missing operand")
    for name in names[1:]:
        node = process.disk.stat(process.path(name), process.user)
        if node is None:
            raise Failure(f"{process.name}: cannot access '{name}': No such file or directory")
        if not process.user.is_root and (process.name == "chown" or node["owner"] != process.user.name):
            what = "permissions" if process.name == "chmod" else "ownership"
            raise Failure(f"{process.name}: changing {what} of '{name}': Operation not permitted")
        if process.name == "chown":
            owner, _, group = names[0].partition(":")
            if process.disk.user(owner) is None or group not in ("", owner):
                raise Failure(f"chown: invalid user: ‘{names[0]}’")
            process.disk.set_owner(process.path(name), owner)
        elif re.fullmatch("[0-7]{3,4}", names[0]):
            process.disk.set_mode(process.path(name), int(names[0], 8))
        else:
            raise Unsupported("chmod", "symbolic modes: use octal ones")
    return 0


@program("true", "false")
def _true(process: Process, arguments: list[str]) -> int:
    return 0 if process.name == "true" else 1


@program("test", "[")
def _test(process: Process, arguments: list[str]) -> int:
    if process.name == "[":
        if arguments[-1:] != ["]"]:
            raise Failure("bash: [: missing `]'", 2)
        arguments = arguments[:-1]
    negated = arguments[:1] == ["!"] and len(arguments) > 1
    return int(_holds(process, arguments[1:] if negated else arguments) == negated)


def _holds(process: Process, arguments: list[str]) -> bool:
    if len(arguments) < 2:
        return bool(arguments and arguments[0])
    if len(arguments) == 2:
        operator, value = arguments
        node = process.disk.stat(process.path(value), process.user)
        tests = {
            "-z": not value,
            "-n": bool(value),
            "-e": node is not None,
            "-f": node is not None and "content" in node,
            "-d": node is not None and "content" not in node,
            "-s": bool(node and node.get("content")),
            "-r": process.disk.allows(process.path(value), process.user, 4),
            "-w": process.disk.allows(process.path(value), process.user, 2),
            "-x": process.disk.allows(process.path(value), process.user, 1),
            "-t": process.terminal,
        }
    elif len(arguments) == 3:
        left, operator, right = arguments
        tests = {"=": left == right, "==": left == right, "!=": left != right}
        if re.fullmatch(r"-?\d+", left) and re.fullmatch(r"-?\d+", right):
            a, b = int(left), int(right)
            tests |= {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-le": a <= b, "-gt": a > b, "-ge": a >= b}
    else:
        raise Unsupported("test", "expressions of more than three words")
    if operator not in tests:
        raise Unsupported("test", f"operator {operator} here")
    return tests[operator]


@program("whoami")
def _whoami(process: Process, arguments: list[str]) -> int:
    process.options(arguments)
    process.print(process.user.name)
    return 0


@program("id", "groups")
def _id(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "ungG" if process.name == "id" else "")
    flags = {name[1] for name, _ in pairs}
    user = process.disk.user(names[0]) if names else process.user
    if user is None:
        raise Failure(f"{process.name}: ‘{names[0]}’: no such user")
    number = 0 if user.is_root else ADMIN_ID
    ids = {group: number if group == user.name else GROUP_IDS.get(group, 1001) for group in user.groups}
    ordered = [user.name, *sorted(user.groups - {user.name}, key=lambda group: ids[group])]
    if process.name == "groups":
        process.print((f"{names[0]} : " if names else "") + " ".join(ordered))
    elif "G" in flags:
        process.print(" ".join(ordered if "n" in flags else [str(ids[group]) for group in ordered]))
    elif flags & {"u", "g"}:
        process.print(user.name if "n" in flags else number)
    else:
        listed = ",".join(f"{ids[group]}({group})" for group in ordered)
        process.print(f"uid={number}({user.name}) gid={number}({user.name}) groups={listed}")
    return 0


@program("pwd")
def _pwd(process: Process, arguments: list[str]) -> int:
    process.print(process.directory)
    return 0


@program("env", "printenv")
def _env(process: Process, arguments: list[str]) -> int:
    environment = dict(process.environment)
    arguments = process.options(arguments, anywhere=False)[1]
    if process.name == "printenv" and arguments:
        found = [environment[name] for name in arguments if name in environment]
        process.stdout("".join(f"{value}\n" for value in found))
        return 0 if len(found) == len(arguments) else 1
    while arguments and "=" in arguments[0]:
        name, _, value = arguments.pop(0).partition("=")
        environment[name] = value
    if not arguments:
        process.stdout("".join(f"{name}={value}\n" for name, value in sorted(environment.items())))
        return 0
    process.environment = environment
    try:
        return process.run(arguments)
    except UnknownProgram as unknown:
        if unknown.real:
            raise Failure(f"{unknown.name}: the simulated guest has no {unknown.name}", 127) from unknown
        raise Failure(f"env: ‘{unknown.name}’: No such file or directory", 127) from unknown


@program("date")
def _date(process: Process, arguments: list[str]) -> int:
    _, operands = process.options(arguments, "u", ["utc"])
    form = operands[0] if operands else "+%a %b %e %H:%M:%S UTC %Y"
    if not form.startswith("+"):
        raise Unsupported("date", "setting of the time")
    process.print(time.strftime(form[1:].replace("%s", str(int(time.time()))), time.gmtime()))
    return 0


@program("sleep")
def _sleep(process: Process, arguments: list[str]) -> int:
    arguments = process.options(arguments)[1]
    if not arguments:
        raise Failure("sleep: missing operand\nTry 'sleep --help' for more information.")
    try:
        seconds = sum(float(argument.removesuffix("s")) for argument in arguments)
    except ValueError as error:
        raise Failure(f"sleep: invalid time interval ‘{' '.join(arguments)}’") from error
    if process.control.interrupt.wait(min(seconds, 86400)):
        raise Interrupted
    return 0


@program("which")
def _which(process: Process, arguments: list[str]) -> int:
    if arguments and arguments[0].startswith("-"):
        process.print("Usage: /usr/bin/which [-a] args")
        raise Failure(f"Illegal option {arguments[0][:2]}", 2)
    status = 0
    for name in arguments:
        try:
            process.print(f"{find(process.disk, name).folder}/{name.rpartition('/')[2]}")
        except UnknownProgram:
            status = 1
    return status


@program("uptime")
def _uptime(process: Process, arguments: list[str]) -> int:
    minutes = int(time.time() - process.disk["booted"]) // 60
    now = time.strftime("%H:%M:%S", time.gmtime())
    process.print(f" {now} up {minutes} min,  1 user,  load average: 0.00, 0.00, 0.00")
    return 0
