"""docker run, ps and rm. Containers do not run: a label of a sandbox's image is what it would print."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from .docker import command, parse_reference, pull, reach_daemon, table
from .docker_images import age, find_image, host_platform, platform_of, same_platform
from .go_template import render
from .program import Failure, Process, Unsupported

OUTPUT_LABEL = "runbook.sandbox.stdout"


@command("run", "container run")
def _run(process: Process, arguments: list[str]) -> int:
    pairs, words = process.options(
        arguments, "itd", ["rm", "interactive", "tty", "detach", "name=", "pull="], anywhere=False
    )
    options = {{"--interactive": "-i", "--tty": "-t", "--detach": "-d"}.get(name, name): value for name, value in pairs}
    if "-d" in options or "--pull" in options:
        raise Unsupported("docker", "run --detach and --pull: it has no running containers")
    if not words:
        raise Failure("docker: 'docker run' requires at least 1 argument")
    if {"-i", "-t"} <= options.keys() and not process.terminal:
        raise Failure("the input device is not a TTY")
    try:
        reach_daemon(process, "Post containers/create")
    except Failure as failure:
        raise Failure(f"docker: {failure}\n\nRun 'docker run --help' for more information", 126) from failure
    reference = parse_reference(words[0])
    image = find_image(process.disk, words[0])
    if image is None:
        process.warn(f"Unable to find image '{reference}' locally")
        try:
            image = pull(_to_stderr(process), reference)
        except Failure as failure:
            raise Failure(f"docker: {failure}\n\nRun 'docker run --help' for more information", 125) from failure
    own, wanted = host_platform(process.disk.machine), platform_of(image)
    if wanted and not same_platform(own, wanted):
        process.warn(
            f"WARNING: The requested image's platform ({wanted}) does not match the detected host platform ({own}) and "
            "no specific platform was requested"
        )
        command_line = image["config"].get("config", {}).get("Cmd") or ["/bin/sh"]
        raise Failure(f"exec {(words[1:] or command_line)[0]}: exec format error", 255)
    output = (image["config"].get("config", {}).get("Labels") or {}).get(OUTPUT_LABEL)
    if output is None or len(words) > 1:
        what = f"a command in {words[0]}" if len(words) > 1 else words[0]
        raise Failure(f"docker: the simulated guest cannot run {what}: it runs only images that say what they print")
    if "--rm" not in options:
        container = {"id": secrets.token_hex(32), "image": image["id"], "name": options.get("--name", "")}
        container |= {"reference": str(reference), "created": time.time()}
        container["name"] = container["name"] or f"container_{container['id'][:6]}"
        with process.disk.changing() as document:
            document["containers"].append(container)
    process.stdout(output if output.endswith("\n") else output + "\n")
    return 0


def _to_stderr(process: Process) -> Process:
    """``docker run`` writes the progress of a pull to standard error."""
    return replace(process, stdout=process.stderr)


@command("ps", "container ls")
def _ps(process: Process, arguments: list[str]) -> int:
    pairs, _ = process.options(arguments, "aq", ["all", "quiet", "format="])
    reach_daemon(process, "Get containers/json")
    flags = dict(pairs)
    # What ran has ended: a container here prints its text and is over.
    containers = process.disk["containers"] if flags.keys() & {"-a", "--all"} else []
    if "--format" in flags:
        for c in containers:
            names = {"ID": c["id"][:12], "Image": c["reference"], "Names": c["name"], "Status": "Exited (0)"}
            process.print(render(flags["--format"], names))
        return 0
    if flags.keys() & {"-q", "--quiet"}:
        process.stdout("".join(f"{c['id'][:12]}\n" for c in containers))
        return 0
    rows = [["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]]
    for c in containers:
        since = age(time.time() - c["created"])
        rows.append([c["id"][:12], c["reference"], '"(simulated)"', since, f"Exited (0) {since}", "", c["name"]])
    table(process, rows)
    return 0


@command("rm", "container rm")
def _rm(process: Process, arguments: list[str]) -> int:
    _, names = process.options(arguments, "f", ["force"])
    reach_daemon(process, "Delete containers/")
    for name in names:
        with process.disk.changing() as document:
            found = [c for c in document["containers"] if c["name"] == name or c["id"].startswith(name)]
            if len(found) != 1:
                raise Failure(f"Error response from daemon: No such container: {name}")
            document["containers"].remove(found[0])
        process.print(name)
    return 0
