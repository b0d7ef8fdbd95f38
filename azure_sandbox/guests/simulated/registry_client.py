"""The distribution protocol as the Docker daemon speaks it: challenges, tokens, manifests, blobs; every digest checked."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from ...store import Blobs
from .http_client import HttpClient, NetworkError
from .proxies import ProxyProblem

if TYPE_CHECKING:
    from requests import Response

T = TypeVar("T")

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CHUNK = 1 << 20  # bytes
ATTEMPTS = 5  # that the daemon makes for a layer
PAUSE = 0.5  # seconds between two of them; the real daemon waits for five more each time
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_LABELS = {
    "UNAUTHORIZED": "unauthorized",
    "DENIED": "denied",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "name unknown",
    "TOOMANYREQUESTS": "toomanyrequests",
}


class DistributionError(Exception):
    """The daemon's error when a registry refuses; `code` is the registry's own where it gave one."""

    @property
    def lasts(self) -> bool:
        """Whether the daemon does not try a layer again after it."""
        return self.code in ("UNAUTHORIZED", "UNSUPPORTED", "DENIED", "TOOMANYREQUESTS", "NAME_UNKNOWN", "BLOB_UNKNOWN")

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Reference:
    """An image's name: host, repository, and a tag or a digest."""

    host: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """A reference as typed; a name without a host is Docker Hub's. Raises DistributionError."""
        name, _, digest = text.partition("@")
        name, colon, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
        first, slash, rest = name.partition("/")
        host, repository = (first, rest) if slash and re.search(r"[.:]|^localhost$", first) else ("docker.io", name)
        if repository != repository.lower():
            raise DistributionError(f"invalid reference format: repository name ({repository}) must be lowercase")
        valid = _REPOSITORY.fullmatch(repository) and re.fullmatch(r"(sha256:[0-9a-f]{64})?", digest)
        if not valid or (colon and not re.fullmatch(r"\w[\w.-]{0,127}", tag)):
            raise DistributionError("invalid reference format")
        if host == "docker.io" and "/" not in repository:
            repository = f"library/{repository}"
        return cls(host, repository, tag or (None if digest else "latest"), digest or None)

    @property
    def name(self) -> str:
        """Without tag and digest, as Docker shows it."""
        if self.host == "docker.io":
            return self.repository.removeprefix("library/")
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


@dataclass(frozen=True)
class Credentials:
    """The credentials that Docker signs in with: a password, or the identity token that an earlier login was given."""

    username: str
    password: str = ""
    identity_token: str = ""


@dataclass(frozen=True)
class Manifest:
    media_type: str
    body: bytes
    digest: str

    @property
    def content(self) -> Any:
        return json.loads(self.body)


def try_again(transfer: Callable[[], T], report: Callable[[], object]) -> T:
    """Transfer a layer, in several attempts where one fails with what may pass.

    Args:
        report: called before each further attempt.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return transfer()
        except DistributionError as error:
            if error.lasts:
                raise
            report()
            time.sleep(PAUSE)
    return transfer()


class RegistryClient:
    """One registry, as one caller with or without credentials sees it."""

    def __init__(self, http: HttpClient, host: str, credentials: Credentials | None) -> None:
        self._http = http
        self._url = f"https://{'registry-1.docker.io' if host == 'docker.io' else host}"
        self._credentials = credentials
        self._tokens: dict[str, str] = {}
        self._challenge: dict[str, str] | None = None

    def log_in(self) -> str | None:
        """Sign in; the identity token to keep instead of the password, where the registry gives one."""
        url = f"{self._url}/v2/"
        challenge = self._challenged("Get", url)
        if challenge.get("realm") is None:
            return None
        answer = self._ask_token("Get", url, challenge, "", offline=True)
        token = answer.get("access_token") or answer.get("token", "")
        checked = self._send("GET", url, {"Authorization": f"Bearer {token}"})
        if checked.status_code != 200:
            raise DistributionError(f'Get "{url}": {_reason(checked)[0]}')
        identity: str | None = answer.get("refresh_token")
        return identity

    def manifest(self, reference: Reference, digest: str | None = None) -> Manifest:
        """The manifest of a reference, or one by its digest in the same repository."""
        wanted = digest or reference.digest or reference.tag
        path = f"/v2/{reference.repository}/manifests/{wanted}"
        headers = {"Accept": ", ".join(INDEX_TYPES + MANIFEST_TYPES)}
        scope = f"repository:{reference.repository}:pull"
        head = None if digest else self._call("HEAD", path, scope, headers)
        answer = self._call("GET", path, scope, headers)
        for _ in range(ATTEMPTS - 1):
            if answer.status_code < 500:
                break
            time.sleep(PAUSE)
            answer = self._call("GET", path, scope, headers)
        if answer.status_code != 200:
            message, code = _reason(answer)
            raise DistributionError(_pull_error(reference, message, code), code)
        actual = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        stated = [digest, reference.digest, head.headers.get("docker-content-digest") if head is not None else None]
        for expected in [stated[0]] if digest else stated[1:]:
            if expected and expected != actual:
                raise DistributionError(f"manifest verification failed for digest {expected}")
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        return Manifest(media_type, answer.content, actual)

    def blob(self, repository: str, digest: str, blobs: Blobs | None) -> bytes:
        """Read a blob and check its digest; with `blobs` it is kept there, and b"" is returned."""
        answer = self._call(
            "GET", f"/v2/{repository}/blobs/{digest}", f"repository:{repository}:pull", {}, stream=True, redirects=True
        )
        if answer.status_code != 200:
            raise DistributionError(*_reason(answer))
        algorithm, _, expected = digest.partition(":")
        if algorithm not in ("sha256", "sha512"):
            raise DistributionError(f"unsupported digest {digest}")
        checksum = hashlib.new(algorithm)
        upload = blobs.new_upload() if blobs and not blobs.exists(digest) else None
        kept = b""
        try:
            for chunk in answer.iter_content(CHUNK):
                checksum.update(chunk)
                if blobs is None:
                    kept += chunk
                elif upload:
                    blobs.append(upload, chunk)
        except OSError as error:  # all that requests raises is one
            if blobs and upload:
                blobs.cancel_upload(upload)
            raise DistributionError("unexpected EOF") from error
        if checksum.hexdigest() != expected:
            if blobs and upload:
                blobs.cancel_upload(upload)
            raise DistributionError(f"filesystem layer verification failed for digest {digest}")
        if blobs and upload:
            blobs.finish_upload(upload, digest)
        return kept

    def push_blob(self, repository: str, digest: str, content: bytes) -> bool:
        """Upload a blob; False where the registry has it already."""
        scope = f"repository:{repository}:pull,push"
        if self._call("HEAD", f"/v2/{repository}/blobs/{digest}", scope, {}).status_code == 200:
            return False
        started = self._call("POST", f"/v2/{repository}/blobs/uploads/", scope, {})
        self._check(started, 202)
        location = urljoin(self._url, started.headers["location"])
        address = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream"}
        self._check(self._call("PUT", address, scope, headers, data=content), 201)
        return True

    def push_manifest(self, reference: Reference, media_type: str, body: bytes) -> None:
        path = f"/v2/{reference.repository}/manifests/{reference.tag}"
        scope = f"repository:{reference.repository}:pull,push"
        self._check(self._call("PUT", path, scope, {"Content-Type": media_type}, data=body), 201)

    def _check(self, answer: Response, status: int) -> None:
        if answer.status_code != status:
            raise DistributionError(*_reason(answer))

    def _call(
        self,
        method: str,
        path: str,
        scope: str,
        headers: dict[str, str],
        *,
        data: bytes | None = None,
        stream: bool = False,
        redirects: bool = False,
    ) -> Response:
        url = urljoin(self._url, path)
        if self._challenge is None:
            self._challenge = self._challenged("Get", f"{self._url}/v2/")
        if self._challenge.get("realm") and scope not in self._tokens:
            answer = self._ask_token(method.capitalize(), url, self._challenge, scope)
            self._tokens[scope] = answer.get("access_token") or answer.get("token", "")
        if scope in self._tokens:
            headers = {**headers, "Authorization": f"Bearer {self._tokens[scope]}"}
        return self._send(method, url, headers, data=data, stream=stream, allow_redirects=redirects)

    def _challenged(self, verb: str, url: str) -> dict[str, str]:
        """What /v2/ asks for: realm and service; nothing where it asks for nothing."""
        answer = self._send("GET", url, {})
        scheme, _, parameters = answer.headers.get("www-authenticate", "").partition(" ")
        if answer.status_code != 401 or scheme.lower() != "bearer":
            if answer.status_code in (200, 401):
                return {}
            raise DistributionError(f'{verb} "{url}": {_reason(answer)[0]}')
        return dict(re.findall(r'(\w+)="([^"]*)"', parameters))

    def _ask_token(
        self, verb: str, url: str, challenge: dict[str, str], scope: str, *, offline: bool = False
    ) -> dict[str, str]:
        credentials, realm = self._credentials, challenge["realm"]
        fields = {"service": challenge.get("service", ""), **({"scope": scope} if scope else {})}
        if credentials and credentials.identity_token:
            form = {"grant_type": "refresh_token", "client_id": "docker", "refresh_token": credentials.identity_token}
            answer = self._send("POST", realm, {}, data={**form, **fields})
        else:
            if offline:
                fields |= {"client_id": "docker", "offline_token": "true"}
            if credentials:
                fields |= {"account": credentials.username}
            basic = (credentials.username, credentials.password) if credentials else None
            answer = self._send("GET", realm, {}, params=fields, auth=basic)
        if answer.status_code != 200:
            raise DistributionError(f'{verb} "{url}": {_reason(answer)[0]}', _reason(answer)[1])
        try:
            found: dict[str, str] = answer.json()
        except ValueError:
            found = {}
        if not isinstance(found, dict):
            found = {}
        if not isinstance(found.get("access_token") or found.get("token"), str):
            raise DistributionError(f'{verb} "{url}": authorization server did not include a token in the response')
        return found

    def _send(self, method: str, url: str, headers: dict[str, str], **options: Any) -> Response:
        agent = {"User-Agent": f"docker/28.2.2 os/linux arch/{self._http.architecture} (the sandbox's simulated guest)"}
        try:
            return self._http.request(method, url, headers=agent | headers, **options)
        except NetworkError as error:
            reason = str(error)
            if error.proxy:
                reason = f"proxyconnect tcp: {_dialled(error.proxy)}"
            elif error.unknown_host:
                reason = f"dial tcp: lookup {error.host} on 127.0.0.53:53: no such host ({error})"
            raise DistributionError(f'{method.capitalize()} "{url}": {reason}') from error


def _dialled(problem: ProxyProblem) -> str:
    """Why a proxy does not answer, in Go's words."""
    if problem.kind == "name":
        return f"dial tcp: lookup {problem.host} on 127.0.0.53:53: no such host"
    reason = "connect: connection refused" if problem.kind == "refused" else "i/o timeout"
    return f"dial tcp {problem.host}:{problem.port}: {reason}"


def _reason(answer: Response) -> tuple[str, str]:
    """A refusal in Docker's words, and the registry's error code."""
    if 'error="insufficient_scope"' in answer.headers.get("www-authenticate", ""):
        return "denied: requested access to the resource is denied", "DENIED"
    try:
        error = answer.json()["errors"][0]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, LookupError, TypeError):
        return f"unexpected status from {answer.request.method} request to {answer.url}: {answer.status_code}", ""
    return f"{_LABELS.get(code, code.lower())}: {message}", code


def _pull_error(reference: Reference, message: str, code: str) -> str:
    if code == "MANIFEST_UNKNOWN":
        return f"manifest for {reference} not found: {message}"
    if code == "NAME_UNKNOWN":
        return f"repository {reference.name} not found: {message}"
    if code == "DENIED":
        return f"pull access denied for {reference.name}, repository does not exist or may require 'docker login': {message}"
    return message
