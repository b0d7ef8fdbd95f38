"""The docker command and its daemon. Containers do not run: an image of the sandbox says itself what it would print."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .distribution import Credentials, DistributionError, Reference, Registry
from .images import Image, age, find_image, pull_image, push_image, remove_image, short, tag_image
from .network import Network
from .process import Failure, Process, Refused, program

VERSION = "28.2.2"
API = "1.50"
OUTPUT_LABEL = "runbook.sandbox.stdout"
HUB = "https://index.docker.io/v1/"
_SOCKET = "/var/run/docker.sock"

Subcommand = Callable[[Process, list[str]], int]
_COMMANDS: dict[str, Subcommand] = {}


def _command(*names: str) -> Callable[[Subcommand], Subcommand]:
    def register(function: Subcommand) -> Subcommand:
        for name in names:
            _COMMANDS[name] = function
        return function

    return register


@program("docker", package="docker.io")
def _docker(process: Process, arguments: list[str]) -> int:
    if arguments[:1] in (["--version"], ["-v"]):
        process.print(f"Docker version {VERSION}, build {VERSION}-0ubuntu1~22.04.1")
        return 0
    two, one = " ".join(arguments[:2]), " ".join(arguments[:1])
    found = _COMMANDS.get(two) or _COMMANDS.get(one)
    if found is None or (one in ("image", "container", "system") and two not in _COMMANDS):
        raise Refused("docker", f"command {two or 'line without a command'}")
    return found(process, arguments[2 if two in _COMMANDS else 1 :])


def _daemon(process: Process, call: str) -> None:
    """Reach the daemon's socket, or fail as docker does; `call` is the request that it would get."""
    method, _, path = call.partition(" ")
    if not process.user.is_root and "docker" not in process.user.groups:
        address = f"http://%2Fvar%2Frun%2Fdocker.sock/v{API}/{path}"
        raise Failure(
            f"permission denied while trying to connect to the Docker daemon socket at unix://{_SOCKET}: "
            f'{method} "{address}": dial unix {_SOCKET}: connect: permission denied'
        )
    if not process.disk["services"].get("docker"):
        raise Failure(f"Cannot connect to the Docker daemon at unix://{_SOCKET}. Is the docker daemon running?")


def _image(process: Process, name: str) -> Image:
    image = find_image(process.disk, name)
    if image is None:
        raise Failure(f"Error response from daemon: No such image: {name}")
    return image


def render(template: str, value: Any) -> str:
    """The few forms of Go templates that the guest plays: {{.A.B}}, {{json .A}}, {{index .A 0}}."""

    def look_up(path: str) -> Any:
        found = value
        for key in filter(None, path.split(".")):
            if not isinstance(found, dict) or key not in found:
                raise Failure(f'template parsing error: template: :1: <{path}>: map has no entry for key "{key}"')
            found = found[key]
        return found

    def expand(match: re.Match[str]) -> str:
        words = match[1].split()
        if len(words) == 1 and words[0].startswith("."):
            found = look_up(words[0])
        elif len(words) == 2 and words[0] == "json" and words[1].startswith("."):
            return json.dumps(look_up(words[1]))
        elif len(words) == 3 and words[0] == "index" and words[2].isdigit():
            listed = look_up(words[1])
            if not isinstance(listed, list) or int(words[2]) >= len(listed):
                raise Failure(f"template parsing error: error calling index: index out of range: {words[2]}")
            found = listed[int(words[2])]
        else:
            raise Refused("docker", f"template {match[0]}")
        if isinstance(found, list):
            return "[" + " ".join(map(str, found)) + "]"
        return str(found).lower() if isinstance(found, bool) else str(found)

    if template.startswith("table ") or template == "json":
        raise Refused("docker", f"format {template}")
    return re.sub(r"\{\{(.*?)\}\}", expand, template.replace("\\t", "\t").replace("\\n", "\n"))


# The credentials of the calling user: ~/.docker/config.json


def _config_path(process: Process) -> str:
    folder = process.environment.get("DOCKER_CONFIG") or f"{process.environment.get('HOME', process.user.home)}/.docker"
    return f"{folder}/config.json"


def _config(process: Process) -> dict[str, Any]:
    if process.disk.stat(_config_path(process), process.user) is None:
        return {}
    try:
        config: dict[str, Any] = json.loads(process.read_file(_config_path(process)))
    except ValueError as error:
        raise Failure(f"WARNING: Error loading config file: {_config_path(process)}: {error}") from error
    return config


def _save_config(process: Process, config: dict[str, Any]) -> None:
    path = _config_path(process)
    folder = path.rpartition("/")[0]
    if process.disk.stat(folder, process.user) is None:
        process.disk.make_directory(folder, process.user, mode=0o700)
    process.write_file(path, json.dumps(config, indent="\t"), mode=0o600)


def credentials(process: Process, host: str) -> Credentials | None:
    """What the calling user is signed in to a registry with."""
    entry = _config(process).get("auths", {}).get(HUB if host == "docker.io" else host)
    if not entry:
        return None
    username, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
    return Credentials(username, password, entry.get("identitytoken", ""))


@_command("login")
def _login(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(arguments, "u:p:", ["username=", "password=", "password-stdin"])
    options = {name.lstrip("-")[:1] if "stdin" not in name else "stdin": value for name, value in pairs}
    server = re.sub("^https?://", "", operands[0]).rstrip("/") if operands else ""
    if "p" in options:
        process.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if "stdin" in options:
        if "u" not in options:
            raise Failure("Must provide --username with --password-stdin")
        options["p"] = process.stdin.read().rstrip("\r\n")
    if not {"u", "p"} <= options.keys() and not process.terminal:
        raise Failure("Error: Cannot perform an interactive login from a non-TTY device")
    username = options.get("u") or process.ask("Username: ")
    password = options["p"] if "p" in options else process.ask("Password: ", hidden=True)
    try:
        with Network(process.disk.machine) as network:
            token = Registry(network, server or "docker.io", Credentials(username, password)).log_in()
    except DistributionError as error:
        raise Failure(f"Error response from daemon: {error}") from error
    config = _config(process)
    secret = "" if token else password
    entry = {"auth": base64.b64encode(f"{username}:{secret}".encode()).decode()}
    config.setdefault("auths", {})[server or HUB] = entry | ({"identitytoken": token} if token else {})
    _save_config(process, config)
    if not token:
        process.warn(
            f"\nWARNING! Your credentials are stored unencrypted in '{_config_path(process)}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n"
        )
    process.print("Login Succeeded")
    return 0


@_command("logout")
def _logout(process: Process, arguments: list[str]) -> int:
    _, operands = process.options(arguments)
    server = re.sub("^https?://", "", operands[0]).rstrip("/") if operands else HUB
    config = _config(process)
    if server not in config.get("auths", {}):
        process.print(f"Not logged in to {server}")
        return 0
    del config["auths"][server]
    _save_config(process, config)
    process.print(f"Removing login credentials for {server}")
    return 0


# Images


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except DistributionError as error:
        raise Failure(str(error)) from error


def _pull(process: Process, reference: Reference) -> Image:
    try:
        with Network(process.disk.machine) as network:
            return pull_image(
                process, Registry(network, reference.host, credentials(process, reference.host)), reference
            )
    except DistributionError as error:
        raise Failure(f"Error response from daemon: {error}") from error


@_command("pull", "image pull")
def _pull_command(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(arguments, "q", ["quiet", "platform="])
    if ("--platform", "linux/amd64") not in pairs and any(name == "--platform" for name, _ in pairs):
        raise Refused("docker", "platform but linux/amd64")
    if len(operands) != 1:
        raise Failure("docker: 'docker pull' requires 1 argument")
    reference = _reference(operands[0])
    _daemon(process, f"Post images/create?fromImage={reference.name}&tag={reference.tag or reference.digest}")
    full = str(reference) if reference.host != "docker.io" else f"docker.io/{reference.repository}:{reference.tag}"
    quiet = any(name in ("-q", "--quiet") for name, _ in pairs)
    shown = process.stdout
    if quiet:
        process.stdout = lambda text: None
    elif reference.tag == "latest" and not re.search(r":latest$", operands[0]):
        process.print("Using default tag: latest")
    _pull(process, reference)
    process.stdout = shown
    process.print(full)
    return 0


@_command("push", "image push")
def _push(process: Process, arguments: list[str]) -> int:
    _, operands = process.options(arguments)
    if len(operands) != 1:
        raise Failure("docker: 'docker push' requires 1 argument")
    reference = _reference(operands[0])
    _daemon(process, f"Post images/{reference.name}/push?tag={reference.tag}")
    image = find_image(process.disk, str(reference))
    if image is None or reference.digest:
        raise Failure(f"An image does not exist locally with the tag: {reference.name}")
    try:
        with Network(process.disk.machine) as network:
            push_image(
                process, Registry(network, reference.host, credentials(process, reference.host)), reference, image
            )
    except DistributionError as error:
        raise Failure(str(error)) from error
    return 0


@_command("tag", "image tag")
def _tag(process: Process, arguments: list[str]) -> int:
    _, operands = process.options(arguments)
    if len(operands) != 2:
        raise Failure("docker: 'docker tag' requires 2 arguments")
    _daemon(process, f"Post images/{operands[0]}/tag")
    tag_image(process.disk, _image(process, operands[0])["id"], str(_reference(operands[1])))
    return 0


@_command("rmi", "image rm")
def _rmi(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(arguments, "f", ["force"])
    for name in operands:
        _daemon(process, f"Delete images/{name}")
        image = _image(process, name)
        users = [c["id"] for c in process.disk["containers"] if c["image"] == image["id"]]
        if users and len(image["tags"]) < 2 and not pairs:
            raise Failure(
                f'Error response from daemon: conflict: unable to remove repository reference "{name}" (must force) - '
                f"container {users[0][:12]} is using its referenced image {short(image['id'])}"
            )
        for line in remove_image(process.disk, image, name):
            process.print(line)
    return 0


def _rows(images: list[Image], wanted: Reference | None, any_tag: bool) -> list[dict[str, str]]:
    rows = []
    for image in images:
        names = [(*tag.rpartition(":")[::2], "") for tag in image["tags"]] or [("", "<none>", "")]
        for name, tag, _ in names:
            digests = {x.partition("@")[0]: x.partition("@")[2] for x in image["digests"]}
            row = {
                "Repository": name or next(iter(digests), "<none>"),
                "Tag": tag,
                "ID": short(image["id"]),
                "Digest": digests.get(name or next(iter(digests), ""), "<none>"),
                "CreatedSince": age(time.time() - _created(image)),
                "Size": _size(image),
            }
            if wanted and (row["Repository"] != wanted.name or (not any_tag and tag != wanted.tag)):
                continue
            rows.append(row)
    return rows


def _created(image: Image) -> float:
    try:
        text = re.sub(r"(\.\d{6})\d+", r"\1", image["config"]["created"].replace("Z", "+00:00"))
        return datetime.fromisoformat(text).timestamp()
    except (KeyError, ValueError):
        return float(image["pulled"])


def _size(image: Image) -> str:
    size = float(sum(layer["size"] for layer in json.loads(image["manifest"])["layers"]))
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g}{unit}"


@_command("images", "image ls", "image list")
def _images(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(arguments, "qa", ["format=", "digests", "no-trunc", "quiet", "all"])
    options = dict(pairs)
    _daemon(process, "Get images/json")
    wanted = _reference(operands[0]) if operands else None
    any_tag = bool(operands) and ":" not in operands[0].rpartition("/")[2]
    rows = _rows(list(process.disk["images"].values()), wanted, any_tag)
    if "--no-trunc" in options:
        full = {short(image_id): image_id for image_id in process.disk["images"]}
        rows = [{**row, "ID": full[row["ID"]]} for row in rows]
    if "-q" in options or "--quiet" in options:
        options["--format"] = "{{.ID}}"
    if "--format" in options:
        for row in rows:
            process.print(render(options["--format"], row))
        return 0
    columns = ["Repository", "Tag", *(["Digest"] if "--digests" in options else []), "ID", "CreatedSince", "Size"]
    titles = {"Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID", "CreatedSince": "CREATED"}
    table(process, [[titles.get(name, "SIZE") for name in columns], *([row[name] for name in columns] for row in rows)])
    return 0


def table(process: Process, rows: list[list[str]]) -> None:
    """Columns as docker prints them."""
    widths = [max(len(row[number]) for row in rows) + 3 for number in range(len(rows[0]))]
    for row in rows:
        process.print("".join(text.ljust(width) for text, width in zip(row[:-1], widths, strict=False)) + row[-1])


@_command("inspect", "image inspect")
def _inspect(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "f:", ["format="])
    _daemon(process, f"Get images/{names[0] if names else ''}/json")
    found, status = [], 0
    for name in names:
        image = find_image(process.disk, name)
        if image is None:
            process.warn(f"Error: No such image: {name}")
            status = 1
            continue
        config = image["config"]
        found.append(
            {
                "Id": image["id"],
                "RepoTags": image["tags"],
                "RepoDigests": image["digests"],
                "Created": config.get("created", ""),
                "Architecture": config.get("architecture", ""),
                "Os": config.get("os", ""),
                "Config": config.get("config", {}),
                "RootFS": {"Type": "layers", "Layers": config.get("rootfs", {}).get("diff_ids", [])},
            }
        )
    if pairs:
        for value in found:
            process.print(render(pairs[-1][1], value))
    else:
        process.print(json.dumps(found, indent=4))
    return status


# Containers


@_command("run", "container run")
def _run(process: Process, arguments: list[str]) -> int:
    pairs, words = process.options(
        arguments, "itd", ["rm", "interactive", "tty", "detach", "name=", "pull="], anywhere=False
    )
    options = {{"--interactive": "-i", "--tty": "-t", "--detach": "-d"}.get(name, name): value for name, value in pairs}
    if "-d" in options or "--pull" in options:
        raise Refused("docker", "run --detach and --pull: it has no running containers")
    if not words:
        raise Failure("docker: 'docker run' requires at least 1 argument")
    if {"-i", "-t"} <= options.keys() and not process.terminal:
        raise Failure("the input device is not a TTY")
    try:
        _daemon(process, "Post containers/create")
    except Failure as failure:
        raise Failure(f"docker: {failure}\n\nRun 'docker run --help' for more information", 126) from failure
    reference = _reference(words[0])
    image = find_image(process.disk, words[0])
    if image is None:
        process.warn(f"Unable to find image '{reference}' locally")
        try:
            image = _pull(_to_stderr(process), reference)
        except Failure as failure:
            raise Failure(f"docker: {failure}\n\nRun 'docker run --help' for more information", 125) from failure
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
    from dataclasses import replace

    return replace(process, stdout=process.stderr)


@_command("ps", "container ls")
def _ps(process: Process, arguments: list[str]) -> int:
    pairs, _ = process.options(arguments, "aq", ["all", "quiet", "format="])
    _daemon(process, "Get containers/json")
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


@_command("rm", "container rm")
def _rm(process: Process, arguments: list[str]) -> int:
    _, names = process.options(arguments, "f", ["force"])
    _daemon(process, "Delete containers/")
    for name in names:
        with process.disk.changing() as document:
            found = [c for c in document["containers"] if c["name"] == name or c["id"].startswith(name)]
            if len(found) != 1:
                raise Failure(f"Error response from daemon: No such container: {name}")
            document["containers"].remove(found[0])
        process.print(name)
    return 0


@_command("version")
def _version(process: Process, arguments: list[str]) -> int:
    pairs, _ = process.options(arguments, "f:", ["format="])
    part = {"Version": VERSION, "ApiVersion": API, "Os": "linux", "Arch": "amd64"}
    form = pairs[-1][1] if pairs else None
    if form is None:
        process.print(
            f"Client:\n Version:           {VERSION}\n API version:       {API}\n OS/Arch:           linux/amd64"
        )
    _daemon(process, "Get version")
    if form is not None:
        value = {"Client": part, "Server": part}
        process.print(json.dumps(value) if form == "json" else render(form, value))
    else:
        process.print(
            f"\nServer:\n Engine:\n  Version:          {VERSION}\n  API version:      {API}\n  OS/Arch:          linux/amd64"
        )
    return 0


@_command("info", "system info")
def _info(process: Process, arguments: list[str]) -> int:
    process.options(arguments)
    process.print(f"Client:\n Version:    {VERSION}\n Context:    default\n\nServer:")
    _daemon(process, "Get info")
    process.print(
        f" Containers: {len(process.disk['containers'])}\n  Running: 0\n Images: {len(process.disk['images'])}"
    )
    process.print(
        f" Server Version: {VERSION}\n Operating System: Ubuntu 22.04.5 LTS\n Name: {process.disk.machine.computer_name}"
    )
    return 0
