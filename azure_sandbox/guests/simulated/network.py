"""All the network a simulated machine has: HTTP through the sandbox's proxy, with the VM's own credentials; and curl."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import Machine
from .process import Failure, Process, program

if TYPE_CHECKING:
    from requests import Response, Session

TIMEOUT = 30.0  # seconds


class NetworkError(Exception):
    """No answer. `unknown_host` where the sandbox does not play the host, `late` where it took too long."""

    def __init__(self, host: str, reason: str, *, unknown_host: bool = False, late: bool = False) -> None:
        super().__init__(reason)
        self.host, self.unknown_host, self.late = host, unknown_host, late


class Network:
    """HTTP as a machine's programs speak it; made for one run of a program, which closes it."""

    def __init__(self, machine: Machine) -> None:
        self._session = _session(machine)

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(self, method: str, url: str, **options: Any) -> Response:
        """Send a request; redirects are followed only where `allow_redirects` says so. Raises NetworkError."""
        import requests

        host = urlsplit(url).hostname or ""
        try:
            return self._session.request(method, url, **{"timeout": TIMEOUT, "allow_redirects": False, **options})
        except requests.exceptions.SSLError as error:
            raise NetworkError(host, f"tls: failed to verify certificate: {error}") from error
        except requests.exceptions.Timeout as error:
            raise NetworkError(host, str(error), late=True) from error
        except requests.exceptions.ConnectionError as error:
            if " 502 " in str(error):
                raise NetworkError(host, f"the sandbox does not play {host}", unknown_host=True) from error
            raise NetworkError(host, f"connection failed: {error}") from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise NetworkError(host, str(error)) from error


def _session(machine: Machine) -> Session:
    import requests  # not at the top: the sandbox starts without it
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
            # urllib3 leaves Nagle's algorithm on behind a proxy, which costs 40 ms a body.
            nodelay = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
            return super().proxy_manager_for(proxy, socket_options=nodelay, **options)

    session = requests.Session()
    session.trust_env = False
    session.proxies = {"http": machine.proxy, "https": machine.proxy}
    session.verify = machine.authority_file
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return session


_STATUS_22 = "The requested URL returned error: {}"


@program("curl")
def _curl(process: Process, arguments: list[str]) -> int:
    names = [
        "location",
        "silent",
        "show-error",
        "fail",
        "output=",
        "header=",
        "version",
        "get",
        "request=",
        "max-time=",
    ]
    pairs, operands = process.options(arguments, "sSLfo:H:VGX:m:", names)
    options = {name: value for name, value in pairs}
    if options.keys() & {"-V", "--version"}:
        process.print("curl 7.81.0 (x86_64-pc-linux-gnu) libcurl/7.81.0 (the sandbox's simulated guest)")
        return 0
    method = options.get("-X", options.get("--request", "GET"))
    if len(operands) != 1 or method != "GET":
        raise Failure("curl: the simulated guest has only GET of one URL", 2)
    quiet = bool(options.keys() & {"-s", "--silent"}) and not options.keys() & {"-S", "--show-error"}
    headers = {"User-Agent": "curl/7.81.0", "Accept": "*/*"}
    for name, value in pairs:
        if name in ("-H", "--header"):
            key, _, text = value.partition(":")
            headers[key.strip()] = text.strip()
    url = operands[0] if "://" in operands[0] else f"http://{operands[0]}"
    started = time.monotonic()
    follow = bool(options.keys() & {"-L", "--location"})
    seconds = options.get("-m", options.get("--max-time", "0"))
    if not re.fullmatch(r"\d+(\.\d+)?", seconds):
        raise Failure(f"curl: option -m: expected a proper numerical parameter: {seconds}", 2)
    try:
        with Network(process.disk.machine) as network:
            answer = network.request(
                "GET", url, headers=headers, allow_redirects=follow, timeout=float(seconds) or TIMEOUT
            )
            text = answer.text
    except NetworkError as error:
        status, what = (28, "Operation timed out") if error.late else (7, str(error))
        if error.unknown_host:
            status, what = 6, f"Could not resolve host: {error.host} ({error})"
        raise Failure("" if quiet else f"curl: ({status}) {what}", status) from error
    # A plain-http host that is not played is refused by the proxy itself, not by a tunnel.
    if url.startswith("http://") and answer.status_code == 502:
        raise Failure("" if quiet else f"curl: (6) Could not resolve host: {text.strip()}", 6)
    if answer.status_code >= 400 and options.keys() & {"-f", "--fail"}:
        raise Failure("" if quiet else f"curl: (22) {_STATUS_22.format(answer.status_code)}", 22)
    target = options.get("-o", options.get("--output"))
    if target is None:
        process.stdout(text)
        return 0
    process.write_file(target, text)
    if not options.keys() & {"-s", "--silent"}:
        process.warn(f"{len(answer.content)} bytes in {time.monotonic() - started:.1f} s")
    return 0
