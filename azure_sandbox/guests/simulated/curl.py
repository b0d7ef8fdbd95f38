"""curl: GET of one URL."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from .http_client import TIMEOUT, HttpClient, NetworkError
from .program import Failure, Process, program
from .proxies import Proxies, ProxyProblem, from_environment
from .releases import processor_name, release_of


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
        "noproxy=",
        "proxy=",
    ]
    pairs, operands = process.options(arguments, "sSLfo:H:VGX:m:x:", names)
    options = {name: value for name, value in pairs}
    version = release_of(process.disk.machine).package_version("curl")
    if options.keys() & {"-V", "--version"}:
        system = f"{processor_name(process.disk.machine)}-pc-linux-gnu"
        process.print(f"curl {version} ({system}) libcurl/{version} (the sandbox's simulated guest)")
        return 0
    method = options.get("-X", options.get("--request", "GET"))
    if len(operands) != 1 or method != "GET":
        raise Failure("curl: the simulated guest has only GET of one URL", 2)
    quiet = bool(options.keys() & {"-s", "--silent"}) and not options.keys() & {"-S", "--show-error"}
    headers = {"User-Agent": f"curl/{version}", "Accept": "*/*"}
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
    proxies = from_environment(process.environment, upper_http=False)
    if "--noproxy" in options:
        proxies = replace(proxies, exceptions=options["--noproxy"])
    given = options.get("-x", options.get("--proxy"))
    if given is not None:
        proxies = Proxies(given, given, proxies.exceptions)
    try:
        with HttpClient(process.disk.machine, proxies) as http:
            answer = http.request(
                "GET", url, headers=headers, allow_redirects=follow, timeout=float(seconds) or TIMEOUT
            )
            text = answer.text
    except NetworkError as error:
        status, what = (28, "Operation timed out") if error.late else (7, str(error))
        if error.proxy:
            status, what = _proxy_problem(error.proxy, version)
        if error.unknown_host:
            status, what = 6, f"Could not resolve host: {error.host} ({error})"
        raise Failure("" if quiet else f"curl: ({status}) {what}", status) from error
    # A plain-http host that the sandbox does not serve is refused by the proxy itself, not by a tunnel.
    if url.startswith("http://") and answer.status_code == 502:
        raise Failure("" if quiet else f"curl: (6) Could not resolve host: {text.strip()}", 6)
    if answer.status_code >= 400 and options.keys() & {"-f", "--fail"}:
        raise Failure("" if quiet else f"curl: (22) The requested URL returned error: {answer.status_code}", 22)
    target = options.get("-o", options.get("--output"))
    if target is None:
        process.stdout(text)
        return 0
    process.write_file(target, text)
    if not options.keys() & {"-s", "--silent"}:
        process.warn(f"{len(answer.content)} bytes in {time.monotonic() - started:.1f} s")
    return 0


def _proxy_problem(problem: ProxyProblem, version: str) -> tuple[int, str]:
    """Exit status and words for a proxy that does not answer."""
    if problem.kind == "name":
        return 5, f"Could not resolve proxy: {problem.host}"
    late, words = problem.kind == "late", problem.system_error[1]
    if not late and version >= "8":
        words = "Couldn't connect to server"
    seconds = 134000 if late else 0
    return 28 if late else 7, f"Failed to connect to {problem.host} port {problem.port} after {seconds} ms: {words}"
