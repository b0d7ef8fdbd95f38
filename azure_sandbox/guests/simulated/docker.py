"""The docker command and its daemon: signing in, images, facts. docker_containers.py has `docker run`."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from datetime import datetime

from .docker_config import HUB, config_path, credentials, read_config, save_config
from .docker_images import Image, age, find_image, pull_image, push_image, remove_image, short, tag_image
from .go_template import render
from .http_client import HttpClient
from .program import Failure, Process, Unsupported, program
from .proxies import Proxies
from .registry_client import Credentials, DistributionError, Reference, RegistryClient
from .releases import processor_name, release_of

VERSION = "28.2.2"
API = "1.50"
_SOCKET = "/var/run/docker.sock"

Subcommand = Callable[[Process, list[str]], int]
_COMMANDS: dict[str, Subcommand] = {}


def command(*names: str) -> Callable[[Subcommand], Subcommand]:
    """Register a function as ``docker NAME``."""

    def register(function: Subcommand) -> Subcommand:
        for name in names:
            _COMMANDS[name] = function
        return function

    return register


@program("docker", package="docker.io")
def _docker(process: Process, arguments: list[str]) -> int:
    if arguments[:1] in (["--version"], ["-v"]):
        process.print(f"Docker version {VERSION}, build {process.disk['packages']['docker.io']}")
        return 0
    two, one = " ".join(arguments[:2]), " ".join(arguments[:1])
    found = _COMMANDS.get(two) or _COMMANDS.get(one)
    if found is None or (one in ("image", "container", "system") and two not in _COMMANDS):
        raise Unsupported("docker", f"command {two or 'line without a command'}")
    return found(process, arguments[2 if two in _COMMANDS else 1 :])


def reach_daemon(process: Process, call: str) -> None:
    """Reach the daemon's socket, or fail as docker does; `call` is the request that it would get."""
    method, _, path = call.partition(" ")
    if not process.user.is_root and "docker" not in process.user.groups:
        address = f"http://%2Fvar%2Frun%2Fdocker.sock/v{API}/{path}"
        raise Failure(
            f"permission denied while trying to connect to the Docker daemon socket at unix://{_SOCKET}: "
            f'{method} "{address}": dial unix {_SOCKET}: connect: permission denied'
        )
    if not process.disk["services"].get("docker") or process.disk.faults.meet("docker_slow"):
        raise Failure(f"Cannot connect to the Docker daemon at unix://{_SOCKET}. Is the docker daemon running?")


def daemon_client(process: Process) -> HttpClient:
    """HTTP as the daemon speaks it, by the proxies that it was started with."""
    return HttpClient(process.disk.machine, Proxies(*process.disk["daemon_proxies"]))


def _image(process: Process, name: str) -> Image:
    image = find_image(process.disk, name)
    if image is None:
        raise Failure(f"Error response from daemon: No such image: {name}")
    return image


def _host(server: str) -> str:
    """The name that docker keeps credentials under: without a scheme, and without what is behind the host."""
    return re.sub("^https?://", "", server).partition("/")[0]


@command("login")
def _login(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(arguments, "u:p:", ["username=", "password=", "password-stdin"])
    options = {name.lstrip("-")[:1] if "stdin" not in name else "stdin": value for name, value in pairs}
    server = _host(operands[0]) if operands else ""
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
        with daemon_client(process) as http:
            token = RegistryClient(http, server or "docker.io", Credentials(username, password)).log_in()
    except DistributionError as error:
        raise Failure(f"Error response from daemon: {error}") from error
    config = read_config(process)
    secret = "" if token else password
    entry = {"auth": base64.b64encode(f"{username}:{secret}".encode()).decode()}
    config.setdefault("auths", {})[server or HUB] = entry | ({"identitytoken": token} if token else {})
    save_config(process, config)
    if not token:
        process.warn(
            f"\nWARNING! Your credentials are stored unencrypted in '{config_path(process)}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n"
        )
    process.print("Login Succeeded")
    return 0


@command("logout")
def _logout(process: Process, arguments: list[str]) -> int:
    _, operands = process.options(arguments)
    server = _host(operands[0]) if operands else HUB
    config = read_config(process)
    if server not in config.get("auths", {}):
        process.print(f"Not logged in to {server}")
        return 0
    del config["auths"][server]
    save_config(process, config)
    process.print(f"Removing login credentials for {server}")
    return 0


# Images


def parse_reference(text: str) -> Reference:
    """A reference as typed; ends the program where it is none."""
    try:
        return Reference.parse(text)
    except DistributionError as error:
        raise Failure(str(error)) from error


def pull(process: Process, reference: Reference, platform: str = "") -> Image:
    """Pull with the calling user's credentials; ends the program in the daemon's words where it is refused."""
    try:
        with daemon_client(process) as http:
            registry = RegistryClient(http, reference.host, credentials(process, reference.host))
            return pull_image(process, registry, reference, platform)
    except DistributionError as error:
        raise Failure(f"Error response from daemon: {error}") from error


def _platform(text: str) -> str:
    """A platform as it may be typed: without the system, or with a processor's other name."""
    names = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
    parts = [names.get(part, part) for part in text.lower().split("/")]
    return "/".join(parts if len(parts) > 1 or not text else ["linux", *parts])


@command("pull", "image pull")
def _pull_command(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(arguments, "q", ["quiet", "platform="])
    if len(operands) != 1:
        raise Failure("docker: 'docker pull' requires 1 argument")
    reference = parse_reference(operands[0])
    reach_daemon(process, f"Post images/create?fromImage={reference.name}&tag={reference.tag or reference.digest}")
    full = str(reference) if reference.host != "docker.io" else f"docker.io/{reference.repository}:{reference.tag}"
    quiet = any(name in ("-q", "--quiet") for name, _ in pairs)
    shown = process.stdout
    if quiet:
        process.stdout = lambda text: None
    elif reference.tag == "latest" and not re.search(r":latest$", operands[0]):
        process.print("Using default tag: latest")
    pull(process, reference, _platform(dict(pairs).get("--platform", "")))
    process.stdout = shown
    process.print(full)
    return 0


@command("push", "image push")
def _push(process: Process, arguments: list[str]) -> int:
    _, operands = process.options(arguments)
    if len(operands) != 1:
        raise Failure("docker: 'docker push' requires 1 argument")
    reference = parse_reference(operands[0])
    reach_daemon(process, f"Post images/{reference.name}/push?tag={reference.tag}")
    image = find_image(process.disk, str(reference))
    if image is None or reference.digest:
        raise Failure(f"An image does not exist locally with the tag: {reference.name}")
    try:
        with daemon_client(process) as http:
            push_image(
                process, RegistryClient(http, reference.host, credentials(process, reference.host)), reference, image
            )
    except DistributionError as error:
        raise Failure(str(error)) from error
    return 0


@command("tag", "image tag")
def _tag(process: Process, arguments: list[str]) -> int:
    _, operands = process.options(arguments)
    if len(operands) != 2:
        raise Failure("docker: 'docker tag' requires 2 arguments")
    reach_daemon(process, f"Post images/{operands[0]}/tag")
    tag_image(process.disk, _image(process, operands[0])["id"], str(parse_reference(operands[1])))
    return 0


@command("rmi", "image rm")
def _rmi(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(arguments, "f", ["force"])
    for name in operands:
        reach_daemon(process, f"Delete images/{name}")
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


@command("images", "image ls", "image list")
def _images(process: Process, arguments: list[str]) -> int:
    pairs, operands = process.options(arguments, "qa", ["format=", "digests", "no-trunc", "quiet", "all"])
    options = dict(pairs)
    reach_daemon(process, "Get images/json")
    wanted = parse_reference(operands[0]) if operands else None
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


@command("inspect", "image inspect")
def _inspect(process: Process, arguments: list[str]) -> int:
    pairs, names = process.options(arguments, "f:", ["format="])
    reach_daemon(process, f"Get images/{names[0] if names else ''}/json")
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


@command("version")
def _version(process: Process, arguments: list[str]) -> int:
    pairs, _ = process.options(arguments, "f:", ["format="])
    architecture = process.disk.machine.architecture
    part = {"Version": VERSION, "ApiVersion": API, "Os": "linux", "Arch": architecture}
    form = pairs[-1][1] if pairs else None
    if form is None:
        process.print(
            f"Client:\n Version:           {VERSION}\n API version:       {API}\n OS/Arch:           linux/{architecture}"
        )
    reach_daemon(process, "Get version")
    if form is not None:
        value = {"Client": part, "Server": part}
        process.print(json.dumps(value) if form == "json" else render(form, value))
    else:
        process.print(
            f"\nServer:\n Engine:\n  Version:          {VERSION}\n  API version:      {API}\n  OS/Arch:          linux/{architecture}"
        )
    return 0


@command("info", "system info")
def _info(process: Process, arguments: list[str]) -> int:
    process.options(arguments)
    process.print(f"Client:\n Version:    {VERSION}\n Context:    default\n\nServer:")
    reach_daemon(process, "Get info")
    machine, release = process.disk.machine, release_of(process.disk.machine)
    process.print(
        f" Containers: {len(process.disk['containers'])}\n  Running: 0\n Images: {len(process.disk['images'])}"
    )
    process.print(
        f" Server Version: {VERSION}\n Operating System: Ubuntu {release.point}\n OSType: linux\n"
        f" Architecture: {processor_name(machine)}\n CPUs: {machine.cores}\n Name: {machine.computer_name}"
    )
    return 0
