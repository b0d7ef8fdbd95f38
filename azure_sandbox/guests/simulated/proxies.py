"""The proxies that are set on a simulated machine, and whether such a proxy answers.

The one proxy that there is on the sandbox's network is the sandbox's own, at the address that it has on the host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from .. import Machine

DEFAULT_PORT = 1080  # curl's, where a proxy's URL has none


@dataclass(frozen=True)
class Proxies:
    """The proxies that a program is set to ask; empty where there are none."""

    http: str = ""
    https: str = ""
    exceptions: str = ""
    """The hosts that are asked directly, as NO_PROXY has them."""

    def of(self, url: str) -> str:
        """The proxy for a URL; "" where it is asked directly."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        return "" if not proxy or _is_exception(parts.hostname or "", self.exceptions) else proxy


def from_environment(environment: Mapping[str, str], *, upper_http: bool = True) -> Proxies:
    """The proxies of the environment's variables; lower case counts first.

    Args:
        upper_http: HTTP_PROXY counts; curl leaves it out, since a request to a CGI program may set it.
    """

    def value(*names: str) -> str:
        return next((environment[name] for name in names if environment.get(name)), "")

    everything = value("all_proxy", "ALL_PROXY")
    return Proxies(
        value("http_proxy", *(["HTTP_PROXY"] if upper_http else [])) or everything,
        value("https_proxy", "HTTPS_PROXY") or everything,
        value("no_proxy", "NO_PROXY"),
    )


def _is_exception(host: str, exceptions: str) -> bool:
    for entry in filter(None, re.split(r"[,\s]+", exceptions)):
        name = entry.partition(":")[0].lower().lstrip(".").removeprefix("*.")
        if entry == "*" or host.lower() == name or host.lower().endswith(f".{name}") or _in_network(host, entry):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


@dataclass(frozen=True)
class ProxyProblem:
    """Why a proxy does not answer."""

    host: str
    port: int
    kind: str
    """What is the matter: "name" (it cannot be resolved), "refused" or "late"."""

    @property
    def system_error(self) -> tuple[int, str]:
        """The operating system's error of the connection, for the last two kinds."""
        return (111, "Connection refused") if self.kind == "refused" else (110, "Connection timed out")


def problem_of(machine: Machine, proxy: str) -> ProxyProblem | None:
    """Why a proxy does not answer; None where it does."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    host, own = parts.hostname or "", urlsplit(machine.proxy)
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        port = DEFAULT_PORT
    if (host.replace("localhost", "127.0.0.1"), port) == (own.hostname, own.port):
        return None
    try:
        address = ipaddress.ip_address(host.replace("localhost", "127.0.0.1"))
    except ValueError:
        return ProxyProblem(host, port, "name")
    return ProxyProblem(host, port, "refused" if address.is_loopback else "late")
