"""The network of a simulated machine: HTTP through the sandbox's proxy, with the VM's own credentials."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import Machine
from .proxies import Proxies, ProxyProblem, problem_of

if TYPE_CHECKING:
    from requests import Response, Session

TIMEOUT = 30.0  # seconds


class NetworkError(Exception):
    """No answer. `unknown_host` where the sandbox does not serve the host, `late` where it took too long.

    `proxy` says why a proxy that is set on the machine did not answer.
    """

    def __init__(
        self,
        host: str,
        reason: str,
        *,
        unknown_host: bool = False,
        late: bool = False,
        proxy: ProxyProblem | None = None,
    ) -> None:
        super().__init__(reason)
        self.host, self.unknown_host, self.late, self.proxy = host, unknown_host, late, proxy


class HttpClient:
    """HTTP as a machine's programs speak it; made for one run of a program, which closes it.

    Args:
        proxies: those that the program is set to ask; the sandbox's proxy is the network behind them.
    """

    def __init__(self, machine: Machine, proxies: Proxies) -> None:
        self._machine, self._proxies = machine, proxies
        self._session = _session(machine)

    @property
    def architecture(self) -> str:
        """That of the machine."""
        return self._machine.architecture

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(self, method: str, url: str, **options: Any) -> Response:
        """Send a request; redirects are followed only where `allow_redirects` says so. Raises NetworkError."""
        import requests

        host = urlsplit(url).hostname or ""
        proxy = self._proxies.of(url)
        problem = problem_of(self._machine, proxy) if proxy else None
        if problem:
            raise NetworkError(host, _words(problem), proxy=problem)
        if proxy and url.lower().startswith("http:"):  # a proxy tells for whom it asks
            options["headers"] = {**(options.get("headers") or {}), "X-Forwarded-For": "10.0.0.4"}
        try:
            return self._session.request(method, url, **{"timeout": TIMEOUT, "allow_redirects": False, **options})
        except requests.exceptions.SSLError as error:
            raise NetworkError(host, f"tls: failed to verify certificate: {error}") from error
        except requests.exceptions.Timeout as error:
            raise NetworkError(host, str(error), late=True) from error
        except requests.exceptions.ConnectionError as error:
            if " 502 " in str(error):
                raise NetworkError(host, f"the sandbox does not serve {host}", unknown_host=True) from error
            raise NetworkError(host, f"connection failed: {error}") from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise NetworkError(host, str(error)) from error


def _words(problem: ProxyProblem) -> str:
    if problem.kind == "name":
        return f"Could not resolve proxy: {problem.host}"
    return f"Failed to connect to proxy {problem.host} port {problem.port}: {problem.system_error[1]}"


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
    session.verify = machine.ca_file
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return session
