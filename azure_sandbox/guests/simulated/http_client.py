"""The network of a simulated machine: HTTP through the sandbox's proxy, with the VM's own credentials."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .. import Machine

if TYPE_CHECKING:
    from requests import Response, Session

TIMEOUT = 30.0  # seconds


class NetworkError(Exception):
    """No answer. `unknown_host` where the sandbox does not serve the host, `late` where it took too long."""

    def __init__(self, host: str, reason: str, *, unknown_host: bool = False, late: bool = False) -> None:
        super().__init__(reason)
        self.host, self.unknown_host, self.late = host, unknown_host, late


class HttpClient:
    """HTTP as a machine's programs speak it; made for one run of a program, which closes it."""

    def __init__(self, machine: Machine) -> None:
        self._session = _session(machine)

    def __enter__(self) -> HttpClient:
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
                raise NetworkError(host, f"the sandbox does not serve {host}", unknown_host=True) from error
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
    session.verify = machine.ca_file
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return session
